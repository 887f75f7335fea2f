//! The state machine of one target: events and time in, changes and the time of the next OPTIONS out.

use std::time::Duration;

use super::settings::Verdict;
use super::{By, Event, Outcome, Reason, Settings, State};
use crate::transaction::Moment;

/// The least from one OPTIONS to a target to the next, whatever happens.
pub const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// The first wait of a target that is not up, at most; each further one is twice as long, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// The longest that a target stays down which nobody asks.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What is known of one target and when it is asked next.
///
/// The owner hands in events through [`Health::handle`] and, when [`Health::next_wake`] has come, the time through
/// [`Health::handle_time`]. When that says so the owner asks the target and ends each such round with one event by
/// [`By::Options`]. `draw` is a random number, for jitter.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    state: State,
    reason: Reason,
    since: Moment,
    /// Failures in a row.
    bad: u8,
    /// Good answers in a row while down.
    good: u8,
    /// How often the wait was doubled.
    doublings: u8,
    /// OPTIONS are under way.
    asking: bool,
    /// When the last round of OPTIONS began.
    asked: Option<Moment>,
    next_ask: Option<Moment>,
    /// The peer asked to be left alone until then.
    wait_until: Option<Moment>,
    /// Nobody asks the target: it is tried in its place again from then on.
    rest_until: Option<Moment>,
}

/// A state that gave way to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: State,
    pub to: State,
    pub reason: Reason,
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Ask the target now: a round of OPTIONS has begun.
    pub ask: bool,
    pub change: Option<Change>,
}

