//! The edge's own calls as a source of presence: no PBX has to tell who talks over the edge.
//!
//! [`Lines`] is what calls write into: a table of calls in progress with users in them, and a list of those that have
//! changed. It coalesces, so that a call that changes ten times before anybody looks is told once; nobody who writes
//! waits. [`ledger::Ledger`] is the other side, on the bridge's thread. Calls whose end nobody told are found by a
//! [`sweep::Sweep`] over the calls in progress, so that nobody stays busy.

pub mod ledger;
pub mod sweep;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use crate::call::CallId;
use crate::call::progress::Turn;
use crate::config;
use crate::presence::Direction;

/// A call in progress, and whether the bridge's thread has still to hear of it.
#[derive(Debug)]
struct Now {
    turn: Turn,
    over: bool,
    changed: bool,
}

/// The calls in progress that users of the bridge take part in.
#[derive(Debug)]
pub struct Lines {
    /// Some tenant wants it.
    on: AtomicBool,
    tenants: ArcSwap<HashSet<Arc<str>>>,
    calls: DashMap<CallId, Now, foldhash::fast::RandomState>,
    count: AtomicUsize,
    limit: AtomicUsize,
    changed: Mutex<VecDeque<CallId>>,
    wake: Notify,
    not_followed: AtomicU64,
}

impl Lines {
    /// An empty table, as a configuration wants it.
    pub fn new(settings: &config::Presence) -> Self {
        let lines = Self {
            on: AtomicBool::new(false),
            tenants: ArcSwap::default(),
            calls: DashMap::default(),
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            changed: Mutex::default(),
            wake: Notify::new(),
            not_followed: AtomicU64::new(0),
        };
        lines.set(settings);
        lines
    }

    /// Takes another configuration: which tenants want it, and how many calls are followed at once (`max_users`).
    pub fn set(&self, settings: &config::Presence) {
        let wants = |tenant: &config::TenantPresence| {
            let writes = |user: &config::UserPresence| user.direction.is_some_and(Direction::writes);
            tenant.own_calls && (tenant.direction.writes() || tenant.users.values().any(writes))
        };
        let wanting = settings.tenants.iter().filter(|(_, tenant)| wants(tenant));
        let tenants: HashSet<Arc<str>> = wanting.map(|(name, _)| Arc::clone(name)).collect();
        self.limit.store(settings.max_users, Ordering::Relaxed);
        self.on.store(!tenants.is_empty(), Ordering::Relaxed);
        self.tenants.store(Arc::new(tenants));
    }

    /// Whether calls have to be told at all.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether a tenant wants its calls to be told.
    pub fn is_wanted(&self, tenant: &str) -> bool {
        self.tenants.load().contains(tenant)
    }

    /// A call has begun, was answered or has got another side.
    pub fn turned(&self, turn: Turn) {
        if !self.is_wanted(&turn.tenant) {
            return;
        }
        let call = turn.call;
        match self.calls.entry(call) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if known.turn == turn && !known.over {
                    return;
                }
                (known.turn, known.over) = (turn, false);
                if std::mem::replace(&mut known.changed, true) {
                    return;
                }
            }
            Entry::Vacant(place) => {
                if turn.users.iter().all(Option::is_none) {
                    return;
                }
                if self.count.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed) {
                    self.not_followed.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                place.insert(Now { turn, over: false, changed: true });
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        lock(&self.changed).push_back(call);
    }

    /// A call is over.
    pub fn over(&self, call: CallId) {
        let Some(mut known) = self.calls.get_mut(&call) else { return };
        known.over = true;
        let told = std::mem::replace(&mut known.changed, true);
        drop(known);
        if !told {
            lock(&self.changed).push_back(call);
        }
    }

    /// Wakes the bridge's thread if there is something to tell.
    pub fn wake(&self) {
        if !lock(&self.changed).is_empty() {
            self.wake.notify_one();
        }
    }

    /// Ends when something has changed.
    pub async fn changed(self: Arc<Self>) {
        if lock(&self.changed).is_empty() {
            self.wake.notified().await;
        }
    }

    /// Tells of at most so many calls that have changed; `None`: the call is over. Gives whether more are left.
    pub fn drain(&self, most: usize, mut tell: impl FnMut(CallId, Option<Turn>)) -> bool {
        let (calls, more) = {
            let mut changed = lock(&self.changed);
            let count = changed.len().min(most);
            let calls: Vec<CallId> = changed.drain(..count).collect();
            (calls, !changed.is_empty())
        };
        for call in calls {
            if self.calls.remove_if(&call, |_, known| known.over).is_some() {
                self.count.fetch_sub(1, Ordering::Relaxed);
                tell(call, None);
            } else if let Some(mut known) = self.calls.get_mut(&call) {
                known.changed = false;
                let turn = known.turn.clone();
                drop(known);
                tell(call, Some(turn));
            }
        }
        more
    }

