//! The notifier against watchers written by hand, and against a model of one.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::smallvec;

use super::*;
use crate::presence::agent::{Ask, Handle, Outcome};
use crate::presence::pidf::Activity;
use crate::presence::{Direction, Person, dialog_info, pidf};
use crate::sip::{Framing, Limits, Message, Transport};
use crate::trunk::{ConnectionId, Flow, ListenerId, TrunkId};

mod against_a_model;

const PBX: TrunkId = TrunkId(1);
const OTHER_PBX: TrunkId = TrunkId(2);

fn settings() -> Settings {
    Settings {
        max_watchers: 1_000,
        max_watchers_per_user: 5,
        min_expires: Duration::from_secs(60),
        max_expires: Duration::from_secs(3_600),
        interval: Duration::from_secs(1),
        lamp: Lamp::default(),
    }
}

fn message(text: &str) -> Message {
    let text = text.replace('\n', "\r\n");
    Message::parse(Bytes::from(text), Framing::Datagram, &Limits::default()).unwrap()
}

fn busy() -> View {
    View::of_pbx(Presence::Busy, false)
}

fn available() -> View {
    View::of_pbx(Presence::Available, false)
}

/// A SUBSCRIBE with what a test wants otherwise.
#[derive(Clone)]
struct Wanted<'a> {
    trunk: TrunkId,
    uri: &'a str,
    event: &'a str,
    to_tag: String,
    cseq: u32,
    call_id: &'a str,
    more: &'a str,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            trunk: PBX,
            uri: "sip:401@edge.example",
            event: "presence",
            to_tag: String::new(),
            cseq: 1,
            call_id: "c1",
            more: "Expires: 600\n",
        }
    }
}

struct Place {
    now: Moment,
    notifier: Notifier,
    people: People,
    access: Access,
    alice: UserKey,
    handles: u64,
}

impl Place {
    fn new() -> Self {
        let mut people = People::default();
        let mut access = Access::default();
        let contoso = people.tenant("contoso").unwrap();
        let fabrikam = people.tenant("fabrikam").unwrap();
        let person = |tenant, id: &str| Person {
            tenant,
            id: id.into(),
            direction: Direction::Both,
            graph_id: None,
            lines: smallvec![],
            numbers: smallvec![Arc::from("401")],
        };
        let alice = people.put(person(contoso, "alice@contoso.example")).unwrap();
        people.put(person(fabrikam, "bob@fabrikam.example")).unwrap();
        access.allow(PBX, contoso);
        access.allow(OTHER_PBX, fabrikam);
        let now = Moment::from_millis(5_000);
        Self { now, notifier: Notifier::new(now, settings(), [1; 16]), people, access, alice, handles: 0 }
    }

    fn subscribe(&mut self, wanted: &Wanted<'_>) -> Vec<Order> {
        let Wanted { trunk, uri, event, to_tag, cseq, call_id, more } = wanted;
        let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let event = if event.is_empty() { String::new() } else { format!("Event: {event}\n") };
        let text = format!(
            "SUBSCRIBE {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{cseq}\nMax-Forwards: 70\n\
             Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>\nFrom: \"Desk\" <sip:desk@pbx.example>;tag=w\n\
             To: <{uri}>{tag}\nCall-ID: {call_id}\nCSeq: {cseq} SUBSCRIBE\nContact: <sip:desk@192.0.2.9:5070>\n\
             {event}{more}Content-Length: 0\n\n"
        );
        self.arrive(*trunk, &text)
    }

