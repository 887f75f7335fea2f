//! An edge by hand: bare sockets that say what a test tells them to, with nothing made right by itself.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use trunkway::lab::certificates::Authority;
use trunkway::lab::message::{Address, Message, Style};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::wire::{Source, Tls, Wire, WireEvent};
use trunkway::lab::{
    Agent, Complaint, Destination, Endpoint, Ladder, Names, Profile, Script, Scripts, Tenant, Tenants, TlsSettings,
    Transport,
};

pub const LIMIT: Duration = Duration::from_secs(10);
pub const SITE: &str = "sbc.example.net";
pub const USER: &str = "+441632760001";
pub const CALLER: &str = "+441632960100";
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REFER";
pub const SDP: &str = "v=0\r\no=- 1000 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 8\r\na=sendrecv\r\n";

/// The stand-in for Teams, and an edge by hand in front of it.
pub struct Bench {
    pub teams: Agent,
    pub edge: RawEdge,
}

/// Settings of a stand-in that knows two tenants with one number each and refuses every call with 486.
pub fn settings(profile: Profile, authority: &Authority) -> TeamsSettings {
    let local = "127.0.0.1".parse().unwrap();
    // The edge's stock verifier wants both purposes.
    let identity = authority.edge(&["sip.pstnhub.microsoft.com", "127.0.0.1"]).unwrap();
    let tls = TlsSettings { ca: authority.pem().into(), certificate: identity.certificate, key: identity.key };
    let names = Names::default().with("*.example.net", local);
    let listen = Endpoint { transport: Transport::Tls, addr: "127.0.0.1:0".parse().unwrap() };
    let mut settings = TeamsSettings::new(listen, tls, names);
    settings.profile = profile;
    settings.behind_edge = false;
    settings.tenants = Tenants::default()
        .with(Tenant::new(SITE, Some(&[USER, "+441632760003;ext=7"])))
        .with(Tenant::new("fabrikam.example.net", Some(&["+441632760002"])));
    settings.scripts = Scripts::default().with_other(Script::reject(486));
    settings
}

impl Bench {
    pub async fn start(profile: Profile, shape: impl FnOnce(&mut TeamsSettings)) -> Self {
        let authority = Authority::new().unwrap();
        let mut settings = settings(profile, &authority);
        shape(&mut settings);
        let teams = teams::start(settings, &Ladder::new(1000)).await.unwrap();
        let identity = authority.edge(&["*.example.net", "*.unknown.example", "127.0.0.1"]).unwrap();
        let tls = TlsSettings { ca: authority.pem().into(), certificate: identity.certificate, key: identity.key };
        let to = Destination {
            endpoint: teams.endpoint(Transport::Tls).unwrap(),
            name: Some("sip.pstnhub.microsoft.com".into()),
        };
        let edge = RawEdge::start(&tls, to).await;
        Self { teams, edge }
    }

    /// The complaints about one call, or about all; in the order in which they came.
    pub fn complaints(&self, call_id: &str) -> Vec<Complaint> {
        let all = self.teams.journal().complaints();
        all.into_iter().filter(|complaint| call_id.is_empty() || complaint.call_id == call_id).collect()
    }

    /// Names of the rules that were broken.
    pub fn rules(&self, call_id: &str) -> Vec<&'static str> {
        self.complaints(call_id).into_iter().filter_map(|complaint| complaint.rule).collect()
    }

    /// Waits for a complaint by a rule.
    pub async fn expect_rule(&self, rule: &str) {
        let find = |journal: &trunkway::lab::Journal| {
            journal.complaints().into_iter().find(|complaint| complaint.rule == Some(rule))
        };
        let found = self.teams.journal().wait(LIMIT, find).await;
        assert!(found.is_some(), "{rule}: {:?}", self.complaints(""));
    }

    pub async fn stop(self) {
        self.edge.stop().await;
        self.teams.stop().await;
    }
}

pub struct RawEdge {
    wire: Wire,
    events: mpsc::Receiver<WireEvent>,
    stop: CancellationToken,
    pub to: Destination,
    pub port: u16,
    count: u32,
}

impl RawEdge {
    async fn start(tls: &TlsSettings, to: Destination) -> Self {
        let (sender, events) = mpsc::channel(1000);
        let stop = CancellationToken::new();
        let listen = Endpoint { transport: Transport::Tls, addr: "127.0.0.1:0".parse().unwrap() };
        let wire = Wire::bind(&[listen], Some(Tls::new(tls).unwrap()), sender, stop.clone()).await.unwrap();
        let port = wire.local(Transport::Tls).unwrap().port();
        Self { wire, events, stop, to, port, count: 0 }
    }

    async fn stop(self) {
        self.stop.cancel();
        drop(self.events);
        self.wire.stop().await;
    }

    /// Sends a request to Teams.
    pub fn send(&mut self, request: &Message) {
        self.wire.send(&self.to, request.to_bytes(Style::Plain)).unwrap();
    }

