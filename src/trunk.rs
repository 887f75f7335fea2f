//! A trunk: a peer and all that is known of it. Pure: values that `config` compiles and the core reads.

pub mod dialect;
pub mod flow;
pub mod guard;
pub mod health;
pub mod identify;
pub mod limits;
pub mod listener;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use dialect::Dialect;
pub use flow::{ConnectionId, Flow, Hop, ListenerId};
pub use identify::Identify;
pub use limits::{CallLimits, CallRate};
pub use listener::Listener;

use crate::sip::Transport;

/// Index of a trunk in [`Trunks`]; it belongs to the trunk's name as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u16);

/// What the far side is; picks defaults and, later, the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrunkKind {
    Teams,
    Carrier,
    Pbx,
}

impl TrunkKind {
    /// The kind as the configuration writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::Carrier => "carrier",
            Self::Pbx => "pbx",
        }
    }
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
    pub addr: IpAddr,
    pub bits: u8,
}

impl Network {
    /// The network of one address.
    pub const fn host(addr: IpAddr) -> Self {
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        Self { addr, bits }
    }

    /// The prefix as a range of IPv6 addresses: its first address with the host bits cleared, and its length in bits.
    ///
    /// IPv4 takes the place of mapped addresses (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2), so that a dual-stack
    /// socket and an IPv4 socket see the same network.
    pub fn prefix(&self) -> (u128, u8) {
        let bits = match self.addr {
            IpAddr::V4(_) => self.bits.min(32) + 96,
            IpAddr::V6(_) => self.bits.min(128),
        };
        (masked(address_bits(self.addr), bits), bits)
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let (first, bits) = self.prefix();
        masked(address_bits(addr), bits) == first
    }
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address or a network, such as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\"")]
pub struct NoNetwork;

impl std::str::FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NoNetwork)?)),
            None => (text, None),
        };
        let network = Self::host(address.parse().map_err(|_| NoNetwork)?);
        match bits {
            Some(bits) if bits > network.bits => Err(NoNetwork),
            Some(bits) => Ok(Self { bits, ..network }),
            None => Ok(network),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

/// An address as 128 bits, IPv4 as the mapped IPv6 address.
pub(crate) fn address_bits(addr: IpAddr) -> u128 {
    let mapped: Ipv6Addr = match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(mapped)
}

/// The address with all but its first `bits` bits cleared.
pub(crate) const fn masked(address: u128, bits: u8) -> u128 {
    if bits == 0 { 0 } else { address & (u128::MAX << (128 - bits as u32)) }
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

/// As the configuration writes it: `tls:sip.example.net:5061`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(transport) = self.transport {
            write!(f, "{transport}:")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
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
    /// A textbook proxy towards this peer: Record-Route, and Contact and Call-ID as they came. Otherwise the edge owns
    /// both legs of the calls that this trunk takes part in.
    pub transparent: bool,
    /// How many calls it may have; `None`: they are counted and not limited.
    pub limits: Option<Arc<CallLimits>>,
    /// How the peer speaks.
    pub dialect: Arc<Dialect>,
    /// The configuration does not have it any more: it takes part in calls that are up, and in no new ones.
    pub leaving: bool,
}

/// All trunks of a configuration, by [`TrunkId`].
#[derive(Clone, Debug, Default)]
pub struct Trunks(pub Vec<Trunk>);

impl Trunks {
    /// The trunk of a name.
    pub fn named(&self, name: &str) -> Option<&Trunk> {
        self.staying().find(|trunk| &*trunk.name == name)
    }

    /// Those of the configuration, without what leaves.
    pub fn staying(&self) -> impl Iterator<Item = &Trunk> {
        self.0.iter().filter(|trunk| !trunk.leaving)
    }

    /// The trunk of an id made by the same configuration.
    pub fn get(&self, id: TrunkId) -> Option<&Trunk> {
        self.0.get(usize::from(id.0))
    }
}
