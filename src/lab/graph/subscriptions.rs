//! Subscriptions to change notifications of presence: only for a user who signed in, with a handshake, encrypted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::clock::At;
use super::login::Access;
use super::route::{Endpoint, Route, Verb};
use super::sealed::{Recipient, Signer};
use super::text::guid;
use super::world::{Begun, Part, World};

/// Subscriptions of an application in a tenant.
const MAX_SUBSCRIPTIONS: usize = 100;
/// Users in the filter of one subscription.
const MAX_USERS: usize = 650;
/// The longest life of a subscription to presence.
const MAX_LIFE: u64 = 60 * 60_000;
/// Characters of a clientState and of a certificate's name.
const MAX_WORD: usize = 128;
/// Deliveries that are remembered.
const MAX_DELIVERIES: usize = 1_000;

/// What all subscriptions need.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    signer: Option<Signer>,
    lifecycle: Vec<Notice>,
    deliveries: VecDeque<Delivery>,
}

/// A subscription that its subscriber has confirmed.
#[derive(Clone, Debug)]
struct Subscription {
    id: String,
    access: Access,
    /// Users by place, with the number of the presence that was told.
    users: BTreeMap<usize, u64>,
    resource: String,
    url: String,
    lifecycle_url: Option<String>,
    client_state: Option<String>,
    expires: At,
    recipient: Option<Recipient>,
}

/// A subscription before the handshake: the addresses that must answer it.
#[derive(Debug)]
pub(super) struct Wanted {
    subscription: Subscription,
    pub(super) urls: Vec<String>,
}

/// A notification that is to be delivered.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) url: String,
    pub(super) body: Value,
}

/// A notification that was delivered, or not.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The subscriber's status; 0: no answer.
    pub status: u16,
    pub took: Duration,
    /// Items in it.
    pub items: usize,
}

impl World {
    /// Judges what a client wants to subscribe to.
    pub(super) fn want_subscription(&mut self, begun: &Begun) -> Result<Wanted, Answer> {
        let access = begun.access.clone()?;
        let body = &begun.whole.body;
        let bad = |text: &str| Err(Answer::error(400, "InvalidRequest", text));
        if !access.delegated {
            let text = "subscribes to presence with an application's token, which Graph does not allow".to_owned();
            self.complain_of(Endpoint::Subscriptions, Some(access.tenant), None, text);
            return Err(Answer::error(
                403,
                "Forbidden",
                "Application permissions do not reach presence subscriptions.",
            ));
        }
        let word = |name: &str| body.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
        let (Some(url), Some(resource)) = (word("notificationUrl"), word("resource")) else {
            return bad("notificationUrl and resource are needed.");
        };
        if word("changeType") != Some("updated") {
            return bad("changeType must be updated for presence.");
        }
        let lifecycle_url = word("lifecycleNotificationUrl").map(str::to_owned);
        let urls: Vec<String> = std::iter::once(url.to_owned()).chain(lifecycle_url.clone()).collect();
        if urls.iter().any(|url| !url.starts_with("https://")) {
            return bad("notificationUrl must be https.");
        }
        let expires = self.expiry(body)?;
        if word("clientState").is_some_and(|state| state.len() > MAX_WORD) {
            return bad("clientState is longer than 128 characters.");
        }
        let users = self.watched_users(access, resource)?;
        let mine = |known: &&Subscription| (known.access.tenant, known.access.app) == (access.tenant, access.app);
        self.subscriptions.list.retain(|known| known.expires > begun.at);
        if self.subscriptions.list.iter().filter(mine).count() >= MAX_SUBSCRIPTIONS {
            return Err(Answer::error(403, "Forbidden", "The application has too many subscriptions in this tenant."));
        }
        let taken = self.subscriptions.list.iter().filter(mine);
        if taken.flat_map(|known| known.users.keys()).any(|user| users.contains_key(user)) {
            return Err(Answer::error(409, "Conflict", "One presence subscription per user and application."));
        }
        let recipient = match body.get("includeResourceData").and_then(Value::as_bool) {
            Some(true) => {
                let read = word("encryptionCertificate").zip(word("encryptionCertificateId"));
                let recipient = read.filter(|(_, id)| id.len() <= MAX_WORD);
                match recipient.and_then(|(certificate, id)| Recipient::read(certificate, id)) {
                    Some(recipient) => Some(recipient),
                    None => {
                        return bad("encryptionCertificate must be base64 of an RSA certificate in DER, with an id.");
                    }
                }
            }
            _ => None,
        };
        let subscription = Subscription {
            id: guid(),
            access,
            users,
            resource: resource.to_owned(),
            url: url.to_owned(),
            lifecycle_url,
            client_state: word("clientState").map(str::to_owned),
            expires,
            recipient,
        };
        Ok(Wanted { subscription, urls })
    }

