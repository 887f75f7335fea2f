//! What is told of a call when it is over: who was called by whom over which trunks, how it ended, and why, in plain words.

pub mod microsoft;

use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::id::CallId;
use super::live::hang_up::Cause;
use super::live::{End, LiveCall};
use super::{Env, Output};
use crate::sip::{HeaderName, Message};
use crate::trunk::{TrunkId, TrunkKind};

/// Longest text of a peer that a record keeps, in bytes.
const MAX_TEXT: usize = 256;

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
    /// The limit that it was refused at.
    pub limit: Option<Box<str>>,
    /// Textbook proxying: one dialog end to end.
    pub transparent: bool,
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
    fn add(&mut self, outcome: Outcome, kind: TrunkKind) {
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

/// How a live call ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// A side sent this BYE.
    Bye(End, &'a Message),
    Edge(Cause),
    Forgotten,
}

/// Tells of a call that was up.
pub fn of_call(env: &Env<'_>, out: &mut Output, call: &LiveCall, ending: Ending<'_>) {
    let party = |end| Party::of(env.edge, env.edge.trunk_of_mark(call.leg(end).mark)?);
    let gone = || Party { trunk: "gone".into(), kind: TrunkKind::Pbx };
    // The answer to a side's BYE tells the call store; a transferred call goes on under the same mark.
    if let Ending::Edge(cause) = ending
        && cause != Cause::Transferred
    {
        let mark = env.secrets.ring.call_mark(call.key, &call.leg(End::Caller).call_id);
        env.shelf.borrow_mut().mark_over(mark);
    }
    let (outcome, reason) = match ending {
        Ending::Bye(end, bye) => (Outcome::HungUp(end), reason_of(bye)),
        Ending::Edge(cause) => (Outcome::Ended(cause), cause.reason().into()),
        Ending::Forgotten => (Outcome::Forgotten, Box::default()),
    };
    tell(
        out,
        CallRecord {
            id: CallId::of(env.secrets, &call.leg(End::Caller).call_id),
            facts: Facts { transfers: call.transfers, emergency: call.emergency, ..Facts::default() },
            call_id: text_of(&call.leg(End::Caller).call_id),
            from: party(End::Caller).unwrap_or_else(gone),
            to: party(End::Callee),
            tenant: call.tenant.clone(),
            began_unix: call.began_unix,
            lasted: Some(env.now.since(call.began)),
            relearned: call.relearned,
            outcome,
            status: 200,
            meaning: match ending {
                Ending::Bye(..) => microsoft::meaning(0, reason.as_bytes()),
                _ => None,
            },
            reason,
        },
    );
}

/// An INVITE between owned legs that failed.
#[derive(Clone, Debug)]
pub struct Failed<'a> {
    pub call_id: &'a [u8],
    pub from: TrunkId,
    /// The trunk that was tried last.
    pub to: Option<TrunkId>,
    pub tenant: Option<Arc<str>>,
    pub outcome: Outcome,
    /// The status that the caller got.
    pub status: u16,
    /// The answer of the callee, unless the status is the edge's own.
    pub response: Option<&'a Message>,
}

/// Tells of an INVITE that failed.
pub fn of_failed(env: &Env<'_>, out: &mut Output, failed: Failed<'_>) {
    let Some(from) = Party::of(env.edge, failed.from) else { return };
    let reason = failed.response.map(reason_of).unwrap_or_default();
    tell(
        out,
        CallRecord {
            id: CallId::of(env.secrets, failed.call_id),
            facts: Facts::default(),
            call_id: text_of(failed.call_id),
            from,
            to: failed.to.and_then(|to| Party::of(env.edge, to)),
            tenant: failed.tenant,
            began_unix: env.unix,
            lasted: None,
            relearned: false,
            outcome: failed.outcome,
            status: failed.status,
            meaning: failed.response.and_then(|response| microsoft::meaning(response.status(), reason.as_bytes())),
            reason,
        },
    );
}

fn tell(out: &mut Output, record: CallRecord) {
    let kind = record.to.as_ref().map_or(record.from.kind, |to| to.kind);
    out.counts.calls_ended.add(record.outcome, kind);
    out.records.push(record);
}

/// What a message gives as the reason: its Reason values, else its Warning.
fn reason_of(message: &Message) -> Box<str> {
    let mut text = Vec::new();
    for line in message.lines_of(HeaderName::Reason) {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(message.value_at(line));
    }
    if text.is_empty() {
        text.extend_from_slice(message.other(b"Warning").unwrap_or_default());
    }
    text_of(&text)
}

/// A peer's bytes as text for a log: no control characters, not too long.
fn text_of(bytes: &[u8]) -> Box<str> {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    String::from_utf8_lossy(bytes).chars().map(clean).collect::<String>().into()
}