    fn arrive(&mut self, trunk: TrunkId, text: &str) -> Vec<Order> {
        self.handles += 1;
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Tcp,
            connection: ConnectionId(self.handles),
            remote: "192.0.2.9:5070".parse().unwrap(),
            local: None,
        };
        let arrived = Arrived { handle: Handle(self.handles), trunk, flow, message: message(text) };
        let mut out = Vec::new();
        self.notifier.handle_request(self.now, &arrived, &self.people, &self.access, &mut out);
        out
    }

    fn show(&mut self, view: View) -> Vec<Order> {
        let mut out = Vec::new();
        self.notifier.set_presence(self.now, self.alice, view, &mut out);
        out
    }

    fn wait(&mut self, duration: Duration) -> Vec<Order> {
        let end = self.now + duration;
        let mut out = Vec::new();
        while let Some(at) = self.notifier.next_wake().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.notifier.handle_time(self.now, &mut out);
        }
        self.now = end;
        out
    }

    fn reply(&mut self, ask: &Ask, outcome: Outcome) -> Vec<Order> {
        let mut out = Vec::new();
        let reply = Reply { ticket: ask.ticket, cseq: ask.cseq, outcome };
        self.notifier.handle_reply(self.now, &reply, &mut out);
        out
    }

    fn answer(&mut self, ask: &Ask, status: u16) -> Vec<Order> {
        self.reply(ask, answered(status, ""))
    }
}

fn answered(status: u16, more: &str) -> Outcome {
    Outcome::Answered(message(&format!(
        "SIP/2.0 {status} X\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>;tag=2\n\
         Call-ID: x\nCSeq: 1 NOTIFY\n{more}Content-Length: 0\n\n"
    )))
}

fn answers(out: &[Order]) -> Vec<&Answer> {
    out.iter()
        .filter_map(|order| if let Order::Say(Say::Answer(answer)) = order { Some(answer) } else { None })
        .collect()
}

fn asks(out: &[Order]) -> Vec<Ask> {
    out.iter()
        .filter_map(|order| if let Order::Say(Say::Ask(ask)) = order { Some(ask.clone()) } else { None })
        .collect()
}

fn header<'a>(headers: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn only(out: &[Order]) -> Ask {
    let asks = asks(out);
    assert_eq!(asks.len(), 1, "{out:?}");
    asks.into_iter().next().unwrap()
}

fn body(ask: &Ask) -> &[u8] {
    &ask.body.as_ref().unwrap().1
}

/// Whether a dialog-info document lights a lamp.
fn lit(ask: &Ask) -> bool {
    let document = dialog_info::read(body(ask), 65_536).unwrap();
    document.dialogs.iter().any(|dialog| dialog.state == dialog_info::DialogState::Confirmed)
}

