//! Connections of a stand-in: accepted or dialled, with or without TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::{Destination, Shared, Source, Transport, WRITE_QUEUE, WireEvent};
use crate::lab::message::{Frame, Framer};

/// Longest wait for a connection, a handshake or a write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes taken from a connection at once.
const READ_SIZE: usize = 8 * 1024;

/// Accepts connections until the stand-in stops.
pub(super) async fn accept(listener: TcpListener, transport: Transport, shared: Shared) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, remote)) = accepted else {
            // Out of file descriptors, most likely: without a pause this would spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.room).try_acquire_owned() else {
            continue;
        };
        let inner = shared.clone();
        shared.tasks.spawn(async move {
            welcome(stream, remote, transport, inner).await;
            drop(permit);
        });
    }
}

async fn welcome(stream: TcpStream, remote: SocketAddr, transport: Transport, shared: Shared) {
    let connection = shared.number();
    let mut source = Source { accepted: true, ..Source::plain(transport, remote, connection) };
    // Two small messages in a row must not wait for each other; a socket that refuses this is only slower.
    let _ = stream.set_nodelay(true);
    let (sender, receiver) = mpsc::channel(WRITE_QUEUE);
    let accepted = WireEvent::Accepted { connection, sender };
    match (transport, &shared.tls) {
        (Transport::Tls, Some(tls)) => match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
            Ok(Ok((stream, certificate))) => {
                source.certificate = certificate;
                source.server_name = stream.get_ref().1.server_name().map(Arc::from);
                if shared.events.send(accepted).await.is_ok() {
                    serve(stream, source, receiver, shared).await;
                }
            }
            Ok(Err(error)) => {
                let text = format!("TLS handshake failed: {error}");
                let _ = shared.events.send(WireEvent::Fault { source, text }).await;
            }
            Err(_) => {
                let text = format!("no TLS handshake within {} s", PATIENCE.as_secs());
                let _ = shared.events.send(WireEvent::Fault { source, text }).await;
            }
        },
        _ => {
            if shared.events.send(accepted).await.is_ok() {
                serve(stream, source, receiver, shared).await;
            }
        }
    }
}

/// Dials and serves a connection whose first messages wait in `outgoing`.
pub(super) async fn dial(
    to: Destination,
    from: [Option<IpAddr>; 2],
    connection: u64,
    outgoing: mpsc::Receiver<Vec<u8>>,
    shared: Shared,
) {
    let endpoint = to.endpoint;
    let failed = |reason: String| WireEvent::Failed { connection, endpoint, reason };
    let stream = match tokio::time::timeout(PATIENCE, connect(endpoint.addr, from)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return drop(shared.events.send(failed(error.to_string())).await),
        Err(_) => {
            return drop(shared.events.send(failed("no connection in time".into())).await);
        }
    };
    let mut source = Source::plain(endpoint.transport, endpoint.addr, connection);
    match (endpoint.transport, &shared.tls) {
        (Transport::Tls, Some(tls)) => {
            let name = to.name.unwrap_or_else(|| endpoint.addr.ip().to_string());
            match tokio::time::timeout(PATIENCE, tls.connect(&name, stream)).await {
                Ok(Ok((stream, certificate))) => {
                    source.certificate = certificate;
                    serve(stream, source, outgoing, shared).await;
                }
                Ok(Err(error)) => drop(shared.events.send(failed(format!("TLS as {name}: {error}"))).await),
                Err(_) => drop(shared.events.send(failed("no TLS handshake in time".into())).await),
            }
        }
        _ => serve(stream, source, outgoing, shared).await,
    }
}

/// Connects from the first address of `from` that can be had, its own at last: the edge tells its peers apart by it.
async fn connect(to: SocketAddr, from: [Option<IpAddr>; 2]) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let fitting = from.into_iter().flatten().filter(|from| from.is_ipv4() == to.is_ipv4() && !from.is_unspecified());
    let mut outcome = Ok(());
    for from in fitting {
        outcome = socket.bind(SocketAddr::new(from, 0));
        if outcome.is_ok() {
            break;
        }
    }
    outcome?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn serve<S>(mut stream: S, source: Source, mut outgoing: mpsc::Receiver<Vec<u8>>, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_SIZE];
    let reason = loop {
        tokio::select! {
            () = shared.stop.cancelled() => break "this side stops".to_owned(),
            next = outgoing.recv() => {
                let Some(bytes) = next else { break "this side closed it".to_owned() };
                if let Err(error) = write(&mut stream, &bytes).await {
                    break error.to_string();
                }
            }
            got = stream.read(&mut buffer) => {
                let bytes = match got {
                    Ok(0) => break "the peer closed it".to_owned(),
                    Err(error) => break error.to_string(),
                    Ok(length) => buffer.get(..length).unwrap_or_default(),
                };
                framer.push(bytes);
                if !deliver(&mut framer, &mut stream, &source, &shared).await {
                    break "its messages cannot be told apart".to_owned();
                }
            }
        }
    };
    // A peer that is told of the end does not take it for a cut line (RFC 8446 section 6.1).
    let _ = tokio::time::timeout(PATIENCE, stream.shutdown()).await;
    let _ = shared.events.send(WireEvent::Closed { connection: source.connection, reason }).await;
}

/// Hands whole messages on; `false` when the stream is of no more use.
async fn deliver<S: AsyncWrite + Unpin>(framer: &mut Framer, stream: &mut S, source: &Source, shared: &Shared) -> bool {
    loop {
        match framer.next_frame() {
            Ok(None) => return true,
            Ok(Some(Frame::Pong)) => {}
            Ok(Some(Frame::Ping)) => {
                if write(stream, b"\r\n").await.is_err() {
                    return false;
                }
            }
            Ok(Some(Frame::Message(bytes))) => {
                if shared.events.send(WireEvent::Packet { source: source.clone(), bytes }).await.is_err() {
                    return false;
                }
            }
            Err(error) => {
                let fault = WireEvent::Fault { source: source.clone(), text: error.to_string() };
                let _ = shared.events.send(fault).await;
                return false;
            }
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    let both = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    tokio::time::timeout(PATIENCE, both).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}
