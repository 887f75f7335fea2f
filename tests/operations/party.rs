//! Two ends of a call over UDP, step by step, in the hand of a test.

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::place::Place;

/// One end, at an address of its own.
pub struct Party {
    socket: UdpSocket,
    at: SocketAddr,
    count: Cell<u32>,
}

/// A call that rings: the caller's INVITE, and the one that came to the callee.
pub struct Ringing {
    edge: SocketAddr,
    sent: String,
    came: String,
}

/// A call that is up, as its caller and its callee see it.
pub struct Up {
    edge: SocketAddr,
    caller: Dialog,
    callee: Dialog,
}

/// One side of a dialog (RFC 3261 section 12).
#[derive(Clone)]
struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    cseq: Cell<u32>,
}

/// OPTIONS to the edge itself.
pub fn options(place: &Place, host: u8) -> String {
    request("OPTIONS", &format!("sip:{}", place.at(1)), place.at(host))
}

/// An INVITE for a number.
pub fn invite(place: &Place, host: u8, number: &str) -> String {
    request("INVITE", &format!("sip:{number}@{}", place.at(1)), place.at(host))
}

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";

/// A request outside of any dialog; `BRANCH` and `CALL` stand for what makes it unique.
fn request(method: &str, uri: &str, at: SocketAddr) -> String {
    let body = if method == "INVITE" { SDP } else { "" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKBRANCH\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@{at}>;tag=fCALL\r\nTo: <{uri}>\r\nCall-ID: CALL@{at}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:1001@{at}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Party {
    pub fn new(at: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind(at).expect("the address is free"), at, count: Cell::new(0) }
    }

    /// Sends a request and gives the status of its final answer.
    pub fn ask(&self, edge: SocketAddr, request: &str) -> u16 {
        self.ask_whole(edge, request).0
    }

    /// Sends a request a single time and gives the status of its final answer.
    pub fn ask_once(&self, edge: SocketAddr, request: &str) -> u16 {
        let request = self.unique(request);
        self.send(edge, &request);
        status(&self.wait("an answer", |message| status(message) >= 200))
    }

    /// Sends a request, again and again as RFC 3261 has it, and gives its final answer.
    pub fn ask_whole(&self, edge: SocketAddr, request: &str) -> (u16, String) {
        let request = self.unique(request);
        let deadline = Instant::now() + SOON;
        loop {
            self.send(edge, &request);
            let answer = self.next(Duration::from_secs(2), |message| {
                status(message) >= 200 && field(message, "Via").contains(&branch_of(&request))
            });
            if let Some(answer) = answer {
                return (status(&answer), answer);
            }
            assert!(Instant::now() < deadline, "no answer to:\n{request}");
        }
    }

    /// Calls, and lets it ring.
    pub fn ring(&self, callee: &Self, edge: SocketAddr, number: &str) -> Ringing {
        let sent = self.unique(&request("INVITE", &format!("sip:{number}@{edge}"), self.at));
        self.send(edge, &sent);
        let came = callee.wait("an INVITE", |message| message.starts_with("INVITE "));
        callee.send(edge, &answer(&came, "180 Ringing", callee.at, ""));
        self.wait("a 180", |message| status(message) == 180);
        Ringing { edge, sent, came }
    }

    /// Calls, and waits until the call is up.
    pub fn call(&self, callee: &Self, edge: SocketAddr, number: &str) -> Up {
        self.ring(callee, edge, number).answer(self, callee)
    }

    fn unique(&self, request: &str) -> String {
        self.count.set(self.count.get() + 1);
        let number = format!("{}x{}", self.count.get(), std::process::id());
        request.replace("BRANCH", &format!("b{number}")).replace("CALL", &format!("c{number}"))
    }

    fn send(&self, to: SocketAddr, message: &str) {
        self.socket.send_to(message.as_bytes(), to).expect("the message can be sent");
    }

    fn wait(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        self.next(SOON, fits).unwrap_or_else(|| panic!("{}: {what} did not come", self.at))
    }

    fn next(&self, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            let rest = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())?;
            self.socket.set_read_timeout(Some(rest)).expect("a socket takes a limit");
            let mut buffer = [0; 65_535];
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if fits(&message) {
                return Some(message);
            }
        }
    }
}

impl Ringing {
    /// The callee answers, the caller acknowledges.
    pub fn answer(self, caller: &Party, callee: &Party) -> Up {
        let Self { edge, sent, came } = self;
        callee.send(edge, &answer(&came, "200 OK", callee.at, SDP));
        let ok = caller.wait("a 200", |message| status(message) == 200 && cseq(message) == "1 INVITE");
        let mut routes = fields(&ok, "Record-Route");
        routes.reverse();
        let near = Dialog {
            call_id: field(&sent, "Call-ID"),
            local: field(&sent, "From"),
            remote: field(&ok, "To"),
            target: uri(&field(&ok, "Contact")),
            routes,
            cseq: Cell::new(1),
        };
        caller.send(edge, &near.request("ACK", caller, 1, ""));
        callee.wait("an ACK", |message| message.starts_with("ACK "));
        let far = Dialog {
            call_id: field(&came, "Call-ID"),
            local: format!("{};tag=callee", field(&came, "To")),
            remote: field(&came, "From"),
            target: uri(&field(&came, "Contact")),
            routes: fields(&came, "Record-Route"),
            cseq: Cell::new(100),
        };
        Up { edge, caller: near, callee: far }
    }
}

