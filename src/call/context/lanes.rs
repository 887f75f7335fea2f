//! Places of one request that are tried at the same time: in each lane one after the other, the lanes beside each other.
//!
//! What becomes of one lane does not end another; a 2xx, a 6xx and the caller's CANCEL end all.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::destination::{self, Candidate};
use crate::transaction::Moment;

/// One lane of a request in progress.
#[derive(Debug)]
pub(super) struct Lane {
    /// When it begins; `None`: it has.
    pub begins: Option<Moment>,
    /// Targets that have not been tried, the next one last.
    pub queue: Vec<Candidate>,
    /// A target whose name is being looked up.
    pub resolving: Option<Box<Candidate>>,
}

impl Lane {
    /// Whether something in it is yet to be tried.
    pub fn is_waiting(&self) -> bool {
        self.resolving.is_some() || !self.queue.is_empty()
    }

    /// Tries nothing more.
    pub fn clear(&mut self) {
        self.begins = None;
        self.queue.clear();
        self.resolving = None;
    }
}

/// The lanes of a destination from now on. Only an INVITE rings in several places at once: what would be delivered
/// twice goes along one lane.
pub(super) fn lanes_of(lanes: SmallVec<[destination::Lane; 1]>, invite: bool, now: Moment) -> SmallVec<[Lane; 1]> {
    let lane = |lane: destination::Lane| Lane {
        begins: lane.beside.map(|seconds| now + Duration::from_secs(seconds.into())),
        queue: lane.candidates,
        resolving: None,
    };
    if invite || lanes.len() < 2 {
        return lanes.into_iter().map(lane).collect();
    }
    let queue = lanes.into_iter().rev().flat_map(|lane| lane.candidates).collect();
    SmallVec::from_buf([Lane { begins: None, queue, resolving: None }])
}