#[test]
fn a_subscription_is_answered_then_told_the_whole_state() {
    let mut place = Place::new();
    place.show(View { presence: Presence::Busy, activity: "InACall".into() });
    let out = place.subscribe(&Wanted { event: "presence;id=7", ..Wanted::default() });
    let answer = answers(&out)[0].clone();
    assert_eq!((answer.status, header(&answer.headers, "Expires")), (200, Some("600")));
    assert!(matches!(out[0], Order::Say(Say::Answer(_))), "the answer goes first");
    assert!(out.contains(&Order::Watching { user: place.alice, watched: true }));
    let ask = only(&out);
    assert_eq!(ask.uri, "sip:desk@192.0.2.9:5070");
    assert_eq!(ask.route, ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
    assert_eq!(ask.to, "\"Desk\" <sip:desk@pbx.example>;tag=w");
    assert_eq!(ask.from, format!("<sip:401@edge.example>;tag={}", answer.to_tag.clone().unwrap()));
    assert_eq!((&*ask.call_id, ask.cseq, ask.trunk), ("c1", 1, PBX));
    assert_eq!(ask.flow.map(|flow| flow.connection), Some(ConnectionId(1)));
    assert_eq!(Some(&ask.contact_user), answer.contact_user.as_ref());
    assert_eq!(header(&ask.headers, "Event"), Some("presence;id=7"));
    assert_eq!(header(&ask.headers, "Subscription-State"), Some("active;expires=600"));
    assert_eq!(ask.body.as_ref().map(|(kind, _)| *kind), Some("application/pidf+xml"));
    let document = pidf::read(body(&ask), 65_536).unwrap();
    assert_eq!(document.entity, "sip:401@edge.example");
    assert_eq!(document.people[0].activities, [Activity::OnThePhone, Activity::Busy]);
    assert_eq!(document.tuples[0].notes, ["In a call"]);
}

#[test]
fn what_cannot_be_had_is_refused() {
    let plain = Wanted::default();
    type Row<'a> = (Wanted<'a>, u16, Option<(&'a str, &'a str)>);
    let rows: [Row<'_>; 16] = [
        (Wanted { event: "", ..plain.clone() }, 489, Some(("Allow-Events", "presence, dialog"))),
        (Wanted { event: "presence.winfo", ..plain.clone() }, 489, Some(("Allow-Events", "presence, dialog"))),
        (Wanted { more: "Expires: 59\n", ..plain.clone() }, 423, Some(("Min-Expires", "60"))),
        (Wanted { more: "Accept: text/plain\n", ..plain.clone() }, 406, Some(("Accept", "application/pidf+xml"))),
        (Wanted { more: "Accept: */*;q=0\n", ..plain.clone() }, 406, None),
        (
            Wanted { event: "dialog", more: "Accept: application/pidf+xml\n", ..plain.clone() },
            406,
            Some(("Accept", "application/dialog-info+xml")),
        ),
        (Wanted { more: "Require: eventlist\n", ..plain.clone() }, 420, Some(("Unsupported", "eventlist"))),
        (Wanted { trunk: TrunkId(9), ..plain.clone() }, 403, None),
        (Wanted { uri: "sip:402@edge.example", ..plain.clone() }, 404, None),
        (Wanted { uri: "sip:bob@fabrikam.example", ..plain.clone() }, 404, None),
        (Wanted { to_tag: "unknown".to_owned(), ..plain.clone() }, 481, None),
        (Wanted { more: "Accept: application/pidf+xml\n", ..plain.clone() }, 200, None),
        (Wanted { more: "Accept: text/plain, application/*;q=0.5\n", ..plain.clone() }, 200, None),
        (Wanted { more: "Accept: text/plain\nAccept: Application/PIDF+xml\n", ..plain.clone() }, 200, None),
        (Wanted { more: "Expires: 86400\n", ..plain.clone() }, 200, Some(("Expires", "3600"))),
        (Wanted { more: "", event: "Dialog", ..plain }, 200, Some(("Expires", "3600"))),
    ];
    for (wanted, status, expected) in rows {
        let mut place = Place::new();
        let out = place.subscribe(&wanted);
        let answer = answers(&out)[0];
        let what = format!("{} {} {}", wanted.uri, wanted.event, wanted.more);
        assert_eq!(answer.status, status, "{what}");
        if let Some((name, value)) = expected {
            assert_eq!(header(&answer.headers, name), Some(value), "{what}");
        }
        assert_eq!(asks(&out).len(), usize::from(status == 200), "{what}");
    }
}

#[test]
fn overlapping_numbers_never_cross_tenants() {
    let mut place = Place::new();
    place.show(busy());
    let out = place.subscribe(&Wanted { trunk: OTHER_PBX, ..Wanted::default() });
    let document = pidf::read(body(&only(&out)), 65_536).unwrap();
    assert_eq!(document.people[0].activities, [Activity::Unknown], "bob's state, not alice's");
    assert_eq!((place.notifier.watchers(place.alice), place.notifier.watchers(UserKey(1))), (0, 1));
}

#[test]
fn changes_wait_for_the_answer_and_the_interval_and_the_newest_wins() {
    let mut place = Place::new();
    place.show(available());
    let first = only(&place.subscribe(&Wanted { event: "dialog", ..Wanted::default() }));
    assert_eq!((lit(&first), dialog_info::read(body(&first), 4_096).unwrap().version), (false, Some(0)));
    assert!(place.show(busy()).is_empty(), "one is under way");
    assert!(place.answer(&first, 200).is_empty(), "the interval has not passed");
    assert!(place.show(available()).is_empty() && place.show(busy()).is_empty());
    let second = only(&place.wait(Duration::from_millis(1_010)));
    assert_eq!((lit(&second), second.cseq), (true, 2));
    assert_eq!(dialog_info::read(body(&second), 4_096).unwrap().version, Some(1));
    place.answer(&second, 200);
    assert!(place.wait(Duration::from_secs(30)).is_empty(), "nothing is told twice");
    let third = only(&place.show(available()));
    assert!(!lit(&third), "after a rest the first change goes at once");
    assert_eq!(place.notifier.counts().coalesced, 2);
}

