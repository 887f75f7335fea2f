//! What the transports count: metric handles, registered once, and the few figures that are asked back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::tls::Handshake;
use crate::sip::Transport;

/// Why something was dropped or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A keep-alive datagram without a message.
    Keepalive,
    /// A connection above [`super::Limits::max_connections`].
    TooManyConnections,
    /// A connection above [`super::Limits::max_connections_per_address`].
    TooManyPerAddress,
    /// A TLS peer whose handshake failed or took too long.
    Handshake,
    /// A stream that could not be framed.
    Unframed,
    /// A connection whose message did not become whole in time.
    PartialMessage,
    /// A connection that was silent for too long.
    Idle,
    /// A connection that took nothing for too long.
    WriteStall,
    /// A message for which a queue had no room.
    QueueFull,
    /// A message that did not leave for any other reason.
    SendFailed,
    /// A call of the receiver that panicked.
    ReceiverPanic,
}

impl DropReason {
    const ALL: [Self; 11] = [
        Self::Keepalive,
        Self::TooManyConnections,
        Self::TooManyPerAddress,
        Self::Handshake,
        Self::Unframed,
        Self::PartialMessage,
        Self::Idle,
        Self::WriteStall,
        Self::QueueFull,
        Self::SendFailed,
        Self::ReceiverPanic,
    ];

    /// The value of the metric's `reason` label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyPerAddress => "too_many_per_address",
            Self::Handshake => "handshake",
            Self::Unframed => "unframed",
            Self::PartialMessage => "partial_message",
            Self::Idle => "idle",
            Self::WriteStall => "write_stall",
            Self::QueueFull => "queue_full",
            Self::SendFailed => "send_failed",
            Self::ReceiverPanic => "receiver_panic",
        }
    }
}

/// A moment's view of the transports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections open or being opened.
    pub connections: usize,
    /// Bytes that wait to leave, of all connections.
    pub queued_bytes: usize,
    drops: [u64; DropReason::ALL.len()],
}

impl Counts {
    /// How often this happened since the start.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or_default()
    }
}

/// Messages and bytes of one transport, both ways.
pub(super) struct Traffic {
    received: Counter,
    received_bytes: Counter,
    sent: Counter,
    sent_bytes: Counter,
    connections: Gauge,
}

impl Traffic {
    fn register(transport: Transport) -> Self {
        let label = transport.uri_token();
        Self {
            received: counter!("trunkway_transport_received_messages_total", "transport" => label),
            received_bytes: counter!("trunkway_transport_received_bytes_total", "transport" => label),
            sent: counter!("trunkway_transport_sent_messages_total", "transport" => label),
            sent_bytes: counter!("trunkway_transport_sent_bytes_total", "transport" => label),
            connections: gauge!("trunkway_transport_connections", "transport" => label),
        }
    }

    /// Counted once for a batch of reads.
    pub(super) fn received(&self, messages: usize, bytes: usize) {
        self.received.increment(messages as u64);
        self.received_bytes.increment(bytes as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.increment(1);
        self.sent_bytes.increment(bytes as u64);
    }

    pub(super) fn opened(&self) {
        self.connections.increment(1);
    }

    pub(super) fn closed(&self) {
        self.connections.decrement(1);
    }
}

/// All counters of the transports.
pub(super) struct Counters {
    udp: Traffic,
    tcp: Traffic,
    tls: Traffic,
    dropped: [(AtomicU64, Counter); DropReason::ALL.len()],
    retired: Counter,
    /// In the order of [`Handshake::ALL`], for those by peers and for those that the edge began.
    handshakes: [[Counter; Handshake::ALL.len()]; 2],
    pub(super) connections: AtomicUsize,
    pub(super) queued_bytes: AtomicUsize,
}

impl Counters {
    pub(super) fn register() -> Self {
        describe_counter!("trunkway_tls_handshakes_total", "TLS handshakes by who began them and how they ended");
        describe_counter!("trunkway_transport_received_messages_total", "Messages that have come, by transport");
        describe_counter!("trunkway_transport_received_bytes_total", "Bytes that have come, by transport");
        describe_counter!("trunkway_transport_sent_messages_total", "Messages that have left, by transport");
        describe_counter!("trunkway_transport_sent_bytes_total", "Bytes that have left, by transport");
        describe_gauge!("trunkway_transport_connections", "Connections that are open, by transport");
        describe_counter!(
            "trunkway_transport_connections_retired_total",
            "Connections that requests take no more: made with an older certificate, or refused more by the peer"
        );
        describe_counter!("trunkway_transport_dropped_total", "Messages and connections dropped or refused, by reason");
        Self {
            udp: Traffic::register(Transport::Udp),
            tcp: Traffic::register(Transport::Tcp),
            tls: Traffic::register(Transport::Tls),
            dropped: DropReason::ALL.map(|drop| {
                let counter = counter!("trunkway_transport_dropped_total", "reason" => drop.reason());
                (AtomicU64::new(0), counter)
            }),
            retired: counter!("trunkway_transport_connections_retired_total"),
            handshakes: ["accepted", "dialled"].map(|direction| {
                Handshake::ALL.map(|result| {
                    counter!("trunkway_tls_handshakes_total", "direction" => direction, "result" => result.word())
                })
            }),
            connections: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
        }
    }

    pub(super) const fn traffic(&self, transport: Transport) -> &Traffic {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
            Transport::Tls => &self.tls,
        }
    }

    /// A handshake is over.
    pub(super) fn handshake(&self, dialled: bool, result: Handshake) {
        if let Some(counter) = self.handshakes.get(usize::from(dialled)).and_then(|it| it.get(result as usize)) {
            counter.increment(1);
        }
    }

    pub(super) fn retired(&self) {
        self.retired.increment(1);
    }

    pub(super) fn dropped(&self, reason: DropReason) {
        if let Some((count, counter)) = self.dropped.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
            counter.increment(1);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.load(Ordering::Relaxed),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            drops: self.dropped.each_ref().map(|(count, _)| count.load(Ordering::Relaxed)),
        }
    }
}
