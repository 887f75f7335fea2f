//! Listeners that come, go and change while the edge runs: everything that can fail comes first and changes nothing.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tracing::{debug, warn};

use super::listeners::{Listener, ListenerSocket, Table};
use super::settings::{Limits, ListenerSettings, Settings};
use super::socket::{Blocking, bind_stream, buffers};
use super::tls::ClientTls;
use super::{BindError, Transports};
use crate::sip::Transport;
use crate::trunk::{ListenerId, TrunkId};

/// A change of listeners, identities and limits of which nothing can fail any more; see [`Transports::commit`]. New
/// sockets are bound already, and close again if this is dropped.
pub struct Prepared {
    fresh: Vec<Arc<Listener>>,
    /// Listeners whose sockets the fresh ones take over.
    yielding: Vec<ListenerId>,
    kept: Vec<ListenerSettings>,
    trunk_tls: HashMap<TrunkId, Arc<ClientTls>>,
    limits: Limits,
    bound: Vec<(ListenerId, SocketAddr)>,
}

impl Prepared {
    /// The address that a listener of the new settings is bound to, whether it is new or stays.
    pub fn bound(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.bound.iter().find(|(id, _)| *id == listener).map(|(_, addr)| *addr)
    }
}

impl Transports {
    /// Binds what the settings ask for and is not open yet. Nothing else changes, and nothing is read from the new
    /// sockets before [`Transports::commit`].
    ///
    /// A listener that is open and has its id in the settings stays. One whose id is missing there may be in the way of a
    /// new one: on the very address the new one takes its socket over, so that nothing that waits in it is lost; where
    /// the addresses only overlap (`0.0.0.0:5060`, `127.0.0.1:5060`) both are open for a while, and the more special
    /// address gets what comes. What another program, or a listener that stays, occupies cannot be had.
    ///
    /// # Errors
    /// The first listener that cannot be opened; nothing has changed then.
    pub fn prepare(&self, settings: Settings) -> Result<Prepared, BindError> {
        // Sockets register with the runtime, and whoever reloads may be outside of it.
        let _runtime = self.streams.runtime.enter();
        self.inheritance.add(settings.inherited);
        let table = self.streams.listeners.load();
        let staying: HashSet<ListenerId> = settings.listeners.iter().map(|listener| listener.id).collect();
        let mut prepared = Prepared {
            fresh: Vec::new(),
            yielding: Vec::new(),
            kept: Vec::new(),
            trunk_tls: settings.trunk_tls,
            limits: settings.limits,
            bound: Vec::new(),
        };
        for listener in settings.listeners {
            let id = listener.id;
            if prepared.bound(id).is_some() {
                return Err(BindError::Duplicate(id));
            }
            if listener.transport == Transport::Tls && listener.server_tls.is_none() {
                return Err(BindError::NoCertificate(id));
            }
            if let Some(open) = table.get(id) {
                if open.transport != listener.transport || open.wanted != listener.bind {
                    return Err(BindError::Moved(id));
                }
                if open.is_open() {
                    prepared.bound.push((id, open.local));
                    prepared.kept.push(listener);
                    continue;
                }
            }
            let (fresh, yielding) = self.open(listener, &table, &staying, &prepared.limits)?;
            prepared.bound.push((id, fresh.local));
            prepared.fresh.push(Arc::new(fresh));
            prepared.yielding.extend(yielding);
        }
        Ok(prepared)
    }

    /// Puts a prepared change in place; this cannot fail. New listeners start (where [`Transports::start`] was called),
    /// those in `leaving` take no new connections and keep what is open (UDP ones read on until [`Transports::close`]).
    /// Handshakes from here on use the new certificates and trust; connections made with others are retired.
    pub fn commit(&self, prepared: Prepared, leaving: &[ListenerId]) {
        let Prepared { fresh, yielding, kept, trunk_tls, limits, bound: _ } = prepared;
        let streams = &self.streams;
        let _runtime = streams.runtime.enter();
        let gone: Vec<_> = {
            let table = streams.listeners.load();
            yielding.iter().filter_map(|id| table.get(*id).cloned()).collect()
        };
        for listener in gone {
            listener.yield_socket();
        }
        streams.listeners.enter(&fresh);
        for settings in kept {
            if let Some(listener) = streams.listeners.get(settings.id) {
                if let ListenerSocket::Datagrams(datagrams) = &listener.socket {
                    // The system may give less, as it may at the start.
                    datagrams.each_socket(|socket| _ = buffers(&socket, &limits));
                }
                listener.take(settings);
            }
        }
        streams.take(trunk_tls, limits);
        for listener in &fresh {
            self.inheritance.taken(listener.transport, listener.local);
            if let Some(receiver) = streams.receiver() {
                listener.start(streams, &receiver);
            }
        }
        for id in leaving {
            if let Some(listener) = streams.listeners.get(*id) {
                debug!(local = %listener.local, "a listener takes no new connections");
                listener.leave(streams);
            }
        }
        streams.retire_outdated();
    }

