//! Behind the door: open connections and the certificates behind them.

use time::OffsetDateTime;

use super::Desk;
use crate::admin::{self, CertificateShown, ConnectionShown, TlsShown, Unknown, Wanted};
use crate::call::Edge;
use crate::daemon::certificates::moment;
use crate::transport::tls::Shown;
use crate::transport::{CertificateView, ConnectionView, Filter, TlsView, Transports};
use crate::trunk::{ConnectionId, ListenerId, TrunkId};

impl admin::Connections for Desk {
    fn connections(&self, wanted: &Wanted, limit: usize) -> Result<Vec<ConnectionShown>, Unknown> {
        let edge = self.parts.core.edge();
        let filter = filter(&edge, wanted)?;
        let found = self.parts.transports.connections(&filter, limit);
        Ok(found.iter().map(|connection| shown(&edge, connection)).collect())
    }

    fn close_connection(&self, id: u64) -> bool {
        self.parts.transports.close_connection(ConnectionId(id))
    }

    fn certificates(&self) -> Vec<CertificateShown> {
        let edge = self.parts.core.edge();
        let transports = &self.parts.transports;
        let mut all: Vec<_> =
            transports.certificates().iter().filter_map(|view| certificate(&edge, transports, view)).collect();
        all.sort_by(|one, other| (&one.file, &one.serial).cmp(&(&other.file, &other.serial)));
        all
    }
}

fn filter(edge: &Edge, wanted: &Wanted) -> Result<Filter, Unknown> {
    let listener = |name: &String| {
        let found = edge.listeners.iter().find(|listener| *listener.name == **name).map(|listener| listener.id);
        found.ok_or_else(|| Unknown::Listener(name.clone()))
    };
    let trunk = |name: &String| {
        let found = edge.trunks.0.iter().find(|trunk| *trunk.name == **name).map(|trunk| trunk.id);
        found.ok_or_else(|| Unknown::Trunk(name.clone()))
    };
    Ok(Filter {
        after: wanted.after.map(ConnectionId),
        listener: wanted.listener.as_ref().map(listener).transpose()?,
        trunk: wanted.trunk.as_ref().map(trunk).transpose()?,
        retired: wanted.retired,
    })
}

fn shown(edge: &Edge, view: &ConnectionView) -> ConnectionShown {
    ConnectionShown {
        id: view.id.0,
        transport: view.transport.uri_token(),
        listener: listener_name(edge, view.listener),
        peer: view.remote.to_string(),
        direction: if view.dialled { "dialled" } else { "accepted" },
        trunks: view.trunks.iter().map(|trunk| trunk_name(edge, *trunk)).collect(),
        open_s: view.age.as_secs(),
        idle_s: view.quiet.map(|quiet| quiet.as_secs()),
        retired_s: view.retired.map(|retired| retired.as_secs()),
        under_way: view.passed.under_way,
        received: view.passed.received,
        received_bytes: view.passed.received_bytes,
        sent: view.passed.sent,
        sent_bytes: view.passed.sent_bytes,
        tls: view.tls.as_ref().map(tls),
    }
}

fn tls(view: &TlsView) -> TlsShown {
    let own = view.shown.shown.as_ref();
    let peer = view.peer.as_ref();
    TlsShown {
        version: view.version.clone(),
        cipher: view.cipher.clone(),
        certificate: own.map(|own| own.file.display().to_string()),
        serial: own.map(|own| own.certificate.serial.clone()),
        not_after: own.map(|own| moment(own.certificate.not_after)),
        peer_name: peer.map(|peer| peer.name.clone()),
        peer_serial: peer.map(|peer| peer.serial.clone()),
        peer_not_after: peer.map(|peer| moment(peer.not_after)),
    }
}

fn certificate(edge: &Edge, transports: &Transports, view: &CertificateView) -> Option<CertificateShown> {
    let Shown { file, names, certificate, .. } = view.credentials.shown.as_ref()?;
    let shows = |trunk: &&crate::trunk::Trunk| {
        let shown = transports.shown_for(trunk.id, trunk.listener);
        shown.is_some_and(|shown| {
            let same_file = shown.shown.as_ref().is_some_and(|shown| shown.file == *file);
            same_file && shown.shows_the_same(&view.credentials)
        })
    };
    Some(CertificateShown {
        file: file.display().to_string(),
        names: names.clone(),
        subject: certificate.subject.shown.clone(),
        issuer: certificate.issuer.shown.clone(),
        serial: certificate.serial.clone(),
        not_before: moment(certificate.not_before),
        not_after: moment(certificate.not_after),
        chain_ends: moment(view.credentials.shown.as_ref()?.ends),
        days_left: view.credentials.shown.as_ref()?.days_left(OffsetDateTime::now_utc()),
        listeners: view.listeners.iter().map(|listener| listener_name(edge, *listener)).collect(),
        trunks: edge.trunks.0.iter().filter(shows).map(|trunk| trunk.name.to_string()).collect(),
        connections: view.connections,
        older_connections: view.older,
    })
}

fn listener_name(edge: &Edge, id: ListenerId) -> String {
    edge.listeners.iter().find(|listener| listener.id == id).map(|it| it.name.to_string()).unwrap_or_default()
}

fn trunk_name(edge: &Edge, id: TrunkId) -> String {
    edge.trunk(id).map(|trunk| trunk.name.to_string()).unwrap_or_default()
}
