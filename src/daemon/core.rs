//! The shards behind their locks, and what lets messages, timers and news into them.

mod calls_now;
mod tokens;
mod unknown;

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use self::calls_now::CallsNow;
use self::tokens::{branch_of_token, token_of};
use self::unknown::UnknownSources;
use super::build::framing;
use super::clock::Clock;
use super::counters::Meters;
use super::names;
use super::presence::Sidecar;
use super::presence::divert::{Divert, Diverted};
use super::presence::lines::Lines;
use super::probe::Probes;
use super::seal_key::SealKeys;
use super::strangers::Strangers;
use super::taps::Taps;
use crate::call::branch::ContextId;
use crate::call::live::Homes;
use crate::call::screen::Refusal;
use crate::call::seal::KeyId;
use crate::call::{CallId, Command, Counts, Edge, Env, Output, Secrets};
use crate::config;
use crate::dns::Resolver;
use crate::shard::homes::{call_to_bring, shard_of};
use crate::shard::look::{CallPlace, NotEnded};
use crate::shard::requests::{is_party, refuse, refuse_flawed, refuse_stranger};
use crate::shard::{Budget, Incoming, SHARDS, Shard, branch_of};
use crate::sip::{Essentials, Message};
use crate::store::Calls;
use crate::transaction::Moment;
use crate::transport::{FrameFault, Receiver, SendFault, Source, Token, Transports};
use crate::trunk::{Flow, ListenerId, Target, TrunkId};

/// A shard behind its lock, with the room for what it puts out.
#[derive(Debug)]
struct Cell {
    locked: Mutex<Locked>,
    /// When the shard wants its timers turned, in milliseconds of the clock; read without the lock.
    next_wake: AtomicU64,
}

#[derive(Debug)]
struct Locked {
    shard: Shard,
    out: Output,
}

/// What is going on, summed over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Requests in progress or remembered.
    pub contexts: usize,
    /// Entries in the timer wheels.
    pub timers: usize,
    /// Calls that are up and remembered.
    pub calls: usize,
}

/// Everything between the sockets and the pure core.
pub struct Core {
    cells: Vec<Cell>,
    /// Where calls are whose Call-IDs do not say so.
    homes: Arc<Homes>,
    edge: Arc<ArcSwap<Edge>>,
    secrets: Arc<ArcSwap<Secrets>>,
    resolver: Resolver,
    transports: Arc<Transports>,
    probes: Arc<Probes>,
    calls: Arc<Calls>,
    taps: Taps,
    divert: Arc<Divert>,
    lines: Arc<Lines>,
    strangers: Arc<Strangers>,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    unknown: UnknownSources,
    /// How often timers have turned.
    turns: AtomicU64,
    /// Counts of what never reaches a shard.
    outside: Mutex<Output>,
    seen: Seen,
    /// For tasks that bring news back later.
    this: Weak<Self>,
}

/// The last [`Status`], for those who ask often.
#[derive(Debug, Default)]
struct Seen {
    contexts: AtomicUsize,
    timers: AtomicUsize,
    calls: AtomicUsize,
}

impl Seen {
    fn keep(&self, status: Status) {
        self.contexts.store(status.contexts, Ordering::Relaxed);
        self.timers.store(status.timers, Ordering::Relaxed);
        self.calls.store(status.calls, Ordering::Relaxed);
    }

    fn last(&self) -> Status {
        Status {
            contexts: self.contexts.load(Ordering::Relaxed),
            timers: self.timers.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
        }
    }
}

