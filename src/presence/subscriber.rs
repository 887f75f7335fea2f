//! The edge's subscriptions on PBXs: dialog events, presence and resource lists (RFC 6665, RFC 4235, RFC 4662).
//!
//! One [`Subscription`] a line and package, or one a resource list that has all lines of a tenant. Requests go out at a
//! paced rate for each trunk; refreshes are spread over the interval. A SUBSCRIBE may fork: each notifier has a
//! [`leg::Leg`], a dialog of its own with its own state of the line, and the line's report is the greatest of them.
//!
//! ```text
//! resting -> queued -> asking -> accepted -> up -> (lost) resting
//!                        \------ NOTIFY -----/        any -> leaving -> gone
//! ```

mod asks;
mod backoff;
mod clock;
mod entity;
mod leg;
mod list;
mod names;
mod notices;
mod notify;
mod pace;
mod related;
mod rlmi;
mod subscription;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use self::backoff::Chance;
use self::list::Members;
use self::names::Names;
use self::pace::Pace;
use self::subscription::{Stage, Subscription, Target};
use super::agent::{Arrived, Reply, Say};
use super::pidf::Aliases;
use super::{Line, Source, TenantKey, Told, UserKey};
use crate::transaction::{Due, Moment, Wheel};

pub use self::related::{Part, parts};
pub use self::rlmi::{Instance, InstanceState, List, Resource, read as read_list};

/// What the subscriptions are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Lines and lists that are subscribed to; more are not, and counted.
    pub max_subscriptions: usize,
    /// SUBSCRIBE requests a second to one trunk.
    pub per_second: u32,
    /// What a subscription asks for.
    pub expires: Duration,
    /// Bytes of a document; larger ones are refused.
    pub max_document_bytes: usize,
}

/// An event package that is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Package {
    /// RFC 4235.
    Dialog,
    /// RFC 3856.
    Presence,
}

impl Package {
    /// The package's name in Event.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Dialog => "dialog",
            Self::Presence => "presence",
        }
    }

    /// The source that a user's line is by this package.
    pub const fn source(self, line: u8) -> Source {
        match self {
            Self::Dialog => Source::Line(line),
            Self::Presence => Source::PbxPresence,
        }
    }
}

/// Which line of a user is meant, and what is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineOf {
    pub tenant: TenantKey,
    pub user: UserKey,
    /// The line's place in [`super::Person::lines`].
    pub index: u8,
    pub package: Package,
}

impl LineOf {
    fn key(self) -> u64 {
        u64::from(self.user.0) << 16 | u64::from(self.index) << 8 | self.package as u64
    }
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "each is taken out of its list at once; requests are many")]
pub enum Output {
    Say(Say),
    Told(Told),
}

/// Totals, and how things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SUBSCRIBE requests that were sent.
    pub subscribes: u64,
    /// SUBSCRIBE requests that a PBX refused for good or for long.
    pub refused: u64,
    /// SUBSCRIBE requests that failed for now: no answer, 5xx and the like.
    pub failed: u64,
    /// NOTIFY requests that were taken.
    pub notifies: u64,
    /// NOTIFY requests that belong to no subscription, came in the wrong order or say what cannot be read.
    pub notify_faults: u64,
    /// Documents that could not be read.
    pub unreadable: u64,
    /// How often full state was asked for, since a version was missing.
    pub resyncs: u64,
    /// Subscriptions that a PBX ended, or that were not renewed in time.
    pub lost: u64,
    /// Lines that were not subscribed to, since the limit is reached.
    pub over_limit: u64,
    /// Gauges: all subscriptions, those that are up, and those that wait to be asked for.
    pub subscriptions: usize,
    pub up: usize,
    pub waiting: usize,
}

/// How a line's subscription stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `up`, `asking`, `queued` or `resting`.
    pub word: &'static str,
    /// The SIP status that the PBX refused the last SUBSCRIBE with.
    pub status: Option<u16>,
    /// When the line is asked for again.
    pub again: Option<Moment>,
}

