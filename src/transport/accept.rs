//! Connections that peers open.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::connection::Connection;
use super::counters::DropReason;
use super::limits::Permit;
use super::listeners::Listener;
use super::outbox::Session;
use super::read;
use super::socket::{BACKLOG, prepare_stream};
use super::streams::Streams;
use super::tls::{Credentials, Handshake, explain};
use crate::sip::Transport;
use crate::trunk::TrunkId;

/// Rest after an accept that failed for want of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Starts to accept.
pub(super) fn start(streams: &Arc<Streams>, listener: Arc<Listener>, socket: Arc<TcpListener>) -> AbortHandle {
    streams.runtime.spawn(accept(streams.clone(), listener, socket)).abort_handle()
}

async fn accept(streams: Arc<Streams>, listener: Arc<Listener>, socket: Arc<TcpListener>) {
    loop {
        match socket.accept().await {
            Ok((socket, remote)) => admit(&streams, &listener, socket, remote),
            // The peer has given up already.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(local = %listener.local, %error, "accepting a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Lets in what the system has taken already, without waiting for more.
pub(super) fn drain(streams: &Arc<Streams>, listener: &Arc<Listener>, socket: &TcpListener) {
    for _ in 0..BACKLOG {
        let Ok((peer, _)) = SockRef::from(socket).accept() else { return };
        let Ok(remote) = peer.peer_addr() else { continue };
        let (Some(remote), Ok(())) = (remote.as_socket(), peer.set_nonblocking(true)) else { continue };
        match TcpStream::from_std(peer.into()) {
            Ok(peer) => admit(streams, listener, peer, remote),
            Err(error) => debug!(%remote, %error, "setting up a connection"),
        }
    }
}

/// Lets the peer in if the limits allow, and starts the connection's task.
fn admit(streams: &Arc<Streams>, listener: &Arc<Listener>, socket: TcpStream, remote: SocketAddr) {
    if streams.receiver().is_some_and(|receiver| !receiver.welcomes(listener.id, remote.ip())) {
        return debug!(%remote, "a connection that is not welcome");
    }
    let permit = match listener.welcomes(remote.ip()) {
        true => streams.doors.welcome(listener.transport),
        false => streams.doors.accept(listener.transport, remote.ip()),
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(reason) => {
            debug!(%remote, reason = reason.reason(), "refusing a connection");
            return streams.counters.dropped(reason);
        }
    };
    if let Err(error) = prepare_stream(&socket, &streams.limits()) {
        return debug!(%remote, %error, "setting up a connection");
    }
    let newcomer = Newcomer { listener: listener.clone(), socket, remote, permit };
    streams.tracker.spawn_on(serve(streams.clone(), newcomer), &streams.runtime);
}

struct Newcomer {
    listener: Arc<Listener>,
    socket: TcpStream,
    remote: SocketAddr,
    permit: Permit,
}

/// Shakes hands where TLS is spoken, then reads the connection to its end.
async fn serve(streams: Arc<Streams>, newcomer: Newcomer) {
    // Boxed: what the handshake needs must not stay with the connection for hours.
    let handshake = Box::pin(open(streams.clone(), newcomer));
    let stopping = streams.stopping.clone();
    if let Some(Some(connection)) = stopping.run_until_cancelled_owned(handshake).await {
        streams.enter(&connection);
        read::run(streams, connection).await;
    }
}

async fn open(streams: Arc<Streams>, newcomer: Newcomer) -> Option<Arc<Connection>> {
    let remote = newcomer.remote;
    let listener = newcomer.listener;
    let (socket, session, proof) = if listener.transport == Transport::Tls {
        let opened = handshake(&streams, &listener, newcomer.socket).await;
        match opened {
            Ok(opened) => opened,
            Err(reason) => {
                debug!(%remote, reason, "TLS handshake by a peer");
                streams.counters.dropped(DropReason::Handshake);
                if let Some(receiver) = streams.receiver() {
                    receiver.handshake_failed(listener.id, remote.ip());
                }
                return None;
            }
        }
    } else {
        (newcomer.socket, None, (SmallVec::new(), None))
    };
    Some(Arc::new(Connection::accepted(
        streams.next_id(),
        &listener,
        remote,
        proof,
        (socket, session),
        newcomer.permit,
        streams.now(),
    )))
}

type Opened = (TcpStream, Option<Session>, (SmallVec<[TrunkId; 2]>, Option<Arc<Credentials>>));

async fn handshake(streams: &Streams, listener: &Listener, socket: TcpStream) -> Result<Opened, String> {
    let tls = listener.server_tls().ok_or("the listener has no certificate any more")?;
    let limits = streams.limits();
    let handshake = TlsAcceptor::from(tls.config()).accept(socket);
    let stream = match timeout(limits.tls_handshake_timeout, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            streams.counters.handshake(false, Handshake::of(&error));
            return Err(explain(&error));
        }
        Err(_) => {
            streams.counters.handshake(false, Handshake::Timeout);
            return Err("took too long".to_owned());
        }
    };
    streams.counters.handshake(false, Handshake::Done);
    let (socket, mut session) = stream.into_inner();
    let authenticated = session.peer_certificates().map(|chain| tls.trunks_of(chain)).unwrap_or_default();
    session.set_buffer_limit(Some(limits.session_buffer_bytes()));
    let proof = (authenticated, Some(tls.credentials().clone()));
    Ok((socket, Some(Box::new(session.into())), proof))
}
