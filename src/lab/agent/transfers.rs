//! Transfers that Teams begins (section A10, RFC 3515): REFER, its NOTIFYs, and the INVITE that comes of it.

use std::time::Duration;

use super::calls::Part;
use super::clients::Purpose;
use super::core::Core;
use super::persona::{Ids, TEAMS_HOST};
use super::plan::{Refer, ReferTarget};
use super::servers::ServerKey;
use super::timers::{Step, Timer};
use crate::lab::direct_routing::{Fault, Rule};
use crate::lab::journal::TransferRecord;
use crate::lab::message::{Address, Message, Uri};

/// Length of Refer-To and Referred-By: as long as was ever seen.
const LENGTH: usize = 400;
/// How long REFER waits for a re-INVITE that is not answered yet.
const PATIENCE: Duration = Duration::from_millis(100);
/// Most INVITEs that are waited for.
const REFERRAL_LIMIT: usize = 100;

/// What an INVITE must bring that a REFER asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    uri: String,
    referred_by: String,
}

/// A REFER of a call.
#[derive(Clone, Debug)]
pub struct Transfer {
    cseq: u32,
    /// A 2xx came, and no final NOTIFY yet.
    pub running: bool,
    within: Duration,
}

impl Core {
    /// Sends the REFER that was planned, if the other side's Allow has it.
    pub fn begin_transfer(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let planned = match &call.part {
            Part::Callee { script, .. } => script.refer.clone(),
            Part::Caller { plan, .. } => plan.refer.clone(),
        };
        let Some(refer) = planned else { return };
        if call.changing {
            return self.timers.set(PATIENCE, Timer::Call(key, Step::Refer));
        }
        let withheld = !call.peer_allows("REFER");
        let (refer_to, referred_by) = values(&refer, &mut self.ids);
        call.record.transfer = Some(TransferRecord {
            refer_to: refer_to.clone(),
            referred_by: referred_by.clone(),
            withheld,
            ..TransferRecord::default()
        });
        if !withheld {
            self.send_refer(key, &refer, refer_to, referred_by);
        }
        self.publish(key);
    }

    fn send_refer(&mut self, key: u64, refer: &Refer, refer_to: String, referred_by: String) {
        let uri = refer_to.trim_matches(['<', '>']).to_owned();
        if self.referrals.len() >= REFERRAL_LIMIT {
            self.referrals.pop_front();
        }
        self.referrals.push_back(Referral { uri, referred_by: referred_by.clone() });
        let sent = self.send_in_dialog(key, "REFER", Purpose::Refer, |request| {
            request.push("Refer-To", refer_to);
            request.push("Referred-By", referred_by);
        });
        let Some(call) = self.calls.get_mut(&key).filter(|_| sent.is_some()) else {
            return;
        };
        let cseq = call.dialog.as_ref().map_or(0, |dialog| dialog.local_cseq);
        call.transfer = Some(Transfer { cseq, running: false, within: refer.notify_within });
    }

    /// The final answer to our REFER.
    pub fn handle_refer_answer(&mut self, key: u64, response: &Message) {
        let code = response.code().unwrap_or_default();
        let accepted = (200..300).contains(&code);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let record = call.record.transfer.get_or_insert_default();
        record.code = Some(code);
        let uri = record.refer_to.trim_matches(['<', '>']).to_owned();
        if !accepted {
            self.referrals.retain(|referral| referral.uri != uri);
        } else if let Some(transfer) = &mut call.transfer {
            // NOTIFY may overtake the 202, and a short transfer may be over by then.
            transfer.running = record.notified.last().is_none_or(|code| *code < 200);
            self.timers.set(transfer.within, Timer::Call(key, Step::NotifyDue));
        }
        if accepted && code != 202 && self.is_judging() {
            self.complain_of(response, vec![Fault::new(Rule::ReferAnswer, format!("REFER was answered {code}"))]);
        }
        self.publish(key);
    }

