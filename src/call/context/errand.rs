//! A context without a server side: its request is one of the edge's own inside a live call, and its answers are news
//! for whoever wanted it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::super::branch::ContextId;
use super::super::command::{Command, Output};
use super::super::destination::Destination;
use super::super::forward::{Branch as ViaBranch, write_own_via};
use super::super::live::{Ack, Errand, LiveLeg, News, compose};
use super::super::owned::Behalf;
use super::super::{Env, Tools};
use super::client::ELSEWHERE;
use super::server::Server;
use super::{Context, Work};
use crate::sip::{Essentials, Message, Transport};
use crate::transaction::Alarm;
use crate::trunk::{ConnectionId, Flow, ListenerId, TrunkId};

/// What makes a request one of the edge's own.
#[derive(Debug)]
pub(super) struct Own {
    pub errand: Errand,
    pub ack: Ack,
    /// Of an INVITE in a side's name: what that side is; `None`: the request is inside a dialog.
    pub behalf: Option<Arc<Behalf>>,
    /// The branch whose 2xx counts, the tag of that, and the 2xx itself until it is acknowledged.
    accepted: Option<Accepted>,
    /// The final status has been told.
    told: bool,
}

#[derive(Debug)]
struct Accepted {
    branch: u16,
    tag: Box<[u8]>,
    unacknowledged: Option<Message>,
}

/// A request of the edge's own that begins a context.
#[derive(Debug)]
pub struct BeginErrand<'a> {
    pub id: ContextId,
    pub errand: Errand,
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
    /// The trunk in whose name an INVITE is sent, of other requests the one that gets it.
    pub from: TrunkId,
    pub listener: ListenerId,
    /// Of an INVITE in a side's name.
    pub behalf: Option<Arc<Behalf>>,
    pub destination: Destination,
    pub ack: Ack,
}

impl Context {
    /// Begins a context for a request of the edge's own.
    pub fn begin_errand(env: &Env<'_>, tools: &mut Tools, out: &mut Output, begin: BeginErrand<'_>) -> Self {
        let BeginErrand { id, errand, request, essentials, from, listener, behalf, destination, ack } = begin;
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let transport = env.edge.listener(listener).map_or(Transport::Udp, |listener| listener.transport);
        let own = Some(Box::new(Own { errand, ack, behalf, accepted: None, told: false }));
        let work = Work { own, ..Work::new(env, (request, essentials), (from, remote), destination) };
        let mut context = Self {
            id,
            alarm: Alarm::default(),
            server: Server::Done,
            flow: Flow { listener, transport, connection: ConnectionId::DATAGRAM, remote, local: None },
            from,
            fallback_port: 0,
            last: Bytes::new(),
            work: Some(Box::new(work)),
            local: None,
            live: Some(errand.call),
        };
        context.begin_lanes(env, tools, out, Some((request, essentials)));
        context.conclude(env, tools, out);
        context.let_go(env, out);
        context
    }

    /// The request of the edge's own that the context has, and whether nothing can be ordered about it any more.
    pub fn errand(&self) -> Option<(Errand, bool)> {
        let work = self.work.as_ref()?;
        let own = work.own.as_ref()?;
        let unacknowledged = own.accepted.as_ref().is_some_and(|accepted| accepted.unacknowledged.is_some());
        Some((own.errand, work.answered && !unacknowledged))
    }

