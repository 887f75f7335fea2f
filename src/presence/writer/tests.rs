use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::presence::Session::{Away, InACall, InAConferenceCall, Presenting};

const T: TenantKey = TenantKey(0);
const ALICE: UserKey = UserKey(0);

/// A request that left: its number, and what each item told.
type Request = (RequestId, Vec<(u32, Option<Session>)>);

/// A writer with a clock, and what it said last.
struct Desk {
    writer: Writer,
    budgets: Budgets,
    now: Moment,
    out: Vec<Order>,
}

impl Desk {
    fn new() -> Self {
        let now = Moment::from_millis(10_000_000);
        let mut budgets = Budgets::default();
        budgets.set_tenant(now, T, 1_400);
        Self { writer: Writer::new(now, Settings::default(), 1), budgets, now, out: Vec::new() }
    }

    fn with_users(count: u32) -> Self {
        let mut desk = Self::new();
        (0..count).for_each(|user| desk.writer.set_user(desk.now, UserKey(user), T, Some(id(user))));
        desk
    }

    fn want(&mut self, user: UserKey, session: Option<Session>) {
        self.writer.want(self.now, user, session);
    }

    /// Lets time pass, and gives the requests that left: their numbers, and what each item told.
    fn pass(&mut self, time: Duration) -> Vec<Request> {
        let until = self.now + time;
        loop {
            self.writer.handle_time(self.now, &mut self.budgets, &mut self.out);
            let next = self.writer.next_wake().unwrap_or(until).max(self.now + Duration::from_millis(1));
            if next > until {
                self.now = until;
                break;
            }
            self.now = next;
        }
        self.writes()
    }

    fn writes(&self) -> Vec<Request> {
        let writes = self.out.iter().filter_map(|order| match order {
            Order::Write { request, items, .. } => {
                let items = items.iter().map(|item| (number(&item.graph_id), item.session)).collect();
                Some((*request, items))
            }
            Order::Keep { .. } | Order::Wrote { .. } => None,
        });
        writes.collect()
    }

    /// The requests that leave now; what was said before is forgotten.
    fn leaves(&mut self, time: u64) -> Vec<Request> {
        self.out.clear();
        self.pass(Duration::from_millis(time))
    }

    fn answer(&mut self, request: RequestId, result: Result<Vec<ItemResult>, Fault>) {
        self.out.clear();
        self.writer.handle_done(self.now, request, result, &mut self.budgets, &mut self.out);
    }

    fn done(&mut self, request: RequestId) {
        self.answer(request, Ok(vec![ItemResult::Done; MAX_BATCH]));
    }

    /// Has Graph take a session.
    fn write(&mut self, user: UserKey, session: Option<Session>) {
        self.want(user, session);
        let [(request, items)] = self.leaves(600).try_into().unwrap();
        assert_eq!(items, [(user.0, session)]);
        self.done(request);
    }

    fn state(&self, user: UserKey) -> State {
        self.writer.standing(user).unwrap().state
    }
}

fn id(user: u32) -> Arc<str> {
    format!("id-{user}").into()
}

fn number(graph_id: &str) -> u32 {
    graph_id.strip_prefix("id-").unwrap().parse().unwrap()
}

fn minutes(count: u64) -> u64 {
    count * 60_000
}

#[test]
fn first_change_goes_at_once_and_a_flapping_line_is_gathered() {
    let mut desk = Desk::with_users(1);
    desk.want(ALICE, Some(InACall));
    let [(request, items)] = desk.leaves(0).try_into().unwrap();
    assert_eq!(items, [(0, Some(InACall))]);
    desk.done(request);
    for wanted in [None, Some(Away), None, Some(InACall), None] {
        desk.want(ALICE, wanted);
        assert_eq!(desk.leaves(80), []);
    }
    let [(request, items)] = desk.leaves(120).try_into().unwrap();
    assert_eq!(items, [(0, None)], "500 ms after the first the newest goes");
    desk.done(request);
    desk.want(ALICE, Some(InACall));
    desk.want(ALICE, None);
    assert_eq!(desk.leaves(minutes(1)), [], "back to what Graph has");
    desk.want(ALICE, Some(Presenting));
    assert_eq!(desk.leaves(0).len(), 1, "quiet for long: at once again");
}

