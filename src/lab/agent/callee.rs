//! The called side (RFC 3261 section 13.3).

use std::time::Duration;

use super::calls::{Answer, Call, CallPhase, Part};
use super::core::Core;
use super::dialog::Dialog;
use super::persona::{Persona, answer_direction};
use super::plan::{Outcome, Ring, Script};
use super::servers::{ServerKey, ServerPhase};
use super::strict::contact_host;
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
        let number = request.uri().and_then(Uri::parse).map(|uri| called(&uri)).unwrap_or_default();
        let script = self.settings.scripts.script(&number);
        let local_tag = self.ids.hex(16);
        let contact = self.contact(request.call_id(), source.transport);
        let dialog = Dialog::of_callee(&request, &local_tag);
        let faults = dialog.as_ref().map(Dialog::route_faults).unwrap_or_default();
        self.complain_about(&request, faults);
        let mut record = CallRecord::new(Role::Callee, &number, request.call_id());
        record.record_routes = self.recorded_routes(&request);
        record.referred = self.servers.get(key).is_some_and(|server| server.referred);
        record.remote_tag = request.tag("From");
        let part = Part::Callee { script: script.clone(), invite: key.clone() };
        let mut call = Call::new(record, part, source.transport, local_tag.clone(), contact.clone());
        call.dialog = dialog;
        call.site = contact_host(&request);
        call.note_allow(&request);
        call.forks.insert(0, (local_tag, contact));
        let call = self.add_call(call);
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(call);
        }
        self.timers.set(CALL_LIMIT, Timer::Call(call, Step::Limit));
        self.follow(key, call, &script);
    }

    /// Begins what the script says.
    fn follow(&mut self, key: &ServerKey, call: u64, script: &Script) {
        if script.outcome == Outcome::Silence {
            return;
        }
        self.respond(key, 100, "Trying", None);
        if !script.rings.is_empty() {
            for (at, ring) in script.rings.iter().enumerate() {
                self.timers.set(ring.after, Timer::Call(call, Step::RingOf(at)));
            }
        } else if let Some(after) = script.ring_after {
            self.timers.set(after, Timer::Call(call, Step::Ring));
        }
        if let Outcome::Answer { after } | Outcome::Reject { after, .. } = script.outcome {
            self.timers.set(after, Timer::Call(call, Step::Decide));
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

    fn callee(&self, key: u64) -> Option<(Script, ServerKey)> {
        match &self.calls.get(&key)?.part {
            Part::Callee { script, invite } => Some((script.clone(), invite.clone())),
            Part::Caller { .. } => None,
        }
    }

    /// Tag and Contact of a fork; one that nobody has heard of gets new ones.
    fn fork(&mut self, key: u64, number: u8) -> Option<(String, String)> {
        let call = self.calls.get(&key)?;
        if let Some(known) = call.forks.get(&number) {
            return Some(known.clone());
        }
        let (call_id, transport) = (call.record.call_id.clone(), call.transport);
        let fork = (self.ids.hex(16), self.contact(&call_id, transport));
        self.calls.get_mut(&key)?.forks.insert(number, fork.clone());
        Some(fork)
    }

    /// 180, or 183 with SDP.
    pub fn ring(&mut self, key: u64) {
        let Some((script, _)) = self.callee(key) else {
            return;
        };
        let code = if script.early_media { 183 } else { 180 };
        self.ring_as(key, Ring { after: Duration::ZERO, code, media: script.early_media, fork: 0 });
    }

    /// One of several provisional answers.
    pub fn ring_as_scripted(&mut self, key: u64, at: usize) {
        if let Some(ring) = self.callee(key).and_then(|(script, _)| script.rings.get(at).copied()) {
            self.ring_as(key, ring);
        }
    }

    fn ring_as(&mut self, key: u64, ring: Ring) {
        let (Some((_, invite)), Some((tag, contact))) = (self.callee(key), self.fork(key, ring.fork)) else {
            return;
        };
        let code = ring.code;
        let sdp = ring.media.then(|| self.session(key, "sendrecv"));
        self.respond_with(&invite, code, reason_phrase(code), Some(&tag), |answer| {
            answer.push("Contact", format!("<{contact}>"));
            if let Some(sdp) = sdp {
                answer.push("Content-Type", "application/sdp");
                answer.body = sdp;
            }
        });
        if let Some(call) = self.calls.get_mut(&key) {
            call.record.provisional.push(code);
            if !call.record.early_tags.contains(&tag) {
                call.record.early_tags.push(tag);
            }
        }
        self.publish(key);
    }

    /// Answers or refuses, as the script says.
    pub fn decide(&mut self, key: u64) {
        let Some((script, invite)) = self.callee(key) else {
            return;
        };
        let Some((tag, contact)) = self.fork(key, script.answer_fork) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.take_fork(&tag, contact);
        }
        match script.outcome {
            Outcome::Ring | Outcome::Silence => {}
            Outcome::Answer { .. } => {
                self.answer_invite(key, &invite);
                if let Some(call) = self.calls.get_mut(&key) {
                    call.record.code = Some(200);
                    call.phase = CallPhase::Answered;
                }
                self.publish(key);
            }
            Outcome::Reject { code, .. } => {
                let later = script.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Retry-After"));
                if code == 503 && later {
                    let connection = self.servers.get(&invite).map_or(0, |server| server.source.connection);
                    self.retire(connection);
                }
                self.refuse(key, &invite, code, &tag, script.headers);
            }
        }
    }

    fn refuse(&mut self, key: u64, invite: &ServerKey, code: u16, tag: &str, headers: Vec<(String, String)>) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.record.code = Some(code);
            call.phase = CallPhase::Refused;
        }
        self.respond_with(invite, code, reason_phrase(code), Some(tag), |answer| add_lines(answer, headers));
        self.publish(key);
    }

    /// CANCEL came in time: 487 (RFC 3261 section 9.2).
    pub fn take_back(&mut self, key: u64, invite: &ServerKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.record.ending = Some(Ending::Cancelled);
        let tag = call.local_tag.clone();
        self.refuse(key, invite, 487, &tag, Vec::new());
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
        // In mid-call Teams answers an INVITE without an offer as on hold (section A7).
        let on_hold = offer.is_empty() && self.is_judging();
        let sdp = self.session(key, if on_hold { "inactive" } else { answer_direction(&offer) });
        let first = self.calls.get(&key).is_some_and(|call| call.phase == CallPhase::Inviting);
        let script = self.callee(key).map(|(script, _)| script).filter(|_| first);
        let mut sent = None;
        self.respond_with(invite, 200, "OK", Some(&tag), |answer| {
            answer.push("Contact", format!("<{contact}>"));
            if let Some(script) = script {
                if let Some(expires) = script.session_expires {
                    answer.push("Supported", "timer");
                    answer.push("Session-Expires", format!("{expires};refresher=uas"));
                }
                add_lines(answer, script.headers);
            }
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
        let sdp = self.settings.persona.sdp(self.local(transport), version, direction);
        if let Some(call) = self.calls.get_mut(&key) {
            call.last_sdp.clone_from(&sdp);
        }
        sdp
    }
}

impl Call {
    /// The fork that answers is the one whose dialog the call goes on in.
    fn take_fork(&mut self, tag: &str, contact: String) {
        if let Some(dialog) = &mut self.dialog {
            dialog.answer_as(tag);
        }
        self.record.local_tag = tag.to_owned();
        self.local_tag = tag.to_owned();
        self.contact = contact;
    }
}

/// What the script gives numbers and users by: the number, or the user of Teams without one.
fn called(uri: &Uri) -> String {
    match (uri.number(), uri.parameter("x-m")) {
        ("", Some(user)) => user.to_owned(),
        (number, _) => number.to_owned(),
    }
}

fn add_lines(message: &mut Message, lines: Vec<(String, String)>) {
    for (name, value) in lines {
        message.push(&name, value);
    }
}

/// The usual words of a refusal.
fn reason_phrase(code: u16) -> &'static str {
    match code {
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        183 => "Session Progress",
        403 => "Forbidden",
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Refused",
    }
}
