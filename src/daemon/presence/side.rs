//! Everything of the bridge that lives on its thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::agent::{Carrier, ask_of};
use super::inbox::{Event, Inbox};
use super::lines::Lines;
use super::lines::ledger::Ledger;
use super::lines::sweep::Sweep;
use super::roll::{Move, Roll};
use super::series::Counted;
use super::teams::Teams;
use super::wishes;
use crate::config;
use crate::daemon::clock::Clock;
use crate::daemon::core::Core;
use crate::daemon::graphs::Graphs;
use crate::directory::Matches;
use crate::presence::agent::{Agent, AskId, Say, Todo};
use crate::presence::bridge::{Act, Bridge, Seeds};
use crate::presence::feed::Feed;
use crate::presence::people::TenantKey;
use crate::presence::state::{Source, Told};
use crate::presence::writer::{Fault, ItemResult, RequestId};
use crate::presence::{Direction, People, TeamsPresence, UserKey};
use crate::transaction::Moment;
use crate::trunk::Hop;

/// How often the users of routing are compared with the people of the bridge.
const ROLL_CALL: Duration = Duration::from_millis(500);

/// Changes of the edge's own calls that are taken at once.
const LINES: usize = 1_024;

/// How often what was counted is published.
const COUNTING: Duration = Duration::from_secs(1);

/// What the thread works with.
pub struct Parts {
    pub core: Arc<Core>,
    /// Microsoft Graph, by tenant.
    pub graphs: Arc<Graphs>,
    pub clock: Clock,
    pub inbox: Arc<Inbox>,
    pub lines: Arc<Lines>,
    pub settings: config::Presence,
    /// Where what must survive a restart is kept.
    pub state_dir: Option<PathBuf>,
}

/// The bridge with its surroundings; only its thread has it.
pub struct Side {
    parts: Parts,
    bridge: Bridge,
    agent: Agent,
    carrier: Carrier,
    teams: Teams,
    ledger: Ledger,
    sweep: Sweep,
    feed: Feed,
    roll: Roll,
    matches: BTreeMap<Arc<str>, Arc<Matches>>,
    next_roll_call: Moment,
    counted: Arc<ArcSwapOption<Counted>>,
    next_count: Moment,
    /// Empty between two turns, kept for their memory.
    acts: Vec<Act>,
    todos: Vec<Todo>,
    stopping: Option<oneshot::Sender<()>>,
    over: bool,
}

impl Side {
    /// Everything that the parts say; the first roll is called with the first turn.
    pub fn new(parts: Parts, counted: Arc<ArcSwapOption<Counted>>) -> Self {
        let now = parts.clock.now();
        let edge = parts.core.edge();
        let carrier = Carrier::new(Arc::clone(&parts.core), Arc::clone(&parts.inbox), &parts.settings);
        let secret = carrier.secret(0);
        let [a, b] = [1, 2].map(|use_of| u64::from_ne_bytes(halved(carrier.secret(use_of))));
        let bridge = Bridge::new(now, &wishes::settings(&parts.settings), Seeds { secret, numbers: [a, b] });
        let mut side = Self {
            bridge,
            agent: Agent::new(now, wishes::agent(&edge, &parts.settings), carrier.secret(3)),
            carrier,
            teams: Teams::new(
                Arc::clone(&parts.graphs),
                Arc::clone(&parts.inbox),
                parts.clock,
                parts.state_dir.clone(),
            ),
            ledger: Ledger::default(),
            sweep: Sweep::new(now),
            feed: Feed::default(),
            roll: Roll::default(),
            matches: BTreeMap::new(),
            next_roll_call: Moment::START,
            counted,
            next_count: Moment::START,
            acts: Vec::new(),
            todos: Vec::new(),
            stopping: None,
            over: false,
            parts,
        };
        side.set_tenants(now);
        side.restore(now);
        side
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
        let now = self.now();
        self.parts.settings = settings;
        let settings = &self.parts.settings;
        self.bridge.set(now, &wishes::settings(settings));
        self.agent.set_limits(wishes::agent(&self.parts.core.edge(), settings));
        self.carrier.set(settings);
        self.set_tenants(now);
        self.restore(now);
        self.next_roll_call = Moment::START;
        // Whoever reloads has repaired something, perhaps a secret.
        for tenant in self.bridge.tenants().collect::<Vec<_>>() {
            self.bridge.set_well(now, tenant, true);
        }
    }

    /// Takes the object ids that the directory found for a tenant's users.
    pub fn set_matches(&mut self, tenant: Arc<str>, matches: Arc<Matches>) {
        self.matches.insert(tenant, matches);
        self.next_roll_call = Moment::START;
    }

    /// A source says something of a user, or is lost.
    pub fn tell(&mut self, told: Told) {
        self.bridge.tell(told);
    }

