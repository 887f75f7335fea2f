//! Who sends the messages and who gets them: plain sockets, read until a mark comes through.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, Net};

/// How long anything may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a read waits before the reader looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// Ports that answers go to: what the messages' top Via values name.
const PORTS: [u16; 3] = [5060, 5061, 5050];

/// Answers every request with 200 and tells of it.
pub struct Sink {
    requests: Receiver<Vec<u8>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    pub fn start(addr: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).expect("the sink's address");
        socket.set_read_timeout(Some(TICK)).expect("a timeout");
        let (tell, requests) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let bytes = buffer[..length].to_vec();
                if let Some(answer) = answer(&bytes) {
                    socket.send_to(&answer, from).expect("a send on loopback");
                }
                if tell.send(bytes).is_err() {
                    return;
                }
            }
        });
        Self { requests, stop, thread: Some(thread) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The 200 to a request; none to an ACK or to what is no request. Header lines are copied as they are.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    use trunkway::sip::{Framing, HeaderName, Limits, Message};
    let message = Message::parse(request.to_vec().into(), Framing::Datagram, &Limits::default()).ok()?;
    if !message.is_request() || message.method() == b"ACK" {
        return None;
    }
    let mut out = b"SIP/2.0 200 OK\r\n".to_vec();
    for line in message.lines() {
        let copied = matches!(
            line.name,
            HeaderName::Via
                | HeaderName::From
                | HeaderName::To
                | HeaderName::CallId
                | HeaderName::CSeq
                | HeaderName::RecordRoute
        );
        if copied {
            out.extend_from_slice(&message.bytes()[usize::from(line.start)..usize::from(line.value_end)]);
            if line.name == HeaderName::To && message.to_tag().is_none() {
                out.extend_from_slice(b";tag=sink");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(out)
}

/// What a message brought about.
#[derive(Debug, Default)]
pub struct Seen {
    /// Answers other than 100 that came back.
    pub answers: Vec<Vec<u8>>,
    /// Requests that the sink got, copies left out.
    pub forwarded: Vec<Vec<u8>>,
}

impl Seen {
    pub fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| status(answer)).collect()
    }
}

/// The status of an answer; 0 where it is none.
pub fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// A daemon with its peers.
pub struct Stage {
    pub net: Net,
    pub daemon: Daemon,
    sockets: Vec<UdpSocket>,
    sink: Sink,
    marks: u32,
    /// What the sink has got: copies, which come whenever something was slow, look the same byte for byte.
    known: HashSet<Vec<u8>>,
}

impl Stage {
    /// Starts everything and waits until the edge answers.
    pub fn open() -> Self {
        let net = Net::new();
        let sockets = PORTS.map(|port| {
            let socket = UdpSocket::bind((net.sender, port)).expect("the sender's address");
            socket.set_read_timeout(Some(TICK)).expect("a timeout");
            socket
        });
        let sink = Sink::start(net.sink);
        let daemon = Daemon::start(&net);
        let mut stage = Self { net, daemon, sockets: sockets.into(), sink, marks: 0, known: HashSet::new() };
        stage.ping();
        stage
    }

    pub fn send(&self, bytes: &[u8]) {
        self.sockets[0].send_to(bytes, self.net.edge).expect("a send on loopback");
    }

    /// An OPTIONS to the edge itself is answered: it lives.
    pub fn ping(&mut self) {
        self.marks += 1;
        let (edge, id) = (self.net.edge, format!("ping-{}", self.marks));
        let ping = self.marker("OPTIONS", &format!("sip:{edge}"), &id);
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(!self.daemon.has_ended(), "the daemon has ended");
            assert!(Instant::now() < end, "the edge does not answer");
            // Refused while the daemon is not there yet.
            let _ = self.sockets[0].send_to(ping.as_bytes(), edge);
            if self.receive(0).is_some_and(|answer| String::from_utf8_lossy(&answer).contains(&id)) {
                return;
            }
        }
    }

    fn marker(&self, method: &str, uri: &str, id: &str) -> String {
        let sender = self.net.sender;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {sender}:5060;branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
             From: <sip:mark@{sender}>;tag=m\r\nTo: <sip:mark@example.com>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    /// A request that goes to the sink and is answered: what was sent before it has been dealt with then.
    pub fn next_mark(&mut self) -> (String, String) {
        self.marks += 1;
        let id = format!("mark-{}-end", self.marks);
        (self.marker("MESSAGE", "sip:mark@example.com", &id), id)
    }

    fn receive(&self, socket: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        match self.sockets[socket].recv(&mut buffer) {
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            // The edge was not there when the last datagram was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until everything sent so far has been dealt with, and tells what came of it.
    pub fn settle(&mut self) -> Seen {
        let mut seen = Seen::default();
        let (mark, id) = self.next_mark();
        let (start, mut asked) = (Instant::now(), None::<Instant>);
        loop {
            assert!(start.elapsed() < PATIENCE, "the mark does not come back");
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(1)) {
                self.send(mark.as_bytes());
                asked = Some(Instant::now());
            }
            match self.receive(0) {
                Some(answer) if String::from_utf8_lossy(&answer).contains(&id) => break,
                Some(answer) => seen.take_answer(answer),
                None => assert!(!self.daemon.has_ended(), "the daemon has ended"),
            }
        }
        for socket in 1..PORTS.len() {
            self.sockets[socket].set_nonblocking(true).expect("a socket");
            while let Some(answer) = self.receive(socket) {
                seen.take_answer(answer);
            }
        }
        self.forwarded_until(&id, &mut seen);
        seen
    }

    /// Collects what the sink got before the mark, which it has got already or will.
    pub fn forwarded_until(&mut self, id: &str, seen: &mut Seen) {
        loop {
            let request = self.sink.requests.recv_timeout(PATIENCE).expect("the mark at the sink");
            let text = String::from_utf8_lossy(&request);
            if text.contains(id) {
                return;
            }
            if !text.contains("Call-ID: mark-") && self.known.insert(request.clone()) {
                seen.forwarded.push(request);
            }
        }
    }
}

impl Seen {
    pub fn take_answer(&mut self, answer: Vec<u8>) {
        let text = String::from_utf8_lossy(&answer);
        let ours = text.contains("Call-ID: mark-") || text.contains("Call-ID: ping-");
        if !ours && status(&answer) != 100 && !self.answers.contains(&answer) {
            self.answers.push(answer);
        }
    }
}
