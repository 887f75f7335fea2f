//! The listeners that are open: a table that is read without a lock on the way of a message, and replaced whole when
//! listeners come and go.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::datagram::Datagrams;
use super::settings::ListenerSettings;
use super::streams::Streams;
use super::tls::{ClientTls, ServerTls};
use super::{Receiver, accept};
use crate::sip::Transport;
use crate::trunk::{ListenerId, Network};

/// One open listener, and how it shows itself in connections, accepted and dialled.
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    /// The address as it was asked for; its port may be 0.
    pub(super) wanted: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) socket: ListenerSocket,
    server_tls: ArcSwapOption<ServerTls>,
    client_tls: ArcSwapOption<ClientTls>,
    welcome: ArcSwap<Vec<Network>>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// Another listener reads its sockets.
    yielded: AtomicBool,
}

/// What a listener listens on.
pub(super) enum ListenerSocket {
    Datagrams(Arc<Datagrams>),
    /// `None` once it takes no new connections.
    Stream(Mutex<Option<Arc<TcpListener>>>),
}

impl ListenerSocket {
    pub(super) fn stream(listener: Arc<TcpListener>) -> Self {
        Self::Stream(Mutex::new(Some(listener)))
    }
}

impl Listener {
    pub(super) fn new(settings: ListenerSettings, local: SocketAddr, socket: ListenerSocket) -> Self {
        Self {
            id: settings.id,
            transport: settings.transport,
            wanted: settings.bind,
            local,
            socket,
            server_tls: ArcSwapOption::new(settings.server_tls),
            client_tls: ArcSwapOption::new(settings.client_tls),
            welcome: ArcSwap::from_pointee(settings.welcome),
            tasks: Mutex::default(),
            yielded: AtomicBool::new(false),
        }
    }

    /// Starts to read or to accept.
    pub(super) fn start(self: &Arc<Self>, streams: &Arc<Streams>, receiver: &Arc<dyn Receiver>) {
        let begun = match &self.socket {
            ListenerSocket::Datagrams(datagrams) => datagrams.start(receiver, &streams.runtime),
            ListenerSocket::Stream(_) => {
                self.acceptor().map(|socket| accept::start(streams, self.clone(), socket)).into_iter().collect()
            }
        };
        self.tasks().extend(begun);
    }

    /// Stops to read and to accept; what is open stays.
    pub(super) fn stop(&self) {
        for task in std::mem::take(&mut *self.tasks()) {
            task.abort();
        }
    }

    /// Takes no new connections any more: those that the system has already taken in the listener's name are let in, then
    /// its socket closes. Datagrams are read on.
    pub(super) fn leave(self: &Arc<Self>, streams: &Arc<Streams>) {
        if let ListenerSocket::Stream(slot) = &self.socket {
            let socket = slot.lock().unwrap_or_else(|e| e.into_inner()).take();
            self.stop();
            if let Some(socket) = socket {
                accept::drain(streams, self, &socket);
            }
        }
    }

    /// Gives the socket up for another listener on the same address.
    pub(super) fn yield_socket(&self) {
        self.yielded.store(true, Ordering::Relaxed);
        self.stop();
        if let ListenerSocket::Stream(slot) = &self.socket {
            slot.lock().unwrap_or_else(|e| e.into_inner()).take();
        }
    }

    /// Whether it reads, or takes connections.
    pub(super) fn is_open(&self) -> bool {
        match &self.socket {
            ListenerSocket::Datagrams(_) => !self.yielded.load(Ordering::Relaxed),
            ListenerSocket::Stream(_) => self.acceptor().is_some(),
        }
    }

    /// The socket that takes connections, while it does.
    pub(super) fn acceptor(&self) -> Option<Arc<TcpListener>> {
        match &self.socket {
            ListenerSocket::Datagrams(_) => None,
            ListenerSocket::Stream(slot) => slot.lock().unwrap_or_else(|e| e.into_inner()).clone(),
        }
    }

    /// Does something with each socket that occupies the listener's address.
    pub(super) fn each_socket(&self, mut work: impl FnMut(SockRef<'_>)) {
        match &self.socket {
            ListenerSocket::Datagrams(datagrams) => datagrams.each_socket(work),
            ListenerSocket::Stream(_) => {
                if let Some(listener) = self.acceptor() {
                    work(SockRef::from(&*listener));
                }
            }
        }
    }

    /// Takes what may change while a listener is open.
    pub(super) fn take(&self, settings: ListenerSettings) {
        self.renew(settings.server_tls, settings.client_tls);
        self.welcome.store(Arc::new(settings.welcome));
    }

    pub(super) fn renew(&self, server: Option<Arc<ServerTls>>, client: Option<Arc<ClientTls>>) {
        self.server_tls.store(server);
        self.client_tls.store(client);
    }

    /// Whether connections from an address are welcome in any number.
    pub(super) fn welcomes(&self, peer: IpAddr) -> bool {
        self.welcome.load().iter().any(|network| network.contains(peer))
    }

    pub(super) fn is_welcoming(&self) -> bool {
        !self.welcome.load().is_empty()
    }

    pub(super) fn server_tls(&self) -> Option<Arc<ServerTls>> {
        self.server_tls.load_full()
    }

    pub(super) fn client_tls(&self) -> Option<Arc<ClientTls>> {
        self.client_tls.load_full()
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Listeners at the places of their ids.
#[derive(Default)]
pub(super) struct Table(Vec<Option<Arc<Listener>>>);

impl Table {
    pub(super) fn get(&self, id: ListenerId) -> Option<&Arc<Listener>> {
        self.0.get(usize::from(id.0))?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter().flatten()
    }

    fn with(&self, fresh: &[Arc<Listener>]) -> Self {
        let mut slots = self.0.clone();
        for listener in fresh {
            let at = usize::from(listener.id.0);
            if slots.len() <= at {
                slots.resize(at + 1, None);
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = Some(listener.clone());
            }
        }
        Self(slots)
    }

    fn without(&self, id: ListenerId) -> Self {
        let keep = |listener: &Arc<Listener>| listener.id != id;
        Self(self.0.iter().map(|slot| slot.clone().filter(keep)).collect())
    }
}

/// The table in use.
#[derive(Default)]
pub(super) struct Listeners(ArcSwap<Table>);

impl Listeners {
    /// The table, for a look: the guard must not be held across an await.
    pub(super) fn load(&self) -> Guard<Arc<Table>> {
        self.0.load()
    }

    pub(super) fn load_full(&self) -> Arc<Table> {
        self.0.load_full()
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<Arc<Listener>> {
        self.0.load().get(id).cloned()
    }

    pub(super) fn enter(&self, fresh: &[Arc<Listener>]) {
        self.0.rcu(|table| table.with(fresh));
    }

    /// Takes one out.
    pub(super) fn remove(&self, id: ListenerId) -> Option<Arc<Listener>> {
        let before = self.0.rcu(|table| table.without(id));
        before.get(id).cloned()
    }
}
