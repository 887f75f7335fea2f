//! Writing the bridge's requests and answers (RFC 3261 sections 8.1.1, 8.2.6 and 12.1.1).

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::Bytes;

use super::{Answer, Ask, Verb, Ways};
use crate::sip::build;
use crate::sip::edit::{write_decimal, write_header};
use crate::sip::{HeaderName, Message};
use crate::trunk::{Hop, ListenerId, TrunkId};

impl Verb {
    /// The method's name.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
        }
    }
}

/// What the marks in the texts of an [`Ask`] stand for.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    local: String,
    target: Box<str>,
}

impl Marks {
    /// Those of a request to a trunk whose target has this authority.
    pub fn new(ways: &dyn Ways, trunk: TrunkId, target: Box<str>) -> Self {
        let mut host = Vec::with_capacity(64);
        ways.write_host(trunk, &mut host);
        Self { local: String::from_utf8_lossy(&host).into_owned(), target }
    }

    /// The text with the marks filled in.
    pub fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let has = |mark: &str| text.contains(mark);
        match (has("{local}"), has("{target}")) {
            (false, false) => Cow::Borrowed(text),
            _ => Cow::Owned(text.replace("{local}", &self.local).replace("{target}", &self.target)),
        }
    }
}

/// One try of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try<'a> {
    pub ask: &'a Ask,
    pub hop: &'a Hop,
    pub branch: &'a str,
    pub cseq: u32,
    pub marks: &'a Marks,
    /// Names and values of what answers challenges.
    pub proofs: &'a [(&'static str, String)],
}

/// Writes a request.
pub(super) fn request(ways: &dyn Ways, tried: Try<'_>) -> Bytes {
    let Try { ask, hop, branch, cseq, marks, proofs } = tried;
    let (kind, body) = match &ask.body {
        Some((kind, body)) => (Some(*kind), &body[..]),
        None => (None, &b""[..]),
    };
    let mut out = Vec::with_capacity(640 + body.len());
    let method = ask.verb.method();
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    push_clean(&mut out, &marks.fill(&ask.uri));
    out.extend_from_slice(b" SIP/2.0\r\nVia: ");
    ways.write_via(hop, branch, &mut out);
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\n");
    for route in &ask.route {
        line(&mut out, "Route", route);
    }
    line(&mut out, "From", &marks.fill(&ask.from));
    line(&mut out, "To", &marks.fill(&ask.to));
    line(&mut out, "Call-ID", &ask.call_id);
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(cseq));
    out.push(b' ');
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\r\n");
    if !ask.contact_user.is_empty() {
        contact(&mut out, ways, hop.trunk, hop.listener, &ask.contact_user);
    }
    for (name, value) in proofs {
        line(&mut out, name, value);
    }
    for (name, value) in &ask.headers {
        line(&mut out, name, &marks.fill(value));
    }
    end(&mut out, kind, body);
    out.into()
}

/// Writes the answer to a request that came from `remote` on a listener.
pub(super) fn answer(
    ways: &dyn Ways,
    (trunk, listener): (TrunkId, ListenerId),
    (request, remote): (&Message, SocketAddr),
    answer: &Answer,
    tag: &str,
) -> Bytes {
    let mut headers = Vec::with_capacity(256);
    if (200..300).contains(&answer.status) && answer.to_tag.is_some() {
        for line in request.lines_of(HeaderName::RecordRoute) {
            write_header(&mut headers, "Record-Route", &unfolded(request.value_at(line)));
        }
    }
    if let Some(user) = &answer.contact_user {
        contact(&mut headers, ways, trunk, listener, user);
    }
    for (name, value) in &answer.headers {
        line(&mut headers, name, value);
    }
    let body = match &answer.body {
        Some((kind, body)) => {
            line(&mut headers, "Content-Type", kind);
            &body[..]
        }
        None => &b""[..],
    };
    let built = build::Answer {
        status: answer.status,
        reason: answer.reason,
        to_tag: answer.to_tag.as_deref().unwrap_or(tag).as_bytes(),
        headers: &headers,
        own_vias: 0,
    };
    build::answer_with(request, remote, &built, body)
}

fn contact(out: &mut Vec<u8>, ways: &dyn Ways, trunk: TrunkId, listener: ListenerId, user: &str) {
    out.extend_from_slice(b"Contact: <sip:");
    push_clean(out, user);
    out.push(b'@');
    ways.write_place(trunk, listener, out);
    out.extend_from_slice(b">\r\n");
}

fn end(out: &mut Vec<u8>, kind: Option<&str>, body: &[u8]) {
    if let Some(kind) = kind {
        line(out, "Content-Type", kind);
    }
    out.extend_from_slice(b"Content-Length: ");
    write_decimal(out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    push_clean(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Texts may have come from peers: a line break in one would begin a header of theirs.
fn push_clean(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(clean));
}

fn unfolded(value: &[u8]) -> Vec<u8> {
    value.iter().copied().map(clean).collect()
}

const fn clean(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }
}
