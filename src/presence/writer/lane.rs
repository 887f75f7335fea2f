//! A tenant's queues: whose turn it is, and who waits since when.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::budget::Purpose;
use crate::transaction::Moment;

/// Which queue; the first is the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    Changes,
    Refreshes,
}

impl Queue {
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Changes => Purpose::Change,
            Self::Refreshes => Purpose::Refresh,
        }
    }
}

/// A slot and its generation. An entry is not taken back when its slot needs nothing any more: whoever takes it looks.
pub(super) type Entry = (u32, u32);

/// What a tenant has to send. Each user stands in each queue about once, which bounds them.
#[derive(Debug)]
pub(super) struct Lane {
    changes: VecDeque<Entry>,
    refreshes: VecDeque<Entry>,
    /// Slots whose difference is not under way, by the time since when.
    pub waiting: BTreeSet<(Moment, u32)>,
    pub in_flight: usize,
    pub users: usize,
    pub unmatched: usize,
    /// So many of the next changes go one by one.
    pub alone: usize,
    /// Has its turn among the tenants.
    pub active: bool,
    /// Until when a backlog gathers.
    pub gathers_until: Moment,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            changes: VecDeque::new(),
            refreshes: VecDeque::new(),
            waiting: BTreeSet::new(),
            in_flight: 0,
            users: 0,
            unmatched: 0,
            alone: 0,
            active: false,
            gathers_until: Moment::START,
        }
    }
}

impl Lane {
    pub fn push(&mut self, queue: Queue, entry: Entry) {
        self.queue(queue).push_back(entry);
    }

    pub fn pop(&mut self, queue: Queue) -> Option<Entry> {
        self.queue(queue).pop_front()
    }

    pub fn len(&self, queue: Queue) -> usize {
        match queue {
            Queue::Changes => self.changes.len(),
            Queue::Refreshes => self.refreshes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.refreshes.is_empty()
    }

    /// How long the oldest change has waited.
    pub fn oldest(&self, now: Moment) -> Option<Duration> {
        self.waiting.first().map(|(since, _)| now.since(*since))
    }

    fn queue(&mut self, queue: Queue) -> &mut VecDeque<Entry> {
        match queue {
            Queue::Changes => &mut self.changes,
            Queue::Refreshes => &mut self.refreshes,
        }
    }
}
