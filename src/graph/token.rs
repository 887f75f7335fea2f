//! Tokens of OAuth 2.0 client credentials (RFC 6749 section 4.4, B6): fetched once for all who wait, renewed early and
//! beside the requests, with a back-off that leaves Entra alone when a person is needed.

mod grant;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use self::state::Bearer;
use self::state::{State, Step};
use super::client::Client;
use super::fault::{Permission, TokenFault};
use super::health::TokenHealth;
use super::settings::{Proof, ProofFault, Prove, Settings};

/// How often files are looked at, whether they have changed, while a token is refused.
const LOOK: Duration = Duration::from_secs(1);

/// The token of a tenant.
pub struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<Settings>,
    client: Arc<Client>,
    prove: Arc<dyn Prove>,
    state: Mutex<State>,
    looked: Mutex<Option<Instant>>,
    /// What was last used to prove the application: when it ends, and whether it is a certificate.
    shown: Mutex<Option<(Option<i64>, bool)>>,
    /// Changes when what was begun has ended.
    landed: watch::Sender<u64>,
}

impl Tokens {
    /// None yet.
    pub fn new(settings: Arc<Settings>, client: Arc<Client>, prove: Arc<dyn Prove>) -> Self {
        let shared = Shared {
            settings,
            client,
            prove,
            state: Mutex::default(),
            looked: Mutex::default(),
            shown: Mutex::default(),
            landed: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A token that is good now. It must be called within a runtime.
    ///
    /// # Errors
    /// [`TokenFault`], at once where it is known.
    pub async fn bearer(&self) -> Result<Arc<Bearer>, TokenFault> {
        loop {
            // Subscribed before the look: what lands in between is not missed.
            let mut landed = self.shared.landed.subscribe();
            self.shared.see_repairs();
            let step = lock(&self.shared.state).step(Instant::now());
            match step {
                Step::Use(bearer) => return Ok(bearer),
                Step::Renew(bearer) => {
                    self.begin();
                    return Ok(bearer);
                }
                Step::Refuse(fault) => return Err(fault),
                Step::Fetch => self.begin(),
                Step::Wait => {}
            }
            // The sender lives as long as `self`.
            let _ = landed.changed().await;
        }
    }

    /// Fetches in a task of its own, so that a request that is given up does not end it.
    fn begin(&self) {
        let flight = Flight(Arc::clone(&self.shared));
        tokio::spawn(async move { flight.fetch().await });
    }

    /// Whether what needs a permission may be asked now.
    ///
    /// # Errors
    /// [`TokenFault::MissingPermission`] while it was found missing of late.
    pub fn may(&self, permission: Permission) -> Result<(), TokenFault> {
        let denied = lock(&self.shared.state).is_denied(Instant::now(), permission);
        if denied { Err(TokenFault::MissingPermission(permission)) } else { Ok(()) }
    }

    /// Graph has taken what needs a permission.
    pub fn allow(&self, permission: Permission) {
        lock(&self.shared.state).allow(permission);
    }

    /// Graph misses a permission in a token.
    pub fn deny(&self, permission: Permission, bearer: &Bearer) -> TokenFault {
        lock(&self.shared.state).deny(Instant::now(), permission, bearer.number);
        TokenFault::MissingPermission(permission)
    }

    /// Graph does not take a token any more: the next request fetches another one.
    pub fn discard(&self, bearer: &Bearer) {
        lock(&self.shared.state).discard(bearer.number);
    }

    /// Graph does not take a token that was just issued.
    pub fn reject(&self, bearer: &Bearer, fault: TokenFault) -> TokenFault {
        let stamp = self.shared.prove.stamp();
        lock(&self.shared.state).rejected(Instant::now(), bearer.number, fault.clone(), stamp);
        fault
    }

    /// Forgets what failed.
    pub fn try_again(&self) {
        lock(&self.shared.state).try_again();
    }

    /// How it stands.
    pub fn health(&self) -> TokenHealth {
        let now = Instant::now();
        let shown = *lock(&self.shared.shown);
        let (proof_ends, by_certificate) = shown.unwrap_or((self.shared.settings.secret_ends, false));
        let state = lock(&self.shared.state);
        let failing = state.failing(now);
        let age = state.age(now);
        TokenHealth {
            fault: failing.map(|(fault, _, _)| fault.clone()),
            failing_for: failing.map(|(_, since, _)| since),
            next_try: failing.map(|(_, _, left)| left),
            age: age.map(|(age, _)| age),
            left: age.map(|(_, left)| left),
            lacking: state.lacking(),
            proof_ends,
            by_certificate,
        }
    }
}

impl Shared {
    /// Tries again at once when files have changed since they were refused.
    fn see_repairs(&self) {
        let Some(stamp) = lock(&self.state).refused_stamp() else { return };
        let now = Instant::now();
        let mut looked = lock(&self.looked);
        if looked.is_some_and(|last| now.saturating_duration_since(last) < LOOK) {
            return;
        }
        *looked = Some(now);
        drop(looked);
        if self.prove.stamp() != stamp {
            lock(&self.state).try_again();
        }
    }
}

/// A token that is being fetched. However that ends, those who wait hear of it.
struct Flight(Arc<Shared>);

impl Flight {
    async fn fetch(self) {
        let shared = Arc::clone(&self.0);
        let proving = Arc::clone(&shared.prove);
        // Before the files are read: a change in between is seen as one.
        let read = move || (proving.stamp(), proving.proof().and_then(|proof| Ok((proof, proving.refresh_token()?))));
        let (stamp, proof) = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
            (shared.prove.stamp(), Err(ProofFault(format!("the files of the application could not be read: {error}"))))
        });
        let granted = match proof.map_err(TokenFault::from) {
            Ok((proof, account)) => {
                *lock(&shared.shown) = Some(match &proof {
                    Proof::Secret(_) => (shared.settings.secret_ends, false),
                    Proof::Certificate(certificate) => (Some(certificate.ends), true),
                });
                grant::ask(&shared.settings, &shared.client, &proof, account.as_ref()).await
            }
            Err(fault) => Err(fault),
        };
        if let Ok(Some(refresh)) = granted.as_ref().map(|granted| granted.refresh.clone()) {
            let keeping = Arc::clone(&shared.prove);
            let _ = tokio::task::spawn_blocking(move || keeping.keep_refresh_token(&refresh)).await;
        }
        let now = Instant::now();
        let mut state = lock(&shared.state);
        match granted {
            Ok(granted) => state.granted(now, granted.token, granted.roles, granted.good),
            Err(fault) => {
                let known = state.failing(now).is_some_and(|(known, _, _)| *known == fault);
                if !known {
                    tracing::warn!(tenant = %shared.settings.tenant, advice = fault.advice(), "no token for Microsoft Graph: {fault}");
                }
                state.refused(now, fault, stamp);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.0.state).abandoned();
        self.0.landed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
