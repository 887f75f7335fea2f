//! A proxy of the smallest kind, only good enough for the demo's calls: it shows that the demo can pass, and, with one fault
//! at a time, that the stand-ins find it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkway::cli::demo::{EdgeUnderTest, RunningEdge};
use trunkway::lab::message::{Address, Header, Message, StartLine, Style, Uri};
use trunkway::lab::wire::{Source, Tls, Wire, WireEvent};
use trunkway::lab::{Destination, Endpoint, TlsSettings, Transport};

/// What the proxy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    AddressInRecordRoute,
    AnswersTwice,
    DropsRecordRouteInAnswers,
    DropsTeamsRoute,
    ForgetsFailover,
    KeepsMaxForwards,
    KeepsVia,
    LosesBye,
    RewritesCallId,
    WrongLength,
}

pub struct ToyEdge(pub Fault);

pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningEdge for Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl EdgeUnderTest for ToyEdge {
    type Running = Running;

    async fn start(&self, config_toml: String, base_dir: &Path) -> Result<Running, String> {
        let config: toml::Table = config_toml.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let tls = tls(&config, base_dir);
        let listen: Vec<Endpoint> =
            config["listen"].as_array().unwrap().iter().map(|l| text(&l["bind"]).parse().unwrap()).collect();
        let (events, incoming) = mpsc::channel(1000);
        let stop = CancellationToken::new();
        let wire = Wire::bind(&listen, Some(tls), events, stop.clone()).await.map_err(|error| error.to_string())?;
        let proxy = Proxy { fault: self.0, config, wire, pending: HashMap::new(), count: 0 };
        Ok(Running { task: tokio::spawn(proxy.run(incoming, stop.clone())), stop })
    }

    fn bridges_presence(&self) -> bool {
        false
    }
}

fn text(value: &toml::Value) -> &str {
    value.as_str().unwrap()
}

/// A request on its way; found by the branch that was given to it.
struct Pending {
    source: Source,
    request: Message,
    targets: Vec<Destination>,
    sent: Message,
    next_at: Option<Instant>,
    answered: bool,
}

struct Proxy {
    fault: Fault,
    config: toml::Table,
    wire: Wire,
    pending: HashMap<String, Pending>,
    count: u64,
}

