//! OPTIONS that trunks send to the edge: how many came and when the last one did. Teams counts an edge as healthy by its
//! own OPTIONS alone, so that an operator must see when they stop. Counted without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::call::Edge;
use crate::daemon::clock::Clock;
use crate::trunk::{Trunk, TrunkId};

/// What came of all trunks.
pub(super) struct HeardOptions {
    /// By [`TrunkId`]; replaced by a reload.
    trunks: ArcSwap<Vec<Arc<OfTrunk>>>,
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
        let heard = Self { trunks: ArcSwap::default() };
        heard.follow(edge);
        heard
    }

    /// Goes on with the trunks of another configuration; those that leave have never sent any.
    pub fn follow(&self, edge: &Edge) {
        let known = self.trunks.load();
        let of_trunk = |trunk: &Trunk| match known.get(usize::from(trunk.id.0)) {
            Some(known) => {
                if trunk.leaving {
                    known.last.store(0, Ordering::Relaxed);
                    known.gauge.set(0.0);
                }
                Arc::clone(known)
            }
            None => Arc::new(OfTrunk::register(&trunk.name)),
        };
        self.trunks.store(Arc::new(edge.trunks.0.iter().map(of_trunk).collect()));
    }

    /// One came just now.
    pub fn note(&self, clock: &Clock, from: TrunkId) {
        let trunks = self.trunks.load();
        let Some(of) = trunks.get(usize::from(from.0)) else { return };
        of.last.store(clock.now().as_millis().saturating_add(1), Ordering::Relaxed);
        of.count.fetch_add(1, Ordering::Relaxed);
        of.counter.increment(1);
        // Seconds are far below what a float holds to the unit.
        of.gauge.set(clock.unix() as f64);
    }

    /// How many came of a trunk, and how long ago the last one.
    pub fn of(&self, clock: &Clock, trunk: TrunkId) -> (u64, Option<Duration>) {
        let trunks = self.trunks.load();
        let Some(of) = trunks.get(usize::from(trunk.0)) else { return (0, None) };
        let last = of.last.load(Ordering::Relaxed).checked_sub(1);
        let age = last.map(|last| Duration::from_millis(clock.now().as_millis().saturating_sub(last)));
        (of.count.load(Ordering::Relaxed), age)
    }
}

impl OfTrunk {
    fn register(name: &str) -> Self {
        let gauge = gauge!("trunkway_options_received_timestamp_seconds", "trunk" => name.to_owned());
        gauge.set(0.0);
        Self {
            last: AtomicU64::new(0),
            count: AtomicU64::new(0),
            counter: counter!("trunkway_options_received_total", "trunk" => name.to_owned()),
            gauge,
        }
    }
}
