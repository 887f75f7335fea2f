//! OpenSSL's own client as a PBX: what is typed into it goes over one TLS connection, and what comes is read back.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::place::Place;
use crate::support::process::Process;

/// A connection of the PBX.
pub struct Peer {
    process: Process,
    edge: SocketAddr,
    own: SocketAddr,
}

/// A call that is up, as its caller knows it.
pub struct Dialog {
    pub to: String,
    pub target: String,
    pub routes: Vec<String>,
}

impl Peer {
    /// Connects from a host of the place to the edge at `to`, and proves to be `pbx.example.net`; trusts the authority
    /// in the file `ca` of the same folder.
    pub fn connect(place: &Place, name: &str, host: u8, to: SocketAddr, certificates: &Path, ca: &str) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &to.to_string(), "-bind", &format!("{}:0", place.ip(host))]);
        command.args(["-verify_return_error", "-verify_hostname", "edge.example.net", "-ign_eof", "-tls1_3"]);
        command.arg("-CAfile").arg(certificates.join(ca));
        command.arg("-cert").arg(certificates.join("pbx.pem")).arg("-key").arg(certificates.join("pbx.key"));
        let mut process = Process::start_with(name, place.folder(), command.stdin(Stdio::piped()));
        process.ready("the handshake is done", |it| it.output().contains("Verify return code: 0 (ok)").then_some(()));
        Self { process, edge: place.tls_at(1), own: place.tls_at(host) }
    }

    fn type_text(&mut self, text: &str) {
        let stdin = self.process.child().stdin.as_mut().expect("it reads what is typed");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("openssl takes it");
    }

    /// The header fields that all requests of a call have.
    fn request(&self, start: &str, method: &str, call: &str, to: &str, cseq: u32) -> String {
        let own = self.own;
        format!(
            "{start} SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bK{call}{cseq}{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:2000@{own}>;tag={call}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:2000@{own};transport=tls>\r\n"
        )
    }

    /// Asks for a sign of life, and waits for it.
    pub fn options(&mut self, call: &str) {
        let to = format!("<sip:{};transport=tls>", self.edge);
        let text = self.request(&format!("OPTIONS sip:{};transport=tls", self.edge), "OPTIONS", call, &to, 1);
        self.type_text(&format!("{text}Content-Length: 0\r\n\r\n"));
        self.wait_for(&format!("answer to OPTIONS {call}"), |message| {
            message.starts_with("SIP/2.0 200") && message.contains(&format!("Call-ID: {call}\r\n"))
        });
    }

    /// Calls a number.
    pub fn invite(&mut self, call: &str, number: &str) {
        let to = format!("<sip:{number}@{}>", self.edge);
        let text = self.request(&format!("INVITE sip:{number}@{};transport=tls", self.edge), "INVITE", call, &to, 1);
        let ip = self.own.ip();
        let body = format!(
            "v=0\r\no=pbx 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\n\
             a=rtpmap:8 PCMA/8000\r\n"
        );
        let length = body.len();
        self.type_text(&format!("{text}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"));
    }

    /// Waits until the callee rings.
    pub fn rings(&mut self, call: &str) {
        let of = format!("Call-ID: {call}\r\n");
        self.wait_for("ringing", |message| message.starts_with("SIP/2.0 180") && message.contains(&of));
    }

    /// Waits for the answer to the call, and acknowledges it.
    pub fn answered(&mut self, call: &str) -> Dialog {
        let of = format!("Call-ID: {call}\r\n");
        let answer = self.wait_for("the answer", |message| {
            message.starts_with("SIP/2.0 200") && message.contains(&of) && message.contains(" INVITE\r\n")
        });
        let header = |name: &str| {
            let line = answer.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
        };
        let contact = header("contact").expect("a Contact");
        let target = contact.trim_start_matches('<').split('>').next().expect("a URI").to_owned();
        let routes = answer.lines().filter_map(|line| line.strip_prefix("Record-Route: ")).map(str::to_owned).collect();
        let dialog = Dialog { to: header("to").expect("a To"), target, routes };
        self.inside(&dialog, "ACK", call, 1);
        dialog
    }

    /// Hangs up, and waits until that is confirmed.
    pub fn hang_up(&mut self, dialog: &Dialog, call: &str) {
        self.inside(dialog, "BYE", call, 2);
        let of = format!("Call-ID: {call}\r\n");
        self.wait_for("the answer to BYE", |message| {
            message.starts_with("SIP/2.0 200") && message.contains(&of) && message.contains(" BYE\r\n")
        });
    }

    fn inside(&mut self, dialog: &Dialog, method: &str, call: &str, cseq: u32) {
        let mut text = self.request(&format!("{method} {}", dialog.target), method, call, &dialog.to, cseq);
        // The caller's own route set is the Record-Route backwards (RFC 3261 section 12.1.2).
        text.extend(dialog.routes.iter().rev().map(|route| format!("Route: {route}\r\n")));
        self.type_text(&format!("{text}Content-Length: 0\r\n\r\n"));
    }

    fn wait_for(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        self.process.ready(what, |process| {
            let output = process.output();
            output
                .match_indices("SIP/2.0 ")
                .map(|(at, _)| &output[at..])
                .map(head)
                .find(|it| fits(it))
                .map(str::to_owned)
        })
    }

    /// Waits until the edge ends the connection.
    pub fn ends(&mut self) {
        self.process.wait(crate::support::SOON);
    }

    /// Whether the connection is there.
    pub fn is_open(&mut self) -> bool {
        self.process.ended().is_none()
    }
}

/// A message up to the end of its header fields; empty while it is not whole.
fn head(text: &str) -> &str {
    text.find("\r\n\r\n").map_or("", |end| &text[..end + 2])
}
