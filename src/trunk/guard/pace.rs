//! How many requests a second a trunk may send: one number that workers share without a lock (GCRA).

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000;

/// A rate with a burst of one second.
#[derive(Debug, Default)]
pub struct Pace {
    /// Microseconds between two requests; zero: as many as come.
    gap: u64,
    /// When the requests so far would have come at the rate.
    due: AtomicU64,
}

impl Pace {
    /// `per_second` requests; zero: as many as come.
    pub fn new(per_second: u32) -> Self {
        let gap = SECOND.checked_div(u64::from(per_second)).map_or(0, |gap| gap.max(1));
        Self { gap, due: AtomicU64::new(0) }
    }

    /// Takes one request at `now`, in milliseconds of the process's clock; false when it is one too many.
    pub fn take(&self, now: u64) -> bool {
        if self.gap == 0 {
            return true;
        }
        let now = now.saturating_mul(1_000);
        let next = |due: u64| {
            let next = due.max(now).saturating_add(self.gap);
            (next <= now.saturating_add(SECOND.max(self.gap))).then_some(next)
        };
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_taken_at_once_and_no_more() {
        let pace = Pace::new(50);
        let taken = |now| (0..1_000).filter(|_| pace.take(now)).count();
        assert_eq!(taken(10_000), 50);
        assert_eq!(taken(10_100), 5);
        assert_eq!(taken(20_000), 50);
        let free = Pace::new(0);
        assert!((0..1_000).all(|_| free.take(1)));
        let slow = Pace::new(1);
        assert_eq!([1, 2, 1_002, 1_500, 2_100].map(|now| slow.take(now)), [true, false, true, false, true]);
    }
}
