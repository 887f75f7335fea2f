//! Reads one connection to its end, and hands over what comes.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, error};

use super::connection::{Connection, Watch};
use super::counters::DropReason;
use super::streams::Streams;
use super::{Receiver, SendFault, Token, scratch};
use crate::sip::Transport;
use crate::sip::frame::{Frame, Framer, Unframed};

/// Bytes read and thrown away, at most, after a stream could not be framed, so that the answer to it
/// is not lost in a reset.
const DISCARD_BYTES: usize = 1024 * 1024;

/// The answer to a keep-alive (RFC 5626 section 3.5.1).
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// What a connection's task keeps while it waits.
struct Reader {
    streams: Arc<Streams>,
    connection: Arc<Connection>,
    receiver: Arc<dyn Receiver>,
    local: SocketAddr,
    framer: Framer,
}

/// How a read went.
enum Outcome {
    /// There may be more to read.
    More,
    /// Nothing more to read now.
    Empty,
    /// The peer has ended the connection, or it failed.
    Ended,
    /// The stream cannot be cut any further.
    Unframed(Unframed),
}

/// What a read brought.
#[derive(Default)]
struct Harvest {
    frames: SmallVec<[Frame; 4]>,
    bytes: usize,
    fault: Option<Unframed>,
}

/// Reads a connection until it ends, then closes it.
pub(super) async fn run(streams: Arc<Streams>, connection: Arc<Connection>) {
    let (Some(receiver), Some(socket)) = (streams.receiver(), connection.socket()) else {
        return streams.close(&connection, SendFault::ShutDown, false);
    };
    let local = socket.local_addr();
    let Ok(local) = local else {
        return streams.close(&connection, SendFault::Closed, false);
    };
    let mut reader = Reader {
        framer: Framer::new(streams.limits().frame()),
        streams: streams.clone(),
        connection: connection.clone(),
        receiver,
        local,
    };
    let unframed = reader.read_to_end(socket).await;
    if let Some(unframed) = unframed {
        reader.give_up(socket, unframed).await;
    }
    streams.close(&connection, SendFault::Closed, false);
}

impl Reader {
    /// Reads until the connection ends; the fault when the stream could not be cut.
    async fn read_to_end(&mut self, socket: &TcpStream) -> Option<Unframed> {
        // The TLS handshake may have brought the first message along.
        let mut outcome = match self.connection.transport {
            Transport::Tls => self.take_in(&[], false),
            _ => Outcome::Empty,
        };
        loop {
            match outcome {
                Outcome::Ended => return None,
                Outcome::Unframed(unframed) => return Some(unframed),
                // A peer that sends much does not keep the worker from others.
                Outcome::More => tokio::task::yield_now().await,
                Outcome::Empty => {
                    self.receiver.idle();
                    socket.readable().await.ok()?;
                }
            }
            outcome = self.read(socket);
        }
    }

