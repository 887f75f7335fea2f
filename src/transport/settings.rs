//! What the transports are told: listeners and limits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::inherited::Inherited;
use super::tls::{ClientTls, ServerTls};
use crate::sip::Transport;
use crate::sip::frame::FrameLimits;
use crate::trunk::{ListenerId, Network, TrunkId};

/// Everything the transports are told at start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub listeners: Vec<ListenerSettings>,
    /// The identity and trust of trunks that have their own, instead of their listener's.
    pub trunk_tls: HashMap<TrunkId, Arc<ClientTls>>,
    pub limits: Limits,
    /// Sockets that a service manager has opened; a listener uses those that are bound to its address. Those that none
    /// uses stay open for later settings.
    pub inherited: Vec<Inherited>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    pub id: ListenerId,
    pub transport: Transport,
    /// Address and port; port 0 lets the system choose. An IPv6 address takes IPv6 only. Over UDP, a
    /// wildcard costs a little more per message than an address, and `[::]` sends nothing larger than
    /// the path takes in one packet.
    pub bind: SocketAddr,
    /// How many sockets share a UDP port (at least one); streams have one.
    pub sockets: usize,
    /// The identity shown to peers that connect; needed for TLS.
    pub server_tls: Option<Arc<ServerTls>>,
    /// The identity and trust for TLS connections that the edge opens on behalf of this listener.
    pub client_tls: Option<Arc<ClientTls>>,
    /// Networks whose connections no other address can crowd out, however many they are: Teams connects from any
    /// address of its own, and anew for each request if it likes.
    pub welcome: Vec<Network>,
}

impl ListenerSettings {
    /// A listener with one socket and no TLS.
    pub fn new(id: ListenerId, transport: Transport, bind: SocketAddr) -> Self {
        Self { id, transport, bind, sockets: 1, server_tls: None, client_tls: None, welcome: Vec::new() }
    }
}

/// Every limit of the transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a stream message's start line and header fields.
    pub max_header_bytes: usize,
    /// Bytes of a whole stream message.
    pub max_message_bytes: usize,
    /// Connections open or being opened, in both directions together; each takes a file descriptor.
    pub max_connections: usize,
    /// Accepted connections from one IPv4 address or one IPv6 /64 network, but for those that a listener welcomes.
    pub max_connections_per_address: usize,
    /// Bytes that wait for one connection to take them.
    pub connection_queue_bytes: usize,
    /// Bytes that wait for all connections together.
    pub total_queue_bytes: usize,
    /// Messages that wait for one connection to open.
    pub pending_per_connect: usize,
    /// Bytes that wait for one UDP socket to take them.
    pub datagram_queue_bytes: usize,
    /// Addresses for which one accepted connection is used (RFC 5923).
    pub aliases_per_connection: usize,
    /// Time for a TCP connection to open.
    pub connect_timeout: Duration,
    /// Time for a TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time without a whole message or keep-alive in either direction after which a connection is closed.
    pub stream_idle_timeout: Duration,
    /// The same for a connection that no request takes any more: longer than a call may ring (RFC 3261 timer C), so that
    /// its answer still comes.
    pub retired_idle_timeout: Duration,
    /// Time without a message after which a connection ends that was made with an older certificate or over a listener that
    /// has gone, when nothing is under way over it.
    pub retired_quiet: Duration,
    /// Time after which such a connection ends whatever is under way: Microsoft wants none made with an old certificate.
    pub connection_drain: Duration,
    /// Time for a message that has begun to become whole.
    pub partial_message_timeout: Duration,
    /// Time without progress after which a connection with something to send is closed.
    pub write_stall_timeout: Duration,
    /// Time for queued bytes and the answer to an unframed message to leave before a connection closes.
    pub linger: Duration,
    /// Silence after which TCP asks whether the peer is still there (half-open connections).
    pub tcp_keepalive: Duration,
    /// Receive buffer of each UDP socket; the system may give less.
    pub udp_receive_buffer_bytes: usize,
    /// Send buffer of each UDP socket; the system may give less.
    pub udp_send_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: 32 * 1024,
            max_message_bytes: 65_535,
            max_connections: 10_000,
            max_connections_per_address: 256,
            connection_queue_bytes: 512 * 1024,
            total_queue_bytes: 256 * 1024 * 1024,
            pending_per_connect: 256,
            datagram_queue_bytes: 1024 * 1024,
            aliases_per_connection: 4,
            connect_timeout: Duration::from_secs(4),
            tls_handshake_timeout: Duration::from_secs(5),
            stream_idle_timeout: Duration::from_secs(900),
            retired_idle_timeout: Duration::from_secs(240),
            retired_quiet: Duration::from_secs(5),
            connection_drain: Duration::from_secs(300),
            partial_message_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            tcp_keepalive: Duration::from_secs(60),
            udp_receive_buffer_bytes: 4 * 1024 * 1024,
            udp_send_buffer_bytes: 1024 * 1024,
        }
    }
}

impl Limits {
    /// Room in a TLS session for the largest message that a connection takes, encrypted.
    pub(super) const fn session_buffer_bytes(&self) -> usize {
        self.connection_queue_bytes.saturating_mul(2)
    }

    pub(super) const fn frame(&self) -> FrameLimits {
        FrameLimits { max_header_bytes: self.max_header_bytes, max_message_bytes: self.max_message_bytes }
    }
}
