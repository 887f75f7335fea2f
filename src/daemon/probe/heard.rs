//! OPTIONS that trunks send to the edge: how many came and when the last one did. Teams counts an edge as healthy by its
//! own OPTIONS alone, so that an operator must see when they stop. Counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::call::Edge;
use crate::daemon::clock::Clock;
use crate::trunk::TrunkId;

/// What came of all trunks.
pub(super) struct HeardOptions {
    /// By [`TrunkId`].
    trunks: Vec<OfTrunk>,
}

struct OfTrunk {
    /// Since the start of the clock, in milliseconds and one more; 0: never.
    last: AtomicU64,
    count: AtomicU64,
    counter: Counter,
    gauge: Gauge,
}

impl HeardOptions {
    /// Registers the series of all trunks.
    pub fn register(edge: &Edge) -> Self {
        describe_counter!("trunkway_options_received_total", "OPTIONS that a trunk has sent to the edge itself");
        describe_gauge!(
            "trunkway_options_received_timestamp_seconds",
            metrics::Unit::Seconds,
            "When the last of them came, since 1970; 0: never"
        );
        let of_trunk = |trunk: &crate::trunk::Trunk| {
            let label = || trunk.name.to_string();
            let gauge = gauge!("trunkway_options_received_timestamp_seconds", "trunk" => label());
            gauge.set(0.0);
            OfTrunk {
                last: AtomicU64::new(0),
                count: AtomicU64::new(0),
                counter: counter!("trunkway_options_received_total", "trunk" => label()),
                gauge,
            }
        };
        Self { trunks: edge.trunks.0.iter().map(of_trunk).collect() }
    }

    /// One came just now.
    pub fn note(&self, clock: &Clock, from: TrunkId) {
        let Some(of) = self.trunks.get(usize::from(from.0)) else { return };
        of.last.store(clock.now().as_millis().saturating_add(1), Ordering::Relaxed);
        of.count.fetch_add(1, Ordering::Relaxed);
        of.counter.increment(1);
        // Seconds are far below what a float holds to the unit.
        of.gauge.set(clock.unix() as f64);
    }

    /// How many came of a trunk, and how long ago the last one.
    pub fn of(&self, clock: &Clock, trunk: TrunkId) -> (u64, Option<Duration>) {
        let Some(of) = self.trunks.get(usize::from(trunk.0)) else { return (0, None) };
        let last = of.last.load(Ordering::Relaxed).checked_sub(1);
        let age = last.map(|last| Duration::from_millis(clock.now().as_millis().saturating_sub(last)));
        (of.count.load(Ordering::Relaxed), age)
    }
}
