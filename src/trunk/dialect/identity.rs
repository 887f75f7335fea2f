//! Who calls: what a peer is told of it, and which headers it gets.

use crate::trunk::TrunkKind;

/// Who calls: what a peer is told of it, and which headers it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {}

impl Identity {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
