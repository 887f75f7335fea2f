//! The agent's task: what comes in is judged and handed to transactions and calls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::calls::Call;
use super::clients::{Client, Purpose};
use super::handshake::Trunk;
use super::persona::Ids;
use super::plan::CallPlan;
use super::servers::{Server, ServerKey};
use super::timers::{Timer, Timers};
use super::transfers::Referral;
use super::{AgentSettings, OptionsPlan};
use crate::lab::check;
use crate::lab::journal::{CallRecord, Complaint, Journal};
use crate::lab::ladder::Ladder;
use crate::lab::message::{Address, Message, Uri};
use crate::lab::wire::{Destination, Endpoint, Source, Transport, Wire, WireEvent};

/// What the handle asks of the task.
#[derive(Debug)]
pub enum Command {
    Call(Box<CallPlan>, oneshot::Sender<CallRecord>),
    Options(Destination, String, oneshot::Sender<Result<u16, String>>),
}

/// All that the task owns.
#[derive(Debug)]
pub struct Core {
    pub settings: AgentSettings,
    pub wire: Wire,
    pub journal: Journal,
    pub ladder: Ladder,
    pub ids: Ids,
    pub timers: Timers,
    pub clients: HashMap<String, Client>,
    pub servers: HashMap<ServerKey, Server>,
    pub calls: HashMap<u64, Call>,
    pub next_call: u64,
    /// Names of SBCs by their OPTIONS, where a judging profile keeps them.
    pub trunks: HashMap<String, Trunk>,
    /// INVITEs that REFERs asked for.
    pub referrals: VecDeque<Referral>,
    /// Connections that the peer is to drop.
    pub retired: HashSet<u64>,
    pub next_address: usize,
}

