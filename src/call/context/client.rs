//! The side of a context that faces the called: its branches, their client transactions, failover and CANCEL.

mod back;
mod interval;
mod rules;

use std::sync::Arc;

use bytes::Bytes;

use super::super::best::Best;
use super::super::branch::BranchId;
use super::super::command::{Command, Output};
use super::super::destination::Candidate;
use super::super::leg::Leg;
use super::super::owned::Crossing;
use super::super::{Env, Tools};
use super::early::PRACK_BRANCHES;
use super::{Context, Lane, Work};
use crate::sip::{HeaderName, Message, build};
use crate::transaction::{
    ClientActions, ClientReport, ClientSend, InviteClient, Moment, NonInviteClient, ProxyTimerC, TimerCExpiry,
};
use crate::trunk::{Hop, TrunkId};

/// What the CANCEL of a branch says when another has answered (RFC 3326 section 2).
pub(super) const ELSEWHERE: &[u8] = b"Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";

/// One place that the request was sent to.
#[derive(Debug)]
pub struct Branch {
    client: Client,
    timer_c: Option<ProxyTimerC>,
    /// When the next target is tried if nothing at all has come.
    no_answer: Option<Moment>,
    /// The same place by UDP, for when TCP, which the size asked for, does not work (RFC 3261 section 18.1.1).
    pub(super) fallback: Option<Box<Candidate>>,
    hop: Hop,
    /// Index of the trunk's target behind `hop`.
    pub(super) target: Option<u16>,
    /// What routing asked for on the way here.
    leg: Option<Arc<Leg>>,
    /// How the request left its leg; `None`: both sides are in one dialog.
    pub(super) crossing: Option<Crossing>,
    lane: u8,
    /// The request as it was sent, or the ACK once an INVITE was refused.
    pub(super) sent: Bytes,
    cancel: Cancel,
    /// The final status; 0 while there is none.
    status: u16,
    /// The status is the edge's own: the transport failed or nothing came in time.
    own_status: bool,
    /// The next target was tried meanwhile: nothing is waited for here any more.
    abandoned: bool,
}

/// What a branch begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub invite: bool,
    pub hop: Hop,
    /// Index of the trunk's target behind `hop`.
    pub target: Option<u16>,
    pub leg: Option<Arc<Leg>>,
    pub crossing: Option<Crossing>,
    pub lane: u8,
    pub sent: Bytes,
    pub no_answer: Option<Moment>,
    pub fallback: Option<Box<Candidate>>,
}

#[derive(Clone, Copy, Debug)]
enum Client {
    Invite(InviteClient),
    Other(NonInviteClient),
    Done,
}

/// How far giving up a branch has come.
#[derive(Debug)]
enum Cancel {
    No,
    /// No provisional answer yet: a CANCEL may not be sent before one (RFC 3261 section 9.1).
    Wanted(&'static [u8]),
    Sent(Box<CancelSent>),
}

#[derive(Debug)]
struct CancelSent {
    machine: Option<NonInviteClient>,
    bytes: Bytes,
}

impl Branch {
    pub(super) fn start(env: &Env<'_>, start: Start) -> Self {
        let Start { invite, hop, target, leg, crossing, lane, sent, no_answer, fallback } = start;
        let (reliable, timing) = (hop.transport.is_reliable(), &env.edge.timing);
        let (client, timer_c) = if invite {
            let (machine, _) = InviteClient::start(env.now, reliable, timing);
            (Client::Invite(machine), Some(ProxyTimerC::start(env.now, timing)))
        } else {
            (Client::Other(NonInviteClient::start(env.now, reliable, timing).0), None)
        };
        Self {
            client,
            timer_c,
            no_answer,
            fallback,
            hop,
            target,
            leg,
            crossing,
            lane,
            sent,
            cancel: Cancel::No,
            status: 0,
            own_status: false,
            abandoned: false,
        }
    }

    /// The trunk that the request was sent to.
    pub(super) fn trunk(&self) -> TrunkId {
        self.hop.trunk
    }

