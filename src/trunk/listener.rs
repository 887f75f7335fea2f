//! A place where the edge listens, as the pure core sees it: what it is called and what stands in Via.

use std::net::SocketAddr;
use std::sync::Arc;

use super::ListenerId;
use crate::sip::Transport;

/// A configured listener; its TLS files and socket options are the transport driver's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its number, which keeps its meaning over reloads.
    pub id: ListenerId,
    pub name: Arc<str>,
    pub transport: Transport,
    /// The address that the socket is bound to.
    pub bind: SocketAddr,
    /// The edge's own host in Via and Record-Route here (RFC 3261 section 18.1.1); an IPv6 literal stands in brackets.
    pub host: Arc<str>,
    /// The port that goes with `host`; zero: the port that the socket got.
    pub port: u16,
    /// The configuration does not have it any more: it carries what goes on over it, and nothing new.
    pub leaving: bool,
}
