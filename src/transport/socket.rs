//! How sockets are made and set up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;

use super::settings::{Limits, ListenerSettings};
use crate::sip::Transport;
use crate::trunk::ListenerId;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// How many times TCP asks a silent peer before it gives the connection up.
const KEEPALIVE_RETRIES: u32 = 3;

/// A stream listener that is bound and not yet read.
pub(super) struct BoundStream {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) listener: TcpListener,
}

impl BoundStream {
    pub(super) fn bind(settings: &ListenerSettings) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(settings.bind), Type::STREAM, Some(Protocol::TCP))?;
        only_v6(&socket, settings.bind)?;
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&settings.bind.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok(Self { id: settings.id, transport: settings.transport, local: listener.local_addr()?, listener })
    }
}

/// The sockets of a UDP port, all bound to the same address.
pub(super) fn bind_udp(bind: SocketAddr, count: usize, limits: &Limits) -> io::Result<Vec<tokio::net::UdpSocket>> {
    let open = |addr: SocketAddr, share: bool| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        only_v6(&socket, addr)?;
        socket.set_reuse_port(share)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        Ok(socket)
    };
    // Bound once without sharing, so that a second daemon on the port is an error and does not
    // silently take half of the datagrams.
    let first = open(bind, false)?;
    let mut sockets = Vec::with_capacity(count.max(1));
    if count <= 1 {
        sockets.push(first);
    } else {
        let addr = local_addr(&first)?;
        drop(first);
        for _ in 0..count {
            sockets.push(open(addr, true)?);
        }
    }
    for socket in &sockets {
        buffers(socket, limits)?;
    }
    warn_about_clipped_buffers(sockets.first(), bind, limits);
    sockets.into_iter().map(|socket| tokio::net::UdpSocket::from_std(socket.into())).collect()
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

fn buffers(socket: &Socket, limits: &Limits) -> io::Result<()> {
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
