//! A shard with peers around it that do anything in any order. What must hold: no panic; no more contexts than the limit
//! and no pile of timers; whatever leaves can be read; an event brings about a bounded number of messages; and once
//! everybody is silent, time alone ends all transactions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use trunkway::call::dialog_token::SealKey;
use trunkway::call::seal::{Key, KeyRing};
use trunkway::call::stored::{CallStore, Room, StoreKey};
use trunkway::call::{BranchId, Command, ContextId, Edge, Env, Names, Output, Secrets};
use trunkway::shard::requests::refuse_flawed;
use trunkway::shard::{Incoming, Shard, branch_of};
use trunkway::sip::build::{self, Answer};
use trunkway::sip::{Essentials, Framing, HeaderName, Limits, Message, Transport};
use trunkway::transaction::{HashKey, Moment, Timing};
use trunkway::trunk::{ConnectionId, Flow, Hop, Target, TrunkId};

/// A call store that is soon full.
#[derive(Debug, Default)]
struct Kept(HashMap<StoreKey, Bytes>);

impl CallStore for Kept {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn state(&self, key: StoreKey) -> Option<Bytes> {
        self.0.get(&key).cloned()
    }

    fn room(&self) -> Room {
        match self.0.len() {
            0..8 => Room::Ample,
            8..16 => Room::Little,
            _ => Room::None,
        }
    }
}

fn ring() -> KeyRing {
    KeyRing::new(Key::derive(&[4; 32]).expect("a key"), None).expect("one key")
}

/// Contexts that the shard takes.
const MAX_CONTEXTS: usize = 8;
/// Messages that one event may bring about: each of all contexts' branches may do something when time has passed.
const MAX_COMMANDS: usize = MAX_CONTEXTS * 8;
/// Events of one run.
const MAX_OPS: usize = 256;
/// Messages remembered for later events to name.
const MEMORY: usize = 64;

