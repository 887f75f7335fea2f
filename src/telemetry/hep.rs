//! Messages to a Homer collector: HEP version 3 over UDP or TCP.
//!
//! Whoever offers a message copies it into a bounded queue and goes on; a thread redacts, encodes and sends. What the
//! queue or the collector does not take is counted and gone: calls never wait for it.

mod packet;

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use self::packet::Sender;
use super::trace::Entry;
use super::trace::redact::{Mask, redact};

/// Messages in the queue, whatever their length.
const MOST_QUEUED: usize = 65_536;

/// How long the collector may take to take a connection, or some bytes.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long until a connection that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);

/// Largest payload that a datagram takes to the collector, chunks included.
const MOST_DATAGRAM: usize = 65_507;

/// Where a collector is and what it is told.
#[derive(Clone)]
pub struct Settings {
    pub collector: SocketAddr,
    /// Over TCP; otherwise over UDP.
    pub over_tcp: bool,
    /// What the edge goes by there.
    pub capture_id: u32,
    pub password: Option<Box<[u8]>>,
    /// Every call, whatever the ring keeps.
    pub all: bool,
    /// Secrets do not leave.
    pub redact: bool,
    /// Bytes that wait.
    pub queue_bytes: usize,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("collector", &self.collector).field("capture_id", &self.capture_id).finish()
    }
}

/// What the exporter has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages handed to the collector.
    pub sent: AtomicU64,
    /// Messages that found the queue full.
    pub dropped: AtomicU64,
    /// Messages that the network did not take.
    pub failed: AtomicU64,
}

/// The queue to the thread that sends.
#[derive(Debug)]
pub struct Exporter {
    collector: SocketAddr,
    queue: SyncSender<Waiting>,
    /// Bytes in it.
    waiting: Arc<AtomicUsize>,
    most_bytes: usize,
    all: bool,
    counts: Arc<Counts>,
}

struct Waiting {
    entry: Entry,
    bytes: Box<[u8]>,
}

