//! A datagram: the index, all that reads it, edits to it, and the messages made from it.

use std::net::SocketAddr;

use bytes::Bytes;
use trunkway::sip::build::{self, Answer};
use trunkway::sip::{Edits, Essentials, Flaw, Framing, HeaderName, Limits, Message, NameAddr, Start, Via};

use crate::address::check_uri;
use crate::offset_within;

const NAMES: [HeaderName; 21] = [
    HeaderName::Other,
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::Require,
    HeaderName::ProxyRequire,
    HeaderName::Supported,
    HeaderName::Expires,
    HeaderName::RetryAfter,
    HeaderName::Reason,
    HeaderName::Timestamp,
    HeaderName::WwwAuthenticate,
    HeaderName::ProxyAuthenticate,
];

/// Does with the bytes all that the edge does with a datagram.
///
/// # Panics
/// When something that must hold does not.
pub fn check(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let tight =
        Limits { max_message_bytes: 1_024, max_headers: 8, max_header_line_bytes: 96, max_values_per_header: 3 };
    for limits in [Limits::default(), tight] {
        for framing in [Framing::Datagram, Framing::Stream] {
            let parsed = Message::parse(bytes.clone(), framing, &limits);
            check_parsed(&bytes, &limits, &parsed);
            if let Ok(message) = &parsed {
                read_all(message, &limits);
                check_edits(message);
                check_made(message, &limits);
            }
        }
    }
}

fn check_parsed(bytes: &Bytes, limits: &Limits, parsed: &Result<Message, Flaw>) {
    let message = match parsed {
        Ok(message) => message,
        Err(flaw) => return assert!(usize::from(flaw.at) <= bytes.len()),
    };
    let length = message.bytes().len();
    assert!(length <= bytes.len() && length <= limits.max_message_bytes);
    assert!(message.lines().len() <= limits.max_headers);
    let head = message.header_block();
    let spans = match message.start() {
        Start::Request { method, uri } => [method, uri, head, message.body_span()],
        Start::Response { status, reason } => {
            assert!((100..700).contains(&status));
            [reason, reason, head, message.body_span()]
        }
    };
    for span in spans {
        assert!(span.start <= span.end && usize::from(span.end) <= length, "{span:?} of {length}");
    }
    let mut at = head.start;
    for line in message.lines() {
        assert!(at <= line.start && line.start < line.value && line.value <= line.value_end);
        assert!(line.value_end <= line.next && line.next <= head.end);
        assert!(usize::from(line.next - line.start) <= limits.max_header_line_bytes);
        at = line.next;
    }
    // Every line is found by its name, and by no other.
    let found: usize = NAMES.iter().map(|&name| message.lines_of(name).count()).sum();
    assert_eq!(found, message.lines().len());
    assert_eq!(message.body(), message.bytes().slice(message.body_span().range()).as_ref());
}

fn read_all(message: &Message, limits: &Limits) {
    let whole = message.bytes();
    for line in message.lines() {
        assert!(!message.name_at(line).is_empty());
        offset_within(whole, message.value_at(line));
        let _ = message.other(message.name_at(line));
    }
    for name in NAMES {
        for value in message.values(name) {
            let Ok(value) = value else { continue };
            let span = message.span_of(value);
            assert_eq!(message.at(span), value);
            if let Ok(via) = Via::parse(value) {
                let _ = (via.known_transport(), via.rfc3261_branch());
            }
            if let Ok(address) = NameAddr::parse(value) {
                let _ = (address.tag(), address.uri());
            }
        }
        let _ = message.option_tags(name).count();
    }
    if let Ok(uri) = message.uri() {
        check_uri(whole, &uri);
    }
    let _ = (message.from().map(|from| from.tag()), message.to_tag(), message.max_forwards());
    let _ = (message.contacts().count(), message.routes().count(), message.record_routes().count());
    let _ = (message.expires(), message.retry_after(), message.reasons().count());
    if message.is_request()
        && let Ok(essentials) = Essentials::of_request(message, limits)
    {
        assert!(message.flaw().is_none());
        assert_eq!(essentials.cseq.method, message.method());
        assert_eq!(message.call_id(), Ok(essentials.call_id));
        assert!(!essentials.call_id.is_empty());
        assert!(message.values(HeaderName::Via).count() <= limits.max_values_per_header);
    }
}

