//! What is known of strangers that are not banned: two generations of them, so that the quiet ones go without a search.

use std::collections::HashMap;
use std::time::Duration;

use super::millis;
use crate::trunk::Network;

/// Strangers by network.
#[derive(Debug)]
pub(super) struct Sources {
    /// Seen since the generations changed.
    young: HashMap<Network, Source, foldhash::fast::RandomState>,
    /// Seen before that.
    old: HashMap<Network, Source, foldhash::fast::RandomState>,
    /// Of one generation.
    room: usize,
}

/// One stranger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    /// When the messages so far would have come at the rate that is allowed (GCRA), in microseconds.
    due: u64,
    window_began: u64,
    offences: u32,
}

impl Sources {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), room: room(most) }
    }

    pub(super) fn set_room(&mut self, most: usize) {
        self.room = room(most);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// What is known of a stranger, who is in the young generation then.
    pub(super) fn of(&mut self, network: Network) -> &mut Source {
        let known = self.old.remove(&network);
        if self.young.len() >= self.room && !self.young.contains_key(&network) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(network).or_insert_with(|| known.unwrap_or_default())
    }

    pub(super) fn forget(&mut self, network: Network) {
        self.young.remove(&network);
        self.old.remove(&network);
    }
}

/// Half of the whole; at least one.
fn room(most: usize) -> usize {
    (most / 2).max(1)
}

impl Source {
    /// Takes one message of `rate` a second; a burst may be as long as a second's. False when that is too many.
    pub(super) fn take(&mut self, now: u64, rate: u32) -> bool {
        const SECOND: u64 = 1_000_000;
        let now = now.saturating_mul(1_000);
        let gap = SECOND / u64::from(rate.max(1));
        let due = self.due.max(now);
        // A calendar that was set back must not shut anybody out.
        let due = if due > now.saturating_add(2 * SECOND) { now } else { due };
        let next = due.saturating_add(gap);
        let within = next <= now.saturating_add(SECOND);
        if within {
            self.due = next;
        }
        within
    }

    /// Counts an offence; gives how many there are within the window.
    pub(super) fn offend(&mut self, now: u64, window: Duration, weight: u32) -> u32 {
        let inside = now.checked_sub(self.window_began).is_some_and(|age| age < millis(window));
        if !inside {
            (self.window_began, self.offences) = (now, 0);
        }
        self.offences = self.offences.saturating_add(weight);
        self.offences
    }
}
