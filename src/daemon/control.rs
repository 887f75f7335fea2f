//! What the door for operators sees and changes of the daemon.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::changes::Changes;
use super::clock::Clock;
use super::core::Core;
use crate::admin::{Control, Made, PlanStatus, Refusal, Status, Summary};
use crate::call::explain::{Ask, explain};
use crate::routing::{Batch, Record, Routing};

/// The daemon behind the door.
pub struct Desk {
    core: Arc<Core>,
    changes: Arc<Changes>,
    node: Arc<str>,
    started: Instant,
}

impl Desk {
    /// Of a daemon that starts now.
    pub fn new(core: Arc<Core>, changes: Arc<Changes>, node: Arc<str>) -> Self {
        Self { core, changes, node, started: Instant::now() }
    }
}

impl Control for Desk {
    fn status(&self) -> Status {
        let routing = self.routing();
        let plan = |plan: &crate::routing::Plan| PlanStatus { name: plan.name().to_string(), rules: plan.len() };
        let (revision, journal_bytes) = self.changes.revision_and_bytes();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node.to_string(),
            uptime_s: self.started.elapsed().as_secs(),
            transactions: self.core.status().contexts,
            plans: routing.plans().iter().map(plan).collect(),
            tenants: routing.tenants().iter().filter(|tenant| !tenant.removed).count(),
            users: routing.user_count(),
            revision,
            pending: routing.table().pending(),
            journal_bytes,
        }
    }

    fn routing(&self) -> Routing {
        self.core.edge().routing.clone()
    }

    fn apply(&self, batch: &Batch) -> Result<Made, Refusal> {
        self.changes.apply(batch)
    }

    fn revert(&self, id: &str, by: &Batch) -> Result<Made, Refusal> {
        self.changes.revert(id, by)
    }

    fn changes(&self, limit: usize) -> Vec<Summary> {
        self.changes.summaries(limit)
    }

    fn change(&self, id: &str) -> Option<Record> {
        self.changes.record(id)
    }

    fn route(&self, ask: Value) -> Result<Value, String> {
        let ask: Ask = serde_json::from_value(ask).map_err(|error| error.to_string())?;
        let explained = explain(&self.core.edge(), &ask, Clock::start().unix()).map_err(|error| error.to_string())?;
        serde_json::to_value(explained).map_err(|error| error.to_string())
    }
}