const CONFIG: &str = r#"
[node]
name = "fuzz"
[[listen]]
name = "inside"
bind = "udp:192.0.2.10:5060"
[[listen]]
name = "outside"
bind = "udp:198.51.100.10:5060"
[[listen]]
name = "streams"
bind = "tcp:198.51.100.10:5060"
[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:192.0.2.80:5080"]
[trunk.pair]
kind = "carrier"
listen = "outside"
targets = ["203.0.113.1:5060", "203.0.113.2:5060"]
failover_codes = [408, 486, 503]
[trunk.fork]
kind = "carrier"
listen = "outside"
targets = ["udp:203.0.113.11", "udp:203.0.113.12", "udp:203.0.113.13"]
fork = "parallel"
[trunk.named]
kind = "carrier"
listen = "streams"
targets = ["one.carrier.example", "two.carrier.example:5070"]
allow_from = ["203.0.113.128/26"]
[[route]]
prefix = "1"
to = ["pbx"]
[[route]]
prefix = "2"
to = ["pair", "pbx"]
[[route]]
prefix = "3"
to = ["fork"]
[[route]]
prefix = "4"
to = ["named"]
[[route]]
prefix = "5"
to = ["named", "pair"]
[[route]]
prefix = "6"
to = ["fork", "named"]
"#;

/// The trunks, in the order in which [`Op`]s name them.
const PEERS: [(&str, [u8; 4]); 4] =
    [("pbx", [192, 0, 2, 80]), ("pair", [203, 0, 113, 1]), ("fork", [203, 0, 113, 11]), ("named", [203, 0, 113, 130])];

static EDGE: LazyLock<Arc<Edge>> = LazyLock::new(|| {
    let loaded = trunkway::config::load_str("fuzz.toml", CONFIG, Path::new("")).expect("the configuration holds");
    let listeners = loaded.config.listeners.iter().map(|listen| listen.listener.clone()).collect();
    Arc::new(Edge::new(listeners, loaded.trunks, loaded.routing, Timing::default(), Limits::default()))
});

/// One event.
#[derive(Arbitrary, Debug)]
pub enum Op {
    Request(Request),
    /// Any bytes from a peer.
    Bytes {
        peer: u8,
        bytes: Vec<u8>,
    },
    /// A request once more.
    Copy {
        of: u8,
    },
    /// A request's CANCEL.
    Cancel {
        of: u8,
        reason: bool,
    },
    /// The ACK of a request's last answer, in the same transaction or in one of its own.
    Ack {
        of: u8,
        own_branch: bool,
    },
    /// A request along the route set that the edge wrote into one it sent on.
    InDialog {
        of: u8,
        peer: u8,
        method: Method,
        uri: Uri,
        reverse: bool,
    },
    /// An answer to something that was sent.
    Answer {
        to: u8,
        code: u8,
        vias: Vias,
        body: bool,
    },
    /// Any bytes with the Via lines of something that was sent.
    AnswerBytes {
        to: u8,
        bytes: Vec<u8>,
    },
    SendFailed {
        of: u8,
    },
    /// A name was looked up: so many places were found.
    Resolved {
        of: u8,
        hops: u8,
    },
    /// Whether names are known from now on.
    Names {
        known: bool,
    },
    Wait {
        millis: u16,
        seconds: bool,
    },
}

/// A request outside a dialog.
#[derive(Arbitrary, Debug)]
pub struct Request {
    peer: u8,
    method: Method,
    uri: Uri,
    call: u8,
    cseq: u8,
    via: ViaForm,
    size: Size,
    extra: Extra,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Method {
    Invite,
    Bye,
    Options,
    Ack,
    Cancel,
    Message,
    Subscribe,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Uri {
    /// A number at the edge; the first digit picks the route.
    Number(u8),
    Edge,
    Tel,
    Sips,
    Foreign,
    Literal,
    Named,
    Other,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum ViaForm {
    Modern,
    Rport,
    Alias,
    Maddr,
    /// RFC 2543: no branch.
    Old,
    Two,
    Own,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Size {
    Small,
    Large,
    Huge,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Extra {
    None,
    NoHopsLeft,
    ManyHops,
    ProxyRequire,
    OwnRoute,
    ForeignRoute,
    Twice,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Vias {
    AsSent,
    OnlyOwn,
    Spoilt,
}

/// Plays the events, then silence.
///
/// # Panics
/// When something that must hold does not.
pub fn run(ops: &[Op]) {
    let mut world = World::new();
    for op in ops.iter().take(MAX_OPS) {
        world.play(op);
        assert!(world.shard.len() <= MAX_CONTEXTS, "{} contexts", world.shard.len());
        assert!(world.shard.timers() <= MAX_CONTEXTS * 8, "{} timers", world.shard.timers());
    }
    world.fall_silent();
}

/// Whether names are known, and which places they stand for.
struct Known(Cell<bool>);

impl Names for Known {
    fn cached(&self, _: &Edge, trunk: TrunkId, _: &Target) -> Option<Vec<Hop>> {
        self.0.get().then(|| hops(trunk, 2))
    }
}

fn hops(trunk: TrunkId, count: u8) -> Vec<Hop> {
    let Some(listener) = EDGE.trunk(trunk).map(|trunk| trunk.listener) else { return Vec::new() };
    let transport = EDGE.listener(listener).map_or(Transport::Udp, |listener| listener.transport);
    let hop = |last| Hop { listener, transport, addr: ([203, 0, 113, 128 + last], 5060).into(), name: None, trunk };
    (0..count % 20).map(hop).collect()
}

struct World {
    shard: Shard,
    secrets: Secrets,
    names: Known,
    kept: Kept,
    now: Moment,
    out: Output,
    arrived: Vec<(Arrival, Bytes)>,
    sent: Vec<(Hop, Bytes, Option<BranchId>)>,
    answers: Vec<Bytes>,
    resolving: Vec<(ContextId, u8, TrunkId)>,
}

impl World {
    fn new() -> Self {
        let now = Moment::from_millis(1_000);
        Self {
            shard: Shard::new(0, now, MAX_CONTEXTS),
            secrets: Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring: ring() },
            names: Known(Cell::new(false)),
            kept: Kept::default(),
            now,
            out: Output::default(),
            arrived: Vec::new(),
            sent: Vec::new(),
            answers: Vec::new(),
            resolving: Vec::new(),
        }
    }

    fn play(&mut self, op: &Op) {
        match op {
            Op::Request(request) => self.arrive(arrival(request.peer), request.text()),
            Op::Bytes { peer, bytes } => self.arrive(arrival(*peer), bytes.clone()),
            Op::Copy { of } => {
                if let Some((arrival, bytes)) = pick(&self.arrived, *of).cloned() {
                    self.deliver(arrival, bytes);
                }
            }
            Op::Cancel { of, reason } => {
                let headers: &[u8] = if *reason { b"Reason: SIP;cause=487\r\n" } else { b"" };
                self.follow_up(*of, |request, _| Some(build::cancel(request, headers)));
            }
            Op::Ack { of, own_branch } => self.follow_up(*of, |request, answers| {
                let call_id = request.call_id().ok()?;
                let answer = answers.iter().rev().find(|answer| answer.call_id() == Ok(call_id))?;
                let ack = build::ack(request, answer);
                if !own_branch {
                    return Some(ack);
                }
                Some(String::from_utf8_lossy(&ack).replace("z9hG4bK", "z9hG4bKack").into_bytes().into())
            }),
            Op::InDialog { of, peer, method, uri, reverse } => self.send_in_dialog(*of, *peer, *method, *uri, *reverse),
            Op::Answer { to, code, vias, body } => self.send_answer(*to, *code, *vias, *body),
            Op::AnswerBytes { to, bytes } => {
                if let Some(sent) = pick(&self.sent, *to).and_then(|(_, sent, _)| parse(sent)) {
                    let mut text = b"SIP/2.0 200 OK\r\n".to_vec();
                    for line in sent.lines_of(HeaderName::Via) {
                        text.extend_from_slice(&sent.bytes()[usize::from(line.start)..usize::from(line.next)]);
                    }
                    text.extend_from_slice(bytes);
                    self.deliver(arrival(0), text.into());
                }
            }
            Op::SendFailed { of } => {
                if let Some(branch) = pick(&self.sent, *of).and_then(|(_, _, branch)| *branch) {
                    self.event(|shard, env, out| shard.handle_send_failed(env, out, branch));
                }
            }
            Op::Resolved { of, hops: count } => {
                if !self.resolving.is_empty() {
                    let (context, lane, trunk) = self.resolving.remove(usize::from(*of) % self.resolving.len());
                    self.event(|shard, env, out| shard.handle_resolved(env, out, context, lane, hops(trunk, *count)));
                }
            }
            Op::Names { known } => self.names.0.set(*known),
            Op::Wait { millis, seconds } => {
                let unit = if *seconds { Duration::from_millis(100) } else { Duration::from_millis(1) };
                self.now = self.now + unit * u32::from(*millis);
                self.event(Shard::handle_time);
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        remember(&mut self.arrived, (arrival, bytes.clone()));
        self.deliver(arrival, bytes);
    }

    /// What the daemon does with a datagram or a frame.
    fn deliver(&mut self, arrival: Arrival, bytes: Bytes) {
        let framing = if arrival.flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        let Ok(message) = Message::parse(bytes, framing, &EDGE.limits) else { return };
        if !message.is_request() {
            if let Some(id) = branch_of(&message).filter(|_| message.flaw().is_none()) {
                self.event(|shard, env, out| shard.handle_answer(env, out, id, &message));
            }
            return;
        }
        match Essentials::of_request(&message, &EDGE.limits) {
            Ok(essentials) => {
                self.event(|shard, env, out| {
                    let Arrival { flow, from } = arrival;
                    let incoming = Incoming { flow, from, request: &message, essentials: &essentials, former: false };
                    shard.handle_request(env, out, &incoming)
                });
            }
            Err(what) => self.event(|_, env, out| refuse_flawed(env, out, arrival.flow, arrival.from, &message, what)),
        }
    }

    fn event(&mut self, event: impl FnOnce(&mut Shard, &Env<'_>, &mut Output)) {
        let env = Env {
            now: self.now,
            unix: 0,
            unix_ms: 0 * 1_000,
            edge: &EDGE,
            secrets: &self.secrets,
            names: &self.names,
            store: &self.kept,
            shelf: &RefCell::default(),
        };
        event(&mut self.shard, &env, &mut self.out);
        let commands = std::mem::take(&mut self.out.commands);
        assert!(commands.len() <= MAX_COMMANDS, "{} commands at once", commands.len());
        for command in commands {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Answer { bytes, .. } => {
                let answer = whole(&bytes);
                assert!(!answer.is_request(), "{:?}", answer.bytes());
                remember(&mut self.answers, bytes);
            }
            Command::Request { hop, bytes, branch } => {
                let request = whole(&bytes);
                assert!(request.is_request(), "{:?}", request.bytes());
                let generous = Limits { max_values_per_header: 1_024, ..Limits::default() };
                let essentials = Essentials::of_request(&request, &generous).expect("what is sent on is whole");
                assert!(essentials.via.rfc3261_branch().is_some_and(|branch| branch.starts_with(b"z9hG4bKt")));
                if let Some(branch) = branch {
                    let read = essentials.via.branch.and_then(BranchId::read).map(|(id, _)| id);
                    assert_eq!(read, Some(branch));
                }
                remember(&mut self.sent, (hop, bytes, branch));
            }
            Command::Resolve { context, lane, trunk, .. } => self.resolving.push((context, lane, trunk)),
            Command::Store { key, bytes } => {
                self.kept.0.insert(key, bytes);
            }
            Command::CallUp { .. } | Command::CallOver { .. } | Command::Drop { .. } => {}
            Command::Alias { connection, .. } => assert_ne!(connection, ConnectionId::DATAGRAM),
        }
    }

    fn follow_up(&mut self, of: u8, make: impl FnOnce(&Message, &[Message]) -> Option<Bytes>) {
        let Some((arrival, request)) = pick(&self.arrived, of) else { return };
        let Some(message) = parse(request).filter(Message::is_request) else { return };
        let arrival = *arrival;
        let answers: Vec<Message> = self.answers.iter().filter_map(parse).collect();
        if let Some(bytes) = make(&message, &answers) {
            self.deliver(arrival, bytes);
        }
    }

    fn send_in_dialog(&mut self, of: u8, peer: u8, method: Method, uri: Uri, reverse: bool) {
        let Some(sent) = pick(&self.sent, of).and_then(|(_, sent, _)| parse(sent)) else { return };
        let mut routes: Vec<&[u8]> = sent.values(HeaderName::RecordRoute).filter_map(Result::ok).collect();
        if reverse {
            routes.reverse();
        }
        let mut text = format!("{} {} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKin", method.name(), uri.text());
        text.push_str(&format!("{of}-{peer}\r\nFrom: <sip:a@a>;tag=in\r\nTo: <sip:b@b>;tag=to\r\nMax-Forwards: 9\r\n"));
        let mut text = text.into_bytes();
        for route in routes {
            text.extend_from_slice(b"Route: ");
            text.extend_from_slice(route);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"Call-ID: ");
        text.extend_from_slice(sent.call_id().unwrap_or_default());
        text.extend_from_slice(format!("\r\nCSeq: {of} {}\r\n\r\n", method.name()).as_bytes());
        self.arrive(arrival(peer), text);
    }

    fn send_answer(&mut self, to: u8, code: u8, vias: Vias, body: bool) {
        const CODES: [u16; 16] = [100, 180, 183, 200, 202, 302, 401, 404, 407, 408, 480, 486, 487, 500, 503, 603];
        let Some(sent) = pick(&self.sent, to).and_then(|(_, sent, _)| parse(sent)) else { return };
        let status = CODES[usize::from(code) % CODES.len()];
        let headers: &[u8] = match status {
            401 => b"WWW-Authenticate: Digest realm=\"a\"\r\n",
            407 => b"Proxy-Authenticate: Digest realm=\"b\"\r\n",
            200 => b"Contact: <sip:b@203.0.113.1>\r\n",
            _ => b"",
        };
        let own_vias = match vias {
            Vias::AsSent => 0,
            // What was the edge's Via is gone: the answer is somebody else's.
            Vias::Spoilt => 1,
            Vias::OnlyOwn => 0,
        };
        let answer = Answer { status, reason: "Any", to_tag: b"far", headers, own_vias };
        let mut bytes = build::answer(&sent, ([203, 0, 113, 1], 5060).into(), &answer).to_vec();
        if let Vias::OnlyOwn = vias {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut own = true;
            let kept = text.split_inclusive("\r\n").filter(|line| !line.starts_with("Via") || std::mem::take(&mut own));
            bytes = kept.collect::<String>().into_bytes();
        }
        if body {
            let end = bytes.len() - b"Content-Length: 0\r\n\r\n".len();
            bytes.truncate(end);
            bytes.extend_from_slice(b"l: 4\r\n\r\nv=0\n");
        }
        self.deliver(arrival(0), bytes.into());
    }

    /// Nobody says anything any more; names are answered by nothing. Everything must come to its end.
    fn fall_silent(&mut self) {
        let begun = self.now;
        self.names.0.set(false);
        for _ in 0..20_000 {
            while let Some((context, lane, _)) = self.resolving.pop() {
                self.event(|shard, env, out| shard.handle_resolved(env, out, context, lane, Vec::new()));
            }
            let Some(wake) = self.shard.next_wake() else { break };
            self.now = wake.max(self.now);
            self.event(Shard::handle_time);
        }
        assert!(self.shard.is_empty(), "{} contexts never end", self.shard.len());
        assert_eq!(self.shard.timers(), 0);
        let took = self.now.since(begun);
        assert!(took <= Duration::from_secs(3_600), "{took:?}");
    }
}

impl Request {
    fn text(&self) -> Vec<u8> {
        let (_, host) = PEERS[usize::from(self.peer) % PEERS.len()];
        let host = IpAddr::from(host);
        let (call, cseq, method) = (self.call % 8, self.cseq % 4, self.method.name());
        let branch = format!("z9hG4bK{call}-{cseq}");
        let via = match self.via {
            ViaForm::Modern => format!("SIP/2.0/UDP {host}:5080;branch={branch}"),
            ViaForm::Rport => format!("SIP/2.0/UDP 10.0.0.1;rport;branch={branch}"),
            ViaForm::Alias => format!("SIP/2.0/TCP {host}:5062;alias;branch={branch}"),
            ViaForm::Maddr => format!("SIP/2.0/UDP {host};maddr=192.0.2.99;branch={branch};received=1.2.3.4"),
            ViaForm::Old => format!("SIP/2.0/UDP {host}:5080"),
            ViaForm::Two => format!("SIP/2.0/TLS {host};branch={branch}, SIP/2.0/UDP [2001:db8::1]:5070;branch=b"),
            ViaForm::Own => format!("SIP/2.0/UDP {host};branch=z9hG4bKtw{:030}", self.call),
        };
        let extra = match self.extra {
            Extra::None => "Max-Forwards: 70\r\n",
            Extra::NoHopsLeft => "Max-Forwards: 0\r\n",
            Extra::ManyHops => "",
            Extra::ProxyRequire => "Max-Forwards: 70\r\nProxy-Require: a, b\r\n",
            Extra::OwnRoute => "Max-Forwards: 70\r\nRoute: <sip:192.0.2.10:5060;lr>, <sip:192.0.2.80;lr>\r\n",
            Extra::ForeignRoute => "Max-Forwards: 70\r\nRoute: <sip:198.51.100.77>\r\n",
            Extra::Twice => "Max-Forwards: 70\r\nCall-ID: other\r\n",
        };
        let body = match self.size {
            Size::Small => 0,
            Size::Large => 1_400,
            Size::Huge => 65_000,
        };
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@{host}>;tag=f{call}\r\nTo: <sip:b@edge>\r\n\
             Call-ID: call-{call}\r\nCSeq: {cseq} {method}\r\n{extra}Contact: <sip:a@{host}:5080>\r\n\
             Content-Length: {body}\r\n\r\n",
            self.uri.text()
        )
        .into_bytes();
        text.resize(text.len() + body, b'x');
        text
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Bye => "BYE",
            Self::Options => "OPTIONS",
            Self::Ack => "ACK",
            Self::Cancel => "CANCEL",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
        }
    }
}

impl Uri {
    fn text(self) -> String {
        match self {
            Self::Number(number) => format!("sip:{}00@192.0.2.10:5060;user=phone", number % 8),
            Self::Edge => "sip:192.0.2.10:5060".to_owned(),
            Self::Tel => "tel:200;phone-context=+1".to_owned(),
            Self::Sips => "sips:300@198.51.100.10".to_owned(),
            Self::Foreign => "sip:400@198.51.100.77;maddr=1.2.3.4".to_owned(),
            Self::Literal => "sip:b@203.0.113.1:5060".to_owned(),
            Self::Named => "sip:b@far.example;transport=tcp".to_owned(),
            Self::Other => "http://example.net/".to_owned(),
        }
    }
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    flow: Flow,
    from: TrunkId,
}

fn arrival(peer: u8) -> Arrival {
    let (name, ip) = PEERS[usize::from(peer) % PEERS.len()];
    let trunk = EDGE.trunks.named(name).expect("a trunk of the configuration");
    let transport = EDGE.listener(trunk.listener).map_or(Transport::Udp, |listener| listener.transport);
    let connection = if transport.is_reliable() { ConnectionId(u64::from(peer) + 1) } else { ConnectionId::DATAGRAM };
    let remote = SocketAddr::new(ip.into(), 5080);
    Arrival { flow: Flow { listener: trunk.listener, transport, connection, remote, local: None }, from: trunk.id }
}

fn pick<T>(list: &[T], index: u8) -> Option<&T> {
    // The newest has number 0, so that short lists of events find what they have just brought about.
    list.iter().rev().nth(usize::from(index) % list.len().max(1))
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() == MEMORY {
        list.remove(0);
    }
    list.push(item);
}

fn parse(bytes: &Bytes) -> Option<Message> {
    Message::parse(bytes.clone(), Framing::Stream, &Limits::default()).ok()
}

/// What leaves is a message without a fault.
fn whole(bytes: &Bytes) -> Message {
    let message = Message::parse(bytes.clone(), Framing::Datagram, &Limits::default()).expect("what leaves is SIP");
    assert_eq!(message.flaw(), None, "{:?}", message.bytes());
    message
}
