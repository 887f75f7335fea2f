//! Towards a caller that has provisional answers acknowledged: one after the other in each early dialog, sent again until
//! its PRACK comes, and a 2xx only after the session description before it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::super::command::Output;
use super::super::super::{Env, Tools};
use super::super::{Context, Lane};
use super::{Asked, Held};
use crate::sip::edit::write_decimal;
use crate::sip::{HeaderName, Message};
use crate::transaction::{Prack, ReliableDue, ReliableServer};

/// Answers of one early dialog that may wait behind one that is not acknowledged; more are let go of.
const MAX_WAITING: usize = 8;

/// One early dialog as the caller knows it.
#[derive(Debug)]
pub(super) struct CallerDialog {
    tag: Box<[u8]>,
    pub(super) machine: ReliableServer,
    /// What waits to be acknowledged, as it was sent.
    last: Bytes,
    /// It has a session description.
    media: bool,
    pub(super) queue: VecDeque<Waiting>,
}

/// An answer on its way to the caller.
#[derive(Debug)]
pub(super) struct Waiting {
    pub status: u16,
    pub bytes: Bytes,
    pub media: bool,
}

impl Context {
    /// Sends an answer that the caller is to acknowledge, or has it wait for the one before.
    pub(super) fn send_reliably(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        tag: &[u8],
        waiting: Waiting,
    ) {
        let Some(work) = &mut self.work else { return };
        let (room, asked) = (work.edge.max_branches, work.asked);
        let early = work.early.get_or_insert_default();
        let index = match early.callers.iter().position(|dialog| *dialog.tag == *tag) {
            Some(index) => index,
            None if early.callers.len() >= room => {
                // Who only supports it may as well go without; who requires it must not be sent anything else.
                if asked == Asked::Supported {
                    self.answer(env, out, waiting.status, waiting.bytes);
                }
                return;
            }
            None => {
                let draw = env.secrets.number(17, &[&self.id.generation.to_le_bytes(), tag]) as u32;
                early.callers.push(CallerDialog {
                    tag: tag.into(),
                    machine: ReliableServer::new(draw, &work.edge.timing),
                    last: Bytes::new(),
                    media: false,
                    queue: VecDeque::new(),
                });
                early.callers.len() - 1
            }
        };
        let Some(dialog) = early.callers.get_mut(index) else { return };
        if dialog.machine.is_waiting() {
            if dialog.queue.len() < MAX_WAITING {
                dialog.queue.push_back(waiting);
            }
            return;
        }
        self.put(env, tools, out, index, waiting);
    }

    fn put(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: usize, waiting: Waiting) {
        let Some(work) = &mut self.work else { return };
        let Some(dialog) = work.early.as_mut().and_then(|early| early.callers.get_mut(index)) else { return };
        let Some(message) = Message::reread(&waiting.bytes) else { return };
        let rseq = dialog.machine.send(env.now, &work.edge.timing);
        tools.edits.clear();
        tools.edits.insert_with(message.header_block().end, |out| {
            out.extend_from_slice(b"Require: 100rel\r\nRSeq: ");
            write_decimal(out, u64::from(rseq));
            out.extend_from_slice(b"\r\n");
        });
        let bytes = tools.edits.apply(&message);
        (dialog.last, dialog.media) = (bytes.clone(), waiting.media);
        self.answer(env, out, waiting.status, bytes);
    }

    /// Takes a PRACK of the caller; `None`: it is of no early dialog whose answers the edge made reliable.
    pub fn take_prack(&mut self, tag: &[u8], rseq: u32, cseq: u32) -> Option<Prack> {
        let early = self.work.as_mut()?.early.as_mut()?;
        let dialog = early.callers.iter_mut().find(|dialog| *dialog.tag == *tag)?;
        Some(dialog.machine.handle_prack(rseq, cseq))
    }

    /// What may follow once the caller has acknowledged the last answer of an early dialog.
    pub(in super::super) fn handle_acknowledged(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        tag: &[u8],
    ) {
        let Some(early) = self.work.as_mut().and_then(|work| work.early.as_mut()) else { return };
        if early.held.as_ref().is_some_and(|held| *held.tag == *tag) {
            return self.release(env, tools, out);
        }
        let Some(index) = early.callers.iter().position(|dialog| *dialog.tag == *tag) else { return };
        let next = early.callers.get_mut(index).and_then(|dialog| dialog.queue.pop_front());
        if let Some(next) = next {
            self.put(env, tools, out, index, next);
        }
    }