    /// The final status; 0 while there is none.
    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is the peer's.
    pub(super) const fn was_answered(&self) -> bool {
        self.status != 0 && !self.own_status
    }

    /// The place that it was sent to.
    pub(super) const fn hop(&self) -> &Hop {
        &self.hop
    }

    /// Whether the called side has shown that it is there, and has not answered yet.
    pub(super) fn is_proceeding(&self) -> bool {
        let state = crate::transaction::InviteClientState::Proceeding;
        self.is_pending() && matches!(&self.client, Client::Invite(machine) if machine.state() == state)
    }

    /// The lane of the target.
    pub(super) fn lane(&self) -> u8 {
        self.lane
    }

    /// Whether a final answer is awaited that counts.
    pub(super) fn is_pending(&self) -> bool {
        self.status == 0 && !self.abandoned
    }

    /// Whether no event concerns the branch any more.
    pub(super) fn is_over(&self) -> bool {
        let cancelling = matches!(&self.cancel, Cancel::Sent(cancel) if cancel.machine.is_some());
        matches!(self.client, Client::Done) && !cancelling
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let client = match &self.client {
            Client::Invite(machine) => machine.next_timeout(),
            Client::Other(machine) => machine.next_timeout(),
            Client::Done => None,
        };
        let cancel = match &self.cancel {
            Cancel::Sent(cancel) => cancel.machine.and_then(|machine| machine.next_timeout()),
            _ => None,
        };
        let timer_c = self.timer_c.as_ref().and_then(ProxyTimerC::next_timeout);
        [client, timer_c, self.no_answer, cancel].into_iter().flatten().min()
    }

    fn client(&mut self, event: impl FnOnce(&mut Client) -> ClientActions) -> ClientActions {
        let actions = event(&mut self.client);
        if actions.ended {
            self.client = Client::Done;
        }
        actions
    }

    /// Ends the branch with a status; what comes late is of no account.
    fn finish(&mut self, status: u16) {
        self.status = status;
        self.timer_c = None;
        self.no_answer = None;
    }
}

impl Context {
    pub(super) fn handle_response(
        &mut self,
        env: &Env<'_>,
        tools: &mut Tools,
        out: &mut Output,
        index: u16,
        response: &Message,
    ) {
        if index & PRACK_BRANCHES != 0 {
            return self.handle_prack_response(env, index, response);
        }
        let (invite, own) = (self.work.as_ref().is_some_and(|work| work.invite), self.is_own());
        let Some(branch) = self.branch(index) else {
            out.counts.dropped += 1;
            return;
        };
        let Ok(cseq) = response.cseq() else { return };
        let (status, timing) = (response.status(), &env.edge.timing);
        if cseq.method == b"CANCEL" {
            if let Cancel::Sent(cancel) = &mut branch.cancel
                && let Some(machine) = &mut cancel.machine
                && machine.handle_response(env.now, status, timing).ended
            {
                cancel.machine = None;
            }
            return;
        }
        // The method is a part of what an answer is matched by (RFC 3261 section 17.1.3). Without the caller's Via there
        // is nobody to pass the answer to: it counts as none, so that a timer ends the branch.
        let owned = branch.crossing.is_some() || own;
        if (cseq.method == b"INVITE") != invite || has_one_via(response) != owned {
            out.counts.dropped += 1;
            return;
        }
        let actions = branch.client(|client| match client {
            Client::Invite(machine) => machine.handle_response(env.now, status, timing),
            Client::Other(machine) => machine.handle_response(env.now, status, timing),
            Client::Done => ClientActions::default(),
        });
        let again = self.to_offer_again(index, response).filter(|_| actions.report == Some(ClientReport::Response));
        if actions.send == Some(ClientSend::Ack) {
            self.send_ack(out, index, response);
        }
        if let Some(again) = again {
            self.hear_answer(out, index, response);
            self.finish_branch(index, status);
            return self.offer_again(env, tools, out, index, again);
        }
        if actions.report == Some(ClientReport::Response) {
            self.take_response(env, tools, out, index, response);
        } else if actions.send.is_none() {
            out.counts.absorbed += 1;
        }
    }