    /// The next message, whatever it is.
    pub async fn next(&mut self) -> (Source, Message) {
        let read = async {
            loop {
                let event = self.events.recv().await.unwrap();
                self.wire.note(&event);
                if let WireEvent::Packet { source, bytes } = event {
                    return (source, Message::parse(&bytes).unwrap().message);
                }
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("a message in time")
    }

    /// The next request of one method; everything else is passed over.
    pub async fn request(&mut self, method: &str) -> (Source, Message) {
        loop {
            let (source, message) = self.next().await;
            if message.method() == Some(method) {
                return (source, message);
            }
        }
    }

    /// The next final answer.
    pub async fn answer(&mut self) -> Message {
        loop {
            let (_, message) = self.next().await;
            if message.code().is_some_and(|code| code >= 200) {
                return message;
            }
        }
    }

    fn place(&self) -> String {
        format!("{SITE}:{}", self.port)
    }

    /// A request of an edge that does everything right, with a branch of its own.
    pub fn compose(&mut self, method: &str, uri: &str, call_id: &str, cseq: u32) -> Message {
        self.count += 1;
        let place = self.place();
        let mut request = Message::request(method, uri);
        request.push("Via", format!("SIP/2.0/TLS {place};branch=z9hG4bKraw{}", self.count));
        request.push("Max-Forwards", "69");
        request.push("From", format!("<sip:{CALLER}@{SITE};user=phone>;tag=raw"));
        request.push("To", format!("<sip:{USER}@{SITE};user=phone>"));
        request.push("Call-ID", call_id);
        request.push("CSeq", format!("{cseq} {method}"));
        request.push("Contact", format!("<sip:{CALLER}@{place};transport=tls>"));
        sign(&mut request);
        request
    }

    pub fn invite(&mut self, call_id: &str) -> Message {
        let uri = format!("sip:{USER}@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls");
        let mut invite = self.compose("INVITE", &uri, call_id, 1);
        invite.push("Content-Type", "application/sdp");
        invite.body = SDP.into();
        invite
    }

    pub fn options(&mut self, call_id: &str) -> Message {
        self.compose("OPTIONS", "sip:sip.pstnhub.microsoft.com:5061;transport=tls", call_id, 1)
    }

    /// The ACK of a refusal.
    pub fn refusal_ack(&self, invite: &Message, refusal: &Message) -> Message {
        let mut ack = Message::request("ACK", invite.uri().unwrap());
        for (name, of) in [("Via", invite), ("From", invite), ("To", refusal), ("Call-ID", invite)] {
            ack.push(name, of.value(name).unwrap());
        }
        ack.push("CSeq", format!("{} ACK", invite.cseq().unwrap().0));
        ack.push("Max-Forwards", "70");
        ack
    }

    /// A request inside the dialog that a 2xx of Teams made.
    pub fn within(&mut self, method: &str, answer: &Message, cseq: u32) -> Message {
        let target = Address::parse(&answer.list("Contact")[0]).unwrap().uri;
        let mut request = self.compose(method, &target, answer.call_id(), cseq);
        set(&mut request, "To", answer.value("To"));
        for route in answer.list("Record-Route").into_iter().rev() {
            request.push("Route", route);
        }
        request
    }

    /// Calls Teams and gives the 200, acknowledged.
    pub async fn call(&mut self, call_id: &str) -> Message {
        let invite = self.invite(call_id);
        self.send(&invite);
        let answer = self.answer().await;
        assert_eq!(answer.code(), Some(200), "{answer:?}");
        let ack = self.within("ACK", &answer, 1);
        self.send(&ack);
        answer
    }

    /// An answer to a request of Teams in which everything is right.
    pub fn response(&self, request: &Message, code: u16) -> Message {
        let mut response = Message::response(code, "Whatever");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in request.list(name) {
                let tagless = name == "To" && request.tag("To").is_none();
                response.push(name, if tagless { format!("{value};tag=raw") } else { value });
            }
        }
        response.push("Contact", format!("<sip:{USER}@{};transport=tls>", self.place()));
        sign(&mut response);
        if request.method() == Some("INVITE") && (code == 200 || code == 183) {
            response.push("Content-Type", "application/sdp");
            let text = String::from_utf8_lossy(&request.body);
            let direction = if text.contains("a=inactive") { "a=inactive" } else { "a=sendrecv" };
            response.body = SDP.replace("a=sendrecv", direction).into();
        }
        response
    }

    /// Sends an answer back the way its request came.
    pub fn reply(&mut self, source: &Source, response: &Message) {
        self.wire.answer(source, source.remote, response.to_bytes(Style::Plain)).unwrap();
    }

    /// NOTIFY of a transfer.
    pub fn notify(&mut self, answer: &Message, cseq: u32, status: &str) -> Message {
        let mut notify = self.within("NOTIFY", answer, cseq);
        notify.push("Event", "refer");
        let last = !status.starts_with('1');
        notify.push("Subscription-State", if last { "terminated;reason=noresource" } else { "active;expires=60" });
        notify.push("Content-Type", "message/sipfrag;version=2.0");
        notify.body = format!("SIP/2.0 {status}\r\n").into_bytes();
        notify
    }
}

fn sign(message: &mut Message) {
    message.push("Allow", ALLOW);
    message.push("X-MS-SBC", "Example/Edge/1.0");
}

/// Puts one line in place of all lines of a header; `None` takes them away.
pub fn set(message: &mut Message, name: &str, value: Option<&str>) {
    message.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
    if let Some(value) = value {
        message.push(name, value);
    }
}
