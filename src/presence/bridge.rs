//! The parts of the bridge, put together: what one says goes to the others.
//!
//! ```text
//! subscriber, publications, feed, own calls -> board -> writer -> Graph
//!                                                 \-> notifier (where Teams is not shown)
//! Graph -> poller -> notifier, publisher (where Teams is shown)
//! subscriber, notifier, publications, publisher <-> the agent, which its owner keeps beside the bridge
//! ```
//!
//! What was learned from Teams never enters the board (rule 4).

mod settings;
mod settle;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::settings::{Settings, TenantSettings};

use self::settle::Work;
use super::Line;
use super::access::Access;
use super::agent::{Arrived, Reply, Say};
use super::board::{self, Board};
use super::merge::Merged;
use super::notifier::Notifier;
use super::people::{People, Person, TenantKey, UserKey};
use super::poller::{self, Poller};
use super::publications::Publications;
use super::publisher::Publisher;
use super::state::{Source, TeamsPresence, Told};
use super::subscriber::{self, LineOf, Package, Subscriber};
use super::teams::session_for;
use super::view::View;
use super::writer::{self, Budgets, ItemResult, RequestId, Writer, Written};
use crate::transaction::Moment;

/// What the owner of the bridge is to do, in this order.
#[expect(clippy::large_enum_variant, reason = "it is done at once, in a buffer that is kept")]
#[derive(Clone, Debug)]
pub enum Act {
    /// Say it over SIP: what comes of it goes to [`Bridge::handle_reply`].
    Say(Say),
    /// Ask Graph to write, after all `Keep`s before it are safe; the answer goes to [`Bridge::handle_written`].
    Write { request: RequestId, tenant: TenantKey, items: Vec<writer::Item> },
    /// Keep on disk what may be in Graph.
    Keep { tenant: TenantKey, graph_id: Arc<str>, written: Option<Written> },
    /// Ask Graph what users show; the answer goes to [`Bridge::handle_polled`].
    Poll { request: RequestId, tenant: TenantKey, ids: Vec<Arc<str>> },
}

/// Random bytes of this process.
#[derive(Clone, Copy)]
pub struct Seeds {
    pub secret: [u8; 16],
    pub numbers: [u64; 2],
}

/// All parts of the bridge.
#[derive(Debug)]
pub struct Bridge {
    people: People,
    access: Access,
    tenants: BTreeMap<TenantKey, TenantSettings>,
    board: Board,
    writer: Writer,
    poller: Poller,
    budgets: Budgets,
    subscriber: Subscriber,
    notifier: Notifier,
    publications: Publications,
    publisher: Publisher,
    work: Work,
}

/// What is known of one user, for people.
#[derive(Debug)]
pub struct Standing<'a> {
    pub person: &'a Person,
    pub merged: Merged,
    pub sources: Vec<board::Known>,
    pub written: Option<writer::UserStanding>,
    /// What Teams shows.
    pub teams: Option<&'a TeamsPresence>,
    pub choice_wins: bool,
    pub watchers: usize,
    /// How the subscriptions to the user's lines stand.
    pub lines: Vec<subscriber::Standing>,
}

/// What all parts have counted.
#[derive(Clone, Debug)]
pub struct Counts {
    pub users: usize,
    pub board: board::Counts,
    pub writer: writer::Counts,
    pub poller: poller::Counts,
    pub subscriber: subscriber::Counts,
    pub notifier: super::notifier::Counts,
    pub publications: super::publications::Counts,
    pub publisher: super::publisher::Counts,
}

impl Bridge {
    /// A bridge without anybody.
    pub fn new(now: Moment, settings: &Settings, seeds: Seeds) -> Self {
        let Seeds { secret, numbers } = seeds;
        Self {
            people: People::default(),
            access: Access::default(),
            tenants: BTreeMap::new(),
            board: Board::new(),
            writer: Writer::new(now, settings.writer, numbers[0]),
            poller: Poller::new(settings.poller, numbers[1]),
            budgets: Budgets::default(),
            subscriber: Subscriber::new(now, settings.subscriber, numbers),
            notifier: Notifier::new(now, settings.notifier.clone(), secret),
            publications: Publications::new(now, settings.publications.clone(), secret),
            publisher: Publisher::new(now, settings.publisher.clone(), secret),
            work: Work::default(),
        }
    }

