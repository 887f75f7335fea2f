use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;

const T: TenantKey = TenantKey(0);
const ALICE: UserKey = UserKey(0);

struct Desk {
    poller: Poller,
    budgets: Budgets,
    now: Moment,
    out: Vec<Order>,
}

/// A request: its number, and who was asked for.
type Poll = (RequestId, Vec<Arc<str>>);

impl Desk {
    fn with_users(count: u32) -> Self {
        let now = Moment::from_millis(10_000_000);
        let mut desk =
            Self { poller: Poller::new(Settings::default(), 3), budgets: Budgets::default(), now, out: Vec::new() };
        desk.budgets.set_tenant(now, T, 1_400);
        (0..count).for_each(|user| desk.poller.set_user(now, UserKey(user), T, Some(id(user))));
        desk
    }

    /// Lets time pass; requests that leave are answered with what `answer` says.
    fn pass(&mut self, time: Duration, mut answer: impl FnMut(Moment, &Poll) -> Option<Answered>) -> Vec<Order> {
        let until = self.now + time;
        let mut told = Vec::new();
        loop {
            self.poller.handle_time(self.now, &mut self.budgets, |_| false, &mut self.out);
            while !self.out.is_empty() {
                for order in std::mem::take(&mut self.out) {
                    if let Order::Poll { request, ids, .. } = order {
                        if let Some(result) = answer(self.now, &(request, ids)) {
                            self.answer(request, result);
                        }
                    } else {
                        told.push(order);
                    }
                }
            }
            let next = self.poller.next_wake().map_or(until, |at| at.max(self.now + Duration::from_millis(1)));
            if next >= until {
                self.now = until;
                return told;
            }
            self.now = next;
        }
    }

    fn answer(&mut self, request: RequestId, result: Answered) {
        self.poller.handle_polled(self.now, request, result, &mut self.budgets, &mut self.out);
    }

    /// The next request.
    fn poll(&mut self) -> Poll {
        let mut polls = Vec::new();
        while polls.is_empty() {
            self.pass(Duration::from_secs(1), |_, poll| {
                polls.push(poll.clone());
                None
            });
        }
        assert_eq!(polls.len(), 1);
        polls.remove(0)
    }

    /// Answers a request for Alice alone and gives what was told.
    fn hear(&mut self, request: RequestId, presence: TeamsPresence) -> Vec<Order> {
        self.out.clear();
        self.answer(request, Ok(vec![(id(0), presence)]));
        std::mem::take(&mut self.out)
    }

    fn notify(&mut self, presence: TeamsPresence) -> Vec<Order> {
        self.out.clear();
        self.poller.handle_notified(self.now, ALICE, presence, &mut self.out);
        std::mem::take(&mut self.out)
    }
}

type Answered = Result<Vec<(Arc<str>, TeamsPresence)>, Fault>;

fn id(user: u32) -> Arc<str> {
    format!("id-{user}").into()
}

fn shows(availability: Availability, activity: &str, sequence: Option<&str>) -> TeamsPresence {
    TeamsPresence { availability, activity: activity.into(), sequence: sequence.map(Into::into) }
}

fn free(sequence: Option<&str>) -> TeamsPresence {
    shows(Availability::Available, "Available", sequence)
}

fn busy(sequence: Option<&str>) -> TeamsPresence {
    shows(Availability::Busy, "InACall", sequence)
}

