//! Watches the targets of all trunks: OPTIONS go out, answers and failures come in, calls tell what they met with, and
//! what is known stands in the edge's table, which calls read without a lock (`trunk::health`).
//!
//! One task turns the time for all targets. Answers and news are taken by the worker that has them; the lock is held
//! for as long as that takes, and never waited with. Whoever holds it locks nothing else but sockets.

mod heard;
mod meters;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::heard::HeardOptions;
use self::meters::Meters;
use self::watch::{Do, Watch, Watched, id_of};
use super::clock::Clock;
use super::names;
use crate::admin::{TargetStatus, TrunkStatus};
use crate::call::explain::TargetHealth;
use crate::call::probe::{ProbeAnswer, ProbeId};
use crate::call::{Edge, Heard, Secrets};
use crate::dns::Resolver;
use crate::routing::Routing;
use crate::sip::Message;
use crate::telemetry::metrics::{Page, Series};
use crate::transport::{SendFault, Token, Transports};
use crate::trunk::health::{LinkFault, Reason, State};
use crate::trunk::{Hop, Target, Trunk, TrunkId};

/// The longest that the task sleeps, however little is to be done.
const LONGEST: Duration = Duration::from_secs(60);

/// The watch over all targets, with what it needs to act.
pub struct Probes {
    locked: Mutex<Locked>,
    /// Something has to be done sooner than the task thinks.
    sooner: Notify,
    options: HeardOptions,
    seen: Arc<super::counters::Meters>,
    transports: Arc<Transports>,
    resolver: Resolver,
    clock: Clock,
    runtime: tokio::runtime::Handle,
}

struct Locked {
    watch: Watch,
    meters: Meters,
    out: Vec<Do>,
}

