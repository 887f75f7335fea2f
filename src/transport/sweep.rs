//! The one timer of all connections: closes those that idle, stall or never finish a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::debug;

use super::SendFault;
use super::connection::Connection;
use super::counters::DropReason;
use super::settings::Limits;
use super::streams::Streams;

/// Sweeps within the shortest of the watched times.
const SWEEPS_PER_TIMEOUT: u32 = 8;

/// Starts the sweep.
pub(super) fn start(streams: &Arc<Streams>) -> AbortHandle {
    streams.runtime.spawn(sweep(streams.clone())).abort_handle()
}

async fn sweep(streams: Arc<Streams>) {
    loop {
        let limits = streams.limits();
        tokio::time::sleep(period(&limits)).await;
        let now = streams.tick();
        let overdue = streams.select(|connection| due(connection, &limits, now).is_some());
        for connection in overdue {
            let Some(reason) = due(&connection, &limits, now) else {
                continue;
            };
            debug!(remote = %connection.remote, reason = reason.reason(), "closing a connection");
            streams.counters.dropped(reason);
            streams.close(&connection, SendFault::Closed, reason == DropReason::WriteStall);
        }
    }
}

fn period(limits: &Limits) -> Duration {
    let shortest = limits.partial_message_timeout.min(limits.write_stall_timeout).min(limits.stream_idle_timeout);
    (shortest / SWEEPS_PER_TIMEOUT).clamp(Duration::from_millis(5), Duration::from_millis(500))
}

/// Why a connection has to go now.
fn due(connection: &Connection, limits: &Limits, now: u64) -> Option<DropReason> {
    let over = |mark: &AtomicU64, limit: Duration| {
        let since = mark.load(Ordering::Relaxed);
        since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis()
    };
    let watch = &connection.watch;
    if over(&watch.stalled, limits.write_stall_timeout) {
        Some(DropReason::WriteStall)
    } else if over(&watch.partial, limits.partial_message_timeout) {
        Some(DropReason::PartialMessage)
    } else if over(&watch.active, limits.stream_idle_timeout)
        || watch.is_retired() && over(&watch.active, limits.retired_idle_timeout)
    {
        Some(DropReason::Idle)
    } else {
        None
    }
}
