//! Connections that no request takes any more: made with a certificate that has been renewed, with trust that would not
//! let the peer in again, or over a listener that has gone. They end when nothing is under way over them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::connection::Connection;
use super::streams::Streams;
use super::tls::{ClientTls, Credentials, ServerTls, server_name};
use crate::sip::Transport;
use crate::trunk::{Hop, ListenerId};

/// The TLS settings that a handshake would use now.
enum Current {
    Accepts(Arc<ServerTls>),
    Dials(Arc<ClientTls>),
}

impl Current {
    fn credentials(&self) -> &Arc<Credentials> {
        match self {
            Self::Accepts(tls) => tls.credentials(),
            Self::Dials(tls) => tls.credentials(),
        }
    }

    /// Whether the peer of a connection would be known by the same trunks today.
    fn proves(&self, connection: &Connection) -> bool {
        let Some(chain) = connection.peer_chain() else { return false };
        match self {
            Self::Accepts(tls) => tls.trunks_of(&chain) == connection.authenticated,
            Self::Dials(tls) => {
                let named = connection.dialled.as_ref().and_then(|dialled| dialled.name.as_deref());
                let name = named.map_or_else(|| Ok(connection.remote.ip().into()), server_name);
                name.is_ok_and(|name| tls.proves(&chain, &name))
            }
        }
    }
}

impl Streams {
    /// Lets no further request take the connection to a hop.
    pub(super) fn retire(&self, hop: &Hop) {
        let found = self.found_under(hop);
        if let Some(connection) = found {
            self.put_out_of_use(&connection, "the peer wants no more over it");
        }
    }

    /// Retires what was made with other certificates or trust than are in place now. Whether a peer would still be let in
    /// costs signatures, so that is asked beside everything else.
    pub(super) fn retire_outdated(self: &Arc<Self>) {
        let doubtful = self.select(|connection| connection.credentials.is_some() && !connection.is_outdated());
        let doubtful: Vec<_> = doubtful.into_iter().filter(|connection| self.is_doubtful(connection)).collect();
        if doubtful.is_empty() {
            return;
        }
        let streams = self.clone();
        self.runtime.spawn_blocking(move || {
            for connection in doubtful {
                let current = streams.current(&connection);
                if !current.is_some_and(|current| current.proves(&connection)) {
                    streams.outdate(&connection, "the trust that proved its peer has changed");
                }
            }
        });
    }

    /// Retires all connections of a listener.
    pub(super) fn retire_all_of(&self, listener: ListenerId) {
        for connection in self.select(|connection| connection.listener == listener) {
            self.outdate(&connection, "its listener has gone");
        }
    }

    /// Retires a new connection if certificates were renewed while it was made.
    pub(super) fn retire_late(self: &Arc<Self>, connection: &Arc<Connection>) {
        if connection.credentials.is_some() && self.is_doubtful(connection) {
            self.outdate(connection, "certificates were renewed during the handshake");
        }
    }

    /// Retires a connection whose own certificate is an old one; true when its peer has to be looked at again.
    fn is_doubtful(&self, connection: &Arc<Connection>) -> bool {
        let Some(then) = &connection.credentials else { return false };
        let Some(current) = self.current(connection) else {
            // A listener that is leaving keeps what is open; a trunk that is gone is not dialled any more.
            return false;
        };
        let now = current.credentials();
        if Arc::ptr_eq(then, now) {
            return false;
        }
        if !then.shows_the_same(now) {
            self.outdate(connection, "the certificate has been renewed");
            return false;
        }
        !then.trusts_the_same(now)
    }

    fn current(&self, connection: &Connection) -> Option<Current> {
        if connection.transport != Transport::Tls {
            return None;
        }
        match &connection.dialled {
            None => self.listeners.get(connection.listener)?.server_tls().map(Current::Accepts),
            Some(dialled) => self.client_tls_of(dialled.trunk, connection.listener).map(Current::Dials),
        }
    }

    /// Takes a connection out of use, and lets it end as soon as nothing is under way over it.
    pub(super) fn outdate(&self, connection: &Arc<Connection>, why: &str) {
        connection.watch.outdated.store(true, Ordering::Relaxed);
        self.put_out_of_use(connection, why);
    }

    /// Lets no further request take a connection.
    fn put_out_of_use(&self, connection: &Arc<Connection>, why: &str) {
        // The mark comes first: whoever gives the connection another name looks at it afterwards.
        let before = connection.watch.retire(self.now());
        self.forget_names(connection);
        if !before {
            self.counters.retired();
            debug!(remote = %connection.remote, why, "no further request takes a connection");
        }
    }
}
