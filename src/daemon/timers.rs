//! Turns the timers of all shards: one task, one look at each shard's next wake-up a turn.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;

/// The least between two looks. Timers of RFC 3261 start at half a second: a late one by this much is of no account.
const SHORTEST: Duration = Duration::from_millis(20);

/// The most: a timer that is set meanwhile is late by as much, and an idle edge wakes so often.
const LONGEST: Duration = Duration::from_millis(100);

/// Runs until it is aborted.
pub async fn turn(core: Arc<Core>) {
    loop {
        let wait = core.handle_time().map_or(LONGEST, |wait| wait.clamp(SHORTEST, LONGEST));
        tokio::time::sleep(wait).await;
    }
}
