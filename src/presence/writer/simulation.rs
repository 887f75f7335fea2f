//! The writer against a model of Graph that is slow, throttles, fails and loses answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::*;

const EXPIRES: Duration = Duration::from_secs(300);
const LIMIT: u32 = 600;

/// What happens at a time.
enum Event {
    Apply(TenantKey, Vec<Item>),
    Answer(RequestId, Result<Vec<ItemResult>, Fault>),
}

/// How ill Graph is for a tenant, in thousandths.
#[derive(Clone, Copy, Default)]
struct Illness {
    /// Requests: the answer never comes, or comes as a fault.
    loses: u64,
    faults: u64,
    /// Items: throttled, or failed.
    throttles: u64,
    fails: u64,
    hangs: bool,
}

const ILL: Illness = Illness { loses: 10, faults: 40, throttles: 40, fails: 40, hangs: false };

struct World {
    now: Moment,
    writer: Writer,
    budgets: Budgets,
    chance: Chance,
    events: BTreeMap<(Moment, u64), Event>,
    next_event: u64,
    /// What Graph has.
    graph: HashMap<(TenantKey, Arc<str>), (Session, Moment)>,
    disk: HashMap<(TenantKey, Arc<str>), Written>,
    illness: HashMap<TenantKey, Illness>,
    under_way: BTreeMap<RequestId, BTreeSet<Arc<str>>>,
    sent: HashMap<TenantKey, Vec<Moment>>,
    wanted: HashMap<UserKey, Option<Session>>,
}