    /// An answer that is new: RFC 3261 section 16.7.
    fn take_response(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16, response: &Message) {
        let status = response.status();
        self.hear_answer(out, index, response);
        let completed = self.completed(tools, response);
        let response = completed.as_ref().unwrap_or(response);
        let own_invite = self.work.as_ref().is_some_and(|work| work.invite && work.own.is_some());
        let held = self.holds(index);
        let ruled = self.ruled(tools, index, response);
        let response = ruled.as_ref().unwrap_or(response);
        let Some(branch) = self.branch(index) else { return };
        branch.no_answer = None;
        branch.fallback = None;
        if let Some(timer_c) = &mut branch.timer_c {
            timer_c.handle_response(env.now, status, &env.edge.timing);
        }
        match status {
            100..=199 => {
                if let Cancel::Wanted(headers) = branch.cancel {
                    self.cancel_branch(env, out, index, headers);
                } else if branch.abandoned {
                    let headers = if branch.own_status { b"" } else { ELSEWHERE };
                    self.cancel_branch(env, out, index, headers);
                }
                if status > 100 {
                    self.take_early(env, tools, out, index, response);
                }
            }
            200..=299 if held => out.counts.absorbed += 1,
            200..=299 if branch.own_status => self.hang_up(env, out, index, response),
            200..=299 if own_invite => self.take_accepted(env, tools, out, index, response),
            200..=299 => {
                branch.finish(status);
                let sent = std::mem::take(&mut branch.sent);
                let described = self.described(tools, index, response);
                let response = described.as_ref().unwrap_or(response);
                if !self.pass_accepted(env, tools, out, index, (response, &sent)) {
                    return self.refuse_answered(env, tools, out, index, (response, sent));
                }
                if !self.holds(index) {
                    self.learn(env, tools, out, index, (response, &sent));
                }
                self.stop_others(env, out, index, ELSEWHERE);
            }
            _ => {
                self.note_gone(env, tools, out, index, response);
                let meaning = self.meaning(index, status);
                let Some(branch) = self.branch(index) else { return };
                branch.finish(meaning);
                let crossed = self.crossed(env, tools, out, index, response);
                let response = crossed.as_ref().unwrap_or(response);
                let to_caller = self.to_caller(index, status, meaning);
                let ruled = self.ruled_back(tools, index, response.bytes());
                let ruled = ruled.and_then(|bytes| Message::reread(&bytes));
                let response = ruled.as_ref().unwrap_or(response);
                let Some(work) = &mut self.work else { return };
                if !work.answered {
                    Best::offer_as(&mut work.best, to_caller, Some(response), tools);
                }
                if meaning >= 600 {
                    self.stop_others(env, out, index, b"");
                }
                self.conclude(env, tools, out);
                if let Some(branch) = self.branch(index)
                    && let Client::Other(_) = branch.client
                {
                    branch.sent = Bytes::new();
                }
            }
        }
    }

    /// Tries the next target of a lane whose last failure asks for it; otherwise, when no branch is left to wait for,
    /// begins a lane that was to begin later, or answers.
    pub(super) fn conclude(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        // Somebody has answered, and the caller will hear of it.
        if self.work.as_ref().is_some_and(|work| work.early.as_ref().is_some_and(|early| early.is_holding())) {
            return;
        }
        let lanes = self.work.as_ref().map_or(0, |work| work.lanes.len());
        for lane in 0..lanes as u8 {
            let Some(work) = &mut self.work else { return };
            if work.answered || work.ack {
                return;
            }
            if work.fails_over(lane) {
                out.counts.failovers += 1;
                self.try_next(env, tools, out, lane, None);
            } else {
                work.end_lane(lane);
            }
        }
        let Some(work) = &mut self.work else { return };
        if work.answered || work.ack || work.is_waiting() {
            return;
        }
        if let Some(lane) = work.next_to_begin() {
            self.begin_lane(env, tools, out, lane, None);
            return self.conclude(env, tools, out);
        }
        work.lanes.iter_mut().for_each(Lane::clear);
        self.answer_best(env, tools, out);
    }