#[test]
fn one_write_is_under_way_for_a_user_and_the_newest_state_follows() {
    let mut desk = Desk::with_users(1);
    desk.want(ALICE, Some(InACall));
    let [(request, _)] = desk.leaves(0).try_into().unwrap();
    desk.want(ALICE, Some(Away));
    desk.want(ALICE, Some(InAConferenceCall));
    assert_eq!(desk.leaves(5_000), []);
    assert_eq!(desk.writer.counts(desk.now).waiting, 1);
    desk.done(request);
    let [(request, items)] = desk.leaves(20).try_into().unwrap();
    assert_eq!(items, [(0, Some(InAConferenceCall))]);
    desk.done(request);
    assert!(desk.out.contains(&Order::Wrote { user: ALICE, session: Some(InAConferenceCall) }));
    assert_eq!((desk.state(ALICE), desk.leaves(minutes(10))), (State::Settled, vec![]));
}

#[test]
fn few_changes_are_plain_requests_and_a_burst_is_batches() {
    let mut desk = Desk::with_users(300);
    (0..3).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    let sent = desk.leaves(0);
    assert_eq!(sent.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [1, 1, 1]);
    sent.into_iter().for_each(|(request, _)| desk.done(request));
    (3..203).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    let sent = desk.leaves(0);
    assert_eq!(sent.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [20; 8]);
    let (first, _) = sent[0];
    desk.done(first);
    let more = desk.leaves(0);
    assert_eq!(more.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [20]);
    assert_eq!(desk.writer.counts(desk.now).in_flight, 8);
}

#[test]
fn session_is_on_disk_before_it_is_sent_and_a_clear_leaves_it_after() {
    let mut desk = Desk::with_users(1);
    desk.want(ALICE, Some(InACall));
    desk.leaves(0);
    let [Order::Keep { written: Some(ahead), .. }, Order::Write { request, .. }] = &desk.out[..] else {
        panic!("{:?}", desk.out)
    };
    assert!(!ahead.sure && ahead.session == InACall && ahead.until > desk.now + Duration::from_secs(3_600));
    desk.done(*request);
    let kept = |desk: &Desk| match &desk.out[..] {
        [Order::Wrote { .. }, Order::Keep { written, .. }] => *written,
        other => panic!("{other:?}"),
    };
    let sure = Written { session: InACall, until: desk.now + Duration::from_secs(3_600), sure: true };
    assert_eq!(kept(&desk), Some(sure));
    desk.want(ALICE, None);
    let [(request, _)] = desk.leaves(600).try_into().unwrap();
    assert_eq!(desk.out.len(), 1, "nothing is forgotten before Graph has");
    desk.answer(request, Ok(vec![ItemResult::NotFound]));
    assert_eq!((kept(&desk), desk.state(ALICE)), (None, State::Settled));
}

#[test]
fn sessions_are_refreshed_by_half_of_their_life_and_not_all_at_once() {
    let mut desk = Desk::with_users(400);
    (0..400).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    let start = desk.now;
    let mut open = desk.leaves(0);
    while let Some((request, _)) = open.pop() {
        desk.done(request);
        open.extend(desk.leaves(50));
    }
    assert!(desk.writer.is_idle());
    let written = desk.now;
    let mut refreshed = Vec::new();
    while desk.now < start + Duration::from_millis(minutes(31)) {
        let sent = desk.leaves(5_000);
        let after = desk.now.since(written).as_secs() / 60;
        for (request, items) in sent {
            refreshed.extend(items.iter().map(|_| after));
            desk.done(request);
        }
    }
    assert_eq!(refreshed.len(), 400);
    assert!(refreshed.iter().all(|after| (21..=30).contains(after)), "{refreshed:?}");
    for minute in 23..29 {
        let share = refreshed.iter().filter(|&&after| after == minute).count();
        assert!((10..200).contains(&share), "{share} in minute {minute}");
    }
    assert_eq!(desk.writer.counts(desk.now).refreshes, 400);
}

#[test]
fn throttled_item_waits_its_time_and_so_does_its_tenant() {
    let mut desk = Desk::with_users(3);
    desk.want(ALICE, Some(InACall));
    let [(request, _)] = desk.leaves(600).try_into().unwrap();
    desk.want(UserKey(1), Some(Away));
    let after = Some(Duration::from_millis(2_128));
    desk.answer(request, Ok(vec![ItemResult::Throttled { after }]));
    assert_eq!(desk.leaves(2_120), []);
    let users: Vec<u32> = desk.leaves(40).iter().flat_map(|(_, items)| items.iter().map(|item| item.0)).collect();
    assert_eq!(users.len(), 2, "{users:?}");
}