#[test]
fn lamps_are_lit_as_configured_and_not_told_what_they_cannot_show() {
    let mut place = Place::new();
    place.show(available());
    let first = only(&place.subscribe(&Wanted { event: "dialog", ..Wanted::default() }));
    place.answer(&first, 200);
    for (presence, told) in [
        (Presence::Away, None),
        (Presence::DoNotDisturb, Some(true)),
        (Presence::Busy, None),
        (Presence::Offline, Some(false)),
        (Presence::Unknown, None),
    ] {
        place.wait(Duration::from_secs(2));
        let out = place.show(View::of_pbx(presence, false));
        assert_eq!(asks(&out).first().map(lit), told, "{presence}");
        asks(&out).iter().for_each(|ask| drop(place.answer(ask, 200)));
    }
}

#[test]
fn the_watchers_own_interval_counts_where_it_is_longer() {
    let mut place = Place::new();
    let out = place.subscribe(&Wanted { event: "presence;min-interval=10.5", ..Wanted::default() });
    let first = only(&out);
    assert_eq!(header(&first.headers, "Subscription-State"), Some("active;expires=600;min-interval=10.5"));
    assert_eq!(header(&first.headers, "Event"), Some("presence"));
    place.answer(&first, 200);
    place.show(busy());
    assert!(place.wait(Duration::from_secs(10)).is_empty());
    assert_eq!(asks(&place.wait(Duration::from_secs(1))).len(), 1);
    for event in
        ["presence;min-interval=-1", "presence;min-interval=1e9", "presence;min-interval", "presence;min-interval=."]
    {
        let ask = only(&place.subscribe(&Wanted { event, call_id: event, ..Wanted::default() }));
        assert_eq!(header(&ask.headers, "Subscription-State"), Some("active;expires=600"), "{event}");
    }
}

