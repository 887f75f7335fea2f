//! What a checked configuration says to the drivers. Values that the pure core needs are in `trunk` and `routing`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::trunk::{Listener, Network, health};

/// A checked configuration, apart from the pure values beside it in [`super::Loaded`].
#[derive(Clone, Debug)]
pub struct Config {
    pub node: Node,
    /// By [`crate::trunk::ListenerId`].
    pub listeners: Vec<Listen>,
    /// By [`crate::trunk::TrunkId`]: one for each trunk.
    pub trunk_tls: Vec<TrunkTls>,
    /// By [`crate::trunk::TrunkId`]: one for each trunk.
    pub trunk_health: Vec<health::Settings>,
    /// By [`crate::trunk::TrunkId`]: requests a second that each trunk may begin; zero: as many as come.
    pub trunk_requests_per_second: Vec<u32>,
    pub timers: Timers,
    pub limits: Limits,
    pub dns: Dns,
    pub metrics: Metrics,
    pub state: State,
    pub control: super::Control,
    pub service: super::Service,
    pub records: super::Records,
    pub trace: super::Trace,
    pub guard: super::Guard,
    pub overload: super::Overload,
    pub logging: super::Logging,
    pub presence: super::Presence,
    /// By tenant.
    pub graph: BTreeMap<Arc<str>, super::Graph>,
    /// By tenant.
    pub directory: BTreeMap<Arc<str>, super::Directory>,
}

/// This edge among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: Arc<str>,
    /// The edge's public name, used where no closer one is given.
    pub fqdn: Option<Arc<str>>,
    /// The key that seals what rides in the edge's own URIs.
    pub seal_key_file: Option<PathBuf>,
    /// How old what was sealed may be when it comes back: how long a call may be without a refresh of its legs.
    pub seal_max_age: Duration,
    /// Worker threads; `None`: one for each processor.
    pub workers: Option<usize>,
}

impl Node {
    /// A week: no call that anybody makes is cut, and what was sealed is of no use for ever.
    pub const SEAL_MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
}

/// A listener with all that its sockets need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub listener: Listener,
    /// Present when the transport is TLS.
    pub tls: Option<ServerTls>,
    /// UDP sockets that share the address (`SO_REUSEPORT`); `None`: one for each worker.
    pub sockets: Option<usize>,
}

/// What a TLS listener shows and what it asks of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM: the certificate chain, the edge's own first.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
    /// PEM: the roots that client certificates must lead to; present unless the policy is `none`.
    pub client_ca: Option<PathBuf>,
    pub client_certificate: ClientCertificate,
}

/// What a TLS listener does about client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientCertificate {
    /// No handshake without a valid one (the default).
    #[default]
    Require,
    /// Asked for; a client without one is known by its address only.
    Optional,
    /// Not asked for.
    None,
}

/// The identity and the roots used when the edge dials over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// PEM: the roots that server certificates must lead to; present for every trunk on a TLS listener.
    pub ca: Option<PathBuf>,
    /// PEM: the certificate chain shown to servers that ask; comes with `key`.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// What TLS does with the peers of one trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkTls {
    /// The trunk's own settings over those of `[tls_client]`.
    pub client: ClientTls,
    /// Client certificates whose extended key usage is only `serverAuth` are taken from this trunk's names.
    pub accept_server_auth_only: bool,
}

/// The timers of RFC 3261 table 4 that are settings; the others follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest gap between retransmissions of a non-INVITE request or an INVITE response.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// How long an INVITE may ring at one target (RFC 3261 section 16.6 step 11: more than three minutes).
    pub timer_c: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(185),
        }
    }
}