impl Proxy {
    async fn run(mut self, mut events: mpsc::Receiver<WireEvent>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = events.recv() => {
                    let Some(event) = event else { break };
                    self.wire.note(&event);
                    if let WireEvent::Packet { source, bytes } = event {
                        let message = Message::parse(&bytes).unwrap().message;
                        match message.code() {
                            None => self.request(source, message),
                            Some(code) => self.response(code, message),
                        }
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(20)) => self.fail_over(),
            }
        }
        drop(events);
        self.wire.stop().await;
    }

    fn request(&mut self, source: Source, request: Message) {
        let method = request.method().unwrap().to_owned();
        let same = |pending: &Pending| {
            pending.request.top_via().unwrap().parameter("branch") == request.top_via().unwrap().parameter("branch")
                && pending.request.method() == Some("INVITE")
        };
        let known = self.pending.values().find(|pending| same(pending)).map(|p| (p.sent.clone(), p.targets[0].clone()));
        match (method.as_str(), known) {
            // Its own ACK has gone out already; a repeated INVITE is on its way.
            ("ACK" | "INVITE", Some(_)) => {}
            ("CANCEL", Some((sent, to))) => {
                self.answer(&source, &request, 200, "OK");
                self.hop_by_hop("CANCEL", &sent, &sent, &to);
            }
            ("OPTIONS", _) if request.tag("To").is_none() => self.answer(&source, &request, 200, "OK"),
            ("BYE", _) if self.fault == Fault::LosesBye => {}
            _ => self.forward(source, request),
        }
    }

    fn answer(&mut self, source: &Source, request: &Message, code: u16, reason: &str) {
        let mut answer = Message::response(code, reason);
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.list(name) {
                answer.push(name, if name == "To" { format!("{value};tag=toy") } else { value });
            }
        }
        self.wire.answer(source, source.remote, answer.to_bytes(Style::Plain)).unwrap();
    }

    fn forward(&mut self, source: Source, request: Message) {
        let mut sent = request.clone();
        let routes: Vec<String> = request.list("Route").into_iter().filter(|route| !self.is_own(route)).collect();
        let first = routes.first().map(|route| Address::parse(route).unwrap().uri);
        set(&mut sent, "Route", &routes);
        if self.fault == Fault::DropsTeamsRoute {
            set(&mut sent, "Route", &[]);
        }
        if self.fault != Fault::KeepsMaxForwards {
            let hops: u8 = request.value("Max-Forwards").unwrap().parse().unwrap();
            set(&mut sent, "Max-Forwards", &[(hops - 1).to_string()]);
        }
        let targets = if request.tag("To").is_some() {
            vec![destination(&first.unwrap_or_else(|| request.uri().unwrap().to_owned()))]
        } else {
            self.targets(source.transport, &request)
        };
        let method = request.method().unwrap().to_owned();
        if method == "INVITE" {
            let mut record =
                vec![self.record_route(targets[0].endpoint.transport), self.record_route(source.transport)];
            record.extend(request.list("Record-Route"));
            set(&mut sent, "Record-Route", &record);
        }
        if self.fault == Fault::RewritesCallId && method == "INVITE" {
            set(&mut sent, "Call-ID", &[format!("{}-x", request.call_id())]);
        }
        let failover = (targets.len() > 1).then(|| Instant::now() + Duration::from_millis(400));
        self.launch(Pending { source, request, targets, sent, next_at: failover, answered: false });
    }

    /// Gives the request a branch and sends it to the first target.
    fn launch(&mut self, mut pending: Pending) {
        let to = pending.targets[0].clone();
        self.count += 1;
        let branch = format!("z9hG4bKtoy{}", self.count);
        let transport = to.endpoint.transport;
        let via = format!("SIP/2.0/{} {};branch={branch}", transport.token(), self.wire.local(transport).unwrap());
        let below = pending.request.list("Via");
        set(&mut pending.sent, "Via", &[vec![via], below].concat());
        let mut bytes = pending.sent.to_bytes(Style::Plain);
        if self.fault == Fault::WrongLength && transport == Transport::Udp {
            bytes.extend_from_slice(b"x");
        }
        self.wire.send(&to, bytes).unwrap();
        self.pending.insert(branch, pending);
    }

    fn fail_over(&mut self) {
        let now = Instant::now();
        let late = |pending: &Pending| pending.next_at.is_some_and(|at| at <= now) && !pending.answered;
        let Some(branch) = self.pending.iter().find(|(_, p)| late(p)).map(|(branch, _)| branch.clone()) else {
            return;
        };
        let mut pending = self.pending.remove(&branch).unwrap();
        pending.next_at = None;
        if self.fault != Fault::ForgetsFailover {
            pending.targets.remove(0);
            self.launch(pending);
        }
    }

    fn response(&mut self, code: u16, response: Message) {
        let branch = response.top_via().unwrap().parameter("branch").unwrap().to_owned();
        let Some(pending) = self.pending.get_mut(&branch) else {
            return;
        };
        pending.answered = true;
        let is_cancel = response.cseq().unwrap().1 == "CANCEL";
        let (source, sent, to) = (pending.source.clone(), pending.sent.clone(), pending.targets[0].clone());
        let call_id = pending.request.call_id().to_owned();
        if is_cancel {
            return;
        }
        if code >= 300 && sent.method() == Some("INVITE") {
            self.hop_by_hop("ACK", &sent, &response, &to);
        }
        let mut back = response.clone();
        if self.fault != Fault::KeepsVia {
            set(&mut back, "Via", &response.list("Via")[1..]);
        }
        if self.fault == Fault::DropsRecordRouteInAnswers {
            set(&mut back, "Record-Route", &[]);
        }
        set(&mut back, "Call-ID", &[call_id]);
        let bytes = back.to_bytes(Style::Plain);
        let times = if self.fault == Fault::AnswersTwice && code >= 200 { 2 } else { 1 };
        for _ in 0..times {
            self.wire.answer(&source, source.remote, bytes.clone()).unwrap();
        }
    }

    /// CANCEL, and the ACK of a refusal: made by this hop from the INVITE that it sent.
    fn hop_by_hop(&mut self, method: &str, sent: &Message, to_of: &Message, to: &Destination) {
        let mut request = Message::request(method, sent.uri().unwrap());
        request.push("Via", sent.list("Via")[0].clone());
        request.push("From", sent.value("From").unwrap());
        request.push("To", to_of.value("To").unwrap());
        request.push("Call-ID", sent.call_id());
        request.push("CSeq", format!("{} {method}", sent.cseq().unwrap().0));
        request.push("Max-Forwards", "70");
        self.wire.send(to, request.to_bytes(Style::Plain)).unwrap();
    }

    fn record_route(&self, transport: Transport) -> String {
        let local = self.wire.local(transport).unwrap();
        match transport {
            Transport::Udp => format!("<sip:{local};lr>"),
            Transport::Tcp => format!("<sip:{local};transport=tcp;lr>"),
            Transport::Tls if self.fault == Fault::AddressInRecordRoute => {
                format!("<sip:{local};transport=tls;lr>")
            }
            Transport::Tls => format!("<sip:sbc.example.net:{};transport=tls;lr>", local.port()),
        }
    }

    fn is_own(&self, route: &str) -> bool {
        let uri = Uri::parse(&Address::parse(route).unwrap().uri).unwrap();
        uri.host == "sbc.example.net"
            || self.wire.bound().iter().any(|own| own.addr.to_string() == format!("{}:{}", uri.host, uri.port.unwrap()))
    }

    /// Where a new request goes: by site from Teams, by number from a PBX.
    fn targets(&self, from: Transport, request: &Message) -> Vec<Destination> {
        let uri = Uri::parse(request.uri().unwrap()).unwrap();
        let trunk = if from == Transport::Tls {
            let sites = self.config["tenant"].as_table().unwrap().values().map(|tenant| &tenant["site"][0]);
            sites.into_iter().find(|site| text(&site["fqdn"]) == uri.host).map(|site| text(&site["trunk"])).unwrap()
        } else {
            let rules = self.config["dialplan"]["CustDialPlan"]["rules"].as_array().unwrap();
            assert!(rules.iter().any(|rule| uri.number().starts_with(text(&rule["prefix"]))));
            "teams"
        };
        let targets = self.config["trunk"][trunk]["targets"].as_array().unwrap();
        let name = (trunk == "teams").then(|| "sip.pstnhub.microsoft.com".to_owned());
        targets
            .iter()
            .map(|target| Destination { endpoint: text(target).parse().unwrap(), name: name.clone() })
            .collect()
    }
}

