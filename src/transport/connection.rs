//! One stream connection: its life and what waits to leave over it.
//!
//! ```text
//! Connecting --opened--> Open --finish--> Finishing --close--> Closed
//!      |                   |                                      ^
//!      +------ close ------+--------------------------------------+
//! ```
//! A message is written by whoever sends it, under the connection's lock; what the socket does not take
//! waits in the outbox, as plain text also for TLS, where at most one message is encrypted ahead.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::limits::Permit;
use super::listeners::Listener;
use super::meter::Meter;
use super::outbox::{Outbox, Refused, Session, write_session};
use super::streams::Key;
use super::tls::Credentials;
use super::{SendFault, Source, Token};
use crate::sip::Transport;
use crate::trunk::{ConnectionId, Flow, ListenerId, TrunkId};

/// A stream connection, shared by its reading task, the tables and whoever sends.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) listener: ListenerId,
    pub(super) transport: Transport,
    pub(super) remote: SocketAddr,
    pub(super) authenticated: SmallVec<[TrunkId; 2]>,
    /// For whom the edge opened it; `None`: the peer did.
    pub(super) dialled: Option<Dialled>,
    /// What the edge showed and trusted in the handshake; `None` without TLS.
    pub(super) credentials: Option<Arc<Credentials>>,
    socket: OnceLock<TcpStream>,
    state: Mutex<State>,
    /// The peer has sent something.
    heard: AtomicBool,
    pub(super) watch: Watch,
    pub(super) meter: Meter,
    /// When it was begun, in milliseconds of the transports' clock.
    pub(super) since: u64,
    permit: Permit,
}

/// For whom a connection was opened.
pub(super) struct Dialled {
    pub(super) trunk: TrunkId,
    /// The name that the peer had to prove.
    pub(super) name: Option<Arc<str>>,
}

/// Marks in milliseconds of the transports' own clock, read by the sweep; zero: not running.
#[derive(Default)]
pub(super) struct Watch {
    /// The last whole message or keep-alive in either direction.
    pub(super) active: AtomicU64,
    /// Since when a message has been incomplete.
    pub(super) partial: AtomicU64,
    /// Since when the peer has taken nothing of what waits.
    pub(super) stalled: AtomicU64,
    /// Since when no request takes it any more.
    pub(super) retired: AtomicU64,
    /// Retired for what the edge has changed: it ends as soon as nothing is under way over it.
    pub(super) outdated: AtomicBool,
}

/// What the lock guards.
pub(super) struct State {
    phase: Phase,
    outbox: Outbox,
    /// A task is waiting for the socket to take more.
    flushing: bool,
    /// The keys under which requests find this connection.
    pub(super) keys: SmallVec<[Key; 1]>,
}

enum Phase {
    Connecting,
    Open(Option<Session>),
    /// Only what already waits still leaves.
    Finishing(Option<Session>),
    Closed,
}

/// Room that the sender grants to a connection's outbox.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) bytes: usize,
    /// Bytes of all connections together.
    pub(super) total: usize,
    /// Messages, while the connection is not open yet.
    pub(super) pending: usize,
}

/// How far writing got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All,
    /// The message waits behind others, or for the connection to open.
    Queued,
    /// The socket takes no more; `progress` tells whether it took anything. `flush` asks the caller to
    /// start the task that goes on when it does.
    Blocked { progress: bool, flush: bool },
}

/// Everything that has to be settled once the lock of a closed connection is released.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) keys: SmallVec<[Key; 1]>,
    pub(super) tokens: Vec<Token>,
}

impl Connection {
    /// A connection that is still to be opened, found under `key`.
    pub(super) fn dialling(
        id: ConnectionId,
        key: Key,
        trunk: TrunkId,
        credentials: Option<Arc<Credentials>>,
        room: Room,
        permit: Permit,
        now: u64,
    ) -> Self {
        let mut state = State::new(Phase::Connecting, SmallVec::from_iter([key.clone()]));
        state.outbox.unheard_room = room.pending;
        Self {
            id,
            listener: key.listener,
            transport: key.transport,
            remote: key.addr,
            authenticated: match key.transport {
                // The name is checked before the connection opens.
                Transport::Tls => SmallVec::from_slice(&[trunk]),
                _ => SmallVec::new(),
            },
            dialled: Some(Dialled { trunk, name: key.name }),
            credentials,
            socket: OnceLock::new(),
            state: Mutex::new(state),
            heard: AtomicBool::new(false),
            watch: Watch::default(),
            meter: Meter::default(),
            since: now,
            permit,
        }
    }

    /// A connection that a peer opened, its handshake done.
    pub(super) fn accepted(
        id: ConnectionId,
        listener: &Listener,
        remote: SocketAddr,
        proof: (SmallVec<[TrunkId; 2]>, Option<Arc<Credentials>>),
        opened: (TcpStream, Option<Session>),
        permit: Permit,
        now: u64,
    ) -> Self {
        let (socket, session) = opened;
        let (authenticated, credentials) = proof;
        Self {
            id,
            listener: listener.id,
            transport: listener.transport,
            remote,
            authenticated,
            dialled: None,
            credentials,
            socket: OnceLock::from(socket),
            state: Mutex::new(State::new(Phase::Open(session), SmallVec::new())),
            heard: AtomicBool::new(true),
            watch: Watch::default(),
            meter: Meter::default(),
            since: now,
            permit,
        }
    }

