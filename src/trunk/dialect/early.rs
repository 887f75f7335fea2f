//! What a peer is shown of provisional answers, and whether it wants them acknowledged (RFC 3262).

use std::time::Duration;

use crate::trunk::TrunkKind;

/// What Teams is told after, when the far side has said no more than 100: it waits ten seconds for a sign of life before
/// it tries another edge.
const TEAMS_PROGRESS: Duration = Duration::from_millis(7_000);

/// What a peer is shown of provisional answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// What becomes of 18x on their way to the peer.
    pub ringing: Ringing,
    /// How the peer takes part in reliable provisional answers.
    pub reliable: Reliable,
    /// After how long a caller who has heard no more than 100 gets a 183 of the edge's own; `None`: never.
    pub progress_after: Option<Duration>,
}

/// What becomes of 18x on their way to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ringing {
    /// Those of one early dialog: the first that rings, and then the first that has media.
    First,
    /// All become 180 without a body, one for each early dialog.
    Only180,
    /// All as they come, but what would end the early media of another early dialog.
    #[default]
    Pass,
    /// A 183 becomes a 180 without a body.
    To180,
}

impl Ringing {
    /// All policies with their words in the configuration.
    pub const WORDS: [(&'static str, Self); 4] =
        [("pass", Self::Pass), ("first", Self::First), ("183-to-180", Self::To180), ("180-only", Self::Only180)];
}

/// How a peer takes part in reliable provisional answers (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reliable {
    /// With the edge: it offers 100rel to the peer, and makes its own answers reliable when the peer knows how.
    End,
    /// Not at all: the peer knows nothing of it.
    Off,
    /// With the far side, when that passes it too; otherwise the edge does no more than what it must.
    #[default]
    Pass,
}

impl Reliable {
    /// All ways with their words in the configuration.
    pub const WORDS: [(&'static str, Self); 3] = [("pass", Self::Pass), ("end", Self::End), ("off", Self::Off)];

    /// Whether reliability ends at the edge on both legs of a call between two peers.
    pub fn is_ended_with(self, far: Self) -> bool {
        self != Self::Pass || far != Self::Pass
    }
}

impl Early {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        match kind {
            TrunkKind::Teams => {
                Self { ringing: Ringing::Pass, reliable: Reliable::Off, progress_after: Some(TEAMS_PROGRESS) }
            }
            TrunkKind::Carrier | TrunkKind::Pbx => Self::default(),
        }
    }
}