    /// Keeps a 2xx back while the caller has not acknowledged the session description before it; gives it again when
    /// there is nothing to wait for.
    pub(in super::super) fn hold(
        &mut self,
        index: u16,
        response: &Message,
        sent: &Bytes,
        bytes: Bytes,
    ) -> Option<Bytes> {
        let tag = response.to_tag().unwrap_or_default();
        let Some(early) = self.work.as_mut().and_then(|work| work.early.as_mut()) else { return Some(bytes) };
        let waits = |dialog: &super::CallerDialog| *dialog.tag == *tag && dialog.machine.is_waiting() && dialog.media;
        if early.held.is_some() || !early.callers.iter().any(waits) {
            return Some(bytes);
        }
        early.held = Some(Held {
            branch: index,
            tag: tag.into(),
            status: response.status(),
            bytes,
            response: response.bytes().clone(),
            sent: sent.clone(),
        });
        None
    }

    /// Whether a 2xx of this branch is held back, so that its copies say nothing new.
    pub(in super::super) fn holds(&self, index: u16) -> bool {
        let early = self.work.as_ref().and_then(|work| work.early.as_ref());
        early.and_then(|early| early.held.as_ref()).is_some_and(|held| held.branch == index)
    }

    /// Sends the 2xx that was held back.
    pub(in super::super) fn release(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        let early = self.work.as_mut().and_then(|work| work.early.as_mut());
        let Some(Held { branch, status, bytes, response, sent, .. }) = early.and_then(|early| early.held.take()) else {
            return;
        };
        self.answer(env, out, status, bytes);
        if let Some(response) = Message::reread(&response) {
            self.learn(env, tools, out, branch, (&response, &sent));
        }
    }

    pub(super) fn handle_caller_timeouts(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        let count = self.work.as_ref().and_then(|work| work.early.as_ref()).map_or(0, |early| early.callers.len());
        for index in 0..count {
            let early = self.work.as_mut().and_then(|work| work.early.as_mut());
            let Some(dialog) = early.and_then(|early| early.callers.get_mut(index)) else { return };
            match dialog.machine.handle_timeout(env.now) {
                ReliableDue::Nothing => {}
                ReliableDue::Resend => {
                    out.counts.retransmitted += 1;
                    let bytes = dialog.last.clone();
                    self.resend(env, out, bytes);
                }
                ReliableDue::GiveUp => return self.refuse_unacknowledged(env, tools, out),
            }
        }
    }

    /// The caller never acknowledged an answer: its INVITE is refused with a 5xx (RFC 3262 section 3).
    fn refuse_unacknowledged(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        out.counts.unacknowledged += 1;
        let Some(work) = &mut self.work else { return };
        work.lanes.iter_mut().for_each(Lane::clear);
        let held = work.early.as_mut().and_then(|early| early.held.take());
        let count = work.branches.len() as u16; // `max_branches` is far below 65,536.
        for index in 0..count {
            self.abandon_branch(env, out, index, b"");
        }
        if let Some(Held { branch, response, sent, .. }) = held {
            self.take_back(env, out, branch, sent, &response);
        }
        let Some(work) = &mut self.work else { return };
        work.best = None;
        super::super::Best::offer(&mut work.best, 504, None, tools);
        self.answer_best(env, tools, out);
    }
}

/// The key under which a shard finds the INVITE that a PRACK belongs to.
pub fn prack_key(env: &Env<'_>, call_id: &[u8], from_tag: &[u8], cseq: u32) -> u64 {
    env.secrets.number(18, &[call_id, from_tag, &cseq.to_le_bytes()])
}

impl Context {
    /// Whether PRACKs of the caller end here.
    pub fn takes_pracks(&self) -> bool {
        let early = self.work.as_ref().and_then(|work| work.early.as_ref());
        early.is_some_and(|early| early.takes_pracks())
    }

    /// The key under which PRACKs of the caller find this context, once there are answers for it to acknowledge.
    pub fn prack_key(&self, env: &Env<'_>) -> Option<u64> {
        let request = Message::reread(&self.work.as_ref()?.request)?;
        let tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        let cseq = request.cseq().ok()?.number;
        Some(prack_key(env, request.value(HeaderName::CallId).unwrap_or_default(), tag, cseq))
    }
}
