//! The one clock of the daemon, from which the pure core's moments and dates come.

use std::time::{Duration, Instant, SystemTime};

use crate::transaction::Moment;

/// Monotonic time since the daemon was built.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The time since the start, in milliseconds.
    pub fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Seconds since 1970 UTC, as the machine's calendar has it now.
    pub fn unix(&self) -> u64 {
        self.unix_millis() / 1_000
    }

    /// Milliseconds since 1970 UTC, as the machine's calendar has it now.
    pub fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
