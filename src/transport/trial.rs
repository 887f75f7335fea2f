//! One request to a target and the answer to it, outside of the transports that carry calls: for those who look into why
//! a target cannot be reached. Each step has its own fault, so that it can be told which one failed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::certificate::Certificate;
use super::tls::{ClientTls, explain, server_name};
use crate::sip::Transport;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 65_535;

/// The first pause before a datagram is sent again; each one after it is twice as long (RFC 3261 section 17.1.2.1).
const T1: Duration = Duration::from_millis(500);

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub transport: Transport,
    pub addr: SocketAddr,
    /// The name that its certificate must have; `None`: its address.
    pub name: Option<&'a str>,
    /// What is shown and trusted; present for TLS.
    pub tls: Option<&'a ClientTls>,
    /// How long each step may take.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer as it came; its headers at least.
    pub bytes: Vec<u8>,
    /// From the request to the answer.
    pub took: Duration,
    pub tls: Option<Shaken>,
}

/// A handshake that was done.
#[derive(Clone, Debug)]
pub struct Shaken {
    /// `TLS 1.3`.
    pub version: &'static str,
    /// The peer's own certificate, when it can be read.
    pub peer: Option<Certificate>,
}

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub enum TrialFault {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("nobody answers there: the connection was not opened within {0:?}")]
    ConnectTimeout(Duration),
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    #[error("the TLS handshake was not done within {0:?}")]
    TlsTimeout(Duration),
    #[error("the trunk has no authorities to check the peer's certificate with")]
    NoTls,
    #[error("the request could not be sent: {0}")]
    Send(io::Error),
    #[error("the peer ended the connection without an answer")]
    Closed { tls: Option<Shaken> },
    #[error("no answer within {patience:?}")]
    Silence { patience: Duration, tls: Option<Shaken> },
}

/// Sends a request to a place and waits for the final answer to it.
///
/// # Errors
/// [`TrialFault`]: the step that failed.
pub async fn ask(asked: Asked<'_>, request: &[u8]) -> Result<Answered, TrialFault> {
    let patience = asked.patience;
    if asked.transport == Transport::Udp {
        return ask_by_datagram(asked.addr, request, patience).await;
    }
    let stream = timeout(patience, TcpStream::connect(asked.addr))
        .await
        .map_err(|_| TrialFault::ConnectTimeout(patience))?
        .map_err(TrialFault::Connect)?;
    if asked.transport == Transport::Tcp {
        return converse(stream, request, patience, None).await;
    }
    let client = asked.tls.ok_or(TrialFault::NoTls)?;
    let name = match asked.name {
        Some(name) => server_name(name).map_err(|error| TrialFault::Tls(error.to_string()))?,
        None => ServerName::from(asked.addr.ip()),
    };
    let stream = timeout(patience, TlsConnector::from(client.config()).connect(name, stream))
        .await
        .map_err(|_| TrialFault::TlsTimeout(patience))?
        .map_err(|error| TrialFault::Tls(explain(&error)))?;
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let peer = session.peer_certificates().and_then(|chain| Certificate::parse(chain.first()?));
    converse(stream, request, patience, Some(Shaken { version, peer })).await
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
    patience: Duration,
    tls: Option<Shaken>,
) -> Result<Answered, TrialFault> {
    let began = Instant::now();
    stream.write_all(request).await.map_err(TrialFault::Send)?;
    stream.flush().await.map_err(TrialFault::Send)?;
    let mut bytes = Vec::new();
    let read = async {
        loop {
            if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                if is_final(&bytes) {
                    return true;
                }
                bytes.drain(..end + 4);
                continue;
            }
            let mut room = [0; 4_096];
            match stream.read(&mut room).await {
                Ok(count) if count > 0 && bytes.len() < MAX_ANSWER => {
                    bytes.extend_from_slice(room.get(..count).unwrap_or_default());
                }
                _ => return false,
            }
        }
    };
    match timeout(patience, read).await {
        Ok(true) => Ok(Answered { bytes, took: began.elapsed(), tls }),
        Ok(false) => Err(TrialFault::Closed { tls }),
        Err(_) => Err(TrialFault::Silence { patience, tls }),
    }
}

async fn ask_by_datagram(addr: SocketAddr, request: &[u8], patience: Duration) -> Result<Answered, TrialFault> {
    let any: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(TrialFault::Send)?;
    socket.connect(addr).await.map_err(TrialFault::Connect)?;
    let began = Instant::now();
    let mut pause = T1;
    let mut room = vec![0; MAX_ANSWER];
    loop {
        socket.send(request).await.map_err(TrialFault::Send)?;
        let until = began + patience;
        let resend = Instant::now() + pause;
        loop {
            let now = Instant::now();
            let Some(rest) = until.checked_duration_since(now).filter(|rest| !rest.is_zero()) else {
                return Err(TrialFault::Silence { patience, tls: None });
            };
            let Some(wait) = resend.checked_duration_since(now) else { break };
            match timeout(wait.min(rest), socket.recv(&mut room)).await {
                Ok(Ok(count)) => {
                    let bytes = room.get(..count).unwrap_or_default();
                    if is_final(bytes) {
                        return Ok(Answered { bytes: bytes.to_vec(), took: began.elapsed(), tls: None });
                    }
                }
                // Refused by the machine there (ICMP).
                Ok(Err(error)) => return Err(TrialFault::Connect(error)),
                Err(_) => {}
            }
        }
        pause *= 2;
    }
}

/// Whether a message begins as a final answer.
fn is_final(bytes: &[u8]) -> bool {
    matches!(bytes.strip_prefix(b"SIP/2.0 "), Some([b'2'..=b'6', b'0'..=b'9', b'0'..=b'9', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn asked(transport: Transport, addr: SocketAddr) -> Asked<'static> {
        Asked { transport, addr, name: None, tls: None, patience: Duration::from_millis(1_500) }
    }

    #[tokio::test]
    async fn datagrams_are_sent_again_and_provisional_answers_are_waited_past() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = peer.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut room = [0; 100];
            peer.recv_from(&mut room).await.unwrap();
            let (count, from) = peer.recv_from(&mut room).await.unwrap();
            peer.send_to(b"SIP/2.0 100 Trying\r\n\r\n", from).await.unwrap();
            peer.send_to(ANSWER, from).await.unwrap();
            room[..count].to_vec()
        });
        let answered = ask(asked(Transport::Udp, addr), b"OPTIONS").await.unwrap();
        assert_eq!(answered.bytes, ANSWER);
        assert!(answered.took >= T1);
        assert_eq!(answering.await.unwrap(), b"OPTIONS");
    }

    #[tokio::test]
    async fn each_step_has_its_own_fault() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let silent = tokio::spawn(async move {
            let first = listener.accept().await.unwrap();
            let second = listener.accept().await.unwrap();
            drop(second);
            (first, listener)
        });
        let silence = ask(asked(Transport::Tcp, addr), b"OPTIONS").await;
        assert!(matches!(silence, Err(TrialFault::Silence { .. })), "{silence:?}");
        let closed = ask(asked(Transport::Tcp, addr), b"OPTIONS").await;
        assert!(matches!(closed, Err(TrialFault::Closed { .. } | TrialFault::Send(_))), "{closed:?}");
        drop(silent.await.unwrap());
        let refused = ask(asked(Transport::Tcp, addr), b"OPTIONS").await;
        assert!(matches!(refused, Err(TrialFault::Connect(_))), "{refused:?}");
        let nobody = ask(asked(Transport::Tls, addr), b"OPTIONS").await;
        assert!(matches!(nobody, Err(TrialFault::Connect(_))), "{nobody:?}");
    }
}
