//! Connections of other kinds than SIP that have TLS too: the door for operators, and who knocks at it.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{ClientTls, ServerTls, server_name};

/// What is read and written in clear at this end.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// The handshake with one who has connected. It has no limit of its own.
pub async fn accept(tls: &ServerTls, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
    Ok(Box::new(TlsAcceptor::from(tls.config()).accept(stream).await?))
}

/// The handshake with one to whom this end has connected, whose certificate must carry `host`.
pub async fn connect(tls: &ClientTls, host: &str, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
    let name = server_name(host).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls.config()).connect(name, stream).await?))
}