/// The bound of every queue, map and buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, on any transport.
    pub max_message_bytes: usize,
    /// Header lines of one message.
    pub max_headers: usize,
    /// Bytes of one header line, folded lines counted together.
    pub max_header_line_bytes: usize,
    /// Comma-separated values under one header name.
    pub max_values_per_header: usize,
    /// Transactions alive at once, client and server ones together.
    pub max_transactions: usize,
    /// Calls that are up and remembered, so that the edge can act on both their legs.
    pub max_calls_remembered: usize,
    /// How long a call between transparent trunks counts as up whose BYE nobody has seen.
    pub transparent_call_age: Duration,
    /// Branches that one request is forked or failed over to.
    pub max_branches: usize,
    /// Stream connections at once.
    pub max_connections: usize,
    /// Stream connections at once from one address.
    pub max_connections_per_address: usize,
    /// Bytes that wait to be written to one connection.
    pub connection_queue_bytes: usize,
    pub connect_timeout: Duration,
    pub tls_handshake_timeout: Duration,
    /// A connection without a byte for so long is closed.
    pub stream_idle_timeout: Duration,
    /// A message that has begun on a stream must be whole after so long.
    pub partial_message_timeout: Duration,
    /// Messages that wait for one connection being made.
    pub pending_per_connect: usize,
    /// Answers a second, in all, to requests of no known trunk; zero: none is answered.
    pub unknown_source_answers_per_second: u32,
    /// Bytes asked of the kernel for each UDP socket's receive buffer.
    pub udp_receive_buffer_bytes: usize,
    /// Bytes asked of the kernel for each UDP socket's send buffer.
    pub udp_send_buffer_bytes: usize,
    /// Dial plan prefixes of all plans together, those of ranges counted singly.
    pub max_dialplan_prefixes: usize,
    /// Batches of dial plan changes that are remembered, to be told and taken back.
    pub max_dialplan_changes: usize,
    /// Users of all tenants together.
    pub max_users: usize,
    /// Calls of which the call store has something, since it does not fit into URIs.
    pub max_stored_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 65_535,
            max_headers: 200,
            max_header_line_bytes: 8_192,
            max_values_per_header: 128,
            max_transactions: 500_000,
            max_calls_remembered: 100_000,
            transparent_call_age: Duration::from_secs(12 * 3_600),
            max_branches: 16,
            max_connections: 20_000,
            max_connections_per_address: 1_000,
            connection_queue_bytes: 1 << 20,
            connect_timeout: Duration::from_millis(4_000),
            tls_handshake_timeout: Duration::from_millis(5_000),
            stream_idle_timeout: Duration::from_secs(900),
            partial_message_timeout: Duration::from_millis(10_000),
            pending_per_connect: 256,
            unknown_source_answers_per_second: 10,
            udp_receive_buffer_bytes: 4 << 20,
            udp_send_buffer_bytes: 4 << 20,
            max_dialplan_prefixes: 10_000_000,
            max_dialplan_changes: 100_000,
            max_users: 1_000_000,
            max_stored_calls: 100_000,
        }
    }
}

/// How names are resolved (RFC 3263).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take, all servers tried.
    pub timeout: Duration,
    /// How long an outdated answer serves on while no server answers; zero: not at all.
    pub stale: Duration,
    /// Names in the cache.
    pub max_entries: usize,
    /// How long a name that does not exist is not asked for again.
    pub negative: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_millis(2_000),
            stale: Duration::from_secs(86_400),
            max_entries: 4_096,
            negative: Duration::from_secs(30),
        }
    }
}

/// Where metrics are served, and how many series there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `None`: nowhere.
    pub bind: Option<SocketAddr>,
    /// Who may read; empty: everybody who can reach the address.
    pub allow_from: Vec<Network>,
    /// Trunks with series of their own for their calls; those past it are counted as `other`.
    pub max_trunks: usize,
    /// Tenants with series of their own; those past it are counted as `other`.
    pub max_tenants: usize,
    /// Pairs of a trunk and a tenant with series of their own; past it, a tenant's calls are counted as `other`.
    pub max_pairs: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { bind: None, allow_from: Vec::new(), max_trunks: 1_000, max_tenants: 1_000, max_pairs: 4_000 }
    }
}

/// Where changes at run time are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `None`: nowhere, a restart forgets them.
    pub dir: Option<PathBuf>,
}
