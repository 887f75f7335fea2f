//! A context without a client side: the edge answers the request itself, at once or when a machine of the call has made
//! up its mind. Copies are absorbed by the server transaction; a 2xx to an INVITE is sent until its ACK comes
//! (RFC 3261 section 13.3.1.4).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::super::branch::ContextId;
use super::super::command::Output;
use super::super::live::{End, LiveId, LocalAnswer, News};
use super::super::probe::product;
use super::super::{Command, Env, Tools, own_tag, owned};
use super::Context;
use super::server::{Server, answer_flow, fallback_hop};
use crate::sip::build::{self, Answer};
use crate::sip::{Essentials, Message};
use crate::transaction::{Alarm, Moment};
use crate::trunk::{Flow, TrunkId};

/// How far the edge's own answer has come.
#[derive(Debug)]
pub(super) struct Local {
    state: State,
    /// The call and the leg that the request came on.
    call: Option<(LiveId, End)>,
    /// The key under which the ACK of a 2xx comes; of other requests than INVITE there is none.
    ack_key: Option<u64>,
    invite: bool,
    remote: SocketAddr,
}

#[derive(Debug)]
enum State {
    /// Not answered yet: what an answer needs of the request, and how long is waited.
    Pending { request: Bytes, until: Moment },
    /// A 2xx to an INVITE waits for its ACK.
    Accepting { bytes: Bytes, again: Moment, interval: Duration, until: Moment },
    /// The ACK has come: its copies are absorbed as long as there may be any.
    Acknowledged,
    /// The server transaction does the rest.
    Answered,
}

impl Local {
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Pending { until, .. } => Some(until),
            State::Accepting { again, until, .. } => Some(again.min(until)),
            State::Acknowledged | State::Answered => None,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.state {
                State::Pending { request, .. } => request.len(),
                State::Accepting { bytes, .. } => bytes.len(),
                State::Acknowledged | State::Answered => 0,
            }
    }
}

/// A request that the edge answers itself.
#[derive(Debug)]
pub struct BeginLocal<'a> {
    pub id: ContextId,
    pub flow: Flow,
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
    pub from: TrunkId,
    /// The call and the leg that it came on.
    pub call: Option<(LiveId, End)>,
}

impl Context {
    /// Begins a context for a request that the edge answers: with `answer`, or later; an INVITE has its 100 until then.
    pub fn begin_local(
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        begin: BeginLocal<'_>,
        answer: Option<&LocalAnswer>,
    ) -> Self {
        let BeginLocal { id, flow, request, essentials, from, call } = begin;
        let invite = request.method() == b"INVITE";
        let timing = &env.edge.timing;
        let patience = if invite { timing.timer_c } else { timing.timer_f() };
        let ack_key = invite.then(|| {
            let tag = if essentials.to_tag.is_some() { None } else { Some(tag_for(env, request)) };
            let own_tag = essentials.to_tag.or(tag.as_deref()).unwrap_or_default();
            ack_key(env, essentials, own_tag)
        });
        let state = State::Pending { request: owned::digest(request), until: env.now + patience };
        let local = Local { state, call, ack_key, invite, remote: flow.remote };
        let mut context = Self {
            id,
            alarm: Alarm::default(),
            server: Server::start(env, invite, flow.transport),
            flow: answer_flow(flow, &essentials.via),
            from,
            fallback_port: essentials.via.port.unwrap_or(flow.transport.default_port()),
            last: Bytes::new(),
            work: None,
            local: Some(Box::new(local)),
            live: call.map(|(id, _)| id),
        };
        out.counts.contexts += 1;
        match answer {
            Some(answer) => context.answer_local(env, out, answer),
            None if invite => context.answer_local(env, out, &LocalAnswer::new(100, "Trying")),
            None => {}
        }
        context.settle_local(tools);
        context
    }

    /// Answers a request that waits for it; a provisional answer to an INVITE leaves it waiting.
    pub fn answer_local(&mut self, env: &Env<'_>, out: &mut Output, given: &LocalAnswer) {
        let Some(local) = &mut self.local else { return };
        let State::Pending { request, .. } = &local.state else { return };
        let Some(request) = Message::reread(request) else { return };
        let LocalAnswer { status, reason, ref headers, ref body } = *given;
        let to_tag = if status > 100 { tag_for(env, &request) } else { Vec::new() };
        // Teams wants to see the product in whatever the edge says, its own answers as well.
        let product = if status > 100 { product(env.edge, self.from) } else { b"" };
        let headers = [headers.as_slice(), product].concat();
        let answer = Answer { status, reason, to_tag: &to_tag, headers: &headers, own_vias: 0 };
        let bytes = build::answer_with(&request, local.remote, &answer, body);
        if status >= 200 {
            local.state = match status {
                200..=299 if local.invite => {
                    let timing = &env.edge.timing;
                    let (again, until) = (env.now + timing.t1, env.now + timing.timer_h());
                    State::Accepting { bytes: bytes.clone(), again, interval: timing.t1, until }
                }
                _ => State::Answered,
            };
        }
        self.answer(env, out, status, bytes);
    }

