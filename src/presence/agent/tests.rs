use std::cell::RefCell;
use std::net::SocketAddr;

use super::*;
use crate::sip::{Framing, HeaderName, Limits, Transport};
use crate::trunk::ConnectionId;

const PBX: TrunkId = TrunkId(1);
const LISTENER: ListenerId = ListenerId(0);
const SETTINGS: Settings = Settings {
    timing: Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        timer_c: Duration::from_secs(181),
    },
    max_transactions: 4,
};

/// A trunk with some targets.
struct Pbx {
    targets: Vec<&'static str>,
    credentials: Option<Credentials>,
    transport: Transport,
}

impl Pbx {
    fn with(targets: &[&'static str]) -> Self {
        Self { targets: targets.to_vec(), credentials: None, transport: Transport::Udp }
    }

    fn hop(&self, addr: &str) -> Hop {
        Hop { listener: LISTENER, transport: self.transport, addr: addr.parse().unwrap(), name: None, trunk: PBX }
    }

    fn to(&self, text: &str) -> Place {
        match text.parse::<SocketAddr>() {
            Ok(_) => Place::Hop(self.hop(text)),
            Err(_) => Place::Name(Target { transport: None, host: text.into(), port: None, literal: None }),
        }
    }
}

impl Ways for Pbx {
    fn targets(&self, _: TrunkId) -> SmallVec<[Way; 2]> {
        self.targets.iter().map(|target| Way { place: self.to(target), authority: (*target).into() }).collect()
    }

    fn place(&self, _: TrunkId, uri: &str) -> Option<Place> {
        let host = uri.strip_prefix("sip:")?.split(';').next()?;
        Some(self.to(host.split('@').next_back()?))
    }

    fn no_answer(&self, _: TrunkId) -> Duration {
        Duration::from_secs(3)
    }

    fn write_via(&self, hop: &Hop, branch: &str, out: &mut Vec<u8>) {
        let via = format!("SIP/2.0/{} edge.example:5060;branch={branch};rport", hop.transport.via_token());
        out.extend_from_slice(via.as_bytes());
    }

    fn write_host(&self, _: TrunkId, out: &mut Vec<u8>) {
        out.extend_from_slice(b"edge.example");
    }

    fn write_place(&self, _: TrunkId, _: ListenerId, out: &mut Vec<u8>) {
        out.extend_from_slice(b"edge.example:5060");
    }

    fn credentials(&self, _: TrunkId) -> Option<Credentials> {
        self.credentials.clone()
    }

    fn way_back(&self, _: TrunkId, flow: &Flow, _: &Message) -> (Flow, Option<Hop>) {
        (*flow, None)
    }
}

/// An agent with a trunk and a clock.
struct World {
    pbx: Pbx,
    agent: RefCell<Agent>,
    now: Moment,
}

impl World {
    fn new(pbx: Pbx) -> Self {
        let now = Moment::from_millis(1_000);
        Self { pbx, agent: RefCell::new(Agent::new(now, SETTINGS, [7; 16])), now }
    }

    fn say(&self, say: Say) -> Vec<Todo> {
        let mut out = Vec::new();
        self.agent.borrow_mut().say(self.now, &self.pbx, say, &mut out);
        out
    }

    fn ask(&self) -> Vec<Todo> {
        self.say(Say::Ask(subscribe()))
    }

    fn hear(&self, answer: Message) -> Vec<Todo> {
        let mut out = Vec::new();
        self.agent.borrow_mut().handle_answer(self.now, &self.pbx, answer, &mut out);
        out
    }

    fn resolve(&self, id: AskId, hops: &[&str]) -> Vec<Todo> {
        let hops = hops.iter().map(|hop| self.pbx.hop(hop)).collect();
        let mut out = Vec::new();
        self.agent.borrow_mut().handle_resolved(self.now, &self.pbx, (id, hops), &mut out);
        out
    }

    fn fail(&self, id: AskId) -> Vec<Todo> {
        let mut out = Vec::new();
        self.agent.borrow_mut().handle_not_sent(self.now, &self.pbx, id, &mut out);
        out
    }