    /// The socket, once the connection is open.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.socket.get()
    }

    /// Where messages of this connection come from.
    pub(super) fn source(&self, local: SocketAddr) -> Source<'_> {
        Source {
            flow: Flow {
                listener: self.listener,
                transport: self.transport,
                connection: self.id,
                remote: self.remote,
                local: None,
            },
            local,
            authenticated: &self.authenticated,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is whole: no step of this module stops half-way.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes over the socket of a dialled connection and sends what waited for it; `None` when the
    /// connection was closed meanwhile.
    pub(super) fn opened(&self, socket: TcpStream, session: Option<Session>) -> Option<io::Result<Written>> {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Connecting) {
            return None;
        }
        let socket = self.socket.get_or_init(|| socket);
        state.phase = Phase::Open(session);
        Some(self.pump(&mut state, socket))
    }

    /// Writes a message, or lets it wait where the socket takes nothing now.
    ///
    /// # Errors
    /// [`Refused`], with the bytes where none of them has left.
    pub(super) fn send(&self, bytes: Bytes, token: Token, room: Room) -> Result<Written, Refused> {
        let mut state = self.lock();
        match state.phase {
            Phase::Closed | Phase::Finishing(_) => {
                return Err(Refused::new(SendFault::Closed, bytes));
            }
            Phase::Connecting if state.outbox.len() >= room.pending => {
                return Err(Refused::new(SendFault::QueueFull, bytes));
            }
            Phase::Connecting | Phase::Open(_) => {}
        }
        if state.outbox.bytes.saturating_add(bytes.len()) > room.bytes {
            return Err(Refused::new(SendFault::QueueFull, bytes));
        }
        if let Some(socket) = self.socket.get().filter(|_| state.outbox.is_empty()) {
            return self.send_now(&mut state, socket, bytes, token);
        }
        let total = self.permit.counters().queued_bytes.load(Ordering::Relaxed);
        if total.saturating_add(bytes.len()) > room.total {
            return Err(Refused::new(SendFault::QueueFull, bytes));
        }
        self.count_queued(bytes.len());
        state.outbox.push(bytes, token);
        Ok(Written::Queued)
    }

    /// Writes a message before which nothing waits.
    fn send_now(&self, state: &mut State, socket: &TcpStream, bytes: Bytes, token: Token) -> Result<Written, Refused> {
        let State { phase, outbox, .. } = &mut *state;
        let Phase::Open(session) = phase else {
            return Err(Refused::new(SendFault::Closed, bytes));
        };
        match outbox.write_first(socket, session.as_mut(), bytes, token) {
            Ok(true) => return Ok(Written::All),
            Ok(false) => {}
            Err(refused) => return Err(refused),
        }
        self.count_queued(outbox.bytes);
        self.pump(state, socket).map_err(|error| Refused { fault: SendFault::Closed, bytes: None, error: Some(error) })
    }

    /// Sends more of what waits; the task that was asked for is the only caller.
    pub(super) fn flush(&self) -> io::Result<Written> {
        let mut state = self.lock();
        let Some(socket) = self.socket.get() else {
            return Ok(Written::All);
        };
        state.flushing = false;
        self.pump(&mut state, socket)
    }

    /// Writes until nothing waits or the socket takes no more.
    fn pump(&self, state: &mut State, socket: &TcpStream) -> io::Result<Written> {
        let before = state.outbox.bytes;
        let done = match &mut state.phase {
            Phase::Open(None) | Phase::Finishing(None) => state.outbox.write_plain(socket),
            Phase::Open(Some(session)) | Phase::Finishing(Some(session)) => state.outbox.write_sealed(socket, session),
            Phase::Connecting | Phase::Closed => Ok(true),
        };
        let written = before - state.outbox.bytes;
        self.permit.counters().queued_bytes.fetch_sub(written, Ordering::Relaxed);
        if done? {
            return Ok(Written::All);
        }
        let flush = !state.flushing;
        state.flushing = true;
        Ok(Written::Blocked { progress: written > 0, flush })
    }

    fn count_queued(&self, bytes: usize) {
        self.permit.counters().queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sends what the TLS session itself has to say, such as an alert.
    fn flush_session(&self, state: &mut State) -> io::Result<Written> {
        match self.socket.get() {
            Some(socket) => self.pump(state, socket),
            None => Ok(Written::All),
        }
    }

    /// Takes in bytes as they came from the socket; `plain` is given what they mean.
    ///
    /// Returns how writing went that this made necessary, and whether the peer has ended the session.
    pub(super) fn decrypt(&self, mut wire: &[u8], mut plain: impl FnMut(&[u8])) -> io::Result<(Written, bool)> {
        let mut state = self.lock();
        let mut ended = false;
        loop {
            let Some(session) = state.session() else {
                return Ok((Written::All, true));
            };
            // Also without input: the handshake may have brought the first message along.
            let more = !wire.is_empty();
            if more {
                session.read_tls(&mut wire)?;
            }
            match session.process_new_packets() {
                Ok(io) => ended |= io.peer_has_closed(),
                Err(fault) => {
                    let alert = self.flush_session(&mut state);
                    return Err(alert.err().unwrap_or_else(|| io::Error::other(fault)));
                }
            }
            drain_plaintext(session, &mut plain)?;
            if !more || ended {
                break;
            }
        }
        let wants_write = state.session().is_some_and(|session| session.wants_write());
        let written = if wants_write { self.flush_session(&mut state)? } else { Written::All };
        Ok((written, ended))
    }

    /// The peer has sent something: what left before is its business.
    pub(super) fn hear(&self) {
        if !self.heard.load(Ordering::Relaxed) {
            let mut state = self.lock();
            self.heard.store(true, Ordering::Relaxed);
            state.outbox.hear();
        }
    }

    /// From here on only what already waits still leaves.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        if let Phase::Open(session) = &mut state.phase {
            state.phase = Phase::Finishing(session.take());
        }
    }

    /// Whether nothing waits to leave.
    pub(super) fn is_drained(&self) -> bool {
        let mut state = self.lock();
        state.outbox.is_empty() && !state.session().is_some_and(|s| s.wants_write())
    }

    /// Tells the peer that nothing more comes; reading goes on.
    pub(super) fn end_writing(&self) {
        let mut state = self.lock();
        let Some(socket) = self.socket.get() else {
            return;
        };
        state.say_goodbye(socket);
        // Fails when the peer has gone already.
        let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Write);
    }

    /// Ends the connection; `None` when it has ended before. `abort` gives up what the system still holds.
    pub(super) fn close(&self, abort: bool) -> Option<Remains> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Closed) {
            return None;
        }
        if let Some(socket) = self.socket.get() {
            if abort {
                // A peer that takes nothing must not occupy the system's buffers.
                let _ = SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
            } else {
                state.say_goodbye(socket);
            }
            // Wakes the reading task, which lets go of the socket.
            let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Both);
        }
        state.phase = Phase::Closed;
        let outbox = std::mem::take(&mut state.outbox);
        self.permit.counters().queued_bytes.fetch_sub(outbox.bytes, Ordering::Relaxed);
        Some(Remains { keys: std::mem::take(&mut state.keys), tokens: outbox.tokens().collect() })
    }

    /// The certificates that a TLS peer has shown.
    pub(super) fn peer_chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        let mut state = self.lock();
        state.session()?.peer_certificates().map(|chain| chain.to_vec())
    }

    /// TLS version and cipher suite, once the handshake is over.
    pub(super) fn negotiated(&self) -> Option<(String, String)> {
        let mut state = self.lock();
        let session = state.session()?;
        let version = match session.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
            ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
            other => format!("{other:?}"),
        };
        Some((version, format!("{:?}", session.negotiated_cipher_suite()?.suite())))
    }

    /// Whether it was made with something that has changed since.
    pub(super) fn is_outdated(&self) -> bool {
        self.watch.outdated.load(Ordering::Relaxed)
    }

    /// Whether the connection can still take messages.
    pub(super) fn is_usable(state: &State) -> bool {
        matches!(state.phase, Phase::Connecting | Phase::Open(_))
    }
}