    /// Whether the edge has not answered the request yet.
    pub(super) fn is_undecided(&self) -> bool {
        self.local.as_ref().is_some_and(|local| matches!(local.state, State::Pending { .. }))
    }

    /// The key under which the ACK of the edge's 2xx comes, once that is out.
    pub fn ack_key(&self) -> Option<u64> {
        let local = self.local.as_ref()?;
        let accepted = matches!(local.state, State::Accepting { .. } | State::Acknowledged);
        local.ack_key.filter(|_| accepted)
    }

    /// The ACK of the edge's 2xx, or a copy of it.
    pub fn handle_local_ack(&mut self, tools: &mut Tools, out: &mut Output, ack: &Message) {
        let id = self.id;
        let Some(local) = &mut self.local else { return };
        if let State::Accepting { .. } = local.state {
            local.state = State::Acknowledged;
            tools.news.push(News::Acknowledged { context: id, call: local.call, ack: ack.clone() });
        } else {
            out.counts.absorbed += 1;
        }
    }

    /// The caller gives up: a request that was not answered yet is.
    pub(super) fn cancel_local(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        if self.is_undecided() {
            tools.news.push(News::GivenUp { context: self.id, call: self.local_call() });
            self.answer_local(env, out, &LocalAnswer::new(487, "Request Terminated"));
        }
    }

    fn local_call(&self) -> Option<(LiveId, End)> {
        self.local.as_ref()?.call
    }

    /// Fires what is due of an answer of the edge's own.
    pub(super) fn handle_local_timeout(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        let (id, call) = (self.id, self.local_call());
        let Some(local) = &mut self.local else { return };
        match &mut local.state {
            State::Pending { until, .. } if *until <= env.now => {
                tools.news.push(News::GivenUp { context: id, call });
                if local.invite {
                    return self.answer_local(env, out, &LocalAnswer::new(500, "Server Internal Error"));
                }
                // Too late for any answer (RFC 4320 section 4.2).
                local.state = State::Answered;
                self.end_unanswered(env);
            }
            State::Accepting { until, .. } if *until <= env.now => {
                local.state = State::Acknowledged;
                tools.news.push(News::NotAcknowledged { context: id, call });
            }
            State::Accepting { bytes, again, interval, .. } if *again <= env.now => {
                *interval = interval.saturating_mul(2).min(env.edge.timing.t2);
                *again = env.now + *interval;
                let bytes = bytes.clone();
                out.counts.retransmitted += 1;
                let fallback = fallback_hop(env.edge, &self.flow, self.fallback_port, self.from);
                out.commands.push(Command::Answer { flow: self.flow, fallback, bytes });
            }
            _ => {}
        }
    }

    /// Lets go of what the answer needed, once the server transaction is over.
    pub(super) fn settle_local(&mut self, tools: &mut Tools) {
        if !self.server.is_done() {
            return;
        }
        match self.local.as_ref().map(|local| &local.state) {
            // The transaction has ended under it, which over a stream is at once: nobody waits for more.
            Some(State::Pending { .. }) => {
                tools.news.push(News::GivenUp { context: self.id, call: self.local_call() });
                self.local = None;
            }
            Some(State::Acknowledged | State::Answered) => self.local = None,
            Some(State::Accepting { .. }) | None => {}
        }
    }
}

/// The key under which the ACK of a 2xx finds the context that gave it.
pub fn ack_key(env: &Env<'_>, essentials: &Essentials<'_>, own_tag: &[u8]) -> u64 {
    let peer_tag = essentials.from_tag.unwrap_or_default();
    env.secrets.number(7, &[essentials.call_id, peer_tag, own_tag, &essentials.cseq.number.to_be_bytes()])
}

fn tag_for(env: &Env<'_>, request: &Message) -> Vec<u8> {
    let mut tag = Vec::with_capacity(16);
    own_tag(env.secrets, request, &mut tag);
    tag
}
