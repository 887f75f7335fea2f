//! A response context (RFC 3261 section 16): one server transaction, the branches that its request was sent on in,
//! and what ties them together: forking, failover, CANCEL, timer C, the choice of the answer.
//!
//! Events come in through `handle_*`, commands go out through [`Output`]. A context that has passed its final answer on
//! keeps only the machines, which absorb and pass copies until their timers end; the messages are let go.

mod client;
mod early;
mod errand;
mod health;
mod lanes;
mod launch;
mod local;
mod outcome;
mod progress;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

pub use client::Branch;
pub use early::prack_key;
pub use errand::BeginErrand;
pub use local::{BeginLocal, ack_key};
pub use server::{answer_flow, fallback_hop};

use self::early::{Asked, EarlySide};
use self::errand::Own;
use self::lanes::{Lane, lanes_of};
use self::local::Local;
use self::server::Server;
use super::best::Best;
use super::branch::{BranchId, ContextId};
use super::command::Output;
use super::destination::Destination;
use super::edge::Edge;
use super::live::LiveId;
use super::progress::Progress;
use super::{Env, Tools, owned};
use crate::sip::{Essentials, Message};
use crate::transaction::{Alarm, Moment};
use crate::trunk::{Flow, Hop, TrunkId};

/// A request in progress and what is left of it afterwards.
#[derive(Debug)]
pub struct Context {
    pub id: ContextId,
    pub alarm: Alarm,
    server: Server,
    /// Where answers go.
    flow: Flow,
    /// The trunk that the request came from.
    from: TrunkId,
    /// The port at which the sender listens when its connection has gone (RFC 3261 section 18.2.2).
    fallback_port: u16,
    /// The last answer, while a copy of the request may ask for it again.
    last: Bytes,
    /// Present until all branches are over.
    work: Option<Box<Work>>,
    /// The edge answers the request itself: present until nothing of the answer is waited for.
    local: Option<Box<Local>>,
    /// The live call that the request is in, or that its first 2xx made.
    live: Option<LiveId>,
}

/// The client side of a context.
#[derive(Debug)]
struct Work {
    /// The configuration that the request began with.
    edge: Arc<Edge>,
    /// The request as it came; let go when no other target can be tried any more.
    request: Bytes,
    /// Where the request came from, for the Via of answers.
    remote: SocketAddr,
    from: TrunkId,
    invite: bool,
    /// An ACK that waits for a name to be looked up: no answer will come.
    ack: bool,
    /// A call for help.
    emergency: bool,
    loop_hash: u32,
    /// The request is what [`owned::digest`] left of it.
    digested: bool,
    lanes: SmallVec<[Lane; 1]>,
    branches: SmallVec<[Branch; 1]>,
    best: Option<Best>,
    /// The caller has sent a CANCEL.
    cancelled: bool,
    /// A final answer has gone to the caller.
    answered: bool,
    /// Header lines for the CANCELs of branches.
    cancel_headers: Box<[u8]>,
    /// The request is one of the edge's own: its answers go to whoever wanted it.
    own: Option<Box<Own>>,
    /// The request begins a dialog, or is outside of any.
    initial: bool,
    /// The request has a body.
    offers: bool,
    asked: Asked,
    /// What is known of provisional answers, from the first on.
    early: Option<Box<EarlySide>>,
    /// When a caller who has heard no more than 100 is told that somebody is there.
    progress_at: Option<Moment>,
    /// What is learned of the call that the request begins, until somebody else keeps it or it is told of.
    progress: Option<Box<Progress>>,
}

