//! How a peer describes sessions and what bodies it takes.

use crate::trunk::TrunkKind;

/// How a peer describes sessions and what bodies it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {}

impl Media {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(_kind: TrunkKind) -> Self {
        Self::default()
    }
}
