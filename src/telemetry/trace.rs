//! The ring: the last messages that came and left, and what became of their calls, in so many bytes and no more.
//!
//! A message costs one atomic load while nobody looks. Otherwise its Call-ID is opened, so that all legs of a call are
//! one, and its bytes are copied into the ring's own memory: nothing of the transports' buffers is held. What is kept of
//! many calls is whole calls, chosen by their ids, so that all legs, and all nodes, choose alike.
//!
//! The ring is cut into stripes behind a lock each; a call is in one of them. Whoever reads copies a few entries at a
//! time, so that a worker waits for no more than that. OPTIONS and messages of strangers have a small stripe of their
//! own: neither pushes calls out.

mod ended;
mod follow;
mod lane;
pub mod peek;
pub mod redact;
mod sample;
mod stripe;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant, SystemTime};

pub use ended::Ended;
pub use follow::{Followed, TooManyFollowers, Whom};
pub use peek::Peek;

use self::follow::Followers;
use self::sample::Sampler;
use self::stripe::Stripe;
use super::hep::Exporter;
use crate::call::{CallId, CallRecord, Secrets};
use crate::sip::Transport;
use crate::trunk::{ConnectionId, ListenerId, TrunkId};

/// Stripes of the ring: a power of two.
const STRIPES: usize = 16;

/// The part of the ring's bytes that OPTIONS and strangers have.
const SIDE_PART: usize = 16;

/// Bytes of a call's first message that a list looks at.
const LISTED_BYTES: usize = 4_096;

/// How much is kept, and of what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of all that is kept; zero: there is no ring.
    pub ring_bytes: usize,
    /// Bytes of one message that are kept.
    pub max_message_bytes: usize,
    /// Calls of a hundred that are kept at most.
    pub sample_percent: u32,
    /// How much traffic the ring shall hold.
    pub hold: Duration,
    /// OPTIONS are kept as well.
    pub options: bool,
    pub max_followers: usize,
    /// Messages that wait for a follower.
    pub follower_queue: usize,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It came to the edge.
    #[default]
    In,
    /// The edge sent it.
    Out,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    #[default]
    Message,
    /// How the call ended: an [`Ended`].
    Ended,
}

/// All about an entry but its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub call: CallId,
    pub what: What,
    /// When it was noted, in microseconds since the ring was made; never runs backwards.
    pub at_us: u64,
    /// The same in microseconds since 1970 UTC, as the machine's calendar had it.
    pub unix_us: u64,
    pub direction: Direction,
    pub transport: Transport,
    pub listener: ListenerId,
    pub connection: ConnectionId,
    /// The trunk, where it is known without asking.
    pub trunk: Option<TrunkId>,
    /// The edge's own address.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Bytes that the message had; there may be fewer here.
    pub full_len: u32,
    /// Bytes that are kept.
    pub(in crate::telemetry) len: u32,
    /// Where they begin in their lane.
    pub(in crate::telemetry) start: u64,
    /// Its number in its stripe.
    pub(in crate::telemetry) order: u64,
}

impl Default for Entry {
    fn default() -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            call: CallId::default(),
            what: What::Message,
            at_us: 0,
            unix_us: 0,
            direction: Direction::In,
            transport: Transport::Udp,
            listener: ListenerId(0),
            connection: ConnectionId::DATAGRAM,
            trunk: None,
            local: nowhere,
            remote: nowhere,
            full_len: 0,
            len: 0,
            start: 0,
            order: 0,
        }
    }
}

/// An entry that was copied out of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub entry: Entry,
    pub bytes: Box<[u8]>,
}

/// A message as it passes.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub direction: Direction,
    pub transport: Transport,
    pub listener: ListenerId,
    pub connection: ConnectionId,
    pub trunk: Option<TrunkId>,
    /// It came from nobody who is known.
    pub stranger: bool,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: &'a [u8],
}

/// A call of which something is kept.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    pub call: CallId,
    /// When its first message came, in microseconds since 1970.
    pub began_unix_us: u64,
    /// When its last entry was made, in microseconds of the ring.
    pub last_us: u64,
    pub messages: usize,
    pub bytes: u64,
    /// The message that began it, or the first that is there.
    pub first: Option<Kept>,
    /// Whether that began it: nothing of the call has gone.
    pub whole: bool,
    pub ended: Option<Ended>,
}

/// What the ring has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages that were kept.
    pub kept: AtomicU64,
    /// Messages of calls that were not chosen.
    pub skipped: AtomicU64,
    /// Messages without a Call-ID, or that are none.
    pub unreadable: AtomicU64,
    /// Messages of strangers and OPTIONS that were not kept since the stripe was in use.
    pub busy: AtomicU64,
    /// Messages that a follower was too slow for.
    pub not_followed: AtomicU64,
    /// Bytes of messages that passed, kept or not.
    offered_bytes: AtomicU64,
}

/// How full the ring is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fill {
    pub entries: usize,
    pub bytes: usize,
    /// The least time back to which all stripes reach; `None`: nothing had to go so far.
    pub holds: Option<Duration>,
    /// The part of calls that is kept.
    pub sample: f64,
    pub followers: usize,
}

