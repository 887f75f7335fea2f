//! A receiver that echoes requests and remembers what it saw, and what the tests share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkway::sip::Transport;
use trunkway::transport::{
    FrameFault, Limits, ListenerSettings, Receiver, SendFault, Settings, Source, Token, Transports,
};
use trunkway::trunk::{Flow, Hop, ListenerId, TrunkId};

/// Anything that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const LISTENER: ListenerId = ListenerId(0);

/// One message as the receiver saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub flow: Flow,
    pub local: SocketAddr,
    pub authenticated: Vec<TrunkId>,
    pub bytes: Bytes,
}

/// Answers every request with its own bytes, and every unframed one with its fault.
#[derive(Default)]
pub struct Echo {
    pub transports: OnceLock<Arc<Transports>>,
    pub silent: bool,
    pub count: AtomicUsize,
    pub seen: Mutex<Vec<Seen>>,
    pub unframed: Mutex<Vec<(Bytes, FrameFault)>>,
    pub failed: Mutex<Vec<(Token, SendFault, Instant)>>,
}

impl Receiver for Echo {
    fn message(&self, source: Source<'_>, bytes: Bytes) {
        assert!(!bytes.starts_with(b"PANIC"), "as the test wants it");
        self.count.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(Seen {
            flow: source.flow,
            local: source.local,
            authenticated: source.authenticated.to_vec(),
            bytes: bytes.clone(),
        });
        if !self.silent && !bytes.starts_with(b"SIP/2.0") {
            self.transports().answer(&source.flow, None, bytes, Token::NONE);
        }
    }

    fn unframed(&self, source: Source<'_>, head: Bytes, fault: FrameFault) {
        self.unframed.lock().unwrap().push((head, fault));
        let answer = Bytes::from(format!("SIP/2.0 400 {fault}\r\nl: 0\r\n\r\n"));
        self.transports().answer(&source.flow, None, answer, Token::NONE);
    }

    fn send_failed(&self, token: Token, fault: SendFault) {
        let failure = (token, fault, Instant::now());
        self.failed.lock().unwrap().push(failure);
    }
}

impl Echo {
    pub fn transports(&self) -> &Arc<Transports> {
        self.transports.get().expect("started")
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().expect("a message").clone()
    }

    pub fn failures(&self) -> Vec<(Token, SendFault)> {
        let failed = self.failed.lock().unwrap();
        failed.iter().map(|(token, fault, _)| (*token, *fault)).collect()
    }
}

/// An edge with one listener.
pub struct Edge {
    pub echo: Arc<Echo>,
    pub transports: Arc<Transports>,
    pub addr: SocketAddr,
}

impl Edge {
    pub fn tcp(limits: Limits) -> Self {
        Self::new(listener(Transport::Tcp), limits, Echo::default())
    }

    pub fn new(listener: ListenerSettings, limits: Limits, echo: Echo) -> Self {
        let settings = Settings { listeners: vec![listener], limits, ..Settings::default() };
        let transports = Transports::bind(settings).expect("bound");
        let echo = Arc::new(echo);
        assert!(echo.transports.set(transports.clone()).is_ok());
        transports.start(echo.clone());
        let addr = transports.bound(LISTENER).expect("the listener");
        Self { echo, transports, addr }
    }

    /// A hop to `addr` through this edge's listener.
    pub fn hop(&self, transport: Transport, addr: SocketAddr) -> Hop {
        Hop { listener: LISTENER, transport, addr, name: None, trunk: TrunkId(7) }
    }
}

pub fn listener(transport: Transport) -> ListenerSettings {
    let any_port = "127.0.0.1:0".parse().expect("an address");
    ListenerSettings::new(LISTENER, transport, any_port)
}

/// A request with a body of so many bytes.
pub fn request(method: &str, body: usize) -> Vec<u8> {
    let head = format!("{method} sip:a@127.0.0.1 SIP/2.0\r\nContent-Length: {body}\r\n\r\n");
    [head.into_bytes(), vec![b'.'; body]].concat()
}

/// Waits until something holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Reads exactly as many bytes as `expected` has and compares.
pub async fn expect(stream: &mut (impl AsyncReadExt + Unpin), expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    let read = stream.read_exact(&mut got);
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.expect("in time").expect("enough bytes");
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
}

/// Reads until the peer ends the stream, in an orderly way or not; what came before.
pub async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut got = Vec::new();
    let read = stream.read_to_end(&mut got);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("the peer closes");
    got
}

/// A connection on which one echo has come back, so that it is known to be served.
pub async fn served(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    let hello = request("OPTIONS", 0);
    stream.write_all(&hello).await.expect("written");
    expect(&mut stream, &hello).await;
    stream
}
