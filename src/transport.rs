//! The transport driver: UDP, TCP and TLS sockets, framing, connection reuse and back-pressure
//! (RFC 3261 section 18, RFC 3581, RFC 5626 section 3.5.1, RFC 5923).
//!
//! No message is handed to another task on its way: the worker that read it calls the [`Receiver`], and
//! whoever sends writes into the socket at once. Only what a socket does not take goes into a bounded
//! queue, which a task of that socket empties; so a slow peer delays nobody else. A connection is one
//! task that waits for something to read and holds no buffer meanwhile; its time limits are watched by
//! one sweep over all connections instead of timers.
//!
//! The [`Receiver`] is never called from within [`Transports::answer`] or [`Transports::request`], so
//! that these may be called under a lock that the receiver takes.

pub mod settings;
pub mod tls;
pub mod trial;

mod accept;
mod change;
mod connection;
mod counters;
mod datagram;
mod dial;
mod inherited;
mod limits;
mod listeners;
mod meter;
mod outbox;
mod read;
mod retirement;
mod scratch;
mod socket;
mod streams;
mod sweep;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::AbortHandle;

pub use change::Prepared;
pub use counters::{Counts, DropReason};
pub use inherited::Inherited;
pub use meter::Passed;
pub use settings::{Limits, ListenerSettings, Settings};
pub use view::{CertificateView, ConnectionView, Filter, Peer, Tally, TlsView};

use crate::sip::Transport;
pub use crate::sip::frame::FrameFault;
use crate::trunk::{ConnectionId, Flow, Hop, ListenerId, TrunkId};
use counters::Counters;
use inherited::Inheritance;
use listeners::ListenerSocket;
use streams::Streams;
use tls::{ClientTls, ServerTls};

/// What the transports call; every method is called on the worker that noticed, and must not block.
pub trait Receiver: Send + Sync + 'static {
    /// One datagram or one framed stream message.
    fn message(&self, source: Source<'_>, bytes: Bytes);

    /// A stream could not be framed: the start line and header fields as far as they were read, so that
    /// a 400 or 413 can be answered before the connection closes, which it does after this call.
    fn unframed(&self, source: Source<'_>, head: Bytes, fault: FrameFault);

    /// What was handed over with this token did not leave, or left over a new connection that the peer
    /// then ended without ever having sent anything.
    fn send_failed(&self, token: Token, fault: SendFault);

    /// Whether a connection from this address is accepted at all; asked before any of it is read.
    fn welcomes(&self, _listener: ListenerId, _remote: std::net::IpAddr) -> bool {
        true
    }

    /// A peer's TLS handshake failed, or its certificate was not taken.
    fn handshake_failed(&self, _listener: ListenerId, _remote: std::net::IpAddr) {}

    /// A batch of reads is over and the worker is about to wait: a chance to flush.
    fn idle(&self) {}
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The way its answer goes back.
    pub flow: Flow,
    /// The edge's own address that it was sent to.
    pub local: SocketAddr,
    /// The trunks whose identity the TLS peer has proved; empty for UDP, TCP and unproved TLS peers.
    pub authenticated: &'a [TrunkId],
}

/// The sender's own mark on what it hands over; opaque to the transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64, pub u32);

impl Token {
    /// Nobody wants to know whether it left.
    pub const NONE: Self = Self(u64::MAX, u32::MAX);
}

/// Why something did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendFault {
    /// The queue of the socket, of the pending connection or of all connections together is full.
    #[error("the send queue is full")]
    QueueFull,
    /// The connection ended before the message had left.
    #[error("the connection ended")]
    Closed,
    /// The peer, or the network before it, refused the connection.
    #[error("the connection could not be opened")]
    ConnectFailed,
    /// The peer did not take the connection within the limit, TLS handshake included.
    #[error("the connection was not opened in time")]
    ConnectTimeout,
    /// The TLS handshake failed; the peer's certificate may not fit the name.
    #[error("the TLS handshake failed")]
    Tls,
    /// The network refused the datagram.
    #[error("the network is unreachable")]
    Unreachable,
    /// The datagram is larger than the network takes.
    #[error("the message is too large for a datagram")]
    TooLarge,
    /// The listener has no socket, or no TLS identity, for this transport.
    #[error("the listener cannot send over this transport")]
    NoSocket,
    /// The limit of open connections is reached.
    #[error("too many connections are open")]
    TooManyConnections,
    /// The transports are shut down.
    #[error("the transports are shut down")]
    ShutDown,
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket could not be made, set up or bound.
    #[error("cannot listen on {transport}:{addr}: {error}")]
    Socket {
        transport: Transport,
        addr: SocketAddr,
        #[source]
        error: std::io::Error,
    },
    /// Two listeners carry the same id.
    #[error("listener {0:?} is given twice")]
    Duplicate(ListenerId),
    /// A TLS listener has no certificate.
    #[error("listener {0:?} is a TLS listener without a certificate")]
    NoCertificate(ListenerId),
    /// A listener that is open has another transport or address in the new settings: it is another one then.
    #[error("listener {0:?} is open on another address or transport and needs another id")]
    Moved(ListenerId),
}

