//! Session timers with a peer (RFC 4028).

use crate::trunk::TrunkKind;

/// Session timers with a peer (RFC 4028).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {}

impl Session {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