impl Core {
    /// The core of one edge, on the runtime that it is made on.
    pub fn new(
        edge: Arc<ArcSwap<Edge>>,
        secrets: Arc<ArcSwap<Secrets>>,
        resolver: Resolver,
        transports: Arc<Transports>,
        calls: Arc<Calls>,
        (strangers, clock, taps, sidecar): (Arc<Strangers>, Clock, Taps, &Sidecar),
        limits: &config::Limits,
    ) -> Arc<Self> {
        let budget = Budget::with_calls(limits.max_transactions, limits.max_calls_remembered);
        let homes = Arc::new(Homes::new(limits.max_calls_remembered.saturating_mul(2)));
        let cell = |index: usize| Cell {
            locked: Mutex::new(Locked {
                shard: Shard::sharing(index as u8, clock.now(), Arc::clone(&budget)).with_homes(Arc::clone(&homes)),
                out: Output::default(),
            }),
            next_wake: AtomicU64::new(u64::MAX),
        };
        let probes =
            Probes::new(&edge.load(), &secrets.load(), &resolver, &transports, clock, Arc::clone(&taps.meters));
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            cells: (0..SHARDS).map(cell).collect(),
            homes: Arc::clone(&homes),
            edge,
            secrets,
            resolver,
            transports,
            probes,
            calls,
            taps,
            divert: Arc::clone(sidecar.divert()),
            lines: Arc::clone(sidecar.lines()),
            strangers,
            clock,
            runtime: tokio::runtime::Handle::current(),
            unknown: UnknownSources::new(limits.unknown_source_answers_per_second),
            turns: AtomicU64::new(0),
            outside: Mutex::default(),
            seen: Seen::default(),
        })
    }

    /// The configuration in force.
    pub fn edge(&self) -> Arc<Edge> {
        self.edge.load_full()
    }

    /// Puts another configuration in force. Whoever calls holds [`super::changes::Changes`].
    pub fn set_edge(&self, edge: Arc<Edge>) {
        self.edge.store(edge);
    }

    /// Watches the targets of an edge that is about to come into force: what is known of those that stay goes on.
    pub fn watch_targets_of(&self, edge: &Edge) {
        self.probes.follow(edge);
    }

    /// Takes other seal keys: what was sealed with a key that has gone is refused from now on.
    pub fn set_seal_keys(&self, keys: &SealKeys) {
        let SealKeys { seal, ring } = keys;
        self.secrets.rcu(|secrets| Secrets { seal: seal.clone(), ring: ring.clone(), ..Secrets::clone(secrets) });
    }

    /// The ids of the seal keys in use, the one for new calls first.
    pub fn seal_key_ids(&self) -> Vec<KeyId> {
        self.secrets.load().ring.ids().collect()
    }

    /// The call that a Call-ID of any leg belongs to.
    pub fn call_of(&self, call_id: &str) -> CallId {
        CallId::of(&self.secrets.load(), call_id.as_bytes())
    }

    /// Those who look at what passes.
    pub const fn taps(&self) -> &Taps {
        &self.taps
    }

    /// The watch over the targets of trunks.
    pub fn probes(&self) -> &Arc<Probes> {
        &self.probes
    }

    /// The names of targets.
    pub const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The sockets.
    pub const fn transports(&self) -> &Arc<Transports> {
        &self.transports
    }

    /// Random bytes of this process, other ones for each purpose (`Secrets::number`) and each use.
    pub fn secret_for(&self, purpose: u8, use_of: u8) -> [u8; 16] {
        let secrets = self.secrets.load();
        let half = |number: u8| u128::from(secrets.number(purpose, &[&[use_of, number]]));
        (half(0) << 64 | half(1)).to_le_bytes()
    }

    /// What is measured beside the calls.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.taps.meters
    }

    /// What the resolver did so far.
    pub fn dns_counts(&self) -> crate::dns::Counts {
        self.resolver.counts()
    }

    /// Counts what is in the shards now.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        for cell in &self.cells {
            let locked = lock(&cell.locked);
            status.contexts += locked.shard.len();
            status.timers += locked.shard.timers();
            status.calls += locked.shard.calls() + locked.shard.calls_through();
        }
        status
    }

    /// Requests without a final answer, and how many of them begin a call. Looks at every request.
    pub fn in_progress(&self) -> (usize, usize) {
        let each = self.cells.iter().map(|cell| lock(&cell.locked).shard.in_progress());
        each.fold((0, 0), |(all, setups), (more, more_setups)| (all + more, setups + more_setups))
    }

    /// Takes what was counted since the last call.
    pub fn take_counts(&self) -> (Counts, Status) {
        let mut sum = std::mem::take(&mut lock(&self.outside).counts);
        let mut status = Status::default();
        for cell in &self.cells {
            let mut locked = lock(&cell.locked);
            sum.add(&std::mem::take(&mut locked.out.counts));
            status.contexts += locked.shard.len();
            status.timers += locked.shard.timers();
            status.calls += locked.shard.calls() + locked.shard.calls_through();
        }
        self.seen.keep(status);
        (sum, status)
    }

    /// Lets somebody look at a shard, who must be quick: its calls wait.
    pub fn look<T>(&self, shard: usize, look: impl FnOnce(&Env<'_>, &Shard) -> T) -> Option<T> {
        let cell = self.cells.get(shard)?;
        let (edge, secrets, store) = (self.edge.load(), self.secrets.load(), self.calls_now());
        let env = self.env(&edge, &secrets, &store);
        Some(look(&env, &lock(&cell.locked).shard))
    }

    /// Ends a call as an operator wants it.
    ///
    /// # Errors
    /// [`NotEnded`].
    pub fn end_call(&self, shard: usize, place: CallPlace) -> Result<(), NotEnded> {
        let Some(cell) = self.cells.get(shard) else { return Err(NotEnded::Gone) };
        let mut ended = Err(NotEnded::Gone);
        self.with(cell, |env, locked| ended = locked.shard.end_call(env, &mut locked.out, place));
        ended
    }

    /// What [`Core::take_counts`] has last seen in the shards, without a look at them.
    pub fn last_status(&self) -> Status {
        self.seen.last()
    }

    /// Turns the timers of the shards that want it; gives how long until the next one does.
    pub fn handle_time(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut next = u64::MAX;
        for cell in &self.cells {
            if cell.next_wake.load(Ordering::Relaxed) <= now.as_millis() {
                self.with(cell, |env, locked| locked.shard.handle_time(env, &mut locked.out));
            }
            next = next.min(cell.next_wake.load(Ordering::Relaxed));
        }
        self.turns.fetch_add(1, Ordering::Relaxed);
        (next != u64::MAX).then(|| Moment::from_millis(next) - now)
    }

    /// How often timers have turned.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether nobody holds a shard now.
    pub fn is_free(&self, shard: usize) -> bool {
        let held = |cell: &Cell| matches!(cell.locked.try_lock(), Err(TryLockError::WouldBlock));
        !self.cells.get(shard).is_some_and(held)
    }

    fn cell(&self, index: u8) -> Option<&Cell> {
        self.cells.get(usize::from(index))
    }

    fn env<'a>(&'a self, edge: &'a Arc<Edge>, secrets: &'a Secrets, store: &'a CallsNow<'a>) -> Env<'a> {
        let Self { clock, resolver, .. } = self;
        Env {
            now: clock.now(),
            unix: store.unix_ms / 1_000,
            unix_ms: store.unix_ms,
            edge,
            secrets,
            names: resolver,
            store,
            shelf: &store.shelf,
        }
    }

    fn calls_now(&self) -> CallsNow<'_> {
        CallsNow { calls: &self.calls, unix_ms: self.clock.unix_millis(), shelf: RefCell::default() }
    }

    /// Locks a shard, lets `event` in, does what comes out. Sending happens under the lock, so that two workers cannot
    /// put the messages of one call in another order; a send never waits.
    fn with(&self, cell: &Cell, event: impl FnOnce(&Env<'_>, &mut Locked)) {
        let (edge, secrets, store) = (self.edge.load(), self.secrets.load(), self.calls_now());
        let env = self.env(&edge, &secrets, &store);
        let mut guard = lock(&cell.locked);
        let locked = &mut *guard;
        locked.out.wants_ups = self.taps.wants_ups();
        let told = self.lines.is_on();
        locked.out.wants_turns = told;
        event(&env, locked);
        self.obey(&edge, &mut locked.out);
        let wake = locked.shard.next_wake().map_or(u64::MAX, |at| at.as_millis());
        cell.next_wake.store(wake, Ordering::Relaxed);
        if told {
            // In the order in which it happens to a call; a note takes no time.
            locked.out.turns.drain(..).for_each(|turn| self.lines.turned(turn));
            locked.out.records.iter().for_each(|record| self.lines.over(record.id));
        }
        // Nobody else of the shard has to wait for the log.
        let records = std::mem::take(&mut locked.out.records);
        let ups = std::mem::take(&mut locked.out.ups);
        drop(guard);
        if told {
            self.lines.wake();
        }
        ups.into_iter().for_each(|record| self.taps.up(record));
        records.into_iter().for_each(|record| self.taps.ended(record));
    }

    fn obey(&self, edge: &Arc<Edge>, out: &mut Output) {
        self.probes.handle_heard(out.heard.drain(..));
        for command in out.commands.drain(..) {
            match command {
                Command::Answer { flow, fallback, bytes } => {
                    self.taps.answered(&flow, &bytes);
                    self.transports.answer(&flow, fallback.as_ref(), bytes, Token::NONE);
                }
                Command::Request { hop, bytes, branch } => {
                    self.taps.requested(&hop, &bytes);
                    self.transports.request(&hop, bytes, branch.map_or(Token::NONE, token_of));
                }
                Command::Drop { hop } => self.transports.retire(&hop),
                Command::Resolve { context, lane, trunk, target } => {
                    self.resolve(Arc::clone(edge), (context, lane), trunk, target);
                }
                Command::Store { key, bytes } => self.calls.keep(key, bytes, self.clock.unix()),
                Command::CallUp { call } => self.calls.mark_up(call, self.clock.unix()),
                Command::CallOver { call } => self.calls.mark_over(call, self.clock.unix()),
                Command::Alias { connection, addr, name } => self.transports.alias(connection, addr, name),
            }
        }
    }

    /// Looks a name up beside the calls and brings the places back to the context that waits for them.
    fn resolve(&self, edge: Arc<Edge>, (context, lane): (ContextId, u8), trunk: TrunkId, target: Target) {
        let resolver = self.resolver.clone();
        let Some(core) = self.this.upgrade() else { return };
        self.runtime.spawn(async move {
            let hops = names::look_up(&resolver, &edge, trunk, &target).await;
            if let Some(cell) = core.cell(context.shard) {
                core.with(cell, |env, locked| locked.shard.handle_resolved(env, &mut locked.out, context, lane, hops));
            }
        });
    }

    /// Does what a handler without a shard put out.
    fn outside(&self, edge: &Arc<Edge>, handle: impl FnOnce(&Env<'_>, &mut Output)) {
        let (secrets, store) = (self.secrets.load(), self.calls_now());
        let env = self.env(edge, &secrets, &store);
        let mut out = lock(&self.outside);
        handle(&env, &mut out);
        self.obey(edge, &mut out);
    }

    fn handle(&self, source: Source<'_>, message: Message) {
        if !message.is_request() {
            return self.handle_answer(&source, &message);
        }
        let edge = self.edge.load();
        let flow = source.flow;
        let (identify, connection) = (&edge.identify, Some(flow.connection));
        let now = identify.trunk_over(flow.listener, flow.remote.ip(), source.authenticated, connection);
        let has_former = identify.has_former();
        if now.is_none() && !has_former {
            drop(edge);
            return self.refuse_stranger(&source, &message);
        }
        let essentials = match (now, Essentials::of_request(&message, &edge.limits)) {
            (_, Ok(essentials)) => essentials,
            (None, Err(_)) => return self.refuse_stranger(&source, &message),
            (Some(from), Err(what)) => {
                return self.outside(&edge, |env, out| refuse_flawed(env, out, flow, from, &message, what));
            }
        };
        let (from, former) = match now {
            Some(from) if !has_former || essentials.to_tag.is_none() => (from, false),
            now => match self.party(&edge, &source, now, (&message, &essentials)) {
                Some(party) => party,
                None => return self.refuse_stranger(&source, &message),
            },
        };
        if message.method() == b"OPTIONS" && essentials.to_tag.is_none() && edge.is_own_uri(&essentials.uri) {
            self.probes.handle_options_of(from);
        }
        match self.divert.take(from, flow, &message, &essentials) {
            Diverted::Not => {}
            Diverted::Full if flow.transport.is_reliable() => {
                let incoming = Incoming { flow, from, former, request: &message, essentials: &essentials };
                let refusal = Refusal::overloaded(&edge);
                return self.outside(&edge, |env, out| refuse(env, out, &incoming, &refusal));
            }
            Diverted::Taken | Diverted::Full => return,
        }
        let shard = shard_of(&self.secrets.load(), &self.homes, &message, &essentials, SHARDS);
        self.bring_call(&message, from, shard);
        let Some(cell) = self.cells.get(shard) else { return };
        self.with(cell, |env, locked| {
            let incoming = Incoming { flow, from, former, request: &message, essentials: &essentials };
            locked.shard.handle_request(env, &mut locked.out, &incoming);
        });
    }

    /// Whose request it is when it may be in a call that began before a reload: the trunk that is known now, or the one
    /// that was known so then, with `true`.
    fn party(
        &self,
        edge: &Arc<Edge>,
        source: &Source<'_>,
        now: Option<TrunkId>,
        (message, essentials): (&Message, &Essentials<'_>),
    ) -> Option<(TrunkId, bool)> {
        let (flow, secrets, store) = (source.flow, self.secrets.load(), self.calls_now());
        let env = self.env(edge, &secrets, &store);
        let is_party = |trunk| is_party(&env, trunk, message, essentials);
        let in_dialog = essentials.to_tag.is_some();
        if let Some(now) = now.filter(|now| !in_dialog || is_party(*now)) {
            return Some((now, false));
        }
        let former = |is_right: &dyn Fn(TrunkId) -> bool| {
            edge.identify.former(flow.listener, flow.remote.ip(), source.authenticated, is_right)
        };
        let proved = in_dialog.then(|| former(&is_party)).flatten();
        if let Some(trunk) = proved {
            return Some((trunk, true));
        }
        if let Some(now) = now {
            return Some((now, false));
        }
        // What is being set up goes on to its end.
        let former = former(&|_| true)?;
        let cell = self.cells.get(shard_of(&secrets, &self.homes, message, essentials, SHARDS))?;
        lock(&cell.locked).shard.knows(&env, message, essentials).then_some((former, true))
    }

    /// A REFER that names a second call wants it in the shard of its own.
    fn bring_call(&self, request: &Message, from: TrunkId, shard: usize) {
        let found = call_to_bring(&self.secrets.load(), &self.homes, request, SHARDS);
        let Some((other, replaces)) = found.filter(|&(other, _)| other != shard) else { return };
        let (Some(there), Some(here)) = (self.cells.get(other), self.cells.get(shard)) else { return };
        let mut call = None;
        self.with(there, |env, locked| call = locked.shard.give_away(env, from, &replaces));
        if let Some(call) = call {
            self.with(here, |env, locked| locked.shard.take_in(env, call));
        }
    }

    fn handle_answer(&self, source: &Source<'_>, response: &Message) {
        let id = branch_of(response).filter(|_| response.flaw().is_none());
        match id.and_then(|id| Some((id, self.cell(id.context.shard)?))) {
            Some((id, cell)) => {
                self.with(cell, |env, locked| locked.shard.handle_answer(env, &mut locked.out, id, response));
            }
            None if self.probes.handle_answer(response) || self.divert.take_answer(response) => {}
            None => {
                let Flow { listener, remote, .. } = source.flow;
                self.strangers.take(&self.edge.load(), listener, remote.ip());
                lock(&self.outside).counts.dropped += 1;
            }
        }
    }

    /// A request of no trunk is never routed: it is dropped, or refused at a limited rate.
    fn refuse_stranger(&self, source: &Source<'_>, request: &Message) {
        let (edge, flow) = (self.edge.load(), source.flow);
        let within = self.strangers.handle_stranger(&edge, source, request)
            && self.strangers.take(&edge, flow.listener, flow.remote.ip());
        let essentials = Essentials::of_request(request, &edge.limits);
        self.outside(&edge, |env, out| {
            out.counts.strangers += 1;
            match essentials {
                Ok(essentials) if within && self.unknown.may_answer(env.now.as_millis()) => {
                    refuse_stranger(env, out, flow, request, &essentials);
                }
                _ => out.counts.dropped += 1,
            }
        });
    }
}

impl Receiver for Core {
    fn message(&self, source: Source<'_>, bytes: Bytes) {
        let edge = self.edge.load();
        if self.strangers.refuses(&edge, &source, &bytes) {
            return;
        }
        self.taps.received(&source, &bytes);
        let limits = edge.limits;
        match Message::parse(bytes, framing(source.flow.transport), &limits) {
            Ok(message) => {
                self.taps.meters.messages.received(&message);
                self.handle(source, message);
            }
            Err(flaw) => {
                tracing::debug!(remote = %source.flow.remote, %flaw, "not a SIP message");
                self.strangers.handle_malformed(&edge, &source);
                let counts = &mut lock(&self.outside).counts;
                counts.dropped += 1;
                counts.over_message_limit += u32::from(flaw.what.is_limit());
            }
        }
    }

    fn unframed(&self, source: Source<'_>, head: Bytes, fault: FrameFault) {
        tracing::debug!(remote = %source.flow.remote, %fault, "cannot frame the stream");
        let edge = self.edge.load();
        self.strangers.handle_malformed(&edge, &source);
        let Ok(message) = Message::parse(head, crate::sip::Framing::Datagram, &edge.limits) else { return };
        let from = edge.identify.trunk(source.flow.listener, source.flow.remote.ip(), source.authenticated);
        if let Some(from) = from.filter(|_| message.is_request()) {
            let what = message.flaw().map_or(crate::sip::What::ContentLength, |flaw| flaw.what);
            self.outside(&edge, |env, out| refuse_flawed(env, out, source.flow, from, &message, what));
        }
    }

    fn welcomes(&self, listener: ListenerId, remote: IpAddr) -> bool {
        self.strangers.welcomes(&self.edge.load(), listener, remote)
    }

    fn handshake_failed(&self, listener: ListenerId, remote: IpAddr) {
        self.strangers.handle_handshake_failed(&self.edge.load(), listener, remote);
    }

    fn send_failed(&self, token: Token, fault: SendFault) {
        if self.probes.handle_send_failed(token, fault) || self.divert.take_not_sent(token, fault) {
            return;
        }
        let Some(id) = branch_of_token(token) else { return };
        tracing::debug!(?id, %fault, "a request did not leave");
        if let Some(cell) = self.cell(id.context.shard) {
            self.with(cell, |env, locked| locked.shard.handle_send_failed(env, &mut locked.out, id));
        }
    }
}

/// A panic while a shard was locked costs the message that caused it; the shard goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
