//! The resolver: answers from memory at once, asks DNS in the background, one lookup per target at a time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::cache::{Cache, Key, Known};
use super::lookup::Upstream;
use super::order::{self, Answer, NotAllowed, Question, Resolved, Transports};
use crate::sip::Transport;
use crate::trunk::Target;

/// Which kinds of address are looked up, and which are tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Families {
    #[default]
    Ipv4First,
    Ipv4Only,
    Ipv6First,
    Ipv6Only,
}

/// How names are looked up and how long answers are used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Empty: those of the system (`/etc/resolv.conf`). `/etc/hosts` is read in either case.
    pub servers: Vec<SocketAddr>,
    /// For one question, repetitions included.
    pub timeout: Duration,
    /// Kinds of address, in the order in which they are tried.
    pub families: Families,
    /// How long past its time to live an answer stands in while DNS does not answer.
    pub stale: Duration,
    /// How long past its time to live an answer is used while DNS is being asked again.
    pub grace: Duration,
    /// How long a failure is remembered, and the pause between tries while DNS is down.
    pub negative_ttl: Duration,
    /// Least time to live, whatever DNS states.
    pub min_ttl: Duration,
    /// Greatest time to live, whatever DNS states.
    pub max_ttl: Duration,
    /// Targets that are remembered.
    pub max_entries: usize,
    /// Places in one answer, and records of one kind that are followed.
    pub max_addresses: usize,
    /// Targets that are looked up at one time.
    pub max_lookups: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            families: Families::default(),
            stale: Duration::from_secs(24 * 3600),
            grace: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(5),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(3600),
            max_entries: 4096,
            max_addresses: 16,
            max_lookups: 256,
        }
    }
}

/// Why a target could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    #[error("{host}: not a name that can be looked up")]
    BadName { host: Arc<str> },
    #[error("{host}: not looked up, since {limit} lookups are under way")]
    Busy { host: Arc<str>, limit: usize },
    #[error("{host}: DNS has no such name, or no address for it")]
    NotFound { host: Arc<str> },
    #[error("{host}: DNS lists SIP services for it, but none that can be reached")]
    NotOffered { host: Arc<str> },
    #[error("{host}: DNS did not answer ({reason})")]
    NoReply { host: Arc<str>, reason: Arc<str> },
    #[error("{host}: asks for {transport}, but the trunk's listener speaks {allowed}")]
    Transport { host: Arc<str>, transport: Transport, allowed: Transports },
    #[error("{host}: the trunk has no listener that speaks any transport")]
    NoTransport { host: Arc<str> },
}

impl ResolveError {
    /// Whether asking again may help without a change in DNS or configuration.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::NoReply { .. })
    }

    pub(super) fn not_allowed(host: &Arc<str>, NotAllowed(asked): NotAllowed, allowed: Transports) -> Self {
        let host = host.clone();
        match asked {
            Some(transport) => Self::Transport { host, transport, allowed },
            None => Self::NoTransport { host },
        }
    }
}

/// Why a resolver could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    #[error("DNS cannot be set up: {0}")]
    Resolver(String),
    #[error("DNS cannot be set up outside the runtime")]
    NoRuntime,
}

/// What a resolver did since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Targets that are remembered now.
    pub entries: u64,
    /// Targets that were looked up.
    pub lookups: u64,
    /// Lookups that gave no answer.
    pub failures: u64,
    /// Uses of an answer past its time to live.
    pub stale: u64,
    /// Entries that had to go because there were `max_entries`.
    pub evicted: u64,
    /// Lookups that were refused because there were `max_lookups`.
    pub refused: u64,
}

/// An odd number other than the step of the generator, whose sequences would otherwise overlap.
const SEED_STEP: u64 = 0xd1b5_4a32_d192_ed03;

type Outcome = Result<Arc<Answer>, ResolveError>;
type Flight = watch::Receiver<Option<Outcome>>;

/// A caching RFC 3263 resolver; clones share the cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: Upstream,
    cache: Cache,
    /// Lookups under way, at most `max_lookups`; never locked across an await.
    flights: Mutex<HashMap<Key, Flight>>,
    max_lookups: usize,
    runtime: Handle,
    /// Seed of the next draw; starts at random.
    seed: AtomicU64,
    lookups: AtomicU64,
    failures: AtomicU64,
    stale: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
}

