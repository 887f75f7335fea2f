//! The table of connections: which one an answer or a request uses, and what happens when one ends
//! (RFC 3261 section 18, RFC 5923).
//!
//! Lock order: a table's lock comes before a connection's. No table guard leaves this module.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::connection::{Connection, Room, Watch, Written};
use super::counters::{Counters, DropReason};
use super::limits::Doors;
use super::listeners::Listeners;
use super::meter::Step;
use super::outbox::Refused;
use super::settings::Limits;
use super::tls::ClientTls;
use super::{Receiver, SendFault, Token, dial};
use crate::sip::Transport;
use crate::trunk::{ConnectionId, Hop, ListenerId, TrunkId};

/// How often a shutdown looks whether everything has left.
const SHUTDOWN_STEP: std::time::Duration = std::time::Duration::from_millis(5);

/// What makes a connection fit for a request (RFC 5923 section 5.1): the same place under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) transport: Transport,
    pub(super) addr: SocketAddr,
    pub(super) name: Option<Arc<str>>,
    pub(super) listener: ListenerId,
    /// The trunk whose own identity the edge shows, where it has one: no other trunk may use the connection.
    pub(super) shown_as: Option<TrunkId>,
}

/// All stream connections.
pub(super) struct Streams {
    pub(super) listeners: Listeners,
    trunk_tls: ArcSwap<HashMap<TrunkId, Arc<ClientTls>>>,
    limits: ArcSwap<Limits>,
    pub(super) counters: Arc<Counters>,
    pub(super) doors: Arc<Doors>,
    pub(super) tracker: TaskTracker,
    pub(super) stopping: CancellationToken,
    by_id: DashMap<ConnectionId, Arc<Connection>, foldhash::fast::RandomState>,
    by_key: DashMap<Key, Arc<Connection>, foldhash::fast::RandomState>,
    next_id: AtomicU64,
    receiver: RwLock<Option<Arc<dyn Receiver>>>,
    pub(super) runtime: Handle,
    started: Instant,
    /// Milliseconds since `started`, advanced by the sweep: nobody asks the system for the time.
    clock: AtomicU64,
}

impl Streams {
    pub(super) fn new(limits: Limits, counters: Arc<Counters>) -> Arc<Self> {
        let doors = Doors::new(limits.max_connections, limits.max_connections_per_address, false, counters.clone());
        Arc::new(Self {
            listeners: Listeners::default(),
            trunk_tls: ArcSwap::default(),
            doors,
            limits: ArcSwap::from_pointee(limits),
            counters,
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            by_id: DashMap::default(),
            by_key: DashMap::default(),
            next_id: AtomicU64::new(ConnectionId::DATAGRAM.0 + 1),
            receiver: RwLock::new(None),
            runtime: Handle::current(),
            started: Instant::now(),
            clock: AtomicU64::new(1),
        })
    }

    /// Takes other identities and trust of trunks, and other limits; the table of listeners is as it shall be.
    pub(super) fn take(&self, trunk_tls: HashMap<TrunkId, Arc<ClientTls>>, limits: Limits) {
        let welcoming = self.listeners.load().iter().any(|listener| listener.is_welcoming());
        self.doors.set(limits.max_connections, limits.max_connections_per_address, welcoming);
        self.trunk_tls.store(Arc::new(trunk_tls));
        self.limits.store(Arc::new(limits));
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// Makes the receiver known; false when there is one already or the transports are shut down.
    pub(super) fn attach(&self, receiver: Arc<dyn Receiver>) -> bool {
        let mut slot = self.receiver.write().unwrap_or_else(|e| e.into_inner());
        if slot.is_some() || self.stopping.is_cancelled() {
            return false;
        }
        *slot = Some(receiver);
        true
    }

    pub(super) fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        let slot = self.receiver.read().unwrap_or_else(|e| e.into_inner());
        slot.clone()
    }