impl World {
    fn new(seed: u64, tenants: u16, users: u32) -> Self {
        let now = Moment::from_millis(5_000_000);
        let settings = Settings { session_expires: EXPIRES, ..Settings::default() };
        let mut world = Self {
            now,
            writer: Writer::new(now, settings, seed),
            budgets: Budgets::default(),
            chance: Chance::new(seed ^ 0x5eed),
            events: BTreeMap::new(),
            next_event: 0,
            graph: HashMap::new(),
            disk: HashMap::new(),
            illness: HashMap::new(),
            under_way: BTreeMap::new(),
            sent: HashMap::new(),
            wanted: HashMap::new(),
        };
        (0..tenants).for_each(|tenant| world.budgets.set_tenant(now, TenantKey(tenant), LIMIT));
        (0..users).for_each(|user| world.writer.set_user(now, UserKey(user), tenant_of(user, tenants), Some(id(user))));
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance.draw() % bound
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, self.next_event), event);
    }

    fn want(&mut self, user: UserKey, session: Option<Session>) {
        self.wanted.insert(user, session);
        self.writer.want(self.now, user, session);
    }

    fn any_want(&mut self, users: u32) {
        let user = UserKey(self.below(u64::from(users)) as u32);
        let session = match self.below(8) {
            0..4 => None,
            draw => Session::ALL.get(draw as usize - 3).copied(),
        };
        self.want(user, session);
    }

    /// Goes on until a moment.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let next_event = self.events.keys().next().map(|(at, _)| *at);
            let next = [self.writer.next_wake(), next_event].into_iter().flatten().min();
            let next = next.unwrap_or(until + Duration::from_millis(1));
            if next > until {
                self.now = until;
                return;
            }
            self.now = next.max(self.now);
            let mut out = Vec::new();
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    Event::Apply(tenant, items) => self.apply(tenant, items),
                    Event::Answer(request, result) => {
                        self.under_way.remove(&request);
                        self.writer.handle_done(self.now, request, result, &mut self.budgets, &mut out);
                    }
                }
            }
            self.writer.handle_time(self.now, &mut self.budgets, &mut out);
            out.into_iter().for_each(|order| self.carry_out(order));
        }
    }

    fn apply(&mut self, tenant: TenantKey, items: Vec<Item>) {
        for item in items {
            let key = (tenant, item.graph_id);
            match item.session {
                Some(session) => {
                    let until = self.now + EXPIRES;
                    let kept = self.disk.get(&key).expect("on disk before it is sent");
                    assert!(kept.until >= until, "the disk knows how long it may stay");
                    self.graph.insert(key, (session, until));
                }
                None => {
                    self.graph.remove(&key);
                }
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Keep { tenant, graph_id, written: Some(written) } => {
                self.disk.insert((tenant, graph_id), written);
            }
            Order::Keep { tenant, graph_id, written: None } => {
                let live = self.graph.get(&(tenant, Arc::clone(&graph_id))).filter(|(_, until)| *until > self.now);
                assert_eq!(live, None, "what Graph has stays on disk");
                self.disk.remove(&(tenant, graph_id));
            }
            Order::Wrote { .. } => {}
            Order::Write { request, tenant, items } => self.take_request(request, tenant, items),
        }
    }

    fn take_request(&mut self, request: RequestId, tenant: TenantKey, items: Vec<Item>) {
        assert!(!items.is_empty() && items.len() <= MAX_BATCH);
        let ids: BTreeSet<Arc<str>> = items.iter().map(|item| Arc::clone(&item.graph_id)).collect();
        let doubled = self.under_way.values().any(|others| others.intersection(&ids).next().is_some());
        assert!(ids.len() == items.len() && !doubled, "two requests for one user at a time");
        self.under_way.insert(request, ids);
        self.sent.entry(tenant).or_default().extend(items.iter().map(|_| self.now));
        let illness = self.illness.get(&tenant).copied().unwrap_or_default();
        let latency = Duration::from_millis(20 + self.below(400));
        if illness.hangs {
            return;
        }
        let fate = self.below(1_000);
        if fate < illness.loses + illness.faults {
            // Some are done all the same.
            if self.below(2) == 0 {
                self.at(latency / 2, Event::Apply(tenant, items));
            }
            if fate < illness.loses {
                // The writer gives it up after its time; nobody hears of it again.
                self.under_way.remove(&request);
            } else {
                let faults = [Fault::Network, Fault::Server { after: None }];
                let fault = faults[self.below(2) as usize];
                self.at(latency, Event::Answer(request, Err(fault)));
            }
            return;
        }
        if fate < illness.loses + illness.faults + illness.throttles / 4 {
            let after = [None, Some(Duration::from_millis(1_250))][self.below(2) as usize];
            return self.at(latency, Event::Answer(request, Err(Fault::Throttled { after })));
        }
        let (mut results, mut done) = (Vec::new(), Vec::new());
        for item in items {
            let fate = self.below(1_000);
            let failed = fate < illness.fails;
            if failed || fate < illness.fails + illness.throttles {
                if failed && self.below(2) == 0 {
                    done.push(item);
                }
                let after = Some(Duration::from_millis(self.below(3_000)));
                results.push(if failed { ItemResult::Failed } else { ItemResult::Throttled { after } });
                continue;
            }
            let missing = item.session.is_none() && !self.graph.contains_key(&(tenant, Arc::clone(&item.graph_id)));
            results.push(if missing { ItemResult::NotFound } else { ItemResult::Done });
            done.push(item);
        }
        self.at(latency / 2, Event::Apply(tenant, done));
        self.at(latency, Event::Answer(request, Ok(results)));
    }

    /// What Graph has now.
    fn sessions(&self) -> BTreeMap<Arc<str>, Session> {
        let live = self.graph.iter().filter(|(_, (_, until))| *until > self.now);
        live.map(|((_, id), (session, _))| (Arc::clone(id), *session)).collect()
    }

    fn wanted(&self) -> BTreeMap<Arc<str>, Session> {
        self.wanted.iter().filter_map(|(user, session)| Some((id(user.0), (*session)?))).collect()
    }

    fn most_in_any_window(&self) -> usize {
        let windows = self.sent.values().map(|sent| {
            let mut first = 0;
            let window = |(index, moment): (usize, &Moment)| {
                while sent[first] + Duration::from_secs(30) <= *moment {
                    first += 1;
                }
                index + 1 - first
            };
            sent.iter().enumerate().map(window).max().unwrap_or(0)
        });
        windows.max().unwrap_or(0)
    }

    /// The process is killed and starts again with what is on disk.
    fn crash(&mut self, tenants: u16, users: u32) {
        let settings = Settings { session_expires: EXPIRES, ..Settings::default() };
        self.writer = Writer::new(self.now, settings, self.chance.draw());
        self.budgets = Budgets::default();
        (0..tenants).for_each(|tenant| self.budgets.set_tenant(self.now, TenantKey(tenant), LIMIT));
        self.events.retain(|_, event| matches!(event, Event::Apply(..)));
        self.under_way.clear();
        self.sent.clear();
        for ((tenant, graph_id), written) in &self.disk {
            self.writer.restore(self.now, *tenant, Arc::clone(graph_id), *written);
        }
        self.wanted.clear();
        for user in 0..users {
            self.writer.set_user(self.now, UserKey(user), tenant_of(user, tenants), Some(id(user)));
        }
    }
}

fn tenant_of(user: u32, tenants: u16) -> TenantKey {
    TenantKey((user % u32::from(tenants)) as u16)
}

