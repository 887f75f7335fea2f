//! Requests of the edge's own inside a call, what comes of them, and what the machines of a call want done.

use std::sync::Arc;

use bytes::Bytes;

use super::hang_up::Cause;
use super::midcall::LocalAnswer;
use super::{End, LiveId, LiveLeg};
use crate::call::branch::ContextId;
use crate::call::destination::{Candidate, Destination};
use crate::call::owned::Behalf;
use crate::sip::Message;
use crate::trunk::{ListenerId, TrunkId};

/// A request of the edge's own: of which call, on which leg, what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    pub call: LiveId,
    /// The leg on which it is sent; of a new leg the one whose place it takes.
    pub end: End,
    pub purpose: Purpose,
}

/// What a request of the edge's own is for; picks who hears of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The BYE of a call that the edge ended: nobody waits for its answer.
    HangUp,
    /// A session refresh (RFC 4028).
    Refresh,
    /// It stands for a request that came on the other leg, which is answered by what comes of it.
    Relay { asker: ContextId },
    /// Progress of a transfer, told by NOTIFY (RFC 3515).
    Notify,
    /// The INVITE to the target of a transfer.
    Target,
    /// The re-INVITE that connects a side to another peer; the number tells the steps of a machine apart.
    Connect { step: u8 },
}

impl Purpose {
    /// Whether the request carries an offer or asks for one, on a leg that the call has already.
    pub const fn offers(self) -> bool {
        matches!(self, Self::Refresh | Self::Relay { .. } | Self::Connect { .. })
    }
}

/// Who acknowledges a 2xx to an INVITE of the edge's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// The context, as soon as it comes.
    #[default]
    AtOnce,
    /// [`Order::Acknowledge`], with a body: the 2xx is an offer.
    Later,
}

/// A request and where it goes.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Whole but for its top Via, which the branch that it leaves in writes.
    pub bytes: Bytes,
    pub to: Candidate,
}

/// What happened to something that a machine began.
#[derive(Clone, Debug)]
pub enum News {
    /// An answer came to a request of the edge's own: each provisional one but 100, and the final one once. A status
    /// without a message is the edge's own verdict: nothing came (408), or it could not be sent (503).
    ///
    /// The answer to an INVITE in a side's name is as that side would have got it, and with a 2xx comes the new leg.
    Errand { errand: Errand, status: u16, response: Option<Message>, leg: Option<Box<LiveLeg>> },
    /// A request that a machine took was given up by who sent it (CANCEL), or nobody answered it in its time.
    GivenUp { context: ContextId, call: Option<(LiveId, End)> },
    /// A 2xx of the edge's own to an INVITE was never acknowledged.
    NotAcknowledged { context: ContextId, call: Option<(LiveId, End)> },
    /// The ACK of a 2xx of the edge's own has come, maybe with a body.
    Acknowledged { context: ContextId, call: Option<(LiveId, End)>, ack: Message },
}

/// What a machine wants the shard to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Send a request on a leg.
    Ask { errand: Errand, request: Composed, ack: Ack },
    /// Send an INVITE as if a side had sent it, along the normal way: routed, forked, failed over, with legs of its own.
    Invite(Box<Invitation>),
    /// Give up a request of the edge's own: an INVITE is cancelled, and a new leg that answers all the same hung up on.
    Cancel { errand: Errand },
    /// The same when its call is gone.
    GiveUp { context: ContextId },
    /// Acknowledge the 2xx to an INVITE of the edge's own ([`Ack::Later`]); an empty body has no type.
    Acknowledge { errand: Errand, content_type: &'static str, body: Box<[u8]> },
    /// Answer a request that was taken.
    Answer { context: ContextId, answer: LocalAnswer },
    /// End a call on both sides.
    HangUp { call: LiveId, cause: Cause },
}

/// An INVITE that the edge makes in the name of a side.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub errand: Errand,
    /// The INVITE as that side would have sent it.
    pub request: Bytes,
    /// Its trunk and listener.
    pub from: TrunkId,
    pub listener: ListenerId,
    /// What the side is in its own dialog.
    pub behalf: Arc<Behalf>,
    /// Where it goes; `None`: where routing sends it.
    pub to: Option<Destination>,
    pub ack: Ack,
}
