//! The live calls of a shard, found by either leg; and for a while the legs of calls that have ended, so that what comes
//! late is not taken for news.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slab::Slab;

use super::{End, Homes, LiveCall, LiveId, LiveLeg};
use crate::call::Secrets;
use crate::transaction::{Alarm, Moment};

/// How many calls all shards together remember: `max_calls_remembered`.
#[derive(Debug, Default)]
pub struct Room {
    used: AtomicUsize,
    limit: usize,
}

impl Room {
    /// Room for so many calls.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Calls that are remembered now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes room for one call, when there is some. Two that look at once may pass the limit by one each.
    pub fn take(&self) -> bool {
        let is_free = self.used() < self.limit;
        self.used.fetch_add(usize::from(is_free), Ordering::Relaxed);
        is_free
    }

    /// Gives the room of so many calls back.
    pub fn give_back(&self, calls: usize) {
        self.used.fetch_sub(calls, Ordering::Relaxed);
    }
}

/// What is known of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It belongs to a call that is up.
    Up(LiveId, End),
    /// It stands beside a call that is being transferred: the target's, not joined yet, or the referrer's, not any more.
    Aside(LiveId),
    /// Its call has ended.
    Ended { by_edge: bool },
}

impl Known {
    /// The call, when it is up.
    pub const fn call(self) -> Option<LiveId> {
        match self {
            Self::Up(id, _) => Some(id),
            Self::Aside(_) | Self::Ended { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Up(u32, End),
    Aside(LiveId),
    Ended {
        by_edge: bool,
        until: Moment,
    },
    /// Requests passed to it before its call was known: the last number that was sent.
    Early {
        sent: u32,
        until: Moment,
    },
}

/// Keys are keyed hashes already: hashing them again would be work for nothing.
#[derive(Clone, Copy, Debug, Default)]
struct NoHash(u64);

impl Hasher for NoHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The key of a leg: a hash of what names the dialog that only this process can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegKey(u64);

impl LegKey {
    /// Of a dialog as the edge has it with the peer of a leg.
    pub fn new(secrets: &Secrets, call_id: &[u8], peer_tag: &[u8], own_tag: &[u8]) -> Self {
        Self(secrets.number(6, &[call_id, peer_tag, own_tag]))
    }

    fn of(secrets: &Secrets, leg: &LiveLeg) -> Self {
        Self::new(secrets, &leg.call_id, leg.peer_tag(), leg.own_tag())
    }
}

/// Calls that are up, of one shard.
#[derive(Debug, Default)]
pub struct Lives {
    // Boxed: the slots of calls that have ended cost little.
    calls: Slab<Box<LiveCall>>,
    by_leg: HashMap<u64, Entry, BuildHasherDefault<NoHash>>,
    /// When the memory of ended legs goes, oldest first.
    ended: VecDeque<(Moment, u64)>,
    room: Arc<Room>,
    homes: Arc<Homes>,
    begun: u32,
}

impl Lives {
    /// An empty table that takes calls while there is room in what it shares with others.
    pub fn new(room: Arc<Room>) -> Self {
        let mut lives = Self::default();
        lives.room = room;
        lives
    }

    /// Shares the homes of calls with other shards.
    pub fn share_homes(&mut self, homes: Arc<Homes>) {
        self.homes = homes;
    }

    /// Where calls are whose Call-IDs do not say so.
    pub const fn homes(&self) -> &Arc<Homes> {
        &self.homes
    }

    /// Calls that are up.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is up.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether nothing is remembered at all, not even of calls that have ended.
    pub fn is_blank(&self) -> bool {
        self.by_leg.is_empty()
    }

    /// All calls that are up.
    pub fn iter(&self) -> impl Iterator<Item = &LiveCall> {
        self.calls.iter().map(|(_, call)| &**call)
    }

    /// The calls in the slots from one on.
    pub fn from_slot(&self, slot: usize) -> impl Iterator<Item = (usize, &LiveCall)> {
        (slot..self.calls.capacity()).filter_map(|slot| Some((slot, &**self.calls.get(slot)?)))
    }

    /// A call, if it is still up.
    pub fn get(&self, id: LiveId) -> Option<&LiveCall> {
        self.calls.get(id.slot as usize).map(|call| &**call).filter(|call| call.id == id)
    }

    /// A call, to be changed. Call-IDs and tags of its legs stay as they are: [`Lives::replace_leg`] changes those.
    pub fn get_mut(&mut self, id: LiveId) -> Option<&mut LiveCall> {
        self.calls.get_mut(id.slot as usize).map(|call| &mut **call).filter(|call| call.id == id)
    }

    /// The call in a slot, which an entry of the timer wheel names.
    pub fn at(&self, slot: u32, generation: u32) -> Option<LiveId> {
        let id = LiveId { slot, generation };
        self.get(id).map(|call| call.id)
    }

    /// What is known of a leg.
    pub fn find(&self, key: LegKey) -> Option<Known> {
        match *self.by_leg.get(&key.0)? {
            Entry::Up(slot, end) => self.calls.get(slot as usize).map(|call| Known::Up(call.id, end)),
            Entry::Aside(id) => self.get(id).map(|call| Known::Aside(call.id)),
            Entry::Ended { by_edge, .. } => Some(Known::Ended { by_edge }),
            Entry::Early { .. } => None,
        }
    }

    /// The call and the side of it that a leg belongs to.
    pub fn up(&self, key: LegKey) -> Option<(LiveId, End)> {
        match self.find(key)? {
            Known::Up(id, end) => Some((id, end)),
            Known::Aside(_) | Known::Ended { .. } => None,
        }
    }

    /// Whether one call more may be remembered.
    pub fn has_room(&self) -> bool {
        self.room.used() < self.room.limit
    }

    /// Remembers a call, whose `id` is set.
    ///
    /// # Errors
    /// The call, when there is no room or one of its legs is known already.
    pub fn insert(&mut self, secrets: &Secrets, mut call: Box<LiveCall>) -> Result<LiveId, Box<LiveCall>> {
        let keys = End::BOTH.map(|end| LegKey::of(secrets, call.leg(end)).0);
        let [caller, callee] = keys;
        let is_known = |key| self.by_leg.get(key).is_some_and(|entry| !matches!(entry, Entry::Early { .. }));
        let known = caller == callee || keys.iter().any(is_known);
        if known || !self.room.take() {
            return Err(call);
        }
        self.begun = self.begun.wrapping_add(1);
        let entry = self.calls.vacant_entry();
        let id = LiveId { slot: entry.key() as u32, generation: self.begun }; // bounded by the room
        call.id = id;
        for (key, end) in keys.into_iter().zip(End::BOTH) {
            if let Some(Entry::Early { sent, .. }) = self.by_leg.insert(key, Entry::Up(id.slot, end)) {
                let leg = call.leg_mut(end);
                (leg.sent_cseq, leg.cseq_floor) = (leg.sent_cseq.max(sent), 0);
            }
        }
        entry.insert(call);
        Ok(id)
    }

    /// Notes that a request with this number passed to a leg whose call is not known (yet): numbers of the edge's own
    /// must come after it.
    pub fn note_early(&mut self, key: LegKey, number: u32, until: Moment) {
        match self.by_leg.get_mut(&key.0) {
            Some(Entry::Early { sent, .. }) => *sent = number.max(*sent),
            Some(_) => {}
            None => self.put_for_a_while(key, Entry::Early { sent: number, until }, until),
        }
    }

    /// Puts another leg in the place of one, as a transfer does; gives the old one, whose dialog counts as ended from
    /// now on for `memory`. `None`: the call has gone, or the new leg belongs to another.
    pub fn replace_leg(
        &mut self,
        secrets: &Secrets,
        (now, memory): (Moment, Duration),
        (id, end): (LiveId, End),
        leg: LiveLeg,
    ) -> Option<LiveLeg> {
        let key = LegKey::of(secrets, &leg);
        if matches!(self.find(key), Some(Known::Up(..))) {
            return None;
        }
        let old = std::mem::replace(self.get_mut(id)?.leg_mut(end), leg);
        self.bury(LegKey::of(secrets, &old), now + memory, true);
        self.by_leg.insert(key.0, Entry::Up(id.slot, end));
        Some(old)
    }

    /// Takes a call out, for another shard.
    pub fn take_out(&mut self, secrets: &Secrets, id: LiveId) -> Option<Box<LiveCall>> {
        self.get(id)?;
        let call = self.calls.remove(id.slot as usize);
        self.room.give_back(1);
        for end in End::BOTH {
            self.by_leg.remove(&LegKey::of(secrets, call.leg(end)).0);
        }
        Some(call)
    }

    /// Takes a call in that was in another shard; this one is `shard`.
    pub fn take_in(&mut self, secrets: &Secrets, now: Moment, mut call: Box<LiveCall>, shard: u8) {
        call.adopted = true;
        call.alarm = Alarm::default();
        for end in End::BOTH {
            self.homes.adopt(secrets, (now, None), &call.leg(end).call_id, shard);
        }
        // Its room has just been given back.
        drop(self.insert(secrets, call));
    }

    /// Another call that the same INVITE made and that nothing is to be told of.
    pub fn sibling(&mut self, call: &LiveCall) -> Option<&mut LiveCall> {
        let caller = call.leg(End::Caller);
        let is_sibling = |other: &LiveCall| {
            let leg = other.leg(End::Caller);
            other.forked && other.progress.is_none() && (&leg.call_id, &leg.peer) == (&caller.call_id, &caller.peer)
        };
        self.calls.iter_mut().map(|(_, other)| &mut **other).find(|other| is_sibling(other))
    }

    /// Notes that a leg which is not the call's belongs to it.
    pub fn stand_aside(&mut self, secrets: &Secrets, leg: &LiveLeg, id: LiveId) {
        self.by_leg.insert(LegKey::of(secrets, leg).0, Entry::Aside(id));
    }

    /// Notes that the dialog of a leg has ended.
    pub fn bury_leg(&mut self, secrets: &Secrets, leg: &LiveLeg, until: Moment, by_edge: bool) {
        self.bury(LegKey::of(secrets, leg), until, by_edge);
    }

    /// Makes a call what it has become: `after` has the side `keep` as its caller and somebody else as the callee. The leg
    /// that is not in it any more stands aside.
    pub fn connect(&mut self, secrets: &Secrets, id: LiveId, keep: End, after: Box<LiveCall>) {
        let Some(slot) = self.calls.get_mut(id.slot as usize).filter(|call| call.id == id) else { return };
        let mut after = after;
        after.id = id;
        std::mem::swap(&mut after.errands, &mut slot.errands);
        after.progress.0 = slot.progress.take();
        if let Some(progress) = &mut *after.progress {
            progress.connect(keep);
        }
        after.forked = slot.forked;
        (after.alarm, after.passing) = (slot.alarm, slot.passing);
        let before = std::mem::replace(slot, after);
        let keys = End::BOTH.map(|end| LegKey::of(secrets, slot.leg(end)).0);
        for (key, end) in keys.into_iter().zip(End::BOTH) {
            self.by_leg.insert(key, Entry::Up(id.slot, end));
        }
        self.stand_aside(secrets, before.leg(keep.other()), id);
    }

    /// Forgets a call; that its legs were of one is remembered for `memory`.
    pub fn remove(
        &mut self,
        secrets: &Secrets,
        (now, memory): (Moment, Duration),
        id: LiveId,
        by_edge: bool,
    ) -> Option<Box<LiveCall>> {
        self.get(id)?;
        let call = self.calls.remove(id.slot as usize);
        self.room.give_back(1);
        for end in End::BOTH {
            self.bury(LegKey::of(secrets, call.leg(end)), now + memory, by_edge);
        }
        if call.named || call.adopted {
            End::BOTH.into_iter().for_each(|end| self.homes.release(secrets, &call.leg(end).call_id, now + memory));
        }
        for leg in call.transfer.iter().flat_map(|transfer| transfer.aside()) {
            self.bury(LegKey::of(secrets, leg), now + memory, true);
        }
        if self.calls.is_empty() && self.calls.capacity() > 1_024 {
            self.calls = Slab::new();
        }
        Some(call)
    }

    /// Notes that the dialog of a leg has ended, known or not: what comes late brings no call to life.
    pub fn bury(&mut self, key: LegKey, until: Moment, by_edge: bool) {
        self.put_for_a_while(key, Entry::Ended { by_edge, until }, until);
    }

    fn put_for_a_while(&mut self, key: LegKey, entry: Entry, until: Moment) {
        // No more of them than there may be legs of calls; the oldest goes first.
        if self.ended.len() >= self.room.limit.saturating_mul(2)
            && let Some((until, oldest)) = self.ended.pop_front()
        {
            self.forget_ended(oldest, until);
        }
        self.by_leg.insert(key.0, entry);
        self.ended.push_back((until, key.0));
    }

    /// Forgets the ended legs whose time is over.
    pub fn forget(&mut self, now: Moment) {
        while let Some(&(until, key)) = self.ended.front() {
            if until > now {
                return;
            }
            self.ended.pop_front();
            self.forget_ended(key, until);
        }
        if self.by_leg.is_empty() && self.by_leg.capacity() > 4_096 {
            self.by_leg = HashMap::default();
            self.ended = VecDeque::new();
        }
    }

    /// Calls of which nothing has been seen since `before`.
    pub fn unseen_since(&self, before: Moment) -> Vec<LiveId> {
        self.iter().filter(|call| call.seen < before).map(|call| call.id).collect()
    }

    fn forget_ended(&mut self, key: u64, since: Moment) {
        // A leg that was buried again since then, or belongs to a call again, stays.
        let until = match self.by_leg.get(&key) {
            Some(Entry::Ended { until, .. } | Entry::Early { until, .. }) => *until,
            _ => return,
        };
        if until <= since {
            self.by_leg.remove(&key);
        }
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        self.room.give_back(self.calls.len());
    }
}