    /// NOTIFY inside a call.
    pub fn handle_notify(&mut self, key: u64, server: &ServerKey, request: &Message) {
        self.respond(server, 200, "OK", None);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let mut faults = notify_faults(request);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let code = body.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        match (&mut call.transfer, &mut call.record.transfer) {
            (Some(transfer), Some(record)) => {
                let id = event_id(request);
                if id.as_ref().is_some_and(|id| *id != transfer.cseq.to_string()) {
                    faults.push(format!(
                        "Event has id {} of a REFER with CSeq {}",
                        id.unwrap_or_default(),
                        transfer.cseq
                    ));
                }
                if record.notified.last().is_some_and(|last| *last >= 200) {
                    faults.push("NOTIFY after the final status (RFC 3515 section 2.4.7)".into());
                }
                if record.notified.is_empty() && code != Some(100) {
                    faults.push("the first NOTIFY does not say 100".into());
                }
                record.notified.extend(code);
                transfer.running &= code.is_none_or(|code| code < 200);
            }
            _ => faults.push("NOTIFY without a REFER of ours (RFC 3515 section 2.4.4)".into()),
        }
        if self.is_judging() {
            let faults = faults.into_iter().map(|text| Fault::new(Rule::Notify, text)).collect();
            self.complain_of(request, faults);
        }
        if code.is_some_and(|code| (200..300).contains(&code)) {
            self.timers.set(Duration::ZERO, Timer::Call(key, Step::HangUp));
        }
        self.publish(key);
    }

    /// The final NOTIFY should be here.
    pub fn miss_notify(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(transfer) = call.transfer.as_mut().filter(|transfer| transfer.running) else {
            return;
        };
        transfer.running = false;
        let within = transfer.within.as_millis();
        let request = call.dialog.as_ref().map(|dialog| dialog.request_with("REFER", transfer.cseq).0);
        if let Some(request) = request.filter(|_| self.is_judging()) {
            let text = format!("no NOTIFY with a final status within {within} ms");
            self.complain_of(&request, vec![Fault::new(Rule::Notify, text)]);
        }
    }

    /// The other side hangs up: too early while a transfer runs.
    pub fn judge_bye(&self, key: u64, bye: &Message) {
        let running = self.calls.get(&key).and_then(|call| call.transfer.as_ref()).is_some_and(|t| t.running);
        if running && self.is_judging() {
            let text = "BYE while the transfer runs: Teams hangs up after the final NOTIFY";
            self.complain_of(bye, vec![Fault::new(Rule::EarlyBye, text)]);
        }
    }

    /// Whether a new INVITE is the one that a REFER asked for, to the byte; what differs is noted.
    pub fn take_referral(&mut self, invite: &Message) -> bool {
        let uri = invite.uri().unwrap_or_default();
        let referred_by = invite.value("Referred-By").unwrap_or_default();
        let marked = referred_by.contains(";x-m=") || Uri::parse(uri).is_some_and(|uri| uri.parameter("x-m").is_some());
        let near = |referral: &Referral| referral.uri == uri || referral.referred_by == referred_by;
        let exact = self.referrals.iter().position(|r| r.uri == uri && r.referred_by == referred_by);
        if let Some(at) = exact {
            self.referrals.remove(at);
            return true;
        }
        let found = self.referrals.iter().find(|referral| near(referral)).or(self.referrals.back()).cloned();
        let concerns = marked || self.referrals.iter().any(near);
        if !concerns || !self.is_judging() {
            return false;
        }
        let mut faults = Vec::new();
        match found {
            None => faults.push(Fault::new(Rule::ReferToVerbatim, "this proxy has referred nobody to that URI")),
            Some(referral) => {
                if referral.uri != uri {
                    faults.push(Fault::new(Rule::ReferToVerbatim, format!("{uri} instead of {}", referral.uri)));
                }
                if referral.referred_by != referred_by {
                    let text = format!("{referred_by:?} instead of {:?}", referral.referred_by);
                    faults.push(Fault::new(Rule::ReferredByVerbatim, text));
                }
            }
        }
        self.complain_of(invite, faults);
        false
    }
}

