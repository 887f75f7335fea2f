//! What operators see of connections and of the certificates behind them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::connection::Connection;
use super::meter::Passed;
use super::streams::Streams;
use super::tls::certificate::Certificate;
use super::tls::{Credentials, KeyLog, pem};
use super::{SendFault, Transports};
use crate::sip::Transport;
use crate::trunk::{ConnectionId, ListenerId, TrunkId};

/// Which connections are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those opened after this one.
    pub after: Option<ConnectionId>,
    pub listener: Option<ListenerId>,
    /// Opened for this trunk, or by a peer that has proved to be of it.
    pub trunk: Option<TrunkId>,
    /// Only those that requests take no more, or only those that they take.
    pub retired: Option<bool>,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    pub id: ConnectionId,
    pub transport: Transport,
    pub listener: ListenerId,
    pub remote: SocketAddr,
    /// The edge opened it, and not the peer.
    pub dialled: bool,
    /// The trunk it was opened for, or those that the peer has proved to be of.
    pub trunks: Vec<TrunkId>,
    /// For how long it has been there.
    pub age: Duration,
    /// How long ago the last message passed; `None`: none yet.
    pub quiet: Option<Duration>,
    /// For how long no request has taken it any more.
    pub retired: Option<Duration>,
    pub passed: Passed,
    pub tls: Option<TlsView>,
}

/// The TLS side of a connection.
#[derive(Clone, Debug)]
pub struct TlsView {
    /// Such as `TLS 1.3`; empty while the handshake goes on.
    pub version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// What the edge has shown.
    pub shown: Arc<Credentials>,
    /// What the peer has shown.
    pub peer: Option<Peer>,
}

/// The certificate of a peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its common name, or else the first name it carries.
    pub name: String,
    pub serial: String,
    pub not_after: OffsetDateTime,
}

/// A certificate that the edge shows, or has shown in a connection that is still open.
#[derive(Clone, Debug)]
pub struct CertificateView {
    pub credentials: Arc<Credentials>,
    /// Listeners that show it to those who connect.
    pub listeners: Vec<ListenerId>,
    /// Listeners that show it when they dial for a trunk without a certificate of its own.
    pub dialling: Vec<ListenerId>,
    /// Trunks that have it as their own.
    pub trunks: Vec<TrunkId>,
    /// Open connections that were made with it.
    pub connections: usize,
    /// Open connections that were made with another certificate of the same file.
    pub older: usize,
}

/// TLS connections that are alike, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The first trunk that the peer has proved to be of; `None`: it has proved nothing.
    pub trunk: Option<TrunkId>,
    pub dialled: bool,
    pub open: usize,
    /// Of these, made with a certificate that is not shown any more, or retired otherwise.
    pub outdated: usize,
}

impl Transports {
    /// The first connections that fit, in the order in which they were opened; at most `limit`.
    pub fn connections(&self, filter: &Filter, limit: usize) -> Vec<ConnectionView> {
        let mut found = self.streams.select(|connection| filter.fits(connection));
        found.sort_unstable_by_key(|connection| connection.id);
        found.truncate(limit);
        let now = self.streams.now();
        found.iter().map(|connection| view(connection, now)).collect()
    }

    /// Ends a connection, whatever is under way over it; whether there was one.
    pub fn close_connection(&self, id: ConnectionId) -> bool {
        let found = self.streams.select(|connection| connection.id == id);
        for connection in &found {
            self.streams.close(connection, SendFault::Closed, false);
        }
        !found.is_empty()
    }

    /// The certificates that the edge shows now, in the order of their files, one entry for each certificate.
    pub fn certificates(&self) -> Vec<CertificateView> {
        let mut all: Vec<CertificateView> = Vec::new();
        for listener in self.streams.listeners.load().iter() {
            if let Some(tls) = listener.server_tls() {
                entry(&mut all, tls.credentials(), |it| it.listeners.push(listener.id));
            }
            if let Some(tls) = listener.client_tls() {
                entry(&mut all, tls.credentials(), |it| it.dialling.push(listener.id));
            }
        }
        for (trunk, tls) in self.streams.own_tls().iter() {
            entry(&mut all, tls.credentials(), |it| it.trunks.push(*trunk));
        }
        let open = self.streams.select(|connection| connection.credentials.is_some());
        for shown in open.iter().filter_map(|connection| connection.credentials.as_ref()) {
            for view in &mut all {
                if view.credentials.shows_the_same(shown) {
                    view.connections += 1;
                } else if file_of(&view.credentials) == file_of(shown) {
                    view.older += 1;
                }
            }
        }
        for view in &mut all {
            view.trunks.sort_unstable();
        }
        all.sort_by(|one, other| file_of(&one.credentials).cmp(&file_of(&other.credentials)));
        all
    }