    /// Takes other settings.
    pub fn set(&mut self, now: Moment, settings: &Settings) {
        self.writer.set_limits(settings.writer);
        self.poller.set_limits(now, settings.poller);
        self.subscriber.set_settings(settings.subscriber);
        self.notifier.set_settings(settings.notifier.clone());
        self.publications.set_settings(settings.publications.clone());
        self.publisher.set_settings(settings.publisher.clone());
    }

    /// Takes what the tenants want now; those that are not there want nothing, and their users are taken out by
    /// whoever keeps the roll.
    pub fn set_tenants(&mut self, now: Moment, tenants: BTreeMap<TenantKey, TenantSettings>) {
        let mut access = Access::default();
        for (&tenant, wishes) in &tenants {
            for &trunk in wishes.watchers.iter().chain(&wishes.line_trunk) {
                access.allow(trunk, tenant);
            }
            self.budgets.set_tenant(now, tenant, wishes.graph_requests_per_30s);
            self.subscriber.set_aliases(tenant, wishes.aliases.clone());
            self.publications.set_aliases(tenant, wishes.aliases.clone());
            let list = wishes.list();
            self.subscriber.set_list(now, tenant, list, &mut self.work.subscriber);
        }
        let before = std::mem::replace(&mut self.tenants, tenants);
        for tenant in before.keys().filter(|tenant| !self.tenants.contains_key(tenant)) {
            self.subscriber.set_list(now, *tenant, None, &mut self.work.subscriber);
        }
        let changed = |tenant: &TenantKey| self.tenants.get(tenant) != before.get(tenant);
        let touched: Vec<UserKey> =
            self.people.iter().filter(|(_, person)| changed(&person.tenant)).map(|(user, _)| user).collect();
        for user in touched {
            self.apply(now, user);
        }
        self.access = access;
        let Self { people, access, notifier, publications, work, .. } = self;
        notifier.review(now, people, access, &mut work.notifier);
        publications.review(people, access, &mut work.publications);
    }

    /// The tenants that take part.
    pub fn tenants(&self) -> impl Iterator<Item = TenantKey> {
        self.tenants.keys().copied()
    }

    /// The key of a tenant's name, made when there is none.
    pub fn tenant(&mut self, name: &str) -> Option<TenantKey> {
        self.people.tenant(name)
    }

    /// Puts a user, new or changed; `None`: the keys are used up.
    pub fn put(&mut self, now: Moment, person: Person) -> Option<UserKey> {
        let (tenant, lines) = (person.tenant, person.lines.len());
        let before = self.people.by_id(tenant, &person.id).and_then(|user| self.people.get(user));
        let had = before.map_or(0, |person| person.lines.len());
        let user = self.people.put(person)?;
        self.apply(now, user);
        self.let_go(now, (tenant, user), lines..had);
        Some(user)
    }

    /// Takes a user out: what Graph has of him is cleared, his lines are let go, who watches is told.
    pub fn take(&mut self, now: Moment, user: UserKey) {
        let Some(person) = self.people.take(user) else { return };
        self.let_go(now, (person.tenant, user), 0..person.lines.len());
        let work = &mut self.work;
        self.publications.remove_user(user, &mut work.publications);
        self.publisher.remove_user(now, user, &mut work.says);
        self.notifier.remove_user(now, user, &mut work.notifier);
        self.writer.remove_user(now, user);
        self.poller.remove_user(user);
        self.board.remove_user(user);
    }

    /// A session that was kept on disk; all of them come before the users.
    pub fn restore(&mut self, now: Moment, tenant: TenantKey, graph_id: Arc<str>, written: Written) {
        self.writer.restore(now, tenant, graph_id, written);
    }

