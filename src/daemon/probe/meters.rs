//! The health of targets as metrics. Labels are trunks and targets of the configuration, and nothing else.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::call::Edge;
use crate::trunk::health::State;
use crate::trunk::{Trunk, TrunkId};

/// The histogram of answers to OPTIONS.
pub(in crate::daemon) const ROUND_TRIP: &str = "trunkway_options_round_trip_seconds";

/// The upper bounds of its buckets, from a machine next door to one that answers at the last moment.
pub(in crate::daemon) const ROUND_TRIP_BUCKETS: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Handles of all series, so that an event looks nothing up.
pub(super) struct Meters {
    /// By [`TrunkId`].
    trunks: Vec<OfTrunk>,
}

struct OfTrunk {
    round_trip: Histogram,
    targets: Vec<OfTarget>,
}

struct OfTarget {
    up: Gauge,
    /// In the order of [`State::ALL`].
    states: [Gauge; 3],
    changes: [Counter; 3],
}

impl Meters {
    /// Registers the series of all targets, as up.
    pub fn register(edge: &Edge) -> Self {
        describe_gauge!("trunkway_target_up", "Whether calls keep a target in its place (1) or try it last (0)");
        describe_gauge!("trunkway_target_state", "1 for the state that a target is in: up, suspect or down");
        describe_counter!("trunkway_target_changes_total", "Changes of a target's state, by the state that followed");
        describe_histogram!(ROUND_TRIP, metrics::Unit::Seconds, "Time until a target answered OPTIONS");
        Self { trunks: edge.trunks.0.iter().map(OfTrunk::register).collect() }
    }

    /// Goes on with the targets of another configuration, in the states that the edge's table has; those that are no
    /// targets any more are in no state.
    pub fn follow(&mut self, edge: &Edge) {
        let old = std::mem::replace(self, Self { trunks: edge.trunks.0.iter().map(OfTrunk::register).collect() });
        for target in old.trunks.iter().flat_map(|of| &of.targets) {
            target.up.set(0.0);
            target.states.iter().for_each(|state| state.set(0.0));
        }
        for (trunk, of) in edge.trunks.0.iter().zip(&self.trunks) {
            for (index, target) in (0..).zip(&of.targets) {
                target.set(edge.health.state(trunk.id, index));
            }
        }
    }

    /// An answer took so long.
    pub fn took(&self, trunk: TrunkId, time: Duration) {
        if let Some(of) = self.trunks.get(usize::from(trunk.0)) {
            of.round_trip.record(time.as_secs_f64());
        }
    }

    /// A target has come into a state.
    pub fn changed(&self, trunk: TrunkId, index: u16, to: State) {
        let Some(of) = self.target(trunk, index) else { return };
        of.set(to);
        for (state, counter) in State::ALL.iter().zip(&of.changes) {
            counter.increment(u64::from(*state == to));
        }
    }

    fn target(&self, trunk: TrunkId, index: u16) -> Option<&OfTarget> {
        self.trunks.get(usize::from(trunk.0))?.targets.get(usize::from(index))
    }
}

impl OfTrunk {
    /// One that leaves has no targets to be watched.
    fn register(trunk: &Trunk) -> Self {
        let targets = trunk.targets.iter().filter(|_| !trunk.leaving);
        Self {
            round_trip: histogram!(ROUND_TRIP, "trunk" => trunk.name.to_string()),
            targets: targets.map(|target| OfTarget::register(&trunk.name, target.to_string())).collect(),
        }
    }
}

impl OfTarget {
    fn register(trunk: &str, target: String) -> Self {
        let labels = || [("trunk", trunk.to_owned()), ("target", target.clone())];
        let with = |key: &'static str, state: State| {
            let [trunk, target] = labels();
            [trunk, target, (key, state.word().to_owned())]
        };
        let of = Self {
            up: gauge!("trunkway_target_up", &labels()),
            states: State::ALL.map(|state| gauge!("trunkway_target_state", &with("state", state))),
            changes: State::ALL.map(|to| counter!("trunkway_target_changes_total", &with("to", to))),
        };
        of.set(State::Up);
        of
    }

    fn set(&self, state: State) {
        self.up.set(if state == State::Down { 0.0 } else { 1.0 });
        for (of, gauge) in State::ALL.iter().zip(&self.states) {
            gauge.set(if *of == state { 1.0 } else { 0.0 });
        }
    }
}
