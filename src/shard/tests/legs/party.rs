//! A user agent as RFC 3261 section 12 wants it: it keeps what a dialog is made of and nothing else.

use std::sync::Arc;

use super::super::wire::{Sent, headers, param, what};
use super::super::world::{World, own_all_legs};
use crate::sip::Transport;
use crate::trunk::{Dialect, Trunk, TrunkKind};

/// One side of a call.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub addr: &'static str,
    pub transport: Transport,
    /// Its own Contact's URI.
    pub contact: String,
    pub call_id: String,
    /// From and To as it sends them, tags included.
    pub own: String,
    pub other: String,
    /// The Contact of the other side, as far as it knows.
    pub target: String,
    pub routes: Vec<String>,
    pub cseq: u32,
    /// Whole lines that its requests and answers carry.
    pub extra: String,
}

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n";

impl Party {
    pub(super) fn new(addr: &'static str, transport: Transport, user: &str, called: &str) -> Self {
        let suffix = if transport.is_reliable() { ";transport=tcp" } else { "" };
        Self {
            addr,
            transport,
            contact: format!("sip:{user}@{addr}{suffix}"),
            call_id: format!("{user}-{called}@{addr}"),
            own: format!("\"{user}\" <sip:{user}@{addr};user=phone>;tag=of-{user}"),
            other: format!("<sip:{called}@192.0.2.1>"),
            target: format!("sip:{called}@192.0.2.1"),
            routes: Vec::new(),
            cseq: 0,
            extra: format!("User-Agent: Phone of {user}\r\n"),
        }
    }

    /// A request of it; the branch is new for each CSeq and method, and so is the version of the description.
    pub(super) fn request(&mut self, method: &str) -> String {
        let body = match method {
            "INVITE" if !self.other.contains(";tag=") => SDP.to_owned(),
            "INVITE" | "UPDATE" => SDP.replace("o=- 1 1 ", &format!("o=- 1 {} ", self.cseq + 100)),
            _ => String::new(),
        };
        self.request_with(method, &body)
    }

    /// A request of it with this session description, or none.
    pub(super) fn request_with(&mut self, method: &str, body: &str) -> String {
        if !matches!(method, "ACK" | "CANCEL") {
            self.cseq += 1;
        }
        let Self { addr, call_id, own, other, target, cseq, extra, contact, .. } = self;
        let routes: String = self.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let (tag, via) = (param(own, "tag").unwrap_or_default(), self.transport.via_token());
        let contact = match method {
            "INVITE" | "UPDATE" | "SUBSCRIBE" | "REFER" | "NOTIFY" => format!("Contact: <{contact}>\r\n"),
            _ => String::new(),
        };
        let kind = content_type(body, extra);
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via} {addr};branch=z9hG4bK{tag}{cseq}{method}\r\n{routes}\
             Max-Forwards: 70\r\nFrom: {own}\r\nTo: {other}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{extra}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub(super) fn send(&self, world: &mut World, text: &str) {
        world.arrive(self.transport, self.addr.parse().expect("an address"), text.as_bytes());
    }

    /// It sends a request and gets this answer, less provisional ones: takes what was sent out of the world.
    #[track_caller]
    pub(super) fn asks(&mut self, world: &mut World, method: &str) -> Sent {
        let text = self.request(method);
        self.send(world, &text);
        let mut sent = world.take();
        sent.retain(|sent| sent.status() != 100);
        assert_eq!(sent.len(), 1, "{method}: {sent:?}");
        sent.remove(0)
    }

    /// The INVITE that came makes it the callee: it answers with this status.
    pub(super) fn answer_text(&mut self, request: &str, status: u16, more: &str) -> String {
        let one = |name: &str| headers(request, name).concat();
        let tag = param(&self.own, "tag").unwrap_or_default();
        let mut to = one("To");
        if !to.contains(";tag=") {
            to = format!("{to};tag={tag}");
            (self.call_id, self.other, self.own) = (one("Call-ID"), one("From"), to.clone());
        }
        if !one("Contact").is_empty() {
            self.target = uri(&one("Contact"));
        }
        let copied =
            |name: &str| headers(request, name).iter().map(|value| format!("{name}: {value}\r\n")).collect::<String>();
        let body = if one("CSeq").ends_with("INVITE") && status == 200 { SDP } else { "" };
        let kind = content_type(body, more);
        format!(
            "SIP/2.0 {status} Some Reason\r\n{}{}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <{}>\r\n\
             Server: Phone of {tag}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            copied("Via"),
            copied("Record-Route"),
            one("From"),
            to,
            one("Call-ID"),
            one("CSeq"),
            self.contact,
            body.len()
        )
    }

