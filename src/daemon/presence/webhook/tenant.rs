//! One tenant's notifications: subscriptions in the name of its service account, and what comes of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::counts::{Became, Counts};
use super::groups::{Groups, Todo};
use crate::config::GraphNotifications;
use crate::daemon::presence::inbox::Inbox;
use crate::graph::notifications::{Decryptor, Lifecycle, News, SigningKeys, inside, parse};
use crate::graph::{
    Fault, Graph, MAX_SUBSCRIBED, Next, ProofFault, Secret, SubscriptionWanted, UserPresence, random_id,
};
use crate::presence::UserKey;
use crate::transport::tls::{TlsError, certificate, pem};

/// How long a subscription is asked for; an hour is the most.
const LASTS: Duration = Duration::from_secs(59 * 60);

/// How often the users are looked at again.
const ROLL_CALL: Duration = Duration::from_secs(60);

/// The same while there is nobody.
const FIRST_ROLL_CALL: Duration = Duration::from_secs(1);

/// News of subscriptions that wait.
const NEWS: usize = 1_000;

/// A tenant whose users' changes Graph tells.
pub struct Tenant {
    name: Arc<str>,
    account: Arc<Graph>,
    /// Where Graph sends notifications to.
    url: String,
    /// Comes back with each notification.
    client_state: Secret,
    decryptor: Arc<Decryptor>,
    /// Base64 of its DER form.
    certificate: String,
    keys: SigningKeys,
    inbox: Arc<Inbox>,
    counts: Arc<Counts>,
    known: Mutex<Known>,
    news: (mpsc::Sender<Lived>, Mutex<Option<mpsc::Receiver<Lived>>>),
}

/// What has happened to a subscription.
type Lived = (String, Lifecycle);

#[derive(Default)]
struct Known {
    subscriptions: HashSet<String>,
    users: BTreeMap<Arc<str>, UserKey>,
}

impl Tenant {
    /// With the certificate and key of its table.
    ///
    /// # Errors
    /// [`ProofFault`] when they cannot be read or used.
    pub fn new(
        name: &Arc<str>,
        account: Arc<Graph>,
        notifications: GraphNotifications,
        inbox: Arc<Inbox>,
        counts: Arc<Counts>,
    ) -> Result<Self, ProofFault> {
        let fault = |error: TlsError| ProofFault(error.to_string());
        let GraphNotifications { url, certificate, key, .. } = notifications;
        pem::identity(&certificate, &key).map_err(fault)?;
        let chain = pem::certificates(&certificate).map_err(fault)?;
        let read = certificate::read(&certificate).map_err(fault)?;
        let (Some(der), Some(read)) = (chain.first(), read.first()) else {
            return Err(ProofFault(format!("{}: no certificate in it", certificate.display())));
        };
        let decryptor = Decryptor::new(&read.sha1, pem::private_key(&key).map_err(fault)?.secret_der())?;
        let (news, heard) = mpsc::channel(NEWS);
        Ok(Self {
            url: format!("{url}/{name}"),
            name: Arc::clone(name),
            keys: SigningKeys::of(&account),
            account,
            client_state: Secret::new(&format!("{}{}", random_id(), random_id())),
            decryptor: Arc::new(decryptor),
            certificate: STANDARD.encode(der),
            inbox,
            counts,
            known: Mutex::default(),
            news: (news, Mutex::new(Some(heard))),
        })
    }

    /// Reads what comes until it is dropped.
    pub async fn read(self: Arc<Self>, mut waiting: mpsc::Receiver<Bytes>) {
        while let Some(body) = waiting.recv().await {
            self.take(&body).await;
        }
    }

    async fn take(&self, body: &[u8]) {
        let Ok(notices) = parse(body) else { return self.counts.add(Became::NotRead, 1) };
        let all = notices.list.len();
        // First what costs nothing: whoever does not know the secret makes the edge ask nobody.
        let ours: Vec<News> = {
            let known = self.lock();
            let ours = notices.list.into_iter().filter(|notice| notice.bears(&self.client_state));
            let ours = ours.filter(|notice| known.subscriptions.contains(&notice.subscription));
            ours.map(|notice| self.heed(notice.subscription, notice.news)).collect()
        };
        self.counts.add(Became::NotOurs, all - ours.len());
        let news: Vec<News> = ours.into_iter().filter(|news| !matches!(news, News::Lifecycle(_))).collect();
        if news.is_empty() {
            return;
        }
        if let Err(fault) = self.keys.verify(&notices.tokens).await {
            tracing::debug!(tenant = %self.name, %fault, "notifications that nobody has signed");
            return self.counts.add(Became::NotSigned, news.len());
        }
        let decryptor = Arc::clone(&self.decryptor);
        let count = news.len();
        // RSA takes a millisecond each time.
        let opened = tokio::task::spawn_blocking(move || news.iter().map(|news| open(&decryptor, news)).collect());
        let opened: Vec<Result<Option<UserPresence>, ()>> = opened.await.unwrap_or_default();
        let read: Vec<UserPresence> = opened.iter().flatten().flatten().cloned().collect();
        self.counts.add(Became::NotRead, count - opened.iter().flatten().count());
        self.tell(read).await;
    }

    /// Hands news of a subscription on to the task that cares for it.
    fn heed(&self, subscription: String, news: News) -> News {
        if let News::Lifecycle(lived) = news {
            // Without room: it is renewed at half of its life anyway.
            let _ = self.news.0.try_send((subscription, lived));
        }
        news
    }

