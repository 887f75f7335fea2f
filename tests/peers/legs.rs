//! Owned legs: the edge is killed in the middle of calls and started again, another node takes over, keys are rotated;
//! re-INVITE and BYE of either side pass.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};

const CALLER: u8 = 2;
const CALLEE: u8 = 3;
const CALLS: u32 = 10;

/// The pause before the re-INVITE, in which the edge is killed and started.
const PAUSE: Duration = Duration::from_secs(4);

fn config(place: &Place) -> String {
    let mut text = String::new();
    for kind in ["udp", "tcp"] {
        text += &format!("[[listen]]\nname = \"{kind}\"\nbind = \"{kind}:{}\"\n\n", place.at(1));
        for (side, host) in [("caller", CALLER), ("callee", CALLEE)] {
            text += &format!(
                "[trunk.{kind}-{side}]\nkind = \"pbx\"\nlisten = \"{kind}\"\ntargets = [\"{kind}:{}\"]\n\
                 transparent = false\n\n",
                place.at(host)
            );
        }
    }
    text += "[state]\ndir = \"state\"\n\n[control]\nsocket = \"control.sock\"\n\n";
    text + "[dialplan.numbers]\nrules = [\n    { prefix = \"2\", tag = \"udp-callee\" },\n    \
            { prefix = \"3\", tag = \"tcp-callee\" },\n]\n"
}

/// Calls that the edge does not live to see the end of.
fn killed(caller: Scenario, callee: Scenario) {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place));
    let callee = Sipp::callee(&place, CALLEE, callee).calls(CALLS, CALLS).pause(PAUSE).start(&place);
    let caller = Sipp::caller(&place, CALLER, caller, "2001").calls(CALLS, CALLS).pause(PAUSE).start(&place);
    // An INVITE and an ACK of each call.
    until("all calls are up", SOON, || {
        (edge.metric("trunkway_requests_forwarded_total") >= f64::from(2 * CALLS)).then_some(())
    });
    edge.kill();
    let edge = Edge::start(&place, &config(&place));
    callee.finish();
    caller.finish();
    // re-INVITE, ACK and BYE of each call.
    until("all that came is counted", SOON, || {
        (edge.metric("trunkway_requests_forwarded_total") >= f64::from(3 * CALLS)).then_some(())
    });
    for name in ["trunkway_tokens_refused_total", "trunkway_not_sealed_total", "trunkway_requests_refused_total"] {
        assert_eq!(edge.metric(name), 0.0, "{name}");
    }
    edge.stop();
}

#[test]
fn the_caller_holds_and_hangs_up_after_a_kill() {
    killed(scenario("caller"), scenario("callee"));
}

#[test]
fn the_callee_holds_and_hangs_up_after_a_kill() {
    killed(scenario("caller-listens"), scenario("callee-hangs-up"));
}

/// A call between phones on TCP that is up. sipp ends its calls when a connection breaks; these open another one.
struct Up {
    caller: Phone,
    callee: Phone,
}

impl Up {
    /// The phones have Contacts with these user parts.
    fn new(place: &Place, users: [&str; 2]) -> Self {
        let [caller, callee] = users;
        let (caller, callee) = (Phone::new(place, CALLER, caller), Phone::new(place, CALLEE, callee));
        Self { caller, callee }.set_up()
    }

    /// The caller calls, and the callee answers.
    fn set_up(mut self) -> Self {
        let Self { caller, callee } = &mut self;
        caller.send(&caller.request("INVITE", &caller.contact()));
        let invite = callee.read();
        callee.learn_call(&invite);
        callee.reply(&callee.answer(&invite));
        caller.hear_ok();
        caller.send(&caller.request("ACK", ""));
        assert!(callee.read().starts_with("ACK "));
        self
    }

    /// The edge is another process: all connections are gone.
    fn reconnect(&mut self) {
        for phone in [&mut self.caller, &mut self.callee] {
            (phone.out, phone.into) = (None, None);
        }
    }

    /// Another call of the same phones: they go on listening where they did.
    fn again(mut self, call: &str) -> Self {
        self.caller.begin(call);
        self.set_up()
    }

    /// Both sides, the callee first when it is so wanted.
    fn sides(&mut self, callee_first: bool) -> (&mut Phone, &mut Phone) {
        let Self { caller, callee } = self;
        if callee_first { (callee, caller) } else { (caller, callee) }
    }
}

/// Longer than a URI may be.
fn long() -> String {
    (0..40).map(|at: u32| format!("{:08x}-", at.wrapping_mul(0x9e37_79b9))).collect()
}

