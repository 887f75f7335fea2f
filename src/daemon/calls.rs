//! The call store in the daemon: opened with it, and tended beside the calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::clock::Clock;
use crate::config::{Limits, Node};
use crate::store::{CallSettings, Calls};

/// How often old things are let go, and how much of the last calls a machine that loses power may lose.
const TEND: Duration = Duration::from_secs(5);

/// Opens the call store and tells what was found.
pub fn open(dir: Option<&Path>, limits: &Limits, node: &Node) -> Result<Arc<Calls>, StartError> {
    let settings = CallSettings { max_calls: limits.max_stored_calls, max_age: node.seal_max_age };
    let (calls, found) = Calls::open(dir, settings, Clock::start().unix()).map_err(StartError::Calls)?;
    if found.torn > 0 {
        tracing::warn!(bytes = found.torn, "the call store had an unfinished record at its end: it is left out");
    }
    if found.damaged > 0 {
        tracing::warn!(places = found.damaged, "the call store has damaged records: they are left out");
    }
    if found.calls > 0 {
        tracing::info!(calls = found.calls, "calls are taken up from the call store");
    }
    Ok(Arc::new(calls))
}

/// Tends the call store until it is aborted.
pub async fn tend(calls: Arc<Calls>) {
    let clock = Clock::start();
    let mut interval = tokio::time::interval(TEND);
    loop {
        interval.tick().await;
        let (calls, now) = (Arc::clone(&calls), clock.unix());
        // It waits for the disk.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || calls.tend(now)).await {
            tracing::error!(%error, "the call store cannot be tended");
        }
    }
}
