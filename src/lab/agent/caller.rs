//! The calling side (RFC 3261 sections 9.1 and 13.2).

use std::time::Duration;

use tokio::sync::oneshot;

use super::Dialling;
use super::calls::{Call, CallPhase, Part};
use super::clients::{ClientPhase, Purpose};
use super::core::Core;
use super::dialog::Dialog;
use super::persona::Persona;
use super::plan::{CallPlan, MIN_SE, Replaced, SESSION_EXPIRES};
use super::timers::{Step, Timer};
use crate::lab::journal::{CallRecord, Ending, Role};
use crate::lab::message::{Address, Message, Uri};
use crate::lab::wire::Transport;

/// Most forks of one call that a record names.
const FORK_LIMIT: usize = 100;
/// Content-ID of the place of a caller.
const LOCATION_ID: &str = "place@contoso.example";
/// What stands between the parts of a multipart body.
const BOUNDARY: &str = "trunkway-lab-part";

impl Core {
    /// Sends the INVITE of a new call.
    pub fn place_call(&mut self, plan: CallPlan, reply: oneshot::Sender<CallRecord>) {
        let persona = self.settings.persona;
        let transport = plan.to.endpoint.transport;
        let local = self.local(transport);
        let (tag, call_id) = (self.ids.hex(32), persona.call_id(local, &mut self.ids));
        let contact = self.contact(&call_id, transport);
        let uri = persona.request_uri(&plan.number, &plan.host, transport) + &plan.uri_parameters;
        let mut invite = Message::request("INVITE", &uri);
        if let Some(own) = self.own_record_route() {
            invite.push("Record-Route", own);
        }
        invite.push(
            "From",
            match plan.anonymous {
                true => format!("\"Anonymous\"<sip:anonymous@anonymous.invalid>;tag={tag}"),
                false => persona.from(&plan.from, local, &tag),
            },
        );
        invite.push("To", format!("<sip:{}@{};user=phone>", plan.number, plan.host));
        invite.push("Call-ID", call_id.clone());
        invite.push("CSeq", "1 INVITE");
        invite.push("Max-Forwards", "70");
        invite.push("Contact", format!("<{contact}>"));
        if persona == Persona::Teams {
            invite.push("Min-SE", MIN_SE.to_string());
            invite.push("Supported", "timer");
            invite.push("Session-Expires", SESSION_EXPIRES.to_string());
        }
        add_extras(&mut invite, &plan);
        persona.sign(&mut invite);
        let sdp = persona.sdp(local, 1, "sendrecv");
        set_body(&mut invite, &sdp, plan.location.as_deref());
        let (to, limit, cancel_after) = (plan.to.clone(), plan.limit, plan.cancel_after);
        let failover = plan.failover_after;
        let record = CallRecord::new(Role::Caller, &plan.number, &call_id);
        let site = Uri::parse(&uri).map(|uri| uri.host);
        let mut call = Call::new(record, Part::Caller { plan, branch: String::new() }, transport, tag, contact);
        call.reply = Some(reply);
        call.site = site;
        call.last_sdp = sdp;
        let key = self.add_call(call);
        let sent = self.start_client(invite, to, Purpose::Invite, Some(key));
        if let Some(Call { part: Part::Caller { branch, .. }, .. }) = self.calls.get_mut(&key) {
            *branch = sent;
        }
        self.timers.set(limit, Timer::Call(key, Step::Limit));
        if self.is_judging() && failover < limit {
            self.timers.set(failover, Timer::Call(key, Step::Failover));
        }
        if let Some(after) = cancel_after {
            self.timers.set(after, Timer::Call(key, Step::Cancel));
        }
    }

    /// CANCEL, at once or as soon as a provisional answer allows it (RFC 3261 section 9.1).
    pub fn want_cancel(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Part::Caller { branch, .. } = &call.part else {
            return;
        };
        let branch = branch.clone();
        call.cancel_wanted = true;
        let ready = self.clients.get(&branch).is_some_and(|client| client.phase == ClientPhase::Proceeding);
        if ready && !call.cancel_sent {
            call.cancel_sent = true;
            self.start_cancel(&branch, key);
        }
    }

