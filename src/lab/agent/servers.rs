//! Server transactions (RFC 3261 section 17.2) and the judgement of requests that come.

use std::time::Duration;

use super::core::Core;
use super::persona::Persona;
use super::timers::{Due, GIVE_UP, MEMORY, T1, T2, Timer};
use crate::lab::message::{Address, Message, Uri, Via};
use crate::lab::wire::{Source, Transport, certificate_names};

/// What tells server transactions apart (RFC 3261 section 17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey {
    branch: String,
    sent_by: String,
    method: String,
}

/// How far a server transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPhase {
    /// No final answer yet.
    Open,
    /// A refusal of an INVITE waits for its ACK.
    Refused,
    /// Done: 2xx, acknowledged, or not an INVITE.
    Done,
}

/// One server transaction.
#[derive(Debug)]
pub struct Server {
    pub request: Message,
    pub source: Source,
    pub phase: ServerPhase,
    pub call: Option<u64>,
    /// The INVITE that a REFER of this side asked for.
    pub referred: bool,
    last: Option<(Message, Vec<u8>)>,
    interval: Duration,
}

impl Core {
    /// A request came.
    pub fn handle_request(&mut self, source: &Source, request: Message) {
        let Some(key) = server_key(&request) else {
            return;
        };
        let method = request.method().unwrap_or_default().to_owned();
        if method == "ACK" {
            // Nothing can be refused here.
            let _ = self.judge(&request, source, false);
            return self.handle_ack(&key, &request);
        }
        if self.servers.contains_key(&key) {
            return self.handle_repeated_request(&key, source, &request);
        }
        if self.servers.len() >= self.settings.transaction_limit {
            return self.complain_about(&request, vec!["not looked at: too many transactions at once".into()]);
        }
        let phase = ServerPhase::Open;
        let new_invite = method == "INVITE" && request.tag("To").is_none();
        let referred = new_invite && self.settings.persona == Persona::Teams && self.take_referral(&request);
        let refusal = self.judge(&request, source, referred);
        let server = Server { request, source: source.clone(), phase, call: None, referred, last: None, interval: T1 };
        self.servers.insert(key.clone(), server);
        if let Some(refusal) = refusal {
            return self.refuse_by_rule(&key, &refusal);
        }
        match method.as_str() {
            "CANCEL" => self.handle_cancel(&key),
            _ if self.has_to_tag(&key) => self.handle_in_dialog(&key),
            "INVITE" => self.handle_new_invite(&key),
            "OPTIONS" => self.handle_options(&key),
            _ => self.respond(&key, 405, "Method Not Allowed", None),
        }
    }

    fn has_to_tag(&self, key: &ServerKey) -> bool {
        self.servers.get(key).is_some_and(|server| server.request.tag("To").is_some())
    }

    fn handle_repeated_request(&mut self, key: &ServerKey, source: &Source, request: &Message) {
        if source.transport != Transport::Udp {
            self.complain_about(
                request,
                vec!["sent again over a reliable transport (RFC 3261 section 17.1.1.2)".into()],
            );
        }
        let last = self.servers.get(key).and_then(|server| server.last.clone());
        if let Some((answer, bytes)) = last {
            self.send_answer_bytes(source, &answer, bytes);
        }
    }

    /// Answers a request; `tag` goes into To where the request had none.
    pub fn respond(&mut self, key: &ServerKey, code: u16, reason: &str, tag: Option<&str>) {
        self.respond_with(key, code, reason, tag, |_| {});
    }

    /// The same, with more to put in before it leaves.
    pub fn respond_with(
        &mut self,
        key: &ServerKey,
        code: u16,
        reason: &str,
        tag: Option<&str>,
        fill: impl FnOnce(&mut Message),
    ) {
        let Some(server) = self.servers.get(key) else {
            return;
        };
        let persona = self.settings.persona;
        let (request, source) = (&server.request, server.source.clone());
        let invite = key.method == "INVITE";
        let mut answer = Message::response(code, reason);
        for via in answer_vias(request, &source) {
            answer.push("Via", via);
        }
        if invite && code > 100 && code < 300 {
            for route in self.recorded_routes(request) {
                answer.push("Record-Route", route);
            }
        }
        answer.push("From", persona.echo(request.value("From").unwrap_or_default()));
        let to = persona.echo(request.value("To").unwrap_or_default());
        let has_tag = request.tag("To").is_some();
        // Microsoft's proxy answers OPTIONS without a tag; the edge must live with that.
        let untagged = code == 100 || has_tag || (key.method == "OPTIONS" && persona == Persona::Teams);
        match tag {
            _ if untagged => answer.push("To", to),
            Some(tag) => answer.push("To", format!("{to};tag={tag}")),
            None => {
                let tag = self.ids.hex(16);
                answer.push("To", format!("{to};tag={tag}"));
            }
        }
        let Some(server) = self.servers.get(key) else {
            return;
        };
        for name in ["Call-ID", "CSeq"] {
            answer.push(name, server.request.value(name).unwrap_or_default());
        }
        if code > 100 {
            persona.sign(&mut answer);
        }
        fill(&mut answer);
        let bytes = self.send_answer(&source, &answer);
        self.settle(key, code, answer, bytes);
    }