    fn send_ack(&mut self, out: &mut Output, index: u16, response: &Message) {
        let id = BranchId { context: self.id, branch: index };
        let Some(branch) = self.branch(index) else { return };
        let Some(sent) = Message::reread(&branch.sent) else { return };
        // The first ACK takes the INVITE's place; its copies go out as they are.
        let ack = if sent.method() == b"ACK" { branch.sent.clone() } else { build::ack(&sent, response) };
        branch.sent = if branch.hop.transport.is_reliable() { Bytes::new() } else { ack.clone() };
        out.commands.push(Command::Request { hop: branch.hop.clone(), bytes: ack, branch: Some(id) });
    }

    pub(super) fn handle_cancel(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, reason_lines: &[u8]) {
        self.cancel_local(env, tools, out);
        // The call was answered already: it ends as one that was, by the caller's BYE.
        self.release(env, tools, out);
        let Some(work) = &mut self.work else { return };
        if work.answered {
            return;
        }
        work.cancelled = true;
        work.cancel_headers = reason_lines.into();
        if let Some(progress) = &mut work.progress {
            progress.note_cancel(reason_lines);
        }
        work.lanes.iter_mut().for_each(Lane::clear);
        for index in 0..work.branches.len() {
            self.stop_branch(env, out, index as u16, b"");
        }
        let Some(work) = &mut self.work else { return };
        if !work.is_waiting() {
            Best::offer(&mut work.best, 487, None, tools);
            self.answer_best(env, tools, out);
        }
    }

    /// Gives up all branches but one, since it has decided the call.
    pub(super) fn stop_others(&mut self, env: &Env<'_>, out: &mut Output, decided: u16, headers: &'static [u8]) {
        let Some(work) = &mut self.work else { return };
        work.lanes.iter_mut().for_each(Lane::clear);
        for index in 0..work.branches.len() {
            if index != usize::from(decided) {
                self.stop_branch(env, out, index as u16, headers);
            }
        }
    }

    /// Gives up one branch: at once when it rings, or as soon as it does.
    fn stop_branch(&mut self, env: &Env<'_>, out: &mut Output, index: u16, headers: &'static [u8]) {
        let Some(branch) = self.branch(index) else { return };
        let (Client::Invite(machine), 0, Cancel::No) = (&branch.client, branch.status, &branch.cancel) else { return };
        branch.no_answer = None;
        if machine.state() == crate::transaction::InviteClientState::Proceeding {
            self.cancel_branch(env, out, index, headers);
        } else {
            branch.cancel = Cancel::Wanted(headers);
        }
    }

    /// Sends the CANCEL of a branch, with the Reason that the caller gave when it was the caller who gave up.
    fn cancel_branch(&mut self, env: &Env<'_>, out: &mut Output, index: u16, headers: &'static [u8]) {
        let id = BranchId { context: self.id, branch: index };
        let Some(work) = &mut self.work else { return };
        let headers = if work.cancelled { &work.cancel_headers } else { headers };
        let Some(branch) = work.branches.get_mut(usize::from(index)) else { return };
        if matches!(branch.cancel, Cancel::Sent(_)) {
            return;
        }
        let Some(sent) = Message::reread(&branch.sent) else { return };
        let (bytes, timing) = (build::cancel(&sent, headers), &env.edge.timing);
        let (machine, _) = NonInviteClient::start(env.now, branch.hop.transport.is_reliable(), timing);
        if let Some(timer_c) = &mut branch.timer_c {
            timer_c.handle_cancel(env.now, timing);
        }
        branch.cancel = Cancel::Sent(Box::new(CancelSent { machine: Some(machine), bytes: bytes.clone() }));
        out.commands.push(Command::Request { hop: branch.hop.clone(), bytes, branch: Some(id) });
    }