fn id(user: u32) -> Arc<str> {
    format!("user-{user}").into()
}

#[test]
fn graph_has_what_is_wanted_at_the_end_whatever_happened_on_the_way() {
    for seed in 0..24 {
        let (tenants, users) = (3, 120);
        let mut world = World::new(seed, tenants, users);
        (0..tenants).for_each(|tenant| _ = world.illness.insert(TenantKey(tenant), ILL));
        for _ in 0..400 {
            let burst = if world.below(40) == 0 { 80 } else { 1 };
            (0..burst).for_each(|_| world.any_want(users));
            let pause = Duration::from_millis(world.below(2_000));
            world.run(pause);
        }
        world.illness.clear();
        world.run(Duration::from_secs(400));
        assert_eq!(world.sessions(), world.wanted(), "seed {seed}");
        assert!(world.most_in_any_window() <= LIMIT as usize, "seed {seed}");
        let counts = world.writer.counts(world.now);
        assert_eq!((counts.waiting, counts.slots), (0, users as usize), "seed {seed}");
        let kept = world.disk.iter().filter(|(_, written)| written.until > world.now).count();
        assert_eq!(kept, world.wanted().len(), "the disk has no more than Graph, seed {seed}");
    }
}

#[test]
fn nothing_sticks_after_a_crash() {
    for seed in 100..112 {
        let (tenants, users) = (2, 60);
        let mut world = World::new(seed, tenants, users);
        (0..tenants).for_each(|tenant| _ = world.illness.insert(TenantKey(tenant), ILL));
        for _ in 0..200 {
            world.any_want(users);
            let pause = Duration::from_millis(world.below(300));
            world.run(pause);
        }
        // Half of the users are known again after the restart.
        world.crash(tenants, users / 2);
        world.illness.clear();
        (0..10).for_each(|user| world.want(UserKey(user), Some(Session::InACall)));
        world.run(Duration::from_secs(60));
        assert_eq!(world.sessions(), world.wanted(), "seed {seed}");
    }
}

#[test]
fn order_of_changes_does_not_matter_for_the_end() {
    let ends = [1, 2, 3].map(|seed| {
        let mut world = World::new(seed, 1, 40);
        world.illness.insert(TenantKey(0), ILL);
        let mut steps: Vec<u32> = (0..400).collect();
        for index in (1..steps.len()).rev() {
            let other = world.below(index as u64 + 1) as usize;
            steps.swap(index, other);
        }
        for step in steps {
            world.want(UserKey(step % 40), Session::ALL.get(step as usize % 7).copied());
            let pause = Duration::from_millis(world.below(500));
            world.run(pause);
        }
        (0..40).for_each(|user| world.want(UserKey(user), Session::ALL.get(user as usize % 6).copied()));
        world.illness.clear();
        world.run(Duration::from_secs(400));
        world.sessions()
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[1], ends[2]);
    assert_eq!(ends[0].len(), 34);
}

#[test]
fn dead_graph_of_one_tenant_delays_no_other() {
    let (tenants, users) = (4, 400);
    let mut world = World::new(77, tenants, users);
    world.illness.insert(TenantKey(0), Illness { hangs: true, ..Illness::default() });
    for _ in 0..1_200 {
        world.any_want(users);
        world.run(Duration::from_millis(100));
        let slow = world.writer.tenants(world.now).filter(|counts| counts.tenant != TenantKey(0));
        // A user who has a request under way waits for its answer, and a flapping one for the time that gathers.
        let lag = slow.map(|counts| counts.oldest_waiting).max().unwrap();
        assert!(lag <= Duration::from_millis(1_000), "{lag:?}");
    }
    let dead = world.sent.get(&TenantKey(0)).unwrap().len();
    assert!(dead <= 8 * MAX_BATCH + 20, "{dead} items to a Graph that never answers");
    let others = |id: &Arc<str>| id.strip_prefix("user-").unwrap().parse::<u32>().unwrap() % 4 != 0;
    world.run(Duration::from_secs(2));
    let mut wanted = world.wanted();
    wanted.retain(|id, _| others(id));
    assert_eq!(world.sessions(), wanted);
}

#[test]
fn burst_of_a_tenant_with_less_than_its_limit_leaves_within_seconds() {
    let users = 500;
    let mut world = World::new(5, 1, users);
    (0..users).for_each(|user| world.want(UserKey(user), Some(Session::InACall)));
    world.run(Duration::from_secs(25));
    assert_eq!(world.sessions().len(), users as usize);
    assert!(world.writer.counts(world.now).requests < 130, "in batches");
}