impl State {
    fn new(phase: Phase, keys: SmallVec<[Key; 1]>) -> Self {
        Self { phase, outbox: Outbox::default(), flushing: false, keys }
    }

    fn session(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Open(session) | Phase::Finishing(session) => session.as_mut(),
            Phase::Connecting | Phase::Closed => None,
        }
    }

    /// Ends the TLS session politely, as far as the socket takes it.
    fn say_goodbye(&mut self, socket: &TcpStream) {
        if let Some(session) = self.session() {
            session.send_close_notify();
            // The connection ends anyway; a peer that misses this sees the end of the stream.
            let _ = write_session(socket, session);
        }
    }
}

/// Gives away all that the session has decrypted.
fn drain_plaintext(session: &mut Session, plain: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = session.reader();
    loop {
        match io::BufRead::fill_buf(&mut reader) {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                let length = bytes.len();
                plain(bytes);
                io::BufRead::consume(&mut reader, length);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Watch {
    /// Stops a watch.
    pub(super) fn end(mark: &AtomicU64) {
        if mark.load(Ordering::Relaxed) != 0 {
            mark.store(0, Ordering::Relaxed);
        }
    }

    /// Lets no request take the connection any more; whether that was so before.
    pub(super) fn retire(&self, now: u64) -> bool {
        self.retired.compare_exchange(0, now.max(1), Ordering::SeqCst, Ordering::SeqCst).is_err()
    }

    /// When the connection was retired; zero: it was not.
    pub(super) fn retired_since(&self) -> u64 {
        self.retired.load(Ordering::Relaxed)
    }

    /// Whether no request takes the connection any more.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst) != 0
    }

    /// Marks a moment, unless the watch is running already.
    pub(super) fn begin(mark: &AtomicU64, now: u64) {
        let _ = mark.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }
}