    /// Remembers an answer and sets the timers of RFC 3261 section 17.2.
    fn settle(&mut self, key: &ServerKey, code: u16, answer: Message, bytes: Vec<u8>) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        server.last = Some((answer, bytes));
        if code < 200 {
            return;
        }
        let refused = key.method == "INVITE" && code >= 300;
        server.phase = if refused { ServerPhase::Refused } else { ServerPhase::Done };
        let udp = server.source.transport == Transport::Udp;
        if refused {
            if udp {
                self.timers.set(T1, Timer::Server(key.clone(), Due::Retransmit));
            }
            self.timers.set(GIVE_UP, Timer::Server(key.clone(), Due::GiveUp));
        }
        self.timers.set(MEMORY, Timer::Server(key.clone(), Due::Forget));
    }

    /// The Record-Route list of an answer: as it came, behind what this side's own front adds.
    pub fn recorded_routes(&self, request: &Message) -> Vec<String> {
        self.own_record_route().into_iter().chain(request.list("Record-Route")).collect()
    }

    /// A timer of a server transaction is due.
    pub fn handle_server_timer(&mut self, key: &ServerKey, due: Due) {
        let Some(server) = self.servers.get_mut(key) else {
            return;
        };
        match due {
            Due::Forget => {
                if server.phase == ServerPhase::Refused {
                    self.timers.set(MEMORY, Timer::Server(key.clone(), Due::Forget));
                } else {
                    self.servers.remove(key);
                }
            }
            _ if server.phase != ServerPhase::Refused => {}
            Due::GiveUp => {
                server.phase = ServerPhase::Done;
                let (request, call) = (server.request.clone(), server.call);
                self.complain_about(
                    &request,
                    vec!["a refusal was never acknowledged (RFC 3261 section 17.1.1.3)".into()],
                );
                if let Some(call) = call {
                    self.fail_call(call, "the refusal was never acknowledged");
                }
            }
            Due::Retransmit => {
                server.interval = (server.interval * 2).min(T2);
                let (interval, source, last) = (server.interval, server.source.clone(), server.last.clone());
                if let Some((answer, bytes)) = last {
                    self.send_answer_bytes(&source, &answer, bytes);
                }
                self.timers.set(interval, Timer::Server(key.clone(), Due::Retransmit));
            }
        }
    }

    /// Whether an ACK is that of a refusal, which each hop makes for itself.
    pub fn is_refusal_ack(&self, ack: &Message) -> bool {
        server_key(ack).and_then(|key| self.servers.get(&key)).is_some_and(|server| {
            server.last.as_ref().and_then(|(answer, _)| answer.code()).is_some_and(|code| code >= 300)
        })
    }

    fn handle_ack(&mut self, key: &ServerKey, ack: &Message) {
        let Some(server) = self.servers.get_mut(key) else {
            return self.handle_success_ack(ack);
        };
        let Some(answer) = server.last.as_ref().map(|(answer, _)| answer.clone()) else {
            return;
        };
        if answer.code().is_some_and(|code| code < 300) {
            return self.complain_about(
                ack,
                vec!["the ACK of a 2xx has the branch of its INVITE (RFC 3261 section 13.2.2.4)".into()],
            );
        }
        let mut faults = Vec::new();
        if ack.tag("To") != answer.tag("To") {
            faults.push("To of the ACK is not that of the refusal (RFC 3261 section 17.1.1.3)".into());
        }
        if ack.list("Via").len() != 1 {
            faults.push("the ACK of a refusal has more than one Via (RFC 3261 section 17.1.1.3)".into());
        }
        if ack.uri() != server.request.uri() {
            faults.push("Request-URI of the ACK is not that of the INVITE (RFC 3261 section 17.1.1.3)".into());
        }
        if ack.cseq().map(|(number, _)| number) != server.request.cseq().map(|(number, _)| number) {
            faults.push("CSeq of the ACK is not that of the INVITE (RFC 3261 section 17.1.1.3)".into());
        }
        let first = server.phase == ServerPhase::Refused;
        server.phase = ServerPhase::Done;
        let call = server.call;
        self.complain_about(ack, faults);
        if let Some(call) = call.filter(|_| first) {
            self.finish_refusal(call);
        }
    }

    fn handle_cancel(&mut self, key: &ServerKey) {
        let invite_key = ServerKey { method: "INVITE".into(), ..key.clone() };
        let Some(cancel) = self.servers.get(key).map(|server| server.request.clone()) else {
            return;
        };
        let Some(invite) = self.servers.get(&invite_key) else {
            self.complain_about(
                &cancel,
                vec!["CANCEL for no INVITE of which we know: branch or sent-by differ (RFC 3261 section 9.1)".into()],
            );
            return self.respond(key, 481, "Call/Transaction Does Not Exist", None);
        };
        let mut faults = Vec::new();
        if cancel.uri() != invite.request.uri() {
            faults.push("Request-URI of CANCEL is not that of the INVITE (RFC 3261 section 9.1)".into());
        }
        if cancel.cseq().map(|(number, _)| number) != invite.request.cseq().map(|(number, _)| number) {
            faults.push("CSeq of CANCEL is not that of the INVITE (RFC 3261 section 9.1)".into());
        }
        if cancel.list("Via").len() != 1 {
            faults.push("CANCEL has more than one Via (RFC 3261 section 9.1)".into());
        }
        if ["From", "To", "Call-ID"].iter().any(|name| cancel.value(name) != invite.request.value(name)) {
            faults.push("From, To or Call-ID of CANCEL is not that of the INVITE (RFC 3261 section 9.1)".into());
        }
        let (open, call) = (invite.phase == ServerPhase::Open, invite.call);
        self.complain_about(&cancel, faults);
        let tag = call.and_then(|call| self.calls.get(&call)).map(|call| call.local_tag.clone());
        self.respond(key, 200, "OK", tag.as_deref());
        if let Some(call) = call.filter(|_| open) {
            self.take_back(call, &invite_key);
        }
    }

    fn handle_options(&mut self, key: &ServerKey) {
        let Some((request, source)) = self.servers.get(key).map(|s| (s.request.clone(), s.source.clone())) else {
            return;
        };
        self.journal.count_options(|count| count.received += 1);
        if let Some(reason) = self.refusal_of_teams(&request, &source) {
            return self.refuse_as_teams(key, &request, &reason);
        }
        let contact = match self.settings.persona {
            Persona::Pbx => Some(format!("<sip:{}>", self.place(source.transport))),
            Persona::Teams => None,
        };
        self.respond_with(key, 200, "OK", None, |answer| {
            if let Some(contact) = contact {
                answer.push("Contact", contact);
            }
        });
        self.learn_options(&request);
    }

    /// Why Microsoft would answer 403: it takes the tenant from the top Record-Route, else from Contact.
    pub fn refusal_of_teams(&self, message: &Message, source: &Source) -> Option<String> {
        if self.settings.persona != Persona::Teams || self.is_judging() {
            return None;
        }
        let record = message.list("Record-Route");
        let contact = message.list("Contact");
        let Some(value) = record.first().or(contact.first()) else {
            return Some("Record-Route and Contact headers are missing.".into());
        };
        self.identity_fault(value, source)
    }

    /// What is wrong with the name by which the edge shows itself to Microsoft.
    pub fn identity_fault(&self, value: &str, source: &Source) -> Option<String> {
        let uri = Address::parse(value).and_then(|address| Uri::parse(&address.uri));
        let Some(uri) = uri else {
            return Some(format!("{value} is no SIP URI."));
        };
        if uri.is_literal() {
            return Some(format!("{} is an IP address where an FQDN is wanted.", uri.host));
        }
        let certificate = source.certificate.as_deref();
        (!certificate.is_some_and(|certificate| certificate_names(certificate, &uri.host)))
            .then(|| format!("{} is not in the certificate of the peer.", uri.host))
    }

    /// 403 with the Reason that Microsoft gives.
    pub fn refuse_as_teams(&mut self, key: &ServerKey, request: &Message, reason: &str) {
        self.complain_about(request, vec![format!("Microsoft refuses this with 403: {reason}")]);
        let text = format!("Q.850;cause=63;text=\"{};{reason}\"", self.ids.guid());
        self.respond_with(key, 403, "Forbidden", None, |answer| answer.push("Reason", text));
    }
}

