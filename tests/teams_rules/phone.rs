//! A telephone over UDP that says exactly what a test wants it to say; as a PBX may, it knows things that Teams does not.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use trunkway::lab::message::{Address, Message, Style};

use crate::support::SOON;

/// How long nothing must come for a test to believe that nothing comes.
const QUIET: Duration = Duration::from_millis(700);

/// One call of it.
pub struct Phone {
    socket: UdpSocket,
    edge: SocketAddr,
    pub call_id: String,
    /// Its own From or To value, with tag.
    pub own: String,
    /// That of the other side.
    pub other: String,
    /// The Request-URI of requests in the dialog.
    pub target: String,
    pub cseq: u32,
    heard: Vec<Message>,
}

/// A description of audio with a direction and a version.
pub fn sdp(ip: &str, version: u32, more: &str) -> Vec<u8> {
    format!(
        "v=0\r\no=- 4711 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 41000 RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n{more}"
    )
    .into_bytes()
}

impl Phone {
    /// A telephone at an address.
    pub async fn new(at: SocketAddr, edge: SocketAddr) -> Self {
        let socket = UdpSocket::bind(at).await.expect("the telephone's address");
        let at = socket.local_addr().unwrap();
        Self {
            socket,
            edge,
            call_id: format!("phone-{}@{at}", at.port()),
            own: format!("<sip:01632960100@{at}>;tag=phone"),
            other: String::new(),
            target: String::new(),
            cseq: 0,
            heard: Vec::new(),
        }
    }

    fn at(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The IP address in its descriptions.
    pub fn ip(&self) -> String {
        self.at().ip().to_string()
    }

    fn contact(&self) -> String {
        format!("<sip:phone@{}>", self.at())
    }

    /// The INVITE of a new call, with a description.
    pub fn invite(&mut self, number: &str) -> Message {
        self.target = format!("sip:{number}@{};user=phone", self.edge);
        self.other = format!("<sip:{number}@{}>", self.edge);
        let mut invite = self.request("INVITE");
        invite.push("Content-Type", "application/sdp");
        invite.body = sdp(&self.ip(), 1, "a=sendrecv\r\n");
        invite
    }

    /// A request of the dialog.
    pub fn request(&mut self, method: &str) -> Message {
        self.cseq += 1;
        self.request_as(method, self.cseq)
    }

    /// The same with a number, as ACK has it.
    pub fn request_as(&self, method: &str, cseq: u32) -> Message {
        let mut request = Message::request(method, &self.target);
        let at = self.at();
        request.push("Via", format!("SIP/2.0/UDP {at};rport;branch=z9hG4bK{}-{cseq}-{method}", at.port()));
        request.push("Max-Forwards", "70");
        request.push("From", self.own.clone());
        request.push("To", self.other.clone());
        request.push("Call-ID", self.call_id.clone());
        request.push("CSeq", format!("{cseq} {method}"));
        request.push("Contact", self.contact());
        request.push("User-Agent", "Phone/1.0");
        request
    }

    /// Sends a message.
    pub async fn send(&self, message: &Message) {
        self.socket.send_to(&message.to_bytes(Style::Plain), self.edge).await.expect("the edge is there");
    }

    /// The next message that fits; others are remembered.
    pub async fn hear(&mut self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        if let Some(at) = self.heard.iter().position(&fits) {
            return self.heard.remove(at);
        }
        let deadline = tokio::time::Instant::now() + SOON;
        let mut buffer = vec![0; 65_535];
        loop {
            let got = tokio::time::timeout_at(deadline, self.socket.recv_from(&mut buffer)).await;
            let Ok(Ok((length, _))) = got else { panic!("{what} did not come; but {:#?}", self.heard) };
            let message = Message::parse(&buffer[..length]).expect("a SIP message").message;
            if fits(&message) {
                return message;
            }
            self.heard.push(message);
        }
    }

    /// What came and was not asked for, once nothing comes any more.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut buffer = vec![0; 65_535];
        while let Ok(Ok((length, _))) = tokio::time::timeout(QUIET, self.socket.recv_from(&mut buffer)).await {
            self.heard.push(Message::parse(&buffer[..length]).expect("a SIP message").message);
        }
        std::mem::take(&mut self.heard)
    }

    /// Sends a request and hears its final answer, whatever rings before.
    pub async fn ask(&mut self, request: &Message) -> Message {
        self.send(request).await;
        let cseq = request.value("CSeq").unwrap().to_owned();
        self.hear(&format!("a final answer to {cseq}"), |message| {
            message.code().is_some_and(|code| code >= 200) && message.value("CSeq") == Some(&cseq)
        })
        .await
    }

    /// Takes the dialog of a 2xx to its INVITE, and acknowledges it.
    pub async fn establish(&mut self, ok: &Message) {
        assert_eq!(ok.code(), Some(200), "{ok:#?}");
        self.learn(ok);
        self.acknowledge(ok).await;
        // Nothing answers an ACK, and what follows at once may overtake it.
        tokio::time::sleep(QUIET / 2).await;
    }

    /// Takes To and Contact of an answer.
    pub fn learn(&mut self, answer: &Message) {
        self.other = answer.value("To").unwrap().to_owned();
        if let Some(contact) = answer.list("Contact").first() {
            self.target = Address::parse(contact).unwrap().uri;
        }
    }

    /// The ACK of a 2xx.
    pub async fn acknowledge(&self, ok: &Message) {
        let (cseq, _) = ok.cseq().unwrap();
        self.send(&self.request_as("ACK", cseq)).await;
    }

    /// The call to a number is up, once this returns.
    pub async fn call(&mut self, number: &str) -> Message {
        let invite = self.invite(number);
        let ok = self.ask(&invite).await;
        self.establish(&ok).await;
        ok
    }

    /// An answer to a request, which makes the dialog where there is none yet.
    pub fn answer(&mut self, request: &Message, code: u16, reason: &str) -> Message {
        let mut answer = Message::response(code, reason);
        for name in ["Via", "Record-Route", "From"] {
            for value in request.lines(name) {
                answer.push(name, value);
            }
        }
        let to = request.value("To").unwrap();
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag=phone") };
        if code > 100 && request.method() == Some("INVITE") {
            self.own.clone_from(&to);
            self.other = request.value("From").unwrap().to_owned();
            self.call_id = request.call_id().to_owned();
            self.target = Address::parse(request.list("Contact").first().unwrap()).unwrap().uri;
        }
        answer.push("To", to);
        for name in ["Call-ID", "CSeq"] {
            answer.push(name, request.value(name).unwrap());
        }
        answer.push("Contact", self.contact());
        answer
    }

    /// 200 with a description.
    pub fn ok_with(&mut self, request: &Message, version: u32, more: &str) -> Message {
        let mut ok = self.answer(request, 200, "OK");
        ok.push("Content-Type", "application/sdp");
        ok.body = sdp(&self.ip(), version, more);
        ok
    }

    /// Hangs up; 200 comes back.
    pub async fn hang_up(&mut self) {
        let bye = self.request("BYE");
        let answer = self.ask(&bye).await;
        assert_eq!(answer.code(), Some(200), "{answer:#?}");
    }
}
