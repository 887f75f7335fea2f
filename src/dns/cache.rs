//! What was learned from DNS, with its age. Bounded; no guard of the map leaves this module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::order::{Answer, Transports};
use super::resolver::{ResolveError, Settings};
use crate::sip::Transport;
use crate::trunk::Target;

/// Longer settings mean this: the sum of a time and a duration must not overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: Arc<str>,
    pub(super) port: Option<u16>,
    pub(super) transport: Option<Transport>,
    pub(super) allowed: Transports,
}

impl Key {
    pub(super) fn new(target: &Target, allowed: Transports) -> Self {
        Self { host: target.host.clone(), port: target.port, transport: target.transport, allowed }
    }
}

/// What the cache says about a target at a moment.
#[derive(Debug)]
pub(super) enum Known {
    /// Within its time to live.
    Fresh(Arc<Answer>),
    /// DNS said no, or nothing, a moment ago.
    Missing(ResolveError),
    Nothing,
    /// Past its time to live, and not yet past the time for which it may stand in.
    Stale {
        answer: Arc<Answer>,
        /// Whether it may be used before DNS was asked again: only a short while past its time to live,
        /// or when DNS was asked and did not answer.
        usable: bool,
        /// Whether DNS should be asked again now.
        refresh: bool,
    },
}

#[derive(Debug)]
enum Slot {
    Answer {
        answer: Arc<Answer>,
        fresh_until: Instant,
        /// Set when DNS was asked again in vain: not before then once more.
        retry_at: Option<Instant>,
    },
    Missing {
        error: ResolveError,
        until: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Cache {
    slots: DashMap<Key, Slot, RandomState>,
    max_entries: usize,
    stale: Duration,
    grace: Duration,
    negative_ttl: Duration,
}

impl Cache {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            slots: DashMap::with_hasher(RandomState::default()),
            max_entries: settings.max_entries.max(1),
            stale: settings.stale.min(LONGEST),
            grace: settings.grace.min(LONGEST),
            negative_ttl: settings.negative_ttl.min(LONGEST),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn look(&self, key: &Key, now: Instant) -> Known {
        let Some(slot) = self.slots.get(key) else {
            return Known::Nothing;
        };
        match slot.value() {
            Slot::Missing { error, until } if now < *until => Known::Missing(error.clone()),
            Slot::Missing { .. } => Known::Nothing,
            Slot::Answer { answer, fresh_until, .. } if now < *fresh_until => Known::Fresh(answer.clone()),
            Slot::Answer { fresh_until, .. } if now >= *fresh_until + self.stale => Known::Nothing,
            Slot::Answer { answer, fresh_until, retry_at } => Known::Stale {
                answer: answer.clone(),
                usable: retry_at.is_some() || now < *fresh_until + self.grace,
                refresh: retry_at.is_none_or(|retry_at| now >= retry_at),
            },
        }
    }

    /// Keeps an answer for its time to live. Returns whether another entry had to go for it.
    pub(super) fn keep(&self, key: Key, answer: Arc<Answer>, ttl: Duration, now: Instant) -> bool {
        self.put(key, Slot::Answer { answer, fresh_until: now + ttl, retry_at: None }, now)
    }

    /// Notes that a lookup failed: an older answer stands in when DNS did not answer, and goes when DNS
    /// said no. Returns whether another entry had to go.
    pub(super) fn keep_failure(&self, key: Key, error: &ResolveError, now: Instant) -> bool {
        if error.is_temporary() && self.prolong(&key, now) {
            return false;
        }
        self.put(key, Slot::Missing { error: error.clone(), until: now + self.negative_ttl }, now)
    }

    /// Lets an answer that is not too old stand in until the next try; false when there is none.
    fn prolong(&self, key: &Key, now: Instant) -> bool {
        match self.slots.get_mut(key).as_deref_mut() {
            Some(Slot::Answer { fresh_until, retry_at, .. }) if now < *fresh_until + self.stale => {
                *retry_at = Some(now + self.negative_ttl);
                true
            }
            _ => false,
        }
    }

    fn put(&self, key: Key, slot: Slot, now: Instant) -> bool {
        let crowded = !self.slots.contains_key(&key) && self.slots.len() >= self.max_entries;
        if crowded {
            self.make_room(now);
        }
        self.slots.insert(key, slot);
        crowded
    }

    /// Removes what is of no use any more, and otherwise the entry that ran out first.
    fn make_room(&self, now: Instant) {
        let last_use = |slot: &Slot| match slot {
            Slot::Answer { fresh_until, .. } => *fresh_until + self.stale,
            Slot::Missing { until, .. } => *until,
        };
        self.slots.retain(|_, slot| now < last_use(slot));
        while self.slots.len() >= self.max_entries {
            let oldest = self.slots.iter().min_by_key(|entry| last_use(entry.value())).map(|entry| entry.key().clone());
            match oldest {
                Some(key) => self.slots.remove(&key),
                None => return,
            };
        }
    }
}

#[cfg(test)]
mod tests;
