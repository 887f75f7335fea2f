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
            let Some(due) = due(&connection, &limits, now) else {
                continue;
            };
            if let Due::Dropped(reason) = due {
                streams.counters.dropped(reason);
            }
            debug!(remote = %connection.remote, ?due, "closing a connection");
            streams.close(&connection, SendFault::Closed, due == Due::Dropped(DropReason::WriteStall));
        }
    }
}

fn period(limits: &Limits) -> Duration {
    let shortest = limits.partial_message_timeout.min(limits.write_stall_timeout).min(limits.stream_idle_timeout);
    (shortest / SWEEPS_PER_TIMEOUT).clamp(Duration::from_millis(5), Duration::from_millis(500))
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Dropped(DropReason),
    /// It was retired, and nothing is under way over it, or has been for too long.
    Retired,
}

/// Why a connection has to go now.
fn due(connection: &Connection, limits: &Limits, now: u64) -> Option<Due> {
    let over = |since: u64, limit: Duration| since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis();
    let mark = |mark: &AtomicU64| mark.load(Ordering::Relaxed);
    let watch = &connection.watch;
    if over(mark(&watch.stalled), limits.write_stall_timeout) {
        Some(Due::Dropped(DropReason::WriteStall))
    } else if over(mark(&watch.partial), limits.partial_message_timeout) {
        Some(Due::Dropped(DropReason::PartialMessage))
    } else if over(mark(&watch.active), limits.stream_idle_timeout)
        || watch.is_retired() && over(mark(&watch.active), limits.retired_idle_timeout)
    {
        Some(Due::Dropped(DropReason::Idle))
    } else if connection.is_outdated() {
        // The peer's keep-alives count for nothing here.
        let last = connection.meter.last().max(watch.retired_since());
        let done = over(last, limits.retired_quiet) && !connection.meter.is_busy() && connection.is_drained();
        // What is on its way to the peer gets a moment more.
        let longest = limits.connection_drain + if connection.is_drained() { Duration::ZERO } else { limits.linger };
        (done || over(watch.retired_since(), longest)).then_some(Due::Retired)
    } else {
        None
    }
}