    /// Ends a listener: its socket closes, and its connections close when nothing is under way over them.
    pub fn close(&self, listener: ListenerId) {
        let Some(gone) = self.streams.listeners.remove(listener) else { return };
        gone.leave(&self.streams);
        gone.stop();
        self.streams.retire_all_of(listener);
    }

    /// Descriptors of the sockets that listeners are open on, with names that are fit for a service manager to keep
    /// (sd_pid_notify_with_fds(3), `FDSTORE=1`).
    pub fn descriptors(&self) -> Vec<(String, OwnedFd)> {
        let table = self.streams.listeners.load();
        let mut all = Vec::new();
        for listener in table.iter().filter(|listener| listener.is_open()) {
            // A colon may be in no such name.
            let name = format!("{}-{}", listener.transport.uri_token(), listener.local).replace(':', "_");
            listener.each_socket(|socket| match socket.try_clone() {
                Ok(socket) => all.push((name.clone(), socket.into())),
                Err(error) => warn!(%name, %error, "a listening socket cannot be handed on"),
            });
        }
        all
    }

    /// Sockets that were handed over and that no listener asks for, in words.
    pub fn unused(&self) -> Vec<String> {
        let word = |datagrams| if datagrams { "udp" } else { "tcp" };
        self.inheritance.left().iter().map(|it| format!("{} {}:{}", it.name, word(it.datagrams), it.addr)).collect()
    }

    /// Opens one listener; with it the listener whose socket it takes over, if any.
    fn open(
        &self,
        settings: ListenerSettings,
        table: &Table,
        staying: &HashSet<ListenerId>,
        limits: &Limits,
    ) -> Result<(Listener, Option<ListenerId>), BindError> {
        let kind = |transport: Transport| transport == Transport::Udp;
        let leaves = |listener: &&Arc<Listener>| {
            !staying.contains(&listener.id) && kind(listener.transport) == kind(settings.transport)
        };
        let predecessor = table.iter().filter(leaves).find(|listener| {
            listener.is_open() && (listener.wanted == settings.bind || listener.local == settings.bind)
        });
        if let Some(predecessor) = predecessor {
            let socket = match &predecessor.socket {
                ListenerSocket::Datagrams(old) => ListenerSocket::Datagrams(old.under(settings.id)),
                // It is open, as was asked above.
                ListenerSocket::Stream(_) => match predecessor.acceptor() {
                    Some(socket) => ListenerSocket::stream(socket),
                    None => return Err(BindError::Moved(settings.id)),
                },
            };
            return Ok((Listener::new(settings, predecessor.local, socket), Some(predecessor.id)));
        }
        let blocking = Blocking(
            table.iter().filter(leaves).filter(|it| it.is_open() && overlap(it.local, settings.bind)).collect(),
        );
        let fault = |error| BindError::Socket { transport: settings.transport, addr: settings.bind, error };
        let given = self.inheritance.of(&settings).map_err(fault)?;
        let (local, socket) = if kind(settings.transport) {
            let counters = self.counters.clone();
            let datagrams = super::datagram::Datagrams::bind(&settings, given, &blocking, limits, counters);
            let datagrams = datagrams.map_err(fault)?;
            (datagrams.local(), ListenerSocket::Datagrams(datagrams))
        } else {
            let socket = bind_stream(settings.bind, given, &blocking).map_err(fault)?;
            (socket.local_addr().map_err(fault)?, ListenerSocket::stream(Arc::new(socket)))
        };
        Ok((Listener::new(settings, local, socket), None))
    }
}

/// Whether two addresses of one transport cannot be bound side by side.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (any || one.ip() == other.ip())
}
