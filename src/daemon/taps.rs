//! Who looks at what passes, beside the calls: each gets a look and must not wait.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::counters::Meters;
use super::records::Records;
use crate::call::{CallRecord, Edge, Secrets};
use crate::telemetry::trace::{Direction, Seen, Trace};
use crate::transport::Source;
use crate::trunk::{ConnectionId, Flow, Hop, ListenerId};

/// Those who look at messages and calls. All of them are bounded and none of them blocks.
#[derive(Debug)]
pub struct Taps {
    pub meters: Arc<Meters>,
    pub records: Arc<Records>,
    trace: Arc<Trace>,
    edge: Arc<ArcSwap<Edge>>,
    secrets: Arc<ArcSwap<Secrets>>,
}

impl Taps {
    /// Those who look at an edge and read its Call-IDs.
    pub fn new(
        records: Arc<Records>,
        trace: Arc<Trace>,
        (edge, secrets): (Arc<ArcSwap<Edge>>, Arc<ArcSwap<Secrets>>),
    ) -> Self {
        Self { meters: Arc::default(), records, trace, edge, secrets }
    }

    /// The ring of messages.
    pub const fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// A datagram or framed message has come.
    pub fn received(&self, source: &Source<'_>, bytes: &Bytes) {
        if self.trace.is_on() {
            self.trace_received(source, bytes);
        }
    }

    /// An answer is about to leave.
    pub fn answered(&self, flow: &Flow, bytes: &Bytes) {
        self.meters.messages.answered(bytes);
        if self.trace.is_on() {
            let local = self.local(flow.listener, flow.local.map(|ip| SocketAddr::new(ip, 0)));
            // Whose it is, the message that it answers tells.
            let seen = Seen { trunk: None, ..seen(flow, Direction::Out, local, bytes) };
            self.trace.note(&self.secrets.load(), &seen);
        }
    }

    /// A request is about to leave.
    pub fn requested(&self, hop: &Hop, bytes: &Bytes) {
        self.meters.messages.requested(bytes);
        if self.trace.is_on() {
            let Hop { listener, transport, addr: remote, trunk, .. } = *hop;
            let flow = Flow { listener, transport, connection: ConnectionId::DATAGRAM, remote, local: None };
            let local = self.local(listener, None);
            let seen = Seen { trunk: Some(trunk), ..seen(&flow, Direction::Out, local, bytes) };
            self.trace.note(&self.secrets.load(), &seen);
        }
    }

    /// Whether calls are told of when they are answered.
    pub fn wants_ups(&self) -> bool {
        self.records.wants_ups()
    }

    /// A call was answered. No lock is held.
    pub fn up(&self, record: CallRecord) {
        self.records.up(record);
    }

    /// A call is over. No lock is held.
    pub fn ended(&self, record: CallRecord) {
        self.meters.ended(&record);
        if self.trace.is_on() {
            self.trace.note_ended(&record);
        }
        self.records.ended(record);
    }

    fn trace_received(&self, source: &Source<'_>, bytes: &Bytes) {
        let flow = &source.flow;
        let trunk = self.edge.load().identify.trunk(flow.listener, flow.remote.ip(), source.authenticated);
        let local = self.local(flow.listener, Some(source.local));
        // An answer that comes over UDP from elsewhere is one all the same.
        let stranger = trunk.is_none() && !bytes.starts_with(b"SIP/2.0 ");
        let seen = Seen { trunk, stranger, ..seen(flow, Direction::In, local, bytes) };
        self.trace.note(&self.secrets.load(), &seen);
    }

    /// The edge's own address: the listener's, whatever port a connection of its own has.
    fn local(&self, listener: ListenerId, known: Option<SocketAddr>) -> SocketAddr {
        let bind = self.edge.load().listener(listener).map(|listener| listener.bind);
        match (bind, known) {
            (Some(bind), Some(known)) => SocketAddr::new(known.ip(), bind.port()),
            (Some(bind), None) => bind,
            (None, known) => known.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
        }
    }
}

fn seen<'a>(flow: &Flow, direction: Direction, local: SocketAddr, bytes: &'a [u8]) -> Seen<'a> {
    let Flow { listener, transport, connection, remote, .. } = *flow;
    Seen { direction, transport, listener, connection, trunk: None, stranger: false, local, remote, bytes }
}
