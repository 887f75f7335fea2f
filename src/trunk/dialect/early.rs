//! What a peer is shown of provisional answers.

use crate::trunk::TrunkKind;

/// What a peer is shown of provisional answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {}

impl Early {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
