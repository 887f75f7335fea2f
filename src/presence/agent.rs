//! The edge as a SIP user agent for event packages: SUBSCRIBE, NOTIFY and PUBLISH, with transactions (RFC 3261 section
//! 17) and digest authentication of its own, so that no call waits for any of it.
//!
//! The parts ([`super::subscriber`], [`super::notifier`], [`super::publications`], [`super::publisher`]) speak in
//! [`Ask`] and [`Answer`], and hear [`Reply`] and [`Arrived`].

use std::sync::Arc;

use bytes::Bytes;

use crate::sip::Message;
use crate::trunk::{Flow, TrunkId};

/// Whose request it is: the part, and the number of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ticket {
    Subscriber(u64),
    Notifier(u64),
    Publisher(u64),
}

/// The method of a request of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Subscribe,
    Notify,
    Publish,
}

/// A request that a part wants sent. The agent adds Via, Max-Forwards, Contact, User-Agent and what a challenge asks for
/// (with the next CSeq, which [`Reply::cseq`] tells).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub ticket: Ticket,
    /// The trunk that it goes to, by its targets' order and health.
    pub trunk: TrunkId,
    pub verb: Verb,
    /// Request-URI; `{target}` in it stands for the host and port of the trunk's target in use.
    pub uri: String,
    /// Values with tags, without the header's name; `{local}` in them stands for the edge's host towards the trunk.
    pub from: String,
    pub to: String,
    pub call_id: Arc<str>,
    pub cseq: u32,
    /// The user part of the edge's Contact; requests inside the dialog come back with it.
    pub contact_user: String,
    /// Route values in order.
    pub route: Vec<String>,
    /// More headers: name and value.
    pub headers: Vec<(&'static str, String)>,
    /// Content type and body.
    pub body: Option<(&'static str, Bytes)>,
    /// Go back over this flow where it is still open (NOTIFY to a watcher behind TCP or TLS).
    pub flow: Option<Flow>,
}

/// What came of an [`Ask`].
#[derive(Clone, Debug)]
pub struct Reply {
    pub ticket: Ticket,
    /// The CSeq that was used last: the next request of the dialog takes one more.
    pub cseq: u32,
    pub outcome: Outcome,
}

/// How an [`Ask`] ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A final answer. A challenge that was met is not seen.
    Answered(Message),
    /// Nobody answered in time (RFC 3261 timer F).
    Timeout,
    /// It could not be sent to any target.
    Unreachable,
    /// Too much is under way already: ask again later.
    Full,
}

/// A server transaction of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// A request that is for the bridge.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub handle: Handle,
    /// The trunk that it came from: proved by address or certificate.
    pub trunk: TrunkId,
    pub flow: Flow,
    pub message: Message,
}

/// The answer to an [`Arrived`]; each gets exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub handle: Handle,
    pub status: u16,
    pub reason: &'static str,
    /// The tag of To, where the answer makes a dialog.
    pub to_tag: Option<String>,
    /// The user part of the edge's Contact; `None`: the answer has no Contact.
    pub contact_user: Option<String>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<(&'static str, Bytes)>,
}

/// What a part wants done over SIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    Ask(Ask),
    Answer(Answer),
}

/// The beginning of the user part of all Contacts of the bridge; a request inside one of its dialogs is known by it.
pub const CONTACT_MARK: &str = "tw-ps-";
