//! The states of all targets, for calls to look at: written by whoever watches the targets, read without a lock.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Settings, State};
use crate::trunk::{TrunkId, Trunks};

/// The settings of all trunks and the states of their targets. What is not in it is up.
#[derive(Debug, Default)]
pub struct Table {
    /// By [`TrunkId`].
    trunks: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    settings: Settings,
    states: Box<[AtomicU8]>,
}

impl Table {
    /// All targets up; `settings` by [`TrunkId`], a trunk without any has those of its kind.
    pub fn new(trunks: &Trunks, settings: &[Settings]) -> Self {
        let entry = |trunk: &crate::trunk::Trunk| Entry {
            settings: settings.get(usize::from(trunk.id.0)).cloned().unwrap_or_else(|| Settings::of_kind(trunk.kind)),
            states: trunk.targets.iter().map(|_| AtomicU8::new(State::Up as u8)).collect(),
        };
        Self { trunks: trunks.0.iter().map(entry).collect() }
    }

    /// How a trunk's targets are watched.
    pub fn settings(&self, trunk: TrunkId) -> Option<&Settings> {
        self.trunks.get(usize::from(trunk.0)).map(|entry| &entry.settings)
    }

    /// The state of a trunk's target, by its index there.
    pub fn state(&self, trunk: TrunkId, target: u16) -> State {
        match self.cell(trunk, target).map(|cell| cell.load(Ordering::Relaxed)) {
            Some(state) if state == State::Down as u8 => State::Down,
            Some(state) if state == State::Suspect as u8 => State::Suspect,
            _ => State::Up,
        }
    }

    /// Notes the state of a trunk's target.
    pub fn set(&self, trunk: TrunkId, target: u16, state: State) {
        if let Some(cell) = self.cell(trunk, target) {
            cell.store(state as u8, Ordering::Relaxed);
        }
    }

    fn cell(&self, trunk: TrunkId, target: u16) -> Option<&AtomicU8> {
        self.trunks.get(usize::from(trunk.0))?.states.get(usize::from(target))
    }
}
