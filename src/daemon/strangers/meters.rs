//! What the guard counts.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::trunk::guard::Offence;

const OFFENCES: &str = "trunkway_guard_offences_total";

/// The guard's metrics.
pub(super) struct Meters {
    /// In the order of [`Offence::ALL`].
    offences: [Counter; Offence::ALL.len()],
    pub banned: Counter,
    pub refused: Counter,
    pub refused_connections: Counter,
    pub not_written: Counter,
    bans: Gauge,
    sources: Gauge,
}

impl Meters {
    pub(super) fn register() -> Self {
        describe_counter!(OFFENCES, "What strangers did that counts towards a ban, by kind");
        describe_counter!("trunkway_guard_bans_total", "Bans that the guard has made by itself");
        describe_counter!("trunkway_guard_messages_dropped_total", "Messages of banned sources, dropped unread");
        describe_counter!("trunkway_guard_connections_refused_total", "Connections of banned sources, closed at once");
        describe_counter!("trunkway_guard_not_written_total", "Times that the bans could not be kept on disk");
        describe_gauge!("trunkway_guard_bans", "Networks that are banned");
        describe_gauge!("trunkway_guard_sources", "Strangers that are remembered, up to guard.max_sources");
        Self {
            offences: Offence::ALL.map(|offence| counter!(OFFENCES, "offence" => offence.name())),
            banned: counter!("trunkway_guard_bans_total"),
            refused: counter!("trunkway_guard_messages_dropped_total"),
            refused_connections: counter!("trunkway_guard_connections_refused_total"),
            not_written: counter!("trunkway_guard_not_written_total"),
            bans: gauge!("trunkway_guard_bans"),
            sources: gauge!("trunkway_guard_sources"),
        }
    }

    pub(super) fn offence(&self, offence: Offence) {
        for (counter, kind) in self.offences.iter().zip(Offence::ALL) {
            if kind == offence {
                counter.increment(1);
            }
        }
    }

    pub(super) fn set(&self, bans: u64, sources: usize) {
        self.bans.set(bans as f64);
        self.sources.set(sources as f64);
    }
}