fn kept_alive(users: [&str; 2]) {
    for callee_first in [false, true] {
        let place = Place::new();
        let mut edge = Edge::start(&place, &config(&place));
        let mut call = Up::new(&place, users);
        for phone in [&call.caller, &call.callee] {
            assert!(phone.target.len() <= 254, "{}", phone.target);
        }
        for round in 0..2 {
            edge.kill();
            edge = Edge::start(&place, &config(&place));
            call.reconnect();
            let (from, to) = call.sides(callee_first != (round == 1));
            from.asks(to, "INVITE");
            to.asks(from, "INVITE");
        }
        let (first, second) = call.sides(callee_first);
        second.asks(first, "BYE");
        edge.stop();
    }
}

#[test]
fn both_sides_hold_and_hang_up_over_tcp_after_kills() {
    kept_alive(["", ""]);
}

/// What does not fit into a URI was written down before the message left that needs it.
#[test]
fn calls_between_long_contacts_outlive_kills() {
    let long = long();
    kept_alive([&long, ""]);
    kept_alive(["", &long]);
    kept_alive([&long, &long]);
}

#[test]
fn a_node_without_the_file_takes_over_all_calls_but_those_that_need_it() {
    let place = Place::new();
    let other = config(&place).replace("dir = \"state\"", "dir = \"state-of-another\"");
    let edge = Edge::start(&place, &config(&place));
    let mut call = Up::new(&place, ["", ""]);
    edge.kill();
    // The same address, key and configuration, and nothing else of the first.
    let edge = Edge::start(&place, &other);
    call.reconnect();
    let Up { caller, callee } = &mut call;
    callee.asks(caller, "INVITE");
    caller.asks(callee, "INVITE");
    callee.asks(caller, "BYE");
    edge.kill();

    let edge = Edge::start(&place, &config(&place));
    call.reconnect();
    call.callee.user = long();
    let mut call = call.again("long");
    edge.kill();
    let edge = Edge::start(&place, &other);
    call.reconnect();
    let Up { caller, callee } = &mut call;
    // What the callee needs is in its token; what the caller needs is in the file.
    assert!(caller.refused("INFO").starts_with("SIP/2.0 481 "));
    until("it is counted", SOON, || (edge.metric("trunkway_tokens_refused_total") == 1.0).then_some(()));
    callee.asks(caller, "BYE");
    edge.stop();
}

