//! A tenant's users and when the next of them are asked for.

use std::collections::VecDeque;
use std::time::Duration;

use super::ring::Ring;
use super::{MAX_IDS, MAX_IN_FLIGHT, SHORTEST, SILENT_ROUNDS, Settings};
use crate::presence::UserKey;
use crate::transaction::Moment;

/// A tenant's users and when the next of them are asked for.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) all: Ring,
    pub(super) near: Ring,
    pub(super) next_all: Moment,
    pub(super) next_near: Moment,
    /// Users to be asked for once, and when.
    pub(super) checks: VecDeque<(Moment, UserKey)>,
    /// Parts of a request that was refused as a whole, to find out whose fault it was.
    pub(super) parts: VecDeque<Vec<UserKey>>,
    pub(super) in_flight: usize,
    /// Requests that were refused since one was answered.
    pub(super) refusals: u32,
    pub(super) blocked_until: Moment,
    /// When Graph answered last.
    pub(super) heard_at: Moment,
}

impl Lane {
    pub(super) fn new(first: Moment) -> Self {
        Self {
            all: Ring::default(),
            near: Ring::default(),
            next_all: first,
            next_near: first,
            checks: VecDeque::new(),
            parts: VecDeque::new(),
            in_flight: 0,
            refusals: 0,
            blocked_until: Moment::START,
            heard_at: first,
        }
    }

    /// When somebody is to be asked for; `None`: an answer comes first, or there is nobody.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        if self.in_flight >= MAX_IN_FLIGHT || self.all.is_empty() {
            return None;
        }
        let near = (!self.near.is_empty()).then_some(self.next_near);
        let check = self.checks.front().map(|(at, _)| *at);
        let part = (!self.parts.is_empty()).then_some(Moment::START);
        let next = [near, check, part].into_iter().flatten().fold(self.next_all, Moment::min);
        Some(next.max(self.blocked_until))
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.next_wake().is_some_and(|at| at <= now)
    }

    /// Whether Graph has not answered for so long that what it said before counts no more.
    pub(super) fn is_silent(&self, now: Moment, interval: Duration) -> bool {
        now.since(self.heard_at) >= interval * SILENT_ROUNDS
    }

    pub(super) fn take_check(&mut self, now: Moment) -> Option<UserKey> {
        self.checks.front().filter(|(at, _)| *at <= now)?;
        self.checks.pop_front().map(|(_, key)| key)
    }

    /// Requests in 30 seconds.
    pub(super) fn demand(&self, settings: &Settings) -> u32 {
        let rounds = |interval: Duration| 30.0 / interval.max(SHORTEST).as_secs_f64();
        let near = if self.near.is_empty() { 0.0 } else { f64::from(self.near.parts(MAX_IDS)) };
        let requests =
            rounds(settings.interval) * f64::from(self.all.parts(MAX_IDS)) + rounds(settings.interval_watched) * near;
        requests.ceil() as u32 + 1
    }
}
