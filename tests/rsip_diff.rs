//! A second opinion: where rsip 0.4 accepts a message, it and we read the same from it. Where they differ, the fault is
//! known and listed here with what is right, so that a difference that is not listed fails.
#![cfg(feature = "rsip")]

#[path = "../benches/support/messages.rs"]
mod messages;

use bytes::Bytes;
use proptest::prelude::*;
use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};
use trunkway::sip::{Framing, HeaderName, Limits, Message};

/// Reads a text by both; `None` where rsip refuses it.
fn both(text: &str) -> Option<(Message, rsip::SipMessage)> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let ours = Message::parse(bytes, Framing::Datagram, &Limits::default()).ok();
    let theirs = rsip::SipMessage::try_from(text.as_bytes()).ok()?;
    Some((ours.unwrap_or_else(|| panic!("rsip reads what we do not: {text}")), theirs))
}

/// Compares what both have read. Gives the first difference.
fn difference(ours: &Message, theirs: &rsip::SipMessage) -> Option<String> {
    let differ = |what: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
        (ours != theirs).then(|| format!("{what}: {ours} and {theirs}"))
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let start = match theirs {
        rsip::SipMessage::Request(request) => differ("method", &text(ours.method()), &request.method.to_string()),
        rsip::SipMessage::Response(response) => differ("status", &ours.status(), &response.status_code.code()),
    };
    let call_id = theirs.call_id_header().ok().map(|header| header.value().to_owned());
    let cseq = theirs.cseq_header().ok();
    let cseq = cseq.and_then(|cseq| Some((cseq.seq().ok()?, cseq.method().ok()?.to_string())));
    let tag = |tag: Option<rsip::param::Tag>| tag.map(|tag| tag.value().to_owned());
    let from_tag = theirs.from_header().ok().and_then(|from| tag(from.tag().ok()?));
    let to_tag = theirs.to_header().ok().and_then(|to| tag(to.tag().ok()?));
    let first_vias = theirs.headers().iter().filter(|header| matches!(header, rsip::Header::Via(_))).count();
    start
        .or_else(|| differ("Call-ID", &ours.call_id().ok().map(text), &call_id))
        .or_else(|| differ("CSeq", &ours.cseq().ok().map(|cseq| (cseq.number, text(cseq.method))), &cseq))
        .or_else(|| differ("From tag", &ours.from().ok().and_then(|from| from.tag()).map(text), &from_tag))
        .or_else(|| differ("To tag", &ours.to_tag().map(text), &to_tag))
        .or_else(|| differ("headers", &ours.lines().len(), &theirs.headers().iter().count()))
        .or_else(|| differ("Via lines", &ours.lines_of(HeaderName::Via).count(), &first_vias))
        .or_else(|| differ("body", &text(ours.body()), &text(theirs.body())))
}

/// Both read it, and alike.
fn assert_alike(text: &str) {
    let (ours, theirs) = both(text).unwrap_or_else(|| panic!("rsip refuses {text}"));
    assert_eq!(ours.flaw(), None, "{text}");
    assert_eq!(difference(&ours, &theirs), None, "{text}");
}

const REQUEST: &str = "OPTIONS sip:sbc.example.net SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.80:5080;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@pbx.example>;tag=f1\r\n\
    To: <sip:sbc.example.net>\r\nCall-ID: one@pbx.example\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n";

#[test]
fn ordinary_messages_are_read_alike() {
    assert_alike(REQUEST);
    assert_alike(&messages::teams_invite(1, "192.0.2.1:5060"));
    for (old, new) in [
        ("Via:", "VIA:"),
        ("From:", "FROM:"),
        ("From: <sip:a@pbx.example>", "From: \"A, B\" <sip:a@pbx.example>"),
        ("From: <sip:a@pbx.example>", "From: sip:a@pbx.example"),
        ("To: <sip:sbc.example.net>", "to: <sip:sbc.example.net>;tag=t1"),
        ("Call-ID:", "call-id:"),
        ("OPTIONS", "BYE"),
        ("OPTIONS", "SUBSCRIBE"),
        ("Max-Forwards: 70\r\n", ""),
        ("Max-Forwards: 70\r\n", "X-Own: anything: at, all\r\nUser-Agent: pbx/1.0\r\n"),
        ("sip:sbc.example.net SIP", "sips:a:b@192.0.2.1:5061;transport=tls;lr SIP"),
    ] {
        let text = REQUEST.replace(old, new);
        assert_ne!(text, REQUEST, "{old}");
        assert_alike(&text);
    }
    for status in [100, 180, 183, 200, 202, 302, 401, 404, 407, 486, 487, 500, 503, 603] {
        let text = REQUEST.replace("OPTIONS sip:sbc.example.net SIP/2.0", &format!("SIP/2.0 {status} Reason"));
        assert_alike(&text);
    }
}

