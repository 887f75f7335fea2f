//! OPTIONS that trunks send to the edge: how many came and when the last one did. Teams counts an edge as healthy by its
//! own OPTIONS alone, so that an operator must see when they stop. Counted without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::call::Edge;
use crate::daemon::clock::Clock;
use crate::telemetry::metrics::{Kind, Page};
use crate::trunk::TrunkId;

/// What came of all trunks.
pub(super) struct HeardOptions {
    /// By [`TrunkId`].
    trunks: ArcSwap<Vec<Arc<OfTrunk>>>,
}

struct OfTrunk {
    name: Arc<str>,
    /// It keeps its place, and is shown no more.
    leaving: AtomicBool,
    /// Since the start of the clock, in milliseconds and one more; 0: never.
    last: AtomicU64,
    count: AtomicU64,
}

impl HeardOptions {
    /// Counts the OPTIONS of the trunks of an edge.
    pub fn register(edge: &Edge) -> Self {
        let heard = Self { trunks: ArcSwap::default() };
        heard.follow(edge);
        heard
    }

    /// Takes the trunks of another edge; those that stay keep what was counted of them.
    pub fn follow(&self, edge: &Edge) {
        let old = self.trunks.load();
        let of_trunk = |trunk: &crate::trunk::Trunk| match old.iter().find(|of| of.name == trunk.name) {
            Some(of) => {
                of.leaving.store(trunk.leaving, Ordering::Relaxed);
                Arc::clone(of)
            }
            None => Arc::new(OfTrunk {
                name: Arc::clone(&trunk.name),
                leaving: AtomicBool::new(trunk.leaving),
                last: AtomicU64::new(0),
                count: AtomicU64::new(0),
            }),
        };
        self.trunks.store(Arc::new(edge.trunks.0.iter().map(of_trunk).collect()));
    }

    /// One came just now.
    pub fn note(&self, clock: &Clock, from: TrunkId) {
        let trunks = self.trunks.load();
        let Some(of) = trunks.get(usize::from(from.0)) else { return };
        of.last.store(clock.now().as_millis().saturating_add(1), Ordering::Relaxed);
        of.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many came of a trunk, and how long ago the last one.
    pub fn of(&self, clock: &Clock, trunk: TrunkId) -> (u64, Option<Duration>) {
        let trunks = self.trunks.load();
        trunks.get(usize::from(trunk.0)).map_or((0, None), |of| of.now(clock))
    }

    /// Writes what came of all trunks.
    pub fn write(&self, clock: &Clock, page: &mut Page) {
        let trunks = self.trunks.load();
        let trunks = trunks.iter().filter(|of| !of.leaving.load(Ordering::Relaxed));
        let trunks: Vec<_> = trunks.map(|of| (Arc::clone(&of.name), of.now(clock))).collect();
        let help = "OPTIONS that a trunk has sent to the edge itself";
        let mut family = page.family("trunkway_options_received_total", Kind::Counter, help);
        trunks.iter().for_each(|(name, (count, _))| family.count(&[("trunk", name)], *count));
        let help = "When the last of them came, in seconds since 1970; 0: never";
        let mut family = page.family("trunkway_options_received_timestamp_seconds", Kind::Gauge, help);
        for (name, (_, age)) in &trunks {
            let at = age.map_or(0, |age| clock.unix().saturating_sub(age.as_secs()));
            family.count(&[("trunk", name)], at);
        }
    }
}

impl OfTrunk {
    fn now(&self, clock: &Clock) -> (u64, Option<Duration>) {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1);
        let age = last.map(|last| Duration::from_millis(clock.now().as_millis().saturating_sub(last)));
        (self.count.load(Ordering::Relaxed), age)
    }
}