    /// A source says something, or is lost.
    pub fn tell(&mut self, told: Told) {
        self.work.told.push(told);
    }

    /// A source is gone for good.
    pub fn forget(&mut self, user: UserKey, source: Source) {
        self.work.forget.push((user, source));
    }

    /// Takes what came of a request of the bridge's.
    pub fn handle_reply(&mut self, now: Moment, reply: &Reply) {
        self.hear_reply(now, reply);
    }

    /// Takes a request that is for the bridge; it is answered always.
    pub fn handle_request(&mut self, now: Moment, arrived: &Arrived) {
        self.hear_request(now, arrived);
    }

    /// Takes what came of [`Act::Write`].
    pub fn handle_written(&mut self, now: Moment, request: RequestId, result: Result<Vec<ItemResult>, writer::Fault>) {
        self.writer.handle_done(now, request, result, &mut self.budgets, &mut self.work.writer);
    }

    /// Takes what came of [`Act::Poll`].
    pub fn handle_polled(
        &mut self,
        now: Moment,
        request: RequestId,
        result: Result<Vec<(Arc<str>, TeamsPresence)>, writer::Fault>,
    ) {
        self.poller.handle_polled(now, request, result, &mut self.budgets, &mut self.work.poller);
    }

    /// Graph tells by itself what a user shows.
    pub fn handle_notified(&mut self, now: Moment, user: UserKey, presence: TeamsPresence) {
        self.poller.handle_notified(now, user, presence, &mut self.work.poller);
    }

    /// A tenant's credentials fail, or work again.
    pub fn set_well(&mut self, now: Moment, tenant: TenantKey, well: bool) {
        if well {
            self.writer.handle_well(now, tenant, &mut self.budgets);
        } else {
            self.writer.handle_unwell(now, tenant, &mut self.budgets);
        }
    }

    /// The edge stops and nothing is to stay in Graph.
    pub fn clear_all(&mut self, now: Moment) {
        self.writer.stop(now, &mut self.budgets);
    }