    /// It answers what the edge sent it; gives what the edge makes of that.
    #[track_caller]
    pub(super) fn answers(&mut self, world: &mut World, request: &Sent, status: u16, more: &str) -> Sent {
        assert_eq!(request.to, self.addr.parse().unwrap(), "{}", request.text());
        let text = self.answer_text(&request.text(), status, more);
        self.send(world, &text);
        let mut sent = world.take();
        sent.retain(|sent| !matches!(sent.what().as_str(), "ACK" | "BYE"));
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// A final or early answer came to its request: it learns the dialog from it (RFC 3261 section 12.1.2).
    #[track_caller]
    pub(super) fn learns(&mut self, answer: &Sent) {
        assert_eq!(answer.to, self.addr.parse().unwrap(), "{}", answer.text());
        assert_eq!(answer.header("Call-ID").as_ref(), Some(&self.call_id));
        assert_eq!(answer.header("From").as_ref(), Some(&self.own));
        let first = !self.other.contains(";tag=");
        let other = answer.header("To").expect("a To");
        assert!(other.starts_with(&*self.other), "{other} for {}", self.other);
        self.other = other;
        if let Some(contact) = answer.header("Contact") {
            self.target = uri(&contact);
        }
        if first {
            self.routes = answer.headers("Record-Route").into_iter().rev().collect();
        }
    }

    /// A request in the dialog: the other answers 200; both learn what they must.
    #[track_caller]
    pub(super) fn agrees_with(&mut self, world: &mut World, other: &mut Self, method: &str) {
        let sent = self.asks(world, method);
        assert_eq!(sent.what(), method, "{}", sent.text());
        assert_eq!((sent.to, sent.transport), (other.addr.parse().unwrap(), other.transport), "{}", sent.text());
        assert_eq!(sent.uri(), other.contact, "{}", sent.text());
        assert_eq!(sent.header("Call-ID").as_ref(), Some(&other.call_id));
        let tag = |value: &str| param(value, "tag");
        assert_eq!(tag(&sent.header("From").unwrap()), tag(&other.other));
        assert_eq!(tag(&sent.header("To").unwrap()), tag(&other.own));
        assert_eq!(sent.headers("Via").len(), 1);
        let back = other.answers(world, &sent, 200, "");
        assert_eq!(back.status(), 200, "{}", back.text());
        self.learns(&back);
        if method == "INVITE" {
            let ack = self.asks(world, "ACK");
            assert_eq!((ack.what().as_str(), ack.to), ("ACK", other.addr.parse().unwrap()), "{}", ack.text());
            assert_eq!((ack.uri(), ack.header("Call-ID").unwrap()), (other.contact.clone(), other.call_id.clone()));
        }
    }
}

/// The type of a body, unless it is among other lines.
fn content_type(body: &str, lines: &str) -> &'static str {
    if body.is_empty() || lines.contains("Content-Type") { "" } else { "Content-Type: application/sdp\r\n" }
}

/// The URI of an address.
pub(super) fn uri(address: &str) -> String {
    let uri = address.split('<').nth(1).and_then(|rest| rest.split('>').next());
    uri.unwrap_or(address).to_owned()
}

/// The user part of a URI.
pub(super) fn user(uri: &str) -> String {
    uri.trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned()
}

/// A world in which no trunk is transparent.
pub(super) fn owned() -> World {
    World::with(own_all_legs, 1_000)
}

/// A world in which no trunk is transparent and `change` has altered the trunks that it knows by name.
pub(super) fn speaking(change: impl Fn(&str, &mut Trunk)) -> World {
    World::with(
        |edge| {
            own_all_legs(edge);
            for trunk in &mut Arc::make_mut(&mut edge.trunks).0 {
                let name = Arc::clone(&trunk.name);
                change(&name, trunk);
            }
        },
        1_000,
    )
}

/// Makes a trunk one of Teams'.
pub(super) fn make_teams(trunk: &mut Trunk) {
    trunk.kind = TrunkKind::Teams;
    trunk.dialect = Arc::new(Dialect::of_kind(TrunkKind::Teams));
    trunk.failover_codes = vec![503];
}

/// The message with a session description as its body.
pub(super) fn described(text: &str) -> String {
    let head = text.split("\r\n\r\n").next().unwrap_or_default().replace("Content-Length: 0", "");
    format!("{}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}", head.trim_end(), SDP.len())
}

/// A call that is up.
pub(super) struct Call {
    pub world: World,
    pub caller: Party,
    pub callee: Party,
    /// All messages of its setup that the edge sent.
    pub seen: Vec<Sent>,
}

/// `caller` calls and `callee` answers, both with whole lines of their own.
#[track_caller]
pub(super) fn set_up(mut world: World, mut caller: Party, mut callee: Party, invite: &str, answer: &str) -> Call {
    let plain = caller.extra.clone();
    caller.extra.push_str(invite);
    let sent = caller.asks(&mut world, "INVITE");
    caller.extra = plain;
    callee.routes = sent.headers("Record-Route");
    let ringing = callee.answers(&mut world, &sent, 180, answer);
    caller.learns(&ringing);
    let ok = callee.answers(&mut world, &sent, 200, answer);
    assert_eq!((ringing.status(), ok.status()), (180, 200));
    caller.learns(&ok);
    let ack = caller.asks(&mut world, "ACK");
    assert_eq!(what(&ack.text()), "ACK");
    Call { world, caller, callee, seen: vec![sent, ringing, ok, ack] }
}
