//! A call as one side lives through it, and the steps that time brings.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::core::Core;
use super::dialog::Dialog;
use super::plan::{CallPlan, Script};
use super::servers::ServerKey;
use super::timers::{MEMORY, Step, Timer};
use super::transfers::Transfer;
use crate::lab::journal::{CallRecord, Ending};
use crate::lab::message::Message;
use crate::lab::wire::{Destination, Source, Transport};

/// What a side does in a call.
#[derive(Debug)]
pub enum Part {
    Callee { script: Script, invite: ServerKey },
    Caller { plan: CallPlan, branch: String },
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPhase {
    /// The INVITE has no final answer.
    Inviting,
    /// A refusal waits for its ACK.
    Refused,
    /// A 2xx waits for its ACK.
    Answered,
    Established,
    /// BYE is on its way.
    Ending,
    Over,
}

/// The 2xx of an INVITE that is repeated until its ACK comes.
#[derive(Clone, Debug)]
pub struct Answer {
    pub cseq: u32,
    pub source: Source,
    pub message: Message,
    pub bytes: Vec<u8>,
    pub interval: std::time::Duration,
    pub total: std::time::Duration,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    pub record: CallRecord,
    pub part: Part,
    pub phase: CallPhase,
    pub dialog: Option<Dialog>,
    pub transport: Transport,
    pub local_tag: String,
    /// The URI of our Contact.
    pub contact: String,
    pub sdp_version: u32,
    /// The 2xx that waits for an ACK.
    pub answer: Option<Answer>,
    /// The last ACK of a 2xx with its CSeq, for repeated ones.
    pub ack: Option<(u32, Destination, Message)>,
    /// A re-INVITE of ours has no final answer yet.
    pub changing: bool,
    pub cancel_sent: bool,
    pub cancel_wanted: bool,
    pub cancel_code: Option<u16>,
    pub reply: Option<oneshot::Sender<CallRecord>>,
    /// The name of the SBC in this call, as Microsoft knows it.
    pub site: Option<String>,
    /// The methods in the other side's last Allow.
    pub peer_allow: Vec<String>,
    /// To tags and Contacts of the forks that have rung, by number.
    pub forks: BTreeMap<u8, (String, String)>,
    /// The session description that was sent last.
    pub last_sdp: Vec<u8>,
    pub transfer: Option<Transfer>,
}

impl Call {
    /// A call of which nothing is known yet but its beginning.
    pub fn new(mut record: CallRecord, part: Part, transport: Transport, local_tag: String, contact: String) -> Self {
        record.local_tag.clone_from(&local_tag);
        Self {
            record,
            part,
            phase: CallPhase::Inviting,
            dialog: None,
            transport,
            local_tag,
            contact,
            sdp_version: 1,
            answer: None,
            ack: None,
            changing: false,
            cancel_sent: false,
            cancel_wanted: false,
            cancel_code: None,
            reply: None,
            site: None,
            peer_allow: Vec::new(),
            forks: BTreeMap::new(),
            last_sdp: Vec::new(),
            transfer: None,
        }
    }

    /// Takes the Allow of a message of the other side, if it has one.
    pub fn note_allow(&mut self, message: &Message) {
        let listed = message.list("Allow");
        if !listed.is_empty() {
            self.peer_allow = listed;
        }
    }

    /// Whether the other side's last Allow names a method.
    pub fn peer_allows(&self, method: &str) -> bool {
        self.peer_allow.iter().any(|listed| listed == method)
    }
}

impl Core {
    /// Puts a new call under a number of its own.
    pub fn add_call(&mut self, call: Call) -> u64 {
        self.next_call += 1;
        let key = self.next_call;
        self.journal.set_call(key, &call.record);
        self.calls.insert(key, call);
        key
    }

    /// The INVITE by which this side began a call.
    pub fn invite_of(&self, key: u64) -> Option<Message> {
        let Part::Caller { branch, .. } = &self.calls.get(&key)?.part else {
            return None;
        };
        self.clients.get(branch).map(|client| client.request.clone())
    }

    /// Shows the present state of a call to those who wait.
    pub fn publish(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        self.journal.set_call(key, &call.record);
        if !call.record.is_over() || call.phase == CallPhase::Over {
            return;
        }
        call.phase = CallPhase::Over;
        if let Some(reply) = call.reply.take() {
            // Nobody waits any more when the time was up.
            let _ = reply.send(call.record.clone());
        }
        self.timers.set(MEMORY, Timer::Call(key, Step::Forget));
    }

    /// Ends a call's record with what went wrong; the first reason stays.
    pub fn fail_call(&mut self, key: u64, reason: &str) {
        if let Some(call) = self.calls.get_mut(&key)
            && !call.record.is_over()
        {
            call.record.error = Some(reason.to_owned());
        }
        self.publish(key);
    }

    /// Time brings a step of a call.
    pub fn handle_step(&mut self, key: u64, step: Step) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let phase = call.phase;
        match step {
            Step::Forget => drop(self.calls.remove(&key)),
            _ if phase == CallPhase::Over => {}
            Step::Limit => self.give_up(key),
            Step::Cancel if phase == CallPhase::Inviting => self.want_cancel(key),
            Step::Ring if phase == CallPhase::Inviting => self.ring(key),
            Step::RingOf(at) if phase == CallPhase::Inviting => self.ring_as_scripted(key, at),
            Step::Failover if phase == CallPhase::Inviting => self.fail_over(key),
            Step::Refer if phase == CallPhase::Established => self.begin_transfer(key),
            Step::Refresh if phase == CallPhase::Established => self.refresh(key),
            Step::NotifyDue => self.miss_notify(key),
            Step::Decide if phase == CallPhase::Inviting => self.decide(key),
            Step::RepeatAnswer(cseq) => self.repeat_answer(key, cseq),
            Step::Hold if phase == CallPhase::Established => self.change(key, true),
            Step::Resume if phase == CallPhase::Established => self.change(key, false),
            Step::HangUp if phase == CallPhase::Established => self.hang_up(key),
            _ => {}
        }
    }

    /// The call took too long: says what was missing and frees the other side as far as possible.
    fn give_up(&mut self, key: u64) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let reason = match call.phase {
            CallPhase::Inviting => match call.record.provisional.last() {
                Some(code) => format!("no final answer in time, the last one was {code}"),
                None => "no answer in time".to_owned(),
            },
            CallPhase::Refused => "the refusal was not acknowledged in time".to_owned(),
            CallPhase::Answered => "the 2xx was not acknowledged in time".to_owned(),
            CallPhase::Established => "the call was not ended in time".to_owned(),
            CallPhase::Ending | CallPhase::Over => "BYE was not answered in time".to_owned(),
        };
        let caller = matches!(call.part, Part::Caller { .. });
        let phase = call.phase;
        match phase {
            CallPhase::Inviting if caller => self.want_cancel(key),
            CallPhase::Established => self.hang_up(key),
            _ => {}
        }
        self.fail_call(key, &reason);
    }

    /// A refusal was acknowledged: the callee's side is done.
    pub fn finish_refusal(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.phase == CallPhase::Refused {
            call.record.acknowledged = true;
            call.record.finished = true;
            if call.record.ending.is_none() {
                call.record.ending = Some(Ending::Refused);
            }
        }
        self.publish(key);
    }
}
