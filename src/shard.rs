//! A shard: the only owner of the transactions and calls whose Call-ID falls to it. Pure.
//!
//! A shard is a lock, not a thread: the worker that read a message locks the shard, hands the message in, does what
//! comes out and goes on. Requests find their shard by Call-ID, answers by the branch that the edge made.

mod calls;
pub mod homes;
pub mod look;
mod pracks;
mod progress;
mod refusals;
pub mod requests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use slab::Slab;

use crate::call::branch::{BranchId, ContextId};
use crate::call::context::{Context, Event};
use crate::call::live::{Homes, Lives, Room};
use crate::call::progress::Through;
use crate::call::{Env, Output, Tools};
use crate::sip::{Essentials, Message, Via};
use crate::transaction::{Due, Key, Moment, Wheel};
use crate::trunk::{Flow, Hop, TrunkId};

/// Shards of a process: a power of two, at most 256 (a branch has two digits for it).
pub const SHARDS: usize = 64;

/// Calls for help that are taken beyond `max_transactions`. They pass every limit but this one, which keeps memory
/// bounded when everybody calls for help.
pub const EMERGENCY_RESERVE: usize = 1_024;

/// Timers for each request: it has one or two entries in the wheel; those overtaken leave within 32 s.
const TIMERS: usize = 4;

/// Set in the ids of timer entries that belong to calls and not to requests, of which there are far fewer.
const CALLS: u32 = 1 << 31;

/// Keys are keyed hashes already: hashing them again would be work for nothing.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(Ok(half)) = bytes.get(..8).map(<[u8; 8]>::try_from) {
            self.0 = u64::from_le_bytes(half);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

/// A request as it comes to its shard.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub flow: Flow,
    /// The trunk that sent it.
    pub from: TrunkId,
    /// The trunk is known by how it was known before a reload, or leaves: it may go on with its calls, and nothing else.
    pub former: bool,
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
}

/// Transactions and calls behind one lock.
#[derive(Debug)]
pub struct Shard {
    index: u8,
    contexts: Slab<(Context, Key)>,
    by_key: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
    /// INVITEs of RFC 2543 callers, whose ACK comes under another key once an answer is out.
    legacy: HashMap<u32, Legacy>,
    wheel: Wheel,
    due: Vec<Due>,
    tools: Tools,
    /// Answers of the edge's own to an INVITE whose ACK will come under this key.
    awaiting_ack: HashMap<u64, u32>,
    pracks: pracks::Pracks,
    /// INVITEs that were refused without a transaction.
    refusals: refusals::Refusals,
    /// When the memory of calls is gone through next; `None`: there is nothing in it.
    sweep: Option<Moment>,
    /// Counts the generations of slots.
    begun: u32,
    budget: Arc<Budget>,
}

/// How many requests all shards together may hold: `max_transactions`, and how many calls they remember:
/// `max_calls_remembered`.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    calls: Arc<Room>,
}

impl Budget {
    /// Room for `limit` requests and as many calls.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::with_calls(limit, limit)
    }

    /// Room for `limit` requests and `calls` calls.
    pub fn with_calls(limit: usize, calls: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, calls: Room::new(calls) })
    }

    /// Calls that are remembered in all shards.
    pub fn calls(&self) -> usize {
        self.calls.used()
    }

    fn has_room(&self, emergency: bool) -> bool {
        let reserve = if emergency { EMERGENCY_RESERVE } else { 0 };
        self.used.load(Ordering::Relaxed) < self.limit.saturating_add(reserve)
    }
}

#[derive(Debug)]
struct Legacy {
    request: Bytes,
    ack: Option<Key>,
}

impl Shard {
    /// An empty shard that takes `max_contexts` requests at once.
    pub fn new(index: u8, now: Moment, max_contexts: usize) -> Self {
        Self::sharing(index, now, Budget::new(max_contexts))
    }