/// All subscriptions of the edge.
#[derive(Debug)]
pub struct Subscriber {
    settings: Settings,
    names: Names,
    chance: Chance,
    subscriptions: Slab<Subscription>,
    /// By user, package and line.
    lines: HashMap<u64, u32, foldhash::fast::RandomState>,
    /// Resource lists, by tenant.
    lists: HashMap<TenantKey, u32, foldhash::fast::RandomState>,
    /// Who is behind the entries of a tenant's list.
    members: HashMap<TenantKey, Members, foldhash::fast::RandomState>,
    aliases: HashMap<TenantKey, Arc<Aliases>, foldhash::fast::RandomState>,
    pace: Pace,
    wheel: Wheel,
    /// What came due; kept for its memory.
    due: Vec<Due>,
    /// The number of the last subscription, and of the last request.
    generation: u32,
    ask: u32,
    counts: Counts,
}

impl Subscriber {
    /// Nothing is subscribed to yet. What PBXs must not be able to guess is derived from `seed`.
    pub fn new(now: Moment, settings: Settings, seed: [u64; 2]) -> Self {
        Self {
            settings,
            names: Names::new(seed),
            chance: Chance::new(seed[0] ^ seed[1].rotate_left(32)),
            subscriptions: Slab::new(),
            lines: HashMap::default(),
            lists: HashMap::default(),
            members: HashMap::default(),
            aliases: HashMap::default(),
            pace: Pace::new(settings.per_second),
            wheel: Wheel::new(now, usize::MAX),
            due: Vec::new(),
            generation: 0,
            ask: 0,
            counts: Counts::default(),
        }
    }

    /// Holds for what is asked for from now on; subscriptions that are up stay as they are.
    pub fn set_settings(&mut self, settings: Settings) {
        self.pace.set_rate(settings.per_second);
        self.settings = settings;
    }

    /// A tenant's own names of user presence, for the documents of the `presence` package.
    pub fn set_aliases(&mut self, tenant: TenantKey, aliases: Aliases) {
        self.aliases.insert(tenant, Arc::new(aliases));
    }

    /// Subscribes to a user's line, or to another one in its place; `None`: no longer.
    pub fn set_line(&mut self, now: Moment, of: LineOf, line: Option<Line>, out: &mut Vec<Output>) {
        let key = of.key();
        if let Some(&slot) = self.lines.get(&key) {
            let same = |subscription: &Subscription| line.as_ref().is_some_and(|line| subscription.is_at(line));
            if self.get(slot).is_some_and(same) {
                return;
            }
            self.lines.remove(&key);
            self.leave(now, slot, out);
        }
        let target = Target::Line { user: of.user, index: of.index, package: of.package };
        if let Some(line) = line
            && let Some(slot) = self.begin(now, of.tenant, line, target)
        {
            self.lines.insert(key, slot);
        }
    }

    /// Subscribes to a resource list that has all lines of a tenant (RFC 4662); `None`: no longer.
    pub fn set_list(&mut self, now: Moment, tenant: TenantKey, list: Option<Line>, out: &mut Vec<Output>) {
        if let Some(&slot) = self.lists.get(&tenant) {
            let same = |subscription: &Subscription| list.as_ref().is_some_and(|list| subscription.is_at(list));
            if self.get(slot).is_some_and(same) {
                return;
            }
            self.lists.remove(&tenant);
            self.leave(now, slot, out);
        }
        if let Some(list) = list
            && let Some(slot) = self.begin(now, tenant, list, Target::List)
        {
            self.lists.insert(tenant, slot);
        }
    }

    /// Says which user's line an entry of the tenant's list is: `line` is the user part, or the whole address, that the
    /// PBX lists it by. `None`: the user has no line there any more.
    pub fn set_member(
        &mut self,
        now: Moment,
        tenant: TenantKey,
        user: UserKey,
        index: u8,
        line: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        let members = self.members.entry(tenant).or_default();
        if line.is_some_and(|line| members.has(user, index, line)) {
            return;
        }
        if members.take(user, index) {
            out.push(Output::Told(Told { user, source: Source::Line(index), report: None, until: None }));
        }
        match line {
            Some(line) => {
                members.put(user, index, line);
                // What the PBX told of the entry before was not kept.
                self.refresh_list(now, tenant);
            }
            None if members.is_empty() => {
                self.members.remove(&tenant);
            }
            None => {}
        }
    }

