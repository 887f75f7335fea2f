//! The sockets of one stand-in: a UDP socket, stream listeners, and the connections that it accepted or dialled.

mod stream;
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) use tls::certificate_names;
pub use tls::{Tls, TlsError, TlsSettings};

/// Most connections that one stand-in keeps open.
const CONNECTION_LIMIT: usize = 256;
/// Most messages that wait to be written on one socket.
const WRITE_QUEUE: usize = 256;
/// Largest datagram.
const DATAGRAM_LIMIT: usize = 65_535;

/// A transport of the stand-ins; their own type, so that a fault in the edge's is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Tls,
    Udp,
}

impl Transport {
    /// The token of a Via: `UDP`, `TCP`, `TLS`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
        }
    }

    /// Reads a token in any case.
    pub fn from_token(token: &str) -> Option<Self> {
        [Self::Tcp, Self::Tls, Self::Udp].into_iter().find(|known| known.token().eq_ignore_ascii_case(token))
    }

    /// The port that is meant when none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 5061,
            Self::Tcp | Self::Udp => 5060,
        }
    }
}

/// A transport and a socket address, written `udp:127.0.0.1:5060`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub transport: Transport,
    pub addr: SocketAddr,
}

/// Text that is no [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not of the form udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT")]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (transport, addr) = text.split_once(':')?;
            Some(Self { transport: Transport::from_token(transport)?, addr: addr.parse().ok()? })
        };
        read().ok_or_else(|| EndpointError(text.into()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.token().to_ascii_lowercase(), self.addr)
    }
}

/// Where a message came from, and so where its answers go.
#[derive(Clone, Debug)]
pub struct Source {
    pub transport: Transport,
    pub remote: SocketAddr,
    /// Zero for datagrams.
    pub connection: u64,
    /// The peer's end-entity certificate, DER.
    pub certificate: Option<Arc<[u8]>>,
    /// The peer made the connection.
    pub accepted: bool,
    /// The name that the peer dialled, as its SNI says.
    pub server_name: Option<Arc<str>>,
}