    /// The devices that the HTTP feed tells of.
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The bridge, and the devices that the HTTP feed tells of.
    pub const fn with_feed(&mut self) -> (&mut Bridge, &mut Feed) {
        (&mut self.bridge, &mut self.feed)
    }

    /// Who takes part.
    pub const fn people(&self) -> &People {
        self.bridge.people()
    }

    /// Takes what the network brought.
    pub fn handle(&mut self, event: Event) {
        let now = self.now();
        let edge = self.parts.core.edge();
        let ways = self.carrier.ways(&edge);
        match event {
            Event::Request { trunk, flow, message } => {
                self.agent.handle_request(now, &ways, (trunk, flow, message), &mut self.todos);
            }
            Event::Response(answer) => self.agent.handle_answer(now, &ways, answer, &mut self.todos),
            Event::NotSent { token, fault } => {
                tracing::debug!(%fault, "a request of the presence bridge did not leave");
                if let Some(id) = ask_of(token) {
                    self.agent.handle_not_sent(now, &ways, id, &mut self.todos);
                }
            }
        }
        self.do_todos(now);
    }

    /// Takes the places that a name stands for.
    pub fn handle_resolved(&mut self, id: AskId, hops: Vec<Hop>) {
        let now = self.now();
        let edge = self.parts.core.edge();
        self.agent.handle_resolved(now, &self.carrier.ways(&edge), (id, hops), &mut self.todos);
        self.do_todos(now);
    }

    /// Takes what came of a write.
    pub fn handle_written(&mut self, request: RequestId, result: Result<Vec<ItemResult>, Fault>) {
        self.bridge.handle_written(self.now(), request, result);
    }

    /// Takes what came of a poll.
    pub fn handle_polled(&mut self, request: RequestId, result: Result<Vec<(Arc<str>, TeamsPresence)>, Fault>) {
        self.bridge.handle_polled(self.now(), request, result);
    }

    /// Takes what Graph has told by itself.
    pub fn handle_notified(&mut self, told: Vec<(UserKey, TeamsPresence)>) {
        let now = self.now();
        told.into_iter().for_each(|(user, presence)| self.bridge.handle_notified(now, user, presence));
    }

    /// The users of a tenant whose presence in Teams matters, by object id.
    pub fn matched(&self, tenant: &str) -> Vec<(Arc<str>, UserKey)> {
        let people = self.bridge.people();
        let Some(tenant) = people.find_tenant(tenant) else { return Vec::new() };
        let of_tenant =
            people.iter().filter(|(_, person)| person.tenant == tenant && person.direction != Direction::Off);
        of_tenant.filter_map(|(user, person)| Some((Arc::clone(person.graph_id.as_ref()?), user))).collect()
    }

    /// A tenant's credentials fail, or work again.
    pub fn set_well(&mut self, tenant: TenantKey, well: bool) {
        self.bridge.set_well(self.now(), tenant, well);
    }

    /// Turns the time.
    pub fn handle_time(&mut self) {
        let now = self.now();
        if now >= self.next_roll_call {
            self.next_roll_call = now + ROLL_CALL;
            self.call_roll(now);
        }
        self.sweep.handle_time(now, &self.parts.core, &self.parts.lines, &mut self.ledger);
        let edge = self.parts.core.edge();
        self.agent.handle_time(now, &self.carrier.ways(&edge), &mut self.todos);
        self.do_todos(now);
        let mut acts = std::mem::take(&mut self.acts);
        self.bridge.handle_time(now, &mut acts);
        for act in acts.drain(..) {
            match act {
                Act::Say(say) => self.say(now, say),
                Act::Write { request, tenant, items } => {
                    let name = self.bridge.people().tenant_name(tenant).cloned();
                    self.teams.write(name, request, tenant, items);
                }
                Act::Keep { tenant, graph_id, written } => {
                    let name = self.bridge.people().tenant_name(tenant).cloned();
                    self.teams.keep(name, graph_id, written);
                }
                Act::Poll { request, tenant, ids } => {
                    let name = self.bridge.people().tenant_name(tenant).cloned();
                    self.teams.poll(name, request, tenant, ids);
                }
            }
        }
        self.acts = acts;
        self.do_todos(now);
        if now >= self.next_count {
            self.next_count = now + COUNTING;
            self.count(now);
        }
        self.end_if_done();
    }

    /// How long the thread may sleep.
    pub fn next_wake(&self) -> Option<Duration> {
        let others = [self.next_roll_call, self.sweep.next_wake()].map(Some);
        let wakes = [self.bridge.next_wake(), self.agent.next_wake()].into_iter().chain(others);
        let next = wakes.flatten().min()?;
        Some(next.since(self.now()))
    }

