//! Towards a callee that has its provisional answers acknowledged: PRACKs of the edge's own.
//!
//! Their CSeq numbers are those that the far leg has between two requests of the near one (`owned::cseq`).

use bytes::Bytes;

use super::super::super::branch::BranchId;
use super::super::super::command::{Command, Output};
use super::super::super::destination::{Place, of_uri};
use super::super::super::forward::{Branch as ViaBranch, write_own_via};
use super::super::super::{Env, Tools};
use super::super::Context;
use super::{PRACK_BRANCHES, PRACK_LANES};
use crate::sip::build::{InDialog, in_dialog};
use crate::sip::{HeaderName, Message, NameAddr, Uri};
use crate::transaction::{ClientSend, Moment, NonInviteClient, Provisional, ReliableClient};
use crate::trunk::Hop;

/// PRACKs that one call may take; further answers are not acknowledged, and the callee gives up by itself.
const MAX_PRACKS: usize = 64;

/// One early dialog as the callee knows it.
#[derive(Debug)]
pub(super) struct CalleeDialog {
    branch: u16,
    tag: Box<[u8]>,
    order: ReliableClient,
    /// Requests of the edge's own in it.
    requests: u32,
    /// The last reliable answer with a body, which the 2xx need not repeat (RFC 3261 section 13.2.1).
    described: Option<Bytes>,
}

/// A PRACK of the edge's own.
#[derive(Debug)]
pub(super) struct OwnPrack {
    /// Index of its early dialog.
    dialog: usize,
    rseq: u32,
    cseq: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The name of where it goes is looked up; the answer that it acknowledges.
    Resolving(Bytes),
    Sent {
        machine: NonInviteClient,
        hop: Box<Hop>,
        bytes: Bytes,
    },
    Over,
}

impl OwnPrack {
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        match &self.state {
            State::Sent { machine, .. } => machine.next_timeout(),
            State::Resolving(_) | State::Over => None,
        }
    }
}

impl Context {
    /// Acknowledges a reliable answer; gives whether it is a new one, and the next.
    pub(super) fn send_acknowledgement(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        index: u16,
        response: &Message,
        rseq: u32,
    ) -> bool {
        let Some(work) = &mut self.work else { return false };
        let (room, tag) = (work.edge.max_branches, response.to_tag().unwrap_or_default());
        let early = work.early.get_or_insert_default();
        let known = |dialog: &CalleeDialog| dialog.branch == index && *dialog.tag == *tag;
        let at = match early.callees.iter().position(known) {
            Some(at) => at,
            None if early.callees.len() >= room => return false,
            None => {
                let order = ReliableClient::default();
                early.callees.push(CalleeDialog {
                    branch: index,
                    tag: tag.into(),
                    order,
                    requests: 0,
                    described: None,
                });
                early.callees.len() - 1
            }
        };
        let Some(dialog) = early.callees.get_mut(at) else { return false };
        let news = dialog.order.handle(rseq);
        let under_way =
            |prack: &OwnPrack| prack.dialog == at && prack.rseq == rseq && !matches!(prack.state, State::Over);
        match news {
            Provisional::TooEarly => return false,
            // Its PRACK is sent again by a timer of its own, unless that has come to its end.
            Provisional::Copy if early.pracks.iter().any(under_way) => return false,
            Provisional::Copy => {}
            Provisional::Next if !response.body().is_empty() => dialog.described = Some(response.bytes().clone()),
            Provisional::Next => {}
        }
        if early.pracks.len() < MAX_PRACKS {
            dialog.requests += 1;
            let cseq = dialog.requests;
            let state = State::Resolving(response.bytes().clone());
            early.pracks.push(OwnPrack { dialog: at, rseq, cseq, state });
            let slot = early.pracks.len() - 1;
            self.send_prack(env, out, slot, None);
        }
        news == Provisional::Next
    }

    /// Sends a PRACK once it is known where to; `hops` are what a lookup gave.
    fn send_prack(&mut self, env: &Env<'_>, out: &mut Output, slot: usize, hops: Option<Vec<Hop>>) {
        let id = self.id;
        let Some(work) = &mut self.work else { return };
        let edge = std::sync::Arc::clone(&work.edge);
        let Some(early) = &mut work.early else { return };
        let Some(prack) = early.pracks.get_mut(slot) else { return };
        let Some(branch) =
            early.callees.get(prack.dialog).and_then(|dialog| work.branches.get(usize::from(dialog.branch)))
        else {
            return;
        };
        let State::Resolving(response) = &prack.state else { return };
        let (Some(response), Some(sent)) = (Message::reread(response), Message::reread(&branch.sent)) else {
            prack.state = State::Over;
            return;
        };
        let hop = match hops {
            // A name that leads nowhere: where the INVITE went, the callee was found.
            Some(hops) => hops.into_iter().next().unwrap_or_else(|| branch.hop().clone()),
            None => match next_hop(&edge, branch.trunk(), &response) {
                Some(Place::Hop(hop)) => hop,
                Some(Place::Name(target)) => match env.names.cached(&edge, branch.trunk(), &target) {
                    Some(hops) => hops.into_iter().next().unwrap_or_else(|| branch.hop().clone()),
                    None => {
                        // There are fewer slots than lanes behind the first.
                        let lane = PRACK_LANES | slot as u8;
                        let (trunk, target) = (branch.trunk(), *target);
                        out.commands.push(Command::Resolve { context: id, lane, trunk, target });
                        return;
                    }
                },
                None => branch.hop().clone(),
            },
        };
        let id = BranchId { context: id, branch: PRACK_BRANCHES | slot as u16 };
        let mut via = Vec::with_capacity(96);
        write_own_via(&edge, &hop, ViaBranch::Stateful(id), 0, &mut via);
        let invite = sent.cseq().map_or(0, |cseq| cseq.number);
        let rack = format!("RAck: {} {invite} INVITE\r\n", prack.rseq);
        let text = InDialog {
            method: b"PRACK",
            number: invite.saturating_add(prack.cseq),
            via: &via,
            headers: rack.as_bytes(),
        };
        let bytes = in_dialog(&sent, &response, &text);
        let (machine, _) = NonInviteClient::start(env.now, hop.transport.is_reliable(), &edge.timing);
        out.counts.pracks += 1;
        out.commands.push(Command::Request { hop: hop.clone(), bytes: bytes.clone(), branch: Some(id) });
        prack.state = State::Sent { machine, hop: Box::new(hop), bytes };
    }

