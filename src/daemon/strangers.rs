//! Those who are of no trunk: what they may do, and who of them is not listened to any more (`trunk::guard`).
//!
//! A known peer costs one look at a number here, as long as nobody is banned. Strangers share a lock that is held for
//! as long as a table takes to be looked up. Bans are kept in the state directory by a task beside.

mod held;
mod kept;
mod meters;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use self::held::Held;
use self::meters::Meters;
use super::clock::Clock;
use crate::call::Edge;
use crate::config;
use crate::sip::{HeaderName, Message};
use crate::transport::Source;
use crate::trunk::guard::{Ban, BanError, Cause, Guard, Offence, Verdict, source};
use crate::trunk::{ListenerId, Network};

/// Bans a second that are told one by one.
const TOLD: u64 = 10;

/// How often the bans are looked after, and kept when they have changed.
const TURN: Duration = Duration::from_secs(1);

/// How an answer begins. Those that nobody waits for are dropped later anyway, and a peer that is known by name only must
/// be able to answer.
const ANSWER: &[u8] = b"SIP/2.0 ";

/// Why a ban is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBanned {
    #[error("{0} has addresses of trunk peers, which are never banned: name a smaller network, or change the trunk")]
    Peers(Network),
    #[error("{0} overlaps with `guard.never_ban`")]
    Never(Network),
    #[error(transparent)]
    Full(#[from] BanError),
}

/// The guard of a daemon.
pub struct Strangers {
    guard: Mutex<Guard>,
    held: Held,
    never: ArcSwap<Vec<Network>>,
    /// Where bans are kept; `None`: nowhere.
    file: Option<PathBuf>,
    /// The bans have changed since they were last written.
    changed: std::sync::atomic::AtomicBool,
    /// Second (upper 32 bits) and bans told in it (lower 32).
    told: AtomicU64,
    meters: Meters,
    clock: Clock,
}

impl Strangers {
    /// The guard with the bans that the state directory has.
    pub fn new(settings: &config::Guard, state: Option<&std::path::Path>, clock: Clock) -> Arc<Self> {
        let mut guard = Guard::new(settings.strangers.clone());
        let file = state.map(|dir| dir.join(kept::FILE));
        let held = Held::default();
        let now = clock.unix_millis();
        for ban in file.as_deref().map(kept::read).unwrap_or_default() {
            guard.bans.insert(now, ban);
        }
        for ban in guard.bans.iter().filter(|ban| ban.holds(now)) {
            held.insert(ban.network, ban.until);
        }
        Arc::new(Self {
            guard: Mutex::new(guard),
            held,
            never: ArcSwap::from_pointee(settings.never_ban.clone()),
            file,
            changed: false.into(),
            told: AtomicU64::new(0),
            meters: Meters::register(),
            clock,
        })
    }

    /// Takes the settings of another configuration; bans stay.
    pub fn set(&self, settings: &config::Guard) {
        self.never.store(Arc::new(settings.never_ban.clone()));
        self.lock().set(settings.strangers.clone());
    }

    /// Whether a message is not even looked at, since its source is banned and nobody's peer.
    pub fn refuses(&self, edge: &Edge, source: &Source<'_>, bytes: &[u8]) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let remote = source.flow.remote.ip();
        if !self.held.holds(remote, self.clock.unix_millis()) || bytes.starts_with(ANSWER) {
            return false;
        }
        if self.is_peer(edge, source.flow.listener, remote, source.authenticated) {
            if !source.authenticated.is_empty() {
                self.lift(remote);
            }
            return false;
        }
        self.meters.refused.increment(1);
        true
    }

    /// Whether a connection is accepted. Where peers prove who they are by certificate alone, a banned address may try
    /// now and then: it could be a peer's.
    pub fn welcomes(&self, edge: &Edge, listener: ListenerId, remote: IpAddr) -> bool {
        if self.held.is_empty() {
            return true;
        }
        let now = self.clock.unix_millis();
        let welcome = !self.held.holds(remote, now)
            || self.is_peer(edge, listener, remote, &[])
            || edge.identify.has_peers_anywhere(listener) && self.held.may_try(remote, now);
        if !welcome {
            self.meters.refused_connections.increment(1);
        }
        welcome
    }

    /// Whether one more message of a stranger may be looked at closer; notes an offence when not.
    pub fn take(&self, edge: &Edge, listener: ListenerId, remote: IpAddr) -> bool {
        if self.is_peer(edge, listener, remote, &[]) {
            return true;
        }
        let within = self.lock().take(self.clock.unix_millis(), remote);
        if !within {
            self.offend(remote, Offence::Flood);
        }
        within
    }

    /// A request has come that belongs to no trunk; false: it was the one too many, and gets no answer.
    pub fn handle_stranger(&self, edge: &Edge, source: &Source<'_>, request: &Message) -> bool {
        let remote = source.flow.remote.ip();
        if self.is_peer(edge, source.flow.listener, remote, source.authenticated) {
            return true;
        }
        let said = [request.other(b"User-Agent"), request.value(HeaderName::From)];
        let scanner = {
            let guard = self.lock();
            said.into_iter().flatten().any(|value| guard.is_scanner(value))
        };
        !self.offend(remote, if scanner { Offence::Scanner } else { Offence::Stranger })
    }

    /// Something has come that is no SIP message.
    pub fn handle_malformed(&self, edge: &Edge, source: &Source<'_>) {
        let remote = source.flow.remote.ip();
        if !self.is_peer(edge, source.flow.listener, remote, source.authenticated) {
            self.offend(remote, Offence::Malformed);
        }
    }