/// The ring, those who follow what passes, and the exporter.
#[derive(Debug)]
pub struct Trace {
    /// Somebody wants messages.
    on: AtomicBool,
    settings: Settings,
    stripes: Vec<Mutex<Stripe>>,
    /// OPTIONS and strangers.
    side: Mutex<Stripe>,
    /// Calls whose ids' upper halves are no larger are kept.
    threshold: AtomicU32,
    sampler: Mutex<Sampler>,
    followers: Followers,
    exporter: Option<Exporter>,
    start: Instant,
    /// What it has done so far.
    pub counts: Counts,
}

impl Trace {
    /// A ring, and an exporter beside it.
    pub fn new(settings: Settings, exporter: Option<Exporter>) -> Self {
        let side = settings.ring_bytes / SIDE_PART;
        let each = (settings.ring_bytes - side) / STRIPES;
        let stripes: Vec<Mutex<Stripe>> = if settings.ring_bytes == 0 {
            Vec::new()
        } else {
            (0..STRIPES).map(|_| Mutex::new(Stripe::new(each))).collect()
        };
        let room = stripes.iter().map(|stripe| lock(stripe).room() as u64).sum();
        let sampler = Sampler::new(settings.sample_percent, room, settings.hold);
        Self {
            on: AtomicBool::new(settings.ring_bytes > 0 || exporter.is_some()),
            side: Mutex::new(Stripe::new(if settings.ring_bytes == 0 { 0 } else { side })),
            threshold: AtomicU32::new(sampler.threshold()),
            followers: Followers::new(settings.max_followers, settings.follower_queue),
            sampler: Mutex::new(sampler),
            start: Instant::now(),
            counts: Counts::default(),
            stripes,
            exporter,
            settings,
        }
    }

    /// Whether messages are wanted at all.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Whether there is a ring to be read.
    pub const fn has_ring(&self) -> bool {
        !self.stripes.is_empty()
    }

    /// The exporter, where there is one.
    pub const fn exporter(&self) -> Option<&Exporter> {
        self.exporter.as_ref()
    }

    /// A message has come or is about to leave. Call it when the trace [is on](Self::is_on).
    pub fn note(&self, secrets: &Secrets, seen: &Seen<'_>) {
        let Some(peek) = Peek::at(seen.bytes) else {
            self.counts.unreadable.fetch_add(1, Relaxed);
            return;
        };
        let side = seen.stranger || peek.method == b"OPTIONS";
        if peek.method == b"OPTIONS" && !self.settings.options {
            return;
        }
        let entry = Entry {
            call: CallId::of(secrets, peek.call_id),
            full_len: u32::try_from(seen.bytes.len()).unwrap_or(u32::MAX),
            direction: seen.direction,
            transport: seen.transport,
            listener: seen.listener,
            connection: seen.connection,
            trunk: seen.trunk,
            local: seen.local,
            remote: seen.remote,
            ..self.entry_now()
        };
        let bytes = seen.bytes.get(..self.settings.max_message_bytes).unwrap_or(seen.bytes);
        if side {
            return self.keep_aside(&entry, bytes);
        }
        self.counts.offered_bytes.fetch_add(bytes.len() as u64, Relaxed);
        let followed = self.followers.any() && self.followers.want(entry.call, || peek.begins_call(bytes), bytes);
        let chosen = self.chooses(entry.call);
        if let Some(exporter) = self.exporter.as_ref().filter(|exporter| chosen || exporter.takes_all()) {
            exporter.offer(&entry, seen.bytes);
        }
        if self.stripes.is_empty() {
            return;
        }
        if chosen || followed {
            self.keep(&entry, bytes, followed);
        } else {
            self.counts.skipped.fetch_add(1, Relaxed);
        }
        if followed {
            self.tell_followers(&entry, bytes);
        }
    }

    /// A call is over.
    pub fn note_ended(&self, record: &CallRecord) {
        if self.stripes.is_empty() {
            return;
        }
        let ended = Ended::of(record);
        let followed = self.followers.any() && self.followers.know(record.id);
        if !self.chooses(record.id) && !followed && !ended.failed {
            return;
        }
        let Ok(bytes) = serde_json::to_vec(&ended) else { return };
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = Entry { call: record.id, what: What::Ended, full_len: len, ..self.entry_now() };
        self.keep(&entry, &bytes, followed || ended.failed);
        if followed {
            self.tell_followers(&entry, &bytes);
        }
    }

    fn entry_now(&self) -> Entry {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Entry { at_us: micros(self.start.elapsed()), unix_us: micros(unix), ..Entry::default() }
    }

    fn chooses(&self, call: CallId) -> bool {
        (call.0 >> 32) as u32 <= self.threshold.load(Relaxed)
    }

    fn stripe(&self, call: CallId) -> Option<&Mutex<Stripe>> {
        self.stripes.get(call.0 as usize & (STRIPES - 1))
    }

