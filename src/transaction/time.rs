//! The clock of the pure core: milliseconds since the process started.
//!
//! `std::time::Instant` is 16 bytes (24 with `Option`) and cannot be made in a test; a [`Moment`] is 8
//! bytes and any test can name one. The driver makes it from a monotonic clock, once per wake-up.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in milliseconds since the process started; 64 bits never run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The start of the process.
    pub const START: Self = Self(0);

    /// The moment that lies `millis` milliseconds after the start of the process.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of the process.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment, zero when `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Parts of a millisecond round up, so that what is set by the sum never fires early.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// Stops at the start of the process.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Milliseconds of a duration, parts rounded up.
pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_nanos().div_ceil(1_000_000)))
}

/// An `Option<Moment>` in 8 bytes: a timer that is set, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline(u64);

impl Deadline {
    /// The timer is not set.
    pub(super) const UNSET: Self = Self(u64::MAX);

    /// The timer fires at `moment`.
    pub(super) const fn at(moment: Moment) -> Self {
        Self(moment.0)
    }

    /// The timer fires `duration` after `now`.
    pub(super) fn after(now: Moment, duration: Duration) -> Self {
        Self::at(now + duration)
    }

    /// Whether the timer is set and its time has come.
    pub(super) const fn is_due(self, now: Moment) -> bool {
        self.0 <= now.0 && self.0 != u64::MAX
    }

    /// The moment at which the timer fires, when it is set.
    pub(super) const fn moment(self) -> Option<Moment> {
        if self.0 == u64::MAX { None } else { Some(Moment(self.0)) }
    }

    /// The timer that fires first.
    pub(super) const fn earlier(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_millisecond_round_up() {
        assert_eq!(Moment::START + Duration::from_micros(1), Moment::from_millis(1));
        assert_eq!(Moment::START + Duration::from_micros(1000), Moment::from_millis(1));
        assert_eq!(Moment::from_millis(7) + Duration::from_nanos(1_000_001), Moment::from_millis(9));
    }

    #[test]
    fn sums_and_differences_stop_at_the_ends() {
        assert_eq!(Moment::from_millis(5) + Duration::MAX, Moment::from_millis(u64::MAX));
        assert_eq!(Moment::from_millis(5) - Duration::from_secs(1), Moment::START);
        assert_eq!(Moment::from_millis(5) - Moment::from_millis(9), Duration::ZERO);
        assert_eq!(Moment::from_millis(9) - Moment::from_millis(5), Duration::from_millis(4));
    }

    #[test]
    fn an_unset_deadline_is_never_due() {
        assert!(!Deadline::UNSET.is_due(Moment::from_millis(u64::MAX)));
        assert_eq!(Deadline::UNSET.moment(), None);
        let set = Deadline::at(Moment::from_millis(3));
        assert!(!set.is_due(Moment::from_millis(2)));
        assert!(set.is_due(Moment::from_millis(3)));
        assert_eq!(set.earlier(Deadline::UNSET), set);
        assert_eq!(Deadline::UNSET.earlier(set), set);
    }
}