    pub(super) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The id that was given last.
    pub(super) fn newest_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.load(Ordering::Relaxed).saturating_sub(1))
    }

    /// Milliseconds of the transports' clock, as of the last sweep; never zero.
    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Moves the clock on.
    pub(super) fn tick(&self) -> u64 {
        let elapsed = self.started.elapsed().as_millis();
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX).max(1);
        self.clock.store(now, Ordering::Relaxed);
        now
    }

    fn room(&self) -> Room {
        let limits = self.limits.load();
        Room {
            bytes: limits.connection_queue_bytes,
            total: limits.total_queue_bytes,
            pending: limits.pending_per_connect,
        }
    }

    /// Enters an open connection into the table of answers.
    pub(super) fn enter(self: &Arc<Self>, connection: &Arc<Connection>) {
        connection.watch.active.store(self.now(), Ordering::Relaxed);
        self.by_id.insert(connection.id, connection.clone());
        if self.stopping.is_cancelled() {
            // The shutdown may have gone through the table before.
            self.close(connection, SendFault::ShutDown, false);
        }
        // As a renewal may have.
        self.retire_late(connection);
    }

    /// All connections for which `condition` holds.
    pub(super) fn select(&self, condition: impl Fn(&Connection) -> bool) -> Vec<Arc<Connection>> {
        self.by_id.iter().filter(|entry| condition(entry.value())).map(|entry| entry.value().clone()).collect()
    }

    /// Writes an answer to its connection; the bytes come back when it has gone.
    pub(super) fn answer(
        self: &Arc<Self>,
        id: ConnectionId,
        bytes: Bytes,
        token: Token,
    ) -> Result<(), (SendFault, Option<Bytes>)> {
        let connection = self.by_id.get(&id).map(|entry| entry.value().clone());
        match connection {
            Some(connection) => self.send(&connection, bytes, token),
            None => Err((SendFault::Closed, Some(bytes))),
        }
    }

    /// Writes a request to the connection that fits the hop, or to a new one.
    pub(super) fn request(self: &Arc<Self>, hop: &Hop, bytes: Bytes, token: Token) -> Result<(), SendFault> {
        let key = self.key_of(hop);
        let found = self.by_key.get(&key).map(|entry| entry.value().clone());
        let mut bytes = bytes;
        if let Some(connection) = found {
            match self.send(&connection, bytes, token) {
                // It ended just now; the peer may well take another one.
                Err((SendFault::Closed, Some(back))) => bytes = back,
                result => return result.map_err(|(fault, _)| fault),
            }
        }
        let connection = self.dial(key, hop)?;
        self.send(&connection, bytes, token).map_err(|(fault, _)| fault)
    }

    /// The connection that requests to a hop take.
    pub(super) fn found_under(&self, hop: &Hop) -> Option<Arc<Connection>> {
        self.by_key.get(&self.key_of(hop)).map(|entry| entry.value().clone())
    }

    /// Lets no request find a connection any more.
    pub(super) fn forget_names(&self, connection: &Arc<Connection>) {
        let keys = std::mem::take(&mut connection.lock().keys);
        for key in &keys {
            self.by_key.remove_if(key, |_, entered| Arc::ptr_eq(entered, connection));
        }
    }

    fn key_of(&self, hop: &Hop) -> Key {
        Key {
            transport: hop.transport,
            addr: hop.addr,
            name: hop.name.clone(),
            listener: hop.listener,
            shown_as: self.trunk_tls.load().get(&hop.trunk).map(|_| hop.trunk),
        }
    }

    /// The identities and trust of trunks that have their own.
    pub(super) fn own_tls(&self) -> Arc<HashMap<TrunkId, Arc<ClientTls>>> {
        self.trunk_tls.load_full()
    }

    /// The identity and trust for a connection to a hop: the trunk's own, or the listener's.
    pub(super) fn client_tls_of(&self, trunk: TrunkId, listener: ListenerId) -> Option<Arc<ClientTls>> {
        let own = self.trunk_tls.load().get(&trunk).cloned();
        own.or_else(|| self.listeners.load().get(listener)?.client_tls())
    }

    /// The connection for a key: a new one, unless another worker was faster.
    fn dial(self: &Arc<Self>, key: Key, hop: &Hop) -> Result<Arc<Connection>, SendFault> {
        if self.stopping.is_cancelled() {
            return Err(SendFault::ShutDown);
        }
        let plan = dial::plan(self, hop)?;
        let connection = match self.by_key.entry(key) {
            Entry::Occupied(entry) if Connection::is_usable(&entry.get().lock()) => {
                return Ok(entry.get().clone());
            }
            entry => {
                let permit = self.doors.dial(hop.transport).map_err(|reason| {
                    self.counters.dropped(reason);
                    SendFault::TooManyConnections
                })?;
                let key = entry.key().clone();
                let credentials = plan.credentials().cloned();
                let connection =
                    Connection::dialling(self.next_id(), key, hop.trunk, credentials, self.room(), permit, self.now());
                let connection = Arc::new(connection);
                entry.insert(connection.clone());
                connection
            }
        };
        self.enter(&connection);
        let open = dial::open(self.clone(), connection.clone(), plan);
        self.tracker.spawn_on(open, &self.runtime);
        Ok(connection)
    }

    pub(super) fn send(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        bytes: Bytes,
        token: Token,
    ) -> Result<(), (SendFault, Option<Bytes>)> {
        let length = bytes.len();
        let step = Step::of(&bytes);
        connection.meter.sending(step);
        match connection.send(bytes, token, self.room()) {
            Ok(written) => {
                connection.meter.sent(step, length, self.now());
                connection.watch.active.store(self.now(), Ordering::Relaxed);
                self.counters.traffic(connection.transport).sent(length);
                self.follow(connection, written);
                Ok(())
            }
            Err(Refused { fault, bytes, error }) => {
                connection.meter.not_sent(step);
                if let Some(error) = error {
                    debug!(remote = %connection.remote, %error, "writing");
                    self.close(connection, SendFault::Closed, false);
                }
                // Where a part of the message waited, the closing has told of it already.
                if bytes.is_none() {
                    return Ok(());
                }
                Err((fault, bytes))
            }
        }
    }

    /// Keeps the stall watch true to how writing went and starts the task that goes on.
    pub(super) fn follow(self: &Arc<Self>, connection: &Arc<Connection>, written: Written) {
        let stalled = &connection.watch.stalled;
        match written {
            Written::All => Watch::end(stalled),
            Written::Queued => {}
            Written::Blocked { progress, flush } => {
                if progress {
                    stalled.store(self.now(), Ordering::Relaxed);
                } else {
                    Watch::begin(stalled, self.now());
                }
                if flush {
                    let flush = flush_when_writable(self.clone(), connection.clone());
                    self.tracker.spawn_on(flush, &self.runtime);
                }
            }
        }
    }

    pub(super) fn alias(&self, id: ConnectionId, addr: SocketAddr, name: Option<Arc<str>>) {
        let Some(connection) = self.by_id.get(&id).map(|entry| entry.value().clone()) else {
            return;
        };
        let key = Key {
            transport: connection.transport,
            addr,
            name,
            listener: connection.listener,
            shown_as: connection.authenticated.iter().copied().find(|trunk| self.trunk_tls.load().contains_key(trunk)),
        };
        let mut state = connection.lock();
        let full = state.keys.len() >= self.limits.load().aliases_per_connection;
        let fit = Connection::is_usable(&state) && !connection.watch.is_retired();
        if full || !fit || state.keys.contains(&key) {
            return;
        }
        state.keys.push(key.clone());
        drop(state);
        // The newest connection wins: the peer may have lost the one before without a word.
        self.by_key.insert(key.clone(), connection.clone());
        if !Connection::is_usable(&connection.lock()) || connection.watch.is_retired() {
            // Closed or retired between the two steps, and so not taken out by that.
            self.by_key.remove_if(&key, |_, entered| Arc::ptr_eq(entered, &connection));
        }
    }

    /// Ends a connection: nothing finds it any more, and whoever waits to send over it is told.
    pub(super) fn close(&self, connection: &Arc<Connection>, fault: SendFault, abort: bool) {
        let Some(remains) = connection.close(abort) else {
            return;
        };
        self.by_id.remove(&connection.id);
        for key in &remains.keys {
            self.by_key.remove_if(key, |_, entered| Arc::ptr_eq(entered, connection));
        }
        for token in remains.tokens {
            self.fail(token, fault);
        }
    }

    /// Tells the sender, from a task of its own: it may hold a lock that the receiver takes.
    pub(super) fn fail(&self, token: Token, fault: SendFault) {
        self.counters.dropped(match fault {
            SendFault::QueueFull => DropReason::QueueFull,
            _ => DropReason::SendFailed,
        });
        if token == Token::NONE {
            return;
        }
        if let Some(receiver) = self.receiver() {
            self.runtime.spawn(async move { receiver.send_failed(token, fault) });
        }
    }

    pub(super) async fn shutdown(&self) {
        self.stopping.cancel();
        let patience = Instant::now() + self.limits.load().linger;
        let all = self.select(|_| true);
        while Instant::now() < patience && !all.iter().all(|connection| connection.is_drained()) {
            tokio::time::sleep(SHUTDOWN_STEP).await;
        }
        for connection in self.select(|_| true) {
            self.close(&connection, SendFault::ShutDown, false);
        }
        self.tracker.close();
        self.tracker.wait().await;
        self.receiver.write().unwrap_or_else(|e| e.into_inner()).take();
    }
}

/// Goes on writing as the peer takes it.
async fn flush_when_writable(streams: Arc<Streams>, connection: Arc<Connection>) {
    let Some(socket) = connection.socket() else {
        return;
    };
    while socket.writable().await.is_ok() {
        match connection.flush() {
            Ok(Written::Blocked { progress, .. }) => {
                let again = Written::Blocked { progress, flush: false };
                streams.follow(&connection, again);
            }
            Ok(written) => return streams.follow(&connection, written),
            Err(error) => {
                debug!(remote = %connection.remote, %error, "writing");
                return streams.close(&connection, SendFault::Closed, false);
            }
        }
    }
}
