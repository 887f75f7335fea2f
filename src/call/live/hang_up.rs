//! Hanging up: the edge ends a call on both sides, and why.

use super::errand::{Ack, Errand, Order, Purpose};
use super::{End, LiveId, compose};
use crate::call::{Env, Output, Tools, record};

/// Why the edge ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A side did not refresh the session in time, or did not answer the refresh (RFC 4028 section 10).
    SessionExpired(End),
    /// A side answered a request of the edge's own with 408 or 481: it is gone (RFC 5057 section 5.1).
    Gone(End),
    /// A 2xx of the edge's own was never acknowledged (RFC 3261 section 13.3.1.4).
    NotAcknowledged(End),
    /// Both sides were connected elsewhere.
    Transferred,
    /// An operator ended it.
    Operator,
}

impl Cause {
    /// All, in the order of the counters; the sides count as one.
    pub const NAMES: [&'static str; 5] = ["session-expired", "gone", "not-acknowledged", "transferred", "operator"];

    /// A short name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionExpired(_) => "session-expired",
            Self::Gone(_) => "gone",
            Self::NotAcknowledged(_) => "not-acknowledged",
            Self::Transferred => "transferred",
            Self::Operator => "operator",
        }
    }

    /// What the BYEs say (RFC 3326).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SessionExpired(_) => "SIP;cause=408;text=\"Session Expired\"",
            Self::Gone(_) => "SIP;cause=481;text=\"The Other Side Is Gone\"",
            Self::NotAcknowledged(_) => "SIP;cause=408;text=\"No ACK\"",
            Self::Transferred => "SIP;cause=200;text=\"Call Transferred\"",
            Self::Operator => "Q.850;cause=16;text=\"Ended by the operator\"",
        }
    }
}

/// Ends a call: a BYE on each leg, and nothing of it is remembered but that it has ended.
pub fn hang_up(env: &Env<'_>, tools: &mut Tools, out: &mut Output, id: LiveId, cause: Cause) {
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return };
    for end in End::BOTH {
        if let Some(request) = compose::bye(env, edits, call, end, cause.reason()) {
            let errand = Errand { call: id, end, purpose: Purpose::HangUp };
            orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        }
    }
    let memory = env.edge.timing.timer_l();
    if let Some(mut call) = lives.remove(env.secrets, (env.now, memory), id, true) {
        record::of_call(env, lives, out, &mut call, record::Ending::Edge(cause));
    }
}
