//! What Graph is told: the difference only, the newest state, within the budgets.
//!
//! ```text
//! want -> slot -> lane -> Keep, Write -> handle_done -> slot -> Keep, Wrote
//!          |       one for each tenant: changes, then refreshes, as the budget allows
//!          one for each user: what is wanted, what Graph has, what is under way
//! ```
//!
//! What is to be sent leaves with [`Writer::handle_time`], so that a burst is seen as one; [`Writer::next_wake`] says at
//! once when there is something. A session is kept on disk before it is sent ([`Order::Keep`] comes before the
//! [`Order::Write`] that it is for), so that after a crash nothing sticks that nobody knows of.
//!
//! A user who goes, or whose object id changes, leaves a slot behind until what Graph has is cleared; sessions of
//! before a restart begin as such slots, and the user takes them over when he comes.

mod answers;
pub mod budget;
mod chance;
mod counts;
mod lane;
mod orders;
mod slot;

#[cfg(test)]
mod cost;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::answers::Answered;
pub use self::budget::{Budgets, Purpose};
pub use self::chance::Chance;
pub use self::counts::{Counts, LATENCY_BOUNDS, Latency, TenantCounts};
use self::lane::{Lane, Queue};
pub use self::orders::{Fault, Item, ItemResult, Order, RequestId, Settings, Written};
use self::slot::{Bar, Due, Held, Slot, Slots};
pub use self::slot::{State, UserStanding};
use super::people::{TenantKey, UserKey};
use super::state::Session;
use crate::transaction::{Moment, Wheel};

/// Items that a `$batch` request takes (Graph's limit).
pub const MAX_BATCH: usize = 20;

/// How long a user is left alone whose session Graph refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(900);

/// The pause of a user after the first fault of his own; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest of them.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// Refreshes come due on a grid of so many milliseconds, so that they share requests.
const REFRESH_GRID: u64 = 5_000;

/// Requests of a tenant that refreshes leave to changes.
const REFRESH_SPARE: usize = 2;

/// How long a backlog gathers while the budget is used up.
const GATHER: Duration = Duration::from_millis(250);

/// How long a tenant waits whose budget is not known (yet).
const UNKNOWN_TENANT: Duration = Duration::from_secs(1);

/// Timers of users at which the wheel counts as full; it takes more all the same.
const TIMERS: usize = 1 << 22;

/// The writer.
#[derive(Debug)]
pub struct Writer {
    settings: Settings,
    slots: Slots,
    /// Slots by user.
    users: Vec<u32>,
    /// Slots without a user that hold something.
    orphans: HashMap<(TenantKey, Arc<str>), u32, foldhash::fast::RandomState>,
    lanes: BTreeMap<TenantKey, Lane>,
    /// Tenants with something to send, in turn.
    active: VecDeque<TenantKey>,
    flights: HashMap<RequestId, Flight, foldhash::fast::RandomState>,
    /// When each request's answer is lost; the first is the first.
    timeouts: VecDeque<(Moment, RequestId)>,
    wheel: Wheel,
    due: Vec<crate::transaction::Due>,
    next_request: u64,
    chance: Chance,
    /// When the lanes are looked at again.
    flush_at: Option<Moment>,
    stopping: bool,
    counts: Counts,
}

#[derive(Debug)]
struct Flight {
    tenant: TenantKey,
    slots: Vec<u32>,
}