    pub(super) fn is_own(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.own.is_some())
    }

    /// Tells of an answer to a request of the edge's own.
    pub(super) fn tell(&mut self, tools: &mut Tools, status: u16, bytes: Option<&Bytes>, leg: Option<Box<LiveLeg>>) {
        let Some(work) = &mut self.work else { return };
        let Some(own) = &mut work.own else { return };
        if own.told || status <= 100 {
            return;
        }
        own.told = status >= 200;
        work.answered |= status >= 200;
        let response = bytes.and_then(Message::reread);
        tools.news.push(News::Errand { errand: own.errand, status, response, leg });
    }

    /// A 2xx to an INVITE of the edge's own. The first counts and is acknowledged; whoever else answers is hung up on.
    pub(super) fn take_accepted(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) {
        let tag = response.to_tag().unwrap_or_default();
        let Some(own) = self.work.as_ref().and_then(|work| work.own.as_deref()) else { return };
        let inside = own.behalf.is_none();
        if let Some(accepted) = &own.accepted {
            if (accepted.branch, &*accepted.tag) == (index, tag) {
                return self.send_again(out, index);
            }
            return self.hang_up(env, out, index, response);
        }
        // A new leg that nobody wants any more; inside a dialog the answer changes nothing but the session.
        if !inside && (own.told || self.work.as_ref().is_some_and(|work| work.cancelled)) {
            self.hang_up(env, out, index, response);
            self.finish_branch(index, response.status());
            self.tell(tools, 487, None, None);
            return self.conclude(env, tools, out);
        }
        let ack = own.ack;
        if let Some(own) = self.work.as_mut().and_then(|work| work.own.as_mut()) {
            let unacknowledged = (ack == Ack::Later).then(|| response.clone());
            own.accepted = Some(Accepted { branch: index, tag: tag.into(), unacknowledged });
        }
        let leg = if inside { None } else { self.new_leg(index, response) };
        self.finish_branch(index, response.status());
        if ack == Ack::AtOnce {
            self.acknowledge_branch(env, out, (index, response), "", b"");
        }
        let crossed = self.whole_back(env, tools, out, index, response);
        match crossed {
            Some(bytes) => self.tell(tools, response.status(), Some(&bytes), leg),
            // What the new side said cannot be told to the one it is to be connected to: nothing comes of it.
            None => {
                self.hang_up(env, out, index, response);
                self.tell(tools, 503, None, None);
            }
        }
        self.stop_others(env, out, index, ELSEWHERE);
    }

    /// Acknowledges the 2xx that waits for it.
    pub fn acknowledge(&mut self, env: &Env<'_>, out: &mut Output, content_type: &str, body: &[u8]) {
        let accepted = self.work.as_mut().and_then(|work| work.own.as_mut()?.accepted.as_mut());
        let Some(accepted) = accepted else { return };
        let Some(response) = accepted.unacknowledged.take() else { return };
        let index = accepted.branch;
        self.acknowledge_branch(env, out, (index, &response), content_type, body);
    }

    /// Gives the request up: an INVITE is cancelled.
    pub fn give_up(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        if self.work.as_ref().is_some_and(|work| work.invite) {
            self.handle_cancel(env, tools, out, b"");
        }
        self.let_go(env, out);
    }

    fn acknowledge_branch(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        (index, response): (u16, &Message),
        content_type: &str,
        body: &[u8],
    ) {
        let Some(work) = &mut self.work else { return };
        let Some(branch) = work.branches.get_mut(usize::from(index)) else { return };
        let Some(sent) = Message::reread(&branch.sent).filter(|sent| sent.method() == b"INVITE") else { return };
        let tag = response.to_tag().unwrap_or_default();
        let number = env.secrets.number(5, &[sent.call_id().unwrap_or_default(), tag, b"ACK"]);
        let mut via = Vec::with_capacity(96);
        write_own_via(&work.edge, branch.hop(), ViaBranch::Stateless(number), 0, &mut via);
        if let Some(ack) = compose::ack(&sent, response, &via, content_type, body) {
            out.commands.push(Command::Request { hop: branch.hop().clone(), bytes: ack.clone(), branch: None });
            // Takes the INVITE's place: a copy of the 2xx asks for it.
            branch.sent = ack;
        }
    }

    fn send_again(&mut self, out: &mut Output, index: u16) {
        let Some(branch) = self.work.as_ref().and_then(|work| work.branches.get(usize::from(index))) else { return };
        if branch.sent.starts_with(b"ACK ") {
            out.commands.push(Command::Request { hop: branch.hop().clone(), bytes: branch.sent.clone(), branch: None });
        }
    }
}