    /// An answer to the INVITE of a call.
    pub fn handle_invite_answer(&mut self, key: u64, branch: &str, response: &Message) {
        let code = response.code().unwrap_or_default();
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.note_allow(response);
        if code < 200 {
            if code > 100 {
                call.record.provisional.push(code);
                let tag = response.tag("To").unwrap_or_default();
                if !call.record.early_tags.contains(&tag) && call.record.early_tags.len() < FORK_LIMIT {
                    call.record.early_tags.push(tag);
                }
            }
            let wanted = call.cancel_wanted;
            self.publish(key);
            if wanted {
                self.want_cancel(key);
            }
        } else if code < 300 {
            self.establish(key, branch, response);
        } else {
            call.record.code = Some(code);
            call.record.acknowledged = true;
            call.record.ending = Some(if call.cancel_sent { Ending::Cancelled } else { Ending::Refused });
            call.phase = CallPhase::Refused;
            self.finish_caller_refusal(key);
        }
    }

    /// The end of a refused call, once CANCEL is answered too.
    fn finish_caller_refusal(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        match (call.cancel_sent, call.cancel_code) {
            (true, None) => {}
            (true, Some(code)) if code != 200 => call.record.error = Some(format!("CANCEL was answered {code}")),
            _ => call.record.finished = true,
        }
        self.publish(key);
    }

    /// The final answer to our CANCEL.
    pub fn handle_cancel_answer(&mut self, key: u64, code: u16) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.cancel_code = Some(code);
        if call.phase == CallPhase::Refused {
            self.finish_caller_refusal(key);
        }
    }

    fn establish(&mut self, key: u64, branch: &str, response: &Message) {
        let own = self.own_record_route();
        let Some(client) = self.clients.get(branch) else {
            return;
        };
        let dialog = Dialog::of_caller(&client.request, response, own.as_deref());
        let cseq = client.request.cseq().map_or(1, |(number, _)| number);
        let Some(dialog) = dialog else {
            return self.fail_call(key, "the 2xx makes no dialog: To tag or Contact is missing");
        };
        self.judge_dialog(&dialog, response, own.as_deref());
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.record.code = response.code();
        call.record.record_routes = response.list("Record-Route");
        call.record.remote_tag = Some(dialog.remote_tag.clone());
        call.dialog = Some(dialog);
        call.phase = CallPhase::Established;
        let Part::Caller { plan, .. } = &call.part else {
            return;
        };
        let (hold, hang_up, refresh) = (plan.hold_after, plan.hang_up_after, plan.refresh_after);
        let refer = plan.refer.as_ref().map(|refer| refer.after);
        // A call that was answered in spite of CANCEL has to be ended (RFC 3261 section 9.1).
        let hang_up = if call.cancel_sent { Some(Duration::ZERO) } else { hang_up };
        self.acknowledge(key, cseq);
        for (after, step) in
            [(hold, Step::Hold), (hang_up, Step::HangUp), (refresh, Step::Refresh), (refer, Step::Refer)]
        {
            if let Some(after) = after {
                self.timers.set(after, Timer::Call(key, step));
            }
        }
        self.publish(key);
    }

    /// What a caller finds wrong with the routes that came back.
    fn judge_dialog(&mut self, dialog: &Dialog, response: &Message, own: Option<&str>) {
        let mut faults = dialog.route_faults();
        if let Some(own) = own {
            let recorded = response.list("Record-Route");
            if recorded.last().map(String::as_str) != Some(own) {
                faults.push(format!(
                    "Record-Route {own} of the INVITE is not at the end of those in the 2xx (RFC 3261 section 12.1.1)"
                ));
            }
        }
        if self.settings.persona == Persona::Teams {
            // What is next to Microsoft: the last route that was recorded, or Contact.
            let shown = dialog.routes.first().cloned().unwrap_or_else(|| format!("<{}>", dialog.target));
            let literal =
                Address::parse(&shown).and_then(|address| Uri::parse(&address.uri)).is_none_or(|uri| uri.is_literal());
            if literal {
                faults.push(format!(
                    "{shown} in an answer to Microsoft is no FQDN: later requests would not find the edge"
                ));
            }
        }
        self.complain_about(response, faults);
    }

    /// ACK of a 2xx: a request of the dialog with a branch of its own (RFC 3261 section 13.2.2.4).
    pub fn acknowledge(&mut self, key: u64, cseq: u32) {
        let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.clone()) else {
            return;
        };
        let (mut ack, hop) = dialog.request_with("ACK", cseq);
        let to = match self.resolve(&hop) {
            Ok(to) => to,
            Err(reason) => {
                self.complain_about(&ack, vec![format!("cannot follow the route: {reason}")]);
                return self.fail_call(key, &format!("ACK: {reason}"));
            }
        };
        self.add_via(&mut ack, to.endpoint.transport);
        if let Some(call) = self.calls.get_mut(&key) {
            call.record.acknowledged = true;
            call.ack = Some((cseq, to, ack));
        }
        self.send_ack(key);
    }

    fn send_ack(&mut self, key: u64) {
        let Some((_, to, ack)) = self.calls.get(&key).and_then(|call| call.ack.clone()) else {
            return;
        };
        self.ladder.record(&self.settings.name, &self.settings.far, ack.call_id(), ack.summary());
        let bytes = ack.to_bytes(self.settings.persona.style());
        let apart = self.settings.dialling == Dialling::PerRequest && to.endpoint.transport != Transport::Udp;
        let other = apart.then(|| self.other_address()).flatten();
        let copy = bytes.clone();
        let sent = if apart { self.wire.dial_apart(&to, other, bytes) } else { self.wire.send(&to, bytes) };
        self.journal.capture(true, to.endpoint.addr, *sent.as_ref().unwrap_or(&0), &copy);
        if let Err(error) = sent {
            self.fail_call(key, &format!("ACK: {error}"));
        }
    }

    /// A 2xx came once more: its ACK was lost, or another fork answered too.
    pub fn handle_repeated_answer(&mut self, key: u64, response: &Message) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Some(dialog) = &call.dialog else { return };
        if response.tag("To").as_deref() != Some(&dialog.remote_tag) {
            return self.complain_about(
                response,
                vec![
                    "a second fork answered with 2xx after the first (RFC 3261 section 16.7 item 10 asks for CANCEL)"
                        .into(),
                ],
            );
        }
        let acked = call.ack.as_ref().map(|(cseq, _, _)| *cseq);
        if response.cseq().map(|(number, _)| number) == acked {
            self.send_ack(key);
        }
    }
}