    /// Whether nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// Does what is due, lets the parts hear of each other, and gives what is to be done outside.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Act>) {
        self.board.handle_time(now, &mut self.work.changes);
        self.subscriber.handle_time(now, &mut self.work.subscriber);
        self.notifier.handle_time(now, &mut self.work.notifier);
        self.publications.handle_time(now, &mut self.work.publications);
        self.publisher.handle_time(now, &mut self.work.says);
        // What changed by all that is written in the same turn.
        self.settle(now, out);
        self.writer.handle_time(now, &mut self.budgets, &mut self.work.writer);
        let Self { writer, poller, budgets, work, .. } = self;
        poller.handle_time(now, budgets, |tenant| writer.has_changes(tenant), &mut work.poller);
        self.settle(now, out);
    }

    /// When time has something to do next.
    pub fn next_wake(&self) -> Option<Moment> {
        [
            self.board.next_wake(),
            self.subscriber.next_wake(),
            self.notifier.next_wake(),
            self.publications.next_wake(),
            self.publisher.next_wake(),
            self.writer.next_wake(),
            self.poller.next_wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Who takes part.
    pub const fn people(&self) -> &People {
        &self.people
    }

    /// What is told to Graph.
    pub const fn writer(&self) -> &Writer {
        &self.writer
    }

    /// What Graph tells.
    pub const fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Subscriptions at the edge for a user.
    pub fn watchers(&self, user: UserKey) -> usize {
        self.notifier.watchers(user)
    }

    /// Whether a source of a user says nothing any more, so that another may take its place.
    pub fn is_lost(&self, now: Moment, user: UserKey, source: Source) -> bool {
        let known = self.board.sources(user).iter().find(|known| known.source == source);
        known.is_none_or(|known| known.report.is_none() || known.until.is_some_and(|until| until <= now))
    }

    /// What is known of one user.
    pub fn standing(&self, user: UserKey) -> Option<Standing<'_>> {
        let person = self.people.get(user)?;
        let lines = (0..person.lines.len() as u8)
            .flat_map(|index| [Package::Dialog, Package::Presence].map(|package| (index, package)))
            .filter_map(|(index, package)| {
                self.subscriber.standing(LineOf { tenant: person.tenant, user, index, package })
            });
        Some(Standing {
            person,
            merged: self.board.merged(user).unwrap_or_default(),
            sources: self.board.sources(user).to_vec(),
            written: self.writer.standing(user),
            teams: self.poller.shown(user),
            choice_wins: self.poller.choice_wins(user),
            watchers: self.notifier.watchers(user),
            lines: lines.collect(),
        })
    }

    /// What all parts have counted.
    pub fn counts(&self, now: Moment) -> Counts {
        Counts {
            users: self.people.len(),
            board: self.board.counts(),
            writer: self.writer.counts(now),
            poller: self.poller.counts(),
            subscriber: self.subscriber.counts(),
            notifier: self.notifier.counts(),
            publications: self.publications.counts(),
            publisher: self.publisher.counts(),
        }
    }

    /// Lets go of lines that a user has no more.
    fn let_go(&mut self, now: Moment, (tenant, user): (TenantKey, UserKey), lines: std::ops::Range<usize>) {
        // A line's number fits into a byte: sources are named by it.
        for index in lines.filter_map(|index| u8::try_from(index).ok()) {
            for package in [Package::Dialog, Package::Presence] {
                let of = LineOf { tenant, user, index, package };
                self.subscriber.set_line(now, of, None, &mut self.work.subscriber);
            }
            self.subscriber.set_member(now, tenant, user, index, None, &mut self.work.subscriber);
            self.work.forget.push((user, Source::Line(index)));
        }
    }

    /// Has all parts know a user as he is now.
    fn apply(&mut self, now: Moment, user: UserKey) {
        let Self { people, tenants, work, .. } = self;
        let Some(person) = people.get(user) else { return };
        let (tenant, direction) = (person.tenant, person.direction);
        let usual = TenantSettings::default();
        let wishes = tenants.get(&tenant).unwrap_or(&usual);
        self.board.set_user(now, user, wishes.not_available, &mut work.changes);
        let merged = self.board.merged(user).unwrap_or_default();
        // Who has a session in Graph and is not written for any more is cleared.
        self.writer.set_user(now, user, tenant, person.graph_id.clone());
        self.writer.want(now, user, session_for(merged).filter(|_| direction.writes()));
        self.poller.set_user(now, user, tenant, person.graph_id.clone());
        for (index, line) in (0..).zip(&person.lines) {
            let out = &mut work.subscriber;
            let listed = wishes.line_list.is_some() && wishes.subscribe_lines;
            let wanted = |package| match package {
                Package::Dialog => wishes.subscribe_lines && !listed,
                // The user's own presence is asked for once, at the first line.
                Package::Presence => wishes.subscribe_presence && index == 0,
            };
            for package in [Package::Dialog, Package::Presence] {
                let line = Some(line.clone()).filter(|_| wanted(package));
                self.subscriber.set_line(now, LineOf { tenant, user, index, package }, line, out);
            }
            let member = Some(&*line.user).filter(|_| listed);
            self.subscriber.set_member(now, tenant, user, index, member, out);
        }
        if !(wishes.publish_dnd && direction.shows_teams()) {
            self.publisher.remove_user(now, user, &mut work.says);
        }
        let view = View::by_direction(direction, self.poller.shown(user), Some((merged.presence, merged.conference)));
        self.notifier.set_presence(now, user, view, &mut work.notifier);
    }
}

/// The resource list of a tenant as a line.
impl TenantSettings {
    fn list(&self) -> Option<Line> {
        let (trunk, list) = self.line_trunk.zip(self.line_list.clone())?;
        self.subscribe_lines.then_some(Line { trunk, user: list })
    }
}
