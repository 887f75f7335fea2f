//! Change notifications of presence: asked for, renewed, and given up (B4). They want a token of a signed-in account.

use serde::Deserialize;
use serde_json::json;

use reqwest::Method;

use super::Graph;
use super::fault::{Fault, Permission};
use super::presences::segment;
use super::settings::{Call, Secret};
use super::users::Page;

/// Users whom one subscription may be about.
pub const MAX_SUBSCRIBED: usize = 650;

/// What a subscription is asked for with.
#[derive(Clone, Debug)]
pub struct SubscriptionWanted<'a> {
    /// Object ids, at most [`MAX_SUBSCRIBED`].
    pub users: &'a [&'a str],
    /// Where Graph sends notifications to, and what happens to the subscription.
    pub url: &'a str,
    pub lifecycle_url: &'a str,
    /// Comes back with each notification; at most 128 characters.
    pub client_state: &'a Secret,
    /// Base64 of the DER form of the certificate to encrypt with, and a name for it.
    pub certificate: &'a str,
    pub certificate_id: &'a str,
    /// As RFC 3339 writes it, at most an hour ahead.
    pub expires: &'a str,
}

/// A subscription that Graph has made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    pub id: String,
    #[serde(rename = "expirationDateTime", default)]
    pub expires: String,
    /// Where Graph sends notifications to.
    #[serde(rename = "notificationUrl", default)]
    pub url: String,
}

impl Graph {
    /// Asks for notifications.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn subscribe(&self, wanted: &SubscriptionWanted<'_>) -> Result<Subscription, Fault> {
        let mut ids = Vec::with_capacity(wanted.users.len());
        for user in wanted.users.iter().take(MAX_SUBSCRIBED) {
            ids.push(format!("'{}'", segment(user)?));
        }
        let body = json!({
            "changeType": "updated",
            "notificationUrl": wanted.url,
            "lifecycleNotificationUrl": wanted.lifecycle_url,
            "resource": format!("/communications/presences?$filter=id in ({})", ids.join(",")),
            "expirationDateTime": wanted.expires,
            "clientState": wanted.client_state.reveal(),
            "includeResourceData": true,
            "encryptionCertificate": wanted.certificate,
            "encryptionCertificateId": wanted.certificate_id,
            "latestSupportedTlsVersion": "v1_2",
        });
        let answer = self.post(Call::Subscriptions, Permission::Subscribe, "/v1.0/subscriptions", &body).await?;
        serde_json::from_slice(&answer.body).map_err(|error| Fault::Malformed(error.to_string()))
    }

    /// The application's subscriptions in the tenant, from the beginning or from a link of an earlier page on.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn subscriptions(&self, link: Option<&str>) -> Result<Page<Subscription>, Fault> {
        let url = self.list("/v1.0/subscriptions", link)?;
        self.page(Call::Subscriptions, Permission::Subscribe, &url, false).await
    }

    /// Makes a subscription last longer.
    ///
    /// # Errors
    /// [`Fault::NotFound`]: it is gone, ask anew.
    pub async fn renew(&self, subscription: &str, expires: &str) -> Result<(), Fault> {
        let url = format!("{}/v1.0/subscriptions/{}", self.settings.base, segment(subscription)?);
        let body = json!({"expirationDateTime": expires});
        let request = || self.client.request(Method::PATCH, &url).json(&body);
        self.ask(Call::Subscriptions, Permission::Subscribe, request).await.map(drop)
    }

    /// Answers a lifecycle notification `reauthorizationRequired`.
    ///
    /// # Errors
    /// [`Fault::NotFound`]: it is gone, ask anew.
    pub async fn reauthorize(&self, subscription: &str) -> Result<(), Fault> {
        let url = format!("/v1.0/subscriptions/{}/reauthorize", segment(subscription)?);
        self.post(Call::Subscriptions, Permission::Subscribe, &url, &json!({})).await.map(drop)
    }

    /// Gives a subscription up; that it is gone is no fault.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn unsubscribe(&self, subscription: &str) -> Result<(), Fault> {
        let url = format!("{}/v1.0/subscriptions/{}", self.settings.base, segment(subscription)?);
        let request = || self.client.request(Method::DELETE, &url);
        match self.ask(Call::Subscriptions, Permission::Subscribe, request).await {
            Err(Fault::NotFound(_)) => Ok(()),
            answer => answer.map(drop),
        }
    }
}
