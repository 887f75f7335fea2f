//! What the core wants done, and what it counted while deciding so.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::admission::Scope;
use super::branch::{BranchId, ContextId};
use super::dialect::identity::NotTold;
use super::owned::{NotSealed, Refused};
use super::progress::Turn;
use super::record::{CallRecord, Ended};
use super::stored::StoreKey;
use crate::routing::NoRoute;
use crate::trunk::health::Outcome;
use crate::trunk::{ConnectionId, Flow, Hop, Target, TrunkId};

/// One thing for the drivers to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send an answer back the way its request came; where that connection has gone, to `fallback`
    /// (RFC 3261 section 18.2.2).
    Answer { flow: Flow, fallback: Option<Hop>, bytes: Bytes },
    /// Send a request. When it cannot be sent, the shard wants to hear so of `branch`.
    Request { hop: Hop, bytes: Bytes, branch: Option<BranchId> },
    /// Look up a name; the shard waits for `handle_resolved` of the same context and lane.
    Resolve { context: ContextId, lane: u8, trunk: TrunkId, target: Target },
    /// Keep something in the call store: it is to be safe before what comes behind this leaves.
    Store { key: StoreKey, bytes: Bytes },
    /// A call that the store may have something of is up: that is kept as long as calls may last.
    CallUp { call: u64 },
    /// A call that the store may have something of is over.
    CallOver { call: u64 },
    /// No further request takes the connection to `hop`; it ends when nothing passes over it any more.
    Drop { hop: Hop },
    /// Requests to `addr` may take this connection, which its peer offered (RFC 5923).
    Alias { connection: ConnectionId, addr: SocketAddr, name: Option<Arc<str>> },
}

/// What a call tells of a target that it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub trunk: TrunkId,
    /// Index of the trunk's target.
    pub target: u16,
    pub what: Outcome,
}

/// What one event brought about, for the counters of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Server transactions begun.
    pub contexts: u32,
    /// Requests sent on, the branches of forks counted singly.
    pub forwarded: u32,
    /// Copies absorbed: requests answered from memory or ignored.
    pub absorbed: u32,
    /// Requests or responses sent again by a timer.
    pub retransmitted: u32,
    /// Requests refused with an answer of the edge's own.
    pub refused: u32,
    /// Messages dropped without an answer.
    pub dropped: u32,
    /// Next targets tried after a failure.
    pub failovers: u32,
    /// Requests refused since `max_transactions` was reached.
    pub over_limit: u32,
    /// Requests outside of any dialog that were refused since the edge drains.
    pub drained: u32,
    /// Requests that would begin a dialog, refused since there is too much to do.
    pub shed: u32,
    /// The same, refused since their trunk begins more a second than it may.
    pub over_trunk_pace: u32,
    /// Messages refused or dropped since they pass a limit of the message layer.
    pub over_message_limit: u32,
    /// Requests of no known trunk.
    pub strangers: u32,
    /// Requests that routing was asked about.
    pub decisions: u32,
    /// Requests that routing sent nowhere.
    pub unrouted: Unrouted,
    /// Calls to numbers that are a tenant's and nobody's, refused or sent to the tenant's destination for them.
    pub unassigned: u32,
    /// Calls to numbers of several users, refused or sent to the tenant's main destination.
    pub ambiguous: u32,
    /// Calls for help.
    pub emergency: u32,
    /// Provisional answers that the caller's trunk does not want to see.
    pub early_withheld: u32,
    /// 183s of the edge's own, for callers who had heard nothing for long.
    pub progress: u32,
    /// PRACKs of the edge's own.
    pub pracks: u32,
    /// Calls refused since the caller acknowledged no provisional answer.
    pub unacknowledged: u32,
    /// Connections that no further request takes, since their peer answered 503.
    pub connections_dropped: u32,
    /// Branches begun beside others, after their delay or without one.
    pub beside: u32,
    /// Calls whose state did not fit into the edge's own URIs, in the order of [`NotSealed::ALL`].
    pub not_sealed: Tally<{ NotSealed::ALL.len() }>,
    /// Tokens that came back and were refused, in the order of [`Refused::ALL`].
    pub tokens_refused: Tally<{ Refused::ALL.len() }>,
    /// Calls that did not go to a trunk for what they say of people, in the order of [`NotTold::ALL`].
    pub identity_refused: Tally<{ NotTold::ALL.len() }>,
    /// Calls that came up and were not remembered since `max_calls_remembered` was reached.
    pub calls_not_remembered: u32,
    /// Calls that are over.
    pub calls_ended: Ended,
    /// Transfers that peers have asked for by REFER and the edge has begun.
    pub transfers: u32,
    /// Transfers that have connected the two, and INVITEs that have taken a leg's place.
    pub transferred: u32,
    /// Calls that did not pass a limit, in the order of [`Scope::ALL`].
    pub limits_reached: Tally<{ Scope::ALL.len() }>,
    /// Soft thresholds of limits that were passed on the way up, likewise.
    pub soft_limits: Tally<{ Scope::ALL.len() }>,
}

