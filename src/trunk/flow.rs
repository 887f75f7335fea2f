//! Where messages come from and go to, as plain values: shared by the pure core and the transport driver.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::TrunkId;
use crate::sip::Transport;

/// Index of a listener; it belongs to its name, transport and address as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// A stream connection, unique for the life of the process; zero stands for "datagram".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// No connection: the flow is a pair of datagram addresses.
    pub const DATAGRAM: Self = Self(0);
}

/// The way a message came in, and so the way its answers go back (RFC 3261 section 18.2.2, RFC 3581).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub listener: ListenerId,
    pub transport: Transport,
    pub connection: ConnectionId,
    pub remote: SocketAddr,
    /// The address a datagram was sent to, and so the one its answer leaves from (RFC 3581 section 4);
    /// `None` for streams and for listeners bound to one address, which have no choice.
    pub local: Option<IpAddr>,
}

/// One resolved place to send a request to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The listener whose socket (UDP) or identity (TCP, TLS) is used.
    pub listener: ListenerId,
    pub transport: Transport,
    pub addr: SocketAddr,
    /// The name that a TLS peer's certificate must carry and that goes out as SNI.
    pub name: Option<Arc<str>>,
    pub trunk: TrunkId,
}
