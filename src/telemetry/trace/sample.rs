//! How many calls are kept: as many as are wanted, and fewer when the ring would hold too short a time. Pure.

use std::time::Duration;

/// A rate that allows for more has to last as long before more calls are kept.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most halvings: one call of 4096.
const MOST_HALVINGS: u32 = 12;

/// Chooses the part of calls that is kept: that which is wanted, halved until the ring holds long enough. Halves, so that
/// calls that are kept at one rate are kept at every higher one.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    /// Calls of a hundred, at most.
    percent: u32,
    /// Bytes that the ring holds.
    room: u64,
    hold: Duration,
    halvings: u32,
    /// Bytes that had been offered at the last look, and when that was.
    last: (u64, Duration),
    /// Since when fewer halvings would do.
    could_be_more: Option<Duration>,
    /// Bytes a second at full sampling, smoothed.
    rate: f64,
}

impl Sampler {
    pub(super) const fn new(percent: u32, room: u64, hold: Duration) -> Self {
        Self { percent, room, hold, halvings: 0, last: (0, Duration::ZERO), could_be_more: None, rate: 0.0 }
    }

    /// The largest upper half of a call's id that is kept.
    pub(super) fn threshold(&self) -> u32 {
        let wanted = u64::from(u32::MAX) * u64::from(self.percent.min(100)) / 100;
        u32::try_from(wanted >> self.halvings).unwrap_or(u32::MAX)
    }

    /// Looks at how many bytes were offered since the start, whether they were kept or not.
    pub(super) fn adapt(&mut self, offered: u64, now: Duration) -> u32 {
        let (before, then) = self.last;
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds < 0.1 {
            return self.threshold();
        }
        self.last = (offered, now);
        let rate = offered.saturating_sub(before) as f64 / seconds;
        // A burst of a second does not throw away what was to be kept; one of some seconds does.
        self.rate += (rate - self.rate) * 0.3;
        let wanted = self.wanted();
        if wanted > self.halvings {
            self.halvings = wanted;
            self.could_be_more = None;
        } else if wanted < self.halvings {
            let since = *self.could_be_more.get_or_insert(now);
            if now.saturating_sub(since) >= PATIENCE {
                self.halvings -= 1;
                self.could_be_more = Some(now);
            }
        } else {
            self.could_be_more = None;
        }
        self.threshold()
    }

    fn wanted(&self) -> u32 {
        let mut bytes = self.rate * f64::from(self.percent.min(100)) / 100.0 * self.hold.as_secs_f64();
        let mut halvings = 0;
        while bytes > self.room as f64 && halvings < MOST_HALVINGS {
            bytes /= 2.0;
            halvings += 1;
        }
        halvings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(30);

    /// So many bytes a second for so many seconds; the threshold at the end.
    fn run(sampler: &mut Sampler, rate: u64, seconds: u64) -> u32 {
        let (mut offered, mut now) = sampler.last;
        for _ in 0..seconds {
            offered += rate;
            now += Duration::from_secs(1);
            sampler.adapt(offered, now);
        }
        sampler.threshold()
    }

    #[test]
    fn all_calls_are_kept_while_there_is_room() {
        let mut sampler = Sampler::new(100, 3_000_000, HOLD);
        assert_eq!(run(&mut sampler, 90_000, 60), u32::MAX);
        assert_eq!(Sampler::new(25, 1, HOLD).threshold(), u32::MAX / 4);
    }

    #[test]
    fn fewer_calls_are_kept_under_load_and_more_when_it_is_over() {
        let mut sampler = Sampler::new(100, 3_000_000, HOLD);
        assert_eq!(run(&mut sampler, 390_000, 30), u32::MAX / 4, "four times what fits");
        assert_eq!(run(&mut sampler, 90_000, 8), u32::MAX / 4, "not at once");
        assert_eq!(run(&mut sampler, 90_000, 60), u32::MAX);
        assert_eq!(run(&mut sampler, u64::MAX / 1_000, 3), u32::MAX >> MOST_HALVINGS, "never none");
    }

    #[test]
    fn a_single_burst_changes_nothing() {
        let mut sampler = Sampler::new(100, 3_000_000, HOLD);
        run(&mut sampler, 10_000, 10);
        assert_eq!(run(&mut sampler, 250_000, 1), u32::MAX);
    }

    #[test]
    fn no_hold_keeps_every_call() {
        assert_eq!(run(&mut Sampler::new(100, 1, Duration::ZERO), 1 << 40, 20), u32::MAX);
    }
}