    fn arrive(&self, flow: Flow, text: &str) -> Vec<Todo> {
        let mut out = Vec::new();
        self.agent.borrow_mut().handle_request(self.now, &self.pbx, (PBX, flow, message(text)), &mut out);
        out
    }

    /// Lets time pass, with all that is due on the way.
    fn pass(&mut self, time: Duration) -> Vec<Todo> {
        let end = self.now + time;
        let mut out = Vec::new();
        loop {
            let next = self.agent.borrow().next_wake();
            let Some(at) = next.filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.agent.borrow_mut().handle_time(self.now, &self.pbx, &mut out);
        }
        self.now = end;
        out
    }

    fn counts(&self) -> Counts {
        self.agent.borrow().counts()
    }
}

fn subscribe() -> Ask {
    Ask {
        ticket: Ticket::Subscriber(9),
        trunk: PBX,
        verb: Verb::Subscribe,
        uri: "sip:401@{target}".to_owned(),
        from: "<sip:401@{local}>;tag=me".to_owned(),
        to: "<sip:401@{target}>".to_owned(),
        call_id: "tw-ps-1".into(),
        cseq: 1,
        contact_user: "tw-ps-s-9".to_owned(),
        route: Vec::new(),
        headers: vec![("Event", "dialog".to_owned()), ("Expires", "3600".to_owned())],
        body: None,
        flow: None,
    }
}

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &Limits::default()).unwrap()
}

/// The only request that is to be sent: where to, its bytes read, its number.
fn sent(out: &[Todo]) -> (String, Message, AskId) {
    match out {
        [Todo::Send { path: Path::Hop(hop), bytes, id }] => {
            let message = Message::parse(bytes.clone(), Framing::Datagram, &Limits::default()).unwrap();
            (hop.addr.to_string(), message, *id)
        }
        other => panic!("{other:?}"),
    }
}

/// An answer to a request that was sent.
fn answer(request: &Message, status: u16, headers: &str) -> Message {
    let remote = "127.0.0.9:5060".parse().unwrap();
    let made = crate::sip::build::Answer {
        status,
        reason: "Whatever",
        to_tag: b"you",
        headers: headers.as_bytes(),
        own_vias: 0,
    };
    Message::parse(crate::sip::build::answer(request, remote, &made), Framing::Datagram, &Limits::default()).unwrap()
}

/// What came of the only request that is over.
fn reply(out: &[Todo]) -> (u32, String) {
    match out {
        [Todo::Reply(Reply { cseq, outcome, .. })] => match outcome {
            Outcome::Answered(answer) => (*cseq, answer.status().to_string()),
            other => (*cseq, format!("{other:?}")),
        },
        other => panic!("{other:?}"),
    }
}

fn text(message: &Message, name: HeaderName) -> &str {
    std::str::from_utf8(message.value(name).unwrap_or_default()).unwrap()
}

#[test]
fn a_request_is_written_as_the_part_wants_it_and_its_answer_comes_back() {
    let world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let (to, request, id) = sent(&world.ask());
    assert_eq!(to, "127.0.0.9:5060");
    let expected = format!(
        "SUBSCRIBE sip:401@127.0.0.9:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP edge.example:5060;branch={};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:401@edge.example>;tag=me\r\nTo: <sip:401@127.0.0.9:5060>\r\nCall-ID: tw-ps-1\r\nCSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:tw-ps-s-9@edge.example:5060>\r\nEvent: dialog\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
        id.branch()
    );
    assert_eq!(std::str::from_utf8(request.bytes()).unwrap(), expected);
    assert!(world.hear(answer(&request, 100, "")).is_empty());
    assert_eq!(reply(&world.hear(answer(&request, 202, ""))), (1, "202".to_owned()));
    assert!(world.hear(answer(&request, 202, "")).is_empty(), "a copy says nothing new");
    let counts = world.counts();
    assert_eq!((counts.asked, counts.answered, counts.stray_answers, counts.clients), (1, 1, 1, 0));
}