fn destination(uri: &str) -> Destination {
    let uri = Uri::parse(uri).unwrap();
    let transport = uri.parameter("transport").map_or(Transport::Udp, |token| Transport::from_token(token).unwrap());
    let addr: SocketAddr = match uri.host.parse() {
        Ok(ip) => SocketAddr::new(ip, uri.port.unwrap()),
        // What a proxy does that dials a Contact which it must not: nothing is there.
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 9)),
    };
    Destination { endpoint: Endpoint { transport, addr }, name: None }
}

/// Replaces all lines of a header, at the place of the first.
fn set(message: &mut Message, name: &str, values: &[String]) {
    let is = |header: &Header| header.name.eq_ignore_ascii_case(name);
    let at = message.headers.iter().position(is).unwrap_or(message.headers.len());
    message.headers.retain(|header| !is(header));
    let at = at.min(message.headers.len());
    let fresh = values.iter().map(|value| Header { name: name.into(), value: value.clone() });
    message.headers.splice(at..at, fresh);
    assert!(matches!(message.start, StartLine::Request { .. } | StartLine::Response { .. }));
}

fn tls(config: &toml::Table, folder: &Path) -> Tls {
    let read = |value: &toml::Value| std::fs::read_to_string(folder.join(text(value))).unwrap();
    let listen = config["listen"].as_array().unwrap().iter().find(|l| text(&l["bind"]).starts_with("tls")).unwrap();
    let client = &config["tls_client"];
    let settings =
        TlsSettings { ca: read(&client["ca"]), certificate: read(&client["certificate"]), key: read(&client["key"]) };
    let plain = Tls::new(&settings).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(read(&listen["client_ca"]).as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(ServerAsClient(inner)))
        .with_single_cert(
            CertificateDer::pem_slice_iter(settings.certificate.as_bytes()).collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_slice(settings.key.as_bytes()).unwrap(),
        )
        .unwrap();
    Tls::from_configs(Arc::new(server), plain.client_config())
}

/// Takes Microsoft's server certificate as its client identity.
#[derive(Debug)]
struct ServerAsClient(Arc<WebPkiServerVerifier>);

impl ClientCertVerifier for ServerAsClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let name = ServerName::try_from("sip.pstnhub.microsoft.com").unwrap();
        self.0.verify_server_cert(end_entity, intermediates, &name, &[], now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
