//! The edge as a SIP user agent for event packages: SUBSCRIBE, NOTIFY and PUBLISH, with transactions (RFC 3261 section
//! 17) and digest authentication of its own, so that no call waits for any of it.
//!
//! The parts ([`super::subscriber`], [`super::notifier`], [`super::publications`], [`super::publisher`]) speak in
//! [`Ask`] and [`Answer`], and hear [`Reply`] and [`Arrived`]. The owner of the sockets does the [`Todo`]s and tells what
//! became of them; what it knows of trunks comes as [`Ways`].
//!
//! ```text
//! Ask    -> clients -> Todo::Resolve -> handle_resolved -> Todo::Send -> handle_answer | handle_not_sent -> Reply
//! handle_request -> servers -> Arrived -> Answer -> servers -> Todo::Answer
//! ```

mod clients;
mod compose;
mod counts;
mod number;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::digest::Credentials;
use crate::sip::Message;
use crate::transaction::{Moment, Timing};
use crate::trunk::{Flow, Hop, ListenerId, Target, TrunkId};

use self::clients::Clients;
use self::servers::Servers;

pub use counts::Counts;
pub use number::AskId;

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
    /// Go back over this flow where it is a connection that is still open (NOTIFY to a watcher behind TCP or TLS).
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
#[expect(clippy::large_enum_variant, reason = "answers are what it mostly is, and nobody keeps it")]
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

/// The beginning of all Call-IDs that the bridge makes: a NOTIFY that comes to none of its Contacts is known by it.
pub const CALL_ID_MARK: &str = "tw-ps-";

/// Where something may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Hop(Hop),
    /// A name that has to be looked up first.
    Name(Target),
}

/// One of the targets of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub place: Place,
    /// What `{target}` stands for: host, and port where the configuration has one.
    pub authority: Box<str>,
}

/// What the agent has to know of the edge and its trunks, as the configuration in force has them.
pub trait Ways {
    /// The targets of a trunk, in the order in which they are to be tried.
    fn targets(&self, trunk: TrunkId) -> SmallVec<[Way; 2]>;

    /// The place of a URI, or of a Route value without its brackets, for a request to a trunk (RFC 3263 section 4).
    fn place(&self, trunk: TrunkId, uri: &str) -> Option<Place>;

    /// How long a target may be silent while there are others.
    fn no_answer(&self, trunk: TrunkId) -> Duration;

    /// Writes a Via value with this branch.
    fn write_via(&self, hop: &Hop, branch: &str, out: &mut Vec<u8>);

    /// Writes the edge's own host towards a trunk, as `{local}` stands for it.
    fn write_host(&self, trunk: TrunkId, out: &mut Vec<u8>);

    /// Writes where a trunk finds the edge, `host:port;transport=tls`, on a listener.
    fn write_place(&self, trunk: TrunkId, listener: ListenerId, out: &mut Vec<u8>);

    /// Who the edge is towards a trunk that challenges it.
    fn credentials(&self, trunk: TrunkId) -> Option<Credentials>;

    /// The way of an answer to a request, and where it goes when that connection has gone (RFC 3261 section 18.2.2).
    fn way_back(&self, trunk: TrunkId, flow: &Flow, request: &Message) -> (Flow, Option<Hop>);
}

/// How a request leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    Hop(Hop),
    /// Over a connection that is open; the listener and trunk are those of the hop.
    Connection(Flow, TrunkId),
}

/// What the owner of the agent is to do.
#[derive(Clone, Debug)]
pub enum Todo {
    /// Send a request; [`Agent::handle_not_sent`] wants to hear of it when it does not leave.
    Send { path: Path, bytes: Bytes, id: AskId },
    /// Send an answer; where its connection has gone, to `fallback`.
    Answer { flow: Flow, fallback: Option<Hop>, bytes: Bytes },
    /// Look up a name for [`Agent::handle_resolved`].
    Resolve { id: AskId, trunk: TrunkId, target: Target },
    /// Tell the part that asked.
    Reply(Reply),
    /// Tell the part whose request it is.
    Arrived(Arrived),
}

