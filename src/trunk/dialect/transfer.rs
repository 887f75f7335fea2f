//! What becomes of a peer's REFER.

use crate::trunk::TrunkKind;

/// What becomes of a peer's REFER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {}

impl Transfer {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
