//! Which users Graph is asked for, when: spread evenly, watched users first.
//!
//! A tenant's users stand in two rings: all of them, gone through once in [`Settings::interval`], and those that somebody
//! watches, gone through once in [`Settings::interval_watched`]. A request takes up to 650 users and costs the same with
//! one as with all, so what the watched ones leave free is filled with those whose turn comes next.
//!
//! What is heard by polls and by notifications is put in order by `sequenceNumber`, and told on only where it changed.

mod judge;
mod lane;
mod orders;
mod ring;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::judge::{Verdict, Wrote};
use self::lane::Lane;
pub use self::orders::{Counts, Order, Settings};
use super::people::{TenantKey, UserKey};
use super::state::{Availability, Session, TeamsPresence};
use super::writer::{Budgets, Chance, Fault, Purpose, RequestId};
use crate::transaction::Moment;

/// Users that one request may ask for (Graph's limit of `getPresencesByUserId`).
pub const MAX_IDS: usize = 650;

/// How long after a write Graph is asked what it made of it.
const CHECK_AFTER: Duration = Duration::from_secs(10);

/// Requests of a tenant that are under way at the most.
const MAX_IN_FLIGHT: usize = 2;

/// When a tenant is not heard of for so many rounds, nothing is known of its users any more.
const SILENT_ROUNDS: u32 = 3;

/// After so many refusals without an answer, Graph is not asked in smaller and smaller parts any more.
const MAX_REFUSALS: u32 = 32;

/// The shortest time between two requests of a tenant.
const SHORTEST: Duration = Duration::from_millis(100);

/// The poller.
#[derive(Debug)]
pub struct Poller {
    settings: Settings,
    /// By [`UserKey`].
    users: Vec<Option<Box<User>>>,
    lanes: Vec<Option<Lane>>,
    flights: HashMap<RequestId, Flight, foldhash::fast::RandomState>,
    timeouts: VecDeque<(Moment, RequestId)>,
    next_request: u64,
    chance: Chance,
    wake: Option<Moment>,
    counts: Counts,
}

#[derive(Debug)]
struct User {
    tenant: TenantKey,
    graph_id: Arc<str>,
    /// What was told last.
    known: TeamsPresence,
    told: bool,
    own: bool,
    watched: bool,
    choice_wins: bool,
    /// Graph takes no request with this object id in it.
    refused: bool,
    /// Waits to be asked for out of turn.
    checking: bool,
    wrote: Wrote,
    /// The last request that asked for the user.
    asked: u64,
    /// When Graph told of the user by itself.
    notified_at: Option<Moment>,
    all: ring::Place,
    near: ring::Place,
}

#[derive(Debug)]
struct Flight {
    tenant: TenantKey,
    users: Vec<UserKey>,
    sent_at: Moment,
}