    /// What the edge shows and trusts when it dials for a trunk from a listener.
    pub fn shown_for(&self, trunk: TrunkId, listener: ListenerId) -> Option<Arc<Credentials>> {
        self.streams.client_tls_of(trunk, listener).map(|tls| tls.credentials().clone())
    }

    /// Where the secrets of TLS sessions are written, if anywhere.
    pub fn key_log(&self) -> Option<KeyLog> {
        let table = self.streams.listeners.load();
        let servers = table.iter().filter_map(|it| it.server_tls()?.key_log().cloned());
        let clients = table.iter().filter_map(|it| it.client_tls()?.key_log().cloned());
        let found = servers.chain(clients).next();
        found.or_else(|| self.streams.own_tls().values().find_map(|tls| tls.key_log().cloned()))
    }

    /// TLS connections by trunk and direction.
    pub fn tls_tally(&self) -> Vec<Tally> {
        let mut all: Vec<Tally> = Vec::new();
        self.streams.each(|connection| {
            if connection.credentials.is_none() {
                return;
            }
            let key = (connection.authenticated.first().copied(), connection.dialled.is_some());
            let at = all.iter().position(|tally| (tally.trunk, tally.dialled) == key).unwrap_or_else(|| {
                all.push(Tally { trunk: key.0, dialled: key.1, open: 0, outdated: 0 });
                all.len() - 1
            });
            if let Some(tally) = all.get_mut(at) {
                tally.open += 1;
                tally.outdated += usize::from(connection.is_outdated());
            }
        });
        all
    }
}

impl Filter {
    fn fits(&self, connection: &Connection) -> bool {
        let of = |trunk: &TrunkId| {
            let dialled = connection.dialled.as_ref().is_some_and(|dialled| dialled.trunk == *trunk);
            dialled || connection.authenticated.contains(trunk)
        };
        self.after.is_none_or(|after| connection.id > after)
            && self.listener.is_none_or(|listener| connection.listener == listener)
            && self.trunk.as_ref().is_none_or(of)
            && self.retired.is_none_or(|retired| connection.watch.is_retired() == retired)
    }
}

impl Streams {
    /// Goes through all connections; `work` must not come back to the tables.
    fn each(&self, mut work: impl FnMut(&Connection)) {
        // Collected first: a guard of the table is held for as short a time as can be.
        for connection in self.select(|_| true) {
            work(&connection);
        }
    }
}

fn view(connection: &Connection, now: u64) -> ConnectionView {
    let since = |mark: u64| (mark != 0).then(|| Duration::from_millis(now.saturating_sub(mark)));
    let dialled = connection.dialled.as_ref().map(|dialled| dialled.trunk);
    let mut trunks = connection.authenticated.to_vec();
    trunks.extend(dialled.filter(|trunk| !connection.authenticated.contains(trunk)));
    ConnectionView {
        id: connection.id,
        transport: connection.transport,
        listener: connection.listener,
        remote: connection.remote,
        dialled: dialled.is_some(),
        trunks,
        age: since(connection.since).unwrap_or_default(),
        quiet: since(connection.meter.last()),
        retired: since(connection.watch.retired_since()),
        passed: connection.meter.passed(),
        tls: connection.credentials.as_ref().map(|shown| tls_view(connection, shown)),
    }
}

fn tls_view(connection: &Connection, shown: &Arc<Credentials>) -> TlsView {
    let (version, cipher) = connection.negotiated().unwrap_or_default();
    let chain = connection.peer_chain().unwrap_or_default();
    let peer = chain.first().and_then(|own| {
        let Certificate { serial, subject, not_after, .. } = Certificate::parse(own)?;
        let mut name = subject.shown;
        if name.is_empty() {
            name = pem::names_of(own).ok()?.into_iter().next().unwrap_or_default();
        }
        Some(Peer { name, serial, not_after })
    });
    TlsView { version, cipher, shown: shown.clone(), peer }
}

fn file_of(credentials: &Credentials) -> Option<&PathBuf> {
    credentials.shown.as_ref().map(|shown| &shown.file)
}

/// Adds a user to the entry of a certificate, which may be new; what shows nothing has none.
fn entry(all: &mut Vec<CertificateView>, credentials: &Arc<Credentials>, user: impl FnOnce(&mut CertificateView)) {
    let Some(file) = file_of(credentials) else { return };
    let same = |view: &CertificateView| {
        file_of(&view.credentials) == Some(file) && view.credentials.shows_the_same(credentials)
    };
    let at = all.iter().position(same).unwrap_or_else(|| {
        let (credentials, trunks) = (credentials.clone(), Vec::new());
        let (listeners, dialling) = (Vec::new(), Vec::new());
        all.push(CertificateView { credentials, listeners, dialling, trunks, connections: 0, older: 0 });
        all.len() - 1
    });
    if let Some(view) = all.get_mut(at) {
        user(view);
    }
}
