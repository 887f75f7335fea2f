mod ends;
mod many;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::presence::agent::{Answer, Ask, Handle, Outcome, Ticket, Verb};
use crate::presence::{Presence, Report, UserState};
use crate::sip::{Framing, Limits, Message, Transport};
use crate::trunk::{ConnectionId, Flow, ListenerId, TrunkId};

pub(super) const TENANT: TenantKey = TenantKey(3);
pub(super) const ALICE: UserKey = UserKey(1);
pub(super) const LINE: LineOf = LineOf { tenant: TENANT, user: ALICE, index: 0, package: Package::Dialog };
const PERSON: LineOf = LineOf { package: Package::Presence, ..LINE };
pub(super) const BUSY: Report = Report::Line { presence: Presence::Busy, conference: false };
pub(super) const AVAILABLE: Report = Report::Line { presence: Presence::Available, conference: false };

pub(super) const SETTINGS: Settings = Settings {
    max_subscriptions: 20_000,
    per_second: 50,
    expires: Duration::from_secs(3_600),
    max_document_bytes: 65_536,
};

/// The subscriber under test with its clock, and what it has said.
pub(super) struct World {
    pub(super) subscriber: Subscriber,
    pub(super) now: Moment,
    pub(super) asks: Vec<(Moment, Ask)>,
    pub(super) answers: Vec<Answer>,
    pub(super) told: Vec<Told>,
}

impl World {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let now = Moment::from_millis(5_000);
        let subscriber = Subscriber::new(now, settings, [seed, 2]);
        Self { subscriber, now, asks: vec![], answers: vec![], told: vec![] }
    }

    /// A world in which the line is wanted and the first SUBSCRIBE is out.
    fn asked(of: LineOf) -> (Self, Ask) {
        let mut world = Self::new(SETTINGS, 1);
        world.set(of, Some("401"));
        world.pass(Duration::ZERO);
        let ask = world.ask();
        (world, ask)
    }

    /// A world in which the line is up and idle.
    fn up() -> (Self, Ask) {
        let (mut world, ask) = Self::asked(LINE);
        world.reply(&ask, 200, "Expires: 3600\r\n");
        assert_eq!(world.notify(&ask, "n1", 1, &full(0, "")), 200);
        assert_eq!(world.reports(), [Some(AVAILABLE)]);
        (world, ask)
    }

    pub(super) fn set(&mut self, of: LineOf, line: Option<&str>) {
        let line = line.map(|user| Line { trunk: TrunkId(0), user: user.into() });
        let mut out = Vec::new();
        self.subscriber.set_line(self.now, of, line, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Say(Say::Ask(ask)) => self.asks.push((self.now, ask)),
                Output::Say(Say::Answer(answer)) => self.answers.push(answer),
                Output::Told(told) => self.told.push(told),
            }
        }
    }

    /// Lets time pass, from wake to wake.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        loop {
            let mut out = Vec::new();
            self.subscriber.handle_time(self.now, &mut out);
            self.take(out);
            let Some(wake) = self.subscriber.next_wake().filter(|&wake| wake <= end) else { break };
            turns = if wake > self.now { 0 } else { turns + 1 };
            assert!(turns < 1_000, "it wakes again and again at {wake:?}");
            self.now = self.now.max(wake);
        }
        self.now = end;
    }

    /// The one SUBSCRIBE that was said since.
    fn ask(&mut self) -> Ask {
        assert_eq!(self.asks.len(), 1, "{:?}", self.asks);
        self.asks.remove(0).1
    }

    /// Lets time pass until the next SUBSCRIBE is said, for so long at the most.
    fn next_ask(&mut self, limit: Duration) -> Option<(Moment, Ask)> {
        let end = self.now + limit;
        while self.asks.is_empty() && self.now < end {
            let wake = self.subscriber.next_wake().map_or(end, |wake| wake.clamp(self.now, end));
            self.pass(wake.since(self.now).max(Duration::from_millis(1)));
        }
        assert!(self.asks.len() <= 1, "{:?}", self.asks);
        self.asks.pop()
    }

    pub(super) fn outcome(&mut self, ask: &Ask, outcome: Outcome) {
        let reply = Reply { ticket: ask.ticket, cseq: ask.cseq, outcome };
        let mut out = Vec::new();
        self.subscriber.handle_reply(self.now, &reply, &mut out);
        self.take(out);
    }

    pub(super) fn reply(&mut self, ask: &Ask, status: u16, lines: &str) {
        let text = format!("SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP e\r\n{lines}\r\n");
        let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::TOP).unwrap();
        self.outcome(ask, Outcome::Answered(message));
    }

    /// A NOTIFY to what `ask` has made; gives the status it was answered with.
    pub(super) fn notify(&mut self, ask: &Ask, tag: &str, cseq: u32, rest: &str) -> u16 {
        let own = ask.from.replace("{local}", "edge.example");
        let text = format!(
            "NOTIFY sip:{}@edge.example SIP/2.0\r\nVia: SIP/2.0/UDP p\r\nFrom: <sip:401@pbx>;tag={tag}\r\nTo: {own}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nContact: <sip:{tag}@192.0.2.9>\r\nEvent: dialog\r\n{rest}",
            ask.contact_user, ask.call_id
        );
        self.raw_notify(text)
    }

    fn raw_notify(&mut self, text: String) -> u16 {
        let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::TOP).unwrap();
        let remote = "192.0.2.9:5060".parse().unwrap();
        let flow = Flow {
            listener: ListenerId(0),
            transport: Transport::Udp,
            connection: ConnectionId::DATAGRAM,
            remote,
            local: None,
        };
        let arrived = Arrived { handle: Handle(7), trunk: TrunkId(0), flow, message };
        let mut out = Vec::new();
        self.subscriber.handle_request(self.now, &arrived, &mut out);
        self.take(out);
        let answer = self.answers.pop().expect("each NOTIFY is answered");
        assert!(self.answers.is_empty() && answer.handle == Handle(7));
        answer.status
    }

    /// The reports since.
    fn reports(&mut self) -> Vec<Option<Report>> {
        std::mem::take(&mut self.told).into_iter().map(|told| told.report).collect()
    }

    fn word(&self) -> &'static str {
        self.subscriber.standing(LINE).map_or("none", |standing| standing.word)
    }
}

