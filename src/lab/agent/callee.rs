//! The called side (RFC 3261 section 13.3).

use std::time::Duration;

use super::calls::{Answer, Call, CallPhase, Part};
use super::core::Core;
use super::dialog::Dialog;
use super::persona::{Persona, answer_direction};
use super::plan::{Outcome, Script};
use super::servers::{ServerKey, ServerPhase};
use super::timers::{GIVE_UP, Step, T1, T2, Timer};
use crate::lab::journal::{CallRecord, Ending, Role};
use crate::lab::message::{Message, Uri};

/// Longest call that a stand-in takes part in as the called side.
const CALL_LIMIT: Duration = Duration::from_secs(120);

impl Core {
    /// An INVITE outside of a dialog.
    pub fn handle_new_invite(&mut self, key: &ServerKey) {
        let Some((request, source)) = self.servers.get(key).map(|s| (s.request.clone(), s.source.clone())) else {
            return;
        };
        if self.is_merged(key, &request) {
            self.complain_about(
                &request,
                vec!["the same INVITE came by two ways at once (RFC 3261 section 8.2.2.2)".into()],
            );
            return self.respond(key, 482, "Loop Detected", None);
        }
        if let Some(reason) = self.refusal_of_teams(&request, &source) {
            return self.refuse_as_teams(key, &request, &reason);
        }
        if self.settings.persona == Persona::Teams && request.body.is_empty() {
            self.complain_about(&request, vec!["Microsoft takes no INVITE without an offer".into()]);
            return self.respond(key, 488, "Not Acceptable Here", None);
        }
        let number = request.uri().and_then(Uri::parse).map(|uri| uri.number().to_owned()).unwrap_or_default();
        let script = self.settings.scripts.script(&number);
        let local_tag = self.ids.hex(16);
        let contact = self.contact(request.call_id(), source.transport);
        let dialog = Dialog::of_callee(&request, &local_tag);
        let faults = dialog.as_ref().map(Dialog::route_faults).unwrap_or_default();
        self.complain_about(&request, faults);
        let mut record = CallRecord::new(Role::Callee, &number, request.call_id());
        record.record_routes = self.recorded_routes(&request);
        let call = self.add_call(Call {
            record,
            part: Part::Callee { script, invite: key.clone() },
            phase: CallPhase::Inviting,
            dialog,
            transport: source.transport,
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
        });
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(call);
        }
        self.respond(key, 100, "Trying", None);
        self.timers.set(CALL_LIMIT, Timer::Call(call, Step::Limit));
        if let Some(after) = script.ring_after {
            self.timers.set(after, Timer::Call(call, Step::Ring));
        }
        match script.outcome {
            Outcome::Answer { after } | Outcome::Reject { after, .. } => {
                self.timers.set(after, Timer::Call(call, Step::Decide));
            }
            Outcome::Ring => {}
        }
    }

    /// The same request by another way, while the first is still open.
    fn is_merged(&self, key: &ServerKey, request: &Message) -> bool {
        self.servers.iter().any(|(other, server)| {
            other != key
                && server.phase == ServerPhase::Open
                && server.request.method() == Some("INVITE")
                && server.request.call_id() == request.call_id()
                && server.request.value("CSeq") == request.value("CSeq")
                && server.request.tag("From") == request.tag("From")
        })
    }

    fn callee(&self, key: u64) -> Option<(Script, ServerKey, String, String)> {
        let call = self.calls.get(&key)?;
        let Part::Callee { script, invite } = &call.part else {
            return None;
        };
        Some((*script, invite.clone(), call.local_tag.clone(), call.contact.clone()))
    }

    /// 180, or 183 with SDP.
    pub fn ring(&mut self, key: u64) {
        let Some((script, invite, tag, contact)) = self.callee(key) else {
            return;
        };
        let code = if script.early_media { 183 } else { 180 };
        let reason = if script.early_media { "Session Progress" } else { "Ringing" };
        let sdp = script.early_media.then(|| self.session(key, "sendrecv"));
        self.respond_with(&invite, code, reason, Some(&tag), |answer| {
            answer.push("Contact", format!("<{contact}>"));
            if let Some(sdp) = sdp {
                answer.push("Content-Type", "application/sdp");
                answer.body = sdp;
            }
        });
        if let Some(call) = self.calls.get_mut(&key) {
            call.record.provisional.push(code);
        }
        self.publish(key);
    }

    /// Answers or refuses, as the script says.
    pub fn decide(&mut self, key: u64) {
        let Some((script, invite, tag, _)) = self.callee(key) else {
            return;
        };
        match script.outcome {
            Outcome::Ring => {}
            Outcome::Answer { .. } => {
                self.answer_invite(key, &invite);
                if let Some(call) = self.calls.get_mut(&key) {
                    call.record.code = Some(200);
                    call.phase = CallPhase::Answered;
                }
                self.publish(key);
            }
            Outcome::Reject { code, .. } => self.refuse(key, &invite, code, reason_phrase(code), &tag),
        }
    }

    fn refuse(&mut self, key: u64, invite: &ServerKey, code: u16, reason: &str, tag: &str) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.record.code = Some(code);
            call.phase = CallPhase::Refused;
        }
        self.respond(invite, code, reason, Some(tag));
        self.publish(key);
    }

    /// CANCEL came in time: 487 (RFC 3261 section 9.2).
    pub fn take_back(&mut self, key: u64, invite: &ServerKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.record.ending = Some(Ending::Cancelled);
        let tag = call.local_tag.clone();
        self.refuse(key, invite, 487, "Request Terminated", &tag);
    }

    /// 200 with SDP to an INVITE of the call, repeated until its ACK comes (RFC 3261 section 13.3.1.4).
    pub fn answer_invite(&mut self, key: u64, invite: &ServerKey) {
        let Some((tag, contact)) = self.calls.get(&key).map(|c| (c.local_tag.clone(), c.contact.clone())) else {
            return;
        };
        let Some((offer, source, cseq)) = self.servers.get(invite).map(|server| {
            (server.request.body.clone(), server.source.clone(), server.request.cseq().map_or(0, |(number, _)| number))
        }) else {
            return;
        };
        let sdp = self.session(key, answer_direction(&offer));
        let mut sent = None;
        self.respond_with(invite, 200, "OK", Some(&tag), |answer| {
            answer.push("Contact", format!("<{contact}>"));
            answer.push("Content-Type", "application/sdp");
            answer.body = sdp;
            sent = Some(answer.clone());
        });
        let Some(message) = sent else { return };
        let bytes = message.to_bytes(self.settings.persona.style());
        if let Some(call) = self.calls.get_mut(&key) {
            call.answer = Some(Answer { cseq, source, message, bytes, interval: T1, total: Duration::ZERO });
        }
        self.timers.set(T1, Timer::Call(key, Step::RepeatAnswer(cseq)));
    }

    /// No ACK yet.
    pub fn repeat_answer(&mut self, key: u64, cseq: u32) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(answer) = call.answer.as_mut().filter(|answer| answer.cseq == cseq) else {
            return;
        };
        answer.total += answer.interval;
        answer.interval = (answer.interval * 2).min(T2);
        let answer = answer.clone();
        if answer.total >= GIVE_UP {
            call.answer = None;
            self.complain_about(
                &answer.message,
                vec!["a 2xx was never acknowledged (RFC 3261 section 13.3.1.4)".into()],
            );
            return self.fail_call(key, "the 2xx was never acknowledged");
        }
        self.send_answer_bytes(&answer.source, &answer.message, answer.bytes);
        self.timers.set(answer.interval, Timer::Call(key, Step::RepeatAnswer(cseq)));
    }

    /// The session description of this side, one version further.
    pub fn session(&mut self, key: u64, direction: &str) -> Vec<u8> {
        let Some(call) = self.calls.get_mut(&key) else {
            return Vec::new();
        };
        let version = call.sdp_version;
        call.sdp_version += 1;
        let transport = call.transport;
        self.settings.persona.sdp(self.local(transport), version, direction)
    }
}

/// The usual words of a refusal.
fn reason_phrase(code: u16) -> &'static str {
    match code {
        403 => "Forbidden",
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Refused",
    }
}