/// What rsip refuses although it is right, by the rule of RFC 3261 that makes it so. When one of these fails, rsip has
/// learnt it.
#[test]
fn what_rsip_refuses_is_known() {
    for (old, new, why) in [
        ("sip:sbc.example.net SIP", "sip:h.example;x-c=2a2b/s/1/b2d8 SIP", "25.1: `/` in a parameter's value"),
        ("sip:sbc.example.net SIP", "sip:[2001:db8::1]:5060 SIP", "25.1: IPv6 reference"),
        ("sip:sbc.example.net SIP", "tel:+441632760001 SIP", "19.1.6: tel URI"),
        ("Max-Forwards: 70", "Subject: one\r\n two", "7.3.1: folded line"),
        ("Max-Forwards: 70", "Max-Forwards : 70", "25.1: blanks before the colon"),
    ] {
        let text = REQUEST.replacen(old, new, 1);
        let ours = Message::parse(Bytes::from(text.clone()), Framing::Datagram, &Limits::default()).unwrap();
        assert_eq!(ours.flaw(), None, "{why}");
        assert!(ours.uri().is_ok(), "{why}");
        assert!(both(&text).is_none(), "{why}");
    }
}

/// What rsip accepts and reads otherwise than we do, and ours is right.
#[test]
fn what_rsip_reads_otherwise_is_known() {
    // RFC 3261 section 7.3.3: compact names; to rsip they are headers of no meaning.
    for (long, compact, wanted) in [
        ("Via:", "v:", "Via lines: 1 and 0"),
        ("From:", "f:", "From tag: Some(\"f1\") and None"),
        ("To: <sip:sbc.example.net>", "t: <sip:sbc.example.net>;tag=t1", "To tag: Some(\"t1\") and None"),
        ("Call-ID:", "i:", "Call-ID: Some(\"one@pbx.example\") and None"),
    ] {
        let (ours, theirs) = both(&REQUEST.replace(long, compact)).unwrap();
        assert_eq!(difference(&ours, &theirs).as_deref(), Some(wanted));
    }
    // Section 7.3.1: a list in one line is as good as several lines; rsip keeps its first value only.
    let text = REQUEST.replace("branch=z9hG4bK1", "branch=z9hG4bK1, SIP/2.0/TCP second;branch=z9hG4bK2");
    let (ours, theirs) = both(&text).unwrap();
    assert_eq!(ours.values(HeaderName::Via).count(), 2);
    let via = theirs.via_header().unwrap().typed();
    assert!(via.is_err() || !via.unwrap().to_string().contains("second"));
    // Section 25.1: a quoted string may hold anything; rsip looks for the URI in it.
    let text = REQUEST.replace("From: <sip:a@pbx.example>", "From: \"<A>\" <sip:a@pbx.example>");
    let (ours, theirs) = both(&text).unwrap();
    assert_eq!(difference(&ours, &theirs).unwrap(), "From tag: Some(\"f1\") and None");
    // Section 18.3: what follows the body in a datagram is no part of it.
    let (ours, theirs) = both(&format!("{REQUEST}trailing octets")).unwrap();
    assert_eq!(difference(&ours, &theirs).unwrap(), "body: \"\" and \"trailing octets\"");
    // Section 7.2: a reason phrase is free text; rsip prints that of its own table.
    let text = REQUEST.replace("OPTIONS sip:sbc.example.net SIP/2.0", "SIP/2.0 200 Very Well");
    let (ours, theirs) = both(&text).unwrap();
    assert_eq!(difference(&ours, &theirs), None);
    assert_eq!(ours.reason_phrase(), b"Very Well");
    assert!(!theirs.to_string().contains("Very Well"));
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9.~_-]{0,15}"
}

