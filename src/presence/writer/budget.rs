//! What each tenant may still ask of Graph: a number of requests in 30 seconds that writes and polls share, and the
//! pauses that Graph's faults impose.
//!
//! Two limits hold at once. The window counts what was sent in the last 30 seconds, so that Graph's own limit is never
//! passed, whatever came before; the bucket lets a burst go at once and spreads what follows, so that a busy window is
//! not used up in its first second. Polls have a small share that writes never take, and no more than that while
//! writes wait: neither starves the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Chance, Fault};
use crate::presence::TenantKey;
use crate::transaction::Moment;

/// Length of the window that Graph counts over (Graph's throttling limits for presence).
const WINDOW_MILLIS: u64 = 30_000;

/// The window moves in steps of so many milliseconds.
const STEP_MILLIS: u64 = 250;

/// Steps that are counted: those of the window, and the one that is not over yet.
const STEPS: usize = (WINDOW_MILLIS / STEP_MILLIS) as usize + 1;

/// A burst may take this part of the limit at once.
const BURST_SHARE: u32 = 6;

/// Polls may take at least this part of the limit, where they need it.
const POLL_SHARE: u32 = 10;

/// Refreshes leave this part of the limit to changes.
const REFRESH_SHARE: u32 = 5;

/// The first pause after a fault without `Retry-After`; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that the edge chooses itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that Graph may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// How often a tenant whose credentials fail is tried.
const TRIAL: Duration = Duration::from_secs(60);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A session that has to change.
    Change,
    /// A session that has to go on.
    Refresh,
    Poll,
}

/// The budgets of all tenants.
#[derive(Debug, Default)]
pub struct Budgets {
    tenants: BTreeMap<TenantKey, Budget>,
}

#[derive(Debug)]
struct Budget {
    limit: u32,
    window: Window,
    bucket: Bucket,
    /// Requests that polls need in 30 seconds.
    poll_demand: u32,
    paused_until: Moment,
    /// Faults of whole requests since the last one that went well.
    failures: u8,
    /// The credentials fail: what is sent is a trial.
    unwell: bool,
    /// After a fault one request goes alone, until one goes well.
    trial: Trial,
    rushing: bool,
}

/// Whether requests go one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    No,
    Wanted,
    UnderWay,
}

/// How a tenant stands with Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may still be sent in this window.
    pub left: u32,
    pub limit: u32,
    /// Until when nothing is sent.
    pub paused_until: Option<Moment>,
    /// The credentials fail.
    pub unwell: bool,
}

impl Budgets {
    /// A tenant may send so many requests in 30 seconds; what was sent before still counts.
    pub fn set_tenant(&mut self, now: Moment, tenant: TenantKey, per_30s: u32) {
        let limit = per_30s.max(1);
        match self.tenants.get_mut(&tenant) {
            Some(budget) => {
                budget.limit = limit;
                budget.bucket.set_limit(now, limit);
            }
            None => {
                self.tenants.insert(tenant, Budget::new(now, limit));
            }
        }
    }

    /// How many requests may be sent now; a tenant that is not known may send none.
    pub fn room(&mut self, now: Moment, tenant: TenantKey, purpose: Purpose, writes_wait: bool) -> u32 {
        self.tenants.get_mut(&tenant).map_or(0, |budget| budget.room(now, purpose, writes_wait))
    }

    /// Counts requests that are sent now.
    pub fn spend(&mut self, now: Moment, tenant: TenantKey, purpose: Purpose, requests: u32) {
        if let Some(budget) = self.tenants.get_mut(&tenant) {
            budget.window.add(now, purpose == Purpose::Poll, requests);
            budget.bucket.take(now, requests);
            if budget.trial == Trial::Wanted {
                budget.trial = Trial::UnderWay;
            }
        }
    }

    /// When to look for room again; `None`: the tenant is not known.
    pub fn next_room(&self, now: Moment, tenant: TenantKey) -> Option<Moment> {
        Some(self.tenants.get(&tenant)?.next_room(now))
    }

    /// Graph answered a request of the tenant as it should.
    pub fn handle_success(&mut self, tenant: TenantKey) {
        if let Some(budget) = self.tenants.get_mut(&tenant) {
            (budget.failures, budget.unwell, budget.trial) = (0, false, Trial::No);
        }
    }

