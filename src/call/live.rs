//! Live calls: what a shard remembers of calls that are up.
//!
//! No request needs it to find its way, since the token in its Request-URI has all that is needed. It serves what has to
//! know both legs at once: session timers, answers of the edge's own, transfers, hanging up, the call's record. So a call
//! that does not fit is not remembered, and one that a restart made unknown is learned again from its next re-INVITE.
//!
//! ```text
//! context -> learn -> Lives        requests: midcall::decide -> Pass | Answer | Take
//! midcall, session, ... -> Order -> shard -> errand contexts -> News -> midcall::hear
//! ```

pub mod compose;
pub mod errand;
pub mod hang_up;
pub mod homes;
pub mod learn;
mod local;
pub mod midcall;
mod relay;
pub mod replace;
pub mod session;
mod table;
pub mod timer;
pub mod transfer;

use std::sync::Arc;

use super::branch::ContextId;
use super::edge::Edge;
use super::progress::Kept;
use super::seal::{Hold, KeyId, Side};
use crate::routing::SiteMark;
use crate::sip::{HeaderName, Message, NameAddr};
use crate::transaction::{Alarm, Moment};
use crate::trunk::{ListenerId, Trunk};

pub use errand::{Ack, Errand, News, Order, Purpose};
pub use homes::Homes;
pub use learn::Agreed;
pub use midcall::{LocalAnswer, Midcall};
pub use session::SessionState;
pub use table::{Known, LegKey, Lives, Room};
pub use transfer::Transfer;

/// Most requests of the edge's own that one call has under way.
pub const MAX_ERRANDS: usize = 8;

/// One of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The leg on which the INVITE came in.
    Caller = 0,
    /// The leg on which it went out.
    Callee = 1,
}

impl End {
    /// Both, the caller first.
    pub const BOTH: [Self; 2] = [Self::Caller, Self::Callee];

    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// A call in the table of its shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LiveId {
    pub slot: u32,
    /// Tells a reused slot from the one that was meant.
    pub generation: u32,
}

/// A call that is up, with both its legs.
#[derive(Clone, Debug)]
pub struct LiveCall {
    pub id: LiveId,
    /// The key of the dialog.
    pub key: KeyId,
    /// The number of the callee's leg, in its sealed Call-ID.
    pub leg: u16,
    /// The Call-IDs of its legs have nothing to do with each other: their tokens name them.
    pub named: bool,
    /// It was brought here from another shard.
    pub adopted: bool,
    /// How often it has been transferred, as far as is known.
    pub transfers: u8,
    /// The transfer that is under way.
    pub transfer: Option<Box<Transfer>>,
    /// Who holds; *near* is the caller.
    pub hold: Hold,
    /// It is a call for help.
    pub emergency: bool,
    /// The media engine that has the call's streams.
    pub engine: Option<u8>,
    /// When it was answered, or learned again.
    pub began: Moment,
    /// The same in seconds since 1970 UTC.
    pub began_unix: u64,
    /// It was up before this process knew of it.
    pub relearned: bool,
    /// When a request or answer of it was seen last.
    pub seen: Moment,
    pub tenant: Option<Arc<str>>,
    /// What was learned of it on its way; `None`: another call that the same INVITE made is told of.
    pub progress: Kept,
    /// Its INVITE was answered by several.
    pub forked: bool,
    /// For its entry in the shard's timer wheel.
    pub alarm: Alarm,
    /// Requests of the edge's own that are under way.
    pub errands: Vec<(Errand, ContextId)>,
    /// A request with an offer that passes from one side to the other and is not answered yet.
    pub passing: Option<ContextId>,
    /// By [`End`].
    legs: [LiveLeg; 2],
}

impl LiveCall {
    /// One of its legs.
    pub const fn leg(&self, end: End) -> &LiveLeg {
        let [caller, callee] = &self.legs;
        match end {
            End::Caller => caller,
            End::Callee => callee,
        }
    }

    /// One of its legs, to be changed.
    pub const fn leg_mut(&mut self, end: End) -> &mut LiveLeg {
        let [caller, callee] = &mut self.legs;
        match end {
            End::Caller => caller,
            End::Callee => callee,
        }
    }

    /// What the peer of a leg is in tokens.
    pub const fn side(&self, end: End) -> Side {
        match end {
            End::Caller => Side::Caller { leg: self.leg },
            End::Callee => Side::Callee,
        }
    }

    /// Whether an offer is under way on any leg, so that another one has to wait (RFC 3261 section 14.1).
    pub fn has_offer_under_way(&self) -> bool {
        self.passing.is_some() || self.errands.iter().any(|(errand, _)| errand.purpose.offers())
    }

    /// Bytes of memory that the call holds on the heap, itself included.
    pub fn heap_bytes(&self) -> usize {
        let errands = self.errands.capacity() * size_of::<(Errand, ContextId)>();
        let transfer = self.transfer.as_ref().map_or(0, |transfer| transfer.heap_bytes());
        size_of::<Self>() + errands + transfer + self.legs.iter().map(LiveLeg::heap_bytes).sum::<usize>()
    }
}

