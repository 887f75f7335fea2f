//! Messages that would not pass in one datagram leave out what the peer can do without.

use super::super::Passing;
use crate::sdp;
use crate::sip::body::{Kind, Parts};
use crate::sip::{Edits, HeaderName, Span, Transport};

/// From this size on a message over UDP may be cut to pieces on its way (RFC 3261 section 18.1.1).
pub const LARGE: usize = 1_300;

/// Makes a message that leaves by `transport` smaller, should it be large once the edits are made that there are.
pub fn slim(passing: &Passing<'_>, transport: Transport, edits: &mut Edits) {
    let Passing { message, to, .. } = *passing;
    if transport != Transport::Udp || !to.dialect.media.slim || edits.len_after(message) <= LARGE {
        return;
    }
    for line in message.lines().iter().filter(|line| line.name == HeaderName::Other) {
        if is_microsofts(message.name_at(line)) {
            edits.remove_line(line);
        }
    }
    if message.body().is_empty() || edits.covers(message.body_span()) {
        return;
    }
    let Some(part) = Parts::of(message).find(Kind::Sdp).copied() else { return };
    // An answer keeps ICE where the offer had it: both sides must agree on that.
    let ice = passing.offer.is_none_or(|offer| !offer.has_ice()) && passing.method != b"ACK";
    sdp::surplus(message.at(part.content), ice, |range| {
        let at = |offset: usize| part.content.start + offset as u16; // within the message, whose length fits
        edits.remove(Span { start: at(range.start), end: at(range.end) });
    });
}

/// Headers that Teams writes for itself.
fn is_microsofts(name: &[u8]) -> bool {
    ["X-MS-", "MS-"]
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())))
}