#[test]
fn answers_that_were_not_asked_for_change_nothing() {
    let world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let (_, request, id) = sent(&world.ask());
    let forged = String::from_utf8(answer(&request, 200, "").bytes().to_vec()).unwrap();
    let other = AskId { number: id.number ^ 1, ..id };
    for wrong in [
        forged.replace(&id.branch(), &other.branch()),
        forged.replace("CSeq: 1 SUBSCRIBE", "CSeq: 2 SUBSCRIBE"),
        forged.replace("CSeq: 1 SUBSCRIBE", "CSeq: 1 NOTIFY"),
        forged.replace(&id.branch(), "z9hG4bKtb"),
    ] {
        assert!(world.hear(message(&wrong)).is_empty(), "{wrong}");
    }
    assert_eq!((world.counts().stray_answers, world.counts().clients), (4, 1));
    assert_eq!(reply(&world.hear(message(&forged))), (1, "200".to_owned()));
}

#[test]
fn branches_of_others_are_not_read() {
    let id = AskId { slot: 3, number: u64::MAX };
    assert_eq!(AskId::read(id.branch().as_bytes()), Some(id));
    for other in [
        "",
        "z9hG4bKtb",
        "z9hG4bKtw00000003ffffffffffffffff",
        "z9hG4bKtb+0000003ffffffffffffffff",
        "z9hG4bKtb0000000xffffffffffffffff",
    ] {
        assert_eq!(AskId::read(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_silent_target_gets_copies_and_then_it_is_over() {
    let mut world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let (_, request, _) = sent(&world.ask());
    let copies = world.pass(Duration::from_millis(31_700));
    assert_eq!(copies.len(), 10, "after 0.5, 1.5, 3.5, 7.5 and then every 4 s");
    assert!(copies.iter().all(|todo| matches!(todo, Todo::Send { bytes, .. } if bytes == request.bytes())));
    assert_eq!(reply(&world.pass(Duration::from_secs(2))), (1, "Timeout".to_owned()));
    assert_eq!((world.counts().timed_out, world.counts().clients), (1, 0));
}

#[test]
fn the_next_target_is_tried_after_silence_a_fault_and_a_503() {
    let mut world = World::new(Pbx::with(&["127.0.0.1:1", "127.0.0.2:2", "127.0.0.3:3", "127.0.0.4:4"]));
    let (first, ..) = sent(&world.ask());
    let after_silence: Vec<_> = world.pass(Duration::from_secs(3)).split_off(2);
    let (second, request, id) = sent(&after_silence);
    assert_eq!((&*first, &*second), ("127.0.0.1:1", "127.0.0.2:2"));
    assert!(request.request_uri().ends_with(b"127.0.0.2:2"));
    let (third, request, _) = sent(&world.fail(id));
    assert_eq!(third, "127.0.0.3:3");
    assert!(world.fail(id).is_empty(), "that one is past");
    let (fourth, request, _) = sent(&world.hear(answer(&request, 503, "")));
    assert_eq!(fourth, "127.0.0.4:4");
    assert_eq!(reply(&world.hear(answer(&request, 503, ""))), (1, "503".to_owned()));
    assert_eq!(world.counts().failovers, 3);
}

#[test]
fn names_are_looked_up_and_all_their_places_tried() {
    let world = World::new(Pbx::with(&["pbx.example"]));
    let [Todo::Resolve { id, trunk: PBX, target }] = &world.ask()[..] else { panic!() };
    assert_eq!(&*target.host, "pbx.example");
    let (first, request, try_one) = sent(&world.resolve(*id, &["127.0.0.1:1", "127.0.0.2:2"]));
    assert_eq!((&*first, request.request_uri()), ("127.0.0.1:1", &b"sip:401@pbx.example"[..]));
    let (second, _, try_two) = sent(&world.fail(try_one));
    assert_eq!(second, "127.0.0.2:2");
    assert_eq!(reply(&world.fail(try_two)), (1, "Unreachable".to_owned()));

    let [Todo::Resolve { id, .. }] = &world.ask()[..] else { panic!() };
    assert_eq!(reply(&world.resolve(*id, &[])), (1, "Unreachable".to_owned()));
    assert!(world.resolve(*id, &["127.0.0.1:1"]).is_empty());
}

#[test]
fn inside_a_dialog_the_route_and_the_target_lead() {
    let world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let inside = Ask { uri: "sip:401@127.0.0.5:5".to_owned(), ..subscribe() };
    assert_eq!(sent(&world.say(Say::Ask(inside.clone()))).0, "127.0.0.5:5");
    let routed = Ask { route: vec!["<sip:127.0.0.6:6;lr>".to_owned(), "<sip:x;lr>".to_owned()], ..inside.clone() };
    let (to, request, _) = sent(&world.say(Say::Ask(routed)));
    assert_eq!((&*to, request.request_uri()), ("127.0.0.6:6", &b"sip:401@127.0.0.5:5"[..]));
    assert_eq!(text(&request, HeaderName::Route), "<sip:127.0.0.6:6;lr>");

    let flow = Flow {
        listener: LISTENER,
        transport: Transport::Tcp,
        connection: ConnectionId(4),
        remote: "127.0.0.7:7".parse().unwrap(),
        local: None,
    };
    let out = world.say(Say::Ask(Ask { flow: Some(flow), ..inside.clone() }));
    let [Todo::Send { path: Path::Connection(over, PBX), id, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(*over, flow);
    assert_eq!(sent(&world.fail(*id)).0, "127.0.0.5:5", "the connection has gone");
    let datagram = Flow { transport: Transport::Udp, connection: ConnectionId::DATAGRAM, ..flow };
    assert_eq!(sent(&world.say(Say::Ask(Ask { flow: Some(datagram), ..inside }))).0, "127.0.0.5:5");
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"one\", qop=\"auth\", algorithm=MD5\r\n\
    WWW-Authenticate: Digest realm=\"pbx\", nonce=\"two\", qop=\"auth\", algorithm=SHA-256\r\n";

fn proof(request: &Message) -> Option<String> {
    request.other(b"Authorization").map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn a_challenge_is_met_once_and_remembered() {
    let pbx = Pbx { credentials: Some(Credentials::new("edge", "hunter2")), ..Pbx::with(&["127.0.0.9:5060"]) };
    let world = World::new(pbx);
    let (_, first, id) = sent(&world.ask());
    assert_eq!(proof(&first), None);
    let (_, second, again) = sent(&world.hear(answer(&first, 401, CHALLENGE)));
    let given = proof(&second).unwrap();
    assert!(given.contains("nonce=\"two\"") && given.contains("algorithm=SHA-256") && given.contains("nc=00000001"));
    assert!(given.contains("uri=\"sip:401@127.0.0.9:5060\"") && !given.contains("hunter2"), "{given}");
    assert_ne!(id, again);
    assert_eq!(second.cseq().unwrap().number, 2);
    assert_eq!(reply(&world.hear(answer(&second, 200, ""))), (2, "200".to_owned()));

    let (_, next, _) = sent(&world.ask());
    assert!(proof(&next).unwrap().contains("nc=00000002"), "the nonce goes on");
    let stale = CHALLENGE.replace("\"two\"", "\"three\", stale=true");
    let (_, fresh, _) = sent(&world.hear(answer(&next, 401, &stale)));
    let given = proof(&fresh).unwrap();
    assert!(given.contains("nonce=\"three\"") && given.contains("nc=00000001"), "{given}");
    assert_eq!(reply(&world.hear(answer(&fresh, 200, ""))).1, "200");
    assert_eq!(world.counts().challenges_met, 2);
}

#[test]
fn a_wrong_password_and_a_missing_one_end_with_the_challenge() {
    let pbx = Pbx { credentials: Some(Credentials::new("edge", "wrong")), ..Pbx::with(&["127.0.0.9:5060"]) };
    let world = World::new(pbx);
    let (_, first, _) = sent(&world.ask());
    let (_, second, _) = sent(&world.hear(answer(&first, 401, CHALLENGE)));
    let again = CHALLENGE.replace("two", "three");
    assert_eq!(reply(&world.hear(answer(&second, 401, &again))), (2, "401".to_owned()));
    let (_, third, _) = sent(&world.ask());
    assert_eq!(proof(&third), None, "what failed is not sent again unasked");

    let nobody = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let (_, first, _) = sent(&nobody.ask());
    assert_eq!(reply(&nobody.hear(answer(&first, 401, CHALLENGE))), (1, "401".to_owned()));
    assert_eq!((world.counts().challenges_refused, nobody.counts().challenges_refused), (1, 1));
}

#[test]
fn a_proxy_and_its_server_may_both_ask() {
    let pbx = Pbx { credentials: Some(Credentials::new("edge", "hunter2")), ..Pbx::with(&["127.0.0.9:5060"]) };
    let world = World::new(pbx);
    let (_, first, _) = sent(&world.ask());
    let proxy = "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"p\", qop=\"auth\"\r\n";
    let (_, second, _) = sent(&world.hear(answer(&first, 407, proxy)));
    assert!(second.other(b"Proxy-Authorization").is_some() && proof(&second).is_none());
    let (_, third, _) = sent(&world.hear(answer(&second, 401, CHALLENGE)));
    assert!(third.other(b"Proxy-Authorization").is_some() && proof(&third).is_some());
    // Forever stale is not met forever.
    let stale = CHALLENGE.replace("algorithm", "stale=true, algorithm");
    let (_, fourth, _) = sent(&world.hear(answer(&third, 401, &stale)));
    let (_, fifth, _) = sent(&world.hear(answer(&fourth, 401, &stale)));
    assert_eq!(reply(&world.hear(answer(&fifth, 401, &stale))).0, 5);
}

#[test]
fn no_more_than_so_many_are_under_way() {
    let world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let first = sent(&world.ask()).1;
    (1..SETTINGS.max_transactions).for_each(|_| drop(sent(&world.ask())));
    assert_eq!(reply(&world.ask()), (1, "Full".to_owned()));
    reply(&world.hear(answer(&first, 200, "")));
    sent(&world.ask());
    assert_eq!(world.counts().over_limit, 1);
}

#[test]
fn what_comes_from_peers_makes_no_headers() {
    let world = World::new(Pbx::with(&["127.0.0.9:5060"]));
    let evil = Ask { to: "<sip:a@b>;tag=x\r\nEvil: 1".to_owned(), ..subscribe() };
    let request = sent(&world.say(Say::Ask(evil))).1;
    assert!(request.other(b"Evil").is_none() && text(&request, HeaderName::To).contains("Evil"));
}

fn udp(remote: &str) -> Flow {
    Flow {
        listener: LISTENER,
        transport: Transport::Udp,
        connection: ConnectionId::DATAGRAM,
        remote: remote.parse().unwrap(),
        local: None,
    }
}

fn notify(number: usize) -> String {
    format!(
        "NOTIFY sip:tw-ps-s-9@edge.example SIP/2.0\r\nVia: SIP/2.0/UDP pbx.example;branch=z9hG4bKn{number};rport\r\n\
         From: <sip:401@pbx.example>;tag=you\r\nTo: <sip:401@edge.example>;tag=me\r\nCall-ID: tw-ps-1\r\n\
         CSeq: {number} NOTIFY\r\nRecord-Route: <sip:proxy.example;lr>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn ok(handle: Handle) -> Say {
    Say::Answer(Answer {
        handle,
        status: 200,
        reason: "OK",
        to_tag: None,
        contact_user: None,
        headers: vec![("Expires", "60".to_owned())],
        body: None,
    })
}

fn arrived(out: &[Todo]) -> Handle {
    match out {
        [Todo::Arrived(Arrived { handle, trunk: PBX, .. })] => *handle,
        other => panic!("{other:?}"),
    }
}

fn answered(out: &[Todo]) -> Message {
    match out {
        [Todo::Answer { bytes, .. }] => Message::parse(bytes.clone(), Framing::Datagram, &Limits::default()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_comes_once_and_copies_get_the_same_answer() {
    let mut world = World::new(Pbx::with(&[]));
    let flow = udp("127.0.0.9:5070");
    let handle = arrived(&world.arrive(flow, &notify(1)));
    assert!(world.arrive(flow, &notify(1)).is_empty(), "it is not answered yet");
    let first = answered(&world.say(ok(handle)));
    assert_eq!((first.status(), first.other(b"Expires").or(first.value(HeaderName::Expires))), (200, Some(&b"60"[..])));
    assert!(text(&first, HeaderName::Via).contains("rport=5070;received=127.0.0.9"));
    assert_eq!(answered(&world.arrive(flow, &notify(1))).bytes(), first.bytes());
    assert!(world.say(ok(handle)).is_empty(), "one answer for each");
    assert_eq!((world.counts().arrived, world.counts().absorbed, world.counts().servers), (1, 2, 1));
    assert!(world.pass(Duration::from_secs(33)).is_empty());
    assert_eq!(world.counts().servers, 0);
    arrived(&world.arrive(flow, &notify(1)));
}

#[test]
fn an_answer_that_makes_a_dialog_has_contact_tag_and_route() {
    let world = World::new(Pbx::with(&[]));
    let request = notify(1).replace("NOTIFY", "SUBSCRIBE").replace(";tag=me", "");
    let handle = arrived(&world.arrive(udp("127.0.0.9:5070"), &request));
    let Say::Answer(ok) = ok(handle) else { panic!() };
    let answer = Answer { to_tag: Some("mine".to_owned()), contact_user: Some("tw-ps-n-1".to_owned()), ..ok };
    let answer = answered(&world.say(Say::Answer(answer)));
    assert_eq!(answer.to_tag(), Some(&b"mine"[..]));
    assert_eq!(text(&answer, HeaderName::Contact), "<sip:tw-ps-n-1@edge.example:5060>");
    assert_eq!(text(&answer, HeaderName::RecordRoute), "<sip:proxy.example;lr>");
}

#[test]
fn a_refusal_has_a_tag_of_its_own_that_copies_share() {
    let world = World::new(Pbx::with(&[]));
    let request = |number| notify(number).replace(";tag=me", "");
    let tag = |number| {
        let handle = arrived(&world.arrive(udp("127.0.0.9:5070"), &request(number)));
        answered(&world.say(ok(handle))).to_tag().map(<[u8]>::to_vec)
    };
    let (first, second) = (tag(1), tag(2));
    assert!(first.is_some());
    assert_eq!(first, second, "one dialog, one tag");
}

#[test]
fn a_flood_costs_memory_of_answers_and_no_more() {
    let mut world = World::new(Pbx::with(&[]));
    let flow = udp("127.0.0.9:5070");
    for number in 1..=100 {
        let handle = arrived(&world.arrive(flow, &notify(number)));
        answered(&world.say(ok(handle)));
    }
    let counts = world.counts();
    assert_eq!((counts.arrived, counts.evicted, counts.servers), (100, 96, SETTINGS.max_transactions));

    // With nothing but questions that nobody has answered there is no room.
    let mut open = Vec::new();
    for number in 101..=104 {
        open.push(arrived(&world.arrive(flow, &notify(number))));
    }
    let refused = answered(&world.arrive(flow, &notify(105)));
    assert_eq!((refused.status(), text(&refused, HeaderName::RetryAfter)), (503, "5"));
    assert!(world.pass(Duration::from_secs(33)).is_empty());
    assert_eq!((world.counts().refused, world.counts().unanswered, world.counts().servers), (1, 4, 0));
    assert!(open.into_iter().all(|handle| world.say(ok(handle)).is_empty()));
}

#[test]
fn over_a_stream_nothing_is_remembered() {
    let pbx = Pbx { transport: Transport::Tcp, ..Pbx::with(&["127.0.0.9:5060"]) };
    let mut world = World::new(pbx);
    let flow = Flow { transport: Transport::Tcp, connection: ConnectionId(1), ..udp("127.0.0.9:5070") };
    let handle = arrived(&world.arrive(flow, &notify(1)));
    answered(&world.say(ok(handle)));
    assert_eq!(world.counts().servers, 0);
    sent(&world.ask());
    assert_eq!(reply(&world.pass(Duration::from_secs(33))).1, "Timeout", "and nothing is sent twice");
}
