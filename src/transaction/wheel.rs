//! One timer structure for all transactions of a shard: a hierarchical wheel with lazy entries.
//!
//! An entry is `(id, generation)` and a time; it cannot be taken back or moved. The owner keeps the
//! true deadline and looks at it when an entry comes due: too early, and it arms again; generation
//! gone, and it forgets the entry. So the common case, a deadline that moves later or a transaction
//! that ends, costs nothing here. [`Alarm`] does the bookkeeping on the owner's side.
//!
//! Ticks are 10 ms, levels have 64 slots, each level 64 times as coarse as the one below. An entry
//! comes due up to one tick late and never early. Entries sit in one slab, chained by index; a bitmap
//! per level tells which slots hold any.

use std::time::Duration;

use super::time::{Deadline, Moment};

/// An entry whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Due {
    /// The owner's index.
    pub id: u32,
    /// Tells a reused index from the one that was meant.
    pub generation: u32,
}

/// A timer wheel; see the head of this module for its lazy contract.
#[derive(Debug)]
pub struct Wheel {
    /// The tick up to which all entries were handed out, and the origin of the slots in use.
    now: u64,
    levels: [Level; LEVELS],
    slab: Slab,
    limit: usize,
}

impl Wheel {
    /// An empty wheel whose time begins at `now`; `limit` is the number of entries at which it counts
    /// as full.
    pub fn new(now: Moment, limit: usize) -> Self {
        Self { now: tick_before(now), levels: [Level::EMPTY; LEVELS], slab: Slab::default(), limit }
    }

    /// Adds an entry that comes due at `at`; a time that has passed comes due at the next `advance`.
    ///
    /// Never fails, since a transaction without a timer would never end; the owner begins no new
    /// transaction while the wheel [is full](Self::is_full).
    pub fn arm(&mut self, id: u32, generation: u32, at: Moment) {
        let index = self.slab.insert(Entry { tick: tick_after(at), due: Due { id, generation }, next: NONE });
        self.place(index);
    }

    /// Moves time on to `now` and appends what came due to `due`, earlier ticks first.
    pub fn advance(&mut self, now: Moment, due: &mut Vec<Due>) {
        let target = tick_before(now).max(self.now);
        while let Some(slot) = self.first_slot().filter(|slot| slot.tick <= target) {
            self.now = slot.tick;
            let mut index = self.take_chain(slot);
            while let Some(entry) = self.slab.get(index) {
                let next = entry.next;
                if entry.tick <= self.now {
                    due.push(entry.due);
                    self.slab.remove(index);
                } else {
                    self.place(index);
                }
                index = next;
            }
        }
        self.now = target;
        self.give_back();
    }

    /// When `advance` is wanted next: never later than the first entry comes due, at times earlier
    /// (then it only moves entries to a finer level). `None` when the wheel is empty.
    pub fn next_wake(&self) -> Option<Moment> {
        self.first_slot().map(|slot| Moment::from_millis(slot.tick.saturating_mul(TICK_MILLIS)))
    }

    /// Whether the limit is reached: the owner refuses new transactions.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Entries in the wheel, those that the owner has forgotten among them.
    pub fn len(&self) -> usize {
        self.slab.used
    }

    /// Whether no entry is in the wheel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held for entries, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.slab.entries.capacity() * size_of::<Entry>()
    }

    /// Chains an entry into the slot of its tick, on the finest level that tells it from `now`.
    fn place(&mut self, index: u32) {
        let Some(entry) = self.slab.get_mut(index) else {
            return;
        };
        let tick = entry.tick.max(self.now);
        let level = level_of(self.now, tick);
        let slot = slot_of(tick, level);
        if let Some(level) = self.levels.get_mut(level) {
            entry.next = level.push(slot, index);
        }
    }

    /// The slot in use that begins first. A finer level always comes before a coarser one: what it
    /// holds lies within the coarser level's current slot.
    fn first_slot(&self) -> Option<FirstSlot> {
        self.levels.iter().enumerate().find(|(_, level)| level.used != 0).map(|(level, bits)| {
            let slot = bits.used.trailing_zeros();
            let shift = SLOT_BITS * level as u32;
            let origin = (self.now >> shift) & !SLOT_MASK;
            FirstSlot { level, slot, tick: (origin | u64::from(slot)) << shift }
        })
    }

    fn take_chain(&mut self, first: FirstSlot) -> u32 {
        self.levels.get_mut(first.level).map_or(NONE, |level| level.take(first.slot))
    }

    /// Lets go of the memory of a burst: when three quarters of a large slab lie idle, what is left
    /// moves to a slab of its own size. Nobody outside knows an index, so entries may move.
    fn give_back(&mut self) {
        let slots = self.slab.entries.len();
        if slots < SHRINK_FROM || self.slab.used > slots / 4 {
            return;
        }
        let old = std::mem::take(&mut self.slab);
        let levels = std::mem::replace(&mut self.levels, [Level::EMPTY; LEVELS]);
        self.slab.entries.reserve_exact(old.used * 2);
        for mut index in levels.iter().flat_map(|level| level.heads) {
            while let Some(&entry) = old.get(index) {
                index = entry.next;
                let moved = self.slab.insert(entry);
                self.place(moved);
            }
        }
    }
}