    /// An empty shard that takes requests while there is room in what it shares with others.
    pub fn sharing(index: u8, now: Moment, budget: Arc<Budget>) -> Self {
        Self {
            index,
            contexts: Slab::new(),
            by_key: HashMap::default(),
            legacy: HashMap::new(),
            wheel: Wheel::new(now, budget.limit.saturating_add(EMERGENCY_RESERVE).saturating_mul(TIMERS)),
            due: Vec::new(),
            tools: Tools {
                lives: Lives::new(Arc::clone(&budget.calls)),
                through: Through::new(Arc::clone(&budget.calls)),
                ..Tools::default()
            },
            refusals: refusals::Refusals::default(),
            awaiting_ack: HashMap::new(),
            pracks: pracks::Pracks::default(),
            sweep: None,
            begun: 0,
            budget,
        }
    }

    /// The same, in a process whose shards know of each other's calls.
    #[must_use]
    pub fn with_homes(mut self, homes: Arc<Homes>) -> Self {
        self.tools.lives.share_homes(homes);
        self
    }

    /// Requests in progress or remembered.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Requests without a final answer, and how many of them begin a call. Looks at every request: for whoever waits for
    /// the last ones.
    pub fn in_progress(&self) -> (usize, usize) {
        let contexts = self.contexts.iter().map(|(_, (context, _))| context);
        contexts
            .filter(|context| context.has_server() && !context.is_answered())
            .fold((0, 0), |(all, setups), context| (all + 1, setups + usize::from(context.sets_up())))
    }

    /// Whether nothing is in progress and nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Whether the shard begins no further request. Two shards that look at once may pass the limit by one each.
    fn is_full(&self, emergency: bool) -> bool {
        let timers = self.budget.limit.saturating_mul(TIMERS);
        !self.budget.has_room(emergency) || self.wheel.is_full() || !emergency && self.wheel.len() >= timers
    }

    /// Entries in the timer wheel.
    pub fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// When [`Shard::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    /// Handles an answer: it belongs to the branch that its top Via names, or to nobody and is dropped (RFC 6026
    /// section 7.3: a proxy passes no stray answers on).
    pub fn handle_answer(&mut self, env: &Env<'_>, out: &mut Output, id: BranchId, response: &Message) {
        self.with_shelf(env, out, |shard, out| {
            let known = shard.feed(env, out, id.context, Event::Response { branch: id.branch, response });
            if !known {
                out.counts.dropped += 1;
            }
        });
    }

    /// Handles the news that what was sent for a branch did not leave.
    pub fn handle_send_failed(&mut self, env: &Env<'_>, out: &mut Output, id: BranchId) {
        self.with_shelf(env, out, |shard, out| {
            shard.feed(env, out, id.context, Event::SendFailed { branch: id.branch });
        });
    }

    /// Handles the places behind a name that a context asked for, for one of its lanes.
    pub fn handle_resolved(&mut self, env: &Env<'_>, out: &mut Output, id: ContextId, lane: u8, hops: Vec<Hop>) {
        self.with_shelf(env, out, |shard, out| {
            shard.feed(env, out, id, Event::Resolved { lane, hops });
        });
    }

    /// Handles all timers that are due.
    pub fn handle_time(&mut self, env: &Env<'_>, out: &mut Output) {
        self.with_shelf(env, out, |shard, out| shard.turn(env, out));
    }

    /// Lets one event in, and puts what is to be kept before the messages that it brings about.
    fn with_shelf(&mut self, env: &Env<'_>, out: &mut Output, event: impl FnOnce(&mut Self, &mut Output)) {
        {
            let mut shelf = env.shelf.borrow_mut();
            (shelf.room, shelf.used) = (env.store.room(), !env.store.is_empty());
        }
        let start = out.commands.len();
        event(self, out);
        self.work_off(env, out);
        env.shelf.borrow_mut().move_to(&mut out.commands, start);
    }

    fn turn(&mut self, env: &Env<'_>, out: &mut Output) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(env.now, &mut due);
        for entry in due.drain(..) {
            if entry.id & CALLS != 0 {
                self.handle_call_due(env, out, entry);
                continue;
            }
            let id = ContextId { shard: self.index, slot: entry.id, generation: entry.generation };
            self.feed(env, out, id, Event::Due);
        }
        if due.capacity() > 4_096 {
            due = Vec::new();
        }
        self.due = due;
    }