    /// Subscribes after the handshake, or says that it failed.
    pub(super) fn subscribe(&mut self, begun: &Begun, wanted: Result<Wanted, Answer>) -> Answer {
        let answer = match wanted {
            Ok(wanted) => {
                let mut subscription = wanted.subscription;
                for (user, told) in &mut subscription.users {
                    *told = self.look(subscription.access.tenant, *user, begun.at).map_or(0, |(.., number)| number);
                }
                let body = self.subscription_json(&subscription);
                if self.subscriptions.signer.is_none() {
                    self.subscriptions.signer = Signer::new();
                }
                self.subscriptions.list.push(subscription);
                Answer::json(201, body)
            }
            Err(refused) => refused,
        };
        self.write_down(begun, &begun.whole, answer.status, false);
        answer
    }

    /// Renews, ends or lists subscriptions.
    pub(super) fn answer_subscription(&mut self, part: &Part, access: Access) -> Answer {
        let now = self.clock.now();
        self.subscriptions.list.retain(|known| known.expires > now);
        let mine = |known: &Subscription| (known.access.tenant, known.access.app) == (access.tenant, access.app);
        if part.route.verb == Verb::List {
            let list: Vec<Value> = self
                .subscriptions
                .list
                .iter()
                .filter(|known| mine(known))
                .map(|known| self.subscription_json(known))
                .collect();
            return Answer::json(200, json!({ "value": list }));
        }
        let id = part.route.subject.as_deref().unwrap_or_default();
        let Some(place) = self.subscriptions.list.iter().position(|known| known.id == id && mine(known)) else {
            return Answer::error(404, "ResourceNotFound", "The subscription is not found.");
        };
        match part.route.verb {
            Verb::Remove => {
                self.subscriptions.list.remove(place);
                Answer::empty(204)
            }
            Verb::Renew => match self.expiry(&part.body) {
                Err(refused) => refused,
                Ok(expires) => {
                    let certificate = part.body.get("encryptionCertificate").and_then(Value::as_str);
                    let name = part.body.get("encryptionCertificateId").and_then(Value::as_str);
                    let recipient = certificate.zip(name).and_then(|(read, id)| Recipient::read(read, id));
                    let Some(known) = self.subscriptions.list.get_mut(place) else { return Answer::empty(404) };
                    known.expires = expires;
                    known.recipient = recipient.or_else(|| known.recipient.take());
                    let known = known.clone();
                    Answer::json(200, self.subscription_json(&known))
                }
            },
            _ => Answer::empty(200),
        }
    }

    /// What is to be told now: changes of presence, with all for one address in one notification.
    pub(super) fn notices(&mut self) -> Vec<Notice> {
        let (now, unix) = (self.clock.now(), self.clock.unix_seconds());
        let mut notices = std::mem::take(&mut self.subscriptions.lifecycle);
        let mut list = std::mem::take(&mut self.subscriptions.list);
        list.retain(|known| known.expires > now);
        for subscription in &mut list {
            let tenant = subscription.access.tenant;
            let mut items = Vec::new();
            for (user, told) in &mut subscription.users {
                let Some((_, _, number)) = self.look(tenant, *user, now) else { continue };
                if number == *told {
                    continue;
                }
                *told = number;
                items.push((*user, self.shown(tenant, *user, now)));
            }
            if items.is_empty() {
                continue;
            }
            let value: Vec<Value> =
                items.into_iter().filter_map(|(user, shown)| self.item(subscription, user, shown?)).collect();
            let tokens = self.validation_tokens(subscription, unix);
            let body = match subscription.recipient {
                Some(_) => json!({ "value": value, "validationTokens": tokens }),
                None => json!({ "value": value }),
            };
            notices.push(Notice { url: subscription.url.clone(), body });
        }
        self.subscriptions.list = list;
        notices
    }

    /// Asks the subscribers of a tenant to authorise their subscriptions again.
    pub(super) fn ask_reauthorization(&mut self, tenant: usize) {
        let unix = self.clock.unix_seconds();
        let list = std::mem::take(&mut self.subscriptions.list);
        for subscription in list.iter().filter(|known| known.access.tenant == tenant) {
            let Some(url) = subscription.lifecycle_url.clone() else { continue };
            let mut item = self.envelope(subscription);
            item["lifecycleEvent"] = json!("reauthorizationRequired");
            let tokens = self.validation_tokens(subscription, unix);
            let body = json!({ "value": [item], "validationTokens": tokens });
            self.subscriptions.lifecycle.push(Notice { url, body });
        }
        self.subscriptions.list = list;
    }

    /// Writes down how a notification was received; slow and refused ones are held against the subscriber.
    pub(super) fn delivered(&mut self, delivery: Delivery) {
        let text = match (delivery.status, delivery.took) {
            (200..=299, took) if took > Duration::from_secs(3) => Some("answers a notification after more than 3 s"),
            (200..=299, _) => None,
            _ => Some("does not take a notification"),
        };
        if let Some(text) = text {
            self.complain_of(Endpoint::Subscriptions, None, None, format!("{text} (status {})", delivery.status));
        }
        let deliveries = &mut self.subscriptions.deliveries;
        if deliveries.len() >= MAX_DELIVERIES {
            deliveries.pop_front();
        }
        deliveries.push_back(delivery);
    }

