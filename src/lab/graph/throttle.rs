//! Graph's limits, counted for real: so many units in a window that slides.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::{At, millis};

/// Slices of a window: what is counted together.
const SLICES: u64 = 100;

/// A limit of Graph: so many units in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub units: u32,
    pub window: Duration,
}

impl Limit {
    /// Presence: 1500 requests in 30 s for an application in a tenant.
    pub const PRESENCE: Self = Self { units: 1_500, window: Duration::from_secs(30) };
    /// Users and groups: 3500 resource units in 10 s, as for a small tenant.
    pub const DIRECTORY: Self = Self { units: 3_500, window: Duration::from_secs(10) };
}

/// What was taken of a limit.
#[derive(Debug)]
pub(super) struct Window {
    limit: Limit,
    taken: VecDeque<(At, u32)>,
    sum: u32,
}

impl Window {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, taken: VecDeque::new(), sum: 0 }
    }

    pub(super) fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    /// Takes units, or says in how many milliseconds there will be room.
    pub(super) fn take(&mut self, now: At, units: u32) -> Result<(), u64> {
        let window = millis(self.limit.window).max(1);
        let slice = (window / SLICES).max(1);
        while let Some((begun, taken)) = self.taken.front().copied()
            && begun + window <= now
        {
            self.taken.pop_front();
            self.sum -= taken;
        }
        if self.sum.saturating_add(units) > self.limit.units {
            let missing = self.sum.saturating_add(units) - self.limit.units;
            let mut freed = 0;
            let at = self.taken.iter().find_map(|(begun, taken)| {
                freed += taken;
                (freed >= missing).then_some(begun + window)
            });
            return Err(at.map_or(window, |at| at.saturating_sub(now).max(1)));
        }
        self.sum += units;
        match self.taken.back_mut() {
            Some((begun, taken)) if *begun + slice > now => *taken += units,
            _ => self.taken.push_back((now, units)),
        }
        Ok(())
    }
}

/// A client that was told to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// When it was told.
    told: At,
    until: At,
}

/// What may be on its way while a client reads that it shall wait, in milliseconds.
const GRACE: u64 = 500;

impl Hold {
    pub(super) fn new(now: At, wait: u64) -> Self {
        Self { told: now, until: now.saturating_add(wait) }
    }

    /// Whether a request that comes now shows that the client does not wait.
    pub(super) fn is_broken(self, now: At) -> bool {
        now >= self.told + GRACE && now < self.until
    }

    pub(super) fn is_over(self, now: At) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_says_when_there_is_room() {
        let mut window = Window::new(Limit { units: 3, window: Duration::from_secs(30) });
        assert_eq!(window.take(0, 1), Ok(()));
        assert_eq!(window.take(10_000, 2), Ok(()));
        assert_eq!(window.take(12_872, 1), Err(17_128));
        assert_eq!(window.take(12_872, 2), Err(27_128));
        assert_eq!(window.take(30_000, 1), Ok(()));
        assert_eq!(window.take(30_000, 1), Err(10_000));
    }

    #[test]
    fn more_than_the_limit_never_fits() {
        let mut window = Window::new(Limit { units: 3, window: Duration::from_secs(30) });
        assert_eq!(window.take(0, 4), Err(30_000));
    }

    #[test]
    fn a_hold_is_broken_after_the_grace_and_before_its_end() {
        let hold = Hold::new(1_000, 2_128);
        let broken: Vec<bool> = [1_100, 1_600, 3_127, 3_128].into_iter().map(|now| hold.is_broken(now)).collect();
        assert_eq!(broken, [false, true, true, false]);
    }
}
