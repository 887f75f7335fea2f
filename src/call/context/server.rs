//! The side of a context that faces the caller: its server transaction and the answers.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::super::best::reason;
use super::super::command::{Command, Output};
use super::super::destination::tls_name;
use super::super::edge::Edge;
use super::super::probe::product;
use super::super::{Env, Tools};
use super::Context;
use crate::sip::build::{Answer, answer};
use crate::sip::uri::ip_literal;
use crate::sip::{Message, Transport, Via};
use crate::transaction::{InviteServer, InviteServerState, Moment, NonInviteServer, ServerActions, ServerSend};
use crate::trunk::{Flow, Hop, TrunkId};

/// The server transaction of a context.
#[derive(Clone, Copy, Debug)]
pub(super) enum Server {
    Invite(InviteServer),
    Other(NonInviteServer),
    Done,
}

impl Server {
    pub(super) fn start(env: &Env<'_>, invite: bool, transport: Transport) -> Self {
        let (reliable, timing) = (transport.is_reliable(), &env.edge.timing);
        if invite {
            Self::Invite(InviteServer::start(env.now, reliable, timing))
        } else {
            Self::Other(NonInviteServer::start(env.now, reliable, timing))
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Self::Invite(machine) if machine.state() == InviteServerState::Accepted)
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
            Self::Done => None,
        }
    }

    /// Whether the last answer may be asked for again: over a stream nobody repeats a request.
    pub(super) fn needs_buffer(&self, transport: Transport) -> bool {
        match self {
            Self::Invite(machine) => machine.needs_buffer() && !transport.is_reliable(),
            Self::Other(machine) => machine.needs_buffer() && !transport.is_reliable(),
            Self::Done => false,
        }
    }

    fn handle(&mut self, event: impl FnOnce(&mut Self) -> ServerActions) -> ServerActions {
        let actions = event(self);
        if actions.ended {
            *self = Self::Done;
        }
        actions
    }
}

/// Where the answers to a request go: over a stream the way it came; over UDP to `maddr`, or to the source at the port
/// that `rport` asks for or the Via names (RFC 3261 section 18.2.2, RFC 3581 section 4).
pub fn answer_flow(flow: Flow, via: &Via<'_>) -> Flow {
    if flow.transport.is_reliable() {
        return flow;
    }
    let port = via.port.unwrap_or(flow.transport.default_port());
    let remote = match via.maddr.and_then(ip_literal).filter(is_plain_host) {
        Some(ip) => SocketAddr::new(ip, port),
        None if via.rport.is_some() => flow.remote,
        None => SocketAddr::new(flow.remote.ip(), port),
    };
    Flow { remote, ..flow }
}

/// No broadcast, multicast or unspecified address: an answer must not become a flood.
fn is_plain_host(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_multicast() || ip.is_unspecified() || broadcast)
}

/// Where an answer goes when the stream that its request came over has gone (RFC 3261 section 18.2.2).
pub fn fallback_hop(edge: &Edge, flow: &Flow, port: u16, from: TrunkId) -> Option<Hop> {
    if !flow.transport.is_reliable() {
        return None;
    }
    let name = edge.trunk(from).and_then(|trunk| tls_name(flow.transport, trunk, None));
    let addr = SocketAddr::new(flow.remote.ip(), port);
    Some(Hop { listener: flow.listener, transport: flow.transport, addr, name, trunk: from })
}

impl Context {
    pub(super) fn handle_copy(&mut self, env: &Env<'_>, out: &mut Output) {
        out.counts.absorbed += 1;
        let actions = self.server.handle(|server| match server {
            Server::Invite(machine) => machine.handle_request(env.now),
            Server::Other(machine) => machine.handle_request(env.now),
            Server::Done => ServerActions::default(),
        });
        self.obey(env.edge, out, actions, None);
    }

    pub(super) fn handle_ack(&mut self, env: &Env<'_>) {
        if let Server::Invite(_) = self.server {
            self.server.handle(|server| match server {
                Server::Invite(machine) => machine.handle_ack(env.now, &env.edge.timing),
                _ => ServerActions::default(),
            });
        }
    }

    pub(super) fn handle_server_timeout(&mut self, env: &Env<'_>, out: &mut Output) {
        let timing = &env.edge.timing;
        let actions = self.server.handle(|server| match server {
            Server::Invite(machine) => machine.handle_timeout(env.now, timing),
            Server::Other(machine) => machine.handle_timeout(env.now, timing),
            Server::Done => ServerActions::default(),
        });
        if actions.send.is_some() {
            out.counts.retransmitted += 1;
        }
        self.obey(env.edge, out, actions, None);
    }