    /// The notifications that were delivered of late.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.subscriptions.deliveries.iter().cloned().collect()
    }

    /// The keys of validation tokens, or where they are.
    pub(super) fn keys(&mut self, route: &Route, host: &str) -> Answer {
        let tenant = route.subject.as_deref().unwrap_or("common");
        if route.verb == Verb::Read {
            return Answer::json(
                200,
                json!({
                    "issuer": format!("https://sts.windows.net/{tenant}/"),
                    "jwks_uri": format!("https://{host}/{tenant}/discovery/v2.0/keys"),
                    "token_endpoint": format!("https://{host}/{tenant}/oauth2/v2.0/token"),
                }),
            );
        }
        if self.subscriptions.signer.is_none() {
            self.subscriptions.signer = Signer::new();
        }
        match &self.subscriptions.signer {
            Some(signer) => Answer::json(200, signer.keys()),
            None => Answer::trouble(500, None),
        }
    }

    fn expiry(&self, body: &Value) -> Result<At, Answer> {
        let now = self.clock.now();
        let date = body.get("expirationDateTime").and_then(Value::as_str).and_then(|date| self.clock.at(date));
        match date {
            // Clocks of one machine still differ by what it takes to get here.
            Some(at) if at > now && at <= now + MAX_LIFE + 1_000 => Ok(at),
            _ => Err(Answer::error(400, "InvalidRequest", "expirationDateTime must be within the next 60 minutes.")),
        }
    }

    /// The users of a resource: `/communications/presences/{id}`, or with a filter `id in ('a','b')`.
    fn watched_users(&self, access: Access, resource: &str) -> Result<BTreeMap<usize, u64>, Answer> {
        let rest = resource.trim_start_matches('/').strip_prefix("communications/presences");
        let ids: Option<Vec<&str>> = rest.and_then(|rest| match rest.strip_prefix('/') {
            Some(id) => Some(vec![id]),
            None => {
                let list = rest.strip_prefix("?$filter=id in (")?.strip_suffix(')')?;
                list.split(',').map(|id| id.trim().strip_prefix('\'')?.strip_suffix('\'')).collect()
            }
        });
        let Some(ids) = ids.filter(|ids| ids.len() <= MAX_USERS) else {
            return Err(Answer::error(400, "InvalidRequest", "The resource is no presence of up to 650 users."));
        };
        let tenant = self.tenants.get(access.tenant);
        let users: BTreeMap<usize, u64> = ids.iter().filter_map(|id| Some((tenant?.find(id)?, 0))).collect();
        if users.is_empty() {
            return Err(Answer::error(404, "ResourceNotFound", "No such user is in the directory."));
        }
        Ok(users)
    }

    fn item(&self, subscription: &Subscription, user: usize, shown: Value) -> Option<Value> {
        let tenant = self.tenants.get(subscription.access.tenant)?;
        let id = tenant.users.get(user)?.id.clone();
        let mut item = self.envelope(subscription);
        let place = format!("communications/presences('{id}')");
        item["changeType"] = json!("updated");
        item["resource"] = json!(place);
        let data = json!({ "@odata.type": "#Microsoft.Graph.presence", "@odata.id": place, "id": &*id });
        match &subscription.recipient {
            Some(recipient) => {
                item["resourceData"] = data;
                item["encryptedContent"] = recipient.seal(&shown)?;
            }
            None => {
                item["resourceData"] = data;
                item["resourceData"]["availability"] = shown.get("availability")?.clone();
                item["resourceData"]["activity"] = shown.get("activity")?.clone();
            }
        }
        Some(item)
    }

    fn envelope(&self, subscription: &Subscription) -> Value {
        let tenant = self.tenants.get(subscription.access.tenant).map(|tenant| tenant.id.to_string());
        json!({
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": self.clock.date(subscription.expires),
            "clientState": subscription.client_state,
            "tenantId": tenant,
        })
    }

    fn validation_tokens(&self, subscription: &Subscription, unix: u64) -> Vec<String> {
        let tenant = self.tenants.get(subscription.access.tenant);
        let client = tenant.and_then(|tenant| tenant.apps.get(subscription.access.app)).map(|app| app.client.as_str());
        let signer = self.subscriptions.signer.as_ref();
        let (Some(tenant), Some(client), Some(signer)) = (tenant, client, signer) else { return Vec::new() };
        vec![signer.token(&tenant.id, client, unix)]
    }

    fn subscription_json(&self, subscription: &Subscription) -> Value {
        let tenant = self.tenants.get(subscription.access.tenant);
        let client = tenant.and_then(|tenant| tenant.apps.get(subscription.access.app)).map(|app| app.client.as_str());
        json!({
            "id": subscription.id,
            "applicationId": client,
            "changeType": "updated",
            "resource": subscription.resource,
            "notificationUrl": subscription.url,
            "lifecycleNotificationUrl": subscription.lifecycle_url,
            "expirationDateTime": self.clock.date(subscription.expires),
            "clientState": null,
            "includeResourceData": subscription.recipient.is_some(),
        })
    }
}
