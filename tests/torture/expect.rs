//! What a message must have come to, and that a forwarded one differs from what came by the edge's edits only.

use bytes::Bytes;
use trunkway::sip::{Edits, Framing, HeaderName, Limits, Message};

use super::daemon::Net;
use super::peers::Seen;

fn read(bytes: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(bytes), Framing::Datagram, &Limits::default()).expect("a message")
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}

/// Undoes what RFC 3261 section 16.6 lets the edge do; the rest must be what came, byte for byte.
pub fn assert_only_edited(net: &Net, came: &[u8], forwarded: &[u8]) {
    let (came, sent) = (read(came), read(forwarded));
    let mut edits = Edits::new();
    // The edge's own Via and Record-Route.
    // An ACK goes on without a transaction and says so in its branch.
    let kind = if sent.method() == b"ACK" { "ts" } else { "tw" };
    let own = format!("SIP/2.0/UDP {};branch=z9hG4bK{kind}", net.edge);
    let via = sent.line(HeaderName::Via).expect("a Via");
    assert!(sent.value_at(via).starts_with(own.as_bytes()), "{}", shown(forwarded));
    edits.remove_line(via);
    let record_routes = |message: &Message| message.lines_of(HeaderName::RecordRoute).count();
    for line in sent.lines_of(HeaderName::RecordRoute).take(record_routes(&sent) - record_routes(&came)) {
        let ours = format!("@{}", net.edge);
        assert!(String::from_utf8_lossy(sent.value_at(line)).contains(&ours), "{}", shown(forwarded));
        edits.remove_line(line);
    }
    // Max-Forwards.
    let line = sent.line(HeaderName::MaxForwards).expect("Max-Forwards");
    match came.line(HeaderName::MaxForwards) {
        Some(before) => {
            assert_eq!(sent.max_forwards().unwrap(), came.max_forwards().unwrap().map(|left| left - 1));
            edits.set_line(line, came.value_at(before));
        }
        None => {
            assert_eq!(sent.max_forwards(), Ok(Some(70)));
            edits.remove_line(line);
        }
    }
    // The Via on top when it came: only `received` and `rport` may be new.
    let before = came.top_via().expect("a Via");
    let after = sent.values(HeaderName::Via).nth(1).expect("two Vias").expect("a Via");
    let added = format!(";received={}", net.sender);
    let squeezed = |text: &[u8]| text.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect::<Vec<_>>();
    let mut plain = String::from_utf8_lossy(after).replace(&added, "");
    if let Some(port) = plain.find(";rport=").map(|at| at + ";rport".len())
        && before.rport == Some(None)
    {
        let end = plain[port..].find(';').map_or(plain.len(), |end| port + end);
        plain.replace_range(port..end, "");
    }
    assert_eq!(shown(&squeezed(plain.as_bytes())), shown(&squeezed(before.raw)));
    edits.replace(sent.span_of(after), before.raw);
    assert_eq!(shown(&edits.apply(&sent)), shown(came.bytes()), "the edge changed more than it may");
}

/// Whether what was seen is what a row of the table asks for. The alternatives of a row are parted by `|`.
pub fn outcome(net: &Net, came: &[u8], wanted: &str, seen: &Seen) -> Result<(), String> {
    if wanted.split('|').any(|wanted| is(wanted, seen)) {
        for forwarded in &seen.forwarded {
            assert_only_edited(net, came, forwarded);
        }
        return Ok(());
    }
    let forwarded: Vec<_> = seen.forwarded.iter().map(|bytes| shown(bytes)).collect();
    let answers: Vec<_> = seen.answers.iter().map(|bytes| shown(bytes)).collect();
    Err(format!("wanted {wanted}, but forwarded {forwarded:#?} and answered {answers:#?}"))
}

fn is(wanted: &str, seen: &Seen) -> bool {
    match wanted {
        // The sink's 200 comes back.
        "forward" | "forward-first-only" | "rfc2543-matching" => seen.forwarded.len() == 1 && seen.statuses() == [200],
        "drop" | "accept-response" => seen.forwarded.is_empty() && seen.answers.is_empty(),
        _ => match wanted.get(..3).and_then(|code| code.parse::<u16>().ok()) {
            Some(code) => seen.forwarded.is_empty() && seen.statuses() == [code],
            None => false,
        },
    }
}
