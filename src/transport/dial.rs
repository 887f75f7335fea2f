//! Connections that the edge opens.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::connection::Connection;
use super::counters::Counters;
use super::outbox::Session;
use super::settings::Limits;
use super::socket::{dialling_socket, prepare_stream};
use super::streams::Streams;
use super::tls::{ClientTls, Credentials, Handshake, explain, server_name};
use super::{SendFault, read};
use crate::sip::Transport;
use crate::trunk::Hop;

/// Everything that is needed to open a connection, found before any of it is tried.
pub(super) struct Plan {
    local: IpAddr,
    remote: SocketAddr,
    tls: Option<(Arc<ClientTls>, ServerName<'static>)>,
}

impl Plan {
    /// What will be shown and trusted.
    pub(super) fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.tls.as_ref().map(|(tls, _)| tls.credentials())
    }
}

/// Finds out how to reach a hop.
pub(super) fn plan(streams: &Streams, hop: &Hop) -> Result<Plan, SendFault> {
    let listener = streams.listeners.get(hop.listener).ok_or(SendFault::NoSocket)?;
    let tls = if hop.transport == Transport::Tls {
        let client = streams.client_tls_of(hop.trunk, hop.listener).ok_or(SendFault::NoSocket)?;
        let name = match &hop.name {
            Some(name) => server_name(name).map_err(|_| SendFault::Tls)?,
            None => ServerName::from(hop.addr.ip()),
        };
        Some((client, name))
    } else {
        None
    };
    Ok(Plan { local: listener.local.ip(), remote: hop.addr, tls })
}

/// Opens the connection, sends what has been waiting for it, and reads it to its end.
pub(super) async fn open(streams: Arc<Streams>, connection: Arc<Connection>, plan: Plan) {
    // Boxed: what connecting needs must not stay with the connection for hours.
    let limits = streams.limits();
    let counters = streams.counters.clone();
    let connecting = Box::pin(async move { connect(&limits, &counters, plan).await });
    let stopping = streams.stopping.clone();
    let connected = stopping.run_until_cancelled_owned(connecting).await;
    let (socket, session) = match connected {
        Some(Ok(connected)) => connected,
        Some(Err(fault)) => return streams.close(&connection, fault, false),
        None => return streams.close(&connection, SendFault::ShutDown, false),
    };
    match connection.opened(socket, session) {
        Some(Ok(written)) => streams.follow(&connection, written),
        Some(Err(_)) => return streams.close(&connection, SendFault::Closed, false),
        None => return,
    }
    read::run(streams, connection).await;
}

async fn connect(limits: &Limits, counters: &Counters, plan: Plan) -> Result<(TcpStream, Option<Session>), SendFault> {
    let remote = plan.remote;
    let tcp = timeout(limits.connect_timeout, connect_tcp(limits, &plan))
        .await
        .map_err(|_| SendFault::ConnectTimeout)?
        .map_err(|error| {
            debug!(%remote, %error, "connecting");
            SendFault::ConnectFailed
        })?;
    let Some((client, name)) = plan.tls else {
        return Ok((tcp, None));
    };
    let connector = TlsConnector::from(client.config());
    let handshake = timeout(limits.tls_handshake_timeout, connector.connect(name, tcp));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            counters.handshake(true, Handshake::of(&error));
            debug!(%remote, error = explain(&error), "TLS handshake with a peer");
            return Err(SendFault::Tls);
        }
        Err(_) => {
            counters.handshake(true, Handshake::Timeout);
            return Err(SendFault::ConnectTimeout);
        }
    };
    counters.handshake(true, Handshake::Done);
    let (tcp, mut session) = stream.into_inner();
    session.set_buffer_limit(Some(limits.session_buffer_bytes()));
    Ok((tcp, Some(Box::new(session.into()))))
}

async fn connect_tcp(limits: &Limits, plan: &Plan) -> io::Result<TcpStream> {
    let socket = dialling_socket(plan.local, plan.remote)?;
    let stream = socket.connect(plan.remote).await?;
    prepare_stream(&stream, limits)?;
    Ok(stream)
}
