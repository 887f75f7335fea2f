//! How long the dial plans take to answer: once a second the number of a recent call is looked up again, beside the calls,
//! so that no call pays for the clock.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::routing::Routing;
use crate::telemetry::metrics::{Buckets, Kind, Page, Series};

/// Upper bounds in seconds: from a plan in the processor's cache to one that was swapped out.
const BOUNDS: &[f64] =
    &[0.000_000_1, 0.000_000_25, 0.000_000_5, 0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_1, 0.001];

/// Plans that are asked each time.
const PLANS: usize = 8;

/// Samples of lookups.
#[derive(Debug)]
pub struct Lookups {
    /// The next number is wanted.
    wanted: AtomicBool,
    number: Mutex<Box<str>>,
    times: Mutex<Buckets>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { wanted: AtomicBool::new(false), number: Mutex::default(), times: Mutex::new(Buckets::new(BOUNDS)) }
    }
}

impl Lookups {
    /// Somebody has called this number.
    pub fn called(&self, number: &str) {
        if self.wanted.load(Relaxed) && !number.is_empty() && self.wanted.swap(false, Relaxed) {
            *lock(&self.number) = number.into();
        }
    }

    /// Looks the last number up that is known; it is taken once.
    pub fn sample(&self, routing: &Routing) {
        let number = std::mem::take(&mut *lock(&self.number));
        self.wanted.store(true, Relaxed);
        if number.is_empty() {
            return;
        }
        for plan in routing.plans().iter().take(PLANS) {
            let begun = Instant::now();
            black_box(plan.find(number.as_bytes()));
            let took = begun.elapsed();
            lock(&self.times).record(took.as_secs_f64());
        }
    }
}

impl Series for Lookups {
    fn write(&self, page: &mut Page) {
        let times = lock(&self.times).clone();
        let help = "Time of lookups in a dial plan, a sample a second of numbers that were called";
        page.family("trunkway_dialplan_lookup_seconds", Kind::Histogram, help).histogram(&[], &times);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_once_a_sample() {
        let lookups = Lookups::default();
        lookups.called("+441632760000");
        assert_eq!(**lock(&lookups.number), *"", "nobody has asked for one");
        lookups.sample(&Routing::default());
        lookups.called("");
        lookups.called("+441632760001");
        lookups.called("+441632760002");
        assert_eq!(**lock(&lookups.number), *"+441632760001");
        lookups.sample(&Routing::default());
        assert_eq!(**lock(&lookups.number), *"");
    }
}
