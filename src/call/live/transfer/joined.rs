//! A call with another peer on one of its sides.

use super::super::{End, LiveCall, LiveLeg};
use crate::call::owned::cseq;
use crate::call::seal::Hold;

/// How far the CSeq numbers of a new peer's requests lie above those of the old one's: more than it will send any more.
/// What the old peer sends late, when nothing is remembered of it, comes too low then, and the side that stayed refuses it
/// (RFC 3261 section 12.2.2) instead of taking it for the new one's.
pub const MARGIN: u32 = 16 * cseq::STRIDE;

/// What is to be added to a new peer's CSeq numbers on this leg; `None` when there are no numbers left.
pub fn offset_behind(leg: &LiveLeg) -> Option<i32> {
    let first = leg.sent_cseq.max(leg.cseq_floor).checked_add(MARGIN).filter(|&first| first < cseq::MAX / 2)?;
    i32::try_from(first).ok()
}

/// The call with `peer` in the place of whoever the side `keep` was talking to. That side is the caller from now on.
/// `number` is that of the peer's leg; `None`: the Call-IDs of the two have nothing to do with each other.
pub fn connected(call: &LiveCall, keep: End, mut peer: LiveLeg, number: Option<u16>, offset: i32) -> LiveCall {
    let mut kept = call.leg(keep).clone();
    // The edge's own requests have the numbers just below those of the new peer.
    let below = u32::try_from(offset).unwrap_or_default().saturating_sub(cseq::STRIDE);
    kept.sent_cseq = kept.sent_cseq.max(below);
    peer.cseq_offset = offset;
    if number.is_some() {
        kept.cseq_offset = 0;
    } else {
        // The peer has had other requests on its leg before.
        let behind = offset_behind(&peer).unwrap_or_default();
        peer.sent_cseq = peer.sent_cseq.max(u32::try_from(behind).unwrap_or_default().saturating_sub(cseq::STRIDE));
        kept.cseq_offset = behind;
    }
    LiveCall {
        leg: number.unwrap_or_default(),
        named: number.is_none(),
        hold: Hold::None,
        transfers: call.transfers.saturating_add(1),
        transfer: None,
        legs: [kept, peer],
        errands: Vec::new(),
        ..call.clone()
    }
}