    fn keep(&self, entry: &Entry, bytes: &[u8], spare: bool) {
        let Some(stripe) = self.stripe(entry.call) else { return };
        let mut stripe = lock(stripe);
        if spare {
            stripe.spare(entry.call);
        }
        if stripe.push(entry, bytes) && entry.what == What::Message {
            drop(stripe);
            self.counts.kept.fetch_add(1, Relaxed);
        }
    }

    /// Keeps what must not be in the way of calls; a flood of it waits for no lock.
    fn keep_aside(&self, entry: &Entry, bytes: &[u8]) {
        if self.stripes.is_empty() {
            return;
        }
        let kept = match self.side.try_lock() {
            Ok(mut side) => side.push(entry, bytes),
            Err(TryLockError::Poisoned(side)) => side.into_inner().push(entry, bytes),
            Err(TryLockError::WouldBlock) => false,
        };
        let count = if kept { &self.counts.kept } else { &self.counts.busy };
        count.fetch_add(1, Relaxed);
    }

    fn tell_followers(&self, entry: &Entry, bytes: &[u8]) {
        let dropped = self.followers.tell(&Arc::new(Kept { entry: *entry, bytes: bytes.into() }));
        self.counts.not_followed.fetch_add(dropped, Relaxed);
    }

    /// Follows calls that begin from now on.
    ///
    /// # Errors
    /// [`TooManyFollowers`].
    pub fn follow(&self, whom: Whom) -> Result<Followed, TooManyFollowers> {
        self.followers.add(whom)
    }

    /// All that is kept of a call, in the order in which it passed.
    pub fn call(&self, call: CallId) -> Vec<Kept> {
        let mut out = Vec::new();
        let stripes = self.stripe(call).into_iter().chain(self.has_ring().then_some(&self.side));
        for stripe in stripes {
            let mut from = Some(0);
            while let Some(at) = from {
                from = lock(stripe).read(at, |entry| (entry.call == call).then_some(usize::MAX), &mut out);
            }
        }
        out.sort_by_key(|kept: &Kept| kept.entry.at_us);
        out
    }

    /// The calls of which something is kept, the one that was heard of last first. OPTIONS and strangers are not calls.
    pub fn headings(&self) -> Vec<Heading> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            let mut calls: HashMap<CallId, Heading> = HashMap::new();
            let (mut out, mut from) = (Vec::new(), Some(0));
            while let Some(at) = from {
                from = lock(stripe).read(at, |entry| note_heading(&mut calls, entry), &mut out);
                out.drain(..).for_each(|kept| add_to_heading(&mut calls, kept));
            }
            all.extend(calls.into_values().filter(|heading| heading.messages > 0 || heading.ended.is_some()));
        }
        all.sort_by_key(|heading| std::cmp::Reverse(heading.last_us));
        all
    }

    /// How full the ring is.
    pub fn fill(&self) -> Fill {
        let now = micros(self.start.elapsed());
        let mut fill = Fill {
            sample: f64::from(self.threshold.load(Relaxed)) / f64::from(u32::MAX),
            followers: self.followers.len(),
            ..Fill::default()
        };
        for stripe in self.stripes.iter().chain(self.has_ring().then_some(&self.side)) {
            let stripe = lock(stripe);
            fill.entries += stripe.len();
            fill.bytes += stripe.used();
        }
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            let Some(oldest) = stripe.oldest_us().filter(|_| stripe.has_lost()) else { continue };
            let holds = Duration::from_micros(now.saturating_sub(oldest));
            fill.holds = Some(fill.holds.map_or(holds, |least| least.min(holds)));
        }
        fill
    }

    /// Chooses how many calls are kept by what has passed since the last time. To be called once a second.
    pub fn adapt(&self) {
        let offered = self.counts.offered_bytes.load(Relaxed);
        let threshold = lock(&self.sampler).adapt(offered, self.start.elapsed());
        self.threshold.store(threshold, Relaxed);
    }
}

/// Counts an entry in; gives how many of its bytes are wanted.
fn note_heading(calls: &mut HashMap<CallId, Heading>, entry: &Entry) -> Option<usize> {
    let heading = calls.entry(entry.call).or_insert_with(|| Heading { call: entry.call, ..Heading::default() });
    heading.last_us = entry.at_us;
    if entry.what == What::Ended {
        return Some(usize::MAX);
    }
    heading.messages += 1;
    heading.bytes += u64::from(entry.full_len);
    (heading.messages == 1).then_some(LISTED_BYTES)
}

fn add_to_heading(calls: &mut HashMap<CallId, Heading>, kept: Kept) {
    let Some(heading) = calls.get_mut(&kept.entry.call) else { return };
    match kept.entry.what {
        What::Ended => heading.ended = serde_json::from_slice(&kept.bytes).ok(),
        What::Message => {
            heading.began_unix_us = kept.entry.unix_us;
            heading.whole = kept.entry.direction == Direction::In
                && Peek::at(&kept.bytes).is_some_and(|peek| peek.begins_call(&kept.bytes));
            heading.first = Some(kept);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A panic while a stripe was locked costs an entry; the ring goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