    /// Ends when the edge's own calls have something to tell.
    pub fn lines_changed(&self) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.parts.lines).changed()
    }

    /// Takes what the edge's own calls have to tell.
    pub fn handle_lines(&mut self) {
        let Self { parts, bridge, ledger, .. } = self;
        let mut told = Vec::new();
        let more = parts.lines.drain(LINES, |call, turn| ledger.note(bridge.people(), call, turn, &mut told));
        self.tell_calls(told);
        if more {
            self.parts.lines.wake();
        }
    }

    /// Begins to end: what is in Graph is cleared first, where the configuration wants that.
    pub fn stop(&mut self, done: oneshot::Sender<()>) {
        self.stopping = Some(done);
        if self.parts.settings.clear_on_stop {
            let now = self.now();
            self.bridge.clear_all(now);
        }
    }

    /// Whether everything has ended.
    pub fn is_over(&self) -> bool {
        self.stopping.as_ref().is_some_and(|done| done.is_closed()) || self.over
    }

    fn end_if_done(&mut self) {
        if self.stopping.is_some() && (!self.parts.settings.clear_on_stop || self.bridge.is_idle()) {
            self.over = true;
        }
    }

    fn count(&self, now: Moment) {
        let name = |tenant| self.bridge.people().tenant_name(tenant).cloned();
        let tenants = self.bridge.writer().tenants(now).filter_map(|counts| Some((name(counts.tenant)?, counts)));
        self.counted.store(Some(Arc::new(Counted {
            counts: self.bridge.counts(now),
            agent: self.agent.counts(),
            tenants: tenants.collect(),
            beyond: self.roll.beyond(),
            not_kept: self.teams.session_counts().map(|counts| counts.not_written.load(Ordering::Relaxed)),
        })));
    }

    fn say(&mut self, now: Moment, say: Say) {
        let edge = self.parts.core.edge();
        self.agent.say(now, &self.carrier.ways(&edge), say, &mut self.todos);
    }

    /// Does what the agent wants done.
    fn do_todos(&mut self, now: Moment) {
        for todo in std::mem::take(&mut self.todos) {
            match todo {
                Todo::Send { path, bytes, id } => self.carrier.send(path, bytes, id),
                Todo::Answer { flow, fallback, bytes } => self.carrier.answer(&flow, fallback.as_ref(), bytes),
                Todo::Resolve { id, trunk, target } => {
                    self.carrier.resolve(self.parts.core.edge(), id, trunk, target);
                }
                Todo::Reply(reply) => self.bridge.handle_reply(now, &reply),
                Todo::Arrived(arrived) => self.bridge.handle_request(now, &arrived),
            }
        }
    }

    /// What the edge's own calls say of users.
    fn tell_calls(&mut self, told: Vec<super::lines::ledger::Told>) {
        for (user, report) in told {
            match report {
                Some(_) => self.bridge.tell(Told { user, source: Source::Calls, report, until: None }),
                None => self.bridge.forget(user, Source::Calls),
            }
        }
    }

    fn set_tenants(&mut self, now: Moment) {
        let settings = &self.parts.settings;
        let mut tenants = BTreeMap::new();
        for (name, wanted) in &settings.tenants {
            if let Some(key) = self.bridge.tenant(name) {
                tenants.insert(key, wishes::tenant(settings, wanted));
            }
        }
        self.bridge.set_tenants(now, tenants);
    }

    /// Takes the settings for Graph, and what is there since before a restart.
    fn restore(&mut self, now: Moment) {
        for (tenant, graph_id, written) in self.teams.set(&self.parts.settings) {
            // Where a tenant takes part no more, nobody can clear its sessions: they run out.
            if self.parts.settings.tenants.contains_key(&tenant)
                && let Some(tenant) = self.bridge.tenant(&tenant)
            {
                self.bridge.restore(now, tenant, graph_id, written);
            }
        }
    }

    fn call_roll(&mut self, now: Moment) {
        let edge = self.parts.core.edge();
        let config::Presence { tenants, max_users, .. } = &self.parts.settings;
        let before = self.roll.beyond();
        let moves = self.roll.follow(self.bridge.people(), tenants, &edge.routing, &self.matches, *max_users);
        let beyond = self.roll.beyond();
        if beyond > before {
            tracing::warn!(users = beyond, "the bridge has no room for so many users: raise [presence] max_users");
        }
        if moves.is_empty() {
            return;
        }
        for step in moves {
            match step {
                Move::Put(person) => {
                    if let Some(user) = self.bridge.put(now, person)
                        && let Some(report) = self.ledger.report_of(user)
                    {
                        self.bridge.tell(Told { user, source: Source::Calls, report: Some(report), until: None });
                    }
                }
                Move::Take(user) => {
                    self.feed.remove_user(user);
                    self.bridge.take(now, user);
                }
            }
        }
        let Self { parts, bridge, ledger, .. } = self;
        let mut told = Vec::new();
        ledger.refresh(bridge.people(), |tenant| parts.lines.is_wanted(tenant), &mut told);
        self.tell_calls(told);
    }
}

/// The first half of random bytes.
fn halved(bytes: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = bytes;
    [a, b, c, d, e, f, g, h]
}