fn check_edits(message: &Message) {
    let mut edits = Edits::new();
    assert_eq!(&edits.apply(message), message.bytes());
    for line in message.lines() {
        edits.set_line(line, message.value_at(line));
    }
    assert_eq!(&edits.apply(message), message.bytes());
    if message.flaw().is_some() {
        return;
    }
    for name in NAMES {
        edits.remove_header(message, name);
        let without = again(edits.apply(message));
        assert_eq!(without.lines_of(name).count(), 0);
        assert_eq!(without.lines().len(), message.lines().len() - message.lines_of(name).count());

        edits.append_header(message, "Subject", b"edited");
        let more = again(edits.apply(message));
        assert_eq!(more.lines().len(), message.lines().len() + 1);
        assert_eq!(more.body(), message.body());

        let values: Vec<_> = message.values(name).collect();
        if values.iter().all(Result::is_ok) && name != HeaderName::Other {
            for count in 1..values.len().min(4) {
                edits.remove_values(message, name, count);
                let fewer = again(edits.apply(message));
                assert_eq!(fewer.values(name).collect::<Vec<_>>(), values[count..]);
            }
        }
    }
    edits.set_header(message, HeaderName::Reason, "Reason", b"SIP;cause=200");
    let set = again(edits.apply(message));
    assert_eq!(set.lines_of(HeaderName::Reason).count(), 1);
    assert_eq!(set.value(HeaderName::Reason), Some(&b"SIP;cause=200"[..]));
}

fn check_made(message: &Message, limits: &Limits) {
    if !message.is_request() {
        return;
    }
    let Ok(essentials) = Essentials::of_request(message, limits) else {
        // Answers to broken requests are made as well, as far as their Via can be read.
        if message.top_via().is_ok() {
            let made = build::answer(message, remote(), &Answer { status: 400, reason: "Bad Request", ..tagged() });
            let made = Message::parse(made, Framing::Datagram, &Limits::default());
            assert_eq!(made.map(|made| made.status()).ok(), Some(400));
        }
        return;
    };
    let vias = message.values(HeaderName::Via);
    for status in [100, 200, 404] {
        let made = again(build::answer(message, remote(), &Answer { status, reason: "Any", ..tagged() }));
        assert_eq!((made.status(), made.flaw(), made.body().len()), (status, None, 0));
        assert_eq!(made.call_id(), Ok(essentials.call_id));
        assert_eq!(made.cseq(), Ok(essentials.cseq));
        assert_eq!(made.from().map(|from| from.tag().is_some()), Ok(essentials.from_tag.is_some()));
        assert_eq!(made.to_tag().is_some(), status != 100 || essentials.to_tag.is_some());
        if vias.clone().all(|via| via.is_ok()) {
            assert_eq!(made.values(HeaderName::Via).count(), vias.clone().count());
            let top = made.top_via().map(|via| (via.host.to_vec(), via.port, via.branch.map(<[u8]>::to_vec)));
            let via = &essentials.via;
            assert_eq!(top, Ok((via.host.to_vec(), via.port, via.branch.map(<[u8]>::to_vec))));
        }
        let ack = again(build::ack(message, &made));
        check_follow_up(message, &essentials, &ack, b"ACK");
    }
    let cancel = again(build::cancel(message, b"Reason: SIP;cause=487\r\n"));
    check_follow_up(message, &essentials, &cancel, b"CANCEL");
}

fn check_follow_up(message: &Message, essentials: &Essentials<'_>, made: &Message, method: &[u8]) {
    assert_eq!((made.method(), made.flaw()), (method, None));
    assert_eq!(made.request_uri(), message.request_uri());
    assert_eq!(made.values(HeaderName::Via).count(), 1);
    let read = Essentials::of_request(made, &Limits::default()).expect("what the edge makes is whole");
    assert_eq!(read.call_id, essentials.call_id);
    assert_eq!((read.cseq.number, read.cseq.method), (essentials.cseq.number, method));
    assert_eq!(read.via.branch, essentials.via.branch);
}

fn again(bytes: Bytes) -> Message {
    Message::parse(bytes, Framing::Datagram, &Limits::default()).expect("what the edge writes is SIP")
}

fn tagged() -> Answer<'static> {
    Answer { to_tag: b"fuzz", ..Answer::default() }
}

fn remote() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 5077))
}