#[test]
fn a_refresh_is_told_at_once_and_prolongs() {
    let mut place = Place::new();
    let out = place.subscribe(&Wanted::default());
    let first = only(&out);
    let to_tag = answers(&out)[0].to_tag.clone().unwrap();
    place.wait(Duration::from_millis(500));
    let again = Wanted { to_tag: to_tag.clone(), cseq: 2, ..Wanted::default() };
    let out = place.subscribe(&again);
    assert_eq!((answers(&out)[0].status, asks(&out).len()), (200, 0), "an answer is awaited");
    assert_eq!(answers(&out)[0].to_tag, None, "the dialog is there already");
    let second = only(&place.answer(&first, 200));
    assert_eq!(header(&second.headers, "Subscription-State"), Some("active;expires=600"));
    assert_eq!(second.flow.map(|flow| flow.connection), Some(ConnectionId(2)), "it goes where the refresh came from");
    place.answer(&second, 200);
    for (wanted, status) in [
        (Wanted { cseq: 2, ..again.clone() }, 500),
        (Wanted { cseq: 3, call_id: "other", ..again.clone() }, 481),
        (Wanted { cseq: 3, trunk: OTHER_PBX, ..again.clone() }, 481),
        (Wanted { cseq: 3, event: "presence;id=1", ..again.clone() }, 481),
        (Wanted { cseq: 3, event: "dialog", ..again }, 481),
    ] {
        assert_eq!(answers(&place.subscribe(&wanted))[0].status, status);
    }
    assert!(place.wait(Duration::from_secs(599)).is_empty(), "the first end has passed");
    let last = only(&place.wait(Duration::from_secs(2)));
    assert_eq!(header(&last.headers, "Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!((place.notifier.watchers(place.alice), place.notifier.counts().expired), (0, 1));
    let late = Wanted { to_tag, cseq: 9, ..Wanted::default() };
    assert_eq!(answers(&place.subscribe(&late))[0].status, 481);
}

#[test]
fn a_shorter_refresh_ends_sooner() {
    let mut place = Place::new();
    let out = place.subscribe(&Wanted::default());
    place.answer(&only(&out), 200);
    let to_tag = answers(&out)[0].to_tag.clone().unwrap();
    let out = place.subscribe(&Wanted { to_tag, cseq: 2, more: "Expires: 60\n", ..Wanted::default() });
    place.answer(&only(&out), 200);
    assert_eq!(asks(&place.wait(Duration::from_secs(61))).len(), 1);
}

#[test]
fn fetching_and_leaving_end_with_the_state() {
    let mut place = Place::new();
    place.show(busy());
    let out = place.subscribe(&Wanted { more: "Expires: 0\n", ..Wanted::default() });
    let fetched = only(&out);
    assert_eq!(header(&fetched.headers, "Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!(pidf::read(body(&fetched), 4_096).unwrap().people[0].activities, [Activity::OnThePhone, Activity::Busy]);
    assert!(!out.iter().any(|order| matches!(order, Order::Watching { .. })));
    assert!(place.answer(&fetched, 481).is_empty());

    let out = place.subscribe(&Wanted::default());
    assert_ne!(only(&out).ticket, fetched.ticket);
    let to_tag = answers(&out)[0].to_tag.clone().unwrap();
    let out = place.subscribe(&Wanted { to_tag, cseq: 2, more: "Expires: 0\n", ..Wanted::default() });
    let last = only(&out);
    assert_eq!(header(&last.headers, "Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!(last.cseq, 3, "the one under way may have taken 2 for a challenge");
    assert!(out.contains(&Order::Watching { user: place.alice, watched: false }));
    let counts = place.notifier.counts();
    assert_eq!((counts.presence, counts.begun, counts.left, counts.fetched), (0, 1, 1, 1));
}

#[test]
fn what_is_answered_to_a_notify_decides() {
    for (outcome, gone) in [
        (answered(200, ""), false),
        (answered(481, ""), true),
        (answered(489, ""), true),
        (answered(403, ""), true),
        (Outcome::Timeout, true),
        (Outcome::Unreachable, true),
        (answered(500, ""), false),
        (answered(503, "Retry-After: 20\n"), false),
        (Outcome::Full, false),
    ] {
        let mut place = Place::new();
        let first = only(&place.subscribe(&Wanted::default()));
        let out = place.reply(&first, outcome.clone());
        assert_eq!(place.notifier.watchers(place.alice), usize::from(!gone), "{outcome:?}");
        assert_eq!(out.contains(&Order::Watching { user: place.alice, watched: false }), gone);
        assert!(asks(&out).is_empty(), "nobody is told of the end who is not there");
    }
}

#[test]
fn a_notify_that_was_not_taken_comes_again_when_asked() {
    for (outcome, wait) in [
        (answered(503, "Retry-After: 20\n"), 20),
        (answered(500, ""), 10),
        (Outcome::Full, 1),
        (answered(503, "Retry-After: 99999\n"), 300),
    ] {
        let mut place = Place::new();
        let first = only(&place.subscribe(&Wanted { more: "Expires: 3600\n", ..Wanted::default() }));
        place.reply(&first, outcome.clone());
        place.show(busy());
        assert!(place.wait(Duration::from_millis(wait * 1_000 - 20)).is_empty(), "{outcome:?}");
        let again = only(&place.wait(Duration::from_millis(40)));
        assert_eq!((again.cseq, again.ticket), (2, first.ticket));
        assert_eq!(
            pidf::read(body(&again), 4_096).unwrap().people[0].activities,
            [Activity::OnThePhone, Activity::Busy]
        );
    }
}

#[test]
fn a_number_that_a_challenge_took_is_not_used_again() {
    let mut place = Place::new();
    let first = only(&place.subscribe(&Wanted::default()));
    let mut out = Vec::new();
    let reply = Reply { ticket: first.ticket, cseq: 2, outcome: answered(200, "") };
    place.notifier.handle_reply(place.now, &reply, &mut out);
    place.wait(Duration::from_secs(2));
    assert_eq!(only(&place.show(busy())).cseq, 3);
}

#[test]
fn there_is_room_for_so_many() {
    let mut place = Place::new();
    for (number, status) in [(1, 200), (2, 200), (3, 200), (4, 200), (5, 200), (6, 503)] {
        let call_id = format!("c{number}");
        let out = place.subscribe(&Wanted { call_id: &call_id, ..Wanted::default() });
        let answer = answers(&out)[0];
        assert_eq!(answer.status, status);
        assert_eq!(header(&answer.headers, "Retry-After").is_some(), status == 503);
    }
    place.notifier.set_settings(Settings { max_watchers: 5, max_watchers_per_user: 10, ..settings() });
    assert_eq!(answers(&place.subscribe(&Wanted { call_id: "c7", ..Wanted::default() }))[0].status, 503);
    assert_eq!((place.notifier.counts().full, place.notifier.counts().presence), (2, 5));
}

#[test]
fn who_goes_or_may_no_longer_be_watched_is_told_without_a_state() {
    let mut place = Place::new();
    place.show(busy());
    place.subscribe(&Wanted::default());
    let mut out = Vec::new();
    let nobody = Access::default();
    place.notifier.review(place.now, &place.people, &nobody, &mut out);
    let ask = only(&out);
    assert_eq!(header(&ask.headers, "Subscription-State"), Some("terminated;reason=rejected"));
    assert_eq!(ask.body, None);

    place.subscribe(&Wanted::default());
    let mut out = Vec::new();
    place.notifier.remove_user(place.now, place.alice, &mut out);
    let ask = only(&out);
    assert_eq!(header(&ask.headers, "Subscription-State"), Some("terminated;reason=noresource"));
    assert_eq!((ask.body, place.notifier.watchers(place.alice)), (None, 0));
    let mut out = Vec::new();
    place.notifier.review(place.now, &place.people, &nobody, &mut out);
    assert!(out.is_empty());
}

#[test]
fn strict_routers_stand_in_the_request_uri() {
    let mut place = Place::new();
    let text = "SUBSCRIBE sip:401@edge.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\n\
                Record-Route: <sip:old.example>, <sip:p2.example;lr>\nFrom: <sip:desk@pbx.example>;tag=w\n\
                To: sip:401@edge.example\nCall-ID: c\nCSeq: 1 SUBSCRIBE\nContact: sip:desk@192.0.2.9\no: dialog\n\
                Content-Length: 0\n\n";
    let ask = only(&place.arrive(PBX, text));
    assert_eq!(ask.uri, "sip:old.example");
    assert_eq!(ask.route, ["<sip:p2.example;lr>", "<sip:desk@192.0.2.9>"]);
    assert!(ask.from.starts_with("sip:401@edge.example;tag="));
}

#[test]
fn a_dialog_needs_a_contact_and_a_bound() {
    let mut place = Place::new();
    let text = |contact: &str, routes: &str| {
        format!(
            "SUBSCRIBE sip:401@edge.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\n{routes}\
             From: <sip:desk@pbx.example>;tag=w\nTo: <sip:401@edge.example>\nCall-ID: c\nCSeq: 1 SUBSCRIBE\n{contact}\
             Event: dialog\nContent-Length: 0\n\n"
        )
    };
    let long = format!("Record-Route: <sip:{}.example;lr>\n", "p".repeat(4_096));
    for (text, status) in [
        (text("", ""), 400),
        (text("Contact: *\n", ""), 400),
        (text("Contact: <mailto:a@b.example>\n", ""), 400),
        (text("Contact: <sip:desk@192.0.2.9>\n", &long), 513),
        (text("Contact: <sip:desk@192.0.2.9>\n", "").replace("SUBSCRIBE", "OPTIONS"), 405),
    ] {
        let out = place.arrive(PBX, &text);
        assert_eq!((answers(&out)[0].status, out.len()), (status, 1));
    }
    assert_eq!(place.notifier.counts().presence, 0);
}

#[test]
fn a_subscription_and_a_user_take_little_memory() {
    assert!(size_of::<Watched>() <= 64, "{}", size_of::<Watched>());
    assert!(size_of::<Subscription>() <= 400, "{}", size_of::<Subscription>());
}
