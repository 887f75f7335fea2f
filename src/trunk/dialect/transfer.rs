//! What becomes of a peer's REFER (RFC 3515), and how often a call may be transferred.

use crate::trunk::TrunkKind;

/// What becomes of a REFER inside a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refer {
    /// The edge does what is asked: it calls the target and connects the other side with it.
    Handle,
    /// The other side gets it, if it takes REFER; otherwise as [`Refer::Handle`].
    Pass,
    /// 603; the peer's Allow has no REFER in it.
    #[default]
    Off,
}

/// What becomes of a peer's REFER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub refer: Refer,
    /// How often one call may be transferred by peers of this trunk: `max_transfers`.
    pub max_transfers: u8,
}

/// What `max_transfers` is when it is not set: call queues and attendants transfer a call some times over.
pub const MAX_TRANSFERS: u8 = 16;

impl Transfer {
    /// What is taken for granted of a kind of peer. Teams and PBXs transfer by REFER; who reaches the telephone network
    /// through a carrier does not move calls of the edge around.
    pub const fn of_kind(kind: TrunkKind) -> Self {
        let refer = match kind {
            TrunkKind::Teams | TrunkKind::Pbx => Refer::Handle,
            TrunkKind::Carrier => Refer::Off,
        };
        Self { refer, max_transfers: MAX_TRANSFERS }
    }

    /// Whether the peer is told that it may send REFER.
    pub const fn takes_refer(&self) -> bool {
        !matches!(self.refer, Refer::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_transfer_nothing_unless_they_are_told_they_may() {
        let takes = |kind| Transfer::of_kind(kind).takes_refer();
        assert_eq!([TrunkKind::Teams, TrunkKind::Pbx, TrunkKind::Carrier].map(takes), [true, true, false]);
        assert!(Transfer { refer: Refer::Pass, ..Transfer::of_kind(TrunkKind::Carrier) }.takes_refer());
    }
}