    async fn tell(&self, read: Vec<UserPresence>) {
        let told: Vec<_> = {
            let known = self.lock();
            read.iter().filter_map(|it| Some((*known.users.get(&it.id)?, it.presence.clone()))).collect()
        };
        self.counts.add(Became::Nothing, read.len() - told.len());
        self.counts.add(Became::Told, told.len());
        if !told.is_empty() {
            self.inbox.order_in_turn(move |side| side.handle_notified(told)).await;
        }
    }

    /// Cares for subscriptions until it is dropped.
    pub async fn subscribe(self: Arc<Self>) {
        let heard = self.news.1.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut heard) = heard else { return };
        let mut groups = Groups::new(MAX_SUBSCRIBED);
        let mut roll_call = Instant::now();
        let mut tidied = false;
        loop {
            if !tidied {
                tidied = self.tidy().await.is_ok();
            }
            if roll_call <= Instant::now() {
                self.follow(&mut groups).await;
                // At the start the directory has still to say who is who.
                let nobody = groups.next_wake().is_none();
                roll_call = Instant::now() + if nobody { FIRST_ROLL_CALL } else { ROLL_CALL };
            }
            while let Some(todo) = groups.next(Instant::now()) {
                self.work(&mut groups, &todo).await;
                self.note(&groups);
            }
            let wake = groups.next_wake().map_or(roll_call, |wake| wake.min(roll_call));
            let lived = tokio::time::timeout_at(wake.into(), heard.recv()).await;
            match lived {
                Ok(Some((subscription, Lifecycle::ReauthorizationRequired))) => {
                    if let Err(Fault::NotFound(_)) = self.account.reauthorize(&subscription).await {
                        groups.lost(&subscription);
                    }
                }
                Ok(Some((subscription, Lifecycle::Removed))) => groups.lost(&subscription),
                // What was missed is polled.
                Ok(Some((_, Lifecycle::Missed)) | None) | Err(_) => {}
            }
        }
    }

    /// Gives up what an earlier life of the edge has left: its notifications would bear another secret, and Graph allows
    /// one subscription a user only.
    async fn tidy(&self) -> Result<(), Fault> {
        let mut link = None;
        loop {
            let page = self.account.subscriptions(link.as_deref()).await?;
            for old in page.items.iter().filter(|old| old.url == self.url) {
                self.account.unsubscribe(&old.id).await?;
            }
            match page.next {
                Next::Page(next) => link = Some(next),
                Next::Delta(_) | Next::End => return Ok(()),
            }
        }
    }

    /// Asks the bridge who there is.
    async fn follow(&self, groups: &mut Groups) {
        let (answer, answered) = oneshot::channel();
        let name = Arc::clone(&self.name);
        let ask = move |side: &mut crate::daemon::presence::side::Side| {
            let _ = answer.send(side.matched(&name));
        };
        self.inbox.order_in_turn(ask).await;
        let Ok(users) = answered.await else { return };
        let ids: BTreeSet<Arc<str>> = users.iter().map(|(id, _)| Arc::clone(id)).collect();
        groups.follow(Instant::now(), &ids);
        self.lock().users = users.into_iter().collect();
    }

    async fn work(&self, groups: &mut Groups, todo: &Todo) {
        let ends = Timestamp::now().saturating_add(SignedDuration::try_from(LASTS).unwrap_or_default());
        let expires = ends.map(|ends| format!("{ends:.0}")).unwrap_or_default();
        let done = match todo {
            Todo::Drop { subscription, .. } => self.account.unsubscribe(subscription).await.map(|()| None),
            Todo::Renew { subscription, .. } => {
                self.account.renew(subscription, &expires).await.map(|()| Some((subscription.clone(), LASTS)))
            }
            Todo::Make { users, .. } => {
                let users: Vec<&str> = users.iter().map(|user| &**user).collect();
                let wanted = SubscriptionWanted {
                    users: &users,
                    url: &self.url,
                    lifecycle_url: &self.url,
                    client_state: &self.client_state,
                    certificate: &self.certificate,
                    certificate_id: self.decryptor.id(),
                    expires: &expires,
                };
                self.account.subscribe(&wanted).await.map(|made| Some((made.id.clone(), left(&made.expires))))
            }
        };
        let now = Instant::now();
        match done {
            Ok(made) => groups.done(now, todo, made),
            Err(fault) => {
                tracing::debug!(tenant = %self.name, %fault, "a subscription of notifications");
                groups.failed(now, todo, matches!(fault, Fault::NotFound(_)) && !matches!(todo, Todo::Make { .. }));
            }
        }
    }

    fn note(&self, groups: &Groups) {
        let subscriptions: HashSet<String> = groups.subscriptions().map(str::to_owned).collect();
        self.counts.set_subscriptions(subscriptions.len());
        self.lock().subscriptions = subscriptions;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a notification tells; `None`: nothing of a user.
fn open(decryptor: &Decryptor, news: &News) -> Result<Option<UserPresence>, ()> {
    match news {
        News::Plain(user) => Ok(Some(user.clone())),
        News::Encrypted(encrypted) => decryptor.open(encrypted).map(|text| inside(&text)).map_err(|_| ()),
        News::Lifecycle(_) | News::Nothing => Ok(None),
    }
}

/// How long a subscription lasts that ends at a moment as RFC 3339 writes it; Graph may give less than was asked for.
fn left(expires: &str) -> Duration {
    let ends = expires.parse::<Timestamp>().ok();
    let left = ends.and_then(|ends| Duration::try_from(ends.duration_since(Timestamp::now())).ok());
    left.unwrap_or(LASTS).clamp(Duration::from_secs(60), LASTS)
}