    /// A TLS handshake of a peer has failed.
    pub fn handle_handshake_failed(&self, edge: &Edge, listener: ListenerId, remote: IpAddr) {
        if !self.is_peer(edge, listener, remote, &[]) {
            self.offend(remote, Offence::Handshake);
        }
    }

    /// Bans a network for as long as somebody wants; `None`: until it is taken out.
    ///
    /// # Errors
    /// [`NotBanned`].
    pub fn ban(&self, edge: &Edge, network: Network, length: Option<Duration>, reason: &str) -> Result<Ban, NotBanned> {
        if edge.identify.knows_any_of(network) {
            return Err(NotBanned::Peers(network));
        }
        if self.never.load().iter().any(|never| overlap(*never, network)) {
            return Err(NotBanned::Never(network));
        }
        let now = self.clock.unix_millis();
        let until = length.map(|length| now.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)));
        let ban = Ban { network, since: now, until, times: 1, cause: Cause::Operator(reason.into()) };
        let mut guard = self.lock();
        let gone = guard.bans.order(now, ban.clone())?;
        let ban = guard.bans.get(network).cloned().unwrap_or(ban);
        self.exchange(gone, &ban);
        Ok(ban)
    }

    /// Takes the ban of exactly this network out; `None`: there is none.
    pub fn unban(&self, network: Network) -> Option<Ban> {
        let mut guard = self.lock();
        let ban = guard.bans.remove(network)?;
        self.held.remove(ban.network);
        self.note_changed();
        Some(ban)
    }

    /// All bans that hold, in the order of their networks.
    pub fn bans(&self) -> Vec<Ban> {
        let now = self.clock.unix_millis();
        let mut bans: Vec<Ban> = self.lock().bans.iter().filter(|ban| ban.holds(now)).cloned().collect();
        bans.sort_by_key(|ban| ban.network.prefix());
        bans
    }

    fn is_peer(
        &self,
        edge: &Edge,
        listener: ListenerId,
        remote: IpAddr,
        authenticated: &[crate::trunk::TrunkId],
    ) -> bool {
        edge.identify.trunk(listener, remote, authenticated).is_some()
            || edge.identify.knows(remote)
            || self.never.load().iter().any(|network| network.contains(remote))
    }

    /// Notes an offence; true: its source is banned from now on.
    fn offend(&self, remote: IpAddr, offence: Offence) -> bool {
        self.meters.offence(offence);
        let mut guard = self.lock();
        let Verdict::Banned(ban) = guard.note(self.clock.unix_millis(), remote, offence) else { return false };
        self.exchange(None, &ban);
        drop(guard);
        self.meters.banned.increment(1);
        self.tell(&ban, offence);
        true
    }

    /// A peer that was taken for a stranger has proved who it is.
    fn lift(&self, remote: IpAddr) {
        let mut guard = self.lock();
        let network = source(remote);
        if guard.bans.get(network).is_some_and(|ban| matches!(ban.cause, Cause::Offence(_))) {
            guard.bans.remove(network);
            self.held.remove(network);
            self.note_changed();
        }
    }

    /// Puts a ban in force; the lock of the guard is held, so that nobody overtakes.
    fn exchange(&self, gone: Option<Ban>, ban: &Ban) {
        if let Some(gone) = gone {
            self.held.remove(gone.network);
        }
        self.held.insert(ban.network, ban.until);
        self.note_changed();
    }

    fn note_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    fn tell(&self, ban: &Ban, offence: Offence) {
        let second = (ban.since / 1_000) << 32;
        let next = |told: u64| {
            let told = if told >> 32 == second >> 32 { told } else { second };
            ((told & u64::from(u32::MAX)) < TOLD).then_some(told + 1)
        };
        if self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            let seconds = ban.until.map(|until| (until - ban.since) / 1_000);
            tracing::warn!(network = %ban.network, seconds, times = ban.times, "banned for {}", offence.words());
        }
    }

    /// Forgets what is over, keeps what has changed. Blocks on the disk.
    fn tidy(&self) {
        let now = self.clock.unix_millis();
        let (bans, sources) = {
            let mut guard = self.lock();
            let forgive = guard.settings().forgive;
            if guard.bans.forgive(now, forgive) > 0 {
                self.note_changed();
            }
            self.held.forget_ended(now);
            let changed = self.changed.swap(false, Ordering::Relaxed);
            let bans = (changed && self.file.is_some()).then(|| guard.bans.iter().cloned().collect::<Vec<_>>());
            (bans, guard.sources())
        };
        self.meters.set(self.held.len(), sources);
        let (Some(bans), Some(file)) = (bans, &self.file) else { return };
        if let Err(error) = kept::write(file, &bans) {
            // Tried again at the next turn.
            self.note_changed();
            self.meters.not_written.increment(1);
            tracing::debug!(%error, file = %file.display(), "the bans cannot be kept");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two networks have an address in common.
fn overlap(one: Network, other: Network) -> bool {
    one.contains(other.addr) || other.contains(one.addr)
}

/// Looks after the bans until it is aborted.
pub async fn tend(strangers: Arc<Strangers>) {
    loop {
        tokio::time::sleep(TURN).await;
        let strangers = Arc::clone(&strangers);
        // A disk may be slow.
        if tokio::task::spawn_blocking(move || strangers.tidy()).await.is_err() {
            tracing::error!("the bans could not be looked after");
        }
    }
}

/// Keeps the bans before the process ends. Blocks on the disk.
pub fn keep(strangers: &Strangers) {
    strangers.tidy();
}

#[cfg(test)]
mod tests;