/// The rest of a NOTIFY with a document.
fn body(state: &str, media: &str, document: &str) -> String {
    format!(
        "Subscription-State: {state}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    )
}

fn info(state: &str, version: u32, completeness: &str, dialogs: &str) -> String {
    let document =
        format!("<dialog-info version='{version}' state='{completeness}' entity='sip:401@pbx'>{dialogs}</dialog-info>");
    body(state, "application/dialog-info+xml", &document)
}

pub(super) fn full(version: u32, dialogs: &str) -> String {
    info("active", version, "full", dialogs)
}

pub(super) fn partial(version: u32, dialogs: &str) -> String {
    info("active", version, "partial", dialogs)
}

fn terminated(rest: &str) -> String {
    format!("Subscription-State: terminated{rest}\r\nContent-Length: 0\r\n\r\n")
}

pub(super) const TALKS: &str = "<dialog id='a' direction='recipient'><state>confirmed</state></dialog>";
pub(super) const HUNG_UP: &str = "<dialog id='a' direction='recipient'><state>terminated</state></dialog>";
const RINGS: &str = "<dialog id='a' direction='recipient'><state>early</state></dialog>";

fn header<'a>(ask: &'a Ask, name: &str) -> Option<&'a str> {
    ask.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_first_subscribe_is_as_rfc_6665_has_it() {
    let (_, ask) = World::asked(LINE);
    assert_eq!((ask.verb, ask.cseq, &*ask.uri), (Verb::Subscribe, 1, "sip:401@{target}"));
    assert_eq!(ask.to, "<sip:401@{target}>");
    assert!(ask.from.starts_with("<sip:trunkway@{local}>;tag=") && ask.route.is_empty());
    assert!(ask.contact_user.starts_with("tw-ps-s-") && matches!(ask.ticket, Ticket::Subscriber(_)));
    assert_eq!(header(&ask, "Event"), Some("dialog"));
    assert_eq!(header(&ask, "Accept"), Some("application/dialog-info+xml"));
    assert_eq!((header(&ask, "Expires"), header(&ask, "Supported")), (Some("3600"), None));
    let (_, ask) = World::asked(PERSON);
    assert_eq!((header(&ask, "Event"), header(&ask, "Accept")), (Some("presence"), Some("application/pidf+xml")));
}