impl Core {
    /// A task's state before anything happened.
    pub fn new(settings: AgentSettings, wire: Wire, journal: Journal, ladder: Ladder) -> Self {
        Self {
            settings,
            wire,
            journal,
            ladder,
            ids: Ids::default(),
            timers: Timers::default(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            trunks: HashMap::new(),
            referrals: VecDeque::new(),
            retired: HashSet::new(),
            next_address: 0,
        }
    }

    /// Works until it is stopped.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<WireEvent>,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        if let Some(OptionsPlan { to: Some(_), every }) = &self.settings.options
            && !self.is_judging()
        {
            self.timers.set(*every, Timer::Options);
        }
        loop {
            let due = self.timers.next_due();
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = events.recv() => self.handle_event(event),
                Some(command) = commands.recv() => self.handle_command(command),
                () = sleep => {}
            }
            while let Some(timer) = self.timers.take_due(Instant::now()) {
                self.handle_timer(timer);
            }
        }
        // Socket tasks may be waiting to report: without a reader they end.
        drop(events);
        self.wire.stop().await;
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Call(plan, reply) => self.place_call(*plan, reply),
            Command::Options(to, host, reply) => self.send_options(to, &host, Some(reply)),
        }
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Call(call, step) => self.handle_step(call, step),
            Timer::Client(branch, due) => self.handle_client_timer(&branch, due),
            Timer::Heartbeat(fqdn) => self.beat(&fqdn),
            Timer::Options => self.send_own_options(),
            Timer::Server(key, due) => self.handle_server_timer(&key, due),
        }
    }

    fn handle_event(&mut self, event: WireEvent) {
        self.wire.note(&event);
        match event {
            WireEvent::Accepted { .. } => {}
            WireEvent::Closed { connection, reason } => {
                self.retired.remove(&connection);
                self.fail_connection(connection, &format!("the connection ended before any answer: {reason}"));
            }
            WireEvent::Failed { connection, endpoint, reason } => {
                self.fail_connection(connection, &format!("connection to {endpoint}: {reason}"));
            }
            WireEvent::Fault { source, text } => {
                let about = format!("{} from {}", source.transport.token(), source.remote);
                self.complain("", &about, vec![text]);
            }
            WireEvent::Packet { source, bytes } => self.handle_packet(&source, &bytes),
        }
    }

    fn handle_packet(&mut self, source: &Source, bytes: &[u8]) {
        self.journal.capture(false, source.remote, source.connection, bytes);
        let parsed = match Message::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                let about = format!("{} bytes from {}", bytes.len(), source.remote);
                return self.complain("", &about, vec![error.to_string()]);
            }
        };
        let message = parsed.message;
        let call_id = message.call_id().to_owned();
        self.ladder.record(&self.settings.far, &self.settings.name, &call_id, message.summary());
        self.complain_about(&message, parsed.faults);
        if message.code().is_some() {
            return self.handle_response(source, message);
        }
        let mut faults = check::request_faults(&message, source.transport);
        faults.extend(self.hop_fault(&message));
        self.complain_about(&message, faults);
        self.handle_request(source, message);
    }

    /// A proxy lowers Max-Forwards (RFC 3261 section 16.6 item 3); the stand-ins all begin with 70.
    fn hop_fault(&self, request: &Message) -> Option<String> {
        let hops: u8 = request.value("Max-Forwards")?.parse().ok()?;
        // CANCEL and the ACK of a refusal are made by the proxy itself.
        let hop_by_hop =
            request.method() == Some("CANCEL") || (request.method() == Some("ACK") && self.is_refusal_ack(request));
        // An edge that owns its legs makes requests of its own too: inside dialogs, and where a REFER asked for one.
        let made_here = request.method() == Some("OPTIONS")
            || request.tag("To").is_some()
            || request.lines("Referred-By").next().is_some();
        (self.settings.behind_edge && hops >= 70 && !hop_by_hop && !made_here)
            .then(|| format!("Max-Forwards is {hops}: it was not lowered on the way (RFC 3261 section 16.6 item 3)"))
    }

    /// Notes faults of a message.
    pub fn complain_about(&self, message: &Message, faults: Vec<String>) {
        if !faults.is_empty() {
            self.complain(message.call_id(), &message.summary(), faults);
        }
    }

    /// Notes faults.
    pub fn complain(&self, call_id: &str, about: &str, faults: Vec<String>) {
        for text in faults {
            self.journal.complain(Complaint {
                by: self.settings.name.clone(),
                call_id: call_id.to_owned(),
                about: about.to_owned(),
                rule: None,
                text,
            });
        }
    }

    /// The address of this side for a transport; loopback where it listens on all.
    pub fn local(&self, transport: Transport) -> SocketAddr {
        // An agent that listens nowhere has no address to name; the discard port says so.
        let local = self.wire.local(transport).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9)));
        match local {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port())),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
            named => named,
        }
    }

    /// Host and port of this side as it shows them in Contact.
    pub fn place(&self, transport: Transport) -> String {
        let local = self.local(transport);
        match &self.settings.contact_host {
            Some(host) => format!("{host}:{}", local.port()),
            None => local.to_string(),
        }
    }

    /// The Contact URI for a new call.
    pub fn contact(&mut self, call_id: &str, transport: Transport) -> String {
        let place = self.place(transport);
        self.settings.persona.contact(call_id, &place, transport, &mut self.ids)
    }

    /// What this side puts into Record-Route, if anything.
    pub fn own_record_route(&self) -> Option<String> {
        self.settings.persona.record_route(self.local(Transport::Tls), self.settings.route_host.as_deref())
    }

    /// Where the URI of a route or a remote target leads (RFC 3263 section 4, without DNS).
    pub fn resolve(&self, uri: &str) -> Result<Destination, String> {
        let parsed = Uri::parse(uri).ok_or_else(|| format!("{uri} is no SIP URI"))?;
        let transport = match parsed.parameter("transport") {
            Some(token) => Transport::from_token(token).ok_or_else(|| format!("transport of {uri} is not known"))?,
            None if parsed.scheme == "sips" => Transport::Tls,
            None => Transport::Udp,
        };
        let ip =
            self.settings.names.address(&parsed.host).ok_or_else(|| format!("{} has no address here", parsed.host))?;
        let port = parsed.port.unwrap_or(transport.default_port());
        let name = (transport == Transport::Tls && !parsed.is_literal()).then_some(parsed.host);
        Ok(Destination { endpoint: Endpoint { transport, addr: SocketAddr::new(ip, port) }, name })
    }

    /// Writes and sends an answer.
    pub fn send_answer(&mut self, source: &Source, answer: &Message) -> Vec<u8> {
        let bytes = answer.to_bytes(self.settings.persona.style());
        self.send_answer_bytes(source, answer, bytes.clone());
        bytes
    }

    /// Sends an answer that is already written.
    pub fn send_answer_bytes(&mut self, source: &Source, answer: &Message, bytes: Vec<u8>) {
        self.ladder.record(&self.settings.name, &self.settings.far, answer.call_id(), answer.summary());
        let to = answer_address(answer, source);
        self.journal.capture(true, to, source.connection, &bytes);
        if let Err(error) = self.wire.answer(source, to, bytes) {
            tracing::debug!(%error, "answer not sent");
        }
    }

    /// OPTIONS to the peer; without `reply` it is one that this side sends by itself.
    pub fn send_options(&mut self, to: Destination, host: &str, reply: Option<oneshot::Sender<Result<u16, String>>>) {
        let transport = to.endpoint.transport;
        let own = format!("<{}>", self.settings.persona.own_uri(&self.place(transport)));
        let tag = self.ids.hex(32);
        let uri = match transport {
            Transport::Udp => format!("sip:{host}"),
            _ => format!("sip:{host};transport={}", transport.token().to_ascii_lowercase()),
        };
        let mut request = Message::request("OPTIONS", &uri);
        request.push("From", format!("{own};tag={tag}"));
        request.push("To", format!("<sip:{host}>"));
        request.push("Call-ID", self.ids.hex(32));
        request.push("CSeq", "1 OPTIONS");
        request.push("Max-Forwards", "70");
        request.push("Contact", own);
        self.settings.persona.sign(&mut request);
        self.journal.count_options(|count| count.sent += 1);
        self.start_client(request, to, Purpose::Options(reply), None);
    }

    /// The next of the other local addresses, where there are any.
    pub fn other_address(&mut self) -> Option<IpAddr> {
        let count = self.settings.other_addresses.len();
        let at = self.next_address.checked_rem(count)?;
        self.next_address += 1;
        self.settings.other_addresses.get(at).copied()
    }

    fn send_own_options(&mut self) {
        let Some(OptionsPlan { to: Some((to, host)), every }) = self.settings.options.clone() else {
            return;
        };
        self.send_options(to, &host, None);
        self.timers.set(every, Timer::Options);
    }

    /// Learns where to send OPTIONS from those of the peer, as Microsoft's proxy does: from Contact alone.
    pub fn learn_options(&mut self, request: &Message) {
        if self.is_judging() {
            return self.note_trunk(request);
        }
        let Some(OptionsPlan { to: None, every }) = self.settings.options.clone() else {
            return;
        };
        let contact = request.list("Contact").first().and_then(|contact| Address::parse(contact));
        let Some(uri) = contact.and_then(|contact| Uri::parse(&contact.uri)) else {
            return;
        };
        let text = format!("sip:{}:{};transport=tls", uri.host, uri.port.unwrap_or(5061));
        if let Ok(to) = self.resolve(&text) {
            let host = format!("{}:{}", uri.host, to.endpoint.addr.port());
            self.settings.options = Some(OptionsPlan { to: Some((to, host)), every });
            self.send_own_options();
        }
    }
}

/// Where a datagram with an answer goes (RFC 3261 section 18.2.2, RFC 3581 section 4).
fn answer_address(answer: &Message, source: &Source) -> SocketAddr {
    let Some(via) = answer.top_via() else {
        return source.remote;
    };
    if via.parameter("rport").is_some() {
        return source.remote;
    }
    SocketAddr::new(source.remote.ip(), via.port.unwrap_or(source.transport.default_port()))
}
