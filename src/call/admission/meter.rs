//! A meter: calls in progress in each direction, and when calls have begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Scope, Way};
use crate::transaction::Moment;
use crate::trunk::{CallLimits, CallRate};

/// Between two warnings of one meter, in milliseconds.
const QUIET_MS: u64 = 60_000;

const SECOND_US: u64 = 1_000_000;

/// A limit of a meter, by its key in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    MaxCalls,
    MaxCallsIn,
    MaxCallsOut,
    MaxCallsPerSecond,
}

impl Key {
    /// The key.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MaxCalls => "max_calls",
            Self::MaxCallsIn => "max_calls_in",
            Self::MaxCallsOut => "max_calls_out",
            Self::MaxCallsPerSecond => "max_calls_per_second",
        }
    }
}

/// What a meter has refused and warned of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Calls that did not pass a limit.
    pub refused: u64,
    /// Times that the soft threshold was passed on the way up.
    pub soft: u64,
}

/// Counts the calls of one trunk, tenant, site or user.
#[derive(Debug)]
pub struct Meter {
    pub scope: Scope,
    pub name: Arc<str>,
    /// Calls in progress that came from there (upper half) and went there (lower half).
    used: AtomicU64,
    /// The theoretical arrival time of the generic cell rate algorithm (ITU-T I.371), in microseconds.
    arrival: AtomicU64,
    refused: AtomicU64,
    soft: AtomicU64,
    /// When there may be a warning again, in milliseconds.
    quiet_until: AtomicU64,
}

/// What a call that was let in has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entered {
    /// It has passed the soft threshold of this limit.
    pub soft: Option<Key>,
}

impl Meter {
    pub(super) fn new(scope: Scope, name: Arc<str>) -> Self {
        Self {
            scope,
            name,
            used: AtomicU64::new(0),
            arrival: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            soft: AtomicU64::new(0),
            quiet_until: AtomicU64::new(0),
        }
    }

    /// Calls in progress that came from there, and that went there.
    pub fn used(&self) -> (u32, u32) {
        halves(self.used.load(Ordering::Relaxed))
    }

    /// What was refused and warned of since the process began.
    pub fn refused(&self) -> Refused {
        Refused { refused: self.refused.load(Ordering::Relaxed), soft: self.soft.load(Ordering::Relaxed) }
    }

    /// Counts a call in, unless a limit forbids it; what is to pass in any case passes.
    pub(super) fn enter(&self, limits: Option<&CallLimits>, way: Way, pass: bool, now: Moment) -> Result<Entered, Key> {
        let limits = limits.filter(|_| !pass);
        let update = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            limits.and_then(|limits| over(limits, used, way)).is_none().then(|| used + one(way))
        });
        let refuse = |key| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            key
        };
        let before = match (update, limits) {
            (Ok(before), _) => before,
            (Err(used), Some(limits)) => return Err(refuse(over(limits, used, way).unwrap_or(Key::MaxCalls))),
            // Without limits each update is made.
            (Err(_), None) => return Err(refuse(Key::MaxCalls)),
        };
        let Some(limits) = limits else { return Ok(Entered { soft: None }) };
        let mut soft = passed_soft(limits, before, way);
        if let Some(rate) = limits.rate {
            match self.begin(rate, limits.soft_percent, now) {
                Ok(passed) => soft = soft.or(passed.then_some(Key::MaxCallsPerSecond)),
                Err(()) => {
                    self.leave(way);
                    return Err(refuse(Key::MaxCallsPerSecond));
                }
            }
        }
        if soft.is_some() {
            self.soft.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Entered { soft })
    }

    /// A call that was counted in is over.
    pub(super) fn leave(&self, way: Way) {
        self.used.fetch_sub(one(way), Ordering::Relaxed);
    }

    /// A call that was counted in does not begin, since another meter forbids it: the rate has room for another.
    pub(super) fn refund(&self, limits: Option<&CallLimits>) {
        if let Some(rate) = limits.and_then(|limits| limits.rate) {
            self.arrival.fetch_sub(interval(rate), Ordering::Relaxed);
        }
    }

    /// Whether a warning is due; then there is none for a while.
    pub(super) fn may_warn(&self, now: Moment) -> bool {
        let now = now.as_millis();
        let next = |until: u64| (until <= now).then_some(now + QUIET_MS);
        self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Lets a call begin if the rate allows it; gives whether the soft threshold was passed with it.
    fn begin(&self, rate: CallRate, soft_percent: u8, now: Moment) -> Result<bool, ()> {
        let (now, interval) = (now.as_millis().saturating_mul(1_000), interval(rate));
        let room = interval.saturating_mul(u64::from(rate.burst.max(1)));
        let mut debt = 0;
        let next = |arrival: u64| {
            let next = arrival.max(now) + interval;
            debt = next - now;
            (debt <= room).then_some(next)
        };
        self.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map_err(drop)?;
        let soft = room / 100 * u64::from(soft_percent);
        Ok(debt > soft && debt - interval <= soft)
    }
}

const fn one(way: Way) -> u64 {
    match way {
        Way::In => 1 << 32,
        Way::Out => 1,
    }
}

const fn halves(used: u64) -> (u32, u32) {
    ((used >> 32) as u32, used as u32)
}

/// Microseconds between two calls.
fn interval(rate: CallRate) -> u64 {
    SECOND_US / u64::from(rate.per_second.max(1))
}

/// The limits that a call which goes this way counts against, with what is used of each.
fn counted(limits: &CallLimits, used: u64, way: Way) -> [(Key, Option<u32>, u32); 2] {
    let (came, went) = halves(used);
    let own = match way {
        Way::In => (Key::MaxCallsIn, limits.max_calls_in, came),
        Way::Out => (Key::MaxCallsOut, limits.max_calls_out, went),
    };
    [(Key::MaxCalls, limits.max_calls, came.saturating_add(went)), own]
}

/// The limit that one call more does not pass.
fn over(limits: &CallLimits, used: u64, way: Way) -> Option<Key> {
    let full = |&(_, max, used): &(Key, Option<u32>, u32)| max.is_some_and(|max| used >= max);
    counted(limits, used, way).iter().find(|limit| full(limit)).map(|&(key, ..)| key)
}

/// The limit whose soft threshold one call more has passed.
fn passed_soft(limits: &CallLimits, used: u64, way: Way) -> Option<Key> {
    let passed = |&(_, max, used): &(Key, Option<u32>, u32)| {
        let soft = |max: u32| (u64::from(max) * u64::from(limits.soft_percent)).div_ceil(100);
        max.is_some_and(|max| u64::from(used) + 1 == soft(max).max(1))
    };
    counted(limits, used, way).iter().find(|limit| passed(limit)).map(|&(key, ..)| key)
}