    /// Goes on once it is known where a PRACK goes.
    pub(in super::super) fn handle_prack_resolved(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        lane: u8,
        hops: Vec<Hop>,
    ) {
        self.send_prack(env, out, usize::from(lane & !PRACK_LANES), Some(hops));
    }

    /// Takes the answer to a PRACK. One that is refused has done its work all the same: nothing is sent again.
    pub(in super::super) fn handle_prack_response(&mut self, env: &Env<'_>, index: u16, response: &Message) {
        let timing = env.edge.timing;
        let Some(prack) = self.own_prack(index) else { return };
        let ours = response.cseq().is_ok_and(|cseq| cseq.method == b"PRACK");
        if let (true, State::Sent { machine, .. }) = (ours, &mut prack.state)
            && machine.handle_response(env.now, response.status(), &timing).ended
        {
            prack.state = State::Over;
        }
    }

    /// A PRACK did not leave: a copy of its answer will have it sent again.
    pub(in super::super) fn handle_prack_failed(&mut self, index: u16) {
        if let Some(prack) = self.own_prack(index) {
            prack.state = State::Over;
        }
    }

    fn own_prack(&mut self, index: u16) -> Option<&mut OwnPrack> {
        self.work.as_mut()?.early.as_mut()?.pracks.get_mut(usize::from(index & !PRACK_BRANCHES))
    }

    pub(super) fn handle_callee_timeouts(&mut self, env: &Env<'_>, out: &mut Output) {
        let id = self.id;
        let Some(early) = self.work.as_mut().and_then(|work| work.early.as_mut()) else { return };
        for (slot, prack) in (0..).zip(&mut early.pracks) {
            let State::Sent { machine, hop, bytes } = &mut prack.state else { continue };
            let actions = machine.handle_timeout(env.now, &env.edge.timing);
            if actions.send == Some(ClientSend::Request) {
                out.counts.retransmitted += 1;
                let branch = Some(BranchId { context: id, branch: PRACK_BRANCHES | slot });
                out.commands.push(Command::Request { hop: (**hop).clone(), bytes: bytes.clone(), branch });
            }
            if actions.ended {
                prack.state = State::Over;
            }
        }
    }

    /// How many requests of the edge's own an early dialog has seen: what follows in it must be numbered behind them.
    pub(in super::super) fn own_requests(&self, index: u16, tag: &[u8]) -> u32 {
        self.callee(index, tag).map_or(0, |dialog| dialog.requests)
    }

    /// The 2xx with the session description of its early dialog, when it relies on the callee having sent that already:
    /// the caller may have been shown something else.
    pub(in super::super) fn described(&self, tools: &mut Tools, index: u16, response: &Message) -> Option<Message> {
        if !response.body().is_empty() {
            return None;
        }
        let dialog = self.callee(index, response.to_tag().unwrap_or_default())?;
        let early = Message::reread(dialog.described.as_ref()?)?;
        tools.edits.clear();
        let length = early.body().len().to_string();
        tools.edits.set_header(response, HeaderName::ContentLength, "Content-Length", length.as_bytes());
        if let Some(kind) = early.value(HeaderName::ContentType) {
            tools.edits.set_header(response, HeaderName::ContentType, "Content-Type", kind);
        }
        tools.edits.insert(response.body_span().end, early.body());
        Message::reread(&tools.edits.apply(response))
    }

    fn callee(&self, index: u16, tag: &[u8]) -> Option<&CalleeDialog> {
        let early = self.work.as_ref()?.early.as_ref()?;
        early.callees.iter().find(|dialog| dialog.branch == index && *dialog.tag == *tag)
    }
}

/// Where a request in an early dialog goes: by its route set, or else to its target.
fn next_hop(edge: &super::super::Edge, trunk: crate::trunk::TrunkId, response: &Message) -> Option<Place> {
    let last = response.values(HeaderName::RecordRoute).filter_map(Result::ok).last();
    let uri = match last {
        Some(route) => NameAddr::parse(route).ok()?.uri().ok()?,
        None => Uri::parse(response.contacts().next()?.ok()?.uri).ok()?,
    };
    Some(of_uri(edge, edge.trunk(trunk)?, &uri)?.place)
}