/// What a plan adds to the headers of its INVITE.
fn add_extras(invite: &mut Message, plan: &CallPlan) {
    for (name, value) in &plan.headers {
        invite.push(name, value.clone());
    }
    if let Some(replaced) = &plan.replaces {
        let Replaced { call_id, to_tag, from_tag } = replaced;
        invite.push("Replaces", format!("{call_id};to-tag={to_tag};from-tag={from_tag}"));
    }
}

/// The SDP alone, or with the caller's place beside it (RFC 6442 section 4.1, RFC 2046 section 5.1).
fn set_body(invite: &mut Message, sdp: &[u8], location: Option<&str>) {
    let Some(location) = location else {
        invite.push("Content-Type", "application/sdp");
        invite.body = sdp.to_vec();
        return;
    };
    invite.push("Geolocation", format!("<cid:{LOCATION_ID}>"));
    invite.push("Geolocation-Routing", "yes");
    invite.push("Content-Type", format!("multipart/mixed;boundary={BOUNDARY}"));
    let mut body = format!("--{BOUNDARY}\r\nContent-Type: application/sdp\r\n\r\n").into_bytes();
    body.extend_from_slice(sdp);
    let rest = format!(
        "\r\n--{BOUNDARY}\r\nContent-Type: application/pidf+xml\r\nContent-ID: <{LOCATION_ID}>\r\n\r\n{location}\r\n--{BOUNDARY}--\r\n"
    );
    body.extend_from_slice(rest.as_bytes());
    invite.body = body;
}
