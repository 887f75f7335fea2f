//! A SIP peer of the test's own over UDP: it sends and answers what the test wants, when it wants it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::place::Place;

/// A peer at a host of the place.
pub struct Peer {
    /// For who listens in another way.
    pub socket: UdpSocket,
    at: SocketAddr,
    edge: SocketAddr,
    number: u32,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Heard(pub String);

impl Heard {
    /// The method of a request; empty for an answer.
    pub fn method(&self) -> &str {
        let first = self.0.split(' ').next().unwrap_or_default();
        if first == "SIP/2.0" { "" } else { first }
    }

    /// The status of an answer; 0 for a request.
    pub fn status(&self) -> u16 {
        let mut words = self.0.split(' ');
        if words.next() == Some("SIP/2.0") { words.next().and_then(|word| word.parse().ok()).unwrap_or(0) } else { 0 }
    }

    /// All lines of a header, whole, with their breaks.
    pub fn lines(&self, name: &str) -> String {
        let is_it =
            |line: &&str| line.split_once(':').is_some_and(|(start, _)| start.trim().eq_ignore_ascii_case(name));
        let (head, _) = self.0.split_once("\r\n\r\n").unwrap_or((&self.0, ""));
        head.lines().skip(1).filter(is_it).map(|line| format!("{line}\r\n")).collect()
    }

    /// The first value of a header.
    pub fn value(&self, name: &str) -> String {
        let lines = self.lines(name);
        let value = lines.lines().next().and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or_default().to_owned()
    }

    /// The URI of its Contact, else of To.
    pub fn contact(&self) -> String {
        let contact = self.value("Contact");
        let address = if contact.is_empty() { self.value("To") } else { contact };
        address.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(uri, _)| uri).unwrap().to_owned()
    }
}

impl Peer {
    /// A peer at a host of the place, with SIP's port.
    pub fn at(place: &Place, host: u8) -> Self {
        let at = place.at(host);
        let socket = UdpSocket::bind(at).expect("the place is ours");
        Self { socket, at, edge: place.at(1), number: 0 }
    }

    /// Its address.
    pub const fn address(&self) -> SocketAddr {
        self.at
    }

    pub fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.edge).expect("loopback takes it");
    }

    /// The next message that is wanted; copies and others are passed over.
    pub fn hear(&self, what: &str, mut wanted: impl FnMut(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + SOON;
        let mut buffer = vec![0; 65_535];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} has not come");
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("a time");
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let heard = Heard(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if wanted(&heard) {
                return heard;
            }
        }
    }

    /// The next request of a method.
    pub fn request(&self, method: &str) -> Heard {
        self.hear(method, |heard| heard.method() == method)
    }

    /// The next answer of a status.
    pub fn response(&self, status: u16) -> Heard {
        self.hear(&format!("a {status}"), |heard| heard.status() == status)
    }

    /// Answers a request; `more` are whole header lines.
    pub fn answer(&self, request: &Heard, status: u16, more: &str) {
        let to = request.value("To");
        let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
        let contact = if more.contains("Contact:") { String::new() } else { format!("Contact: <sip:{}>\r\n", self.at) };
        let copied: String =
            ["Via", "Record-Route", "From", "Call-ID", "CSeq"].map(|name| request.lines(name)).concat();
        self.send(&format!(
            "SIP/2.0 {status} Whatever\r\n{copied}To: {to}{tag}\r\n{contact}{more}Content-Length: 0\r\n\r\n"
        ));
    }

    /// Calls a number as somebody; gives the INVITE.
    pub fn invite(&mut self, edge: SocketAddr, from: &str, called: &str) -> String {
        self.number += 1;
        let (at, number) = (self.at, self.number);
        let text = format!(
            "INVITE sip:{called}@{edge} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKp{number};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{from}@{at}>;tag=f{number}\r\nTo: <sip:{called}@{edge}>\r\nCall-ID: peer-{number}@{at}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:{from}@{at}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.send(&text);
        text
    }

    /// Gives a call up.
    pub fn cancel(&self, invite: &str) {
        let (_, rest) = invite.split_once(' ').expect("a request");
        let contact = invite.lines().find(|line| line.starts_with("Contact")).expect("a Contact");
        let rest = rest.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL").replace(&format!("{contact}\r\n"), "");
        self.send(&format!("CANCEL {rest}"));
    }

    /// Acknowledges the end of a call that was given up.
    pub fn ends(&self, invite: &str) {
        let end = self.response(487);
        let contact = invite.lines().find(|line| line.starts_with("Contact")).expect("a Contact");
        let (_, rest) = invite.split_once(' ').expect("a request");
        let to = invite.lines().find(|line| line.starts_with("To:")).expect("a To");
        let rest = rest.replace("CSeq: 1 INVITE", "CSeq: 1 ACK").replace(to, &format!("To: {}", end.value("To")));
        self.send(&format!("ACK {}", rest.replace(&format!("{contact}\r\n"), "")));
    }

    /// Acknowledges a 200.
    pub fn ack(&mut self, ok: &Heard) {
        let text = self.inside(ok, "ACK", 1);
        self.send(&text);
    }

    /// Hangs up, and waits for the answer.
    pub fn bye(&mut self, ok: &Heard) {
        let text = self.inside(ok, "BYE", 2);
        self.send(&text);
    }

    fn inside(&mut self, ok: &Heard, method: &str, cseq: u32) -> String {
        self.number += 1;
        let (at, number, uri) = (self.at, self.number, ok.contact());
        let routes: Vec<String> =
            ok.lines("Record-Route").lines().rev().map(|line| line.replacen("Record-Route", "Route", 1)).collect();
        let routes: String = routes.iter().map(|line| format!("{line}\r\n")).collect();
        let copied: String = ["From", "To", "Call-ID"].map(|name| ok.lines(name)).concat();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKp{number};rport\r\nMax-Forwards: 70\r\n{routes}{copied}\
             CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        )
    }
}
