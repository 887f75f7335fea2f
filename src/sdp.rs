//! Session descriptions (RFC 8866) as far as offer and answer (RFC 3264) need them: a scanner over the lines, what the
//! streams are allowed to do, and changes of directions and addresses. Pure, without an allocation.
//!
//! Nothing is checked for being well-formed: what is not understood is not touched.

mod direction;
mod lines;
mod origin;
mod outline;
mod rewrite;
mod slim;

use std::ops::Range;

use crate::sip::Message;
use crate::sip::body::{Kind, Parts};

pub use direction::Direction;
pub use lines::{Line, Lines, MAX_LINES, Place};
pub use origin::{Origin, address, origin_address};
pub use outline::{MAX_STREAMS, Outline};
pub use rewrite::{Stream, rewrite};
pub use slim::surplus;

/// Where a message's session description stands in its bytes, plain or as a part of a multipart body.
pub fn of_message(message: &Message) -> Option<Range<usize>> {
    Parts::of(message).find(Kind::Sdp).map(|part| part.content.range())
}

/// A message's session description.
pub fn body_of(message: &Message) -> Option<&[u8]> {
    message.bytes().get(of_message(message)?)
}

/// Whether a message brings a session description: in an INVITE or UPDATE, and in a 2xx to an INVITE that had none, it is
/// an offer.
pub fn has_offer(message: &Message) -> bool {
    of_message(message).is_some()
}

/// Whether two descriptions have the same `o=` line, so that the later one says nothing new (RFC 3264 section 8).
pub fn same_version(a: &[u8], b: &[u8]) -> bool {
    matches!((Origin::of(a), Origin::of(b)), (Some(a), Some(b)) if a == b)
}

/// Whether a description is the other over again: the same version, and the same lines where it counts. Some phones hold
/// without a new version.
pub fn unchanged(a: &[u8], b: &[u8]) -> bool {
    let told = |sdp| Lines::new(sdp).filter(|line| matches!(line.kind, b'c' | b'm' | b'a')).map(|line| line.value);
    same_version(a, b) && told(a).eq(told(b))
}

/// What the sender of a description does with its streams, all active ones taken together.
pub fn direction(sdp: &[u8]) -> Direction {
    Outline::of(sdp).direction()
}

/// Whether the sender of a description wants nothing sent to it: by its direction or, as RFC 2543 has it, by the address
/// 0.0.0.0.
pub fn is_hold(sdp: &[u8]) -> bool {
    !direction(sdp).receives()
}

#[cfg(test)]
mod tests;