/// All sockets of the edge.
pub struct Transports {
    streams: Arc<Streams>,
    counters: Arc<Counters>,
    inheritance: Inheritance,
    sweep: std::sync::Mutex<Option<AbortHandle>>,
}

impl Transports {
    /// Opens all listeners; nothing is read or accepted before [`Transports::start`].
    ///
    /// # Errors
    /// The first listener that cannot be opened; none stays open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn bind(settings: Settings) -> Result<Arc<Self>, BindError> {
        let counters = Arc::new(Counters::register());
        let streams = Streams::new(settings.limits.clone(), counters.clone());
        let inheritance = Inheritance::default();
        let transports = Self { streams, counters, inheritance, sweep: std::sync::Mutex::default() };
        let prepared = transports.prepare(settings)?;
        transports.commit(prepared, &[]);
        Ok(Arc::new(transports))
    }

    /// Starts to read and accept; a second call does nothing. The receiver is let go of in
    /// [`Self::shutdown`].
    pub fn start(&self, receiver: Arc<dyn Receiver>) {
        if !self.streams.attach(receiver.clone()) {
            return;
        }
        for listener in self.streams.listeners.load().iter() {
            listener.start(&self.streams, &receiver);
        }
        *self.lock_sweep() = Some(sweep::start(&self.streams));
    }

    /// The address that a listener is bound to; `None` for a listener that is not there.
    pub fn bound(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.streams.listeners.load().get(listener).map(|listener| listener.local)
    }

    /// Sends an answer back on its flow (RFC 3261 section 18.2.2).
    ///
    /// For UDP it goes to `flow.remote`, to which the caller has applied `received`, `rport` and `maddr`.
    /// For streams it goes to the flow's connection and, where that has gone, to `fallback`: over a
    /// connection to it that is open, or a new one.
    pub fn answer(&self, flow: &Flow, fallback: Option<&Hop>, bytes: Bytes, token: Token) {
        if flow.transport == Transport::Udp || flow.connection == ConnectionId::DATAGRAM {
            return self.datagram(flow.listener, flow.remote, flow.local, bytes, token);
        }
        let sent = self.streams.answer(flow.connection, bytes, token);
        match (sent, fallback) {
            (Ok(()), _) => {}
            (Err((SendFault::Closed, Some(bytes))), Some(hop)) => self.request(hop, bytes, token),
            (Err((fault, _)), _) => self.streams.fail(token, fault),
        }
    }

    /// Sends a request to a resolved hop, over a connection that is open or a new one.
    pub fn request(&self, hop: &Hop, bytes: Bytes, token: Token) {
        if hop.transport == Transport::Udp {
            return self.datagram(hop.listener, hop.addr, None, bytes, token);
        }
        if let Err(fault) = self.streams.request(hop, bytes, token) {
            self.streams.fail(token, fault);
        }
    }

    fn datagram(
        &self,
        listener: ListenerId,
        remote: SocketAddr,
        local: Option<std::net::IpAddr>,
        bytes: Bytes,
        token: Token,
    ) {
        let listeners = self.streams.listeners.load();
        let sent = match listeners.get(listener).map(|listener| &listener.socket) {
            Some(ListenerSocket::Datagrams(datagrams)) => datagrams.send(remote, local, bytes, token, &self.streams),
            _ => Err(SendFault::NoSocket),
        };
        if let Err(fault) = sent {
            self.streams.fail(token, fault);
        }
    }

    /// Lets requests to `addr` (the top Via's sent-by of a proved peer that said `alias`) use the peer's
    /// own connection (RFC 5923 section 5); whether the peer may say so is the caller's decision.
    ///
    /// `name` is the name that requests to this peer carry in [`Hop::name`]. Does nothing when the
    /// connection has gone or has as many aliases as [`Limits::aliases_per_connection`] allows.
    pub fn alias(&self, connection: ConnectionId, addr: SocketAddr, name: Option<Arc<str>>) {
        self.streams.alias(connection, addr, name);
    }

    /// Takes the connection to a hop out of use for requests: the next one gets a new connection. What is under way over
    /// it goes on, and it ends when nothing has passed for [`Limits::retired_idle_timeout`].
    pub fn retire(&self, hop: &Hop) {
        if hop.transport != Transport::Udp {
            self.streams.retire(hop);
        }
    }

    /// Puts new certificates and trust in place for handshakes to come; connections made with others are retired.
    pub fn renew_tls(&self, listener: ListenerId, server: Option<Arc<ServerTls>>, client: Option<Arc<ClientTls>>) {
        if let Some(listener) = self.streams.listeners.get(listener) {
            listener.renew(server, client);
        }
        self.streams.retire_outdated();
    }

    /// Stops accepting and reading datagrams, lets what is queued leave for [`Limits::linger`], and
    /// closes every connection.
    pub async fn shutdown(&self) {
        if let Some(sweep) = self.lock_sweep().take() {
            sweep.abort();
        }
        for listener in self.streams.listeners.load_full().iter() {
            listener.yield_socket();
        }
        self.streams.shutdown().await;
    }

    /// The connection that was opened or accepted last.
    pub fn newest_connection(&self) -> ConnectionId {
        self.streams.newest_id()
    }

    /// How much is open, queued and dropped.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    fn lock_sweep(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.sweep.lock().unwrap_or_else(|e| e.into_inner())
    }
}
