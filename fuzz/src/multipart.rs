//! Bodies of several parts.

use bytes::Bytes;
use trunkway::sip::body::{Kind, MAX_PARTS, Parts, edit_length, remove};
use trunkway::sip::{Edits, Framing, HeaderName, Limits, Message};

/// Reads the first line as a Content-Type and what follows as the body of that.
///
/// # Panics
/// When parts lie outside of the body or overlap, or stripping leaves what it was to strip, or changes what stays.
pub fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (typed, body) = bytes.split_at(end);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let mut text = b"INVITE sip:a@b SIP/2.0\r\nContent-Type: ".to_vec();
    text.extend_from_slice(typed);
    text.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(body);
    let Some(message) = read(text.into()) else { return };
    let parts = Parts::of(&message);
    let span = message.body_span();
    let mut at = span.start;
    for part in &parts {
        assert!(at <= part.whole.start && part.whole.start <= part.content.start, "{part:?} behind {at}");
        assert!(part.content.start <= part.content.end && part.content.end <= part.whole.end, "{part:?}");
        at = part.whole.end;
    }
    assert!(at <= span.end && parts.iter().len() <= MAX_PARTS);
    for kind in [Kind::Sdp, Kind::Location, Kind::Other] {
        check_strip(&message, &parts, kind);
    }
    let mut edits = Edits::new();
    remove(&message, &mut edits);
    edit_length(&message, true, &mut edits);
    let bare = read(edits.apply(&message)).expect("a message");
    assert!(bare.body().is_empty() && bare.line(HeaderName::ContentType).is_none());
}

fn check_strip(message: &Message, parts: &Parts, kind: Kind) {
    let mut edits = Edits::new();
    parts.strip(message, kind, &mut edits);
    edit_length(message, true, &mut edits);
    let after = edits.len_after(message);
    let stripped = edits.apply(message);
    assert_eq!(stripped.len(), after);
    let stripped = read(stripped).expect("a message");
    assert!(stripped.flaw() == message.flaw(), "{:?}", stripped.flaw());
    let crowded = parts.iter().len() == MAX_PARTS;
    if crowded && stripped.body().len() < message.body().len() {
        assert!(kind != Kind::Location || Parts::of(&stripped).find(kind).is_none());
        return;
    }
    if !parts.is_multipart() || parts.find(kind).is_none() {
        assert_eq!(stripped.bytes(), message.bytes());
        return;
    }
    let kept: Vec<&[u8]> = parts.iter().filter(|part| part.kind != kind).map(|part| message.at(part.content)).collect();
    match &kept[..] {
        [] => assert!(stripped.body().is_empty()),
        [only] => assert!(stripped.body().starts_with(only), "what is left alone is the body"),
        _ => {
            let left = Parts::of(&stripped);
            assert!(left.find(kind).is_none());
            let left: Vec<&[u8]> = left.iter().map(|part| stripped.at(part.content)).collect();
            // The last one gets the line break behind it, where nothing closes the body.
            let is = |(left, kept): (&&[u8], &&[u8])| left.starts_with(kept) && left.len() <= kept.len() + 2;
            assert!(left.len() == kept.len() && left.iter().zip(&kept).all(is), "{left:?} {kept:?}");
        }
    }
}

fn read(bytes: Bytes) -> Option<Message> {
    Message::parse(bytes, Framing::Datagram, &Limits::TOP).ok()
}
