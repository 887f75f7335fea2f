//! How a peer describes sessions and what bodies it takes.

use crate::trunk::TrunkKind;

/// How a peer describes sessions and what bodies it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    pub hold: Holding,
    /// Over UDP, messages of more than 1300 bytes leave out what the peer can do without.
    pub slim: bool,
    pub location: Location,
}

impl Media {
    /// What is taken for granted of a kind of peer.
    pub const fn of_kind(kind: TrunkKind) -> Self {
        let teams = matches!(kind, TrunkKind::Teams);
        let hold = if teams { Holding::Inactive } else { Holding::AsIs };
        Self { hold, slim: !teams, location: Location::CallsForHelp }
    }
}

/// How a peer wants to be told that the other side holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holding {
    /// As the other side says it.
    #[default]
    AsIs,
    /// By `a=inactive` and in no other way.
    Inactive,
    /// By `a=sendonly`, where the other side says `a=inactive`.
    SendOnly,
}

impl Holding {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("as-is", Self::AsIs), ("inactive", Self::Inactive), ("sendonly", Self::SendOnly)];
}

/// Whether a peer is told where callers are (RFC 6442).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// In calls for help.
    #[default]
    CallsForHelp,
    Pass,
    Strip,
}

impl Location {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("emergency", Self::CallsForHelp), ("pass", Self::Pass), ("strip", Self::Strip)];
}
