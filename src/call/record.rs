//! What is told of a call when it is over: who was called by whom over which trunks, how it ended, and why, in plain words.

pub mod microsoft;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::id::CallId;
use super::live::End;
use super::live::hang_up::Cause;
use crate::trunk::{TrunkId, TrunkKind};

pub use tell::{Ending, Failed, note_up, of_bye, of_call, of_failed, of_passing, of_refused, reason_of};

/// A call that is over, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// What the call goes by in logs, records and traces.
    pub id: CallId,
    /// The Call-ID of the caller's leg.
    pub call_id: Box<str>,
    /// The trunk that called.
    pub from: Party,
    /// The trunk that was called, where it came so far.
    pub to: Option<Party>,
    pub tenant: Option<Arc<str>>,
    /// When it was answered, or refused, in seconds since 1970 UTC.
    pub began_unix: u64,
    /// How long it was up; `None`: it never was.
    pub lasted: Option<Duration>,
    /// It was up before this process knew of it, so that `lasted` is too short.
    pub relearned: bool,
    pub outcome: Outcome,
    /// The final status of an INVITE that failed; 200 of a call that was up.
    pub status: u16,
    /// What the peer gave as the reason, as text without line breaks; empty when it gave none.
    pub reason: Box<str>,
    /// What Microsoft means by that.
    pub meaning: Option<&'static str>,
    pub facts: Facts,
}

/// What was learned of a call on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The Call-ID of the callee's leg; empty where it is the caller's.
    pub far_call_id: Box<str>,
    /// The site of the tenant that the call belongs to, by its FQDN.
    pub site: Option<Arc<str>>,
    /// Who calls: the user part that routing went by; empty when there is none.
    pub caller: Box<str>,
    /// The number or name as it was dialled.
    pub called: Box<str>,
    /// The number or name as the last target got it.
    pub sent_to: Box<str>,
    /// The id of the tenant's user who calls or, of a call that comes from outside, is called.
    pub user: Option<Box<str>>,
    /// The target that answered, or was tried last, as the configuration has it.
    pub target: Box<str>,
    /// It is a call for help.
    pub emergency: bool,
    /// When the INVITE came, in milliseconds since 1970 UTC; zero: this process did not see it.
    pub invited_unix_ms: u64,
    /// From the INVITE to the first provisional answer other than 100 that went to the caller.
    pub rang_after: Option<Duration>,
    /// From the INVITE to its final answer.
    pub answered_after: Option<Duration>,
    /// Q.850 cause in the Reason of a BYE, CANCEL or final answer (RFC 3326).
    pub q850: Option<u8>,
    /// Targets that were tried, the one that answered included.
    pub tries: u8,
    /// Transfers that the call has seen.
    pub transfers: u8,
    /// Who of those that began the call was in it at its end.
    pub stays: Stays,
    /// The limit that it was refused at: `trunk carrier max_calls`.
    pub limit: Option<Box<str>>,
    /// Textbook proxying: one dialog end to end.
    pub transparent: bool,
}

/// Who of those that began a call is in it after transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stays {
    #[default]
    Both,
    Caller,
    Callee,
    Nobody,
}

impl Stays {
    /// A word for logs and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Nobody => "nobody",
        }
    }
}

/// A side of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub trunk: Arc<str>,
    pub kind: TrunkKind,
}

impl Party {
    fn of(edge: &Edge, id: TrunkId) -> Option<Self> {
        edge.trunk(id).map(|trunk| Self { trunk: Arc::clone(&trunk.name), kind: trunk.kind })
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A side hung up.
    HungUp(End),
    /// The edge ended it.
    Ended(Cause),
    /// Nothing was seen of it for so long that its tokens are not taken any more.
    Forgotten,
    /// The caller gave up before it was answered.
    Cancelled,
    /// The callee, or a trunk on the way, refused it.
    Refused,
    /// Nobody could be reached: no answer, no connection.
    Unreachable,
    /// The edge did not let it pass.
    NotPassed,
}

impl Outcome {
    /// How many outcomes the counters tell apart.
    pub const COUNT: usize = 7 + Cause::NAMES.len();

    /// The names of all, in the order of the counters.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "caller-hung-up",
        "callee-hung-up",
        "forgotten",
        "cancelled",
        "refused",
        "unreachable",
        "not-passed",
        Cause::NAMES[0],
        Cause::NAMES[1],
        Cause::NAMES[2],
        Cause::NAMES[3],
        Cause::NAMES[4],
    ];

    /// A short name for counters and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HungUp(End::Caller) => "caller-hung-up",
            Self::HungUp(End::Callee) => "callee-hung-up",
            Self::Ended(cause) => cause.name(),
            Self::Forgotten => "forgotten",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NotPassed => "not-passed",
        }
    }

    fn index(self) -> usize {
        Self::NAMES.iter().position(|name| *name == self.name()).unwrap_or_default()
    }
}

/// Kinds of trunks in the order of the counters.
pub const KINDS: [TrunkKind; 3] = [TrunkKind::Teams, TrunkKind::Carrier, TrunkKind::Pbx];

/// Calls by how they ended, and by the kind of the trunk that was called (or that called, where none was).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended([[u32; KINDS.len()]; Outcome::COUNT]);

impl Ended {
    pub(super) fn add(&mut self, outcome: Outcome, kind: TrunkKind) {
        let column = KINDS.iter().position(|&other| other == kind).unwrap_or_default();
        if let Some(count) = self.0.get_mut(outcome.index()).and_then(|row| row.get_mut(column)) {
            *count += 1;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add_all(&mut self, other: &Self) {
        let counts = self.0.iter_mut().flatten().zip(other.0.iter().flatten());
        counts.for_each(|(count, more)| *count += more);
    }

    /// Each outcome and kind with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, TrunkKind, u32)> {
        let row = |(name, row): (&'static str, [u32; KINDS.len()])| {
            KINDS.into_iter().zip(row).map(move |(kind, count)| (name, kind, count))
        };
        Outcome::NAMES.into_iter().zip(self.0).flat_map(row)
    }
}