fn user() -> impl Strategy<Value = String> {
    prop_oneof!["[+]?[0-9]{2,15}", "[a-z][a-z0-9._-]{0,12}"]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}(\\.[a-z]{2,8}){1,3}", "192\\.0\\.2\\.[1-9]", "198\\.51\\.100\\.[1-9]"]
}

fn address() -> impl Strategy<Value = String> {
    let display = prop_oneof![Just(String::new()), "[A-Z][a-z]{1,8} ", "\"[A-Za-z ,.;]{0,12}\" "];
    (display, user(), host(), prop::option::of(1_u16..), prop::bool::ANY).prop_map(
        |(display, user, host, port, phone)| {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let phone = if phone { ";user=phone" } else { "" };
            format!("{display}<sip:{user}@{host}{port}{phone}>")
        },
    )
}

/// A header name as one may write it.
fn name(long: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(long.to_owned()),
        1 => Just(long.to_ascii_uppercase()),
        1 => Just(long.to_ascii_lowercase()),
    ]
}

/// Header lines in any order, a start line before them and a body behind them.
fn message() -> impl Strategy<Value = String> {
    let start = prop_oneof![
        (
            prop::sample::select(vec!["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REFER", "NOTIFY", "MESSAGE"]),
            user(),
            host()
        )
            .prop_map(|(method, user, host)| (format!("{method} sip:{user}@{host} SIP/2.0"), method)),
        prop::sample::select(vec![100, 180, 183, 200, 302, 404, 486, 503, 603])
            .prop_map(|status| (format!("SIP/2.0 {status} Any Reason"), "INVITE")),
    ];
    let via = (name("Via"), prop::sample::select(vec!["UDP", "TCP", "TLS"]), host(), token()).prop_map(
        |(name, transport, host, branch)| format!("{name}: SIP/2.0/{transport} {host};branch=z9hG4bK{branch}"),
    );
    let party = |long, tagged: f64| {
        (name(long), address(), prop::option::weighted(tagged, token())).prop_map(|(name, address, tag)| {
            let tag = tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
            format!("{name}: {address}{tag}")
        })
    };
    let call_id = (name("Call-ID"), token(), host()).prop_map(|(name, id, host)| format!("{name}: {id}@{host}"));
    let contact = (name("Contact"), address()).prop_map(|(name, address)| format!("{name}: {address}"));
    let other = ("X-[A-Za-z]{1,10}", "[!-~]([ -~]{0,30}[!-~])?").prop_map(|(name, value)| format!("{name}: {value}"));
    let parts = (
        start,
        prop::collection::vec(via, 1..4),
        (party("From", 0.9), party("To", 0.5)),
        (call_id, 0_u32..1 << 31),
        prop::option::of(contact),
        prop::collection::vec(other, 0..6),
        "[ -~]{0,40}",
    );
    parts
        .prop_flat_map(|((start, method), vias, (from, to), (call_id, cseq), contact, others, body)| {
            let mut lines = vec![from, to, call_id, format!("CSeq: {cseq} {method}")];
            lines.push(format!("Content-Length: {}", body.len()));
            lines.extend(vias.into_iter().chain(contact).chain(others));
            (Just(start), Just(lines).prop_shuffle(), Just(body))
        })
        .prop_map(|(start, lines, body)| format!("{start}\r\n{}\r\n\r\n{body}", lines.join("\r\n")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_up_messages_are_read_alike(text in message()) {
        let ours = Message::parse(Bytes::from(text.clone()), Framing::Datagram, &Limits::default());
        let ours = ours.map_err(|flaw| TestCaseError::fail(flaw.to_string()))?;
        prop_assert_eq!(ours.flaw(), None);
        let theirs = rsip::SipMessage::try_from(text.as_bytes());
        prop_assert!(theirs.is_ok(), "rsip refuses an ordinary message: {:?}", theirs.err());
        prop_assert_eq!(difference(&ours, &theirs.unwrap()), None);
    }
}