fn all_free(poll: &Poll) -> Option<Answered> {
    Some(Ok(poll.1.iter().map(|id| (Arc::clone(id), free(None))).collect()))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn every_user_is_asked_for_once_in_an_interval_by_full_requests_spread_evenly() {
    let mut desk = Desk::with_users(6_500);
    desk.pass(seconds(60), |_, poll| all_free(poll));
    let (mut asked, mut moments) = (BTreeMap::<Arc<str>, u32>::new(), Vec::new());
    desk.pass(seconds(120), |now, poll| {
        assert_eq!(poll.1.len(), MAX_IDS);
        moments.push(now);
        poll.1.iter().for_each(|id| *asked.entry(Arc::clone(id)).or_default() += 1);
        all_free(poll)
    });
    assert_eq!(asked.len(), 6_500);
    assert!(asked.values().all(|count| *count == 2), "twice in two intervals");
    assert!(moments.windows(2).all(|pair| pair[1].since(pair[0]) == seconds(6)), "{moments:?}");
}

#[test]
fn watched_users_come_first_and_others_fill_their_requests() {
    let mut desk = Desk::with_users(2_000);
    (0..10).for_each(|user| desk.poller.watch(desk.now, UserKey(user), true));
    let (mut near, mut far, mut polls) = (0, BTreeMap::<Arc<str>, u32>::new(), 0);
    desk.pass(seconds(120), |_, poll| {
        polls += 1;
        near += u32::from(poll.1.contains(&id(0)));
        poll.1.iter().for_each(|id| *far.entry(Arc::clone(id)).or_default() += 1);
        all_free(poll)
    });
    assert!((24..=27).contains(&near), "each five seconds: {near}");
    assert!(far.len() == 2_000 && polls <= 27, "{polls} requests serve all");
    desk.poller.watch(desk.now, UserKey(3), false);
    assert_eq!(desk.poller.counts().watched, 9);
    desk.pass(seconds(30), |_, poll| {
        assert!(poll.1.contains(&id(0)) && poll.1.contains(&id(9)), "who is left is asked for");
        all_free(poll)
    });
}

#[test]
fn who_begins_to_be_watched_is_asked_for_at_once() {
    let mut desk = Desk::with_users(100);
    desk.pass(seconds(7), |_, poll| all_free(poll));
    desk.poller.watch(desk.now, UserKey(42), true);
    let mut asked = false;
    desk.pass(Duration::from_millis(20), |_, poll| {
        asked |= poll.1.contains(&id(42));
        all_free(poll)
    });
    assert!(asked);
}

#[test]
fn older_is_dropped_and_only_changes_are_told() {
    let mut desk = Desk::with_users(1);
    let (request, ids) = desk.poll();
    assert_eq!(ids, [id(0)]);
    let told = desk.hear(request, free(Some("0005")));
    assert_eq!(told, [Order::Heard { user: ALICE, presence: free(Some("0005")), own: false }]);
    assert_eq!(desk.notify(busy(Some("0004"))), [], "older than what is known");
    assert_eq!(desk.notify(free(Some("0006"))), [], "no change");
    assert_eq!(desk.notify(busy(Some("0005"))), [], "older by now");
    assert_eq!(desk.notify(busy(Some("0007"))).len(), 1);
    let (request, _) = desk.poll();
    assert_eq!(desk.hear(request, free(Some("0006"))), []);
    assert_eq!(desk.poller.shown(ALICE), Some(&busy(Some("0007"))));
    assert_eq!(desk.poller.counts().stale, 3);
}

#[test]
fn without_numbers_a_notification_beats_a_poll_that_was_on_its_way() {
    let mut desk = Desk::with_users(1);
    let (request, _) = desk.poll();
    assert_eq!(desk.notify(busy(None)).len(), 1);
    assert_eq!(desk.hear(request, free(None)), []);
    let (request, _) = desk.poll();
    assert_eq!(desk.hear(request, free(None)).len(), 1, "asked for afterwards");
}

#[test]
fn own_writes_are_no_news_of_the_user() {
    let mut desk = Desk::with_users(1);
    desk.poller.handle_writing(ALICE, Some(Session::InACall));
    let (request, _) = desk.poll();
    let told = desk.hear(request, busy(None));
    assert_eq!(told, [Order::Heard { user: ALICE, presence: busy(None), own: true }]);
    desk.poller.handle_wrote(desk.now, ALICE, Some(Session::InACall), &mut desk.out);
    desk.poller.handle_wrote(desk.now, ALICE, None, &mut desk.out);
    desk.out.clear();
    let heard = |desk: &mut Desk, time| desk.pass(time, |_, _| Some(Ok(vec![(id(0), busy(None))])));
    assert_eq!(heard(&mut desk, seconds(50)), [], "Teams is slow to forget");
    let told = heard(&mut desk, seconds(90));
    assert_eq!(told, [Order::Heard { user: ALICE, presence: busy(None), own: false }], "a call in Teams, then");
}

#[test]
fn own_choice_of_a_user_is_found_after_a_write() {
    let mut desk = Desk::with_users(1);
    let away = |_: Moment, _: &Poll| Some(Ok(vec![(id(0), shows(Availability::Away, "Away", None))]));
    desk.pass(seconds(10), away);
    desk.poller.handle_wrote(desk.now, ALICE, Some(Session::InACall), &mut desk.out);
    let told = desk.pass(seconds(11), away);
    assert_eq!(told, [Order::ChoiceWins { user: ALICE, wins: true }], "asked for ten seconds after the write");
    assert_eq!(desk.poller.with_own_choice().collect::<Vec<_>>(), [ALICE]);
    desk.poller.handle_wrote(desk.now, ALICE, None, &mut desk.out);
    assert_eq!(desk.out, [Order::ChoiceWins { user: ALICE, wins: false }]);
    assert_eq!(desk.poller.counts().choice_wins, 0);
}

#[test]
fn throttled_poll_waits_as_long_as_it_was_told() {
    let mut desk = Desk::with_users(10);
    let (request, _) = desk.poll();
    desk.answer(request, Err(Fault::Throttled { after: Some(seconds(100)) }));
    let start = desk.now;
    let mut first = None;
    desk.pass(seconds(130), |now, poll| {
        first.get_or_insert(now);
        all_free(poll)
    });
    let waited = first.unwrap().since(start);
    assert!((seconds(99)..seconds(102)).contains(&waited), "{waited:?}");
}

#[test]
fn one_object_id_that_graph_refuses_does_not_blind_the_others() {
    let mut desk = Desk::with_users(600);
    let mut heard = std::collections::BTreeSet::new();
    desk.pass(seconds(60), |_, poll| {
        if poll.1.contains(&id(333)) {
            return Some(Err(Fault::Refused));
        }
        heard.extend(poll.1.iter().cloned());
        all_free(poll)
    });
    assert_eq!(heard.len(), 599);
    let faults = desk.poller.counts().faults;
    assert!(faults <= 12, "{faults}");
    desk.pass(seconds(120), |_, poll| {
        assert!(!poll.1.contains(&id(333)));
        all_free(poll)
    });
}

#[test]
fn graph_that_refuses_everything_is_not_asked_over_and_over() {
    let mut desk = Desk::with_users(5_000);
    let mut polls = 0;
    desk.pass(seconds(120), |_, _| {
        polls += 1;
        Some(Err(Fault::Refused))
    });
    assert!(polls < 80, "{polls}");
}

#[test]
fn users_of_a_silent_tenant_become_unknown_and_come_back() {
    let mut desk = Desk::with_users(3);
    desk.pass(seconds(10), |_, poll| Some(Ok(poll.1.iter().map(|id| (Arc::clone(id), busy(Some("1")))).collect())));
    desk.budgets.handle_unwell(desk.now, T, &mut Chance::new(1));
    let told = desk.pass(seconds(170), |_, _| Some(Err(Fault::Token)));
    assert_eq!(told, [], "not yet");
    let told = desk.pass(seconds(120), |_, _| Some(Err(Fault::Token)));
    let unknown = |order: &Order| matches!(order, Order::Heard { presence, .. } if presence.availability == Availability::Unknown);
    assert!(told.len() == 3 && told.iter().all(unknown), "{told:?}");
    let told = desk
        .pass(seconds(120), |_, poll| Some(Ok(poll.1.iter().map(|id| (Arc::clone(id), busy(Some("1")))).collect())));
    assert_eq!(told.len(), 3, "the same as before is news again");
}

#[test]
fn user_who_goes_or_changes_is_not_asked_for_as_before() {
    let mut desk = Desk::with_users(3);
    desk.poller.watch(desk.now, UserKey(1), true);
    desk.poller.remove_user(ALICE);
    desk.poller.set_user(desk.now, UserKey(1), T, Some("other".into()));
    desk.poller.set_user(desk.now, UserKey(2), T, None);
    let (request, ids) = desk.poll();
    assert_eq!(ids, ["other".into()]);
    let counts = desk.poller.counts();
    assert_eq!((counts.users, counts.watched), (1, 1), "whoever watched still does");
    desk.answer(request, Ok(vec![(id(0), busy(None)), ("other".into(), busy(None))]));
    assert_eq!(desk.out.len(), 1);
}

#[test]
fn lost_answer_is_a_fault() {
    let mut desk = Desk::with_users(3);
    let (request, _) = desk.poll();
    desk.pass(seconds(70), |_, _| None);
    assert!(desk.poller.counts().lost >= 1);
    desk.answer(request, Ok(vec![(id(0), busy(None))]));
    assert_eq!(desk.poller.shown(ALICE), None, "too late to be heard");
}
