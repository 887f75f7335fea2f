//! In which order and how fast each trunk is asked.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::transaction::Moment;
use crate::trunk::TrunkId;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// What keeps a subscription that is there.
    Kept,
    /// New ones, and goodbyes.
    Fresh,
}

/// A subscription: its place and generation.
pub(super) type Ticket = (u32, u32);

/// The lines of all trunks. Each subscription stands in one once at the most, so they are bounded with these.
#[derive(Debug)]
pub(super) struct Pace {
    /// Microseconds from one request to the next.
    step: u64,
    lanes: HashMap<TrunkId, Lane, foldhash::fast::RandomState>,
}

#[derive(Debug, Default)]
struct Lane {
    /// When the next may go, in microseconds since the process started.
    next: u64,
    kept: VecDeque<Ticket>,
    fresh: VecDeque<Ticket>,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { step: step(per_second), lanes: HashMap::default() }
    }

    pub(super) fn set_rate(&mut self, per_second: u32) {
        self.step = step(per_second);
    }

    /// Stands in line.
    pub(super) fn push(&mut self, now: Moment, trunk: TrunkId, rank: Rank, ticket: Ticket) {
        let lane = self.lanes.entry(trunk).or_default();
        if lane.is_empty() {
            lane.next = lane.next.max(micros(now));
        }
        match rank {
            Rank::Kept => lane.kept.push_back(ticket),
            Rank::Fresh => lane.fresh.push_back(ticket),
        }
    }

    /// Takes those out whose time has come. When the caller comes late, up to a tenth of a second is made up for.
    pub(super) fn take(&mut self, now: Moment, ready: &mut Vec<Ticket>) {
        let (now, step) = (micros(now), self.step);
        for lane in self.lanes.values_mut() {
            if lane.is_empty() {
                continue;
            }
            lane.next = lane.next.max(now.saturating_sub(MADE_UP));
            while lane.next <= now
                && let Some(ticket) = lane.kept.pop_front().or_else(|| lane.fresh.pop_front())
            {
                ready.push(ticket);
                lane.next += step;
            }
            for line in [&mut lane.kept, &mut lane.fresh] {
                if line.is_empty() {
                    line.shrink_to(SMALL);
                }
            }
        }
    }

    /// When [`Self::take`] gives something.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        let waiting = self.lanes.values().filter(|lane| !lane.is_empty());
        waiting.map(|lane| Moment::from_millis(lane.next.div_ceil(1_000))).min()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let tickets: usize = self.lanes.values().map(|lane| lane.kept.capacity() + lane.fresh.capacity()).sum();
        tickets * size_of::<Ticket>() + self.lanes.capacity() * size_of::<(TrunkId, Lane)>()
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.fresh.is_empty()
    }
}

fn step(per_second: u32) -> u64 {
    1_000_000 / u64::from(per_second.max(1))
}

fn micros(moment: Moment) -> u64 {
    moment.as_millis().saturating_mul(1_000)
}

const MADE_UP: u64 = Duration::from_millis(100).as_micros() as u64;
/// Places of a line that are kept when it is empty.
const SMALL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trunk_is_asked_at_its_rate_and_kept_ones_go_first() {
        let mut pace = Pace::new(50);
        let start = Moment::from_millis(10_000);
        for slot in 0..100 {
            pace.push(start, TrunkId(1), Rank::Fresh, (slot, 0));
            pace.push(start, TrunkId(2), Rank::Fresh, (1_000 + slot, 0));
        }
        pace.push(start, TrunkId(1), Rank::Kept, (500, 0));
        assert_eq!(pace.next_wake(), Some(start));
        let mut ready = Vec::new();
        let mut now = start;
        pace.take(now, &mut ready);
        assert!(ready.len() == 2 && ready.contains(&(500, 0)), "{ready:?}");
        while let Some(wake) = pace.next_wake() {
            assert!(wake > now);
            now = wake;
            pace.take(now, &mut ready);
        }
        assert_eq!(ready.len(), 201);
        assert_eq!(now, start + Duration::from_secs(2));
    }

    #[test]
    fn a_late_caller_makes_up_for_a_little_only() {
        let mut pace = Pace::new(50);
        (0..100).for_each(|slot| pace.push(Moment::START, TrunkId(0), Rank::Fresh, (slot, 0)));
        let mut ready = Vec::new();
        pace.take(Moment::from_millis(60_000), &mut ready);
        assert_eq!(ready.len(), 6);
        assert_eq!(pace.next_wake(), Some(Moment::from_millis(60_020)));
    }
}