    /// An answer to a SUBSCRIBE, or that there is none.
    pub fn handle_reply(&mut self, now: Moment, reply: &Reply, out: &mut Vec<Output>) {
        self.take_reply(now, reply, out);
    }

    /// A NOTIFY; it is answered always.
    pub fn handle_request(&mut self, now: Moment, arrived: &Arrived, out: &mut Vec<Output>) {
        self.take_notify(now, arrived, out);
    }

    /// Does what has come due; harmless when early.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.pass_time(now, out);
    }

    /// When [`Self::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        [self.wheel.next_wake(), self.pace.next_wake()].into_iter().flatten().min()
    }

    /// Totals and gauges.
    pub fn counts(&self) -> Counts {
        Counts { subscriptions: self.lines.len() + self.lists.len(), ..self.counts }
    }

    /// How the subscription to a user's line stands; `None`: there is none.
    pub fn standing(&self, of: LineOf) -> Option<Standing> {
        let slot = *self.lines.get(&of.key())?;
        self.get(slot).map(Subscription::standing)
    }

    /// How the subscription to a tenant's list stands; `None`: there is none.
    pub fn list_standing(&self, tenant: TenantKey) -> Option<Standing> {
        let slot = *self.lists.get(&tenant)?;
        self.get(slot).map(Subscription::standing)
    }

    /// Memory held, in bytes, without what the allocator adds.
    pub fn heap_bytes(&self) -> usize {
        let each: usize = self.subscriptions.iter().map(|(_, subscription)| subscription.heap_bytes()).sum();
        let slots = self.subscriptions.capacity() * size_of::<Subscription>();
        let keys = (self.lines.capacity() + self.lists.capacity()) * size_of::<(u64, u32)>();
        slots + each + keys + self.wheel.heap_bytes() + self.pace.heap_bytes()
    }

    fn get(&self, slot: u32) -> Option<&Subscription> {
        self.subscriptions.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(slot as usize)
    }

    /// Makes a subscription and lines it up to be asked for; `None`: the limit is reached.
    fn begin(&mut self, now: Moment, tenant: TenantKey, at: Line, target: Target) -> Option<u32> {
        if self.lines.len() + self.lists.len() >= self.settings.max_subscriptions {
            self.counts.over_limit += 1;
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let expires = u32::try_from(self.settings.expires.as_secs()).unwrap_or(u32::MAX);
        let subscription = Subscription::new(self.generation, tenant, at, target, expires);
        // The slab is bounded by twice the limit, which is far below 2^32 in what memory allows.
        let slot = u32::try_from(self.subscriptions.insert(subscription)).ok()?;
        self.counts.waiting += 1;
        self.queue(now, slot, pace::Rank::Fresh);
        Some(slot)
    }

    /// Changes the stage, and the gauges with it.
    fn move_to(&mut self, slot: u32, stage: Stage) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        let before = std::mem::replace(&mut subscription.stage, stage);
        for (stage, step) in [(before, -1), (stage, 1)] {
            let gauge = match stage {
                Stage::Up => &mut self.counts.up,
                Stage::Queued | Stage::Resting { .. } => &mut self.counts.waiting,
                Stage::Asking | Stage::Accepted { .. } | Stage::Leaving { .. } => continue,
            };
            *gauge = gauge.saturating_add_signed(step);
        }
    }

    /// Puts a subscription in its trunk's line, where it does not stand there already.
    fn queue(&mut self, now: Moment, slot: u32, rank: pace::Rank) {
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        if !std::mem::replace(&mut subscription.queued, true) {
            self.pace.push(now, subscription.trunk, rank, (slot, subscription.generation));
        }
    }

    /// Takes a subscription out for good.
    fn remove(&mut self, slot: u32) {
        if self.get(slot).is_some() {
            // Leaving counts in no gauge.
            self.move_to(slot, Stage::Leaving { until: Moment::START });
            self.subscriptions.remove(slot as usize);
        }
    }
}