    pub(super) fn handle_due(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output) {
        self.alarm.handle_due(env.now);
        self.handle_local_timeout(env, tools, out);
        self.handle_server_timeout(env, out);
        let branches = self.work.as_ref().map_or(0, |work| work.branches.len());
        for index in 0..branches {
            self.handle_branch_timeout(env, tools, out, index as u16);
        }
        self.begin_lanes(env, tools, out, None);
        self.handle_early_timeout(env, tools, out);
    }

    fn handle_branch_timeout(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16) {
        let (id, timing) = (BranchId { context: self.id, branch: index }, &env.edge.timing);
        let Some(branch) = self.branch(index) else { return };
        let actions = branch.client(|client| match client {
            Client::Invite(machine) => machine.handle_timeout(env.now, timing),
            Client::Other(machine) => machine.handle_timeout(env.now, timing),
            Client::Done => ClientActions::default(),
        });
        let mut again = |hop: &Hop, bytes: &Bytes| {
            out.counts.retransmitted += 1;
            out.commands.push(Command::Request { hop: hop.clone(), bytes: bytes.clone(), branch: Some(id) });
        };
        if actions.send == Some(ClientSend::Request) && !branch.sent.is_empty() {
            again(&branch.hop, &branch.sent);
        }
        if let Cancel::Sent(cancel) = &mut branch.cancel
            && let Some(machine) = &mut cancel.machine
        {
            let actions = machine.handle_timeout(env.now, timing);
            if actions.send.is_some() {
                again(&branch.hop, &cancel.bytes);
            }
            if actions.ended {
                cancel.machine = None;
            }
        }
        if actions.report == Some(ClientReport::TimedOut) {
            // One that was passed over has been told of.
            if self.branch(index).is_some_and(|branch| branch.is_pending()) {
                self.hear_silence(out, index);
            }
            return self.fail_branch(env, tools, out, index, 408);
        }
        match branch.timer_c.as_mut().and_then(|timer_c| timer_c.handle_timeout(env.now, timing)) {
            Some(TimerCExpiry::Cancel) => self.cancel_branch(env, out, index, b""),
            Some(TimerCExpiry::TimedOut) => {
                branch.client = Client::Done;
                return self.fail_branch(env, tools, out, index, 408);
            }
            None => {}
        }
        self.pass_over_silent(env, tools, out, index);
    }

    /// Tries the next target when this one has not answered at all in its time.
    fn pass_over_silent(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16) {
        let Some(branch) = self.branch(index) else { return };
        if branch.no_answer.is_none_or(|at| at > env.now) {
            return;
        }
        branch.no_answer = None;
        branch.abandoned = true;
        let lane = branch.lane;
        self.hear_silence(out, index);
        if let Some(work) = &mut self.work {
            // When nothing is left to try, the caller is told that nobody was there: who comes late is hung up on.
            let last = work.lanes.get(usize::from(lane)).is_none_or(|lane| lane.queue.is_empty());
            if let Some(branch) = work.branches.get_mut(usize::from(index)) {
                branch.own_status = last;
            }
            Best::offer(&mut work.best, 408, None, tools);
        }
        self.conclude(env, tools, out);
    }

    pub(super) fn handle_send_failed(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16) {
        if index & PRACK_BRANCHES != 0 {
            return self.handle_prack_failed(index);
        }
        let Some(branch) = self.branch(index) else { return };
        if let Cancel::Sent(cancel) = &mut branch.cancel {
            cancel.machine = None;
        }
        let actions = branch.client(|client| match client {
            Client::Invite(machine) => machine.handle_transport_error(env.now),
            Client::Other(machine) => machine.handle_transport_error(env.now),
            Client::Done => ClientActions::default(),
        });
        if actions.report == Some(ClientReport::TransportError) {
            self.hear_not_sent(out, index);
            self.fail_branch(env, tools, out, index, 503);
        }
    }