#[test]
fn unknown_user_is_told_once_and_asked_for_again_only_when_he_changes() {
    let mut desk = Desk::with_users(2);
    desk.want(ALICE, Some(InACall));
    let [(request, _)] = desk.leaves(0).try_into().unwrap();
    desk.answer(request, Ok(vec![ItemResult::NotFound]));
    assert_eq!(desk.state(ALICE), State::Unmatched);
    desk.want(ALICE, None);
    desk.want(ALICE, Some(Away));
    assert_eq!(desk.leaves(minutes(60)), []);
    desk.writer.set_user(desk.now, UserKey(7), T, None);
    assert_eq!(desk.writer.unmatched().collect::<Vec<_>>(), [ALICE, UserKey(7)]);
    assert_eq!(desk.writer.counts(desk.now).unmatched, 2);
    desk.writer.set_user(desk.now, ALICE, T, Some(id(99)));
    let [(_, items)] = desk.leaves(0).try_into().unwrap();
    assert_eq!(items, [(99, Some(Away))], "what was wanted is wanted still");
    assert_eq!(desk.writer.counts(desk.now).unmatched, 1);
}

#[test]
fn refused_session_is_left_alone_for_a_while() {
    let mut desk = Desk::with_users(1);
    desk.want(ALICE, Some(InACall));
    let [(request, _)] = desk.leaves(0).try_into().unwrap();
    desk.answer(request, Ok(vec![ItemResult::Refused]));
    assert_eq!((desk.state(ALICE), desk.leaves(minutes(14))), (State::Refused, vec![]));
    assert!(desk.writer.is_idle(), "it keeps nobody from stopping");
    assert_eq!(desk.leaves(minutes(2)).len(), 1);
}

#[test]
fn batch_that_is_refused_as_a_whole_is_sent_again_one_by_one() {
    let mut desk = Desk::with_users(160);
    (0..160).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    let sent = desk.leaves(0);
    assert_eq!(sent[0].1.len(), 20);
    desk.answer(sent[0].0, Err(Fault::Refused));
    for (request, _) in &sent[1..] {
        desk.done(*request);
    }
    let mut alone = 0;
    let mut open = desk.leaves(600);
    while let Some((request, items)) = open.pop() {
        assert_eq!(items.len(), 1);
        alone += 1;
        let result = if items[0].0 == 3 { ItemResult::Refused } else { ItemResult::Done };
        desk.answer(request, Ok(vec![result]));
        open.extend(desk.leaves(20));
    }
    assert_eq!((alone, desk.state(UserKey(3)), desk.state(UserKey(4))), (20, State::Refused, State::Settled));
}

#[test]
fn failing_credentials_hold_everything_back_but_a_trial_and_then_only_differences_go() {
    let mut desk = Desk::with_users(50);
    desk.write(ALICE, Some(InACall));
    desk.writer.handle_unwell(desk.now, T, &mut desk.budgets);
    (1..50).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    (1..40).for_each(|user| desk.want(UserKey(user), None));
    desk.want(ALICE, None);
    let mut trials = 0;
    for _ in 0..600 {
        let sent = desk.leaves(1_000);
        trials += sent.len();
        sent.into_iter().for_each(|(request, _)| desk.answer(request, Err(Fault::Token)));
    }
    assert!((9..=21).contains(&trials), "{trials} in ten minutes");
    desk.writer.handle_well(desk.now, T, &mut desk.budgets);
    let sent: usize = desk.leaves(10).iter().map(|(_, items)| items.len()).sum();
    assert_eq!(sent, 11, "ten sessions and a clear");
}

#[test]
fn lost_answer_leaves_doubt_that_is_removed() {
    let mut desk = Desk::with_users(1);
    desk.want(ALICE, Some(InACall));
    let [(lost, _)] = desk.leaves(0).try_into().unwrap();
    desk.want(ALICE, None);
    assert_eq!(desk.leaves(59_000), []);
    let [(request, items)] = desk.leaves(5_000).try_into().unwrap();
    assert_eq!(items, [(0, None)], "it may have been done");
    desk.answer(lost, Ok(vec![ItemResult::Done]));
    assert_eq!(desk.out, [], "too late to be heard");
    desk.answer(request, Ok(vec![ItemResult::NotFound]));
    assert_eq!((desk.state(ALICE), desk.writer.counts(desk.now).lost), (State::Settled, 1));
}

#[test]
fn user_who_goes_is_cleared_and_his_place_is_given_away() {
    let mut desk = Desk::with_users(2);
    desk.write(ALICE, Some(InACall));
    desk.writer.remove_user(desk.now, ALICE);
    assert!(desk.writer.standing(ALICE).is_none());
    let [(request, items)] = desk.leaves(600).try_into().unwrap();
    assert_eq!(items, [(0, None)]);
    desk.done(request);
    assert_eq!(desk.writer.counts(desk.now).slots, 1);
    desk.writer.remove_user(desk.now, UserKey(1));
    assert_eq!((desk.writer.counts(desk.now).slots, desk.leaves(minutes(1))), (0, vec![]));
}

