//! Owned legs: the edge is killed in the middle of calls and started again; re-INVITE and BYE of either side pass.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::edge::Edge;
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

/// sipp ends its calls when a TCP connection breaks; these phones open another one.
#[test]
fn both_sides_hold_and_hang_up_over_tcp_after_kills() {
    for callee_first in [false, true] {
        let place = Place::new();
        let mut edge = Edge::start(&place, &config(&place));
        let mut caller = Phone::new(&place, CALLER);
        let mut callee = Phone::new(&place, CALLEE);
        let contact = format!("Contact: <sip:{};transport=tcp>\r\n", place.at(CALLER));
        caller.send(&caller.request("INVITE", &contact));
        let invite = callee.read();
        callee.learn_call(&invite);
        callee.reply(&callee.answer(&invite));
        caller.hear_ok();
        caller.send(&caller.request("ACK", ""));
        assert!(callee.read().starts_with("ACK "));
        let (first, second) = if callee_first { (&mut callee, &mut caller) } else { (&mut caller, &mut callee) };
        for round in 0..2 {
            edge.kill();
            edge = Edge::start(&place, &config(&place));
            for phone in [&mut *first, &mut *second] {
                (phone.out, phone.into) = (None, None);
            }
            let (from, to) = if round == 0 { (&mut *first, &mut *second) } else { (&mut *second, &mut *first) };
            from.asks(to, "INVITE");
            to.asks(from, "INVITE");
        }
        second.asks(first, "BYE");
        edge.stop();
    }
}

/// A user agent on TCP, as much as this test needs of one.
struct Phone {
    at: SocketAddr,
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
    fn new(place: &Place, host: u8) -> Self {
        let (at, edge) = (place.at(host), place.at(1));
        Self {
            at,
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

    fn contact(&self) -> String {
        format!("Contact: <sip:{};transport=tcp>\r\n", self.at)
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
        assert!(request.starts_with(&format!("{method} sip:{};transport=tcp SIP/2.0\r\n", other.at)), "{request}");
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
