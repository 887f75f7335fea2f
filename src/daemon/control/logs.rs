//! Behind the door: what is logged.

use std::time::Duration;

use super::Desk;
use crate::admin::{self, LogChange, LogRefusal, LogStatus};
use crate::cdr::entry::rfc3339;
use crate::daemon::clock::Clock;
use crate::telemetry::logs::{self, Logs};

/// The longest that levels may be set for, in seconds; for longer, there is the configuration.
const MAX_FOR_S: u64 = 86_400;

impl admin::Logs for Desk {
    fn log(&self) -> Result<LogStatus, LogRefusal> {
        Ok(status(logs::installed().ok_or(LogRefusal::NotOurs)?))
    }

    fn set_log(&self, change: &LogChange) -> Result<LogStatus, LogRefusal> {
        let logs = logs::installed().ok_or(LogRefusal::NotOurs)?;
        if change.for_s.is_some_and(|seconds| !(1..=MAX_FOR_S).contains(&seconds)) {
            return Err(LogRefusal::TooLong(MAX_FOR_S));
        }
        let time = change.for_s.map(Duration::from_secs);
        let until = change.for_s.map(|seconds| Clock::start().unix_millis().saturating_add(seconds * 1_000));
        let number =
            logs.set(change.filter.as_deref(), until).map_err(|error| LogRefusal::BadFilter(error.to_string()))?;
        let levels = logs.levels();
        tracing::info!(filter = levels.filter(), for_s = change.for_s, "the log has other levels");
        if let (Some(time), Some(_)) = (time, &levels.instead) {
            // On the runtime, since the request's own thread is not kept for it.
            tokio::runtime::Handle::current().spawn(async move {
                tokio::time::sleep(time).await;
                logs.end(number);
            });
        }
        Ok(status(logs))
    }
}

fn status(logs: &Logs) -> LogStatus {
    let levels = logs.levels();
    LogStatus {
        filter: levels.filter().to_owned(),
        until: levels.instead.as_ref().and_then(|instead| instead.until_unix_ms).map(rfc3339),
        configured: levels.configured,
        format: logs.format().word().to_owned(),
        dropped: logs.dropped(),
    }
}