/// The key of a request's transaction; an ACK has that of its INVITE.
fn server_key(request: &Message) -> Option<ServerKey> {
    let via = request.top_via()?;
    let method = match request.method()? {
        "ACK" => "INVITE",
        other => other,
    };
    Some(ServerKey {
        branch: via.parameter("branch").unwrap_or_default().to_owned(),
        sent_by: format!("{}:{:?}", via.host, via.port),
        method: method.to_owned(),
    })
}

/// The Via values of an answer, the top one with `received` and `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4).
fn answer_vias(request: &Message, source: &Source) -> Vec<String> {
    let mut vias = request.list("Via");
    if let Some(first) = vias.first_mut()
        && let Some(via) = Via::parse(first)
    {
        let wants_port = via.parameter("rport") == Some("");
        if wants_port {
            let with_port = format!(";rport={}", source.remote.port());
            *first = first
                .split(';')
                .map(|part| if part.trim() == "rport" { with_port.clone() } else { format!(";{part}") })
                .collect();
            *first = first.trim_start_matches(';').to_owned();
        }
        if wants_port || via.host != source.remote.ip().to_string() {
            first.push_str(&format!(";received={}", source.remote.ip()));
        }
    }
    vias
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_where_the_request_came_from() {
        let mut request = Message::request("OPTIONS", "sip:a");
        request.push("Via", "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2");
        let remote = "192.0.2.9:1024".parse().unwrap();
        let source = Source::plain(Transport::Udp, remote, 0);
        assert_eq!(
            answer_vias(&request, &source),
            [
                "SIP/2.0/UDP 192.0.2.1:5060;rport=1024;branch=z9hG4bK1;received=192.0.2.9",
                "SIP/2.0/UDP b;branch=z9hG4bK2"
            ]
        );
    }
}
