//! The vocabulary: states of lines, users, Teams clients and sessions, spelled as the golden table spells them.

use std::fmt;
use std::str::FromStr;

use super::people::UserKey;
use crate::transaction::Moment;

/// A word that names no state of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no such state: write one of {known}")]
pub struct UnknownState {
    pub word: String,
    pub known: String,
}

/// Gives an enum its words.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// All states, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as people and files write it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownState;

            fn from_str(text: &str) -> Result<Self, UnknownState> {
                let known = Self::ALL.iter().copied().find(|state| text.trim().eq_ignore_ascii_case(state.word()));
                known.ok_or_else(|| UnknownState {
                    word: text.to_owned(),
                    known: Self::ALL.iter().map(|state| state.word()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

pub(super) use words;

/// PBX presence, and what a line comes to: the greatest wins (rule 1), so the order of the variants is the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    #[default]
    Unknown,
    Offline,
    Available,
    Busy,
    DoNotDisturb,
    Away,
}

words!(Presence {
    Unknown = "unknown",
    Offline = "offline",
    Available = "available",
    Busy = "busy",
    DoNotDisturb = "do-not-disturb",
    Away = "away",
});

/// What a user has set on the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserState {
    Available,
    Absent,
    Meeting,
    Busy,
    NotAvailable,
}

words!(UserState {
    Available = "available",
    Absent = "absent",
    Meeting = "meeting",
    Busy = "busy",
    NotAvailable = "not-available",
});

/// What one Teams client (desktop, mobile, web) does (rule 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientState {
    Offline,
    ConnectedInactive,
    ConnectedActive,
    Busy,
    FocusOrPresenting,
}

words!(ClientState {
    Offline = "offline",
    ConnectedInactive = "connected-inactive",
    ConnectedActive = "connected-active",
    Busy = "busy",
    FocusOrPresenting = "focus-or-presenting",
});

/// One of the five pairs that `setPresence` takes (reference page `teams-protocol.md`, B2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Session {
    Available,
    InACall,
    InAConferenceCall,
    Away,
    Presenting,
}

impl Session {
    /// All pairs.
    pub const ALL: [Self; 5] = [Self::Available, Self::InACall, Self::InAConferenceCall, Self::Away, Self::Presenting];

    /// The base state, as Graph spells it.
    pub const fn availability(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InACall | Self::InAConferenceCall => "Busy",
            Self::Away => "Away",
            Self::Presenting => "DoNotDisturb",
        }
    }

    /// The detail, as Graph spells it.
    pub const fn activity(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InACall => "InACall",
            Self::InAConferenceCall => "InAConferenceCall",
            Self::Away => "Away",
            Self::Presenting => "Presenting",
        }
    }
}

/// Base state of a user in Teams as Graph tells it; compared without case, and what is not known is `Unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Availability {
    Available,
    AvailableIdle,
    Away,
    BeRightBack,
    Busy,
    BusyIdle,
    DoNotDisturb,
    Offline,
    #[default]
    Unknown,
}

impl Availability {
    /// Reads what Graph wrote; it never fails.
    pub fn read(text: &str) -> Self {
        const KNOWN: [(&str, Availability); 8] = [
            ("Available", Availability::Available),
            ("AvailableIdle", Availability::AvailableIdle),
            ("Away", Availability::Away),
            ("BeRightBack", Availability::BeRightBack),
            ("Busy", Availability::Busy),
            ("BusyIdle", Availability::BusyIdle),
            ("DoNotDisturb", Availability::DoNotDisturb),
            ("Offline", Availability::Offline),
        ];
        KNOWN.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map_or(Self::Unknown, |&(_, known)| known)
    }

    /// As Graph spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::AvailableIdle => "AvailableIdle",
            Self::Away => "Away",
            Self::BeRightBack => "BeRightBack",
            Self::Busy => "Busy",
            Self::BusyIdle => "BusyIdle",
            Self::DoNotDisturb => "DoNotDisturb",
            Self::Offline => "Offline",
            Self::Unknown => "PresenceUnknown",
        }
    }
}

/// What Graph tells of a user, aggregated over all of the user's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamsPresence {
    pub availability: Availability,
    /// As it came: `InACall`, `OutOfOffice`, and words that nobody knows yet.
    pub activity: Box<str>,
    /// Sorts polls and notifications, lexicographically; `None`: Graph told none.
    pub sequence: Option<Box<str>>,
}

/// Who says something of a user. Each source of a user has one state and a lifetime of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The edge's own calls.
    Calls,
    /// A dialog-event subscription of the edge's on a PBX (RFC 4235), by the number of the user's line.
    Line(u8),
    /// The edge's subscription to `presence` on a PBX.
    PbxPresence,
    /// A PUBLISH to the edge (RFC 3903), by publication.
    Published(u32),
    /// The HTTP feed, by the feed's own device name, numbered.
    Feed(u16),
}

/// What a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// What a device does, with whether it is in a conference.
    Line { presence: Presence, conference: bool },
    /// What the user has set.
    User(UserState),
}

/// What a source of a user says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub user: UserKey,
    pub source: Source,
    /// `None`: the source has failed or is over, so nothing is known from it.
    pub report: Option<Report>,
    /// When the report is no longer to be believed, unless it is told again; `None`: it holds.
    pub until: Option<Moment>,
}
