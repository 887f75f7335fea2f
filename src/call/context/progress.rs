//! What a context learns of the call that its INVITE begins, and where that goes once it is answered.

use bytes::Bytes;

use super::super::admission::Full;
use super::super::best::{Best, reason};
use super::super::command::Output;
use super::super::live::hang_up::Cause;
use super::super::probe::product;
use super::super::progress::Progress;
use super::super::progress::through::Named;
use super::super::record::{self, Ending};
use super::super::{Env, Tools, own_tag};
use super::client::Branch;
use super::{Context, Lane, Work};
use crate::sip::build::{Answer, answer};
use crate::sip::{HeaderName, Message};
use crate::trunk::TrunkId;

/// What the edge says to who is called when an operator ends a call.
const BY_OPERATOR: &[u8] = b"Reason: Q.850;cause=16;text=\"Ended by the operator\"\r\n";

impl Context {
    /// What is known of the call that is being set up.
    pub fn progress(&self) -> Option<&Progress> {
        self.work.as_ref()?.progress.as_deref()
    }

    /// An answer goes to the caller.
    pub(super) fn note_answer(&mut self, env: &Env<'_>, status: u16) {
        let Some(progress) = self.work.as_mut().and_then(|work| work.progress.as_mut()) else { return };
        match status {
            ..=100 => {}
            101..=199 => drop(progress.rang.get_or_insert(env.now)),
            _ => drop(progress.answered.get_or_insert(env.now)),
        }
    }

    /// What is known of the call when a branch has answered with a 2xx that went to the caller; `None`: it was taken
    /// before. The call is only on the trunk that has answered from then on.
    pub(super) fn answered_progress(&mut self, index: u16) -> Option<Box<Progress>> {
        let work = self.work.as_mut()?;
        let branch = work.branches.get(usize::from(index))?;
        let mut progress = work.progress.take()?;
        let trunk = branch.trunk();
        progress.to = Some((trunk, branch.target));
        progress.owned = branch.crossing.is_some();
        progress.ticket.leave(|other| other == trunk);
        Some(progress)
    }

    /// Puts what is known of an answered call where calls between transparent trunks are kept, or tells of it where
    /// nobody keeps it.
    pub(super) fn keep_progress(
        &self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
        progress: Option<Box<Progress>>,
    ) {
        let Some(work) = self.work.as_ref().filter(|work| work.invite && work.initial && work.own.is_none()) else {
            return;
        };
        let Some(branch) = work.branches.get(usize::from(index)) else { return };
        let transparent = branch.crossing.is_none();
        let left = match (progress, named_in(work, branch, response).filter(|_| transparent)) {
            (Some(progress), Some(named)) => tools.through.insert(env.secrets, &named, progress).err(),
            (None, Some(named)) => {
                tools.through.add(env.secrets, &named);
                None
            }
            (progress, None) => progress,
        };
        let Some(progress) = left else { return };
        out.counts.calls_not_remembered += u32::from(transparent);
        // The BYE of a call between owned legs says enough to tell of it then.
        if transparent || tools.lives.has_room() {
            record::of_passing(env, out, &progress, Ending::Forgotten);
        }
    }

    /// A callee does not know the dialog any more that a request between transparent trunks was in, or its target is gone
    /// (RFC 5057 section 5.1): then the call is over.
    pub(super) fn note_gone(&self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16, response: &Message) {
        if !matches!(response.status(), 408 | 481) || tools.through.is_empty() {
            return;
        }
        let Some(work) = self.work.as_ref().filter(|work| !work.initial && work.own.is_none()) else { return };
        let branch = work.branches.get(usize::from(index)).filter(|branch| branch.crossing.is_none());
        let named = branch.and_then(|branch| named_in(work, branch, response));
        if let Some((progress, end)) = named.and_then(|named| tools.through.end(env.secrets, &named)) {
            record::of_passing(env, out, &progress, Ending::Edge(Cause::Gone(end.other())));
        }
    }

    /// An operator ends the call while it is being set up: the caller hears 480, and whoever rings gets a CANCEL.
    pub(super) fn handle_hang_up(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        let Some(work) = self.work.as_mut().filter(|work| !work.answered && work.own.is_none()) else { return };
        let Some(progress) = &mut work.progress else { return };
        progress.ended_by_operator = true;
        work.lanes.iter_mut().for_each(Lane::clear);
        let held = work.early.as_mut().and_then(|early| early.take_held());
        let count = work.branches.len() as u16; // `max_branches` is far below 65,536.
        for index in 0..count {
            self.abandon_branch(env, out, index, BY_OPERATOR);
        }
        if let Some((branch, response, sent)) = held {
            self.take_back(env, out, branch, sent, &response);
        }
        let Some(work) = &mut self.work else { return };
        work.best = None;
        Best::offer(&mut work.best, 480, None, tools);
        self.answer_best(env, tools, out);
    }

    /// Tells of a call that came to its end without an answer that went out.
    pub(super) fn tell_leftover(&mut self, env: &Env<'_>, out: &mut Output) {
        if let Some(progress) = self.work.as_mut().and_then(|work| work.progress.take()) {
            let ending = match progress.answered {
                Some(_) => Ending::Forgotten,
                None => Ending::Edge(Cause::Gone(super::super::live::End::Callee)),
            };
            record::of_passing(env, out, &progress, ending);
        }
    }
}

impl Work {
    /// Has the call count at the trunk that it is sent to now, and no more at those that have failed. The answer to give
    /// when a limit of that trunk forbids it.
    pub(super) fn refused_by_limit(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        request: &Message,
        trunk: TrunkId,
    ) -> Option<(u16, Bytes)> {
        let progress = self.progress.as_mut()?;
        let branches = &self.branches;
        let is_tried = |other| branches.iter().any(|branch| branch.trunk() == other && branch.is_pending());
        progress.ticket.leave(|other| other == trunk || is_tried(other));
        let how = (self.emergency, env.now);
        let full: Full = progress.ticket.enter(&self.edge, trunk, how, &mut out.counts).err()?;
        progress.limit = Some(full.to_string().into());
        let refusal = full.refusal();
        let mut tag = Vec::with_capacity(16);
        own_tag(env.secrets, request, &mut tag);
        let headers = &[&refusal.headers, product(&self.edge, self.from)].concat();
        let (status, reason) = (refusal.status, reason(refusal.status));
        let text = Answer { status, reason, to_tag: &tag, headers, own_vias: 0 };
        Some((status, answer(request, self.remote, &text)))
    }

    /// Tries no other target of a trunk in a lane.
    pub(super) fn leave_out(&mut self, lane: u8, trunk: TrunkId) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.queue.retain(|candidate| candidate.trunk != trunk);
        }
    }
}

/// What names the dialog that an answer is in.
fn named_in<'a>(work: &Work, branch: &Branch, response: &'a Message) -> Option<Named<'a>> {
    Some(Named {
        call_id: response.value(HeaderName::CallId)?,
        from_tag: response.from().ok().and_then(|from| from.tag()).unwrap_or_default(),
        to_tag: response.to_tag().unwrap_or_default(),
        from: work.from,
        to: branch.trunk(),
    })
}
