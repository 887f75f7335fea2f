//! UDP: batched reads, direct sends, and a bounded queue for what the socket does not take.
//!
//! One system call reads as many datagrams as wait. When it brings fewer than it could, the socket is
//! empty, and saying so to the runtime saves the call that would only find that out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::{debug, error};

use super::counters::{Counters, DropReason};
use super::scratch::{self, SLOT_BYTES, SLOTS};
use super::settings::{Limits, ListenerSettings};
use super::socket::{Blocking, bind_udp};
use super::streams::Streams;
use super::{Receiver, SendFault, Source, Token};
use crate::sip::Transport;
use crate::trunk::{ConnectionId, Flow, ListenerId};

/// Datagrams shorter than this that hold nothing but blanks are keep-alives, not messages.
const KEEPALIVE_BYTES: usize = 20;

/// Full batches after which other tasks of the worker get their turn.
const BATCHES_PER_TURN: usize = 4;

/// The sockets of one UDP listener.
pub(super) struct Datagrams {
    listener: ListenerId,
    local: SocketAddr,
    sockets: Vec<Arc<Socket>>,
    counters: Arc<Counters>,
}

struct Socket {
    io: UdpSocket,
    /// Reads; and, on wildcard addresses, sends from a chosen address.
    state: UdpSocketState,
    wildcard: bool,
    /// Set while the queue is not empty: what comes later has to queue up behind it.
    blocked: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
}

struct Outgoing {
    remote: SocketAddr,
    local: Option<IpAddr>,
    bytes: Bytes,
    token: Token,
}

impl Datagrams {
    /// Opens the sockets of a listener, of which `given` are open already.
    pub(super) fn bind(
        settings: &ListenerSettings,
        given: Vec<socket2::Socket>,
        blocking: &Blocking<'_>,
        limits: &Limits,
        counters: Arc<Counters>,
    ) -> io::Result<Arc<Self>> {
        let wildcard = settings.bind.ip().is_unspecified();
        let ios = bind_udp(settings.bind, settings.sockets, given, blocking, limits)?;
        let local = ios.first().ok_or_else(|| io::Error::other("no socket"))?.local_addr()?;
        let sockets =
            ios.into_iter().map(|io| Socket::new(io, wildcard).map(Arc::new)).collect::<io::Result<Vec<_>>>()?;
        Ok(Arc::new(Self { listener: settings.id, local, sockets, counters }))
    }

    /// The same sockets for another listener, which reads them in its own name.
    pub(super) fn under(&self, listener: ListenerId) -> Arc<Self> {
        let Self { listener: _, local, sockets, counters } = self;
        Arc::new(Self { listener, local: *local, sockets: sockets.clone(), counters: counters.clone() })
    }

