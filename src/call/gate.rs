//! Whether new calls are let in: shared by all configurations of a process, and read without a lock.

pub mod shedding;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::admission::Meters;

/// What the edge as a whole says about new calls. One for the process, in every [`super::Edge`].
#[derive(Debug, Default)]
pub struct Gate {
    draining: AtomicBool,
    /// Of a hundred new calls, how many are refused since there is too much to do.
    shed_percent: AtomicU8,
    meters: Meters,
}

impl Gate {
    /// What counts calls against the limits of trunks, tenants, sites and users.
    pub const fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Whether the edge takes no new calls, since it is about to stop or an operator wants it so.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Begins or ends a drain; gives what was before.
    pub fn set_draining(&self, draining: bool) -> bool {
        self.draining.swap(draining, Ordering::Relaxed)
    }

    /// Of a hundred new calls, how many are refused since there is too much to do.
    pub fn shed_percent(&self) -> u8 {
        self.shed_percent.load(Ordering::Relaxed)
    }

    /// Whether a new call is among those that are refused since there is too much to do. `draw` is a number of the call:
    /// who calls again under the same Call-ID is told the same as long as the share is.
    pub fn sheds(&self, draw: u64) -> bool {
        let percent = self.shed_percent();
        percent > 0 && draw % 100 < u64::from(percent)
    }

    /// Sets how many of a hundred new calls are refused.
    pub fn set_shed_percent(&self, percent: u8) {
        self.shed_percent.store(percent.min(100), Ordering::Relaxed);
    }
}
