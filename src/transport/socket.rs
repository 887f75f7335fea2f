//! How sockets are made and set up.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::{info, warn};

use super::listeners::Listener;
use super::settings::Limits;

/// Connections that the system holds until they are accepted.
pub(super) const BACKLOG: i32 = 1024;

/// How many times TCP asks a silent peer before it gives the connection up.
const KEEPALIVE_RETRIES: u32 = 3;

/// Listeners of the edge itself that are about to leave, on addresses that overlap one that is to be bound.
pub(super) struct Blocking<'t>(pub(super) Vec<&'t Arc<Listener>>);

impl Blocking<'_> {
    /// Binds alone, so that the port of another program is an error; where only sockets of the edge itself are in the
    /// way, once more while these share their port.
    fn beside<T>(&self, bind: impl Fn(bool) -> io::Result<T>) -> io::Result<T> {
        match bind(false) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && !self.0.is_empty() => {}
            result => return result,
        }
        let mut alone = Vec::new();
        for (at, listener) in self.0.iter().enumerate() {
            listener.each_socket(|socket| {
                let shares = socket.reuse_port().unwrap_or_default();
                if !shares && socket.set_reuse_port(true).is_ok() {
                    alone.push(at);
                }
            });
        }
        let bound = bind(true);
        for listener in alone.into_iter().filter_map(|at| self.0.get(at)) {
            listener.each_socket(|socket| {
                // Nobody else shall share it from here on; what is bound stays bound.
                let _ = socket.set_reuse_port(false);
            });
        }
        bound
    }
}

/// The socket of a stream listener: the one that was handed over, or a new one.
pub(super) fn bind_stream(bind: SocketAddr, given: Vec<Socket>, blocking: &Blocking<'_>) -> io::Result<TcpListener> {
    let open = |share: bool| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
        only_v6(&socket, bind)?;
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share)?;
        socket.set_nonblocking(true)?;
        socket.bind(&bind.into())?;
        socket.listen(BACKLOG)?;
        if share {
            socket.set_reuse_port(false)?;
        }
        Ok(socket)
    };
    let socket = match given.into_iter().next() {
        Some(given) => {
            if !given.is_listener()? {
                given.listen(BACKLOG)?;
            }
            given
        }
        None => blocking.beside(open)?,
    };
    TcpListener::from_std(socket.into())
}

/// The sockets of a UDP port, all bound to the same address: those that were handed over, and as many more as are
/// wanted where the port may be shared.
pub(super) fn bind_udp(
    bind: SocketAddr,
    count: usize,
    given: Vec<Socket>,
    blocking: &Blocking<'_>,
    limits: &Limits,
) -> io::Result<Vec<tokio::net::UdpSocket>> {
    let count = count.max(1);
    let mut sockets = given;
    if sockets.is_empty() {
        sockets = blocking.beside(|share| open_udp(bind, count, share))?;
    } else if sockets.len() < count {
        while sockets.len() < count {
            match open_one_udp(bind, true) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    // Such as one without SO_REUSEPORT (`ReusePort=yes`), or that another user has opened.
                    info!(%bind, wanted = count, have = sockets.len(), %error, "no more sockets beside those handed over");
                    break;
                }
            }
        }
    }
    for socket in &sockets {
        buffers(&SockRef::from(socket), limits)?;
    }
    warn_about_clipped_buffers(sockets.first(), bind, limits);
    sockets.into_iter().map(|socket| tokio::net::UdpSocket::from_std(socket.into())).collect()
}

fn open_udp(bind: SocketAddr, count: usize, share: bool) -> io::Result<Vec<Socket>> {
    // Bound once without sharing, so that a second daemon on the port is an error and does not
    // silently take half of the datagrams.
    let first = open_one_udp(bind, share)?;
    if count == 1 {
        if share {
            first.set_reuse_port(false)?;
        }
        return Ok(vec![first]);
    }
    let addr = local_addr(&first)?;
    drop(first);
    (0..count).map(|_| open_one_udp(addr, true)).collect()
}

fn open_one_udp(bind: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    only_v6(&socket, bind)?;
    socket.set_reuse_port(share)?;
    socket.set_nonblocking(true)?;
    socket.bind(&bind.into())?;
    Ok(socket)
}

/// IPv6 sockets take IPv6 only, so that a peer has one form of address and not two.
fn only_v6(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(())
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet socket"))
}

/// Asks for the buffers of a UDP socket.
pub(super) fn buffers(socket: &SockRef<'_>, limits: &Limits) -> io::Result<()> {
    socket.set_recv_buffer_size(limits.udp_receive_buffer_bytes)?;
    socket.set_send_buffer_size(limits.udp_send_buffer_bytes)
}

fn warn_about_clipped_buffers(socket: Option<&Socket>, bind: SocketAddr, limits: &Limits) {
    // The system keeps twice what is asked for, for its own overhead.
    let given = socket.and_then(|socket| socket.recv_buffer_size().ok());
    if given.is_some_and(|given| given / 2 < limits.udp_receive_buffer_bytes) {
        warn!(
            %bind,
            wanted = limits.udp_receive_buffer_bytes,
            given = given.unwrap_or_default() / 2,
            "the system gives a smaller UDP receive buffer: raise net.core.rmem_max"
        );
    }
}

/// Sets up a connection, accepted or dialled.
pub(super) fn prepare_stream(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let interval = (limits.tcp_keepalive / 4).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(limits.tcp_keepalive).with_interval(interval).with_retries(KEEPALIVE_RETRIES),
    )?;
    // What the peer's system does not acknowledge for so long ends the connection.
    socket.set_tcp_user_timeout(Some(limits.write_stall_timeout))
}

/// A socket for a connection to `remote` that leaves from the listener's own address, where it has one.
pub(super) fn dialling_socket(local: IpAddr, remote: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        // Lets connections to different peers share a port, so that ports do not run out.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(local, 0))?;
    }
    Ok(socket)
}