    pub(super) fn each_socket(&self, mut work: impl FnMut(SockRef<'_>)) {
        for socket in &self.sockets {
            work(SockRef::from(&socket.io));
        }
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Starts one reading task for each socket.
    pub(super) fn start(self: &Arc<Self>, receiver: &Arc<dyn Receiver>, runtime: &Handle) -> Vec<AbortHandle> {
        (0..self.sockets.len())
            .map(|index| {
                let read = read(self.clone(), index, receiver.clone());
                runtime.spawn(read).abort_handle()
            })
            .collect()
    }

    /// Sends at once, or queues where the socket takes nothing.
    pub(super) fn send(
        &self,
        remote: SocketAddr,
        local: Option<IpAddr>,
        bytes: Bytes,
        token: Token,
        streams: &Arc<Streams>,
    ) -> Result<(), SendFault> {
        let index = scratch::socket() % self.sockets.len().max(1);
        let socket = self.sockets.get(index).ok_or(SendFault::NoSocket)?;
        let outgoing = Outgoing { remote, local, bytes, token };
        if !socket.blocked.load(Ordering::Acquire) {
            match socket.try_send(&outgoing) {
                Ok(()) => {
                    self.counters.traffic(Transport::Udp).sent(outgoing.bytes.len());
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(fault_of(&error)),
            }
        }
        if socket.enqueue(outgoing, streams.limits().datagram_queue_bytes, &self.counters)? {
            let flush = flush(socket.clone(), self.counters.clone(), streams.clone());
            streams.runtime.spawn(flush);
        }
        Ok(())
    }

    fn deliver(&self, datagram: &[u8], meta: &RecvMeta, receiver: &dyn Receiver) {
        if is_keepalive(datagram) {
            return self.counters.dropped(DropReason::Keepalive);
        }
        let local = meta.dst_ip.filter(|_| self.local.ip().is_unspecified());
        let source = Source {
            flow: Flow {
                listener: self.listener,
                transport: Transport::Udp,
                connection: ConnectionId::DATAGRAM,
                remote: meta.addr,
                local,
            },
            local: SocketAddr::new(local.unwrap_or(self.local.ip()), self.local.port()),
            authenticated: &[],
        };
        let bytes = Bytes::copy_from_slice(datagram);
        // A fault in the handling of one datagram must not end the reading of all others.
        let call = AssertUnwindSafe(|| receiver.message(source, bytes));
        if catch_unwind(call).is_err() {
            error!(remote = %meta.addr, "the handling of a datagram panicked");
            self.counters.dropped(DropReason::ReceiverPanic);
        }
    }

    /// Reads one batch and delivers it; whether the socket is empty now.
    fn read_batch(&self, socket: &Socket, receiver: &dyn Receiver) -> bool {
        scratch::with_buffer(|buffer| {
            let mut metas = [RecvMeta::default(); SLOTS];
            let mut slots = slots(buffer);
            let mut taken = 0;
            let result = socket.io.try_io(Interest::READABLE, || {
                taken = socket.state.recv((&socket.io).into(), &mut slots, &mut metas)?;
                if taken < SLOTS {
                    // Empty now. A datagram that comes from here on wakes the task again.
                    return Err(ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            let mut bytes = 0;
            let mut count = 0;
            for (slot, meta) in buffer.chunks_exact(SLOT_BYTES).zip(&metas).take(taken) {
                let received = slot.get(..meta.len).unwrap_or(slot);
                // The system may join datagrams of one sender, all but the last of the same length.
                for datagram in datagrams(received, meta.stride) {
                    bytes += datagram.len();
                    count += 1;
                    self.deliver(datagram, meta, receiver);
                }
            }
            if count > 0 {
                self.counters.traffic(Transport::Udp).received(count, bytes);
            }
            match result {
                Ok(()) => false,
                Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                Err(error) => {
                    // Such as an ICMP error for something sent earlier: the socket itself is fine.
                    debug!(local = %self.local, %error, "reading datagrams");
                    false
                }
            }
        })
    }
}

/// Reads one socket for as long as the listener lives.
async fn read(datagrams: Arc<Datagrams>, index: usize, receiver: Arc<dyn Receiver>) {
    let Some(socket) = datagrams.sockets.get(index) else {
        return;
    };
    let mut batches = 0;
    loop {
        scratch::set_socket(index);
        if datagrams.read_batch(socket, &*receiver) {
            batches = 0;
            receiver.idle();
            // Fails only when the runtime ends.
            if socket.io.readable().await.is_err() {
                return;
            }
            continue;
        }
        batches += 1;
        if batches == BATCHES_PER_TURN {
            batches = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Sends what is queued, as the socket takes it.
async fn flush(socket: Arc<Socket>, counters: Arc<Counters>, streams: Arc<Streams>) {
    while socket.io.writable().await.is_ok() {
        if socket.flush(&counters, &streams) {
            return;
        }
    }
}

impl Socket {
    fn new(io: UdpSocket, wildcard: bool) -> io::Result<Self> {
        let state = if wildcard {
            let state = UdpSocketState::new((&io).into())?;
            if io.local_addr()?.is_ipv4() {
                // That made datagrams of more than the path's size an error; SIP wants them fragmented
                // (RFC 3261 section 18.1.1). For IPv6 it cannot be undone and stays an error.
                set_ip_mtu_discover(&io, Ipv4PathMtuDiscovery::DONT)?;
            }
            state
        } else {
            // Made from another socket: on this one no option is set, so that no datagram comes with
            // an address, a time stamp and a traffic class that nobody looks at.
            let other = std::net::UdpSocket::bind(SocketAddr::new(io.local_addr()?.ip(), 0))?;
            UdpSocketState::new((&other).into())?
        };
        Ok(Self { io, state, wildcard, blocked: AtomicBool::new(false), queue: Mutex::default() })
    }

    fn try_send(&self, outgoing: &Outgoing) -> io::Result<()> {
        let once = || match outgoing.local.filter(|_| self.wildcard) {
            None => self.io.try_send_to(&outgoing.bytes, outgoing.remote).map(drop),
            local => self.io.try_io(Interest::WRITABLE, || {
                let transmit = Transmit {
                    destination: outgoing.remote,
                    ecn: None,
                    contents: &outgoing.bytes,
                    segment_size: None,
                    src_ip: local,
                };
                self.state.try_send((&self.io).into(), &transmit)
            }),
        };
        match once() {
            // The error belongs to an earlier datagram; this one was not tried.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => once(),
            result => result,
        }
    }

    /// Queues; whether a task has to be started that empties the queue.
    fn enqueue(&self, outgoing: Outgoing, limit: usize, counters: &Counters) -> Result<bool, SendFault> {
        let mut queue = self.lock();
        let length = outgoing.bytes.len();
        if queue.bytes.saturating_add(length) > limit {
            return Err(SendFault::QueueFull);
        }
        queue.bytes += length;
        counters.queued_bytes.fetch_add(length, Ordering::Relaxed);
        queue.waiting.push_back(outgoing);
        Ok(!self.blocked.swap(true, Ordering::AcqRel))
    }

    /// Sends from the queue until it is empty (then true) or the socket takes nothing.
    fn flush(&self, counters: &Counters, streams: &Arc<Streams>) -> bool {
        let mut queue = self.lock();
        while let Some(outgoing) = queue.waiting.front() {
            let length = outgoing.bytes.len();
            match self.try_send(outgoing) {
                Ok(()) => counters.traffic(Transport::Udp).sent(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => streams.fail(outgoing.token, fault_of(&error)),
            }
            queue.waiting.pop_front();
            queue.bytes -= length;
            counters.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        }
        queue.waiting = VecDeque::new();
        self.blocked.store(false, Ordering::Release);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn slots(buffer: &mut [u8]) -> [IoSliceMut<'_>; SLOTS] {
    let mut chunks = buffer.chunks_exact_mut(SLOT_BYTES);
    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()))
}

/// The datagrams that were received in one slot: each of `stride` bytes, the last maybe shorter.
fn datagrams(received: &[u8], stride: usize) -> impl Iterator<Item = &[u8]> {
    received.chunks(stride.max(1))
}

fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.len() < KEEPALIVE_BYTES && datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0))
}

fn fault_of(error: &io::Error) -> SendFault {
    if quinn_udp::is_msg_size_err(error) { SendFault::TooLarge } else { SendFault::Unreachable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_keepalives_and_messages_are_not() {
        for datagram in [b"".as_slice(), b"\r\n\r\n", b"\0\0\0\0", b" \t\r\n"] {
            assert!(is_keepalive(datagram));
        }
        for datagram in [b"\r\n\r\nX".as_slice(), &[b' '; KEEPALIVE_BYTES]] {
            assert!(!is_keepalive(datagram));
        }
    }

    fn outgoing(remote: SocketAddr, bytes: &'static [u8]) -> Outgoing {
        Outgoing { remote, local: None, bytes: Bytes::from_static(bytes), token: Token::NONE }
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_waits_within_bounds_and_leaves_in_order() {
        let counters = Arc::new(Counters::register());
        let streams = Streams::new(Limits::default(), counters.clone());
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let remote = peer.local_addr().unwrap();
        let io = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = Arc::new(Socket::new(io, false).unwrap());

        // The first that waits asks for the task that empties the queue, later ones do not.
        let queue = |bytes| socket.enqueue(outgoing(remote, bytes), 8, &counters);
        assert_eq!(queue(b"one"), Ok(true));
        assert_eq!(queue(b"two"), Ok(false));
        assert_eq!(queue(b"three"), Err(SendFault::QueueFull));
        assert_eq!(counters.counts().queued_bytes, 6);
        assert!(socket.blocked.load(Ordering::Acquire));

        flush(socket.clone(), counters.clone(), streams).await;
        let mut buffer = [0; 10];
        for expected in [b"one", b"two"] {
            let length = peer.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], expected);
        }
        assert_eq!(counters.counts().queued_bytes, 0);
        assert!(!socket.blocked.load(Ordering::Acquire));
    }

    #[test]
    fn joined_datagrams_come_apart() {
        let parts: Vec<_> = datagrams(b"aaabbbc", 3).collect();
        assert_eq!(parts, [b"aaa".as_slice(), b"bbb", b"c"]);
        assert_eq!(datagrams(b"aaa", 3).count(), 1);
        assert_eq!(datagrams(b"", 0).count(), 0);
    }
}