#[test]
fn a_line_is_followed_from_call_to_call() {
    let (mut world, ask) = World::up();
    for (cseq, rest, wanted) in [
        (2, partial(1, RINGS), vec![]),
        (3, partial(2, TALKS), vec![Some(BUSY)]),
        (4, partial(3, HUNG_UP), vec![Some(AVAILABLE)]),
        (5, full(4, TALKS), vec![Some(BUSY)]),
        (6, full(5, ""), vec![Some(AVAILABLE)]),
        // Nothing at all is no call.
        (7, "Subscription-State: active\r\nContent-Length: 0\r\n\r\n".to_owned(), vec![]),
    ] {
        assert_eq!(world.notify(&ask, "n1", cseq, &rest), 200, "{rest}");
        assert_eq!(world.reports(), wanted, "{rest}");
    }
    assert_eq!((world.word(), world.subscriber.counts().up), ("up", 1));
    assert!(world.asks.is_empty());
}

#[test]
fn a_notify_before_the_answer_makes_the_dialog() {
    let (mut world, ask) = World::asked(LINE);
    assert_eq!(world.notify(&ask, "n1", 1, &full(0, TALKS)), 200);
    assert_eq!(world.reports(), [Some(BUSY)]);
    assert_eq!(world.word(), "asking");
    world.reply(&ask, 202, "");
    assert_eq!(world.word(), "up");
    // And without any answer.
    let (mut world, ask) = World::asked(LINE);
    world.notify(&ask, "n1", 1, &full(0, TALKS));
    world.outcome(&ask, Outcome::Timeout);
    assert_eq!((world.word(), world.reports()), ("up", vec![Some(BUSY)]));
}

