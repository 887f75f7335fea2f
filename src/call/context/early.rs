//! Provisional answers between owned legs: what the caller gets to see of them, and their reliability (RFC 3262), which
//! ends here towards either side unless both pass it.
//!
//! ```text
//! callee --18x--> callee (PRACK of the edge's own) -> Shown -> caller (RSeq, sent until its PRACK comes) --> caller
//! ```
//! A 2xx waits in `held` while the caller has not acknowledged the session description of its early dialog.

mod callee;
mod caller;
mod progress;

pub use caller::prack_key;

use bytes::Bytes;

use self::callee::{CalleeDialog, OwnPrack};
use self::caller::CallerDialog;
use super::super::command::Output;
use super::super::dialect::early::{Show, Shown, Sign, as_ringing, without_body};
use super::super::dialect::methods::ends_reliable;
use super::super::{Env, Tools};
use super::{Context, Work};
use crate::sip::{HeaderName, Message};
use crate::transaction::Moment;
use crate::trunk::TrunkId;
use crate::trunk::dialect::early::{Reliable, Ringing};

/// The lanes of lookups for PRACKs: behind all that a request can have.
pub(super) const PRACK_LANES: u8 = 0x80;

/// The branches of PRACKs of the edge's own: behind all that a request can have.
pub(super) const PRACK_BRANCHES: u16 = 0x8000;

/// What the caller's INVITE says of reliable provisional answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    Nothing,
    Supported,
    Required,
}

/// What is known of provisional answers; present from the first of them on.
#[derive(Debug, Default)]
pub(super) struct EarlySide {
    shown: Shown,
    callers: Vec<CallerDialog>,
    callees: Vec<CalleeDialog>,
    pracks: Vec<OwnPrack>,
    held: Option<Held>,
}

impl EarlySide {
    /// A 2xx that waits and is not to go out any more: its branch, itself, and what was sent in that branch.
    pub(super) fn take_held(&mut self) -> Option<(u16, Bytes, Bytes)> {
        self.held.take().map(|held| (held.branch, held.response, held.sent))
    }
}

/// A 2xx that waits until the caller has acknowledged what came before.
#[derive(Debug)]
struct Held {
    branch: u16,
    tag: Box<[u8]>,
    status: u16,
    /// As the caller gets it.
    bytes: Bytes,
    /// As it came, and the INVITE that it answers: to hang up on the callee when the caller never acknowledges.
    response: Bytes,
    sent: Bytes,
}

impl EarlySide {
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let callers = self.callers.iter().filter_map(|dialog| dialog.machine.next_timeout());
        callers.chain(self.pracks.iter().filter_map(OwnPrack::next_timeout)).min()
    }

    /// A final answer has gone: nothing provisional follows.
    pub(super) fn handle_final(&mut self) {
        for dialog in &mut self.callers {
            dialog.machine.handle_final();
            dialog.queue.clear();
        }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Whether PRACKs of the caller end here.
    pub(super) fn takes_pracks(&self) -> bool {
        !self.callers.is_empty()
    }
}

impl Asked {
    pub(super) fn of(invite: &Message) -> Self {
        let has = |name| invite.option_tags(name).any(|tag| tag.eq_ignore_ascii_case(b"100rel"));
        match (has(HeaderName::Require), has(HeaderName::Supported)) {
            (true, _) => Self::Required,
            (false, true) => Self::Supported,
            (false, false) => Self::Nothing,
        }
    }
}

impl Work {
    /// Whether reliability ends at the edge on the way to a trunk.
    fn ends_reliable(&self, to: TrunkId) -> bool {
        let trunks = self.edge.trunk(self.from).zip(self.edge.trunk(to));
        trunks.is_some_and(|(from, to)| ends_reliable(from, to))
    }

    /// Whether the caller gets provisional answers of this way reliably from the edge.
    fn is_reliable_to_caller(&self) -> bool {
        match self.asked {
            Asked::Nothing => false,
            Asked::Required => true,
            Asked::Supported => {
                self.edge.trunk(self.from).is_some_and(|trunk| trunk.dialect.early.reliable == Reliable::End)
            }
        }
    }

    fn ringing(&self) -> Ringing {
        let trunk = self.edge.trunk(self.from).filter(|_| self.initial);
        trunk.map_or(Ringing::Pass, |trunk| trunk.dialect.early.ringing)
    }

    fn early(&mut self) -> &mut EarlySide {
        self.early.get_or_insert_default()
    }
}

impl Context {
    /// A provisional answer of a branch, other than 100.
    pub(super) fn take_early(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) {
        let Some(work) = &mut self.work else { return };
        let Some(branch) = work.branches.get(usize::from(index)) else { return };
        if branch.crossing.is_none() || !work.invite {
            self.pass_back(env, tools, out, index, response);
            return;
        }
        let (ends, rseq) = (work.ends_reliable(branch.trunk()), response.rseq());
        if let (true, Some(rseq)) = (ends, rseq)
            && !self.send_acknowledgement(env, out, index, response, rseq)
        {
            out.counts.absorbed += 1;
            return;
        }
        let Some(work) = &mut self.work else { return };
        let tag = response.to_tag().unwrap_or_default();
        let dialog = env.secrets.number(16, &[&index.to_le_bytes(), tag]);
        let sign = Sign { status: response.status(), dialog, media: !response.body().is_empty() };
        let ringing = work.ringing();
        let show = work.early().shown.decide(ringing, sign);
        // One that the caller itself acknowledges goes on in any case: its sender waits for that.
        let show = if !ends && rseq.is_some() { Show::AsItIs } else { show };
        let reliably = ends && work.is_reliable_to_caller();
        // Without an offer in the INVITE it would be one, to be answered in a PRACK that ends here.
        let bare = reliably && !work.offers && sign.media;
        let changed = match show {
            Show::Nothing => {
                out.counts.early_withheld += 1;
                return;
            }
            Show::AsRinging => Message::reread(&as_ringing(response, &mut tools.edits)),
            Show::AsItIs if bare => Message::reread(&without_body(response, None, &mut tools.edits)),
            Show::AsItIs => None,
        };
        let response = changed.as_ref().unwrap_or(response);
        if !reliably {
            self.pass_back(env, tools, out, index, response);
            return;
        }
        let media = !response.body().is_empty();
        if let Some(bytes) = self.whole_back(env, tools, out, index, response) {
            self.send_reliably(env, tools, out, tag, caller::Waiting { status: response.status(), bytes, media });
        }
    }

    /// When something of this is due.
    pub(super) fn early_timeout(&self) -> Option<Moment> {
        let work = self.work.as_ref()?;
        let early = work.early.as_ref().and_then(|early| early.next_timeout());
        [early, work.progress_at].into_iter().flatten().min()
    }

    pub(super) fn handle_early_timeout(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        self.handle_progress(env, out);
        self.handle_callee_timeouts(env, out);
        self.handle_caller_timeouts(env, tools, out);
    }
}
