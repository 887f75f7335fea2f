//! The methods and extensions that a peer knows.

use crate::trunk::TrunkKind;

/// The methods and extensions that a peer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods {}

impl Methods {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