impl Health {
    /// A target of which nothing is known. It is first asked within `spread`, so that many are not asked at once.
    pub fn new(settings: &Settings, now: Moment, spread: Duration, draw: u32) -> Self {
        let share = u128::from(draw) * spread.as_millis() / u128::from(u32::MAX);
        let first = Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX)).min(spread);
        Self {
            state: State::Up,
            reason: Reason::Assumed,
            since: now,
            bad: 0,
            good: 0,
            doublings: 0,
            asking: false,
            asked: None,
            next_ask: settings.interval.map(|_| now + first),
            wait_until: None,
            rest_until: None,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why the target is in its state; always the news that is latest.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When the target came into its state.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// When [`Health::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        let waits = [self.next_ask.filter(|_| !self.asking), self.rest_until];
        waits.into_iter().flatten().min()
    }

    /// Takes what was heard of the target.
    pub fn handle(&mut self, now: Moment, event: Event, settings: &Settings, draw: u32) -> Option<Change> {
        self.asking &= event.by != By::Options;
        let before = self.state;
        let (state, reason) = match settings.verdict(event) {
            Verdict::Alive => self.alive(now, event, settings),
            Verdict::Missed => self.missed(event, settings, 1),
            Verdict::Gone => self.missed(event, settings, settings.down_after.max(1)),
            Verdict::Wait(wait) => {
                self.missed(event, settings, settings.down_after.max(1));
                self.wait_until = Some(now + wait);
                (State::Down, Reason::Waits { by: event.by, wait })
            }
        };
        let change = self.enter(now, state, reason);
        match settings.interval {
            Some(interval) => self.plan_ask(now, event, before, interval, draw),
            None => self.plan_rest(now, before, draw),
        }
        change
    }

    /// Takes the time; early calls do no harm.
    pub fn handle_time(&mut self, now: Moment, settings: &Settings) -> Due {
        let mut due = Due::default();
        if self.rest_until.is_some_and(|at| at <= now) {
            self.rest_until = None;
            self.wait_until = None;
            // The next failure is enough, so that one call in a while is what a dead target costs.
            self.bad = settings.down_after.saturating_sub(1);
            due.change = self.enter(now, State::Suspect, Reason::WaitOver);
        }
        if !self.asking && self.next_ask.is_some_and(|at| at <= now) {
            self.asking = true;
            self.asked = Some(now);
            self.next_ask = None;
            due.ask = true;
        }
        due
    }

    /// Goes on under other settings, with what is known; a round that was under way will not be heard of.
    pub fn follow(&mut self, now: Moment, settings: &Settings, draw: u32) {
        self.asking = false;
        match settings.interval {
            Some(interval) => {
                self.rest_until = None;
                self.next_ask = Some(self.not_too_early(now, now + jittered(self.gap(interval), draw)));
            }
            None => {
                self.next_ask = None;
                self.plan_rest(now, State::Up, draw);
            }
        }
    }

    fn alive(&mut self, now: Moment, event: Event, settings: &Settings) -> (State, Reason) {
        let status = match event.what {
            Outcome::Answered { status, .. } => status,
            // Only answers are signs of life.
            Outcome::Silent | Outcome::NotSent(_) | Outcome::Unresolved => 0,
        };
        if self.wait_until.is_some_and(|until| now < until) {
            return (self.state, self.reason);
        }
        self.wait_until = None;
        self.bad = 0;
        self.doublings = 0;
        if self.state == State::Down {
            self.good = self.good.saturating_add(1);
            if self.good < settings.up_after {
                let (times, wanted) = (self.good, settings.up_after);
                return (State::Down, Reason::Returns { by: event.by, status, times, wanted });
            }
        }
        (State::Up, Reason::Answers { by: event.by, status })
    }

    /// One more failure, which counts as at least `weight` in a row.
    fn missed(&mut self, event: Event, settings: &Settings, weight: u8) -> (State, Reason) {
        self.good = 0;
        self.bad = self.bad.saturating_add(1).max(weight);
        let down = self.state == State::Down || self.bad >= settings.down_after;
        let in_a_row = match weight {
            1 => self.bad,
            // It was enough by itself.
            _ => 1,
        };
        let reason = match self.reason {
            // What it asked for says more than that others met with its refusal as well.
            Reason::Waits { .. } if self.state == State::Down && event.by == By::Call => self.reason,
            _ => Reason::Fails { by: event.by, what: event.what, in_a_row },
        };
        (if down { State::Down } else { State::Suspect }, reason)
    }

    fn enter(&mut self, now: Moment, state: State, reason: Reason) -> Option<Change> {
        self.reason = reason;
        if state == self.state {
            return None;
        }
        let from = std::mem::replace(&mut self.state, state);
        self.since = now;
        self.good = 0;
        Some(Change { from, to: state, reason })
    }

    /// Sets the time of the next OPTIONS after an event.
    fn plan_ask(&mut self, now: Moment, event: Event, before: State, interval: Duration, draw: u32) {
        if self.asking {
            return;
        }
        let last = self.asked.unwrap_or(now);
        let at = match event.by {
            By::Options => {
                let gap = if self.doubles() { self.gap(interval) } else { interval };
                if self.doubles() {
                    self.doublings = self.doublings.saturating_add(1);
                }
                last + jittered(gap, draw)
            }
            // A call that failed is a reason to ask at once, but further ones are none to ask more often.
            By::Call if before == State::Up && self.state != State::Up => now,
            By::Call => match self.next_ask {
                Some(at) => at,
                None => last + jittered(interval, draw),
            },
        };
        self.next_ask = Some(self.not_too_early(now, at));
    }

    /// Whether the waits from one OPTIONS to the next are those of a target that is not up.
    fn doubles(&self) -> bool {
        self.state != State::Up
    }

    /// The wait of a target that is not up.
    fn gap(&self, interval: Duration) -> Duration {
        if !self.doubles() {
            return interval;
        }
        let first = (interval / 12).clamp(SHORTEST_GAP, FIRST_RETRY);
        doubled(first, self.doublings).min(interval)
    }

    /// A time for OPTIONS that neither follows the last ones too soon nor disturbs who wants to be left alone.
    fn not_too_early(&self, now: Moment, at: Moment) -> Moment {
        let after_last = self.asked.map_or(now, |asked| asked + SHORTEST_GAP);
        at.max(now).max(after_last).max(self.wait_until.unwrap_or(now))
    }

    /// Sets when a target that nobody asks is tried again.
    fn plan_rest(&mut self, now: Moment, before: State, draw: u32) {
        if self.state != State::Down {
            self.rest_until = None;
            return;
        }
        if let Some(until) = self.wait_until.filter(|&until| until > now) {
            self.rest_until = Some(until);
        } else if before != State::Down || self.rest_until.is_none() {
            let rest = doubled(FIRST_RETRY, self.doublings).min(LONGEST_REST);
            self.doublings = self.doublings.saturating_add(1);
            self.rest_until = Some(now + jittered(rest, draw));
        }
    }
}

/// `first` times two to the power of `doublings`.
fn doubled(first: Duration, doublings: u8) -> Duration {
    first.saturating_mul(1u32.checked_shl(u32::from(doublings)).unwrap_or(u32::MAX))
}

/// Nine tenths of the time and a random share of the last one: never more, since peers count how long they wait.
fn jittered(time: Duration, draw: u32) -> Duration {
    let tenth = time / 10;
    let share = tenth.as_millis().saturating_mul(u128::from(draw)) / u128::from(u32::MAX);
    time - tenth + Duration::from_millis(u64::try_from(share).unwrap_or(0)).min(tenth)
}