#[test]
fn user_who_comes_again_before_he_is_cleared_keeps_his_session() {
    let mut desk = Desk::with_users(1);
    desk.write(ALICE, Some(InACall));
    desk.writer.remove_user(desk.now, ALICE);
    desk.writer.set_user(desk.now, UserKey(5), T, Some(id(0)));
    desk.want(UserKey(5), Some(InACall));
    assert_eq!((desk.leaves(minutes(5)), desk.state(UserKey(5))), (vec![], State::Settled));
}

fn restored(session: Session, minutes_left: u64, sure: bool) -> Desk {
    let mut desk = Desk::new();
    let until = desk.now + Duration::from_millis(minutes(minutes_left));
    desk.writer.restore(desk.now, T, id(0), Written { session, until, sure });
    desk
}

#[test]
fn session_of_before_a_restart_goes_on_where_it_is_wanted() {
    let mut desk = restored(InACall, 50, true);
    desk.writer.set_user(desk.now, ALICE, T, Some(id(0)));
    assert_eq!(desk.leaves(5_000), [], "nothing is known of the line yet");
    desk.want(ALICE, Some(InACall));
    assert_eq!(desk.leaves(minutes(15)), []);
    assert_eq!(desk.leaves(minutes(5)).len(), 1, "refreshed by half");

    let mut old = restored(InACall, 20, true);
    old.writer.set_user(old.now, ALICE, T, Some(id(0)));
    old.want(ALICE, Some(InACall));
    assert_eq!(old.leaves(100).len(), 1, "less than half is left");

    let mut unsure = restored(InACall, 50, false);
    unsure.writer.set_user(unsure.now, ALICE, T, Some(id(0)));
    unsure.want(ALICE, Some(InACall));
    assert_eq!(unsure.leaves(100).len(), 1, "it may never have come to Graph");
}

#[test]
fn session_of_before_a_restart_is_cleared_when_it_is_not_wanted() {
    let mut desk = restored(InACall, 50, true);
    desk.writer.set_user(desk.now, ALICE, T, Some(id(0)));
    desk.want(ALICE, Some(Away));
    assert_eq!(desk.leaves(10)[0].1, [(0, Some(Away))], "the line says something else");

    let mut idle = restored(InACall, 50, true);
    idle.writer.set_user(idle.now, ALICE, T, Some(id(0)));
    idle.want(ALICE, None);
    assert_eq!(idle.leaves(29_000), []);
    assert_eq!(idle.leaves(2_000)[0].1, [(0, None)], "nobody says that the line is busy");

    let mut orphan = restored(InACall, 50, false);
    let [(request, items)] = orphan.leaves(31_000).try_into().unwrap();
    assert_eq!(items, [(0, None)], "the user is not there any more");
    orphan.done(request);
    assert_eq!(orphan.writer.counts(orphan.now).slots, 0);
}

#[test]
fn stop_clears_what_is_there_and_takes_nothing_new() {
    let mut desk = Desk::with_users(30);
    (0..30).for_each(|user| desk.want(UserKey(user), Some(InACall)));
    desk.leaves(0).into_iter().for_each(|(request, _)| desk.done(request));
    desk.writer.stop(desk.now, &mut desk.budgets);
    desk.want(ALICE, Some(Away));
    let sent = desk.leaves(20);
    assert!(sent.iter().all(|(_, items)| items.iter().all(|item| item.1.is_none())));
    assert_eq!(sent.iter().map(|(_, items)| items.len()).sum::<usize>(), 30);
    assert!(!desk.writer.is_idle());
    sent.into_iter().for_each(|(request, _)| desk.done(request));
    assert!(desk.writer.is_idle());
}

#[test]
fn tenant_whose_budget_is_not_known_yet_waits_for_it() {
    let mut desk = Desk::new();
    let other = TenantKey(3);
    desk.writer.set_user(desk.now, ALICE, other, Some(id(0)));
    desk.want(ALICE, Some(InACall));
    assert_eq!((desk.leaves(10_000), desk.state(ALICE)), (vec![], State::Waiting));
    desk.budgets.set_tenant(desk.now, other, 100);
    assert_eq!(desk.leaves(1_000).len(), 1);
}

#[test]
fn time_from_change_to_request_is_counted() {
    let mut desk = Desk::with_users(2);
    desk.want(ALICE, Some(InACall));
    desk.want(UserKey(1), Some(InACall));
    desk.now = desk.now + Duration::from_millis(7);
    desk.leaves(0);
    let latency = desk.writer.counts(desk.now).latency;
    assert_eq!((latency.count(), latency.buckets[2], latency.sum), (2, 2, Duration::from_millis(14)));
}
