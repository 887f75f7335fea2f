//! Client transactions (RFC 3261 section 17.1) in their shortest form.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Dialling;
use super::core::Core;
use super::timers::{Due, GIVE_UP, MEMORY, T1, T2, Timer};
use crate::lab::check::{self, MAGIC};
use crate::lab::message::Message;
use crate::lab::wire::{Destination, Source, Transport};

/// What a request is for, and so who gets its answer.
#[derive(Debug)]
pub enum Purpose {
    Bye,
    Cancel,
    /// A re-INVITE.
    Change,
    Invite,
    Options(Option<oneshot::Sender<Result<u16, String>>>),
    Refer,
    /// A re-INVITE that only refreshes the session.
    Refresh,
}

/// How far a client transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPhase {
    /// Nothing came back.
    Trying,
    /// A provisional answer came.
    Proceeding,
    /// A final answer came, or it was given up.
    Done,
}

/// One client transaction.
#[derive(Debug)]
pub struct Client {
    pub request: Message,
    pub to: Destination,
    pub call: Option<u64>,
    pub phase: ClientPhase,
    purpose: Purpose,
    bytes: Vec<u8>,
    interval: Duration,
    connection: u64,
    /// The connection was made for this request alone.
    own_connection: bool,
    /// The ACK of a refusal, to repeat it.
    ack: Option<Vec<u8>>,
}

impl Client {
    /// Whether it is a re-INVITE that only refreshes the session.
    pub const fn is_refresh(&self) -> bool {
        matches!(self.purpose, Purpose::Refresh)
    }
}

impl Core {
    /// Adds Via, sends a request and remembers it; the branch comes back.
    pub fn start_client(
        &mut self,
        mut request: Message,
        to: Destination,
        purpose: Purpose,
        call: Option<u64>,
    ) -> String {
        let branch = self.add_via(&mut request, to.endpoint.transport);
        self.launch(request, to, purpose, call, branch.clone());
        branch
    }

    /// CANCEL of a pending INVITE: same branch, own transaction (RFC 3261 section 9.1).
    pub fn start_cancel(&mut self, branch: &str, call: u64) {
        let Some(invite) = self.clients.get(branch) else {
            return;
        };
        let to = invite.to.clone();
        let mut cancel = Message::request("CANCEL", invite.request.uri().unwrap_or_default());
        for name in ["Via", "Route", "From", "To", "Call-ID"] {
            for value in invite.request.list(name) {
                cancel.push(name, value);
            }
        }
        cancel.push("CSeq", format!("{} CANCEL", invite.request.cseq().map_or(1, |(number, _)| number)));
        cancel.push("Max-Forwards", "70");
        self.launch(cancel, to, Purpose::Cancel, Some(call), format!("{branch} CANCEL"));
    }

    fn launch(&mut self, request: Message, to: Destination, purpose: Purpose, call: Option<u64>, key: String) {
        let bytes = request.to_bytes(self.settings.persona.style());
        self.ladder.record(&self.settings.name, &self.settings.far, request.call_id(), request.summary());
        let udp = to.endpoint.transport == Transport::Udp;
        let in_dialog = matches!(purpose, Purpose::Bye | Purpose::Change | Purpose::Refer | Purpose::Refresh);
        let other = if in_dialog && !udp { self.other_address() } else { None };
        let wanted = match self.settings.dialling {
            Dialling::Shared => matches!(purpose, Purpose::Refer),
            Dialling::PerDialogRequest => in_dialog,
            Dialling::PerRequest => !matches!(purpose, Purpose::Cancel),
        };
        let own_connection = !udp && (wanted || other.is_some());
        let full = self.clients.len() >= self.settings.transaction_limit;
        let sent = if own_connection {
            self.wire.dial_apart(&to, other, bytes.clone())
        } else {
            self.wire.send(&to, bytes.clone())
        };
        let connection = *sent.as_ref().unwrap_or(&0);
        self.journal.capture(true, to.endpoint.addr, connection, &bytes);
        let client = Client {
            request,
            to,
            call,
            phase: ClientPhase::Trying,
            purpose,
            bytes,
            interval: T1,
            connection,
            own_connection,
            ack: None,
        };
        self.clients.insert(key.clone(), client);
        match sent {
            Ok(_) if full => self.fail_client(&key, "too many transactions of this stand-in's own"),
            Err(error) => self.fail_client(&key, &error.to_string()),
            Ok(_) => {
                if udp {
                    self.timers.set(T1, Timer::Client(key.clone(), Due::Retransmit));
                }
                self.timers.set(GIVE_UP, Timer::Client(key, Due::GiveUp));
            }
        }
    }

