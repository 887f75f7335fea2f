//! INVITEs that were refused without a transaction, for as long as copies of them may come: a copy is answered alike
//! (RFC 3261 section 8.2.7), counts against no limit and is told of nowhere.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::KeyHasher;
use crate::call::screen::Refusal;
use crate::transaction::{Key, Moment};

/// Refusals that one shard remembers; the oldest goes first. A copy of one that was forgotten is looked at anew.
const MOST: usize = 256;

/// The refusals of one shard.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_key: HashMap<Key, Refusal, BuildHasherDefault<KeyHasher>>,
    /// When each is forgotten, oldest first.
    order: VecDeque<(Moment, Key)>,
}

impl Refusals {
    /// How a request was refused before.
    pub fn of(&mut self, key: Key, now: Moment) -> Option<Refusal> {
        if self.by_key.is_empty() {
            return None;
        }
        while let Some(&(until, oldest)) = self.order.front()
            && until <= now
        {
            self.order.pop_front();
            self.by_key.remove(&oldest);
        }
        self.by_key.get(&key).cloned()
    }

    /// Remembers a refusal for as long as a caller may repeat its request.
    pub fn add(&mut self, key: Key, refusal: Refusal, (now, memory): (Moment, Duration)) {
        if self.order.len() >= MOST
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        if self.by_key.insert(key, refusal).is_none() {
            self.order.push_back((now + memory, key));
        }
    }
}