impl Writer {
    /// A writer without users; `seed` begins its chance.
    pub fn new(now: Moment, settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            slots: Slots::default(),
            users: Vec::new(),
            orphans: HashMap::default(),
            lanes: BTreeMap::new(),
            active: VecDeque::new(),
            flights: HashMap::default(),
            timeouts: VecDeque::new(),
            wheel: Wheel::new(now, TIMERS),
            due: Vec::new(),
            next_request: 0,
            chance: Chance::new(seed),
            flush_at: None,
            stopping: false,
            counts: Counts::default(),
        }
    }

    /// Takes other settings; what is under way goes on by the old ones.
    pub fn set_limits(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// A session that was kept on disk. All of them come before the first [`Writer::set_user`]: the user takes over what
    /// he finds. What nobody wants within [`Settings::settle`] is cleared.
    pub fn restore(&mut self, now: Moment, tenant: TenantKey, graph_id: Arc<str>, written: Written) {
        if written.until <= now || self.orphans.contains_key(&(tenant, Arc::clone(&graph_id))) {
            return;
        }
        let mut slot = Slot::new(tenant, Some(Arc::clone(&graph_id)));
        slot.held = if written.sure { Held::Sure(written.session) } else { Held::Unsure };
        slot.until = written.until;
        slot.settling = true;
        slot.not_before = now + self.settings.settle;
        slot.refresh_at = written.until - self.settings.session_expires / 2;
        let index = self.slots.insert(slot);
        self.orphans.insert((tenant, graph_id), index);
        self.tend(now, index);
    }

    /// A user, new or changed. Without `graph_id` he has no match in Graph (yet), and nothing is sent.
    pub fn set_user(&mut self, now: Moment, user: UserKey, tenant: TenantKey, graph_id: Option<Arc<str>>) {
        let mut wanted = None;
        if let Some(index) = self.slot_of(user) {
            let Some(slot) = self.slots.get(index) else { return };
            if slot.tenant == tenant && slot.graph_id == graph_id {
                return;
            }
            wanted = Some(slot.wanted).filter(|_| slot.tenant == tenant);
            self.remove_user(now, user);
        }
        let found = graph_id.clone().and_then(|graph_id| self.orphans.remove(&(tenant, graph_id)));
        let index = found.unwrap_or_else(|| self.slots.insert(Slot::new(tenant, graph_id)));
        let place = user.0 as usize;
        if self.users.len() <= place {
            self.users.resize(place + 1, slot::NONE);
        }
        if let Some(entry) = self.users.get_mut(place) {
            *entry = index;
        }
        let mut matched = true;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.user = Some(user);
            matched = slot.graph_id.is_some();
        }
        let lane = self.lane_mut(tenant);
        lane.users += 1;
        lane.unmatched += usize::from(!matched);
        match wanted {
            Some(wanted) => self.want(now, user, wanted),
            None => self.tend(now, index),
        }
    }

    /// A user has gone: what Graph has of him is cleared.
    pub fn remove_user(&mut self, now: Moment, user: UserKey) {
        let Some(index) = self.slot_of(user) else { return };
        if let Some(entry) = self.users.get_mut(user.0 as usize) {
            *entry = slot::NONE;
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        let unmatched = slot.graph_id.is_none() || slot.bar == Bar::NoMatch;
        let tenant = slot.tenant;
        slot.abandon(now);
        if let Some(graph_id) = slot.graph_id.clone() {
            self.orphans.insert((tenant, graph_id), index);
        }
        let lane = self.lane_mut(tenant);
        lane.users = lane.users.saturating_sub(1);
        lane.unmatched = lane.unmatched.saturating_sub(usize::from(unmatched));
        self.tend(now, index);
    }

    /// What a user's session shall be from now on; `None`: no session. Users whose direction does not write want none.
    pub fn want(&mut self, now: Moment, user: UserKey, session: Option<Session>) {
        let Some(index) = self.slot_of(user) else { return };
        let session = session.filter(|_| !self.stopping);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.want(now, session);
        }
        self.tend(now, index);
    }

    /// What came of a request. An answer that comes after its time is up is not heard.
    pub fn handle_done(
        &mut self,
        now: Moment,
        request: RequestId,
        result: Result<Vec<ItemResult>, Fault>,
        budgets: &mut Budgets,
        out: &mut Vec<Order>,
    ) {
        let Some(flight) = self.flights.remove(&request) else { return };
        let Flight { tenant, slots } = flight;
        let lane = self.lane_mut(tenant);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        self.flush_at = Some(now);
        match result {
            Ok(results) => {
                self.note_results(now, tenant, &results, budgets);
                // An answer that is missing is one that nobody knows.
                let results = results.into_iter().chain(std::iter::repeat(ItemResult::Failed));
                for (index, result) in slots.into_iter().zip(results) {
                    self.settle(now, index, Answered::Item(result), out);
                }
            }
            Err(fault) => {
                self.counts.count_fault(fault);
                budgets.handle_fault(now, tenant, &fault, &mut self.chance);
                let alone = slots.len() == 1;
                if fault == Fault::Refused && !alone {
                    // One of them is not as Graph wants it: each is asked alone to find out which.
                    self.lane_mut(tenant).alone += slots.len();
                }
                for index in slots {
                    self.settle(now, index, Answered::Whole { fault, alone }, out);
                }
            }
        }
    }

    /// The tenant's credentials fail: only a trial is sent at times, and the newest states wait.
    pub fn handle_unwell(&mut self, now: Moment, tenant: TenantKey, budgets: &mut Budgets) {
        budgets.handle_unwell(now, tenant, &mut self.chance);
        self.flush_at = Some(now);
    }

    /// The tenant's credentials work again: what differs is sent.
    pub fn handle_well(&mut self, now: Moment, tenant: TenantKey, budgets: &mut Budgets) {
        budgets.handle_well(now, tenant);
        self.flush_at = Some(now);
    }

    /// The edge stops: nothing is wanted any more. The clears leave as the budgets allow until [`Writer::is_idle`], or
    /// until whoever waits has waited enough: what is left runs out by itself, and the disk knows of it.
    pub fn stop(&mut self, now: Moment, budgets: &mut Budgets) {
        self.stopping = true;
        budgets.rush();
        for index in self.slots.indices() {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.end_settling(now);
                slot.want(now, None);
                slot.not_before = slot.not_before.min(now);
            }
            self.tend(now, index);
        }
    }

    /// Whether nothing is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    /// Turns the time: what is due leaves.
    pub fn handle_time(&mut self, now: Moment, budgets: &mut Budgets, out: &mut Vec<Order>) {
        while let Some(&(at, request)) = self.timeouts.front().filter(|(at, _)| *at <= now) {
            self.timeouts.pop_front();
            if self.flights.contains_key(&request) {
                self.counts.lost += 1;
                self.handle_done(at.max(now), request, Err(Fault::Network), budgets, out);
            }
        }
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for entry in due.drain(..) {
            if let Some(slot) = self.slots.get_mut(entry.id).filter(|slot| slot.generation == entry.generation) {
                slot.alarm.handle_due(now);
                self.tend(now, entry.id);
            }
        }
        self.due = due;
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush(now, budgets, out);
        }
    }

    /// When [`Writer::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        let timeout = self.timeouts.front().map(|(at, _)| *at);
        [self.wheel.next_wake(), timeout, self.flush_at].into_iter().flatten().min()
    }

    /// Totals and gauges.
    pub fn counts(&self, now: Moment) -> Counts {
        let mut counts = self.counts.clone();
        counts.in_flight = self.flights.len();
        counts.waiting = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        counts.oldest_waiting = self.lanes.values().filter_map(|lane| lane.oldest(now)).max().unwrap_or_default();
        counts.unmatched = self.lanes.values().map(|lane| lane.unmatched).sum();
        counts.slots = self.slots.len();
        counts
    }

    /// The gauges of each tenant that has users.
    pub fn tenants(&self, now: Moment) -> impl Iterator<Item = TenantCounts> {
        self.lanes.iter().map(move |(&tenant, lane)| TenantCounts {
            tenant,
            users: lane.users,
            unmatched: lane.unmatched,
            in_flight: lane.in_flight,
            waiting: lane.waiting.len(),
            oldest_waiting: lane.oldest(now).unwrap_or_default(),
        })
    }

    /// Whether changes of a tenant wait to be written.
    pub fn has_changes(&self, tenant: TenantKey) -> bool {
        self.lanes.get(&tenant).is_some_and(|lane| lane.len(Queue::Changes) > 0)
    }

    /// How a user stands.
    pub fn standing(&self, user: UserKey) -> Option<UserStanding> {
        Some(self.slots.get(self.slot_of(user)?)?.standing())
    }

    /// Users that Graph does not know: without an object id, or with one that is not there.
    pub fn unmatched(&self) -> impl Iterator<Item = UserKey> {
        let keyed = (0..).map(UserKey).zip(&self.users);
        keyed
            .filter(|&(_, &index)| {
                self.slots.get(index).is_some_and(|slot| slot.graph_id.is_none() || slot.bar == Bar::NoMatch)
            })
            .map(|(user, _)| user)
    }

    /// Bytes on the heap for users, without what is behind object ids.
    pub fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.users.capacity() * size_of::<u32>() + self.wheel.heap_bytes()
    }

    fn slot_of(&self, user: UserKey) -> Option<u32> {
        self.users.get(user.0 as usize).copied().filter(|&index| index != slot::NONE)
    }

    fn lane_mut(&mut self, tenant: TenantKey) -> &mut Lane {
        self.lanes.entry(tenant).or_default()
    }

    /// When a session that was sent at a moment is refreshed: by half of its life at the latest.
    fn refresh_at(&mut self, sent: Moment) -> Moment {
        let half = self.settings.session_expires / 2;
        let at = (sent + half / 2 + self.chance.spread(half) / 2).as_millis();
        Moment::from_millis(at - at % REFRESH_GRID)
    }

    /// Has a slot wait for what it needs: its turn, a moment, or nothing.
    fn tend(&mut self, now: Moment, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.lapse(now);
        let tenant = slot.tenant;
        let (before, since) = (slot.counted, slot.since);
        let waits = slot.differs();
        if before && !waits {
            slot.counted = false;
            self.lane_mut(tenant).waiting.remove(&(since, index));
        } else if waits && !before {
            slot.counted = true;
            self.lane_mut(tenant).waiting.insert((since, index));
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        let entry = (index, slot.generation);
        match slot.due(now, self.settings.session_expires) {
            Due::Now(queue) => {
                if slot.queued.is_none_or(|queued| queued > queue) {
                    slot.queued = Some(queue);
                    let lane = self.lane_mut(tenant);
                    lane.push(queue, entry);
                    if !lane.active {
                        lane.active = true;
                        self.active.push_back(tenant);
                    }
                    self.flush_at = Some(now);
                }
                // A refresh that has its turn may become a change before it comes to that.
                let next = self.slots.get(index).and_then(|slot| slot.promotion(now, self.settings.session_expires));
                self.arm(now, index, next);
            }
            Due::At(at) => self.arm(now, index, Some(at)),
            Due::Never => {
                if slot.is_spent() {
                    if let Some(graph_id) = slot.graph_id.clone() {
                        self.orphans.remove(&(tenant, graph_id));
                    }
                    self.slots.remove(index);
                }
            }
        }
    }

    fn arm(&mut self, now: Moment, index: u32, at: Option<Moment>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Some(at) = slot.alarm.cover(now, at) {
            self.wheel.arm(index, slot.generation, at);
        }
    }

    /// Gives each tenant its turn.
    fn flush(&mut self, now: Moment, budgets: &mut Budgets, out: &mut Vec<Order>) {
        self.flush_at = None;
        for _ in 0..self.active.len() {
            let Some(tenant) = self.active.pop_front() else { break };
            let mut stop = self.send(now, tenant, Queue::Changes, budgets, out);
            if stop == Stop::Empty {
                stop = self.send(now, tenant, Queue::Refreshes, budgets, out);
            }
            let lane = self.lane_mut(tenant);
            lane.active = !lane.is_empty();
            if lane.active {
                self.active.push_back(tenant);
            }
            if stop == Stop::Budget {
                let mut next = budgets.next_room(now, tenant).unwrap_or(now + UNKNOWN_TENANT);
                let lane = self.lane_mut(tenant);
                // With a backlog it is the limit that counts and no millisecond: what gathers shares requests.
                if lane.len(Queue::Changes) >= MAX_BATCH {
                    if lane.gathers_until <= now {
                        lane.gathers_until = now + GATHER;
                    }
                    next = next.max(lane.gathers_until);
                }
                self.flush_at = Some(self.flush_at.map_or(next, |at| at.min(next)));
            }
        }
    }

    /// Sends what may leave of a queue.
    fn send(
        &mut self,
        now: Moment,
        tenant: TenantKey,
        queue: Queue,
        budgets: &mut Budgets,
        out: &mut Vec<Order>,
    ) -> Stop {
        let most = match queue {
            _ if budgets.on_trial(tenant) => 1,
            Queue::Changes => self.settings.max_in_flight,
            Queue::Refreshes => self.settings.max_in_flight.saturating_sub(REFRESH_SPARE).max(1),
        };
        loop {
            let lane = self.lane_mut(tenant);
            let waiting = lane.len(queue);
            if waiting == 0 {
                return Stop::Empty;
            }
            let free = most.saturating_sub(lane.in_flight);
            let alone = lane.alone > 0;
            if queue == Queue::Changes && now < lane.gathers_until {
                return Stop::Budget;
            }
            if free == 0 {
                return Stop::Flights;
            }
            let room = budgets.room(now, tenant, queue.purpose(), false) as usize;
            if room == 0 {
                return Stop::Budget;
            }
            // Plain requests while each can have one, and batches of as much as it takes when there are more.
            let share = match queue {
                _ if alone => 1,
                Queue::Changes => waiting.div_ceil(free),
                Queue::Refreshes => MAX_BATCH,
            };
            let slots = self.take_turns(now, tenant, queue, share.min(MAX_BATCH).min(room));
            if slots.is_empty() {
                continue;
            }
            let lane = self.lane_mut(tenant);
            lane.alone = lane.alone.saturating_sub(1);
            budgets.spend(now, tenant, queue.purpose(), slots.len() as u32);
            self.issue(now, tenant, slots, out);
        }
    }

    /// Takes up to `most` slots from a queue that still have something to send.
    fn take_turns(&mut self, now: Moment, tenant: TenantKey, queue: Queue, most: usize) -> Vec<u32> {
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most {
            let Some((index, generation)) = self.lane_mut(tenant).pop(queue) else { break };
            let expires = self.settings.session_expires;
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if slot.generation != generation || slot.queued != Some(queue) {
                continue;
            }
            slot.queued = None;
            slot.lapse(now);
            match slot.due(now, expires) {
                Due::Now(_) => taken.push(index),
                Due::At(_) | Due::Never => self.tend(now, index),
            }
        }
        taken
    }

    /// Sends a request for slots that have something to send.
    fn issue(&mut self, now: Moment, tenant: TenantKey, slots: Vec<u32>, out: &mut Vec<Order>) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let timeout = now + self.settings.request_timeout;
        let mut items = Vec::with_capacity(slots.len());
        for &index in &slots {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let Some(graph_id) = slot.graph_id.clone() else { continue };
            if slot.counted {
                self.counts.latency.add(now.since(slot.since));
            }
            match slot.wanted {
                None => self.counts.clears += 1,
                wanted if Held::of(wanted) == slot.held => self.counts.refreshes += 1,
                Some(_) => self.counts.sets += 1,
            }
            if let Some(session) = slot.wanted {
                let until = timeout + self.settings.session_expires;
                let written = Some(Written { session, until, sure: false });
                out.push(Order::Keep { tenant, graph_id: Arc::clone(&graph_id), written });
            }
            slot.sending = Some(slot.wanted);
            slot.bar = Bar::None;
            slot.settling = false;
            slot.not_before = now + self.settings.coalesce;
            items.push(Item { user: slot.user, graph_id, session: slot.wanted });
            self.tend(now, index);
        }
        self.counts.requests += 1;
        self.lane_mut(tenant).in_flight += 1;
        self.flights.insert(request, Flight { tenant, slots });
        self.timeouts.push_back((timeout, request));
        out.push(Order::Write { request, tenant, items });
    }
}

/// Why a queue does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Empty,
    /// Enough requests are under way.
    Flights,
    Budget,
}
