//! Who of the users is in how many calls, on the bridge's thread.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::call::CallId;
use crate::call::progress::Turn;
use crate::presence::{People, Presence, Report, UserKey};

/// A user with what the edge's own calls say of them; `None`: they are in no call.
pub type Told = (UserKey, Option<Report>);

/// A call as it was told last.
#[derive(Debug)]
struct Known {
    turn: Turn,
    /// Those whom it makes busy.
    busy: SmallVec<[UserKey; 2]>,
    /// The round of the sweep in which it was seen last.
    round: u32,
}

/// Calls that a user is in, and how many of them are conferences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    calls: u32,
    conferences: u32,
}

impl Load {
    fn report(self) -> Option<Report> {
        (self.calls > 0).then_some(Report::Line { presence: Presence::Busy, conference: self.conferences > 0 })
    }
}

/// All calls with users in them.
#[derive(Debug, Default)]
pub struct Ledger {
    calls: HashMap<CallId, Known, foldhash::fast::RandomState>,
    loads: HashMap<UserKey, Load, foldhash::fast::RandomState>,
    round: u32,
}

impl Ledger {
    /// A call has changed, or is over; what it means for users goes to `out`.
    pub fn note(&mut self, people: &People, call: CallId, turn: Option<Turn>, out: &mut Vec<Told>) {
        let busy = turn.as_ref().map(|turn| busy_by(people, turn)).unwrap_or_default();
        let conference = turn.as_ref().is_some_and(|turn| turn.conference);
        let round = self.round;
        let before = match turn {
            Some(turn) => self.calls.insert(call, Known { turn, busy: busy.clone(), round }),
            None => self.calls.remove(&call),
        };
        let (old, old_conference) = before.map(|known| (known.busy, known.turn.conference)).unwrap_or_default();
        let mut touched: SmallVec<[UserKey; 4]> = old.iter().chain(&busy).copied().collect();
        touched.sort_unstable();
        touched.dedup();
        for user in touched {
            let had = self.loads.get(&user).copied().unwrap_or_default();
            let mut load = had;
            if old.contains(&user) {
                load.calls = load.calls.saturating_sub(1);
                load.conferences = load.conferences.saturating_sub(u32::from(old_conference));
            }
            if busy.contains(&user) {
                load.calls += 1;
                load.conferences += u32::from(conference);
            }
            match load.calls {
                0 => self.loads.remove(&user),
                _ => self.loads.insert(user, load),
            };
            if load.report() != had.report() {
                out.push((user, load.report()));
            }
        }
    }

    /// The users or the tenants that want it have changed: calls are looked at again.
    pub fn refresh(&mut self, people: &People, is_wanted: impl Fn(&str) -> bool, out: &mut Vec<Told>) {
        let changed = |(&call, known): (&CallId, &Known)| {
            let wanted = is_wanted(&known.turn.tenant);
            let stays = wanted && known.busy == busy_by(people, &known.turn);
            (!stays).then(|| (call, wanted.then(|| known.turn.clone())))
        };
        let changed: Vec<_> = self.calls.iter().filter_map(changed).collect();
        for (call, turn) in changed {
            self.note(people, call, turn, out);
        }
    }

    /// What the calls say of a user who is new to the bridge.
    pub fn report_of(&self, user: UserKey) -> Option<Report> {
        self.loads.get(&user).and_then(|load| load.report())
    }

    /// A sweep has seen a call.
    pub fn see(&mut self, call: CallId) {
        if let Some(known) = self.calls.get_mut(&call) {
            known.round = self.round;
        }
    }

    /// A sweep has seen all calls in progress: gives those that it has missed twice.
    pub fn end_round(&mut self) -> Vec<CallId> {
        self.round = self.round.wrapping_add(1);
        let is_missed = |known: &Known| self.round.wrapping_sub(known.round) > 2;
        self.calls.iter().filter(|(_, known)| is_missed(known)).map(|(&call, _)| call).collect()
    }
}