/// `trunkway keys rotate` at the running edge.
fn rotate(place: &Place, force: &[&str]) -> String {
    let output = trunkway("keys")
        .args(["rotate", "--config", "edge.toml"])
        .args(force)
        .current_dir(place.folder())
        .output()
        .expect("the program runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn calls_go_on_when_keys_are_rotated_and_end_with_their_key() {
    let place = Place::new();
    let mut edge = Edge::start(&place, &config(&place));
    let mut call = Up::new(&place, ["", ""]);
    let key = || std::fs::read_to_string(place.folder().join("seal.key")).unwrap();
    let before = key();
    let said = rotate(&place, &[]);
    assert!(said.contains("new calls and those that are up"), "{said}");
    assert!(key().lines().nth(1) == before.lines().next(), "the key before is the second one");
    {
        let Up { caller, callee } = &mut call;
        caller.asks(callee, "INVITE");
        callee.asks(caller, "INVITE");
    }
    // The file has it, too: a killed edge knows both keys again.
    edge.kill();
    edge = Edge::start(&place, &config(&place));
    call.reconnect();
    {
        let Up { caller, callee } = &mut call;
        callee.asks(caller, "INVITE");
        caller.asks(callee, "INFO");
    }
    let said = rotate(&place, &[]);
    assert!(said.contains("force"), "the call would be lost: {said}");
    rotate(&place, &["--force"]);
    assert!(call.caller.refused("INFO").starts_with("SIP/2.0 481 "));
    assert!(call.callee.refused("BYE").starts_with("SIP/2.0 481 "));
    until("both are counted", SOON, || {
        let page = edge.page();
        page.contains("trunkway_tokens_refused_total{reason=\"key\"} 2").then_some(())
    });
    let mut call = call.again("new");
    rotate(&place, &["--force"]);
    let Up { caller, callee } = &mut call;
    callee.asks(caller, "INVITE");
    caller.asks(callee, "BYE");
    edge.stop();
}

/// A user agent on TCP, as much as this test needs of one.
struct Phone {
    at: SocketAddr,
    /// The user part of its Contact.
    user: String,
    edge: SocketAddr,
    listener: TcpListener,
    /// To the edge: requests go out by it, and their answers come back.
    out: Option<TcpStream>,
    /// From the edge.
    into: Option<TcpStream>,
    call_id: String,
    own: String,
    other: String,
    target: String,
    cseq: Cell<u32>,
}

impl Phone {
    fn new(place: &Place, host: u8, user: &str) -> Self {
        let (at, edge) = (place.at(host), place.at(1));
        Self {
            at,
            user: user.to_owned(),
            edge,
            listener: TcpListener::bind(at).expect("the phone's address"),
            out: None,
            into: None,
            call_id: format!("call@{at}"),
            own: format!("<sip:{at}>;tag=own{host}"),
            other: "<sip:3001@edge.example>".to_owned(),
            target: format!("sip:3001@{edge};transport=tcp"),
            cseq: Cell::new(0),
        }
    }

    fn contact_uri(&self) -> String {
        let Self { at, user, .. } = self;
        if user.is_empty() { format!("sip:{at};transport=tcp") } else { format!("sip:{user}@{at};transport=tcp") }
    }

    fn contact(&self) -> String {
        format!("Contact: <{}>\r\n", self.contact_uri())
    }

    /// Forgets its call and is about to make another.
    fn begin(&mut self, call: &str) {
        let Self { at, edge, .. } = *self;
        self.call_id = format!("{call}@{at}");
        self.own = format!("<sip:{at}>;tag={call}");
        self.other = "<sip:3001@edge.example>".to_owned();
        self.target = format!("sip:3001@{edge};transport=tcp");
    }

    /// A request that the edge itself answers.
    fn refused(&mut self, method: &str) -> String {
        self.send(&self.request(method, ""));
        self.hear()
    }

    fn request(&self, method: &str, lines: &str) -> String {
        if method != "ACK" {
            self.cseq.set(self.cseq.get() + 1);
        }
        let Self { at, call_id, own, other, target, .. } = self;
        let cseq = self.cseq.get();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/TCP {at};branch=z9hG4bK{}{cseq}{method}\r\nMax-Forwards: 70\r\n\
             From: {own}\r\nTo: {other}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{lines}Content-Length: 0\r\n\r\n",
            at.ip()
        )
    }

    /// A 200 with the phone's Contact.
    fn answer(&self, request: &str) -> String {
        let copied = |name: &str| format!("{name}: {}\r\n", header(request, name));
        let to = header(request, "To");
        let to = if to.contains(";tag=") { to } else { self.own.clone() };
        let [via, from, id, cseq] = ["Via", "From", "Call-ID", "CSeq"].map(copied);
        format!("SIP/2.0 200 OK\r\n{via}{from}To: {to}\r\n{id}{cseq}{}Content-Length: 0\r\n\r\n", self.contact())
    }

    /// The dialog, as the INVITE begins it.
    fn learn_call(&mut self, invite: &str) {
        self.call_id = header(invite, "Call-ID");
        self.own = format!("{};tag=callee", header(invite, "To"));
        self.other = header(invite, "From");
        self.target = uri(&header(invite, "Contact"));
    }

    /// Reads until the 200 and learns from it.
    fn hear_ok(&mut self) {
        let ok = loop {
            let answer = self.hear();
            if !answer.starts_with("SIP/2.0 1") {
                break answer;
            }
        };
        assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
        assert_eq!(header(&ok, "Call-ID"), self.call_id);
        self.other = header(&ok, "To");
        self.target = uri(&header(&ok, "Contact"));
    }

    /// A request in the dialog, which the other answers.
    fn asks(&mut self, other: &mut Self, method: &str) {
        self.send(&self.request(method, if method == "INVITE" { self.contact() } else { String::new() }.as_str()));
        let request = other.read();
        assert!(request.starts_with(&format!("{method} {} SIP/2.0\r\n", other.contact_uri())), "{request}");
        assert_eq!(header(&request, "Call-ID"), other.call_id);
        if method == "INVITE" {
            other.target = uri(&header(&request, "Contact"));
        }
        other.reply(&other.answer(&request));
        self.hear_ok();
        if method == "INVITE" {
            self.send(&self.request("ACK", ""));
            assert!(other.read().starts_with("ACK "));
        }
    }

    /// Sends a request.
    fn send(&mut self, text: &str) {
        let (at, edge) = (self.at, self.edge);
        let out = self.out.get_or_insert_with(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(at.ip(), 0).into()).unwrap();
            socket.connect(&edge.into()).expect("the edge listens");
            socket.into()
        });
        out.write_all(text.as_bytes()).expect("the connection holds");
    }

    /// Reads an answer.
    fn hear(&mut self) -> String {
        read(self.out.as_mut().expect("a request was sent"))
    }

    /// Reads a request.
    fn read(&mut self) -> String {
        let listener = &self.listener;
        read(self.into.get_or_insert_with(|| listener.accept().expect("the edge connects").0))
    }

    /// Sends an answer.
    fn reply(&mut self, text: &str) {
        self.into.as_mut().expect("a request came").write_all(text.as_bytes()).expect("the connection holds");
    }
}

/// Reads one message; none has a body.
fn read(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a message comes");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn header(text: &str, name: &str) -> String {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
}

fn uri(address: &str) -> String {
    address.trim_start_matches('<').trim_end_matches('>').to_owned()
}
