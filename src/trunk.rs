//! A trunk: a peer and all that is known of it. Pure: values that `config` compiles and the core reads.

pub mod flow;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use flow::{ConnectionId, Flow, Hop, ListenerId};

use crate::sip::Transport;

/// Index of a trunk in [`Trunks`]; stable for one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u16);

/// What the far side is; picks defaults and, later, the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrunkKind {
    Teams,
    Carrier,
    Pbx,
}

/// How the targets of a trunk are tried (RFC 3261 section 16.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Fork {
    /// One after the other, on failure (the default).
    #[default]
    Serial,
    /// All at once; the first 2xx wins.
    Parallel,
}

/// A network prefix, `192.0.2.0/24` or a bare address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    pub addr: std::net::IpAddr,
    pub bits: u8,
}

/// One configured target of a trunk, before RFC 3263 resolution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `None`: chosen by NAPTR, SRV or the listener's transport (RFC 3263 section 4.1).
    pub transport: Option<Transport>,
    /// Host name or IP literal without brackets; also the name that TLS checks.
    pub host: Arc<str>,
    /// `None`: SRV is asked (RFC 3263 section 4.2).
    pub port: Option<u16>,
    /// Set when `host` is an IP literal: needs no DNS.
    pub literal: Option<SocketAddr>,
}

/// A configured peer.
#[derive(Clone, Debug)]
pub struct Trunk {
    pub id: TrunkId,
    pub name: Arc<str>,
    pub kind: TrunkKind,
    /// The listener through which requests to this trunk leave and whose address stands in Via.
    pub listener: ListenerId,
    pub targets: Vec<Target>,
    /// Source networks whose requests belong to this trunk (a second wall behind TLS names).
    pub allow_from: Vec<Network>,
    /// Names of which a TLS peer's certificate must carry one; empty: TLS peers are not told apart by name.
    pub peer_names: Vec<Arc<str>>,
    /// The edge's own host in Via and Record-Route towards this trunk; `None`: the listener's.
    pub fqdn: Option<Arc<str>>,
    pub fork: Fork,
    /// Final codes from a target that make the edge try the next one.
    pub failover_codes: Vec<u16>,
    /// How long a target may leave an INVITE without any answer before the next is tried.
    pub no_answer: Duration,
    /// Requests over 1300 bytes leave by a stream transport where the target allows (RFC 3261 section 18.1.1).
    pub stream_when_large: bool,
    /// Reuse of the peer's own connection for requests towards it when it says `alias` (RFC 5923).
    pub connection_reuse: bool,
}

/// All trunks of a configuration, by [`TrunkId`].
#[derive(Clone, Debug, Default)]
pub struct Trunks(pub Vec<Trunk>);

impl Trunks {
    /// The trunk of an id made by the same configuration.
    pub fn get(&self, id: TrunkId) -> Option<&Trunk> {
        self.0.get(usize::from(id.0))
    }
}