impl Source {
    /// A place without TLS, as far as anything was said about it.
    pub const fn plain(transport: Transport, remote: SocketAddr, connection: u64) -> Self {
        Self { transport, remote, connection, certificate: None, accepted: false, server_name: None }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    pub endpoint: Endpoint,
    /// The name that goes out as SNI and that the peer's certificate must carry.
    pub name: Option<String>,
}

/// What the sockets report.
#[derive(Debug)]
pub enum WireEvent {
    Accepted {
        connection: u64,
        sender: mpsc::Sender<Vec<u8>>,
    },
    Closed {
        connection: u64,
        reason: String,
    },
    /// A connection could not be made, or not be kept.
    Failed {
        connection: u64,
        endpoint: Endpoint,
        reason: String,
    },
    /// The stream broke the rules of framing.
    Fault {
        source: Source,
        text: String,
    },
    Packet {
        source: Source,
        bytes: Vec<u8>,
    },
}

/// Why a stand-in could not start or send.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WireError {
    #[error("cannot bind {endpoint}: {source}")]
    Bind { endpoint: Endpoint, source: std::io::Error },
    #[error("the connection to {0} is gone")]
    Gone(SocketAddr),
    #[error("there is no {0} socket to send from")]
    NoSocket(&'static str),
    #[error("no certificate was given for TLS")]
    NoTls,
    #[error("the queue of {0} is full")]
    QueueFull(SocketAddr),
}

/// The sockets of one stand-in; owned by its task.
#[derive(Debug)]
pub struct Wire {
    bound: Vec<Endpoint>,
    udp: Option<mpsc::Sender<(SocketAddr, Vec<u8>)>>,
    connections: HashMap<u64, mpsc::Sender<Vec<u8>>>,
    dialled: HashMap<Destination, u64>,
    shared: Shared,
}

/// What every socket task needs.
#[derive(Clone, Debug)]
struct Shared {
    events: mpsc::Sender<WireEvent>,
    tls: Option<Tls>,
    next: Arc<AtomicU64>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Wire {
    /// Binds all endpoints; port 0 takes a free one.
    pub async fn bind(
        endpoints: &[Endpoint],
        tls: Option<Tls>,
        events: mpsc::Sender<WireEvent>,
        stop: CancellationToken,
    ) -> Result<Self, WireError> {
        let shared = Shared {
            events,
            tls,
            next: Arc::new(AtomicU64::new(1)),
            room: Arc::new(Semaphore::new(CONNECTION_LIMIT)),
            stop,
            tasks: TaskTracker::new(),
        };
        let mut wire =
            Self { bound: Vec::new(), udp: None, connections: HashMap::new(), dialled: HashMap::new(), shared };
        for endpoint in endpoints {
            let addr = match endpoint.transport {
                Transport::Udp => wire.bind_udp(endpoint.addr).await,
                Transport::Tcp | Transport::Tls => wire.bind_stream(endpoint).await,
            };
            let addr = addr.map_err(|source| WireError::Bind { endpoint: *endpoint, source })?;
            wire.bound.push(Endpoint { transport: endpoint.transport, addr });
        }
        Ok(wire)
    }

    async fn bind_udp(&mut self, addr: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = Arc::new(UdpSocket::bind(addr).await?);
        let addr = socket.local_addr()?;
        let (sender, receiver) = mpsc::channel(WRITE_QUEUE);
        self.udp = Some(sender);
        self.shared.tasks.spawn(run_udp(socket, receiver, self.shared.clone()));
        Ok(addr)
    }

    async fn bind_stream(&mut self, endpoint: &Endpoint) -> std::io::Result<SocketAddr> {
        if endpoint.transport == Transport::Tls && self.shared.tls.is_none() {
            return Err(std::io::Error::other(WireError::NoTls));
        }
        let listener = TcpListener::bind(endpoint.addr).await?;
        let addr = listener.local_addr()?;
        self.shared.tasks.spawn(stream::accept(listener, endpoint.transport, self.shared.clone()));
        Ok(addr)
    }

    /// The endpoints as they were bound.
    pub fn bound(&self) -> &[Endpoint] {
        &self.bound
    }

    /// The local address that stands in Via and Contact for a transport.
    pub fn local(&self, transport: Transport) -> Option<SocketAddr> {
        let fitting = self.bound.iter().find(|endpoint| endpoint.transport == transport);
        fitting.or(self.bound.first()).map(|endpoint| endpoint.addr)
    }

    /// Keeps what is known of the connections true; called with every event before it is looked at.
    pub fn note(&mut self, event: &WireEvent) {
        match event {
            WireEvent::Accepted { connection, sender } => {
                self.connections.insert(*connection, sender.clone());
            }
            WireEvent::Closed { connection, .. } | WireEvent::Failed { connection, .. } => {
                self.connections.remove(connection);
                self.dialled.retain(|_, known| known != connection);
            }
            WireEvent::Fault { .. } | WireEvent::Packet { .. } => {}
        }
    }

    /// Sends a request; dials when there is no connection of ours to that place. The number of the connection comes back.
    pub fn send(&mut self, to: &Destination, bytes: Vec<u8>) -> Result<u64, WireError> {
        if to.endpoint.transport == Transport::Udp {
            self.send_datagram(to.endpoint.addr, bytes)?;
            return Ok(0);
        }
        let known = self.dialled.get(to).copied();
        if let Some((connection, sender)) = known.and_then(|id| Some((id, self.connections.get(&id)?)))
            && !sender.is_closed()
        {
            sender.try_send(bytes).map_err(|_| WireError::QueueFull(to.endpoint.addr))?;
            return Ok(connection);
        }
        self.dial(to, bytes)
    }

    /// Makes the connection that later messages to that place share, and sends the first one over it.
    fn dial(&mut self, to: &Destination, bytes: Vec<u8>) -> Result<u64, WireError> {
        let connection = self.dial_apart(to, None, bytes)?;
        self.dialled.insert(to.clone(), connection);
        Ok(connection)
    }

    /// Makes a connection for one message alone, from another local address where that is wanted and can be had.
    pub fn dial_apart(&mut self, to: &Destination, other: Option<IpAddr>, bytes: Vec<u8>) -> Result<u64, WireError> {
        if to.endpoint.transport == Transport::Tls && self.shared.tls.is_none() {
            return Err(WireError::NoTls);
        }
        let (sender, receiver) = mpsc::channel(WRITE_QUEUE);
        sender.try_send(bytes).map_err(|_| WireError::QueueFull(to.endpoint.addr))?;
        let connection = self.shared.number();
        self.connections.insert(connection, sender);
        let own = self.local(to.endpoint.transport).map(|addr| addr.ip());
        let from = [other, own];
        self.shared.tasks.spawn(stream::dial(to.clone(), from, connection, receiver, self.shared.clone()));
        Ok(connection)
    }

    /// Ends a connection.
    pub fn close(&mut self, connection: u64) {
        self.connections.remove(&connection);
        self.dialled.retain(|_, known| *known != connection);
    }

    /// Sends an answer back the way its request came; `datagram_to` is where a datagram goes.
    pub fn answer(&mut self, source: &Source, datagram_to: SocketAddr, bytes: Vec<u8>) -> Result<(), WireError> {
        if source.connection == 0 {
            return self.send_datagram(datagram_to, bytes);
        }
        let sender = self.connections.get(&source.connection).ok_or(WireError::Gone(source.remote))?;
        sender.try_send(bytes).map_err(|_| WireError::Gone(source.remote))
    }

    fn send_datagram(&self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), WireError> {
        let sender = self.udp.as_ref().ok_or(WireError::NoSocket("UDP"))?;
        sender.try_send((to, bytes)).map_err(|_| WireError::QueueFull(to))
    }

    /// Closes everything and waits for the socket tasks to end.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let tasks = self.shared.tasks.clone();
        drop(self);
        tasks.wait().await;
    }
}

async fn run_udp(socket: Arc<UdpSocket>, mut outgoing: mpsc::Receiver<(SocketAddr, Vec<u8>)>, shared: Shared) {
    let mut buffer = vec![0; DATAGRAM_LIMIT];
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            next = outgoing.recv() => {
                let Some((to, bytes)) = next else { return };
                if let Err(error) = socket.send_to(&bytes, to).await {
                    tracing::debug!(%to, %error, "datagram not sent");
                }
            }
            // An error here is an ICMP notice about an earlier datagram; the transaction's own timers deal with it.
            got = socket.recv_from(&mut buffer) => if let Ok((length, remote)) = got {
                let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                if bytes.iter().all(|byte| b"\r\n\0".contains(byte)) {
                    continue;
                }
                let source = Source::plain(Transport::Udp, remote, 0);
                if shared.events.send(WireEvent::Packet { source, bytes }).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written_alike() {
        for text in ["udp:127.0.0.1:5060", "tls:[::1]:5061"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["127.0.0.1:5060", "sctp:127.0.0.1:1", "udp:localhost:5060"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