impl Poller {
    /// A poller without users; `seed` begins its chance.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            users: Vec::new(),
            lanes: Vec::new(),
            flights: HashMap::default(),
            timeouts: VecDeque::new(),
            next_request: 0,
            chance: Chance::new(seed),
            wake: None,
            counts: Counts::default(),
        }
    }

    /// Takes other settings.
    pub fn set_limits(&mut self, now: Moment, settings: Settings) {
        self.settings = settings;
        self.wake = Some(now);
        for lane in self.lanes.iter_mut().flatten() {
            lane.next_all = lane.next_all.min(now + settings.interval);
            lane.next_near = lane.next_near.min(now + settings.interval_watched);
        }
    }

    /// A user, new or changed; without `graph_id` Graph cannot be asked for him.
    pub fn set_user(&mut self, now: Moment, key: UserKey, tenant: TenantKey, graph_id: Option<Arc<str>>) {
        let known =
            self.user(key).is_some_and(|user| user.tenant == tenant && Some(&user.graph_id) == graph_id.as_ref());
        if known {
            return;
        }
        let watched = self.user(key).is_some_and(|user| user.watched);
        self.remove_user(key);
        let Some(graph_id) = graph_id else { return };
        // Tenants begin at moments of their own.
        let start = now + self.chance.spread(self.settings.interval_watched);
        let place = usize::from(tenant.0);
        if self.lanes.len() <= place {
            self.lanes.resize_with(place + 1, || None);
        }
        let Some(lane) = self.lanes.get_mut(place) else { return };
        let lane = lane.get_or_insert_with(|| Lane::new(start));
        let all = lane.all.push(key);
        let user = User {
            tenant,
            graph_id,
            known: TeamsPresence::default(),
            told: false,
            own: false,
            watched: false,
            choice_wins: false,
            refused: false,
            checking: false,
            wrote: Wrote::default(),
            asked: u64::MAX,
            notified_at: None,
            all,
            near: ring::Place::NONE,
        };
        let place = key.0 as usize;
        if self.users.len() <= place {
            self.users.resize_with(place + 1, || None);
        }
        if let Some(entry) = self.users.get_mut(place) {
            *entry = Some(Box::new(user));
        }
        self.counts.users += 1;
        self.wake = Some(now);
        if watched {
            self.watch(now, key, true);
        }
    }

    /// A user has gone.
    pub fn remove_user(&mut self, key: UserKey) {
        let Some(user) = self.users.get_mut(key.0 as usize).and_then(Option::take) else { return };
        self.counts.users -= 1;
        self.counts.watched -= usize::from(user.watched);
        self.counts.choice_wins -= usize::from(user.choice_wins);
        let Some(lane) = self.lane_mut(user.tenant) else { return };
        let (all, near) = (lane.all.remove(user.all), lane.near.remove(user.near));
        if let Some(other) = all.and_then(|key| self.user_mut(key)) {
            other.all = user.all;
        }
        if let Some(other) = near.and_then(|key| self.user_mut(key)) {
            other.near = user.near;
        }
    }

    /// Somebody watches a user, or nobody does any more.
    pub fn watch(&mut self, now: Moment, key: UserKey, watched: bool) {
        let Some(user) = self.user(key).filter(|user| user.watched != watched) else { return };
        let (tenant, place, checking) = (user.tenant, user.near, user.checking);
        let Some(lane) = self.lane_mut(tenant) else { return };
        let (mut near, mut moved) = (ring::Place::NONE, None);
        if watched {
            near = lane.near.push(key);
            // Who begins to watch wants to see something.
            if !checking {
                lane.checks.push_front((now, key));
            }
            self.counts.watched += 1;
        } else {
            moved = lane.near.remove(place);
            self.counts.watched -= 1;
        }
        if let Some(user) = self.user_mut(key) {
            (user.watched, user.near) = (watched, near);
            user.checking |= watched;
        }
        if let Some(other) = moved.and_then(|key| self.user_mut(key)) {
            other.near = place;
        }
        self.wake = Some(now);
    }

    /// A session of a user is about to be sent: Teams may show it before Graph says that it took it.
    pub fn handle_writing(&mut self, key: UserKey, session: Option<Session>) {
        if let Some(user) = self.user_mut(key) {
            user.wrote.expect(session);
        }
    }

    /// Graph has taken a session of the edge's, or has none any more.
    pub fn handle_wrote(&mut self, now: Moment, key: UserKey, session: Option<Session>, out: &mut Vec<Order>) {
        let Some(user) = self.user_mut(key) else { return };
        let same = user.wrote.session() == session;
        user.wrote.set(now, session);
        let tenant = user.tenant;
        if session.is_none() {
            self.set_choice(key, false, out);
        } else if !same && let Some(lane) = self.lane_mut(tenant) {
            lane.checks.push_back((now + CHECK_AFTER, key));
            self.wake_at(now + CHECK_AFTER);
        }
    }

    /// What came of a request. An answer that comes after its time is up is not heard.
    pub fn handle_polled(
        &mut self,
        now: Moment,
        request: RequestId,
        result: Result<Vec<(Arc<str>, TeamsPresence)>, Fault>,
        budgets: &mut Budgets,
        out: &mut Vec<Order>,
    ) {
        let Some(flight) = self.flights.remove(&request) else { return };
        let answered = result.is_ok();
        if let Some(lane) = self.lane_mut(flight.tenant) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if answered {
                (lane.refusals, lane.heard_at) = (0, now);
            }
        }
        self.wake = Some(now);
        match result {
            Ok(presences) => {
                budgets.handle_success(flight.tenant);
                let mut heard: HashMap<Arc<str>, TeamsPresence, foldhash::fast::RandomState> =
                    presences.into_iter().collect();
                for key in flight.users {
                    let Some(user) = self.user(key) else { continue };
                    // Graph may write the letters of an id otherwise.
                    let presence = heard
                        .remove(&user.graph_id)
                        .or_else(|| heard.remove(user.graph_id.to_ascii_lowercase().as_str()));
                    match presence {
                        Some(presence) => self.hear(now, key, presence, How::Polled { sent_at: flight.sent_at }, out),
                        None => self.counts.missing += 1,
                    }
                }
            }
            Err(fault) => {
                self.counts.faults += 1;
                budgets.handle_fault(now, flight.tenant, &fault, &mut self.chance);
                let interval = self.settings.interval;
                if fault == Fault::Refused {
                    self.divide(flight);
                } else if self.lane(flight.tenant).is_some_and(|lane| lane.is_silent(now, interval)) {
                    self.silence(&flight.users, out);
                }
            }
        }
    }

    /// Graph told of a user by itself.
    pub fn handle_notified(&mut self, now: Moment, key: UserKey, presence: TeamsPresence, out: &mut Vec<Order>) {
        self.counts.notified += 1;
        self.hear(now, key, presence, How::Notified, out);
    }

    /// Turns the time: whose turn it is, is asked for. `writes_wait` tells of a tenant whether changes wait to be
    /// written: they go first.
    pub fn handle_time(
        &mut self,
        now: Moment,
        budgets: &mut Budgets,
        writes_wait: impl Fn(TenantKey) -> bool,
        out: &mut Vec<Order>,
    ) {
        while let Some(&(_, request)) = self.timeouts.front().filter(|(at, _)| *at <= now) {
            self.timeouts.pop_front();
            if self.flights.contains_key(&request) {
                self.counts.lost += 1;
                self.handle_polled(now, request, Err(Fault::Network), budgets, out);
            }
        }
        if self.wake.is_none_or(|at| at > now) {
            return;
        }
        self.wake = None;
        for place in 0..self.lanes.len() {
            let Ok(number) = u16::try_from(place) else { break };
            let tenant = TenantKey(number);
            self.turn(now, tenant, budgets, &writes_wait, out);
            let next = self.lane(tenant).and_then(Lane::next_wake);
            self.wake = self.wake.into_iter().chain(next).min();
        }
    }

    /// When [`Poller::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.timeouts.front().map(|(at, _)| *at).into_iter().chain(self.wake).min()
    }

    /// Totals and gauges.
    pub fn counts(&self) -> Counts {
        Counts { in_flight: self.flights.len(), ..self.counts }
    }

    /// What Teams shows of a user, as far as it is known.
    pub fn shown(&self, key: UserKey) -> Option<&TeamsPresence> {
        self.user(key).filter(|user| user.told).map(|user| &user.known)
    }

    /// Whether Teams shows the user's own choice in place of what the edge has written.
    pub fn choice_wins(&self, key: UserKey) -> bool {
        self.user(key).is_some_and(|user| user.choice_wins)
    }

    /// Users whose own choice wins.
    pub fn with_own_choice(&self) -> impl Iterator<Item = UserKey> {
        let keyed = (0..).map(UserKey).zip(&self.users);
        keyed.filter(|(_, user)| user.as_ref().is_some_and(|user| user.choice_wins)).map(|(key, _)| key)
    }

    /// Bytes on the heap for users, with what their states and object ids take (ids are shared with others).
    pub fn heap_bytes(&self) -> usize {
        let boxes = self.users.iter().flatten().map(|user| {
            let text = user.known.activity.len() + user.known.sequence.as_ref().map_or(0, |text| text.len());
            size_of::<User>() + text
        });
        let rings = self.lanes.iter().flatten().map(|lane| lane.all.heap_bytes() + lane.near.heap_bytes());
        self.users.capacity() * size_of::<Option<Box<User>>>() + boxes.sum::<usize>() + rings.sum::<usize>()
    }

    fn user(&self, key: UserKey) -> Option<&User> {
        self.users.get(key.0 as usize)?.as_deref()
    }

    fn user_mut(&mut self, key: UserKey) -> Option<&mut User> {
        self.users.get_mut(key.0 as usize)?.as_deref_mut()
    }

    fn lane(&self, tenant: TenantKey) -> Option<&Lane> {
        self.lanes.get(usize::from(tenant.0))?.as_ref()
    }

    fn lane_mut(&mut self, tenant: TenantKey) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(tenant.0))?.as_mut()
    }

    /// A tenant's turn: what is due is asked for, as far as the budget goes.
    fn turn(
        &mut self,
        now: Moment,
        tenant: TenantKey,
        budgets: &mut Budgets,
        writes_wait: &impl Fn(TenantKey) -> bool,
        out: &mut Vec<Order>,
    ) {
        let Some(lane) = self.lane(tenant).filter(|lane| !lane.all.is_empty()) else { return };
        budgets.set_poll_demand(tenant, lane.demand(&self.settings));
        while self.lane(tenant).is_some_and(|lane| lane.is_due(now)) {
            if budgets.room(now, tenant, Purpose::Poll, writes_wait(tenant)) == 0 {
                let next = budgets.next_room(now, tenant).unwrap_or(now + self.settings.interval_watched);
                self.block(now, tenant, next, out);
                return;
            }
            let users = self.gather(now, tenant);
            if !users.is_empty() {
                budgets.spend(now, tenant, Purpose::Poll, 1);
                self.issue(now, tenant, users, out);
            }
        }
    }

    /// Whom the next request asks for: a part of what was refused, or else watched users, users to be checked, and as
    /// many of the others as there is room for.
    fn gather(&mut self, now: Moment, tenant: TenantKey) -> Vec<UserKey> {
        let Settings { interval, interval_watched, .. } = self.settings;
        let stamp = self.next_request;
        let mut asked = Vec::new();
        let Some(lane) = self.lane_mut(tenant) else { return asked };
        if let Some(part) = lane.parts.pop_front() {
            return part.into_iter().filter(|&key| self.user(key).is_some_and(|user| user.tenant == tenant)).collect();
        }
        let mut first = Vec::new();
        if lane.next_near <= now && !lane.near.is_empty() {
            let parts = lane.near.parts(MAX_IDS);
            lane.next_near = now + (interval_watched / parts).max(SHORTEST);
            let share = lane.near.len().div_ceil(parts as usize);
            first.extend((0..share).map_while(|_| lane.near.turn()));
        }
        first.extend((first.len()..MAX_IDS).map_while(|_| lane.take_check(now)));
        first.into_iter().for_each(|key| self.ask(key, tenant, stamp, &mut asked));
        let (mut turns, mut all) = (0, usize::MAX);
        while asked.len() < MAX_IDS && turns < all {
            let Some(lane) = self.lane_mut(tenant) else { break };
            all = lane.all.len();
            let Some(key) = lane.all.turn() else { break };
            self.ask(key, tenant, stamp, &mut asked);
            turns += 1;
        }
        if let Some(lane) = self.lane_mut(tenant).filter(|_| turns > 0) {
            lane.next_all = now + interval.mul_f64(turns as f64 / all as f64).max(SHORTEST);
        }
        asked
    }

    /// Asks for a user, once in a request.
    fn ask(&mut self, key: UserKey, tenant: TenantKey, stamp: u64, asked: &mut Vec<UserKey>) {
        if let Some(user) = self.user_mut(key).filter(|user| user.tenant == tenant) {
            user.checking = false;
            if user.asked != stamp && !user.refused {
                user.asked = stamp;
                asked.push(key);
            }
        }
    }

    fn issue(&mut self, now: Moment, tenant: TenantKey, users: Vec<UserKey>, out: &mut Vec<Order>) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let ids: Vec<Arc<str>> =
            users.iter().filter_map(|&key| self.user(key).map(|user| Arc::clone(&user.graph_id))).collect();
        self.counts.polls += 1;
        self.counts.asked += ids.len() as u64;
        if let Some(lane) = self.lane_mut(tenant) {
            lane.in_flight += 1;
        }
        self.timeouts.push_back((now + self.settings.request_timeout, request));
        self.flights.insert(request, Flight { tenant, users, sent_at: now });
        out.push(Order::Poll { request, tenant, ids });
    }

    /// A tenant may not ask now. When it has not been heard of for long, what was known of its users is nothing any more:
    /// a part of them at a time, at the pace of polls.
    fn block(&mut self, now: Moment, tenant: TenantKey, next: Moment, out: &mut Vec<Order>) {
        let interval = self.settings.interval;
        let Some(lane) = self.lane_mut(tenant) else { return };
        lane.blocked_until = next;
        if !lane.is_silent(now, interval) {
            return;
        }
        lane.blocked_until = next.min(now + (interval / lane.all.parts(MAX_IDS)).max(SHORTEST));
        let keys: Vec<UserKey> = (0..MAX_IDS.min(lane.all.len())).map_while(|_| lane.all.turn()).collect();
        self.silence(&keys, out);
    }

    /// Nothing is known of users any more.
    fn silence(&mut self, keys: &[UserKey], out: &mut Vec<Order>) {
        for &key in keys {
            let Some(user) = self.user_mut(key) else { continue };
            if user.told && user.known.availability != Availability::Unknown {
                let sequence = user.known.sequence.take();
                user.known = TeamsPresence { sequence, ..TeamsPresence::default() };
                user.own = false;
                let presence = user.known.clone();
                self.counts.silenced += 1;
                out.push(Order::Heard { user: key, presence, own: false });
            }
        }
    }

    /// A request was refused as a whole: its halves show whose fault it was.
    fn divide(&mut self, flight: Flight) {
        let Flight { tenant, mut users, .. } = flight;
        let Some(lane) = self.lane_mut(tenant) else { return };
        lane.refusals += 1;
        if lane.refusals > MAX_REFUSALS {
            // Whatever is asked is refused: no user is to blame.
            lane.parts.clear();
        } else if users.len() > 1 {
            let half = users.split_off(users.len() / 2);
            lane.parts.extend([users, half]);
        } else if let Some(user) = users.first().and_then(|&key| self.user_mut(key)) {
            user.refused = true;
        }
    }

    /// Takes what Teams shows of a user, unless something newer is known.
    fn hear(&mut self, now: Moment, key: UserKey, presence: TeamsPresence, how: How, out: &mut Vec<Order>) {
        let Some(user) = self.user_mut(key) else { return };
        let stale = match (&presence.sequence, &user.known.sequence, how) {
            (Some(new), Some(known), _) => new < known,
            (_, _, How::Polled { sent_at }) => user.notified_at.is_some_and(|at| at >= sent_at),
            (_, _, How::Notified) => false,
        };
        if stale {
            self.counts.stale += 1;
            return;
        }
        let asked = match how {
            How::Polled { sent_at } => sent_at,
            How::Notified => {
                user.notified_at = Some(now);
                now
            }
        };
        let own = user.wrote.is_own(now, &presence);
        let verdict = user.wrote.judge(asked, &presence);
        let same = user.known.availability == presence.availability && user.known.activity == presence.activity;
        let changed = !user.told || !same || user.own != own;
        if changed || user.known.sequence != presence.sequence {
            // One that came without a number does not make older ones newer.
            let sequence = presence.sequence.clone().or_else(|| user.known.sequence.take());
            user.known = TeamsPresence { sequence, ..presence.clone() };
        }
        (user.told, user.own) = (true, own);
        if changed {
            self.counts.changes += 1;
            out.push(Order::Heard { user: key, presence, own });
        }
        match verdict {
            Verdict::Wins => self.set_choice(key, true, out),
            Verdict::DoesNot => self.set_choice(key, false, out),
            Verdict::Unclear => {}
        }
    }

    fn set_choice(&mut self, key: UserKey, wins: bool, out: &mut Vec<Order>) {
        let Some(user) = self.user_mut(key).filter(|user| user.choice_wins != wins) else { return };
        user.choice_wins = wins;
        if wins {
            self.counts.choice_wins += 1;
        } else {
            self.counts.choice_wins -= 1;
        }
        out.push(Order::ChoiceWins { user: key, wins });
    }

    fn wake_at(&mut self, at: Moment) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// How something was heard.
#[derive(Clone, Copy, Debug)]
enum How {
    Polled { sent_at: Moment },
    Notified,
}
