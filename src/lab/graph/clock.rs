//! The stand-in's own time, which a test may let jump: what it gave a lifetime ages with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A point in the stand-in's time: milliseconds since it started.
pub(super) type At = u64;

/// Time that runs with the machine's, and forward when told.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    wall: SystemTime,
    skipped: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now(), skipped: AtomicU64::new(0) }
    }

    /// Lets time jump forward.
    pub(super) fn advance(&self, by: Duration) {
        self.skipped.fetch_add(millis(by), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> At {
        millis(self.start.elapsed()).saturating_add(self.skipped.load(Ordering::Relaxed))
    }

    /// A point in time as Graph writes it: `2026-11-22T12:00:00.000Z`.
    pub(super) fn date(&self, at: At) -> String {
        let unix = self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let moment = i64::try_from(millis(unix).saturating_add(at)).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(moment).map(|moment| moment.to_string()).unwrap_or_default()
    }

    /// The point in the stand-in's time that a date names; `None`: no date, or one before the start.
    pub(super) fn at(&self, date: &str) -> Option<At> {
        let moment: jiff::Timestamp = date.parse().ok()?;
        let unix = self.wall.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let moment = u64::try_from(moment.as_millisecond()).ok()?;
        // A jump is not seen by those outside: their dates are by the machine's clock.
        moment.checked_sub(millis(unix)).map(|at| at.saturating_add(self.skipped.load(Ordering::Relaxed)))
    }

    /// Seconds since 1970 by the machine's clock, which judges what others signed.
    pub(super) fn unix_seconds(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// Whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
