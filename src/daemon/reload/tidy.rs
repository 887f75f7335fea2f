//! What a reload leaves behind: edges that calls still have, and listeners that leave.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Reloader, lock};
use crate::call::Edge;
use crate::trunk::ListenerId;

/// How often it is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// What is let go of when nobody needs it.
#[derive(Default)]
pub(super) struct Leftovers {
    /// No longer in force. Whoever has one last frees it, and that should be no call.
    edges: Mutex<Vec<Arc<Edge>>>,
    /// Each with the time at which it is closed.
    listeners: Mutex<Vec<(Instant, ListenerId)>>,
}

impl Leftovers {
    /// An edge is no longer in force.
    pub(super) fn keep_edge(&self, edge: Arc<Edge>) {
        lock(&self.edges).push(edge);
    }

    /// Listeners leave, and close after so long.
    pub(super) fn keep_listeners(&self, leaving: &[ListenerId], time: Duration) {
        let at = Instant::now() + time;
        let mut listeners = lock(&self.listeners);
        listeners.retain(|(_, id)| !leaving.contains(id));
        listeners.extend(leaving.iter().map(|id| (at, *id)));
    }

    /// The edges that nobody has any more.
    fn free(&self) -> Vec<Arc<Edge>> {
        lock(&self.edges).extract_if(.., |edge| Arc::strong_count(edge) == 1).collect()
    }

    fn is_empty(&self) -> bool {
        lock(&self.edges).is_empty() && lock(&self.listeners).is_empty()
    }
}

impl Reloader {
    /// Lets go of what is needed no more, until it is aborted.
    pub async fn tidy(self: Arc<Self>) {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            if self.leftovers.is_empty() {
                continue;
            }
            let this = Arc::clone(&self);
            // Large dial plans take their time to be freed.
            if tokio::task::spawn_blocking(move || this.let_go()).await.is_err() {
                tracing::error!("what a reload left behind cannot be let go of");
            }
        }
    }

    fn let_go(&self) {
        drop(self.leftovers.free());
        let due: Vec<ListenerId> = {
            let now = Instant::now();
            let mut listeners = lock(&self.leftovers.listeners);
            listeners.extract_if(.., |(at, _)| *at <= now).map(|(_, id)| id).collect()
        };
        for id in due {
            // One that a later configuration has again stays.
            let edge = self.parts.core.edge();
            if edge.listener(id).is_some_and(|listener| listener.leaving) {
                tracing::debug!(listener = id.0, "a listener of before is closed");
                self.parts.transports.close(id);
            }
        }
    }
}