    /// Puts a new Via in front; its branch comes back.
    pub fn add_via(&mut self, request: &mut Message, transport: Transport) -> String {
        let branch = format!("{MAGIC}{}", self.ids.hex(16));
        let rport = if transport == Transport::Udp { ";rport" } else { "" };
        let value = format!("SIP/2.0/{} {};branch={branch}{rport}", transport.token(), self.local(transport));
        request.headers.insert(0, crate::lab::message::Header { name: "Via".into(), value });
        branch
    }

    /// An answer came.
    pub fn handle_response(&mut self, source: &Source, response: Message) {
        let branch = response.top_via().and_then(|via| via.parameter("branch").map(str::to_owned)).unwrap_or_default();
        let is_cancel = response.cseq().is_some_and(|(_, method)| method == "CANCEL");
        let key = if is_cancel { format!("{branch} CANCEL") } else { branch };
        let Some(client) = self.clients.get_mut(&key) else {
            return self.complain_about(
                &response,
                vec![
                    "an answer to no request of ours: its top Via has an unknown branch (RFC 3261 section 17.1.3)"
                        .into(),
                ],
            );
        };
        let code = response.code().unwrap_or_default();
        let mut faults = check::response_faults(&response, &client.request);
        let method = client.request.method().unwrap_or_default().to_owned();
        let repeated = client.phase == ClientPhase::Done;
        let reliable = source.transport != Transport::Udp;
        let success = method == "INVITE" && (200..300).contains(&code);
        if repeated && !success && reliable {
            faults.push(format!("{code} after a final answer, over a reliable transport (RFC 3261 section 17.2)"));
        }
        let call = client.call;
        if code < 200 {
            if client.phase == ClientPhase::Trying {
                client.phase = ClientPhase::Proceeding;
            }
        } else {
            client.phase = ClientPhase::Done;
        }
        let change = matches!(client.purpose, Purpose::Change | Purpose::Refresh);
        let request = client.request.clone();
        self.complain_about(&response, faults);
        if !repeated {
            self.judge_answer(&response, &request, source, call);
        }
        if method == "INVITE" && code >= 300 {
            self.acknowledge_refusal(&key, &response);
        }
        if repeated {
            if let Some(call) = call.filter(|_| success) {
                self.handle_repeated_answer(call, &response);
            }
            return;
        }
        if code >= 200 {
            self.timers.set(MEMORY, Timer::Client(key.clone(), Due::Forget));
        }
        match (method.as_str(), call) {
            ("INVITE", Some(call)) if change => self.handle_change_answer(call, &key, &response),
            ("INVITE", Some(call)) => self.handle_invite_answer(call, &key, &response),
            ("REFER", Some(call)) if code >= 200 => self.handle_refer_answer(call, &response),
            ("BYE", Some(call)) if code >= 200 => self.handle_bye_answer(call, code),
            ("CANCEL", Some(call)) if code >= 200 => self.handle_cancel_answer(call, code),
            ("OPTIONS", _) if code >= 200 => self.handle_options_answer(&key, Ok(code)),
            _ => {}
        }
    }

