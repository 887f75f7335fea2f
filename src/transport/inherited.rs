//! Sockets that a service manager opened for the edge (systemd.socket(5), sd_listen_fds(3)), so that a restart refuses no
//! connection: they stay open while no edge runs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use socket2::{SockRef, Socket, Type};

use super::settings::ListenerSettings;
use crate::sip::Transport;

/// An open socket that was handed over.
#[derive(Clone, Debug)]
pub struct Inherited {
    socket: Arc<OwnedFd>,
    /// What the service manager calls it; a hint for messages only.
    pub name: String,
    /// The address that it is bound to.
    pub addr: SocketAddr,
    /// Whether it takes datagrams (UDP), and not connections (TCP and TLS).
    pub datagrams: bool,
}

impl Inherited {
    /// Looks at a socket that was handed over.
    ///
    /// # Errors
    /// When it is no bound UDP or TCP socket.
    pub fn new(socket: OwnedFd, name: impl Into<String>) -> io::Result<Self> {
        let reference = SockRef::from(&socket);
        let addr = reference.local_addr()?.as_socket();
        let addr = addr.ok_or_else(|| io::Error::other("this is no internet socket"))?;
        let datagrams = match reference.r#type()? {
            Type::DGRAM => true,
            Type::STREAM => false,
            _ => return Err(io::Error::other("this is neither a UDP nor a TCP socket")),
        };
        Ok(Self { socket: Arc::new(socket), name: name.into(), addr, datagrams })
    }

    /// Whether a listener asks for what this is.
    fn fits(&self, settings: &ListenerSettings) -> bool {
        self.addr == settings.bind && self.datagrams == (settings.transport == Transport::Udp)
    }

    /// A descriptor of its own for the same socket.
    fn duplicate(&self) -> io::Result<Socket> {
        let socket = Socket::from(self.socket.try_clone()?);
        if self.addr.is_ipv6() && !socket.only_v6()? {
            // A peer would have two forms of address then.
            return Err(io::Error::other(format!(
                "the socket {} of the service manager takes IPv4 as well: set BindIPv6Only=ipv6-only in the socket unit",
                self.name
            )));
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// What was handed over and is not used yet. They stay open: a later configuration may want them.
#[derive(Default)]
pub(super) struct Inheritance(Mutex<Vec<Inherited>>);

impl Inheritance {
    /// The sockets for a listener; none of them is used up.
    pub(super) fn of(&self, settings: &ListenerSettings) -> io::Result<Vec<Socket>> {
        self.lock().iter().filter(|it| it.fits(settings)).map(Inherited::duplicate).collect()
    }

    /// Adds what was handed over later.
    pub(super) fn add(&self, more: Vec<Inherited>) {
        self.lock().extend(more);
    }

    /// Lets go of those that a listener has taken: it has descriptors of its own.
    pub(super) fn taken(&self, transport: Transport, addr: SocketAddr) {
        self.lock().retain(|it| it.addr != addr || it.datagrams != (transport == Transport::Udp));
    }

    /// What nobody has taken.
    pub(super) fn left(&self) -> Vec<Inherited> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Inherited>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}
