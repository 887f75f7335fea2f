//! The timers of RFC 3261 section 17 and RFC 6026, from four base values.

use std::time::Duration;

use super::time;

/// The base values of all transaction timers (RFC 3261 table 4); the rest are derived from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of the round-trip time; first retransmission interval (RFC 3261 section 17.1.1.1).
    pub t1: Duration,
    /// Longest retransmission interval of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// How long a proxied INVITE may ring (RFC 3261 section 16.6 step 11: more than three minutes).
    pub timer_c: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(181),
        }
    }
}

impl Timing {
    /// The smallest timer D on unreliable transports, whatever T1 is (RFC 3261 section 17.1.1.2).
    const MIN_TIMER_D: Duration = Duration::from_secs(32);

    /// Timer B: how long an INVITE waits for any response (RFC 3261 section 17.1.1.2).
    pub fn timer_b(&self) -> Duration {
        self.times_64_t1()
    }

    /// Timer D: how long an INVITE client absorbs copies of a 300-699 (RFC 3261 section 17.1.1.2).
    pub fn timer_d(&self, reliable: bool) -> Duration {
        unless(reliable, self.times_64_t1().max(Self::MIN_TIMER_D))
    }

    /// Timer F: how long a non-INVITE request waits for a final response (RFC 3261 section 17.1.2.2).
    pub fn timer_f(&self) -> Duration {
        self.times_64_t1()
    }

    /// Timer H: how long an INVITE server waits for the ACK (RFC 3261 section 17.2.1).
    pub fn timer_h(&self) -> Duration {
        self.times_64_t1()
    }

    /// Timer I: how long an INVITE server absorbs copies of the ACK (RFC 3261 section 17.2.1).
    pub fn timer_i(&self, reliable: bool) -> Duration {
        unless(reliable, self.t4)
    }

    /// Timer J: how long a non-INVITE server absorbs copies of the request (RFC 3261 section 17.2.2).
    pub fn timer_j(&self, reliable: bool) -> Duration {
        unless(reliable, self.times_64_t1())
    }

    /// Timer K: how long a non-INVITE client absorbs copies of the response (RFC 3261 section 17.1.2.2).
    pub fn timer_k(&self, reliable: bool) -> Duration {
        unless(reliable, self.t4)
    }

    /// Timer L: how long an INVITE server stays after a 2xx (RFC 6026 section 7.1), on all transports.
    pub fn timer_l(&self) -> Duration {
        self.times_64_t1()
    }

    /// Timer M: how long an INVITE client stays after a 2xx (RFC 6026 section 7.2), on all transports.
    pub fn timer_m(&self) -> Duration {
        self.times_64_t1()
    }

    /// The first interval of timers A, E and G.
    pub(super) fn first_interval(&self) -> Interval {
        Interval::of(self.t1)
    }

    /// The interval of timer E once a provisional response has come (RFC 3261 section 17.1.2.2).
    pub(super) fn slow_interval(&self) -> Interval {
        Interval::of(self.t2)
    }

    fn times_64_t1(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

fn unless(reliable: bool, duration: Duration) -> Duration {
    if reliable { Duration::ZERO } else { duration }
}

/// A retransmission interval in milliseconds: 4 bytes of a machine, enough for 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(u32);

impl Interval {
    /// At least a millisecond: with a zero interval, time would stand still at one moment.
    fn of(duration: Duration) -> Self {
        Self(u32::try_from(time::millis(duration)).unwrap_or(u32::MAX).max(1))
    }

    /// Twice the interval (timer A).
    pub(super) fn doubled(self) -> Self {
        Self(self.0.saturating_mul(2))
    }

    /// Twice the interval, at most T2 (timers E and G).
    pub(super) fn doubled_up_to_t2(self, timing: &Timing) -> Self {
        Self(self.doubled().0.min(timing.slow_interval().0))
    }

    /// The interval as a duration.
    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_table_4() {
        let timing = Timing::default();
        let seconds = Duration::from_secs;
        for timer in [
            timing.timer_b(),
            timing.timer_d(false),
            timing.timer_f(),
            timing.timer_h(),
            timing.timer_j(false),
            timing.timer_l(),
            timing.timer_m(),
        ] {
            assert_eq!(timer, seconds(32));
        }
        assert_eq!(timing.timer_i(false), seconds(5));
        assert_eq!(timing.timer_k(false), seconds(5));
        assert!(timing.timer_c > seconds(180));
        for timer in [timing.timer_d(true), timing.timer_i(true), timing.timer_j(true), timing.timer_k(true)] {
            assert_eq!(timer, Duration::ZERO);
        }
    }

    #[test]
    fn timer_d_stays_at_32_seconds_when_t1_is_small() {
        let timing = Timing { t1: Duration::from_millis(100), ..Timing::default() };
        assert_eq!(timing.timer_b(), Duration::from_millis(6400));
        assert_eq!(timing.timer_d(false), Duration::from_secs(32));
        let slow = Timing { t1: Duration::from_secs(1), ..Timing::default() };
        assert_eq!(slow.timer_d(false), Duration::from_secs(64));
    }

    #[test]
    fn intervals_double_and_saturate() {
        let timing = Timing::default();
        let mut interval = timing.first_interval();
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(interval.duration().as_millis());
            interval = interval.doubled_up_to_t2(&timing);
        }
        assert_eq!(seen, [500, 1000, 2000, 4000, 4000]);
        let huge = Interval::of(Duration::MAX);
        assert_eq!(huge.doubled(), huge);
    }
}