/// The limits and timers of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub timing: Timing,
    /// Requests of the bridge that are under way; and, counted apart, requests to it that are remembered.
    pub max_transactions: usize,
}

/// All transactions of the bridge.
#[derive(Debug)]
pub struct Agent {
    clients: Clients,
    servers: Servers,
    settings: Settings,
    counts: Counts,
}

impl Agent {
    /// An agent without transactions; `secret` are random bytes of this process.
    pub fn new(now: Moment, settings: Settings, secret: [u8; 16]) -> Self {
        Self {
            clients: Clients::new(now, &settings, secret),
            servers: Servers::new(now, &settings, secret),
            settings,
            counts: Counts::default(),
        }
    }

    /// Takes other limits and timers; what is under way goes on.
    pub const fn set_limits(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Does what a part says.
    pub fn say(&mut self, now: Moment, ways: &dyn Ways, say: Say, out: &mut Vec<Todo>) {
        let (mut turn, clients, servers) = self.turn(now, ways, out);
        match say {
            Say::Ask(ask) => clients.ask(&mut turn, ask),
            Say::Answer(answer) => servers.answer(&mut turn, &answer),
        }
    }

    /// Takes the places that a name stands for; none: it could not be looked up.
    pub fn handle_resolved(
        &mut self,
        now: Moment,
        ways: &dyn Ways,
        (id, hops): (AskId, Vec<Hop>),
        out: &mut Vec<Todo>,
    ) {
        let (mut turn, clients, _) = self.turn(now, ways, out);
        clients.handle_resolved(&mut turn, id, hops);
    }

    /// Takes an answer, whose branch is the bridge's.
    pub fn handle_answer(&mut self, now: Moment, ways: &dyn Ways, answer: Message, out: &mut Vec<Todo>) {
        let (mut turn, clients, _) = self.turn(now, ways, out);
        clients.handle_answer(&mut turn, answer);
    }

    /// Takes the news that a request did not leave.
    pub fn handle_not_sent(&mut self, now: Moment, ways: &dyn Ways, id: AskId, out: &mut Vec<Todo>) {
        let (mut turn, clients, _) = self.turn(now, ways, out);
        clients.handle_not_sent(&mut turn, id);
    }

    /// Takes a request that is for the bridge, from a trunk that it proved to be.
    pub fn handle_request(
        &mut self,
        now: Moment,
        ways: &dyn Ways,
        (trunk, flow, message): (TrunkId, Flow, Message),
        out: &mut Vec<Todo>,
    ) {
        let (mut turn, _, servers) = self.turn(now, ways, out);
        servers.handle_request(&mut turn, trunk, flow, message);
    }

    /// Does what is due.
    pub fn handle_time(&mut self, now: Moment, ways: &dyn Ways, out: &mut Vec<Todo>) {
        let (mut turn, clients, servers) = self.turn(now, ways, out);
        clients.handle_time(&mut turn);
        servers.handle_time(&mut turn);
    }

    /// When [`Self::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        [self.clients.next_wake(), self.servers.next_wake()].into_iter().flatten().min()
    }

    /// What was done so far, and what is under way now.
    pub fn counts(&self) -> Counts {
        Counts { clients: self.clients.len(), servers: self.servers.len(), ..self.counts }
    }

    fn turn<'a>(
        &'a mut self,
        now: Moment,
        ways: &'a dyn Ways,
        out: &'a mut Vec<Todo>,
    ) -> (Turn<'a>, &'a mut Clients, &'a mut Servers) {
        let Self { clients, servers, settings, counts } = self;
        (Turn { now, ways, settings, counts, out }, clients, servers)
    }
}

/// What every step of one event may look at and add to.
struct Turn<'a> {
    now: Moment,
    ways: &'a dyn Ways,
    settings: &'a Settings,
    counts: &'a mut Counts,
    out: &'a mut Vec<Todo>,
}

#[cfg(test)]
mod tests;