    /// Hands an event to a context that is still there; false when it has gone.
    fn feed(&mut self, env: &Env<'_>, out: &mut Output, id: ContextId, event: Event<'_>) -> bool {
        let Some((context, _)) = self.contexts.get_mut(id.slot as usize).filter(|(context, _)| context.id == id) else {
            return false;
        };
        let had_server = context.has_server();
        context.handle(env, &mut self.tools, out, event);
        self.settle(env, id.slot, had_server);
        true
    }

    /// After an event: drops a context that is over, or sets its timer.
    fn settle(&mut self, env: &Env<'_>, slot: u32, had_server: bool) {
        let Some((context, key)) = self.contexts.get_mut(slot as usize) else { return };
        if had_server && !context.has_server() {
            self.by_key.remove(key);
            self.forget_legacy(slot);
        } else if !self.legacy.is_empty() {
            self.learn_legacy_ack(env, slot);
        }
        self.settle_pracks(env, slot);
        self.settle_calls(env, slot);
        let Some((context, _)) = self.contexts.get_mut(slot as usize) else { return };
        if context.is_over() {
            self.contexts.remove(slot as usize);
            self.budget.used.fetch_sub(1, Ordering::Relaxed);
            if self.contexts.is_empty() {
                self.give_back();
            }
        } else if let Some(at) = context.alarm.cover(env.now, context.next_timeout()) {
            self.wheel.arm(slot, context.id.generation, at);
        }
    }

    /// Returns the memory of a burst.
    fn give_back(&mut self) {
        if self.contexts.capacity() > 1_024 {
            self.contexts = Slab::new();
            self.by_key = HashMap::default();
        }
    }

    /// The identity of the context that is put in next; its generation is one that a stranger cannot guess.
    fn next_id(&mut self, env: &Env<'_>) -> ContextId {
        self.begun = self.begun.wrapping_add(1);
        let generation = env.secrets.number(3, &[&[self.index], &self.begun.to_le_bytes()]) as u32;
        // Bounded by the budget.
        ContextId { shard: self.index, slot: self.contexts.vacant_key() as u32, generation }
    }

    /// Puts a context in the slot that its identity names.
    fn put(&mut self, context: Context, key: Key) -> u32 {
        self.budget.used.fetch_add(1, Ordering::Relaxed);
        self.contexts.insert((context, key)) as u32
    }

    /// The key under which the ACK of an RFC 2543 caller will come for the answer that has just gone out.
    fn learn_legacy_ack(&mut self, env: &Env<'_>, slot: u32) {
        let Some((context, _)) = self.contexts.get(slot as usize) else { return };
        let Some(legacy) = self.legacy.get_mut(&slot) else { return };
        let (Some(request), Some(answer)) = (Message::reread(&legacy.request), Message::reread(context.last_answer()))
        else {
            return;
        };
        if answer.status() < 300 || legacy.ack.is_some() {
            return;
        }
        let Ok(essentials) = crate::sip::Essentials::of_request(&request, &env.edge.limits) else { return };
        let parts = crate::call::key_parts(&request, &essentials);
        let tag = answer.to_tag().unwrap_or_default();
        if let Some(key) = Key::of_rfc2543_ack(&env.secrets.hash, &parts, tag) {
            legacy.ack = Some(key);
            self.by_key.insert(key, slot);
        }
    }

    fn forget_legacy(&mut self, slot: u32) {
        if let Some(Legacy { ack: Some(key), .. }) = self.legacy.remove(&slot) {
            self.by_key.remove(&key);
        }
    }
}

/// The branch of the edge in the top Via of an answer, if it is one.
pub fn branch_of(response: &Message) -> Option<BranchId> {
    let via: Via<'_> = response.top_via().ok()?;
    BranchId::read(via.branch?).map(|(id, _)| id)
}