impl Exporter {
    /// Starts the thread; it ends when the exporter is dropped.
    ///
    /// # Errors
    /// When the system gives no thread or no socket.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (queue, messages) = sync_channel(MOST_QUEUED);
        let (waiting, counts) = (Arc::<AtomicUsize>::default(), Arc::<Counts>::default());
        let exporter = Self {
            collector: settings.collector,
            queue,
            waiting: Arc::clone(&waiting),
            most_bytes: settings.queue_bytes,
            all: settings.all,
            counts: Arc::clone(&counts),
        };
        let link = Link::open(&settings)?;
        let worker = Worker { settings, link, counts, waiting };
        std::thread::Builder::new().name("trunkway-hep".to_owned()).spawn(move || worker.run(&messages))?;
        Ok(exporter)
    }

    /// Whether messages of all calls are wanted.
    pub const fn takes_all(&self) -> bool {
        self.all
    }

    /// Where messages go.
    pub const fn collector(&self) -> SocketAddr {
        self.collector
    }

    /// What it has done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Takes a copy of a message, if there is room.
    pub fn offer(&self, entry: &Entry, bytes: &[u8]) {
        let before = self.waiting.fetch_add(bytes.len(), Relaxed);
        let fits = before + bytes.len() <= self.most_bytes;
        if !fits || self.queue.try_send(Waiting { entry: *entry, bytes: bytes.into() }).is_err() {
            self.waiting.fetch_sub(bytes.len(), Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

struct Worker {
    settings: Settings,
    link: Link,
    counts: Arc<Counts>,
    waiting: Arc<AtomicUsize>,
}

impl Worker {
    fn run(mut self, messages: &Receiver<Waiting>) {
        let mut packet = Vec::new();
        loop {
            let message = match messages.recv_timeout(LOOK) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Waiting { entry, bytes } = message;
            packet.clear();
            let sender = Sender { capture_id: self.settings.capture_id, password: self.settings.password.as_deref() };
            if self.settings.redact {
                packet::write(&mut packet, &sender, &entry, &redact(&bytes, Mask::SameLength));
            } else {
                packet::write(&mut packet, &sender, &entry, &bytes);
            }
            let count = if self.link.send(&packet) { &self.counts.sent } else { &self.counts.failed };
            count.fetch_add(1, Relaxed);
            self.waiting.fetch_sub(bytes.len(), Relaxed);
        }
    }
}

/// The way to the collector.
enum Link {
    Udp(UdpSocket, SocketAddr),
    Tcp { collector: SocketAddr, stream: Option<TcpStream>, not_before: Option<Instant> },
}

impl Link {
    fn open(settings: &Settings) -> io::Result<Self> {
        let collector = settings.collector;
        if settings.over_tcp {
            return Ok(Self::Tcp { collector, stream: None, not_before: None });
        }
        let any = if collector.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        Ok(Self::Udp(UdpSocket::bind(any)?, collector))
    }

    /// Sends a packet; false when it is lost.
    fn send(&mut self, packet: &[u8]) -> bool {
        match self {
            Self::Udp(socket, collector) => packet.len() <= MOST_DATAGRAM && socket.send_to(packet, *collector).is_ok(),
            Self::Tcp { collector, stream, not_before } => {
                if stream.is_none() && not_before.is_none_or(|at| Instant::now() >= at) {
                    *stream = connect(*collector)
                        .inspect_err(|error| {
                            tracing::debug!(%collector, %error, "the HEP collector takes no connection");
                        })
                        .ok();
                    *not_before = stream.is_none().then(|| Instant::now() + PAUSE);
                }
                let Some(open) = stream else { return false };
                let sent = open.write_all(packet).is_ok();
                if !sent {
                    // A packet that left in part would put the collector out of step.
                    *stream = None;
                }
                sent
            }
        }
    }
}

fn connect(collector: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&collector, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn settings(collector: SocketAddr, over_tcp: bool, queue_bytes: usize) -> Settings {
        Settings { collector, over_tcp, capture_id: 7, password: None, all: false, redact: true, queue_bytes }
    }

    fn until(mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "it takes too long");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn messages_arrive_over_udp_and_without_secrets() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let exporter = Exporter::start(settings(collector.local_addr().unwrap(), false, 65_536)).unwrap();
        exporter.offer(&Entry::default(), b"BYE sip:a SIP/2.0\r\nAuthorization: Digest 5ec2e7\r\n\r\n");
        let mut buffer = [0; 4_096];
        let len = collector.recv(&mut buffer).unwrap();
        assert!(buffer[..len].starts_with(b"HEP3"));
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        assert!(text.contains("Authorization: Digest xxxxxx\r\n") && !text.contains("5ec2e7"), "{text}");
        until(|| exporter.waiting_bytes() == 0);
        assert_eq!(exporter.counts().sent.load(Relaxed), 1);
    }

    #[test]
    fn a_collector_that_comes_late_gets_what_comes_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let exporter = Exporter::start(settings(at, true, 65_536)).unwrap();
        exporter.offer(&Entry::default(), b"lost");
        until(|| exporter.counts().failed.load(Relaxed) == 1);
        let listener = TcpListener::bind(at).unwrap();
        until(|| {
            exporter.offer(&Entry::default(), b"kept");
            std::thread::sleep(Duration::from_millis(50));
            exporter.counts().sent.load(Relaxed) > 0
        });
        let mut head = [0; 4];
        listener.accept().unwrap().0.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HEP3");
    }

    #[test]
    fn what_the_queue_does_not_take_is_counted() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let exporter = Exporter::start(settings(collector.local_addr().unwrap(), false, 100)).unwrap();
        exporter.offer(&Entry::default(), &[b'x'; 101]);
        assert_eq!((exporter.counts().dropped.load(Relaxed), exporter.waiting_bytes()), (1, 0));
    }
}
