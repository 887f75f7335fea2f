//! Connections that peers open.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::connection::Connection;
use super::counters::DropReason;
use super::limits::Permit;
use super::outbox::Session;
use super::read;
use super::socket::{BoundStream, prepare_stream};
use super::streams::Streams;
use super::tls::explain;
use crate::sip::Transport;
use crate::trunk::{ListenerId, TrunkId};

/// Rest after an accept that failed for want of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Starts to accept.
pub(super) fn start(streams: &Arc<Streams>, bound: BoundStream) -> AbortHandle {
    streams.runtime.spawn(accept(streams.clone(), bound)).abort_handle()
}

async fn accept(streams: Arc<Streams>, bound: BoundStream) {
    loop {
        match bound.listener.accept().await {
            Ok((socket, remote)) => admit(&streams, &bound, socket, remote),
            // The peer has given up already.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(local = %bound.local, %error, "accepting a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Lets the peer in if the limits allow, and starts the connection's task.
fn admit(streams: &Arc<Streams>, bound: &BoundStream, socket: TcpStream, remote: SocketAddr) {
    if streams.receiver().is_some_and(|receiver| !receiver.welcomes(bound.id, remote.ip())) {
        return debug!(%remote, "a connection that is not welcome");
    }
    let welcome = streams.identity(bound.id).is_some_and(|identity| identity.welcomes(remote.ip()));
    let permit = match welcome {
        true => streams.doors.welcome(bound.transport),
        false => streams.doors.accept(bound.transport, remote.ip()),
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(reason) => {
            debug!(%remote, reason = reason.reason(), "refusing a connection");
            return streams.counters.dropped(reason);
        }
    };
    if let Err(error) = prepare_stream(&socket, &streams.limits) {
        return debug!(%remote, %error, "setting up a connection");
    }
    let newcomer = Newcomer { listener: bound.id, transport: bound.transport, socket, remote, permit };
    streams.tracker.spawn(serve(streams.clone(), newcomer));
}

struct Newcomer {
    listener: ListenerId,
    transport: Transport,
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
    let (socket, session, authenticated) = if newcomer.transport == Transport::Tls {
        let opened = handshake(&streams, newcomer.listener, newcomer.socket).await;
        match opened {
            Ok(opened) => opened,
            Err(reason) => {
                debug!(%remote, reason, "TLS handshake by a peer");
                streams.counters.dropped(DropReason::Handshake);
                if let Some(receiver) = streams.receiver() {
                    receiver.handshake_failed(newcomer.listener, remote.ip());
                }
                return None;
            }
        }
    } else {
        (newcomer.socket, None, SmallVec::new())
    };
    Some(Arc::new(Connection::accepted(
        streams.next_id(),
        newcomer.listener,
        newcomer.transport,
        remote,
        authenticated,
        (socket, session),
        newcomer.permit,
    )))
}

type Opened = (TcpStream, Option<Session>, SmallVec<[TrunkId; 2]>);

async fn handshake(streams: &Streams, listener: ListenerId, socket: TcpStream) -> Result<Opened, String> {
    let tls = streams
        .identity(listener)
        .and_then(|identity| identity.server_tls())
        .ok_or("the listener has no certificate any more")?;
    let handshake = TlsAcceptor::from(tls.config()).accept(socket);
    let stream = timeout(streams.limits.tls_handshake_timeout, handshake)
        .await
        .map_err(|_| "took too long".to_owned())?
        .map_err(|error| explain(&error))?;
    let (socket, mut session) = stream.into_inner();
    let authenticated = session.peer_certificates().map(|chain| tls.trunks_of(chain)).unwrap_or_default();
    session.set_buffer_limit(Some(streams.limits.session_buffer_bytes()));
    Ok((socket, Some(Box::new(session.into())), authenticated))
}