/// Something that happens to a context.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A copy of the request.
    Copy,
    /// The ACK of a final answer other than 2xx.
    Ack,
    /// The caller gives up; the CANCEL's Reason lines go on with the branches' CANCELs.
    Cancel { reason_lines: &'a [u8] },
    /// An answer to the branch's INVITE or other request, or to its CANCEL.
    Response { branch: u16, response: &'a Message },
    /// A wheel entry came due.
    Due,
    /// What was sent for a branch did not leave.
    SendFailed { branch: u16 },
    /// The name of a lane's next target was looked up; empty when there is no such place.
    Resolved { lane: u8, hops: Vec<Hop> },
    /// The caller has acknowledged the last provisional answer of an early dialog.
    Acknowledged { tag: &'a [u8] },
    /// An operator ends the call before it is answered.
    HangUp,
}

/// A request that begins a context.
#[derive(Debug)]
pub struct Begin<'a> {
    pub id: ContextId,
    pub flow: Flow,
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
    pub from: TrunkId,
    pub loop_hash: u32,
    pub destination: Destination,
    /// The live call that the request is in.
    pub live: Option<LiveId>,
    /// What is known of the call that it begins.
    pub progress: Option<Box<Progress>>,
}

impl Context {
    /// Begins a context: answers an INVITE with 100 and sends the request on.
    pub fn begin(env: &Env<'_>, tools: &mut Tools, out: &mut Output, begin: Begin<'_>) -> Self {
        let method = begin.request.method();
        let (invite, ack) = (method == b"INVITE", method == b"ACK");
        let Begin { id, flow, request, essentials, from, loop_hash, destination, live, progress } = begin;
        let asked = if invite { Asked::of(request) } else { Asked::Nothing };
        let fresh = Work::new(env, (request, essentials), (from, flow.remote), destination);
        let work = Work { ack, loop_hash, asked, progress, ..fresh };
        let mut context = Self {
            id,
            alarm: Alarm::default(),
            server: if ack { Server::Done } else { Server::start(env, invite, flow.transport) },
            flow: answer_flow(flow, &essentials.via),
            from,
            fallback_port: essentials.via.port.unwrap_or(flow.transport.default_port()),
            last: Bytes::new(),
            work: Some(Box::new(work)),
            local: None,
            live,
        };
        out.counts.contexts += 1;
        if invite {
            context.answer_itself(env, out, request, 100, "Trying", 0);
        }
        context.begin_lanes(env, tools, out, Some((request, essentials)));
        context.plan_progress(env);
        context.conclude(env, tools, out);
        context.let_go(env, out);
        context
    }

    /// Handles one event.
    pub fn handle(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, event: Event<'_>) {
        match event {
            Event::Copy => self.handle_copy(env, out),
            Event::Ack => self.handle_ack(env),
            Event::Cancel { reason_lines } => self.handle_cancel(env, tools, out, reason_lines),
            Event::Response { branch, response } => self.handle_response(env, tools, out, branch, response),
            Event::Due => self.handle_due(env, tools, out),
            Event::SendFailed { branch } => self.handle_send_failed(env, tools, out, branch),
            Event::Resolved { lane, hops } => self.handle_resolved(env, tools, out, lane, hops),
            Event::Acknowledged { tag } => self.handle_acknowledged(env, tools, out, tag),
            Event::HangUp => self.handle_hang_up(env, tools, out),
        }
        self.settle_local(tools);
        self.let_go(env, out);
    }

    /// When the context wants [`Event::Due`]; `None` when no timer runs.
    pub fn next_timeout(&self) -> Option<Moment> {
        let branches = self.work.iter().flat_map(|work| &work.branches).filter_map(Branch::next_timeout);
        let lanes = self.work.iter().flat_map(|work| &work.lanes).filter_map(|lane| lane.begins);
        let local = self.local.as_ref().and_then(|local| local.next_timeout());
        branches.chain(lanes).chain(self.server.next_timeout()).chain(local).chain(self.early_timeout()).min()
    }

    /// Whether nothing more can happen, so that the context may be dropped.
    pub fn is_over(&self) -> bool {
        self.server.is_done() && self.work.is_none() && self.local.is_none()
    }

    /// The key of the server transaction, which the owner's table holds while [`Context::is_over`] is false.
    pub fn has_server(&self) -> bool {
        !self.server.is_done()
    }

    /// Whether a final answer has gone to the caller, so that a CANCEL has no effect (RFC 3261 section 9.2).
    pub fn is_answered(&self) -> bool {
        self.work.as_ref().map_or(!self.is_undecided(), |work| work.answered)
    }

    /// Whether its request begins a call that has no final answer yet.
    pub fn sets_up(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.invite && work.initial && !work.answered)
    }

    /// The live call that its request is in.
    pub const fn live(&self) -> Option<LiveId> {
        self.live
    }

    /// Whether an INVITE was answered with a 2xx (RFC 6026 section 7.1).
    pub fn is_accepted(&self) -> bool {
        self.server.is_accepted()
    }

    /// The last answer that was sent, while it is kept.
    pub fn last_answer(&self) -> &Bytes {
        &self.last
    }

    /// Lets go of what no event can ask for any more.
    fn let_go(&mut self, env: &Env<'_>, out: &mut Output) {
        if !self.server.needs_buffer(self.flow.transport) && !self.last.is_empty() {
            self.last = Bytes::new();
        }
        let Some(work) = &mut self.work else { return };
        let holding = work.early.as_ref().is_some_and(|early| early.is_holding());
        let waiting = holding || work.lanes.iter().any(Lane::is_waiting);
        if !waiting && work.branches.iter().all(Branch::is_over) {
            self.tell_leftover(env, out);
            self.work = None;
            return;
        }
        if work.answered {
            work.best = None;
        }
        let retries = work.branches.iter().any(|branch| branch.fallback.is_some());
        // An answer of the edge's own is made from it: what was sent of it may be an ACK by then.
        let own_verdict = work.best.as_ref().is_some_and(|best| best.bytes.is_none());
        let needed = !work.answered && (retries || own_verdict);
        if work.digested {
            return;
        }
        if !waiting
            && !needed
            && !work.request.is_empty()
            && (work.answered || work.branches.iter().any(|branch| !branch.sent.is_empty()))
        {
            // Answers of an owned leg get back what they do not bring themselves: an INVITE may get several, and is
            // kept for long, without what no answer copies; any other gets one soon.
            let owned = work.branches.iter().any(|branch| branch.crossing.is_some());
            if owned && !work.invite && !work.answered {
                return;
            }
            work.digested = owned && work.invite;
            work.request = match Message::reread(&work.request).filter(|_| work.digested) {
                Some(request) => owned::digest(&request),
                None => Bytes::new(),
            };
        }
    }

    /// Bytes of memory that the context holds on the heap, for the figures.
    pub fn heap_bytes(&self) -> usize {
        let work = self.work.as_ref().map_or(0, |work| {
            size_of::<Work>() + work.request.len() + work.branches.iter().map(|branch| branch.sent.len()).sum::<usize>()
        });
        work + self.last.len() + self.local.as_ref().map_or(0, |local| local.heap_bytes())
    }
}