    /// A request failed as a whole; `chance` spreads the pause.
    pub fn handle_fault(&mut self, now: Moment, tenant: TenantKey, fault: &Fault, chance: &mut Chance) {
        let Some(budget) = self.tenants.get_mut(&tenant) else { return };
        let (pause, trial) = match fault {
            Fault::Throttled { after } => (after.unwrap_or_else(|| budget.next_pause(chance)), false),
            Fault::Server { after } => (after.unwrap_or_else(|| budget.next_pause(chance)), true),
            Fault::Network => (budget.next_pause(chance), true),
            // It did not leave, so nobody failed: a while later there will be room.
            Fault::NotSent => (FIRST_PAUSE, false),
            Fault::Token => return self.handle_unwell(now, tenant, chance),
            // The request was wrong, and Graph was well enough to say so.
            Fault::Refused => return self.handle_success(tenant),
        };
        budget.pause(now, pause.min(LONGEST_ASKED));
        if trial || budget.trial != Trial::No {
            budget.trial = Trial::Wanted;
        }
    }

    /// The tenant's credentials fail: from now on only a trial is sent at times.
    pub fn handle_unwell(&mut self, now: Moment, tenant: TenantKey, chance: &mut Chance) {
        if let Some(budget) = self.tenants.get_mut(&tenant) {
            (budget.unwell, budget.trial) = (true, Trial::Wanted);
            budget.pause(now, chance.spread(TRIAL));
        }
    }

    /// The tenant's credentials work again: what waits may go.
    pub fn handle_well(&mut self, now: Moment, tenant: TenantKey) {
        if let Some(budget) = self.tenants.get_mut(&tenant).filter(|budget| budget.unwell) {
            (budget.unwell, budget.failures, budget.trial) = (false, 0, Trial::No);
            budget.paused_until = now;
        }
    }

    /// Polls of the tenant need so many requests in 30 seconds.
    pub fn set_poll_demand(&mut self, tenant: TenantKey, requests: u32) {
        if let Some(budget) = self.tenants.get_mut(&tenant) {
            budget.poll_demand = requests;
        }
    }

    /// The edge stops: what is left of the windows may be used at once.
    pub fn rush(&mut self) {
        self.tenants.values_mut().for_each(|budget| budget.rushing = true);
    }

    /// Whether requests of the tenant go one by one until one has gone well.
    pub fn on_trial(&self, tenant: TenantKey) -> bool {
        self.tenants.get(&tenant).is_some_and(|budget| budget.trial != Trial::No)
    }

    /// Whether the tenant's credentials fail.
    pub fn is_unwell(&self, tenant: TenantKey) -> bool {
        self.tenants.get(&tenant).is_some_and(|budget| budget.unwell)
    }

    /// How a tenant stands.
    pub fn standing(&self, now: Moment, tenant: TenantKey) -> Option<Standing> {
        let budget = self.tenants.get(&tenant)?;
        let (writes, polls) = budget.window.sums(now);
        Some(Standing {
            left: budget.limit.saturating_sub(writes + polls),
            limit: budget.limit,
            paused_until: Some(budget.paused_until).filter(|&until| until > now),
            unwell: budget.unwell,
        })
    }
}

impl Budget {
    fn new(now: Moment, limit: u32) -> Self {
        Self {
            limit,
            window: Window::new(now),
            bucket: Bucket::new(now, limit),
            poll_demand: 0,
            paused_until: Moment::START,
            failures: 0,
            unwell: false,
            trial: Trial::No,
            rushing: false,
        }
    }

    fn room(&mut self, now: Moment, purpose: Purpose, writes_wait: bool) -> u32 {
        if now < self.paused_until || self.trial == Trial::UnderWay {
            return 0;
        }
        let (writes, polls) = self.window.sums(now);
        let share = self.poll_demand.min(self.limit.div_ceil(POLL_SHARE));
        let left = self.limit.saturating_sub(writes + polls);
        let for_writes = self.limit.saturating_sub(writes + polls.max(share));
        let window = match purpose {
            Purpose::Change => for_writes,
            Purpose::Refresh => for_writes.saturating_sub(self.limit / REFRESH_SHARE),
            Purpose::Poll if writes_wait => share.saturating_sub(polls).min(left),
            Purpose::Poll => left,
        };
        let bucket = match purpose {
            // The share of polls is so small that it needs no spreading.
            Purpose::Poll => u32::MAX,
            _ if self.rushing => u32::MAX,
            _ => self.bucket.level(now),
        };
        let room = window.min(bucket);
        if self.trial == Trial::Wanted { room.min(1) } else { room }
    }

    fn next_room(&self, now: Moment) -> Moment {
        // Whichever of window and bucket it was: a look each step costs nothing.
        let step = now + Duration::from_millis(STEP_MILLIS);
        let next = self.bucket.next_token(now).unwrap_or(step).min(step);
        next.max(self.paused_until)
    }

    fn pause(&mut self, now: Moment, pause: Duration) {
        self.paused_until = self.paused_until.max(now + pause);
    }

