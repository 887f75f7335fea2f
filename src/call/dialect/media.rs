//! How a peer describes sessions and what bodies it takes. What becomes of it on the way from one leg to the other.
//!
//! The edge changes directions and the address 0.0.0.0, and nothing else that is negotiated: codecs, keys, ports,
//! addresses and rtcp-mux pass as they came, and so does the version in `o=`, since whatever makes the edge write another
//! direction than before is a change in what came, under a new version.

mod hold;
mod location;
mod slim;

use super::Passing;
use crate::call::seal::Hold;
use crate::sdp::{self, Outline};
use crate::sip::body::{Kind, Parts};
use crate::sip::{Edits, Message, Span};
use crate::trunk::dialect::media::Holding;

use hold::{Parties, Role};
pub use slim::slim;

/// The session description in a message, in outline.
pub fn said_in(message: &Message) -> Option<Outline> {
    sdp::body_of(message).map(Outline::of)
}

/// Who holds once the message has passed, as its sender sees it.
pub fn held(passing: &Passing<'_>) -> Hold {
    if negotiates(passing.method) { Parties::of(passing).after(Role::of(passing), passing.said) } else { passing.hold }
}

/// Who holds once a request with this offer has been answered, as its sender sees it; `before` is who held until then.
pub fn agreed(before: Hold, first: bool, offer: Option<Outline>, answer: Option<Outline>) -> Hold {
    parties_of(before.turned(), first).after(Role::answering(offer), answer).turned()
}

/// Who holds once an offer was made inside a call, as its sender sees it.
pub fn offered(before: Hold, offer: &[u8]) -> Hold {
    parties_of(before, false).after(Role::Offer, (!offer.is_empty()).then(|| Outline::of(offer)))
}

/// Two sides of which nothing is asked but who holds.
const fn parties_of(before: Hold, first: bool) -> Parties {
    Parties { from: Holding::AsIs, to: Holding::AsIs, before, first }
}

pub(super) fn edit(passing: &Passing<'_>, edits: &mut Edits) {
    let message = passing.message;
    let strips = location::is_stripped(passing);
    if strips {
        location::edit_headers(message, edits);
    }
    // Another matter may have done away with the body.
    if message.body().is_empty() || edits.covers(message.body_span()) {
        return;
    }
    let changes = negotiates(passing.method) && !is_plain(passing) && !Parties::of(passing).agree();
    if !strips && !changes {
        return;
    }
    let parts = Parts::of(message);
    if let Some(part) = parts.find(Kind::Sdp).filter(|_| changes) {
        let (sdp, start) = (message.at(part.content), part.content.start);
        convert(sdp, start, Parties::of(passing), Role::of(passing), passing.spoken, edits);
    }
    // Last, since the line break that it may add stands behind lines that were added before.
    if strips {
        parts.strip(message, Kind::Location, edits);
    }
}

/// Whether descriptions in messages of a method are offers and answers (RFC 6337 section 2).
fn negotiates(method: &[u8]) -> bool {
    matches!(method, b"INVITE" | b"UPDATE" | b"ACK" | b"PRACK")
}

/// Whether everything flows both ways, as was asked for.
fn is_plain(passing: &Passing<'_>) -> bool {
    let plain = |outline: Option<Outline>| outline.is_none_or(|outline| outline.is_plain());
    plain(passing.said) && plain(passing.offer)
}

/// Adds the changes to a description that starts at `start` in its message.
fn convert(sdp: &[u8], start: u16, parties: Parties, role: Role, spoken: Option<&[u8]>, edits: &mut Edits) {
    let address = parties.moves_nowhere().then(|| address_for(sdp, spoken)).flatten();
    let wanted = |stream: sdp::Stream| {
        let new = parties.passed(role, stream);
        // 0.0.0.0 stays where it may: what is written beside it does so too.
        if new == stream.direction && !parties.moves_nowhere() { stream.written } else { new }
    };
    sdp::rewrite(sdp, wanted, address, |range, text| {
        let at = |offset: usize| start + offset as u16; // within the message, whose length fits
        edits.replace_with(Span { start: at(range.start), end: at(range.end) }, |out| {
            text.iter().for_each(|text| out.extend_from_slice(text));
        });
    });
}

/// The address that takes the place of 0.0.0.0: the one that the side had last, else another in the same description,
/// else that of whoever wrote it. Nothing is sent there while the call is on hold.
fn address_for<'a>(sdp: &'a [u8], spoken: Option<&'a [u8]>) -> Option<&'a [u8]> {
    spoken.and_then(sdp::address).or_else(|| sdp::address(sdp)).or_else(|| sdp::origin_address(sdp))
}

#[cfg(test)]
mod tests;