impl Work {
    /// Of a request that nothing has been done for.
    fn new(
        env: &Env<'_>,
        (request, essentials): (&Message, &Essentials<'_>),
        (from, remote): (TrunkId, SocketAddr),
        destination: Destination,
    ) -> Self {
        let invite = request.method() == b"INVITE";
        Self {
            edge: Arc::clone(env.edge),
            request: request.bytes().clone(),
            remote,
            from,
            invite,
            ack: false,
            loop_hash: 0,
            emergency: destination.emergency,
            digested: false,
            lanes: lanes_of(destination.lanes, invite, env.now),
            branches: SmallVec::new(),
            best: None,
            cancelled: false,
            answered: false,
            cancel_headers: Box::default(),
            own: None,
            initial: essentials.to_tag.is_none(),
            offers: !request.body().is_empty(),
            asked: Asked::Nothing,
            early: None,
            progress_at: None,
            progress: None,
        }
    }

    /// Branches from which a final answer may still come that counts.
    fn is_waiting(&self) -> bool {
        self.lanes.iter().any(|lane| lane.resolving.is_some()) || self.branches.iter().any(Branch::is_pending)
    }

    /// The request, or what was sent of it: enough to make an answer. Gives how many Via values on top are the edge's.
    fn readable(&self) -> Option<(Message, usize)> {
        if !self.request.is_empty() {
            return Some((Message::reread(&self.request)?, 0));
        }
        let sent = self.branches.iter().filter_map(|branch| Message::reread(&branch.sent));
        sent.filter(|sent| sent.method() != b"ACK").map(|sent| (sent, 1)).next()
    }

    /// What the caller's trunk is to see in the place of a final code.
    fn seen_as(&self, status: u16) -> Option<u16> {
        self.edge.trunk(self.from)?.dialect.answers.to.of(status)
    }

    fn next_branch(&self, id: ContextId) -> BranchId {
        // `max_branches` is far below 65,536.
        BranchId { context: id, branch: self.branches.len() as u16 }
    }
}

/// The sizes that the memory goals rest on.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_small() {
        assert!(size_of::<Context>() <= 232, "{}", size_of::<Context>());
        assert!(size_of::<Work>() <= 520, "{}", size_of::<Work>());
    }
}