impl Probes {
    /// The watch over the targets of an edge, on the runtime that it is made on; nothing is sent before [`turn`].
    pub fn new(
        edge: &Edge,
        secrets: &Secrets,
        resolver: &Resolver,
        transports: &Arc<Transports>,
        clock: Clock,
        seen: Arc<super::counters::Meters>,
    ) -> Arc<Self> {
        // Without its dial plan, which the watch does not need and would keep when changes have replaced it.
        let edge = Arc::new(edge.with_routing(Routing::default()));
        let watch = Watch::new(Arc::clone(&edge), secrets.clone(), clock.elapsed());
        let locked = Locked { meters: Meters::register(&edge), watch, out: Vec::new() };
        Arc::new(Self {
            locked: Mutex::new(locked),
            sooner: Notify::new(),
            options: HeardOptions::register(&edge),
            seen,
            transports: Arc::clone(transports),
            resolver: resolver.clone(),
            clock,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Takes an answer; false when it is none to OPTIONS of the edge's own that somebody waits for.
    pub fn handle_answer(self: &Arc<Self>, response: &Message) -> bool {
        let Some(answer) = ProbeAnswer::read(response) else { return false };
        self.with(|now, locked, out| locked.watch.handle_answer(now, answer, out))
    }

    /// Takes the news that something did not leave; false when it was none of the edge's own OPTIONS.
    pub fn handle_send_failed(self: &Arc<Self>, token: Token, fault: SendFault) -> bool {
        let Some(id) = id_of(token) else { return false };
        self.with(|now, locked, out| locked.watch.handle_not_sent(now, id, link_fault(fault), out));
        true
    }

    /// A trunk has sent OPTIONS to the edge itself.
    pub fn handle_options_of(&self, from: TrunkId) {
        self.options.note(&self.clock, from);
    }

    /// Takes what calls met with.
    pub fn handle_heard(self: &Arc<Self>, heard: impl Iterator<Item = Heard>) {
        let mut heard = heard.peekable();
        if heard.peek().is_none() {
            return;
        }
        self.with(|now, locked, out| heard.for_each(|heard| locked.watch.handle_heard(now, heard, out)));
        self.sooner.notify_one();
    }

    /// All trunks and what is known of their targets, in the order of the configuration.
    pub fn status(&self) -> Vec<TrunkStatus> {
        let (now, unix) = (self.clock.now(), self.clock.unix_millis());
        let locked = lock(&self.locked);
        let (edge, watch) = (locked.watch.edge(), &locked.watch);
        let target = |(trunk, index, target): (&Trunk, u16, &Target)| {
            let settings = edge.health.settings(trunk.id)?;
            let Watched { health, answered, .. } = watch.target(trunk.id, index)?;
            let age = now.since(health.since());
            Some(TargetStatus {
                trunk: trunk.name.to_string(),
                target: target.to_string(),
                state: health.state(),
                reason: health.reason().to_string(),
                for_s: age.as_secs(),
                since: unix.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                asked: settings.interval.is_some(),
                answered_s: answered.map(|(at, _)| now.since(at).as_secs()),
                round_trip_ms: answered.and_then(|(_, time)| u64::try_from(time.as_millis()).ok()),
            })
        };
        let one = |trunk: &Trunk| {
            let (options_received, heard) = self.options.of(&self.clock, trunk.id);
            TrunkStatus {
                name: trunk.name.to_string(),
                kind: trunk.kind.word(),
                options_received,
                options_received_s: heard.map(|age| age.as_secs()),
                targets: (0..).zip(&trunk.targets).filter_map(|(index, it)| target((trunk, index, it))).collect(),
            }
        };
        edge.trunks.staying().map(one).collect()
    }

    /// What is known of one target of a trunk; `None`: nothing was heard of it yet.
    pub fn health(&self, trunk: TrunkId, index: u16) -> Option<TargetHealth> {
        let now = self.clock.now();
        let health = lock(&self.locked).watch.target(trunk, index)?.health;
        (health.reason() != Reason::Assumed).then(|| TargetHealth {
            state: health.state(),
            reason: health.reason().to_string(),
            for_s: now.since(health.since()).as_secs(),
        })
    }

    /// Takes the targets of another edge; those that stay keep what is known of them.
    pub fn follow(self: &Arc<Self>, edge: &Edge) {
        let edge = Arc::new(edge.with_routing(Routing::default()));
        self.options.follow(&edge);
        self.with(|now, locked, _| {
            locked.meters.follow(&edge);
            locked.watch.follow(edge, now);
        });
        self.sooner.notify_one();
    }

    /// Does what is due; gives how long until something is again.
    fn handle_time(self: &Arc<Self>) -> Duration {
        self.with(|now, locked, out| {
            locked.watch.handle_time(now, &self.resolver, out);
            let next = locked.watch.next_wake();
            next.map_or(LONGEST, |at| Duration::from_millis(at.as_millis()).saturating_sub(now).min(LONGEST))
        })
    }

    /// Locks the watch, lets `event` in, does what comes out.
    fn with<T>(self: &Arc<Self>, event: impl FnOnce(Duration, &mut Locked, &mut Vec<Do>) -> T) -> T {
        let now = self.clock.elapsed();
        let mut locked = lock(&self.locked);
        let mut out = std::mem::take(&mut locked.out);
        let result = event(now, &mut locked, &mut out);
        for todo in out.drain(..) {
            self.obey(&mut locked, todo);
        }
        locked.out = out;
        result
    }

    fn obey(self: &Arc<Self>, locked: &mut Locked, todo: Do) {
        match todo {
            Do::Send { hop, bytes, token } => {
                self.seen.messages.requested(&bytes);
                self.transports.request(&hop, bytes, token);
            }
            Do::Resolve { id, trunk, target } => self.resolve(Arc::clone(locked.watch.edge()), id, trunk, target),
            Do::Took { trunk, time } => locked.meters.took(trunk, time),
            Do::Change { trunk, index, change } => {
                locked.meters.changed(trunk, index, change.to);
                tell(locked.watch.edge(), trunk, index, change.to, change.reason);
            }
        }
    }

    /// Looks a name up beside the round that waits for it.
    fn resolve(self: &Arc<Self>, edge: Arc<Edge>, id: ProbeId, trunk: TrunkId, target: Target) {
        let probes = Arc::clone(self);
        self.runtime.spawn(async move {
            let hops: Vec<Hop> = names::look_up(&probes.resolver, &edge, trunk, &target).await;
            probes.with(|now, locked, out| locked.watch.handle_resolved(now, id, hops, out));
            probes.sooner.notify_one();
        });
    }
}

impl Series for Probes {
    fn write(&self, page: &mut Page) {
        let meters = lock(&self.locked).meters.clone();
        meters.write(page);
        self.options.write(&self.clock, page);
    }
}

/// Watches until it is aborted.
pub async fn turn(probes: Arc<Probes>) {
    loop {
        let wait = probes.handle_time();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = probes.sooner.notified() => {}
        }
    }
}

/// A line for operators. A target is not down more often than OPTIONS or its rest allow, so that peers cannot fill logs.
fn tell(edge: &Edge, trunk: TrunkId, index: u16, state: State, reason: Reason) {
    let Some(of) = edge.trunk(trunk) else { return };
    let Some(target) = of.targets.get(usize::from(index)) else { return };
    let trunk = &*of.name;
    match state {
        State::Up => tracing::info!(trunk, %target, %reason, "target is up"),
        State::Suspect => tracing::debug!(trunk, %target, %reason, "target is suspect"),
        State::Down => tracing::warn!(trunk, %target, %reason, "target is down"),
    }
}

fn link_fault(fault: SendFault) -> LinkFault {
    match fault {
        SendFault::ConnectFailed => LinkFault::Refused,
        SendFault::ConnectTimeout => LinkFault::ConnectTimeout,
        SendFault::Tls => LinkFault::Tls,
        SendFault::Unreachable | SendFault::NoSocket => LinkFault::Unreachable,
        SendFault::Closed => LinkFault::Closed,
        SendFault::QueueFull | SendFault::TooLarge | SendFault::TooManyConnections | SendFault::ShutDown => {
            LinkFault::Local
        }
    }
}

/// A panic while the watch was locked costs what caused it; the watch goes on.
fn lock(mutex: &Mutex<Locked>) -> MutexGuard<'_, Locked> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