/// One number for each of some reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally<const REASONS: usize>(pub [u32; REASONS]);

impl<const REASONS: usize> Default for Tally<REASONS> {
    fn default() -> Self {
        Self([0; REASONS])
    }
}

impl<const REASONS: usize> Tally<REASONS> {
    /// Counts one for a reason, by its place in the list of all.
    pub fn add(&mut self, reason: usize) {
        if let Some(count) = self.0.get_mut(reason) {
            *count += 1;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

/// Requests that routing sent nowhere, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unrouted([u32; NoRoute::ALL.len()]);

impl Unrouted {
    /// Counts one.
    pub fn add(&mut self, why: NoRoute) {
        for (count, reason) in self.0.iter_mut().zip(NoRoute::ALL) {
            *count += u32::from(reason == why);
        }
    }

    /// Every reason with its number.
    pub fn iter(&self) -> impl Iterator<Item = (NoRoute, u32)> {
        NoRoute::ALL.into_iter().zip(self.0)
    }
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.contexts += other.contexts;
        self.forwarded += other.forwarded;
        self.absorbed += other.absorbed;
        self.retransmitted += other.retransmitted;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.failovers += other.failovers;
        self.over_limit += other.over_limit;
        self.drained += other.drained;
        self.shed += other.shed;
        self.over_trunk_pace += other.over_trunk_pace;
        self.over_message_limit += other.over_message_limit;
        self.strangers += other.strangers;
        self.decisions += other.decisions;
        self.unrouted.0.iter_mut().zip(other.unrouted.0).for_each(|(count, more)| *count += more);
        self.unassigned += other.unassigned;
        self.ambiguous += other.ambiguous;
        self.emergency += other.emergency;
        self.early_withheld += other.early_withheld;
        self.progress += other.progress;
        self.pracks += other.pracks;
        self.unacknowledged += other.unacknowledged;
        self.connections_dropped += other.connections_dropped;
        self.beside += other.beside;
        self.not_sealed.add_all(&other.not_sealed);
        self.tokens_refused.add_all(&other.tokens_refused);
        self.identity_refused.add_all(&other.identity_refused);
        self.calls_not_remembered += other.calls_not_remembered;
        self.calls_ended.add_all(&other.calls_ended);
        self.transfers += other.transfers;
        self.transferred += other.transferred;
        self.limits_reached.add_all(&other.limits_reached);
        self.soft_limits.add_all(&other.soft_limits);
    }
}

/// The outcome of events: cleared and filled again by whoever drives a shard.
#[derive(Debug, Default)]
pub struct Output {
    pub commands: Vec<Command>,
    /// For whoever watches the targets of trunks; only what is news.
    pub heard: Vec<Heard>,
    /// Calls that are over.
    pub records: Vec<CallRecord>,
    /// Calls that were answered, as far as they can be told by then; only while `wants_ups`.
    pub ups: Vec<CallRecord>,
    /// Whether somebody wants to know of calls that are answered.
    pub wants_ups: bool,
    /// Calls that have begun, were answered or have got another side; only while `wants_turns`.
    pub turns: Vec<Turn>,
    /// Whether somebody wants to know which users are in calls.
    pub wants_turns: bool,
    pub counts: Counts,
}
