//! The proxy core (RFC 3261 section 16): what becomes of a request and of the answers to it. Pure.
//!
//! `shard` owns the transactions and calls in here with one event at a time; what is to happen comes out as
//! [`Command`]s. The way of a request through this folder:
//!
//! ```text
//! screen (16.3) -> route_set (16.4) -> destination (16.5) -> context -> forward (16.6)
//! best (16.7) <- context <- response
//! ```
//!
//! Between *transparent* trunks there is one dialog end to end, with the edge in the path by Record-Route. Otherwise the
//! edge owns both legs: `owned` says what that changes in `forward` and in the answers of a `context`.

pub mod admission;
pub mod best;
pub mod branch;
pub mod caller;
pub mod command;
pub mod context;
pub mod destination;
pub mod dialect;
pub mod dialog_token;
pub mod edge;
pub mod explain;
pub mod forward;
pub mod gate;
pub mod id;
pub mod leg;
pub mod live;
pub mod loops;
pub mod mask;
pub mod numbers;
pub mod owned;
pub mod probe;
pub mod progress;
pub mod record;
pub mod refer;
pub mod route_set;
pub mod screen;
pub mod seal;
pub mod stored;

pub use branch::{BranchId, ContextId};
pub use command::{Command, Counts, Heard, Output};
pub use context::{Context, Event};
pub use edge::Edge;
pub use gate::Gate;
pub use id::CallId;
pub use record::CallRecord;

use std::cell::RefCell;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::sip::{Edits, Essentials, Message, Transport};
use crate::transaction::{HashKey, KeyParts, Moment};
use crate::trunk::{Hop, Target, TrunkId};

/// What every step may look at.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub now: Moment,
    /// Seconds since 1970 UTC, for what goes by the calendar.
    pub unix: u64,
    /// The same in milliseconds.
    pub unix_ms: u64,
    pub edge: &'a std::sync::Arc<Edge>,
    pub secrets: &'a Secrets,
    pub names: &'a dyn Names,
    pub store: &'a dyn stored::CallStore,
    /// What of this event goes to the call store; the shard puts it before the event's messages.
    pub shelf: &'a RefCell<stored::Shelf>,
}

/// Random keys: drawn once per process, but for the seal key, which other nodes and later processes share.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Of the transaction keys.
    pub hash: HashKey,
    /// Of shards, generations and tags.
    pub tags: [u8; 16],
    /// Of what rides in the edge's own URIs.
    pub seal: dialog_token::SealKey,
    /// Of owned legs.
    pub ring: seal::KeyRing,
}

/// The answer of a name cache that never waits.
pub trait Names {
    /// The places behind a target, in the order in which they are to be tried, when they are known already.
    fn cached(&self, edge: &Edge, trunk: TrunkId, target: &Target) -> Option<Vec<Hop>>;
}

/// What the steps work with and keep between events, so that they need not allocate it anew.
#[derive(Debug, Default)]
pub struct Tools {
    pub edits: Edits,
    pub scratch: Vec<u8>,
    /// Calls that are up.
    pub lives: live::Lives,
    /// Calls that are up between transparent trunks.
    pub through: progress::Through,
    /// What happened to what the machines of calls began; the shard hands it to them after each event.
    pub news: Vec<live::News>,
    /// What those machines want done; the shard does it after each event.
    pub orders: Vec<live::Order>,
}

impl Secrets {
    /// A hash that only this process can compute: of a shard's choice, a tag, a generation.
    pub fn number(&self, purpose: u8, fields: &[&[u8]]) -> u64 {
        let mut hash = SipHasher13::new_with_key(&self.tags);
        hash.write_u8(purpose);
        for field in fields {
            hash.write(field);
            hash.write_u8(0xff);
        }
        hash.finish()
    }

    /// The shard of a Call-ID among `count`, a power of two: the same for all legs of a call, since those that the edge
    /// made are opened down to the one that came first. One that is not the edge's is known by its form.
    pub fn shard_of(&self, call_id: &[u8], count: usize) -> usize {
        // One more than may pass: the last leg of a call is never the near one of another.
        let root = self.ring.root_call_id(call_id, owned::MAX_PASSES + 1);
        self.number(0, &[&root]) as usize & (count - 1)
    }
}

/// What of a request decides which server transaction it belongs to.
pub fn key_parts<'a>(request: &'a Message, essentials: &Essentials<'a>) -> KeyParts<'a> {
    KeyParts {
        method: request.method(),
        branch: essentials.via.branch.unwrap_or_default(),
        sent_by_host: essentials.via.host,
        sent_by_port: essentials.via.port,
        transport: essentials.via.known_transport().unwrap_or(Transport::Udp),
        request_uri: essentials.uri.raw,
        from_tag: essentials.from_tag.unwrap_or_default(),
        to_tag: essentials.to_tag.unwrap_or_default(),
        call_id: essentials.call_id,
        cseq: essentials.cseq.number,
        top_via: essentials.via.raw,
    }
}

/// Writes the To tag of the edge's own answers to a request. It follows from the call, so that answers to copies
/// are alike and an ACK for an answer that left no transaction behind is known (RFC 3261 section 8.2.7).
pub fn own_tag(secrets: &Secrets, request: &Message, out: &mut Vec<u8>) {
    let from = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
    let number = secrets.number(1, &[request.call_id().unwrap_or_default(), from]);
    branch::write_hex(out, number, 16);
}

/// The chance that picks among members of one priority: the same for all copies and retries of a call.
pub fn draw(secrets: &Secrets, call_id: &[u8]) -> u64 {
    secrets.number(4, &[call_id])
}

/// The number in the branch of an ACK that the edge sends on without a transaction: the same for its copies.
pub fn ack_number(secrets: &Secrets, request: &Message) -> u64 {
    let via = request.top_via().ok();
    let branch = via.and_then(|via| via.branch).unwrap_or_default();
    secrets.number(2, &[branch, request.call_id().unwrap_or_default()])
}
