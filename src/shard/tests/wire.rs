//! SIP text as peers write it, and a look at what the edge sent.

use std::net::SocketAddr;

use crate::call::branch::BranchId;
use crate::sip::Transport;
use crate::trunk::Hop;

/// Something that the edge sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub to: SocketAddr,
    pub transport: Transport,
    pub bytes: Vec<u8>,
    /// Of requests: the branch that wants to hear of a failure.
    pub branch: Option<BranchId>,
    /// Of requests: the whole hop. Of answers: where they go when their connection has gone.
    pub hop: Option<Hop>,
}

impl Sent {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The method of a request, or the status of an answer.
    pub(super) fn what(&self) -> String {
        what(&self.text())
    }

    pub(super) fn status(&self) -> u16 {
        self.what().parse().unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        headers(&self.text(), name).into_iter().next()
    }

    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        headers(&self.text(), name)
    }

    /// The branch parameter of the top Via.
    pub(super) fn via_branch(&self) -> String {
        param(&self.header("Via").expect("a Via"), "branch").expect("a branch")
    }

    pub(super) fn to_tag(&self) -> Option<String> {
        param(&self.header("To")?, "tag")
    }

    pub(super) fn uri(&self) -> String {
        self.text().split(' ').nth(1).expect("a Request-URI").to_owned()
    }

    /// The answer that a peer gives to this request.
    pub(super) fn answer(&self, status: u16, to_tag: &str) -> Answer {
        Answer::to(&self.text(), status, to_tag)
    }
}

pub(super) fn what(text: &str) -> String {
    let mut words = text.split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or_default().to_owned(),
        word => word.unwrap_or_default().to_owned(),
    }
}

/// The values of a header, one for each line, by its long name.
pub(super) fn headers(text: &str, name: &str) -> Vec<String> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
}

/// A `;name=value` parameter outside angle brackets.
pub(super) fn param(value: &str, name: &str) -> Option<String> {
    let params = value.rsplit('>').next().unwrap_or_default();
    let mut all = params.split(';').skip(1);
    all.find_map(|param| match param.split_once('=') {
        Some((key, value)) if key.trim().eq_ignore_ascii_case(name) => Some(value.trim().to_owned()),
        None if param.trim().eq_ignore_ascii_case(name) => Some(String::new()),
        _ => None,
    })
}

/// A request of a peer; the fields are what tests vary.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: String,
    pub uri: String,
    pub via: String,
    pub from_tag: String,
    pub to_tag: String,
    pub call_id: String,
    pub cseq: u32,
    pub max_forwards: Option<u8>,
    /// Whole lines.
    pub extra: String,
    pub body: String,
}

impl Request {
    /// A new request of the trunk `alice` over UDP.
    pub(super) fn new(method: &str, uri: &str, id: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            via: format!("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{id}-{method}"),
            from_tag: format!("f-{id}"),
            to_tag: String::new(),
            call_id: format!("call-{id}"),
            cseq: 1,
            max_forwards: Some(70),
            extra: String::new(),
            body: String::new(),
        }
    }

    pub(super) fn via(mut self, via: &str) -> Self {
        self.via = via.to_owned();
        self
    }

    pub(super) fn tagged(mut self, tag: &str) -> Self {
        self.to_tag = tag.to_owned();
        self
    }

    pub(super) fn cseq(mut self, cseq: u32) -> Self {
        self.cseq = cseq;
        self
    }

    pub(super) fn extra(mut self, line: &str) -> Self {
        self.extra.push_str(line);
        self.extra.push_str("\r\n");
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// The same request by another method, as CANCEL and ACK follow an INVITE.
    pub(super) fn following(&self, method: &str) -> Self {
        Self { method: method.to_owned(), body: String::new(), ..self.clone() }
    }

    pub(super) fn text(&self) -> String {
        let Self { method, uri, via, from_tag, to_tag, call_id, cseq, extra, body, .. } = self;
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let from_tag = if from_tag.is_empty() { String::new() } else { format!(";tag={from_tag}") };
        let forwards = self.max_forwards.map_or(String::new(), |left| format!("Max-Forwards: {left}\r\n"));
        let length = body.len();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\n{forwards}From: <sip:a@alice.example>{from_tag}\r\n\
             To: <sip:b@bob.example>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{extra}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }
}

/// An answer of a peer to what the edge sent it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    request: String,
    status: u16,
    to_tag: String,
    extra: String,
    body: String,
}

impl Answer {
    pub(super) fn to(request: &str, status: u16, to_tag: &str) -> Self {
        let (extra, body) = (String::new(), String::new());
        Self { request: request.to_owned(), status, to_tag: to_tag.to_owned(), extra, body }
    }

    pub(super) fn extra(mut self, line: &str) -> Self {
        self.extra.push_str(line);
        self.extra.push_str("\r\n");
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// With all that an answer copies from its request.
    pub(super) fn text(&self) -> String {
        let copied = |name: &str| {
            headers(&self.request, name).iter().map(|value| format!("{name}: {value}\r\n")).collect::<String>()
        };
        let to = headers(&self.request, "To").concat();
        let to = if self.status == 100 || self.to_tag.is_empty() || to.contains(";tag=") {
            to
        } else {
            format!("{to};tag={}", self.to_tag)
        };
        format!(
            "SIP/2.0 {} Some Reason\r\n{}{}{}To: {to}\r\n{}{}{}Content-Length: {}\r\n\r\n{}",
            self.status,
            copied("Via"),
            copied("Record-Route"),
            copied("From"),
            copied("Call-ID"),
            copied("CSeq"),
            self.extra,
            self.body.len(),
            self.body,
        )
    }
}
