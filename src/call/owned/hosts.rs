//! Names in headers: the hosts of one side become the edge's own name towards the other, and what a side says of its own
//! make is left out.

use crate::sip::edit::Edits;
use crate::sip::scan::{Params, Values};
use crate::sip::{HeaderName, Line, Message, NameAddr, Span, Uri};

/// Puts the edge's own name in all addresses of a message but Contact and routes.
pub(super) fn edit(message: &Message, own: &[u8], edits: &mut Edits) {
    for line in message.lines() {
        match line.name {
            HeaderName::From | HeaderName::To if message.is_request() => rename(message, line, own, edits),
            HeaderName::Other => edit_other(message, line, own, edits),
            _ => {}
        }
    }
}

fn edit_other(message: &Message, line: &Line, own: &[u8], edits: &mut Edits) {
    let name = message.name_at(line);
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        6 if is("Server") => edits.remove_line(line),
        10 if is("User-Agent") => edits.remove_line(line),
        7 if is("Warning") => edit_warnings(message, line, own, edits),
        9 if is("Diversion") => rename(message, line, own, edits),
        12 if is("History-Info") => rename(message, line, own, edits),
        15 if is("Remote-Party-ID") => rename(message, line, own, edits),
        18 if is("P-Called-Party-ID") => rename(message, line, own, edits),
        19 if is("P-Asserted-Identity") => rename(message, line, own, edits),
        20 if is("P-Preferred-Identity") => rename(message, line, own, edits),
        _ => {}
    }
}

/// Renames the hosts of all addresses in a line.
fn rename(message: &Message, line: &Line, own: &[u8], edits: &mut Edits) {
    for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
        let Ok(address) = NameAddr::parse(value) else { continue };
        let Ok(uri) = address.uri() else { continue };
        // Nobody's host (RFC 3323 section 4.1.1.3) says that the caller hides.
        if !uri.host.is_empty() && !is_nobodys(uri.host) {
            edits.replace_with(place_of(message, &uri), |out| write_place(&uri, own, out));
        }
    }
}

fn is_nobodys(host: &[u8]) -> bool {
    const INVALID: &[u8] = b".invalid";
    host.len()
        .checked_sub(INVALID.len())
        .and_then(|at| host.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(INVALID))
}

/// From the host to the last parameter.
pub(super) fn place_of(message: &Message, uri: &Uri<'_>) -> Span {
    let whole = message.span_of(uri.raw);
    let headers = if uri.headers.is_empty() { 0 } else { uri.headers.len() as u16 + 1 };
    Span { start: message.span_of(uri.host).start, end: whole.end - headers }
}

/// The host, and of the parameters those that name no place.
fn write_place(uri: &Uri<'_>, own: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(own);
    for param in Params::new(uri.params).filter_map(Result::ok) {
        if param.is(b"maddr") || param.is(b"transport") || param.is(b"received") {
            continue;
        }
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}

/// Puts the edge's name where a warning names its author (RFC 3261 section 20.43): `399 host "text"`.
fn edit_warnings(message: &Message, line: &Line, own: &[u8], edits: &mut Edits) {
    for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
        let agent = value.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).nth(1);
        if let Some(agent) = agent.filter(|agent| !agent.starts_with(b"\"")) {
            edits.replace(message.span_of(agent), own);
        }
    }
}
