//! Loop detection (RFC 3261 section 16.3 item 4, RFC 5393): the edge's branches carry a hash of what routing looks at,
//! so that a request that comes back unchanged is told from one that spirals, changed, through the edge again.

use std::hash::Hasher;

use memchr::memmem;
use siphasher::sip::SipHasher13;

use super::branch::BranchId;
use super::edge::Edge;
use crate::sip::{Essentials, HeaderName, Message, Via};
use crate::trunk::TrunkId;

/// A hash of all that decides where an initial request goes: the trunk it came from, Request-URI, Route, and what
/// tells it from other requests (Call-ID, tags, CSeq number).
pub fn loop_hash(edge: &Edge, from: TrunkId, message: &Message, essentials: &Essentials<'_>) -> u32 {
    let mut hash = SipHasher13::new_with_keys(0x6c6f_6f70, u64::from(edge.face(from).map_or(0, |face| face.mark)));
    let mut field = |bytes: &[u8]| {
        hash.write(bytes);
        hash.write_u8(0xff);
    };
    field(essentials.uri.raw);
    field(essentials.call_id);
    field(essentials.from_tag.unwrap_or_default());
    field(essentials.to_tag.unwrap_or_default());
    for line in message.lines_of(HeaderName::Route) {
        field(message.value_at(line));
    }
    hash.write_u32(essentials.cseq.number);
    hash.finish() as u32
}

/// Whether the request has passed the edge before with the same hash.
pub fn is_loop(message: &Message, hash: u32) -> bool {
    message
        .lines_of(HeaderName::Via)
        .filter(|line| memmem::find(message.value_at(line), b"=z9hG4bKtw").is_some())
        .flat_map(|line| crate::sip::scan::Values::new(message.value_at(line)))
        .filter_map(|value| Via::parse(value.ok()?).ok()?.branch)
        .any(|branch| BranchId::read(branch).is_some_and(|(_, seen)| seen == hash))
}
