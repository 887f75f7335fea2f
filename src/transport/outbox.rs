//! What waits to leave over one connection, and how it is written.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{SendFault, Token};

/// A TLS session whose handshake is over.
pub(super) type Session = Box<rustls::Connection>;

#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    pub(super) bytes: usize,
    /// The first message has been handed to the TLS session, which has not got rid of it yet.
    sealed: bool,
    /// Who sent what has left before the peer said anything. A peer that ends the connection without a
    /// word has not taken it: so ends a TLS 1.3 handshake in which it refuses the edge's certificate.
    unheard: Vec<Token>,
    /// Room in `unheard`; zero once the peer was heard.
    pub(super) unheard_room: usize,
}

struct Waiting {
    bytes: Bytes,
    token: Token,
}

/// A message that a connection did not take.
pub(super) struct Refused {
    pub(super) fault: SendFault,
    /// The message, where nothing of it has left, so that it may be tried elsewhere.
    pub(super) bytes: Option<Bytes>,
    /// Set when the socket failed: the connection has to be closed.
    pub(super) error: Option<io::Error>,
}

impl Refused {
    pub(super) const fn new(fault: SendFault, bytes: Bytes) -> Self {
        Self { fault, bytes: Some(bytes), error: None }
    }
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: Bytes, token: Token) {
        self.bytes += bytes.len();
        self.waiting.push_back(Waiting { bytes, token });
    }

    fn pop(&mut self) {
        if let Some(first) = self.waiting.pop_front() {
            self.bytes -= first.bytes.len();
            self.note_left(first.token);
        }
        if self.waiting.is_empty() {
            // An idle connection keeps no memory for a burst of long ago.
            self.waiting = VecDeque::new();
        }
    }

    /// Messages that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The peer was heard: what left before is its business.
    pub(super) fn hear(&mut self) {
        self.unheard = Vec::new();
        self.unheard_room = 0;
    }

    fn note_left(&mut self, token: Token) {
        if self.unheard.len() < self.unheard_room && token != Token::NONE {
            self.unheard.push(token);
        }
    }

    /// Who sent what the peer has not taken, oldest first.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let waiting = self.waiting.iter().map(|waiting| waiting.token);
        self.unheard.iter().copied().chain(waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes a message before which nothing waits; false when a part of it has to wait.
    pub(super) fn write_first(
        &mut self,
        socket: &TcpStream,
        session: Option<&mut Session>,
        mut bytes: Bytes,
        token: Token,
    ) -> Result<bool, Refused> {
        let failed = |error, bytes| Refused { fault: SendFault::Closed, bytes: Some(bytes), error: Some(error) };
        if let Some(session) = session {
            // An alert or a key update may still be on its way.
            let written = write_session(socket, session).and_then(|clear| {
                if !clear {
                    return Ok(false);
                }
                io::Write::write_all(&mut session.writer(), &bytes)?;
                self.sealed = true;
                write_session(socket, session)
            });
            match written {
                Ok(true) => {
                    self.sealed = false;
                    self.note_left(token);
                    return Ok(true);
                }
                Ok(false) => {}
                Err(error) => return Err(failed(error, bytes)),
            }
        } else {
            match socket.try_write(&bytes) {
                Ok(written) if written == bytes.len() => {
                    self.note_left(token);
                    return Ok(true);
                }
                Ok(written) => bytes.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error, bytes)),
            }
        }
        self.push(bytes, token);
        Ok(false)
    }

    pub(super) fn write_plain(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while let Some(first) = self.waiting.front_mut() {
            match socket.try_write(&first.bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    first.bytes.advance(written);
                    self.bytes -= written;
                    if first.bytes.is_empty() {
                        self.pop();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn write_sealed(&mut self, socket: &TcpStream, session: &mut Session) -> io::Result<bool> {
        loop {
            if !write_session(socket, session)? {
                return Ok(false);
            }
            if std::mem::take(&mut self.sealed) {
                self.pop();
            }
            let Some(first) = self.waiting.front() else {
                return Ok(true);
            };
            io::Write::write_all(&mut session.writer(), &first.bytes)?;
            self.sealed = true;
        }
    }
}

/// Writes what the session has encrypted; false when the socket takes no more.
pub(super) fn write_session(socket: &TcpStream, session: &mut Session) -> io::Result<bool> {
    while session.wants_write() {
        let wrote = socket.try_io(Interest::WRITABLE, || {
            let raw = SockRef::from(socket);
            session.write_tls(&mut &*raw)
        });
        match wrote {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