    fn next_pause(&mut self, chance: &mut Chance) -> Duration {
        let pause = chance.backoff(FIRST_PAUSE, self.failures, LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

/// What was sent in the last 30 seconds, in steps.
#[derive(Debug)]
struct Window {
    /// Writes and polls of each step, in a ring.
    steps: Box<[(u16, u16); STEPS]>,
    /// The number of the newest step.
    newest: u64,
    writes: u32,
    polls: u32,
}

impl Window {
    fn new(now: Moment) -> Self {
        Self { steps: Box::new([(0, 0); STEPS]), newest: step_of(now), writes: 0, polls: 0 }
    }

    /// Writes and polls of the window that ends now.
    fn sums(&self, now: Moment) -> (u32, u32) {
        let behind = step_of(now).saturating_sub(self.newest).min(STEPS as u64);
        let gone = (1..=behind).filter_map(|step| self.steps.get(index_of(self.newest + step)));
        let (writes, polls) =
            gone.fold((0, 0), |(writes, polls), step| (writes + u32::from(step.0), polls + u32::from(step.1)));
        (self.writes.saturating_sub(writes), self.polls.saturating_sub(polls))
    }

    fn add(&mut self, now: Moment, poll: bool, requests: u32) {
        let newest = step_of(now).max(self.newest);
        for step in (self.newest + 1..=newest).take(STEPS) {
            if let Some(place) = self.steps.get_mut(index_of(step)) {
                let (writes, polls) = std::mem::take(place);
                self.writes -= u32::from(writes);
                self.polls -= u32::from(polls);
            }
        }
        self.newest = newest;
        let requests = u16::try_from(requests).unwrap_or(u16::MAX);
        if let Some((writes, polls)) = self.steps.get_mut(index_of(newest)) {
            let (count, sum) = if poll { (polls, &mut self.polls) } else { (writes, &mut self.writes) };
            let more = count.saturating_add(requests) - *count;
            *count += more;
            *sum += u32::from(more);
        }
    }
}

fn step_of(now: Moment) -> u64 {
    now.as_millis() / STEP_MILLIS
}

fn index_of(step: u64) -> usize {
    (step % STEPS as u64) as usize
}

/// Thousandths of requests that may be sent at once; what is taken comes back evenly over the window.
#[derive(Debug)]
struct Bucket {
    limit: u32,
    /// Below nothing where polls took what was not there.
    level: i64,
    at: Moment,
}

/// The bucket counts in parts of a request: as many as the window has milliseconds.
const PARTS: i64 = WINDOW_MILLIS as i64;

impl Bucket {
    fn new(now: Moment, limit: u32) -> Self {
        let mut bucket = Self { limit, level: 0, at: now };
        bucket.level = bucket.most();
        bucket
    }

    fn most(&self) -> i64 {
        i64::from(self.limit.div_ceil(BURST_SHARE)) * PARTS
    }

    fn set_limit(&mut self, now: Moment, limit: u32) {
        self.fill(now);
        self.limit = limit;
        self.level = self.level.min(self.most());
    }

    /// One millisecond brings `limit` parts.
    fn fill(&mut self, now: Moment) {
        let passed = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(passed.saturating_mul(i64::from(self.limit))).min(self.most());
        self.at = self.at.max(now);
    }

    fn level(&mut self, now: Moment) -> u32 {
        self.fill(now);
        u32::try_from(self.level / PARTS).unwrap_or(0)
    }

    fn take(&mut self, now: Moment, requests: u32) {
        self.fill(now);
        self.level = (self.level - i64::from(requests) * PARTS).max(-self.most());
    }

    fn next_token(&self, now: Moment) -> Option<Moment> {
        let missing = PARTS - self.level;
        let wait = u64::try_from(missing).ok()?.div_ceil(u64::from(self.limit));
        Some((self.at + Duration::from_millis(wait)).max(now + Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TenantKey = TenantKey(0);

    fn at(millis: u64) -> Moment {
        Moment::from_millis(1_000_000 + millis)
    }

    fn budgets(limit: u32) -> Budgets {
        let mut budgets = Budgets::default();
        budgets.set_tenant(at(0), T, limit);
        budgets
    }

    /// Sends whatever there is room for, each 10 ms, and gives the moments.
    fn greedy(budgets: &mut Budgets, purpose: Purpose, from: u64, millis: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        for now in (from..from + millis).step_by(10) {
            let room = budgets.room(at(now), T, purpose, false);
            budgets.spend(at(now), T, purpose, room);
            sent.extend(std::iter::repeat_n(now, room as usize));
        }
        sent
    }

    fn most_in_any_window(sent: &[u64]) -> usize {
        let mut most = 0;
        let mut first = 0;
        for (index, &moment) in sent.iter().enumerate() {
            while sent[first] + WINDOW_MILLIS <= moment {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }

    #[test]
    fn no_window_of_30_seconds_has_more_than_the_limit_and_nearly_all_of_it_can_be_used() {
        let mut budgets = budgets(1_400);
        let mut sent = greedy(&mut budgets, Purpose::Change, 0, 120_000);
        let most = most_in_any_window(&sent);
        assert!((1_300..=1_400).contains(&most), "{most}");
        assert!(sent.len() > 4 * 1_300, "{}", sent.len());
        assert!(sent.iter().filter(|&&moment| moment == 0).count() > 200, "a burst goes at once");
        budgets.rush();
        sent.extend(greedy(&mut budgets, Purpose::Change, 200_000, 40_000));
        assert!(most_in_any_window(&sent) <= 1_400);
        assert_eq!(sent.iter().filter(|&&moment| moment == 200_000).count(), 1_400, "the end may use all at once");
    }

    #[test]
    fn polls_keep_their_share_and_take_no_more_while_writes_wait() {
        let mut budgets = budgets(1_000);
        budgets.set_poll_demand(T, 500);
        assert_eq!(greedy(&mut budgets, Purpose::Change, 0, 29_000).len(), 900);
        assert_eq!(budgets.room(at(29_000), T, Purpose::Poll, true), 100);
        budgets.spend(at(29_000), T, Purpose::Poll, 100);
        assert_eq!(budgets.room(at(29_500), T, Purpose::Poll, true), 0);
        assert_eq!(budgets.room(at(29_500), T, Purpose::Change, true), 0);
        budgets.set_poll_demand(T, 0);
        assert_eq!(budgets.room(at(90_000), T, Purpose::Poll, false), 1_000, "an idle window is theirs");
        assert_eq!(budgets.room(at(90_000), T, Purpose::Poll, true), 0);
    }

    #[test]
    fn refreshes_leave_room_for_changes() {
        let mut budgets = budgets(1_000);
        assert_eq!(greedy(&mut budgets, Purpose::Refresh, 0, 30_000).len(), 800);
        assert_eq!(budgets.room(at(30_000), T, Purpose::Refresh, false), 0);
        assert!(budgets.room(at(30_000), T, Purpose::Change, false) > 100);
    }

    #[test]
    fn faults_pause_the_tenant_and_let_one_request_try() {
        let mut chance = Chance::new(7);
        let mut budgets = budgets(1_000);
        let half = Some(Duration::from_millis(2_128));
        budgets.handle_fault(at(0), T, &Fault::Throttled { after: half }, &mut chance);
        assert_eq!(budgets.room(at(2_127), T, Purpose::Change, false), 0);
        assert_eq!(budgets.next_room(at(5), T), Some(at(2_128)));
        assert!(budgets.room(at(2_128), T, Purpose::Change, false) > 1, "throttled, but in order");

        budgets.handle_fault(at(3_000), T, &Fault::Network, &mut chance);
        let next = budgets.next_room(at(3_000), T).unwrap();
        assert!((at(3_500)..=at(4_000)).contains(&next), "{next:?}");
        assert_eq!(budgets.room(next, T, Purpose::Change, false), 1);
        budgets.spend(next, T, Purpose::Change, 1);
        assert_eq!(budgets.room(next, T, Purpose::Poll, false), 0, "one trial at a time");
        budgets.handle_fault(next, T, &Fault::Server { after: None }, &mut chance);
        let later = budgets.next_room(next, T).unwrap();
        assert!(later.since(next) >= Duration::from_secs(1), "each pause is longer than the one before");
        budgets.handle_success(T);
        assert!(budgets.room(later, T, Purpose::Change, false) > 1);
    }

    #[test]
    fn failing_credentials_are_tried_once_a_minute() {
        let mut chance = Chance::new(7);
        let mut budgets = budgets(1_000);
        let mut sent = 0;
        budgets.handle_fault(at(0), T, &Fault::Token, &mut chance);
        assert!(budgets.standing(at(0), T).unwrap().unwell);
        for now in (0..600_000).step_by(100) {
            if budgets.room(at(now), T, Purpose::Change, false) > 0 {
                sent += 1;
                budgets.spend(at(now), T, Purpose::Change, 1);
                budgets.handle_fault(at(now), T, &Fault::Token, &mut chance);
            }
        }
        assert!((9..=20).contains(&sent), "{sent}");
        budgets.handle_well(at(600_000), T);
        assert!(budgets.room(at(600_000), T, Purpose::Change, false) > 100);
        assert_eq!(budgets.room(at(600_000), TenantKey(9), Purpose::Change, false), 0, "nobody's tenant");
    }
}
