//! What is kept of calls, in memory: shards of maps by the mark of the call.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::file::Record;
use crate::call::stored::StoreKey;

/// How long what is kept of an INVITE stays that nobody has answered: longer than anybody lets it ring.
const SETUP: Duration = Duration::from_secs(30 * 60);

/// How long what is kept of a call stays when it is over: another of its dialogs may go on, which shows when it is asked
/// for; and copies of the last messages come so long.
const OVER: Duration = Duration::from_secs(5 * 60);

/// Most items of one call: each refresh makes two, and those of before the last one are of no use any more.
const MAX_ITEMS: usize = 32;

/// Bytes that an item takes beside its own.
const ITEM_BYTES: usize = 48;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has answered yet.
    Setup,
    Up,
    /// A BYE has ended it.
    Over,
}

/// How long things are kept, by the stage of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    max_age: u64,
}

impl Lives {
    /// Of calls that may be up for `max_age` without a refresh.
    pub const fn new(max_age: Duration) -> Self {
        Self { max_age: max_age.as_secs() }
    }

    const fn of(self, stage: Stage) -> u64 {
        match stage {
            Stage::Setup => SETUP.as_secs(),
            Stage::Up => self.max_age,
            Stage::Over => OVER.as_secs(),
        }
    }
}

/// Marks of calls are keyed hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct MarkHasher(u64);

impl Hasher for MarkHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

type Map = HashMap<u64, Call, BuildHasherDefault<MarkHasher>>;

#[derive(Debug)]
struct Call {
    stage: Stage,
    /// Seconds since 1970 UTC.
    until: u64,
    /// The oldest first.
    items: SmallVec<[(u64, Bytes); 2]>,
}

impl Call {
    fn bytes(&self) -> usize {
        self.items.iter().map(|(_, bytes)| bytes.len() + ITEM_BYTES).sum()
    }
}

/// All calls of which something is kept.
#[derive(Debug)]
pub struct Table {
    shards: Box<[RwLock<Map>]>,
    lives: Lives,
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

impl Table {
    /// A power of two.
    pub const SHARDS: usize = 64;

