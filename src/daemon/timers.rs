//! Turns the timers of all shards: one task, one look at each shard's next wake-up a turn.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;

/// Between two looks. Timers of RFC 3261 start at half a second: a late one by this much is of no account.
const TURN: Duration = Duration::from_millis(20);

/// Runs until it is aborted.
pub async fn turn(core: Arc<Core>) {
    let mut interval = tokio::time::interval(TURN);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        core.handle_time();
    }
}