#[test]
fn a_subscription_is_refreshed_in_its_dialog_before_its_end_and_holds_longer() {
    let (mut world, first) = World::up();
    let started = world.now;
    world.notify(&first, "n1", 2, &partial(1, TALKS));
    let before = world.told.pop().unwrap().until.unwrap();
    assert_eq!(before, started + HOUR + Duration::from_secs(30));
    let ask = world.next_ask(HOUR * 9 / 10).unwrap().1;
    assert_eq!((&*ask.uri, ask.cseq, &ask.call_id), ("sip:n1@192.0.2.9", 2, &first.call_id));
    assert_eq!(ask.to, "<sip:401@{target}>;tag=n1");
    assert_eq!(ask.from, first.from);
    // The agent has met a challenge in between.
    let answered =
        Message::reread(&Bytes::from_static(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP e\r\nExpires: 1800\r\n\r\n"));
    let reply = Reply { ticket: ask.ticket, cseq: 3, outcome: Outcome::Answered(answered.unwrap()) };
    let mut out = Vec::new();
    world.subscriber.handle_reply(world.now, &reply, &mut out);
    world.take(out);
    let told = world.told.pop().unwrap();
    assert_eq!((told.report, told.until), (Some(BUSY), Some(world.now + Duration::from_secs(1_830))));
    let ask = world.next_ask(Duration::from_secs(1_620)).unwrap().1;
    assert_eq!((ask.cseq, header(&ask, "Expires")), (4, Some("3600")));
}

#[test]
fn what_the_answer_grants_holds_whether_it_comes_before_or_after_the_notify() {
    for before in [true, false] {
        let (mut world, ask) = World::asked(LINE);
        if before {
            world.reply(&ask, 200, "Expires: 600\r\n");
        }
        world.notify(&ask, "n1", 1, &full(0, TALKS));
        if !before {
            world.reply(&ask, 200, "Expires: 600\r\n");
        }
        let began = world.now;
        let (at, _) = world.next_ask(HOUR).unwrap();
        assert!(at.since(began) <= Duration::from_secs(540), "{:?}", at.since(began));
    }
}

#[test]
fn notifiers_of_a_fork_are_taken_each_for_itself() {
    let (mut world, ask) = World::asked(LINE);
    world.notify(&ask, "n1", 10, &full(0, ""));
    world.reply(&ask, 200, "Expires: 3600\r\n");
    world.notify(&ask, "n2", 500, &full(7, TALKS));
    assert_eq!(world.reports(), [Some(AVAILABLE), Some(BUSY)]);
    world.notify(&ask, "n1", 11, &partial(1, ""));
    assert!(world.reports().is_empty());
    // Each is refreshed in its own dialog.
    let mut targets = Vec::new();
    for _ in 0..2 {
        let (_, ask) = world.next_ask(HOUR * 9 / 10).unwrap();
        world.reply(&ask, 200, "Expires: 3600\r\n");
        targets.push(ask.uri);
    }
    targets.sort();
    assert_eq!(targets, ["sip:n1@192.0.2.9", "sip:n2@192.0.2.9"]);
    world.reports();
    // One ends, the other goes on.
    world.notify(&ask, "n2", 501, &terminated(";reason=deactivated"));
    assert_eq!((world.reports(), world.word()), (vec![Some(AVAILABLE)], "up"));
    assert_eq!(world.subscriber.counts().lost, 1);
}

#[test]
fn notifiers_of_a_fork_are_bounded() {
    let (mut world, ask) = World::asked(LINE);
    let answers: Vec<u16> = (0..6).map(|tag| world.notify(&ask, &format!("n{tag}"), 1, &full(0, ""))).collect();
    assert_eq!(answers, [200, 200, 200, 200, 481, 481]);
}

#[test]
fn a_notify_that_does_not_belong_is_refused() {
    let (mut world, ask) = World::up();
    let wrong = |change: &dyn Fn(&mut Ask)| {
        let mut other = ask.clone();
        change(&mut other);
        other
    };
    for (other, what) in [
        (wrong(&|ask| ask.call_id = "guess".into()), "Call-ID"),
        (wrong(&|ask| ask.from = "<sip:trunkway@{local}>;tag=guess".into()), "tag"),
        (wrong(&|ask| ask.contact_user.push('1')), "Contact"),
        (wrong(&|ask| ask.contact_user = "tw-ps-s-99-1".into()), "place"),
        (wrong(&|ask| ask.contact_user = "401".into()), "user"),
    ] {
        assert_eq!(world.notify(&other, "n1", 9, &full(9, TALKS)), 481, "{what}");
    }
    let rest = full(9, TALKS);
    for (rest, status) in [
        (rest.replace("application/dialog-info+xml", "application/pidf+xml"), 415),
        (rest.replace("<dialog ", "<dialog <"), 400),
    ] {
        assert_eq!(world.notify(&ask, "n1", 9, &rest), status, "{rest}");
    }
    world.notify(&ask, "n1", 5, &full(1, ""));
    assert_eq!(world.notify(&ask, "n1", 4, &full(2, TALKS)), 500);
    // The same again, by a transaction that is not known any more.
    assert_eq!(world.notify(&ask, "n1", 5, &full(2, TALKS)), 200);
    assert!(world.reports().is_empty());
    let own = ask.from.replace("{local}", "edge");
    let text = |method: &str, event: &str| {
        format!(
            "{method} sip:{}@edge SIP/2.0\r\nVia: SIP/2.0/UDP p\r\nFrom: <sip:401@pbx>;tag=n1\r\nTo: {own}\r\n\
             Call-ID: {}\r\nCSeq: 6 {method}\r\nEvent: {event}\r\nSubscription-State: active\r\n\r\n",
            ask.contact_user, ask.call_id
        )
    };
    assert_eq!(world.raw_notify(text("NOTIFY", "presence")), 489);
    assert_eq!(world.raw_notify(text("OPTIONS", "dialog")), 405);
    // Neither state nor event: liberal.
    let bare = text("NOTIFY", "dialog").replace("Event: dialog\r\nSubscription-State: active\r\n", "");
    assert_eq!(world.raw_notify(bare), 200);
    assert_eq!(world.subscriber.counts().notify_faults, 10);
}

#[test]
fn a_notify_without_a_document_says_that_there_is_no_call() {
    const EMPTY: &str = "Subscription-State: active;expires=3600\r\nContent-Length: 0\r\n\r\n";
    let (mut world, ask) = World::asked(LINE);
    world.reply(&ask, 200, "Expires: 3600\r\n");
    assert_eq!(world.notify(&ask, "n1", 1, EMPTY), 200);
    assert_eq!(world.reports(), [Some(AVAILABLE)]);
    world.notify(&ask, "n1", 2, &full(0, TALKS));
    assert_eq!(world.reports(), [Some(BUSY)]);
    // A call is not over for that, until it is asked after.
    world.notify(&ask, "n1", 3, EMPTY);
    assert!(world.reports().is_empty());
    world.pass(SECOND);
    let refresh = world.ask();
    world.reply(&refresh, 200, "Expires: 3600\r\n");
    world.notify(&ask, "n1", 4, EMPTY);
    assert_eq!(world.reports(), [Some(AVAILABLE)]);
    world.notify(&ask, "n1", 5, &partial(1, TALKS));
    assert_eq!(world.reports(), [Some(BUSY)]);
}

#[test]
fn a_missing_version_is_asked_for_in_the_dialog() {
    let (mut world, ask) = World::up();
    world.notify(&ask, "n1", 2, &partial(2, TALKS));
    assert!(world.reports().is_empty());
    world.pass(SECOND);
    let refresh = world.ask();
    assert_eq!((&*refresh.uri, &refresh.call_id), ("sip:n1@192.0.2.9", &ask.call_id));
    // The full state may come before the answer.
    world.notify(&ask, "n1", 3, &full(3, TALKS));
    assert_eq!(world.reports(), [Some(BUSY)]);
    world.reply(&refresh, 200, "Expires: 3600\r\n");
    world.pass(MINUTE);
    assert!(world.asks.is_empty());
    assert_eq!(world.subscriber.counts().resyncs, 1);
}

#[test]
fn full_state_that_does_not_come_is_asked_for_with_back_off() {
    let (mut world, ask) = World::up();
    world.notify(&ask, "n1", 2, &partial(5, TALKS));
    let mut asks = 0;
    for _ in 0..600 {
        world.pass(SECOND);
        for (_, ask) in std::mem::take(&mut world.asks) {
            asks += 1;
            world.reply(&ask, 200, "Expires: 3600\r\n");
        }
    }
    assert!((5..12).contains(&asks), "{asks}");
}

#[test]
fn the_notifier_may_shorten_and_lengthen() {
    let (mut world, ask) = World::up();
    let began = world.now;
    world.notify(&ask, "n1", 2, &info("active;expires=300", 1, "partial", ""));
    let (at, refresh) = world.next_ask(SECOND * 300).unwrap();
    assert!(at.since(began) <= SECOND * 270, "{:?}", at.since(began));
    world.reply(&refresh, 200, "Expires: 7200\r\n");
    let began = world.now;
    let at = world.next_ask(HOUR * 2).unwrap().0;
    assert!(at.since(began) > SECOND * 5_700, "{:?}", at.since(began));
}

#[test]
fn a_pending_subscription_says_nothing_yet() {
    let (mut world, ask) = World::asked(LINE);
    world.reply(&ask, 202, "Expires: 3600\r\n");
    assert_eq!(world.notify(&ask, "n1", 1, &info("pending", 0, "full", "")), 200);
    assert!(world.told.is_empty());
    assert_eq!(world.notify(&ask, "n1", 2, &full(1, TALKS)), 200);
    assert_eq!(world.reports(), [Some(BUSY)]);
}

#[test]
fn a_line_that_goes_is_unsubscribed_and_forgotten() {
    let (mut world, ask) = World::up();
    world.set(LINE, None);
    assert_eq!((world.reports(), world.word()), (vec![None], "none"));
    world.pass(SECOND);
    let goodbye = world.ask();
    assert_eq!((header(&goodbye, "Expires"), goodbye.cseq), (Some("0"), 2));
    assert_eq!(world.notify(&ask, "n1", 2, &terminated(";reason=timeout")), 200);
    assert_eq!(world.notify(&ask, "n1", 3, &terminated("")), 481);
    world.reply(&goodbye, 200, "Expires: 0\r\n");
    assert!(world.subscriber.subscriptions.is_empty() && world.told.is_empty());
    // Without any answer it is forgotten too.
    let (mut world, _) = World::up();
    world.set(LINE, None);
    world.pass(MINUTE);
    assert!(world.subscriber.subscriptions.is_empty());
    assert_eq!(world.subscriber.counts(), Counts { subscribes: 2, notifies: 1, ..Counts::default() });
}

#[test]
fn a_line_that_moves_is_asked_for_at_its_new_place() {
    let (mut world, _) = World::up();
    world.set(LINE, Some("401"));
    world.pass(SECOND);
    assert!(world.asks.is_empty());
    world.set(LINE, Some("402"));
    world.pass(SECOND);
    let uris: Vec<&str> = world.asks.iter().map(|(_, ask)| &*ask.uri).collect();
    assert_eq!(uris, ["sip:n1@192.0.2.9", "sip:402@{target}"]);
}

#[test]
fn a_line_that_goes_while_it_is_asked_for_is_given_back() {
    let (mut world, ask) = World::asked(LINE);
    world.set(LINE, None);
    world.pass(SECOND);
    assert_eq!(world.notify(&ask, "n1", 1, &full(0, TALKS)), 200);
    world.pass(SECOND);
    assert_eq!(header(&world.ask(), "Expires"), Some("0"));
    assert!(world.told.is_empty());
    let (mut world, ask) = World::asked(LINE);
    world.set(LINE, None);
    world.reply(&ask, 404, "");
    assert!(world.subscriber.subscriptions.is_empty());
}
