//! What the door for operators sees and changes of the daemon.

mod alarms;
mod calls;
mod connections;
mod directory;
mod doors;
mod guard;
pub mod health;
mod history;
mod logs;
mod presence;
mod reloading;
mod service;
mod trace;
mod unwell;

use std::sync::Arc;
use std::time::Instant;

pub use self::doors::{DoorError, Doors, restart_wanted};
pub use self::unwell::parts as core_parts;

use serde_json::Value;

use super::changes::Changes;
use super::clock::Clock;
use super::core::Core;
use super::directory::Directories;
use super::keys::Keys;
use super::life::Life;
use super::overload::Overload;
use super::presence::Sidecar;
use super::reload::Reloader;
use super::strangers::Strangers;
use crate::admin::{
    self, Control, KeyList, KeyRefusal, Made, PlanStatus, Refusal, Status, Summary, TargetCounts, TrunkStatus,
};
use crate::call::explain::{Ask, explain_running};
use crate::routing::{Batch, Record, Routing};
use crate::transport::Transports;
use crate::trunk::health::State;

/// Targets that are not up which a status has one by one; `trunks` has all.
const NOT_UP: usize = 100;

/// The daemon behind the door.
pub struct Desk {
    parts: Parts,
    started: Instant,
}

/// What the door sees and changes.
pub struct Parts {
    pub core: Arc<Core>,
    pub changes: Arc<Changes>,
    pub transports: Arc<Transports>,
    pub keys: Arc<Keys>,
    pub reloader: Arc<Reloader>,
    pub directories: Arc<Directories>,
    pub strangers: Arc<Strangers>,
    pub overload: Arc<Overload>,
    pub life: Arc<Life>,
    pub sidecar: Arc<Sidecar>,
    pub node: Arc<str>,
    /// The look at all parts that can be unwell.
    pub watch: Arc<health::Watch>,
}

impl Desk {
    /// Of a daemon that starts now.
    pub fn new(parts: Parts) -> Self {
        Self { parts, started: Instant::now() }
    }
}

impl Control for Desk {
    fn status(&self) -> Status {
        let routing = self.routing();
        let plan = |plan: &crate::routing::Plan| PlanStatus { name: plan.name().to_string(), rules: plan.len() };
        let (revision, journal_bytes) = self.parts.changes.revision_and_bytes();
        let report = admin::Health::health(self);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.parts.node.to_string(),
            uptime_s: self.started.elapsed().as_secs(),
            life: self.parts.life.shown(),
            health: report.health,
            causes: report.causes.len() + report.more,
            transactions: self.parts.core.status().contexts,
            plans: routing.plans().iter().map(plan).collect(),
            tenants: routing.tenants().iter().filter(|tenant| !tenant.removed).count(),
            users: routing.user_count(),
            revision,
            pending: routing.table().pending(),
            journal_bytes,
            targets: counted(self.trunks()),
            reload: self.parts.reloader.last(),
        }
    }

    fn trunks(&self) -> Vec<TrunkStatus> {
        self.parts.core.probes().status()
    }

    fn routing(&self) -> Routing {
        self.parts.core.edge().routing.clone()
    }

    fn apply(&self, batch: &Batch) -> Result<Made, Refusal> {
        self.parts.changes.apply(batch)
    }

    fn revert(&self, id: &str, by: &Batch) -> Result<Made, Refusal> {
        self.parts.changes.revert(id, by)
    }

    fn changes(&self, limit: usize, seen: &dyn Fn(&Record) -> bool) -> Vec<Summary> {
        self.parts.changes.summaries(limit, seen)
    }

    fn change(&self, id: &str) -> Option<Record> {
        self.parts.changes.record(id)
    }

    fn keys(&self) -> Result<KeyList, KeyRefusal> {
        self.parts.keys.list()
    }

    fn rotate_keys(&self, force: bool) -> Result<KeyList, KeyRefusal> {
        self.parts.keys.rotate(force)
    }

    fn reload_keys(&self) -> Result<KeyList, KeyRefusal> {
        self.parts.keys.reload()
    }

    fn route(&self, ask: Value) -> Result<Value, String> {
        let ask: Ask = serde_json::from_value(ask).map_err(|error| error.to_string())?;
        let known = |trunk, target| self.parts.core.probes().health(trunk, target);
        let explained = explain_running(&self.parts.core.edge(), &ask, Clock::start().unix(), &known);
        let explained = explained.map_err(|error| error.to_string())?;
        serde_json::to_value(explained).map_err(|error| error.to_string())
    }
}

fn counted(trunks: Vec<TrunkStatus>) -> TargetCounts {
    let mut counts = TargetCounts::default();
    for target in trunks.into_iter().flat_map(|trunk| trunk.targets) {
        match target.state {
            State::Up => counts.up += 1,
            State::Suspect => counts.suspect += 1,
            State::Down => counts.down += 1,
        }
        if target.state != State::Up && counts.not_up.len() < NOT_UP {
            counts.not_up.push(target);
        }
    }
    counts
}
