//! Endpoints: open connections and the certificates behind them.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::access::{Need, Routes};
use super::fault::Fault;
use super::listing::{self, PageQuery};
use super::routes::{Desk, Reply};

/// Between the parts of a cursor of certificates; no serial number has one.
const BETWEEN: char = '\t';

/// What stands behind these endpoints: open connections and the certificates behind them.
pub trait Connections: Send + Sync + 'static {
    /// The first stream connections that are wanted, in the order in which they were opened.
    ///
    /// # Errors
    /// [`Unknown`] when there is no such trunk or listener.
    fn connections(&self, wanted: &Wanted, limit: usize) -> Result<Vec<ConnectionShown>, Unknown>;

    /// Ends a connection whatever is under way over it; whether there was one.
    fn close_connection(&self, id: u64) -> bool;

    /// The certificates that the edge shows, in the order of files and serial numbers.
    fn certificates(&self) -> Vec<CertificateShown>;
}

/// Which connections are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those opened after this one.
    pub after: Option<u64>,
    pub trunk: Option<String>,
    pub listener: Option<String>,
    /// Only those that requests take no more, or only those that they take.
    pub retired: Option<bool>,
}

/// A name that the configuration does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    Listener(String),
    Trunk(String),
}

/// A stream connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionShown {
    pub id: u64,
    pub transport: &'static str,
    pub listener: String,
    pub peer: String,
    /// `accepted`, or `dialled` by the edge.
    pub direction: &'static str,
    /// The trunk that it was opened for, or those that the peer has proved to be of.
    pub trunks: Vec<String>,
    /// Seconds since it was begun.
    pub open_s: u64,
    /// Seconds since the last message; `None`: none yet.
    pub idle_s: Option<u64>,
    /// Seconds since requests take it no more.
    pub retired_s: Option<u64>,
    /// Requests in both directions without a final answer.
    pub under_way: u32,
    pub received: u64,
    pub received_bytes: u64,
    pub sent: u64,
    pub sent_bytes: u64,
    pub tls: Option<TlsShown>,
}

/// The TLS side of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsShown {
    /// `TLS 1.3`; empty while the handshake goes on.
    pub version: String,
    pub cipher: String,
    /// The file of the certificate that the edge has shown.
    pub certificate: Option<String>,
    pub serial: Option<String>,
    /// When that certificate ends, RFC 3339.
    pub not_after: Option<String>,
    /// Common name of the peer's certificate, or else the first name it carries.
    pub peer_name: Option<String>,
    pub peer_serial: Option<String>,
    /// RFC 3339.
    pub peer_not_after: Option<String>,
}

/// A certificate that the edge shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CertificateShown {
    pub file: String,
    /// The names that it carries.
    pub names: Vec<String>,
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    /// RFC 3339.
    pub not_before: String,
    /// RFC 3339.
    pub not_after: String,
    /// When the first certificate of the chain in the file ends, RFC 3339.
    pub chain_ends: String,
    /// Whole days until then; negative once it is over.
    pub days_left: i64,
    /// The listeners that show it to those who connect.
    pub listeners: Vec<String>,
    /// The trunks for which the edge shows it when it dials.
    pub trunks: Vec<String>,
    /// Open connections that were made with it.
    pub connections: usize,
    /// Open connections that were made with an older certificate of the same file.
    pub older_connections: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionQuery {
    trunk: Option<String>,
    listener: Option<String>,
    retired: Option<bool>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ConnectionPage {
    connections: Vec<ConnectionShown>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct CertificatePage {
    certificates: Vec<CertificateShown>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Closed {
    id: u64,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/connections", Need::READ, connections)
        .post("/v1/connections/{id}/close", Need::CHANGE, close)
        .get("/v1/certificates", Need::READ, certificates)
}

async fn connections(
    State(desk): State<Desk>,
    query: Result<Query<ConnectionQuery>, QueryRejection>,
) -> Reply<Json<ConnectionPage>> {
    let Query(ConnectionQuery { trunk, listener, retired, limit, after }) = query?;
    let wanted = Wanted { after, trunk, listener, retired };
    let limit = listing::page(limit);
    let page = desk.aside(move |control| {
        // One more than fits tells whether there is more.
        let mut connections = control.connections(&wanted, limit + 1)?;
        let more = connections.len() > limit;
        connections.truncate(limit);
        let next = connections.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(ConnectionPage { connections, next })
    });
    Ok(Json(page.await?))
}

async fn close(State(desk): State<Desk>, id: Result<Path<u64>, PathRejection>) -> Reply<Json<Closed>> {
    let Path(id) = id?;
    let closed = desk.aside(move |control| Ok(control.close_connection(id))).await?;
    if closed {
        return Ok(Json(Closed { id }));
    }
    Err(Fault::missing("unknown_connection", format!("there is no connection {id}; it may have ended just now")))
}

async fn certificates(
    State(desk): State<Desk>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Reply<Json<CertificatePage>> {
    let Query(query) = query?;
    let limit = listing::page(query.limit);
    let page = desk.aside(move |control| {
        let cursor = |it: &CertificateShown| format!("{}{BETWEEN}{}", it.file, it.serial);
        let mut certificates = control.certificates();
        if let Some(after) = &query.after {
            certificates.retain(|certificate| cursor(certificate) > *after);
        }
        let more = certificates.len() > limit;
        certificates.truncate(limit);
        let next = certificates.last().filter(|_| more).map(cursor);
        Ok(CertificatePage { certificates, next })
    });
    Ok(Json(page.await?))
}

impl From<Unknown> for Fault {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Listener(name) => Self::missing("unknown_listener", format!("there is no listener `{name}`")),
            Unknown::Trunk(name) => Self::missing("unknown_trunk", format!("there is no trunk `{name}`")),
        }
    }
}