    /// One read from the socket.
    fn read(&mut self, socket: &TcpStream) -> Outcome {
        scratch::with_buffer(|buffer| {
            let buffer = buffer.get_mut(..scratch::SLOT_BYTES).unwrap_or_default();
            let mut taken = None;
            let result = socket.try_io(Interest::READABLE, || {
                let length = (&*SockRef::from(socket)).read(buffer)?;
                taken = Some(length);
                if length < buffer.len() {
                    // Empty now. What comes from here on wakes the task again.
                    return Err(ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match (taken, result) {
                (Some(0), _) => Outcome::Ended,
                (Some(length), result) => {
                    let wire = buffer.get(..length).unwrap_or_default();
                    self.take_in(wire, result.is_ok())
                }
                (None, Err(error)) => self.outcome_of(&error),
                (None, Ok(())) => Outcome::More,
            }
        })
    }

    fn outcome_of(&self, error: &io::Error) -> Outcome {
        match error.kind() {
            ErrorKind::WouldBlock => Outcome::Empty,
            ErrorKind::Interrupted => Outcome::More,
            _ => {
                debug!(remote = %self.connection.remote, %error, "reading");
                Outcome::Ended
            }
        }
    }

    /// Takes in what was read and delivers the messages that it completes.
    fn take_in(&mut self, wire: &[u8], more: bool) -> Outcome {
        let mut harvest = Harvest::default();
        let framer = &mut self.framer;
        let outcome = if self.connection.transport == Transport::Tls {
            let decrypted = self.connection.decrypt(wire, |plain| harvest.reap(framer, plain));
            match decrypted {
                Ok((written, ended)) => {
                    self.streams.follow(&self.connection, written);
                    if ended { Outcome::Ended } else { Outcome::Empty }
                }
                Err(error) => self.outcome_of(&error),
            }
        } else {
            harvest.reap(framer, wire);
            Outcome::Empty
        };
        self.watch(!harvest.frames.is_empty());
        let fault = harvest.fault.take();
        if !self.deliver(harvest) {
            return Outcome::Ended;
        }
        match (outcome, fault) {
            (_, Some(unframed)) => Outcome::Unframed(unframed),
            (Outcome::Empty, None) if more => Outcome::More,
            (outcome, None) => outcome,
        }
    }

    /// Keeps the marks that the sweep reads.
    fn watch(&self, progress: bool) {
        let now = self.streams.now();
        let watch = &self.connection.watch;
        if progress {
            watch.active.store(now, Ordering::Relaxed);
            self.connection.hear();
            Watch::end(&watch.partial);
        }
        if self.framer.is_partial() {
            Watch::begin(&watch.partial, now);
        }
    }

    /// Hands over the messages; false when the receiver failed and the connection has to end.
    fn deliver(&self, harvest: Harvest) -> bool {
        if harvest.frames.is_empty() {
            return true;
        }
        let source = self.connection.source(self.local);
        let mut messages = 0;
        for frame in harvest.frames {
            match frame {
                Frame::Message(bytes) => {
                    messages += 1;
                    self.connection.meter.received(&bytes, self.streams.now());
                    let call = AssertUnwindSafe(|| self.receiver.message(source, bytes));
                    if catch_unwind(call).is_err() {
                        error!(remote = %self.connection.remote, "the handling of a message panicked");
                        self.streams.counters.dropped(DropReason::ReceiverPanic);
                        return false;
                    }
                }
                Frame::Ping => self.pong(),
            }
        }
        self.streams.counters.traffic(self.connection.transport).received(messages, harvest.bytes);
        true
    }

    fn pong(&self) {
        // A full queue means that the peer takes nothing: it will be closed for that.
        let _ = self.streams.send(&self.connection, PONG, Token::NONE);
    }

    /// Lets the core answer a stream that cannot be cut, and the answer reach the peer.
    async fn give_up(&self, socket: &TcpStream, unframed: Unframed) {
        self.streams.counters.dropped(DropReason::Unframed);
        debug!(remote = %self.connection.remote, fault = %unframed.fault, "a stream is out of step");
        let source = self.connection.source(self.local);
        let call = AssertUnwindSafe(|| {
            self.receiver.unframed(source, unframed.head, unframed.fault);
        });
        if catch_unwind(call).is_err() {
            return self.streams.counters.dropped(DropReason::ReceiverPanic);
        }
        self.connection.finish();
        // The sweep closes it where the peer takes nothing; this only bounds the polite way.
        let _ = timeout(self.streams.limits().linger, self.linger(socket)).await;
    }

    /// Waits until everything has left, says so, and reads on until the peer ends as well.
    async fn linger(&self, socket: &TcpStream) {
        while !self.connection.is_drained() {
            tokio::time::sleep(self.streams.limits().linger / 20).await;
        }
        self.connection.end_writing();
        let mut left = DISCARD_BYTES;
        while left > 0 && socket.readable().await.is_ok() {
            let read = scratch::with_buffer(|buffer| socket.try_read(buffer));
            match read {
                Ok(0) => return,
                Ok(length) => left = left.saturating_sub(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl Harvest {
    fn reap(&mut self, framer: &mut Framer, plain: &[u8]) {
        self.bytes += plain.len();
        let frames = &mut self.frames;
        if let Err(unframed) = framer.feed(plain, |frame| frames.push(frame)) {
            self.fault = Some(unframed);
        }
    }
}