    /// ACK of a refusal: same branch, hop by hop (RFC 3261 section 17.1.1.3).
    fn acknowledge_refusal(&mut self, key: &str, response: &Message) {
        let style = self.settings.persona.style();
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let mut ack = Message::request("ACK", client.request.uri().unwrap_or_default());
        for value in client.request.list("Via").into_iter().take(1) {
            ack.push("Via", value);
        }
        for value in client.request.list("Route") {
            ack.push("Route", value);
        }
        for (name, from) in [("From", &client.request), ("To", response), ("Call-ID", &client.request)] {
            ack.push(name, from.value(name).unwrap_or_default());
        }
        ack.push("CSeq", format!("{} ACK", client.request.cseq().map_or(1, |(number, _)| number)));
        ack.push("Max-Forwards", "70");
        let bytes = client.ack.get_or_insert_with(|| ack.to_bytes(style)).clone();
        let to = client.to.clone();
        self.ladder.record(&self.settings.name, &self.settings.far, ack.call_id(), ack.summary());
        let sent = self.wire.send(&to, bytes.clone());
        self.journal.capture(true, to.endpoint.addr, *sent.as_ref().unwrap_or(&0), &bytes);
        if let Err(error) = sent {
            tracing::debug!(%error, "ACK not sent");
        }
    }

    fn handle_options_answer(&mut self, key: &str, outcome: Result<u16, String>) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Purpose::Options(reply) = &mut client.purpose else {
            return;
        };
        let reply = reply.take();
        let about = client.request.summary();
        let call_id = client.request.call_id().to_owned();
        let request = client.request.clone();
        self.note_heartbeat(&request, matches!(outcome, Ok(200..300)));
        if outcome.is_ok() {
            self.journal.count_options(|count| count.answered += 1);
        }
        match reply {
            Some(reply) => drop(reply.send(outcome)),
            None => match outcome {
                Ok(code) if (200..300).contains(&code) => {}
                Ok(code) => self.complain(&call_id, &about, vec![format!("our OPTIONS was answered {code}")]),
                Err(reason) => self.complain(&call_id, &about, vec![format!("our OPTIONS failed: {reason}")]),
            },
        }
    }

    /// A timer of a client transaction is due.
    pub fn handle_client_timer(&mut self, key: &str, due: Due) {
        match due {
            Due::Forget => {
                if let Some(client) = self.clients.remove(key).filter(|client| client.own_connection) {
                    self.wire.close(client.connection);
                }
            }
            Due::GiveUp => {
                // An INVITE that was answered provisionally is the call's own business.
                let waiting = self.clients.get(key).is_some_and(|client| {
                    client.phase == ClientPhase::Trying
                        || (client.phase == ClientPhase::Proceeding && client.request.method() != Some("INVITE"))
                });
                if waiting {
                    self.fail_client(key, "no answer");
                }
            }
            Due::Retransmit => self.retransmit(key),
        }
    }

    fn retransmit(&mut self, key: &str) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let invite = client.request.method() == Some("INVITE");
        let stop = match client.phase {
            ClientPhase::Done => true,
            ClientPhase::Proceeding => invite,
            ClientPhase::Trying => false,
        };
        if stop {
            return;
        }
        client.interval = if invite { client.interval * 2 } else { (client.interval * 2).min(T2) };
        let (interval, to, bytes) = (client.interval, client.to.clone(), client.bytes.clone());
        self.ladder.record(&self.settings.name, &self.settings.far, client.request.call_id(), client.request.summary());
        self.journal.capture(true, to.endpoint.addr, 0, &bytes);
        if let Err(error) = self.wire.send(&to, bytes) {
            tracing::debug!(%error, "not repeated");
        }
        self.timers.set(interval, Timer::Client(key.to_owned(), Due::Retransmit));
    }

    /// All requests without any answer on a connection that could not be made or that ended.
    pub fn fail_connection(&mut self, connection: u64, reason: &str) {
        if connection == 0 {
            return;
        }
        let hit = self
            .clients
            .iter()
            .filter(|(_, client)| client.connection == connection && client.phase == ClientPhase::Trying);
        for key in hit.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.fail_client(&key, reason);
        }
    }

    fn fail_client(&mut self, key: &str, reason: &str) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.phase = ClientPhase::Done;
        let method = client.request.method().unwrap_or_default().to_owned();
        let call = client.call;
        self.timers.set(MEMORY, Timer::Client(key.to_owned(), Due::Forget));
        match call {
            Some(call) => self.fail_call(call, &format!("{method}: {reason}")),
            None => self.handle_options_answer(key, Err(reason.to_owned())),
        }
    }
}
