//! Behind the door: users of the presence bridge, and the feed of line states.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::Desk;
use crate::admin::{self, LineState, PresenceAsk, PresencePage, PresenceRefusal, PresenceSummary};
use crate::daemon::presence::side::Side;

/// How long the bridge may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl admin::Presence for Desk {
    fn presence(&self, ask: &PresenceAsk) -> Result<PresencePage, PresenceRefusal> {
        let ask = ask.clone();
        self.ask_bridge(move |side| side.page(&ask))?
    }

    fn presence_summary(&self, tenants: Option<Arc<[Arc<str>]>>) -> Result<PresenceSummary, PresenceRefusal> {
        self.ask_bridge(move |side| side.summary(tenants.as_deref()))
    }

    fn line_states(&self, tenant: &str, states: Vec<LineState>) -> Result<Vec<Result<(), String>>, PresenceRefusal> {
        let off = || PresenceRefusal::Off(tenant.to_owned());
        let edge = self.parts.core.edge();
        let tenants = edge.routing.tenants();
        let found = tenants.find(tenant).and_then(|id| tenants.get(id)).filter(|found| !found.removed);
        let found = Arc::clone(found.ok_or_else(off)?);
        self.ask_bridge(move |side| side.take_line_states(&found.id, &found.numbering, states))?
    }
}

impl Desk {
    /// Has the bridge's thread do something, and waits for what comes of it.
    fn ask_bridge<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Side) -> T + Send + 'static,
    ) -> Result<T, PresenceRefusal> {
        let (answer, answered) = sync_channel(1);
        let order = move |side: &mut Side| {
            // An error: whoever asked has gone.
            let _ = answer.send(ask(side));
        };
        self.parts.sidecar.inbox().order(order).map_err(|_| PresenceRefusal::Busy)?;
        answered.recv_timeout(PATIENCE).map_err(|_| PresenceRefusal::Busy)
    }
}
