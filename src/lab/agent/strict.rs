//! The judging profiles of the stand-in for Teams: its rules applied to what comes, and its refusals.

use super::calls::Call;
use super::core::Core;
use super::persona::{Persona, TEAMS_HOST};
use super::servers::ServerKey;
use crate::lab::direct_routing::{Fault, Place, Refusal, Rule, judge_request, judge_response};
use crate::lab::journal::Complaint;
use crate::lab::message::{Address, Message, Uri};
use crate::lab::wire::Source;

/// Most connections that are remembered as to be dropped by the peer.
const RETIRED_LIMIT: usize = 1_000;

impl Core {
    /// Whether Microsoft's rules are applied.
    pub const fn is_judging(&self) -> bool {
        matches!(self.settings.persona, Persona::Teams) && self.settings.profile.judges()
    }

    /// Notes rules that a message broke.
    pub fn complain_of(&self, message: &Message, faults: Vec<Fault>) {
        for fault in faults {
            self.journal.complain(Complaint {
                by: self.settings.name.clone(),
                call_id: message.call_id().to_owned(),
                about: message.summary(),
                rule: Some(fault.rule.name()),
                text: fault.to_string(),
            });
        }
    }

    /// Judges a request; what Teams answers it with, if it does not take it, comes back.
    pub fn judge(&mut self, request: &Message, source: &Source, referred: bool) -> Option<Refusal> {
        if !self.is_judging() {
            return None;
        }
        let call = self.find_call(request);
        let site = call.and_then(|call| self.calls.get(&call)?.site.clone());
        let place = match request.tag("To") {
            Some(_) => Place::Dialog { site: site.as_deref() },
            // CANCEL repeats what its INVITE was judged by.
            None if request.method() == Some("CANCEL") => Place::Dialog { site: None },
            None => Place::New { referred },
        };
        let mut verdict = judge_request(request, source, &self.settings.tenants, place);
        if request.method() != Some("ACK") && self.retired.contains(&source.connection) {
            verdict.faults.push(Fault::new(
                Rule::ConnectionAfter503,
                "the connection was told to go elsewhere by 503 with Retry-After",
            ));
        }
        self.complain_of(request, verdict.faults);
        verdict.refusal
    }

    /// Answers as Teams does what it does not take.
    pub fn refuse_by_rule(&mut self, key: &ServerKey, refusal: &Refusal) {
        let guid = self.ids.guid();
        let (code, sub_code, text) = (refusal.code, refusal.sub_code, refusal.text.clone());
        let reason = format!("Q.850;cause={};text=\"{guid};{text}\"", refusal.cause);
        self.respond_with(key, code, refusal.reason, None, |answer| {
            answer.push("Reason", reason);
            if let Some(sub_code) = sub_code {
                answer.push("Warning", format!("399 {TEAMS_HOST} \"{sub_code} {text}\""));
            }
            if code == 420 {
                answer.push("Unsupported", "100rel");
            }
        });
    }

    /// Judges an answer to a request of this side.
    pub fn judge_answer(&self, response: &Message, request: &Message, source: &Source, call: Option<u64>) {
        if !self.is_judging() {
            return;
        }
        let call = call.and_then(|call| self.calls.get(&call));
        let dialled = || Uri::parse(request.uri()?).map(|uri| uri.host);
        let site = call.and_then(|call| call.site.clone()).or_else(dialled);
        let mut faults = judge_response(response, request, source, site.as_deref());
        faults.extend(call.and_then(|call| truth_fault(call, response, request)));
        self.complain_of(response, faults);
    }

    /// A connection that the peer is to drop (section A8).
    pub fn retire(&mut self, connection: u64) {
        if connection != 0 && self.retired.len() < RETIRED_LIMIT {
            self.retired.insert(connection);
        }
    }

    /// Nothing but 100 came: Teams takes the next trunk.
    pub fn fail_over(&mut self, key: u64) {
        let silent = self.calls.get(&key).is_some_and(|call| call.record.provisional.is_empty());
        if !silent || !self.is_judging() {
            return;
        }
        let request = self.invite_of(key);
        if let Some(request) = request {
            let text = "neither 18x nor final answer before Teams goes to the next trunk";
            self.complain_of(&request, vec![Fault::new(Rule::AnswerTime, text)]);
        }
        self.want_cancel(key);
        self.fail_call(key, "Teams went to the next trunk: neither 18x nor final answer in time");
    }
}

/// What Allow named is refused all the same.
fn truth_fault(call: &Call, response: &Message, request: &Message) -> Option<Fault> {
    let code = response.code()?;
    let method = request.method()?;
    // 603 is what an SBC without a transfer function was seen to answer.
    let unable = matches!(code, 405 | 501) || (method == "REFER" && code == 603);
    (unable && call.peer_allows(method))
        .then(|| Fault::new(Rule::AllowTruth, format!("{method} was answered {code} though Allow names it")))
}

/// The host of the first Contact.
pub fn contact_host(message: &Message) -> Option<String> {
    let contact = Address::parse(message.list("Contact").first()?)?;
    Uri::parse(&contact.uri).map(|uri| uri.host)
}
