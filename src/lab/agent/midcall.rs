//! Requests inside a dialog (RFC 3261 sections 12.2, 14 and 15).

use std::time::Duration;

use super::calls::{CallPhase, Part};
use super::clients::Purpose;
use super::core::Core;
use super::persona::Persona;
use super::plan::{MIN_SE, SESSION_EXPIRES};
use super::servers::ServerKey;
use super::timers::{Step, Timer};
use crate::lab::journal::{Ending, Role};
use crate::lab::message::Message;

/// How long a call stays on hold.
const HOLD_TIME: Duration = Duration::from_millis(200);
/// How long hanging up waits for a re-INVITE that is not answered yet.
const PATIENCE: Duration = Duration::from_millis(100);

impl Core {
    /// A request with a To tag.
    pub fn handle_in_dialog(&mut self, key: &ServerKey) {
        let Some(request) = self.servers.get(key).map(|server| server.request.clone()) else {
            return;
        };
        let method = request.method().unwrap_or_default().to_owned();
        let Some(call) = self.find_call(&request) else {
            self.complain_about(
                &request,
                vec!["a request inside a dialog that we do not have (RFC 3261 section 12.2.2)".into()],
            );
            return self.respond(key, 481, "Call/Transaction Does Not Exist", None);
        };
        let faults = self.delivery_faults(call, &request);
        self.complain_about(&request, faults);
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(call);
        }
        if !self.take_cseq(call, &request) {
            self.complain_about(&request, vec!["CSeq did not grow inside the dialog (RFC 3261 section 12.2.2)".into()]);
            return self.respond(key, 500, "Server Internal Error", None);
        }
        if let Some(call) = self.calls.get_mut(&call) {
            call.note_allow(&request);
        }
        match method.as_str() {
            "NOTIFY" if self.settings.persona == Persona::Teams => self.handle_notify(call, key, &request),
            "BYE" => self.handle_bye(call, key, &request),
            "INVITE" => {
                if let Some(dialog) = self.calls.get_mut(&call).and_then(|call| call.dialog.as_mut()) {
                    dialog.refresh(&request);
                }
                self.answer_invite(call, key);
            }
            "OPTIONS" | "INFO" | "NOTIFY" | "UPDATE" | "MESSAGE" => self.respond(key, 200, "OK", None),
            _ => self.respond(key, 405, "Method Not Allowed", None),
        }
    }

    /// The call whose dialog a request belongs to.
    pub fn find_call(&self, request: &Message) -> Option<u64> {
        let owns = |call: &super::calls::Call| call.dialog.as_ref().is_some_and(|dialog| dialog.owns(request));
        self.calls.iter().find(|(_, call)| owns(call)).map(|(key, _)| *key)
    }

    /// What loose routing must have done by the time a request reaches us (RFC 3261 sections 16.4 and 16.6).
    fn delivery_faults(&self, key: u64, request: &Message) -> Vec<String> {
        let Some(call) = self.calls.get(&key) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        if request.uri() != Some(&call.contact) {
            faults.push(format!(
                "Request-URI is {} instead of our Contact {} (RFC 3261 section 12.2.1.1)",
                request.uri().unwrap_or_default(),
                call.contact
            ));
        }
        let routes = request.list("Route");
        let own: Vec<String> = self.own_record_route().into_iter().collect();
        if routes != own {
            faults.push(format!(
                "Route is [{}] instead of [{}] (RFC 3261 section 16.4)",
                routes.join(", "),
                own.join(", ")
            ));
        }
        faults
    }

    fn take_cseq(&mut self, key: u64, request: &Message) -> bool {
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return true;
        };
        let Some((number, _)) = request.cseq() else {
            return true;
        };
        let grew = number > dialog.remote_cseq;
        dialog.remote_cseq = dialog.remote_cseq.max(number);
        grew
    }

    fn handle_bye(&mut self, key: u64, server: &ServerKey, bye: &Message) {
        self.respond(server, 200, "OK", None);
        self.judge_bye(key, bye);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.phase == CallPhase::Over {
            return;
        }
        let early = call.record.role == Role::Callee && !call.record.acknowledged;
        call.record.ending = Some(Ending::HungUpByPeer);
        if early {
            self.complain_about(bye, vec!["BYE before the ACK of the 2xx (RFC 3261 section 15)".into()]);
            return self.fail_call(key, "BYE came before ACK");
        }
        call.record.finished = true;
        self.publish(key);
    }

    /// An ACK that belongs to no refusal: it must be that of a 2xx.
    pub fn handle_success_ack(&mut self, ack: &Message) {
        let Some(key) = self.find_call(ack) else {
            return self.complain_about(ack, vec!["ACK for no dialog of ours (RFC 3261 section 13.2.2.4)".into()]);
        };
        let mut faults = self.delivery_faults(key, ack);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let number = ack.cseq().map(|(number, _)| number);
        let waiting = call.answer.as_ref().map(|answer| answer.cseq);
        if waiting.is_some() && waiting != number {
            faults
                .push(format!("CSeq of the ACK is {number:?}, the INVITE had {waiting:?} (RFC 3261 section 13.2.2.4)"));
        }
        let fits = waiting.is_some() && waiting == number;
        if fits {
            call.answer = None;
        }
        let first = fits && call.phase == CallPhase::Answered;
        if first {
            call.record.acknowledged = true;
            call.phase = CallPhase::Established;
            if let Part::Callee { script, .. } = &call.part {
                for (after, step) in [
                    (script.hold_after, Step::Hold),
                    (script.hang_up_after, Step::HangUp),
                    (script.refresh_after, Step::Refresh),
                    (script.refer.as_ref().map(|refer| refer.after), Step::Refer),
                ] {
                    if let Some(after) = after {
                        self.timers.set(after, Timer::Call(key, step));
                    }
                }
            }
        } else if fits {
            call.record.changes_seen += 1;
        }
        self.complain_about(ack, faults);
        self.publish(key);
    }

    /// Sends a request of the dialog; `None` when its route leads nowhere.
    pub fn send_in_dialog(
        &mut self,
        key: u64,
        method: &str,
        purpose: Purpose,
        fill: impl FnOnce(&mut Message),
    ) -> Option<()> {
        let call = self.calls.get_mut(&key)?;
        let (mut request, hop) = call.dialog.as_mut()?.request(method);
        if ["INVITE", "REFER"].contains(&method) {
            request.push("Contact", format!("<{}>", call.contact));
        }
        self.settings.persona.sign(&mut request);
        fill(&mut request);
        match self.resolve(&hop) {
            Ok(to) => {
                self.start_client(request, to, purpose, Some(key));
                Some(())
            }
            Err(reason) => {
                self.complain_about(&request, vec![format!("cannot follow the route: {reason}")]);
                self.fail_call(key, &format!("{method}: {reason}"));
                None
            }
        }
    }

    /// BYE (RFC 3261 section 15.1.1).
    pub fn hang_up(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.changing {
            return self.timers.set(PATIENCE, Timer::Call(key, Step::HangUp));
        }
        call.phase = CallPhase::Ending;
        self.send_in_dialog(key, "BYE", Purpose::Bye, |_| {});
    }

    /// The final answer to our BYE.
    pub fn handle_bye_answer(&mut self, key: u64, code: u16) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.phase == CallPhase::Over {
            return;
        }
        call.record.bye_code = Some(code);
        if (200..300).contains(&code) {
            call.record.ending = Some(Ending::HungUp);
            call.record.finished = true;
        } else {
            call.record.error = Some(format!("BYE was answered {code}"));
        }
        self.publish(key);
    }

    /// Re-INVITE: on hold, or back again.
    pub fn change(&mut self, key: u64, hold: bool) {
        if self.calls.get(&key).is_some_and(|call| call.changing) {
            // One at a time (RFC 3261 section 14.1).
            let step = if hold { Step::Hold } else { Step::Resume };
            return self.timers.set(PATIENCE, Timer::Call(key, step));
        }
        let persona = self.settings.persona;
        let sdp = self.session(key, if hold { persona.hold() } else { "sendrecv" });
        let own = self.own_record_route();
        let sent = self.send_in_dialog(key, "INVITE", Purpose::Change, |invite| {
            // As Microsoft's proxy does in mid-call too.
            if let Some(own) = own {
                invite.push("Record-Route", own);
            }
            invite.push("Content-Type", "application/sdp");
            invite.body = sdp;
        });
        if let Some(call) = self.calls.get_mut(&key).filter(|_| sent.is_some()) {
            call.changing = true;
            if hold {
                self.timers.set(HOLD_TIME, Timer::Call(key, Step::Resume));
            }
        }
    }

    /// Re-INVITE with the session description that the other side has already, as a refresh (RFC 4028 section 7.4).
    pub fn refresh(&mut self, key: u64) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if call.changing {
            return self.timers.set(PATIENCE, Timer::Call(key, Step::Refresh));
        }
        let sdp = call.last_sdp.clone();
        let own = self.own_record_route();
        let sent = self.send_in_dialog(key, "INVITE", Purpose::Refresh, |invite| {
            if let Some(own) = own {
                invite.push("Record-Route", own);
            }
            invite.push("Min-SE", MIN_SE.to_string());
            invite.push("Supported", "timer");
            invite.push("Session-Expires", format!("{SESSION_EXPIRES};refresher=uac"));
            invite.push("Content-Type", "application/sdp");
            invite.body = sdp;
        });
        if let Some(call) = self.calls.get_mut(&key).filter(|_| sent.is_some()) {
            call.changing = true;
        }
    }

    /// An answer to our re-INVITE.
    pub fn handle_change_answer(&mut self, key: u64, branch: &str, response: &Message) {
        let code = response.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        let client = self.clients.get(branch);
        let cseq = client.and_then(|client| client.request.cseq()).map_or(0, |(number, _)| number);
        let refresh = client.is_some_and(|client| client.is_refresh());
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.changing = false;
        if code >= 300 {
            return self.fail_call(key, &format!("re-INVITE was answered {code}"));
        }
        if let Some(dialog) = &mut call.dialog {
            dialog.refresh(response);
        }
        call.note_allow(response);
        let next = match &call.part {
            Part::Callee { script, .. } => script.refresh_after,
            Part::Caller { plan, .. } => plan.refresh_after,
        };
        match refresh {
            true => call.record.refreshes_made += 1,
            false => call.record.changes_made += 1,
        }
        if let Some(after) = next.filter(|_| refresh) {
            self.timers.set(after, Timer::Call(key, Step::Refresh));
        }
        self.acknowledge(key, cseq);
        self.publish(key);
    }
}
