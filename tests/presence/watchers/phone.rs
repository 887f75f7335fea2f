//! A phone behind one TCP connection that watches and publishes, message by message in the hand of a test.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::SOON;
use crate::support::place::Place;

/// A phone at a host of a place, from a port that the system picks: the edge can reach it over its connection only.
pub struct Phone {
    stream: TcpStream,
    at: SocketAddr,
    edge: SocketAddr,
    buffer: Vec<u8>,
    /// What came while something else was waited for.
    heard: VecDeque<Heard>,
    count: u32,
    /// The bodies of all NOTIFYs, for the schemas.
    pub bodies: Vec<String>,
}

/// A message from the edge.
#[derive(Clone, Debug)]
pub struct Heard {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Heard {
    /// The value of a header, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The status of an answer, 0 of a request.
    pub fn status(&self) -> u16 {
        self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    }
}

/// A subscription of the phone's.
#[derive(Clone, Debug)]
pub struct Watch {
    pub call_id: String,
    uri: String,
    event: String,
    to: String,
    cseq: u32,
}

impl Phone {
    /// Connects to the edge.
    pub fn connect(place: &Place, host: u8) -> Self {
        Self::connect_to(place, host, 1)
    }

    /// Connects to another host of the place.
    pub fn connect_to(place: &Place, host: u8, to: u8) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(place.ip(host), 0).into()).unwrap();
        let edge = place.at(to);
        socket.connect(&edge.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(SOON)).unwrap();
        let at = stream.local_addr().unwrap();
        Self { stream, at, edge, buffer: Vec::new(), heard: VecDeque::new(), count: 0, bodies: Vec::new() }
    }

    /// The URI of a user at the edge.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.edge)
    }

    /// Subscribes to a user; gives the answer and the subscription.
    pub fn subscribe(&mut self, user: &str, event: &str, more: &str) -> (Heard, Watch) {
        let uri = self.uri(user);
        let call_id = format!("{}-{}", self.at.port(), self.next());
        let mut watch = Watch { call_id, to: format!("<{uri}>"), uri, event: event.to_owned(), cseq: 0 };
        let answer = self.again(&mut watch, more);
        watch.to = answer.header("To").to_owned();
        if answer.status() == 200 {
            let contact = answer.header("Contact").trim_start_matches('<');
            watch.uri = contact.split('>').next().unwrap_or_default().to_owned();
        }
        (answer, watch)
    }

    /// Sends the next SUBSCRIBE of a subscription; gives the answer.
    pub fn again(&mut self, watch: &mut Watch, more: &str) -> Heard {
        watch.cseq += 1;
        let Watch { call_id, uri, event, to, cseq } = watch.clone();
        let contact = format!("Contact: <sip:phone@{};transport=tcp>\r\n", self.at);
        let head = format!("Event: {event}\r\n{contact}{more}");
        self.send("SUBSCRIBE", &uri, &to, &call_id, cseq, &head, "")
    }

    /// Publishes for a user; gives the answer.
    pub fn publish(&mut self, user: &str, event: &str, more: &str, body: &str) -> Heard {
        let uri = self.uri(user);
        let call_id = format!("{}-{}", self.at.port(), self.next());
        let kind = match event {
            _ if body.is_empty() => String::new(),
            "dialog" => "Content-Type: application/dialog-info+xml\r\n".to_owned(),
            _ => "Content-Type: application/pidf+xml\r\n".to_owned(),
        };
        let head = format!("Event: {event}\r\n{kind}{more}");
        self.send("PUBLISH", &uri, &format!("<{uri}>"), &call_id, 1, &head, body)
    }

    /// The next NOTIFY of a subscription, answered with 200.
    pub fn notified(&mut self, watch: &Watch) -> Heard {
        let call_id = watch.call_id.clone();
        let notify =
            self.wait("a NOTIFY", |heard| heard.start.starts_with("NOTIFY ") && heard.header("Call-ID") == call_id);
        let copied = notify.headers.iter().filter(|(name, _)| {
            ["via", "from", "to", "call-id", "cseq"].iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        let copied: String = copied.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer = format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n");
        self.stream.write_all(answer.as_bytes()).unwrap();
        if !notify.body.is_empty() {
            self.bodies.push(notify.body.clone());
        }
        notify
    }

    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    #[allow(clippy::too_many_arguments, reason = "they are the parts of a request")]
    fn send(&mut self, method: &str, uri: &str, to: &str, call_id: &str, cseq: u32, head: &str, body: &str) -> Heard {
        let (at, branch) = (self.at, self.next());
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {at};branch=z9hG4bK{}-{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:phone@{at}>;tag=phone\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             {head}Content-Length: {}\r\n\r\n{body}",
            at.port(),
            body.len()
        );
        self.stream.write_all(text.as_bytes()).unwrap();
        let wanted = format!("{cseq} {method}");
        self.wait(&format!("an answer to {method}"), |heard| {
            heard.status() >= 200 && heard.header("Call-ID") == call_id && heard.header("CSeq") == wanted
        })
    }

    /// The first message that is wanted; others are kept.
    fn wait(&mut self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        if let Some(at) = self.heard.iter().position(&wanted) {
            return self.heard.remove(at).unwrap();
        }
        loop {
            while let Some(heard) = self.cut() {
                if wanted(&heard) {
                    return heard;
                }
                self.heard.push_back(heard);
            }
            let mut piece = [0; 4_096];
            let len = self.stream.read(&mut piece).unwrap_or_else(|error| panic!("{what}: {error}: {:?}", self.heard));
            assert!(len > 0, "{what}: the edge has closed the connection");
            self.buffer.extend_from_slice(&piece[..len]);
        }
    }

    /// Cuts a whole message off the front of what has come.
    fn cut(&mut self) -> Option<Heard> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let headers: Vec<_> = lines.filter_map(header).collect();
        let mut heard = Heard { start, headers, body: String::new() };
        let len: usize = heard.header("Content-Length").parse().unwrap();
        if self.buffer.len() < end + 4 + len {
            return None;
        }
        heard.body = String::from_utf8(self.buffer[end + 4..end + 4 + len].to_vec()).unwrap();
        self.buffer.drain(..end + 4 + len);
        Some(heard)
    }
}