impl Ringing {
    /// The edge gives it up: a CANCEL for the callee, a final answer for the caller, whose status this gives.
    pub fn refused(self, caller: &Party, callee: &Party) -> u16 {
        let Self { edge, sent, came } = self;
        let cancel = callee.wait("a CANCEL", |message| message.starts_with("CANCEL "));
        callee.send(edge, &answer(&cancel, "200 OK", callee.at, ""));
        callee.send(edge, &answer(&came, "487 Request Terminated", callee.at, ""));
        let branch = branch_of(&sent);
        let last = caller.wait("a refusal", |message| {
            status(message) >= 300 && field(message, "Via").contains(&branch) && cseq(message) == "1 INVITE"
        });
        let (uri, to) = (sent.split(' ').nth(1).unwrap_or_default(), field(&last, "To"));
        let [via, from, call_id] = ["Via", "From", "Call-ID"].map(|name| field(&sent, name));
        caller.send(
            edge,
            &format!(
                "ACK {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
                 Call-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
            ),
        );
        status(&last)
    }
}

impl Up {
    /// The edge ends the call on both sides.
    pub fn is_hung_up(&self, caller: &Party, callee: &Party) {
        for party in [caller, callee] {
            let bye = party.wait("a BYE", |message| message.starts_with("BYE "));
            party.send(self.edge, &answer(&bye, "200 OK", party.at, ""));
        }
    }

    /// The caller offers anew; gives the status.
    pub fn reinvite(&self, caller: &Party, callee: &Party) -> u16 {
        let number = self.caller.next_cseq();
        caller.send(self.edge, &self.caller.request("INVITE", caller, number, SDP));
        let came = callee.wait("a re-INVITE", |message| message.starts_with("INVITE "));
        callee.send(self.edge, &answer(&came, "200 OK", callee.at, SDP));
        let wanted = format!("{number} INVITE");
        let ok = caller.wait("an answer", |message| status(message) >= 200 && cseq(message) == wanted);
        caller.send(self.edge, &self.caller.request("ACK", caller, number, ""));
        callee.wait("an ACK", |message| message.starts_with("ACK "));
        status(&ok)
    }

    /// The callee hangs up; gives the status.
    pub fn hang_up(&self, caller: &Party, callee: &Party) -> u16 {
        let number = self.callee.next_cseq();
        callee.send(self.edge, &self.callee.request("BYE", callee, number, ""));
        let came = caller.wait("a BYE", |message| message.starts_with("BYE "));
        caller.send(self.edge, &answer(&came, "200 OK", caller.at, ""));
        let wanted = format!("{number} BYE");
        status(&callee.wait("an answer", |message| status(message) >= 200 && cseq(message) == wanted))
    }
}

impl Dialog {
    fn next_cseq(&self) -> u32 {
        self.cseq.set(self.cseq.get() + 1);
        self.cseq.get()
    }

    fn request(&self, method: &str, party: &Party, number: u32, body: &str) -> String {
        let Self { call_id, local, remote, target, routes, .. } = self;
        let at = party.at;
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        party.unique(&format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKBRANCH\r\nMax-Forwards: 70\r\n{routes}\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\nContact: <sip:x@{at}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// An answer to a request that came.
fn answer(request: &str, what: &str, at: SocketAddr, body: &str) -> String {
    let copied: String = request
        .lines()
        .filter(|line| {
            ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"].iter().any(|name| line.starts_with(name))
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    let to = field(request, "To");
    let to = if to.contains("tag=") { to } else { format!("{to};tag=callee") };
    format!(
        "SIP/2.0 {what}\r\n{copied}To: {to}\r\nContact: <sip:x@{at}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Zero for a request.
fn status(message: &str) -> u16 {
    let code = message.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn cseq(message: &str) -> String {
    field(message, "CSeq")
}

fn fields(message: &str, name: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    let of_name = |line: &str| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    head.lines().skip(1).filter_map(of_name).collect()
}

fn field(message: &str, name: &str) -> String {
    fields(message, name).into_iter().next().unwrap_or_else(|| panic!("no {name} in:\n{message}"))
}

fn branch_of(request: &str) -> String {
    let via = field(request, "Via");
    via.split_once("branch=").expect("a Via has a branch").1.to_owned()
}

fn uri(contact: &str) -> String {
    contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("a URI in brackets").0.to_owned()
}