    /// Sends an answer to the caller if its transaction lets it pass; notes a final one.
    pub(super) fn answer(&mut self, env: &Env<'_>, out: &mut Output, status: u16, bytes: Bytes) {
        let timing = &env.edge.timing;
        let actions = self.server.handle(|server| match server {
            Server::Invite(machine) => machine.handle_response(env.now, status, timing),
            Server::Other(machine) => machine.handle_response(env.now, status, timing),
            Server::Done => ServerActions::default(),
        });
        if actions.send.is_some() {
            self.note_answer(env, status);
            if status >= 300 {
                self.record_failure(env, out, status, &bytes);
            }
        }
        self.obey(env.edge, out, actions, Some(bytes));
        if status >= 200
            && let Some(work) = &mut self.work
        {
            work.answered = true;
            work.progress_at = None;
            if let Some(early) = &mut work.early {
                early.handle_final();
            }
        }
    }

    /// Sends an answer that was sent before.
    pub(super) fn resend(&self, env: &Env<'_>, out: &mut Output, bytes: Bytes) {
        let fallback = fallback_hop(env.edge, &self.flow, self.fallback_port, self.from);
        out.commands.push(Command::Answer { flow: self.flow, fallback, bytes });
    }

    /// Makes an answer of the edge's own from the request and sends it.
    pub(super) fn answer_itself(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        request: &Message,
        status: u16,
        reason: &str,
        own_vias: usize,
    ) {
        let Some(work) = &self.work else { return };
        let mut tag = Vec::with_capacity(16);
        if status > 100 {
            super::super::own_tag(env.secrets, request, &mut tag);
        }
        let headers = product(&work.edge, work.from);
        let bytes = answer(request, work.remote, &Answer { status, reason, to_tag: &tag, headers, own_vias });
        self.answer(env, out, status, bytes);
    }

    /// Answers with what is left of the request.
    pub(super) fn answer_late(&mut self, env: &Env<'_>, out: &mut Output, status: u16, reason: &str) {
        if let Some((request, own_vias)) = self.work.as_ref().and_then(|work| work.readable()) {
            self.answer_itself(env, out, &request, status, reason, own_vias);
        }
    }

    /// Lets the caller's own timer end a request that is not an INVITE: RFC 4320 section 4.2 forbids a 408 to it.
    pub(super) fn end_unanswered(&mut self, env: &Env<'_>) {
        let timing = &env.edge.timing;
        self.server.handle(|server| match server {
            Server::Other(machine) => machine.abandon(env.now, timing),
            _ => ServerActions::default(),
        });
        if let Some(work) = &mut self.work {
            work.answered = true;
        }
    }

    /// Sends the chosen answer (RFC 3261 section 16.7 item 6).
    pub(super) fn answer_best(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        let Some(work) = &mut self.work else { return };
        if work.own.is_some() {
            let best = work.best.take();
            let status = best.as_ref().map_or(408, |best| best.status);
            let bytes = best.and_then(|best| best.into_bytes(tools));
            return self.tell(tools, status, bytes.as_ref(), None);
        }
        let Some(best) = work.best.take() else {
            return self.answer_late(env, out, 408, "Request Timeout");
        };
        let (status, invite) = (best.status, work.invite);
        // Not even one that a branch gave: it comes too late for the caller (RFC 4320 section 4.2).
        if status == 408 && !invite {
            return self.end_unanswered(env);
        }
        match best.into_bytes(tools) {
            Some(bytes) => self.answer(env, out, status, bytes),
            None => {
                let reason = match status {
                    500 => "Privacy Not Available",
                    status => reason(status),
                };
                self.answer_late(env, out, status, reason);
            }
        }
    }

    fn obey(&mut self, edge: &Edge, out: &mut Output, actions: ServerActions, response: Option<Bytes>) {
        let bytes = match (actions.send, response) {
            (Some(ServerSend::Response), Some(bytes)) => {
                if self.server.needs_buffer(self.flow.transport) {
                    self.last = bytes.clone();
                }
                bytes
            }
            (Some(ServerSend::Last), _) if !self.last.is_empty() => self.last.clone(),
            _ => return,
        };
        let fallback = fallback_hop(edge, &self.flow, self.fallback_port, self.from);
        out.commands.push(Command::Answer { flow: self.flow, fallback, bytes });
    }
}