/// What every NOTIFY of a transfer must have (RFC 3515 section 2.4, RFC 6665 section 8.2).
fn notify_faults(request: &Message) -> Vec<String> {
    let mut faults = Vec::new();
    if request.value("Event").is_none_or(|event| event.split(';').next().map(str::trim) != Some("refer")) {
        faults.push("Event is not refer (RFC 3515 section 2.4.4)".to_owned());
    }
    if request.value("Content-Type").is_none_or(|kind| !kind.to_ascii_lowercase().starts_with("message/sipfrag")) {
        faults.push("Content-Type is not message/sipfrag (RFC 3515 section 2.4.5)".into());
    }
    let body = String::from_utf8_lossy(&request.body);
    let code = body.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let state = request.value("Subscription-State").unwrap_or_default();
    match code {
        None => faults.push("the body begins with no status line (RFC 3515 section 2.4.5)".into()),
        Some(200..) if !state.starts_with("terminated") => {
            faults.push("Subscription-State of the final NOTIFY is not terminated (RFC 3515 section 2.4.7)".into());
        }
        Some(_) if state.is_empty() => faults.push("no Subscription-State (RFC 6665 section 8.2.3)".into()),
        Some(_) => {}
    }
    faults
}

fn event_id(request: &Message) -> Option<String> {
    let event = Address::parse(&format!("<sip:event>;{}", request.value("Event")?))?;
    event.parameter("id").map(str::to_owned)
}

/// Refer-To and Referred-By as in the traces, filled up to the longest that was seen.
fn values(refer: &Refer, ids: &mut Ids) -> (String, String) {
    let tenant = ids.guid();
    let refer_to = match &refer.target {
        ReferTarget::User(id) => {
            let head = format!("<sip:{TEAMS_HOST}:5061;transport=tls;x-m=8:orgid:{id};x-t={tenant};x-i=");
            filled(head, ids, ">")
        }
        ReferTarget::Number(number) => format!("<sip:{number}@{TEAMS_HOST}:5061;user=phone;transport=tls>"),
    };
    let (referrer, token) = (ids.guid(), ids.guid());
    let head = format!("<sip:{TEAMS_HOST}:5061;x-m=8:orgid:{referrer};x-t={tenant};x-ti={token};x-tt=aHR0cHM6Ly9h");
    (refer_to, filled(head, ids, "%3D>"))
}

/// A value with opaque characters up to the length, mixed in case as base64 is.
fn filled(mut head: String, ids: &mut Ids, end: &str) -> String {
    let digits = ids.hex(LENGTH.saturating_sub(head.len() + end.len()));
    head.extend(digits.char_indices().map(|(at, digit)| if at % 3 == 0 { digit.to_ascii_uppercase() } else { digit }));
    head.push_str(end);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refer_values_are_as_long_as_any_that_was_seen_and_have_no_user() {
        let refer = Refer::new(Duration::ZERO, ReferTarget::User("11111111-2222-4333-8444-555555555555".into()));
        let (refer_to, referred_by) = values(&refer, &mut Ids::default());
        assert_eq!((refer_to.len(), referred_by.len()), (LENGTH, LENGTH));
        let uri = Uri::parse(&Address::parse(&refer_to).unwrap().uri).unwrap();
        assert_eq!((uri.user.as_deref(), uri.port), (None, Some(5061)));
        assert_eq!(uri.parameter("x-m"), Some("8:orgid:11111111-2222-4333-8444-555555555555"));
    }

    #[test]
    fn a_final_notify_ends_the_subscription() {
        let mut notify = Message::request("NOTIFY", "sip:a@b");
        notify.push("Event", "refer;id=3");
        notify.push("Subscription-State", "active;expires=60");
        notify.push("Content-Type", "message/sipfrag;version=2.0");
        notify.body = b"SIP/2.0 180 Ringing\r\n".to_vec();
        assert_eq!(notify_faults(&notify), Vec::<String>::new());
        assert_eq!(event_id(&notify).as_deref(), Some("3"));
        notify.body = b"SIP/2.0 200 OK\r\n".to_vec();
        assert_eq!(notify_faults(&notify).len(), 1);
    }
}