/// One leg: the dialog between the edge and the peer of that side.
#[derive(Clone, Debug)]
pub struct LiveLeg {
    /// The mark of the peer's trunk: ids of trunks hold for one configuration only.
    pub mark: u32,
    /// The listener by which the peer is reached.
    pub listener: ListenerId,
    /// The site under whose name the peer knows the edge.
    pub site: Option<SiteMark>,
    pub call_id: Box<[u8]>,
    /// The value of From or To that stands for the edge on this leg, with its tag.
    pub own: Box<[u8]>,
    /// The value of From or To that stands for the peer, with its tag.
    pub peer: Box<[u8]>,
    /// The peer's remote target, a URI.
    pub target: Box<[u8]>,
    /// The route set towards the peer, as the value of one Route header; empty when there is none.
    pub routes: Box<[u8]>,
    /// The last CSeq number that the edge sent.
    pub sent_cseq: u32,
    /// The edge does not know what it sent before: numbers of its own begin above this one.
    pub cseq_floor: u32,
    /// The last CSeq number that the peer sent.
    pub heard_cseq: u32,
    /// What is added to the peer's CSeq numbers on their way to the other leg.
    pub cseq_offset: i32,
    /// The session description that the peer sent last, as it came; empty when none is known.
    pub sdp: Box<[u8]>,
    /// The methods in the peer's Allow.
    pub allows: Allowed,
    /// The extensions in the peer's Supported.
    pub supports: Supports,
    pub session: SessionState,
}

impl LiveLeg {
    /// The peer's trunk, if the configuration in force still has it.
    pub fn trunk<'e>(&self, edge: &'e Edge) -> Option<&'e Trunk> {
        edge.trunk(edge.trunk_of_mark(self.mark)?)
    }

    /// The tag of the edge on this leg.
    pub fn own_tag(&self) -> &[u8] {
        tag_of(&self.own)
    }

    /// The tag of the peer.
    pub fn peer_tag(&self) -> &[u8] {
        tag_of(&self.peer)
    }

    /// Takes the next CSeq number of the edge on this leg.
    pub const fn next_cseq(&mut self) -> u32 {
        let last = if self.sent_cseq < self.cseq_floor { self.cseq_floor } else { self.sent_cseq };
        self.sent_cseq = last.saturating_add(1);
        self.sent_cseq
    }

    fn heap_bytes(&self) -> usize {
        [&self.call_id, &self.own, &self.peer, &self.target, &self.routes, &self.sdp]
            .map(|text| text.len())
            .iter()
            .sum()
    }
}

/// The tag of a From or To value.
fn tag_of(value: &[u8]) -> &[u8] {
    NameAddr::parse(value).ok().and_then(|address| address.tag()).unwrap_or_default()
}

/// The methods in an Allow header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(u16);

impl Allowed {
    const NAMES: [&[u8]; 14] = [
        b"INVITE",
        b"ACK",
        b"CANCEL",
        b"BYE",
        b"OPTIONS",
        b"REFER",
        b"NOTIFY",
        b"INFO",
        b"UPDATE",
        b"PRACK",
        b"MESSAGE",
        b"SUBSCRIBE",
        b"PUBLISH",
        b"REGISTER",
    ];

    /// What a message says; `None` when it has no Allow.
    pub fn of(message: &Message) -> Option<Self> {
        let lines = || message.lines().iter().filter(|line| line.name == HeaderName::Other);
        let mut allowed = None;
        for line in lines().filter(|line| message.name_at(line).eq_ignore_ascii_case(b"Allow")) {
            let Self(bits) = allowed.get_or_insert_default();
            for method in message.value_at(line).split(|&byte| byte == b',') {
                *bits |= Self::bit(method.trim_ascii());
            }
        }
        allowed
    }

    /// Whether the peer takes a method, as far as it has said so.
    pub fn has(self, method: &[u8]) -> bool {
        self.0 & Self::bit(method) != 0
    }

    fn bit(method: &[u8]) -> u16 {
        Self::NAMES.iter().position(|name| *name == method).map_or(0, |at| 1 << at)
    }
}

/// Extensions in a Supported header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supports {
    /// RFC 4028.
    pub timer: bool,
    /// RFC 3262.
    pub rel100: bool,
    /// RFC 3891.
    pub replaces: bool,
    /// RFC 4488.
    pub norefersub: bool,
}

impl Supports {
    /// What a message says; `None` when it has no Supported.
    pub fn of(message: &Message) -> Option<Self> {
        message.line(HeaderName::Supported)?;
        let has =
            |wanted: &[u8]| message.option_tags(HeaderName::Supported).any(|tag| tag.eq_ignore_ascii_case(wanted));
        Some(Self {
            timer: has(b"timer"),
            rel100: has(b"100rel"),
            replaces: has(b"replaces"),
            norefersub: has(b"norefersub"),
        })
    }
}
