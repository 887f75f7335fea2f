//! The health of targets as metrics. Labels are trunks and targets of the configuration, and nothing else; a target that is
//! there no more takes its series with it.

use std::sync::Arc;
use std::time::Duration;

use crate::call::Edge;
use crate::telemetry::metrics::{Buckets, Kind, Page};
use crate::trunk::TrunkId;
use crate::trunk::health::State;

/// The upper bounds of the round trip's buckets, from a machine next door to one that answers at the last moment.
const BOUNDS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// What is counted of all targets.
#[derive(Clone, Debug, Default)]
pub(super) struct Meters {
    /// By [`TrunkId`].
    trunks: Vec<OfTrunk>,
}

#[derive(Clone, Debug)]
struct OfTrunk {
    name: Arc<str>,
    /// It keeps its place, and is shown no more.
    leaving: bool,
    round_trip: Buckets,
    targets: Vec<OfTarget>,
}

#[derive(Clone, Debug)]
struct OfTarget {
    /// As the configuration has it.
    name: Box<str>,
    state: State,
    /// In the order of [`State::ALL`].
    changes: [u64; 3],
}

impl Meters {
    /// The targets of an edge, as up.
    pub fn register(edge: &Edge) -> Self {
        let mut meters = Self::default();
        meters.follow(edge);
        meters
    }

    /// Takes the targets of another edge; those that stay keep what was counted of them.
    pub fn follow(&mut self, edge: &Edge) {
        let mut old = std::mem::take(&mut self.trunks);
        let of_trunk = |trunk: &crate::trunk::Trunk| {
            let known = old.iter_mut().find(|of| of.name == trunk.name);
            let (mut targets, round_trip) = match known {
                Some(known) => (std::mem::take(&mut known.targets), known.round_trip.clone()),
                None => (Vec::new(), Buckets::new(BOUNDS)),
            };
            let of_target = |name: Box<str>| {
                let place = targets.iter().position(|of| of.name == name);
                place.map_or(OfTarget { name, state: State::Up, changes: [0; 3] }, |place| targets.swap_remove(place))
            };
            let staying = trunk.targets.iter().filter(|_| !trunk.leaving);
            let targets = staying.map(|target| target.to_string().into()).map(of_target).collect();
            OfTrunk { name: Arc::clone(&trunk.name), leaving: trunk.leaving, round_trip, targets }
        };
        self.trunks = edge.trunks.0.iter().map(of_trunk).collect();
    }

    /// An answer took so long.
    pub fn took(&mut self, trunk: TrunkId, time: Duration) {
        if let Some(of) = self.trunks.get_mut(usize::from(trunk.0)) {
            of.round_trip.record(time.as_secs_f64());
        }
    }

    /// A target has come into a state.
    pub fn changed(&mut self, trunk: TrunkId, index: u16, to: State) {
        let target = self.trunks.get_mut(usize::from(trunk.0)).and_then(|of| of.targets.get_mut(usize::from(index)));
        let Some(target) = target else { return };
        target.state = to;
        for (state, count) in State::ALL.iter().zip(&mut target.changes) {
            *count += u64::from(*state == to);
        }
    }

    /// Writes all of it.
    pub fn write(&self, page: &mut Page) {
        let targets = || self.trunks.iter().flat_map(|of| of.targets.iter().map(move |target| (&*of.name, target)));
        let help = "Whether calls keep a target in its place (1) or try it last (0)";
        let mut family = page.family("trunkway_target_up", Kind::Gauge, help);
        for (trunk, target) in targets() {
            let up = u64::from(target.state != State::Down);
            family.count(&[("trunk", trunk), ("target", &target.name)], up);
        }
        let help = "1 for the state that a target is in: up, suspect or down";
        let mut family = page.family("trunkway_target_state", Kind::Gauge, help);
        for (trunk, target) in targets() {
            for state in State::ALL {
                let labels = [("trunk", trunk), ("target", &*target.name), ("state", state.word())];
                family.count(&labels, u64::from(state == target.state));
            }
        }
        let help = "Changes of a target's state, by the state that followed";
        let mut family = page.family("trunkway_target_changes_total", Kind::Counter, help);
        for (trunk, target) in targets() {
            for (state, count) in State::ALL.iter().zip(target.changes) {
                family.count(&[("trunk", trunk), ("target", &target.name), ("to", state.word())], count);
            }
        }
        let help = "Time until a target answered OPTIONS";
        let mut family = page.family("trunkway_options_round_trip_seconds", Kind::Histogram, help);
        self.trunks
            .iter()
            .filter(|of| !of.leaving)
            .for_each(|of| family.histogram(&[("trunk", &of.name)], &of.round_trip));
    }
}
