//! Everything of the bridge that lives on its thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::inbox::{Event, Inbox};
use super::roll::{Matches, Move, Roll};
use crate::config;
use crate::daemon::clock::Clock;
use crate::daemon::core::Core;
use crate::daemon::graphs::Graphs;
use crate::presence::bridge::Bridge;
use crate::transaction::Moment;

/// How often the users of routing are compared with the people of the bridge.
const ROLL_CALL: Duration = Duration::from_millis(500);

/// What the thread works with.
pub struct Parts {
    pub core: Arc<Core>,
    /// Microsoft Graph, by tenant.
    pub graphs: Arc<Graphs>,
    pub clock: Clock,
    pub inbox: Arc<Inbox>,
    pub settings: config::Presence,
}

/// The bridge with its surroundings; only its thread has it.
pub struct Side {
    parts: Parts,
    bridge: Bridge,
    roll: Roll,
    matches: BTreeMap<Arc<str>, Arc<Matches>>,
    next_roll_call: Moment,
    /// Users for whom there was no room.
    beyond: usize,
    stopping: Option<oneshot::Sender<()>>,
}

impl Side {
    /// Everything that the parts say; the first roll is called with the first turn.
    pub fn new(parts: Parts) -> Self {
        Self {
            bridge: Bridge::new(),
            roll: Roll::default(),
            matches: BTreeMap::new(),
            next_roll_call: Moment::START,
            beyond: 0,
            stopping: None,
            parts,
        }
    }

    /// The bridge, to look at it.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// The configuration that holds now.
    pub const fn settings(&self) -> &config::Presence {
        &self.parts.settings
    }

    /// The clock of the bridge's moments.
    pub fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// Takes other settings.
    pub fn set(&mut self, settings: config::Presence) {
        self.parts.settings = settings;
        self.next_roll_call = Moment::START;
    }

    /// Takes the object ids that the directory found for a tenant's users.
    pub fn set_matches(&mut self, tenant: Arc<str>, matches: Arc<Matches>) {
        self.matches.insert(tenant, matches);
        self.next_roll_call = Moment::START;
    }

    /// Takes what the network brought.
    pub fn handle(&mut self, event: Event) {
        let _ = event;
    }

    /// Turns the time.
    pub fn handle_time(&mut self) {
        let now = self.now();
        if now >= self.next_roll_call {
            self.next_roll_call = now + ROLL_CALL;
            self.call_roll(now);
        }
    }

    /// How long the thread may sleep.
    pub fn next_wake(&self) -> Option<Duration> {
        let next = self.bridge.next_wake().map_or(self.next_roll_call, |at| at.min(self.next_roll_call));
        Some(next.since(self.now()))
    }

    /// Ends when the edge's own calls have something to tell.
    pub fn lines_changed(&self) -> impl Future<Output = ()> + use<> {
        std::future::pending()
    }

    /// Takes what the edge's own calls have to tell.
    pub fn handle_lines(&mut self) {}

    /// Begins to end.
    pub fn stop(&mut self, done: oneshot::Sender<()>) {
        self.stopping = Some(done);
    }

    /// Whether everything has ended.
    pub fn is_over(&self) -> bool {
        self.stopping.is_some()
    }

    fn call_roll(&mut self, now: Moment) {
        let edge = self.parts.core.edge();
        let config::Presence { tenants, max_users, .. } = &self.parts.settings;
        let (moves, beyond) =
            self.roll.follow(self.bridge.people_mut(), tenants, &edge.routing, &self.matches, *max_users);
        if beyond != self.beyond {
            self.beyond = beyond;
            tracing::warn!(users = beyond, "the bridge has no room for so many users: raise [presence] max_users");
        }
        for step in moves {
            match step {
                Move::Put(person) => self.bridge.put(now, person),
                Move::Take(user) => self.bridge.take(now, user),
            }
        }
    }
}