/// Whom a call makes busy: who calls at once, who is called when it is answered (rule 1).
fn busy_by(people: &People, turn: &Turn) -> SmallVec<[UserKey; 2]> {
    let Some(tenant) = people.find_tenant(&turn.tenant) else { return SmallVec::new() };
    let [caller, callee] = &turn.users;
    let callee = callee.as_ref().filter(|_| turn.up);
    let mut busy: SmallVec<[UserKey; 2]> =
        caller.iter().chain(callee).filter_map(|user| people.by_id(tenant, user)).collect();
    busy.dedup();
    busy
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::tests::turn;
    use super::*;
    use crate::presence::{Direction, Person};

    fn people(names: &[&str]) -> People {
        let mut people = People::default();
        let tenant = people.tenant("contoso").unwrap();
        for name in names {
            put(&mut people, tenant, name);
        }
        people
    }

    fn put(people: &mut People, tenant: crate::presence::TenantKey, name: &str) {
        let person = Person {
            tenant,
            id: name.into(),
            direction: Direction::ToTeams,
            graph_id: None,
            lines: smallvec![],
            numbers: smallvec![],
        };
        people.put(person).unwrap();
    }

    const ALICE: UserKey = UserKey(0);
    const BOB: UserKey = UserKey(1);

    fn busy(conference: bool) -> Option<Report> {
        Some(Report::Line { presence: Presence::Busy, conference })
    }

    #[test]
    fn a_call_makes_its_caller_busy_at_once_and_its_callee_when_it_is_answered() {
        let people = people(&["alice", "bob"]);
        let mut ledger = Ledger::default();
        let mut step = |turn| {
            let mut out = Vec::new();
            ledger.note(&people, CallId(1), turn, &mut out);
            out
        };
        assert_eq!(step(Some(turn(1, false, ["ALICE", "bob"]))), [(ALICE, busy(false))]);
        assert_eq!(step(Some(turn(1, true, ["alice", "bob"]))), [(BOB, busy(false))]);
        let mut conference = turn(1, true, ["alice", "bob"]);
        conference.conference = true;
        assert_eq!(step(Some(conference)), [(ALICE, busy(true)), (BOB, busy(true))]);
        // A transfer has put somebody else in Bob's place.
        assert_eq!(step(Some(turn(1, true, ["alice", ""]))), [(ALICE, busy(false)), (BOB, None)]);
        assert_eq!(step(None), [(ALICE, None)]);
        assert_eq!(step(None), []);
    }

    #[test]
    fn somebody_in_several_calls_is_free_after_the_last() {
        let people = people(&["alice", "bob"]);
        let mut ledger = Ledger::default();
        let mut out = Vec::new();
        ledger.note(&people, CallId(1), Some(turn(1, true, ["alice", ""])), &mut out);
        ledger.note(&people, CallId(2), Some(turn(2, true, ["bob", "alice"])), &mut out);
        ledger.note(&people, CallId(3), Some(turn(3, true, ["alice", "alice"])), &mut out);
        ledger.note(&people, CallId(1), None, &mut out);
        ledger.note(&people, CallId(2), None, &mut out);
        assert_eq!(out, [(ALICE, busy(false)), (BOB, busy(false)), (BOB, None)]);
        out.clear();
        ledger.note(&people, CallId(3), None, &mut out);
        assert_eq!(out, [(ALICE, None)]);
        assert!(ledger.loads.is_empty() && ledger.calls.is_empty());
    }

    #[test]
    fn calls_of_users_who_come_later_count_and_those_of_tenants_that_leave_do_not() {
        let mut people = people(&["alice"]);
        let mut ledger = Ledger::default();
        let mut out = Vec::new();
        ledger.note(&people, CallId(1), Some(turn(1, true, ["alice", "bob"])), &mut out);
        assert_eq!(std::mem::take(&mut out), [(ALICE, busy(false))]);
        let tenant = people.find_tenant("contoso").unwrap();
        put(&mut people, tenant, "bob");
        ledger.refresh(&people, |_| true, &mut out);
        assert_eq!(std::mem::take(&mut out), [(BOB, busy(false))]);
        assert_eq!((ledger.report_of(BOB), ledger.report_of(UserKey(9))), (busy(false), None));
        ledger.refresh(&people, |_| true, &mut out);
        assert!(out.is_empty());
        ledger.refresh(&people, |_| false, &mut out);
        assert_eq!(out, [(ALICE, None), (BOB, None)]);
    }

    #[test]
    fn a_call_that_two_rounds_have_missed_is_told() {
        let people = people(&["alice"]);
        let mut ledger = Ledger::default();
        let mut out = Vec::new();
        ledger.note(&people, CallId(1), Some(turn(1, true, ["alice", ""])), &mut out);
        ledger.note(&people, CallId(2), Some(turn(2, true, ["alice", ""])), &mut out);
        let mut missed = Vec::new();
        for _ in 0..4 {
            ledger.see(CallId(2));
            missed.push(ledger.end_round());
        }
        assert_eq!(missed, [vec![], vec![], vec![CallId(1)], vec![CallId(1)]]);
    }
}