impl Resolver {
    /// A resolver whose lookups run on the runtime from which this is called.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let runtime = Handle::try_current().map_err(|_| SetupError::NoRuntime)?;
        Ok(Self {
            inner: Arc::new(Inner {
                upstream: Upstream::new(settings)?,
                cache: Cache::new(settings),
                flights: Mutex::default(),
                max_lookups: settings.max_lookups,
                runtime,
                seed: AtomicU64::new(RandomState::new().hash_one(0_u8)),
                lookups: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                stale: AtomicU64::new(0),
                evicted: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }),
        })
    }

    /// The places of a target from memory, without waiting; `None`: call [`Self::resolve`].
    ///
    /// An answer that is past its time to live is refreshed in the background. Until then it is used for
    /// `grace`, and for `stale` once DNS has failed to answer.
    pub fn cached(&self, target: &Target, allowed: Transports, now: Instant) -> Option<Arc<[Resolved]>> {
        if target.literal.is_some() {
            return literal(target, allowed).ok();
        }
        let key = Key::new(target, allowed);
        match self.inner.cache.look(&key, now) {
            Known::Fresh(answer) => Some(self.draw(&answer)),
            Known::Stale { answer, usable, refresh } => {
                if refresh {
                    // A refusal is counted there; the stale answer serves in the meantime.
                    let _ = Inner::fly(&self.inner, &key);
                }
                usable.then(|| {
                    self.inner.stale.fetch_add(1, Relaxed);
                    self.draw(&answer)
                })
            }
            Known::Missing(_) | Known::Nothing => None,
        }
    }

    /// The places of a target, from DNS unless the answer in memory is within its time to live; a stale
    /// answer only when DNS does not answer.
    pub async fn resolve(&self, target: &Target, allowed: Transports) -> Result<Arc<[Resolved]>, ResolveError> {
        if target.literal.is_some() {
            return literal(target, allowed);
        }
        let key = Key::new(target, allowed);
        let fallback = match self.inner.cache.look(&key, now()) {
            Known::Fresh(answer) => return Ok(self.draw(&answer)),
            Known::Missing(error) => return Err(error),
            Known::Stale { answer, refresh: false, .. } => {
                self.inner.stale.fetch_add(1, Relaxed);
                return Ok(self.draw(&answer));
            }
            Known::Stale { answer, .. } => Some(answer),
            Known::Nothing => None,
        };
        let outcome = match Inner::fly(&self.inner, &key) {
            Ok(flight) => landing(flight, &key.host).await,
            Err(error) => Err(error),
        };
        match (outcome, fallback) {
            (Ok(answer), _) => Ok(self.draw(&answer)),
            (Err(error), Some(answer)) if error.is_temporary() => {
                self.inner.stale.fetch_add(1, Relaxed);
                Ok(self.draw(&answer))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What the resolver did so far.
    pub fn counts(&self) -> Counts {
        let inner = &*self.inner;
        Counts {
            entries: inner.cache.len() as u64,
            lookups: inner.lookups.load(Relaxed),
            failures: inner.failures.load(Relaxed),
            stale: inner.stale.load(Relaxed),
            evicted: inner.evicted.load(Relaxed),
            refused: inner.refused.load(Relaxed),
        }
    }

    fn draw(&self, answer: &Answer) -> Arc<[Resolved]> {
        answer.draw(self.inner.seed.fetch_add(SEED_STEP, Relaxed))
    }
}

impl Inner {
    /// Joins the lookup of this target that is under way, or starts one.
    fn fly(this: &Arc<Self>, key: &Key) -> Result<Flight, ResolveError> {
        // A panic while the lock was held cannot leave the map half changed: it is used by single calls.
        let mut flights = this.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key) {
            return Ok(flight.clone());
        }
        if flights.len() >= this.max_lookups {
            this.refused.fetch_add(1, Relaxed);
            return Err(ResolveError::Busy { host: key.host.clone(), limit: this.max_lookups });
        }
        let (announce, flight) = watch::channel(None);
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        this.lookups.fetch_add(1, Relaxed);
        let ended = Ended { inner: this.clone(), key: key.clone() };
        this.runtime.spawn(async move {
            let outcome = ended.inner.look_up(&ended.key).await;
            // The cache is filled and the flight struck off before anybody hears of it, so that a
            // caller who comes next finds the one or starts another.
            drop(ended);
            let _ = announce.send(Some(outcome));
        });
        Ok(flight)
    }

    async fn look_up(&self, key: &Key) -> Outcome {
        let looked_up = self.upstream.answer(key).await;
        let (outcome, evicted) = match looked_up {
            Ok((answer, ttl)) => {
                let answer = Arc::new(answer);
                let evicted = self.cache.keep(key.clone(), answer.clone(), ttl, now());
                (Ok(answer), evicted)
            }
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                tracing::debug!(host = %key.host, %error, "lookup failed");
                let evicted = self.cache.keep_failure(key.clone(), &error, now());
                (Err(error), evicted)
            }
        };
        self.evicted.fetch_add(u64::from(evicted), Relaxed);
        outcome
    }
}

/// Strikes a lookup off the list when it ends, also when its task is dropped.
struct Ended {
    inner: Arc<Inner>,
    key: Key,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

async fn landing(mut flight: Flight, host: &Arc<str>) -> Outcome {
    match flight.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        _ => Err(ResolveError::NoReply { host: host.clone(), reason: Arc::from("the lookup was broken off") }),
    }
}

fn literal(target: &Target, allowed: Transports) -> Result<Arc<[Resolved]>, ResolveError> {
    match order::question(target, allowed) {
        Ok(Question::Nothing { transport, addr }) => {
            Ok(Arc::new([Resolved { transport, addr, name: target.host.clone() }]))
        }
        // `question` says `Nothing` of every literal that it does not refuse.
        Ok(_) => Err(ResolveError::BadName { host: target.host.clone() }),
        Err(refused) => Err(ResolveError::not_allowed(&target.host, refused, allowed)),
    }
}

/// The clock of this driver.
fn now() -> Instant {
    Instant::now()
}