/// The owner's side of the lazy contract, for one transaction: which entry is outstanding.
///
/// After each event the owner calls [`Alarm::cover`] with the transaction's next timeout and arms the
/// wheel when told so; on each [`Due`] it calls [`Alarm::handle_due`], then `handle_timeout` of the
/// machine (harmless when early), then `cover` again.
#[derive(Clone, Copy, Debug)]
pub struct Alarm(Deadline);

impl Default for Alarm {
    fn default() -> Self {
        Self(Deadline::UNSET)
    }
}

impl Alarm {
    /// The farthest ahead that an entry is set. Later deadlines get there in steps, so that the entries
    /// of transactions that ended early (timer C of a call answered at once) leave the wheel soon.
    pub const HORIZON: Duration = Duration::from_secs(32);

    /// The time to arm the wheel for, when no outstanding entry comes due by `next_timeout`.
    pub fn cover(&mut self, now: Moment, next_timeout: Option<Moment>) -> Option<Moment> {
        let wanted = next_timeout?.min(now + Self::HORIZON);
        if self.0.moment().is_some_and(|armed| armed <= wanted) {
            return None;
        }
        self.0 = Deadline::at(wanted);
        Some(wanted)
    }

    /// Takes the news that an entry of this transaction came due; an older one that was overtaken by
    /// an earlier deadline changes nothing.
    pub fn handle_due(&mut self, now: Moment) {
        if self.0.is_due(now) {
            self.0 = Deadline::UNSET;
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tick: u64,
    due: Due,
    /// The next entry of the slot or of the free list.
    next: u32,
}

/// A slot in use and the tick at which it begins.
#[derive(Clone, Copy)]
struct FirstSlot {
    level: usize,
    slot: u32,
    tick: u64,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// One bit per slot that holds any entry.
    used: u64,
    /// The first entry of each slot.
    heads: [u32; SLOTS],
}

impl Level {
    const EMPTY: Self = Self { used: 0, heads: [NONE; SLOTS] };

    /// Puts an entry in front of a slot's chain and returns the one that follows it.
    fn push(&mut self, slot: u32, index: u32) -> u32 {
        self.used |= 1 << slot;
        // `slot` is six bits (`slot_of`, `trailing_zeros` of a non-zero word), so a head is there.
        self.heads.get_mut(slot as usize).map_or(NONE, |head| std::mem::replace(head, index))
    }

    /// Empties a slot and returns the first entry of its chain.
    fn take(&mut self, slot: u32) -> u32 {
        self.used &= !(1 << slot);
        self.heads.get_mut(slot as usize).map_or(NONE, |head| std::mem::replace(head, NONE))
    }
}

/// Entries by index, with a list of the free ones.
#[derive(Debug)]
struct Slab {
    entries: Vec<Entry>,
    free: u32,
    used: usize,
}

impl Default for Slab {
    fn default() -> Self {
        Self { entries: Vec::new(), free: NONE, used: 0 }
    }
}

impl Slab {
    fn insert(&mut self, entry: Entry) -> u32 {
        self.used += 1;
        let index = self.free;
        if let Some(place) = self.get_mut(index) {
            let next_free = place.next;
            *place = entry;
            self.free = next_free;
            return index;
        }
        // Four thousand million entries would be 96 GiB: the index always fits.
        let index = self.entries.len() as u32;
        self.entries.push(entry);
        index
    }

    fn remove(&mut self, index: u32) {
        let free = self.free;
        if let Some(entry) = self.get_mut(index) {
            entry.next = free;
            self.free = index;
            self.used -= 1;
        }
    }

    fn get(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)
    }
}

/// The last tick that is at or before a moment: what has certainly passed.
fn tick_before(moment: Moment) -> u64 {
    (moment.as_millis() / TICK_MILLIS).min(LAST_TICK)
}

/// The first tick that is at or after a moment: an entry never fires early.
fn tick_after(moment: Moment) -> u64 {
    moment.as_millis().div_ceil(TICK_MILLIS).min(LAST_TICK)
}

/// The level whose slots tell `tick` from `now`: that of the highest digit in which they differ.
fn level_of(now: u64, tick: u64) -> usize {
    let differing = (now ^ tick) | SLOT_MASK;
    ((u64::BITS - 1 - differing.leading_zeros()) / SLOT_BITS) as usize
}

/// The digit of `tick` on a level.
fn slot_of(tick: u64, level: usize) -> u32 {
    ((tick >> (SLOT_BITS * level as u32)) & SLOT_MASK) as u32
}

/// No entry: past the end of any slab.
const NONE: u32 = u32::MAX;
const TICK_MILLIS: u64 = 10;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = 6;
/// The last tick that the levels reach, 21 years after the start of the process; time stands still there.
const LAST_TICK: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;
/// Slabs below this many entries are kept as they are.
const SHRINK_FROM: usize = 1024;

#[cfg(test)]
mod tests;