    /// Calls that are followed, and those that were not, since `max_users` was reached.
    pub fn counts(&self) -> (usize, u64) {
        (self.count.load(Ordering::Relaxed), self.not_followed.load(Ordering::Relaxed))
    }
}

fn lock(mutex: &Mutex<VecDeque<CallId>>) -> MutexGuard<'_, VecDeque<CallId>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Presence, TenantPresence};

    /// A configuration in which these tenants take part.
    pub fn settings(tenants: &[&str], max_users: usize) -> Presence {
        let tenants: BTreeMap<Arc<str>, TenantPresence> =
            tenants.iter().map(|name| (Arc::from(*name), TenantPresence::default())).collect();
        Presence { tenants, max_users, ..Presence::default() }
    }

    /// A call of contoso's between two, who may be users.
    pub fn turn(call: u64, up: bool, users: [&str; 2]) -> Turn {
        Turn {
            call: CallId(call),
            tenant: "contoso".into(),
            up,
            conference: false,
            users: users.map(|user| (!user.is_empty()).then(|| user.into())),
        }
    }

    fn told(lines: &Lines) -> Vec<(u64, Option<bool>)> {
        let mut told = Vec::new();
        lines.drain(100, |call, turn| told.push((call.0, turn.map(|turn| turn.up))));
        told
    }

    #[test]
    fn many_changes_of_a_call_are_told_once() {
        let lines = Lines::new(&settings(&["contoso"], 10));
        lines.turned(turn(1, false, ["alice", ""]));
        lines.turned(turn(1, true, ["alice", "bob"]));
        lines.turned(turn(2, false, ["carol", ""]));
        assert_eq!(told(&lines), [(1, Some(true)), (2, Some(false))]);
        lines.turned(turn(1, true, ["alice", "bob"]));
        assert_eq!(told(&lines), [], "nothing is new");
        lines.over(CallId(1));
        lines.over(CallId(1));
        lines.over(CallId(77));
        assert_eq!(told(&lines), [(1, None)]);
        assert_eq!(lines.counts(), (1, 0));
    }

    #[test]
    fn a_call_that_comes_again_under_its_old_id_is_no_longer_over() {
        let lines = Lines::new(&settings(&["contoso"], 10));
        lines.turned(turn(1, false, ["alice", ""]));
        lines.over(CallId(1));
        lines.turned(turn(1, false, ["alice", ""]));
        assert_eq!(told(&lines), [(1, Some(false))]);
        lines.over(CallId(1));
        assert_eq!((told(&lines), lines.counts()), (vec![(1, None)], (0, 0)));
    }

    #[test]
    fn only_calls_with_users_of_tenants_that_want_it_are_followed() {
        let mut settings = settings(&["contoso", "fabrikam"], 1);
        settings.tenants.get_mut("fabrikam").unwrap().own_calls = false;
        let lines = Lines::new(&settings);
        lines.turned(Turn { tenant: "fabrikam".into(), ..turn(1, true, ["alice", ""]) });
        lines.turned(turn(2, true, ["", ""]));
        assert!(told(&lines).is_empty());
        lines.turned(turn(3, true, ["alice", ""]));
        lines.turned(turn(4, true, ["bob", ""]));
        assert_eq!((told(&lines), lines.counts()), (vec![(3, Some(true))], (1, 1)));

        let off = |direction| {
            let mut settings = settings.clone();
            settings.tenants.get_mut("contoso").unwrap().direction = direction;
            !Lines::new(&settings).is_on()
        };
        assert_eq!([Direction::Off, Direction::FromTeams, Direction::Both].map(off), [true, true, false]);
    }

    #[test]
    fn a_drain_takes_no_more_than_it_is_told_to() {
        let lines = Lines::new(&settings(&["contoso"], 10));
        (0..5).for_each(|call| lines.turned(turn(call, false, ["alice", ""])));
        let mut first = Vec::new();
        assert!(lines.drain(3, |call, _| first.push(call.0)));
        assert_eq!(first, [0, 1, 2]);
        assert!(!lines.drain(3, |_, _| ()));
    }
}