    /// Ends a branch with a status of the edge's own making (RFC 3261 sections 16.7 item 6, 16.8, 16.9).
    fn fail_branch(&mut self, env: &Env<'_>, tools: &mut Tools, out: &mut Output, index: u16, status: u16) {
        let Some(branch) = self.branch(index) else { return };
        if branch.status != 0 {
            return;
        }
        branch.finish(status);
        branch.own_status = true;
        let (lane, fallback) = (branch.lane, branch.fallback.take().filter(|_| status == 503));
        if let Some(work) = &mut self.work
            && !work.answered
        {
            if let Some(candidate) = fallback.filter(|_| !work.cancelled) {
                if let Some(lane) = work.lanes.get_mut(usize::from(lane)) {
                    lane.queue.push(*candidate);
                }
                self.try_next(env, tools, out, lane, None);
            } else {
                let status = if work.cancelled { 487 } else { status };
                Best::offer(&mut work.best, status, None, tools);
            }
        }
        self.conclude(env, tools, out);
    }

    pub(super) fn finish_branch(&mut self, index: u16, status: u16) {
        if let Some(branch) = self.branch(index) {
            branch.finish(status);
        }
    }

    /// Gives a branch up for good, whatever it still says: whoever answers is hung up on.
    pub(super) fn abandon_branch(&mut self, env: &Env<'_>, out: &mut Output, index: u16, headers: &'static [u8]) {
        self.stop_branch(env, out, index, headers);
        if let Some(branch) = self.branch(index).filter(|branch| branch.is_pending()) {
            // Who does not even answer the CANCEL is not waited for any longer than it allows.
            let timer_c = branch.timer_c.take();
            branch.finish(504);
            (branch.own_status, branch.timer_c) = (true, timer_c);
        }
    }

    /// Hangs up on a callee that had answered, and whenever it says so again.
    pub(super) fn take_back(&mut self, env: &Env<'_>, out: &mut Output, index: u16, sent: Bytes, response: &Bytes) {
        let Some(branch) = self.branch(index) else { return };
        (branch.own_status, branch.sent) = (true, sent);
        if let Some(response) = Message::reread(response) {
            self.hang_up(env, out, index, &response);
        }
    }

    fn branch(&mut self, index: u16) -> Option<&mut Branch> {
        self.work.as_mut()?.branches.get_mut(usize::from(index))
    }
}

/// Whether an answer has no Via but the edge's.
fn has_one_via(response: &Message) -> bool {
    response.lines_of(HeaderName::Via).count() == 1 && response.values(HeaderName::Via).count() == 1
}

impl Work {
    /// Whether what came of a lane's last trunk, of all its targets where it forks, asks for the lane's next target.
    fn fails_over(&self, lane: u8) -> bool {
        let Some(state) = self.lanes.get(usize::from(lane)) else { return false };
        if self.cancelled || state.queue.is_empty() || state.begins.is_some() || state.resolving.is_some() {
            return false;
        }
        let of_lane = || self.branches.iter().filter(|branch| branch.lane == lane);
        if of_lane().any(Branch::is_pending) {
            return false;
        }
        let Some(last) = of_lane().next_back() else { return false };
        let of_trunk = || self.edge.trunk(last.trunk()).map(|trunk| trunk.failover_codes.as_slice());
        let of_leg = last.leg.as_ref().and_then(|leg| leg.failover_codes.as_deref());
        let codes = of_leg.or_else(of_trunk).unwrap_or_default();
        let mut of_last = of_lane().filter(|branch| branch.trunk() == last.trunk());
        of_last.all(|branch| branch.abandoned || branch.own_status || codes.contains(&branch.status))
    }

    /// Lets go of what a lane that has come to its end would have tried next.
    fn end_lane(&mut self, lane: u8) {
        let pending = self.branches.iter().any(|branch| branch.lane == lane && branch.is_pending());
        if let Some(lane) = self.lanes.get_mut(usize::from(lane))
            && !pending
            && lane.begins.is_none()
            && lane.resolving.is_none()
        {
            lane.queue.clear();
        }
    }
}