    pub fn new(lives: Lives) -> Self {
        let shards = (0..Self::SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, lives, calls: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.calls() == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds an item: what is to be written down of it; `None` when it is there.
    pub fn put(&self, key: StoreKey, bytes: Bytes, now: u64) -> Option<Record> {
        let mut map = self.write(key.call);
        let call = self.call(&mut map, key.call);
        // What lies there may be too old and not let go yet.
        if call.until <= now {
            self.clear(call);
        }
        let begins = call.items.is_empty();
        if call.items.iter().any(|(item, there)| *item == key.item && *there == bytes) {
            return None;
        }
        call.until = call.until.max(now + self.lives.of(call.stage));
        let record = Record::Item { key, begins, stage: call.stage, until: call.until, bytes: bytes.clone() };
        self.add(call, key.item, bytes);
        Some(record)
    }

    /// An item; and the call's new stage, when it was taken for over and is not.
    pub fn get(&self, key: StoreKey, now: u64) -> Option<(Bytes, Option<(Stage, u64)>)> {
        let map = self.read(key.call);
        let call = map.get(&key.call).filter(|call| call.until > now)?;
        let (_, bytes) = call.items.iter().rfind(|(item, _)| *item == key.item)?;
        let (bytes, over) = (bytes.clone(), call.stage == Stage::Over);
        drop(map);
        let revived = over.then(|| self.set_stage(key.call, Stage::Up, now, |stage| stage == Stage::Over));
        Some((bytes, revived.flatten()))
    }

    /// The call is answered; `None` when nothing is kept of it, or that was known.
    pub fn mark_up(&self, call: u64, now: u64) -> Option<(Stage, u64)> {
        self.set_stage(call, Stage::Up, now, |stage| stage == Stage::Setup)
    }

    /// The call is over; `None` when nothing is kept of it, or that was known.
    pub fn mark_over(&self, call: u64, now: u64) -> Option<(Stage, u64)> {
        self.set_stage(call, Stage::Over, now, |stage| stage != Stage::Over)
    }

    fn set_stage(&self, mark: u64, stage: Stage, now: u64, changes: impl Fn(Stage) -> bool) -> Option<(Stage, u64)> {
        let changes = |call: &Call| changes(call.stage) && call.until > now;
        let known = self.read(mark).get(&mark).is_some_and(changes);
        let mut map = known.then(|| self.write(mark))?;
        let call = map.get_mut(&mark).filter(|call| changes(call))?;
        (call.stage, call.until) = (stage, now + self.lives.of(stage));
        Some((call.stage, call.until))
    }

    /// Takes up what was written down before.
    pub fn restore(&self, record: Record) {
        let (key, begins, stage, until, bytes) = match record {
            Record::Stage { call, stage, until } => return self.restore_stage(call, stage, until),
            Record::Item { key, begins, stage, until, bytes } => (key, begins, stage, until, bytes),
        };
        let mut map = self.write(key.call);
        let call = self.call(&mut map, key.call);
        if begins {
            self.clear(call);
        }
        (call.stage, call.until) = (stage, until);
        if !call.items.iter().any(|(item, there)| *item == key.item && *there == bytes) {
            self.add(call, key.item, bytes);
        }
    }

    fn restore_stage(&self, mark: u64, stage: Stage, until: u64) {
        if let Some(call) = self.write(mark).get_mut(&mark) {
            (call.stage, call.until) = (stage, until);
        }
    }

    /// Lets go of what is too old; says of how many calls.
    pub fn expire(&self, now: u64) -> usize {
        let mut gone = 0;
        for shard in &self.shards {
            let mut map = shard.write().unwrap_or_else(PoisonError::into_inner);
            map.retain(|_, call| {
                let stays = call.until > now;
                if !stays {
                    gone += 1;
                    self.calls.fetch_sub(1, Ordering::Relaxed);
                    self.bytes.fetch_sub(call.bytes(), Ordering::Relaxed);
                }
                stays
            });
            if map.capacity() > 64 && map.capacity() > 4 * map.len() {
                map.shrink_to_fit();
            }
        }
        gone
    }

    /// What a shard holds.
    pub fn records(&self, shard: usize) -> Vec<Record> {
        let Some(shard) = self.shards.get(shard) else { return Vec::new() };
        let map = shard.read().unwrap_or_else(PoisonError::into_inner);
        let records = map.iter().flat_map(|(&mark, call)| {
            let &Call { stage, until, ref items } = call;
            items.iter().enumerate().map(move |(at, (item, bytes))| Record::Item {
                key: StoreKey { call: mark, item: *item },
                begins: at == 0,
                stage,
                until,
                bytes: bytes.clone(),
            })
        });
        records.collect()
    }

    /// The call of a mark, a new one when there is none.
    fn call<'m>(&self, map: &'m mut Map, mark: u64) -> &'m mut Call {
        map.entry(mark).or_insert_with(|| {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Call { stage: Stage::Setup, until: 0, items: SmallVec::new() }
        })
    }

    fn clear(&self, call: &mut Call) {
        self.bytes.fetch_sub(call.bytes(), Ordering::Relaxed);
        *call = Call { stage: Stage::Setup, until: 0, items: SmallVec::new() };
    }

    fn add(&self, call: &mut Call, item: u64, bytes: Bytes) {
        let before = call.bytes();
        // What is under the same key with other content was made by a key of before: it opens no more.
        call.items.retain(|(there, _)| *there != item);
        if call.items.len() >= MAX_ITEMS {
            call.items.remove(0);
        }
        call.items.push((item, bytes));
        self.bytes.fetch_add(call.bytes(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    fn shard(&self, mark: u64) -> &RwLock<Map> {
        // The map takes the lower bits for its places.
        let index = (mark >> 32) as usize % Self::SHARDS;
        self.shards.get(index).unwrap_or(&self.shards[0]) // there are SHARDS of them
    }

    fn read(&self, mark: u64) -> RwLockReadGuard<'_, Map> {
        // Nothing is half done when a thread panics but the sums.
        self.shard(mark).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mark: u64) -> RwLockWriteGuard<'_, Map> {
        self.shard(mark).write().unwrap_or_else(PoisonError::into_inner)
    }
}
