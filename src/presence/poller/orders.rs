//! What the poller works by, what it wants done, and what it counts.

use std::sync::Arc;
use std::time::Duration;

use crate::presence::writer::RequestId;
use crate::presence::{TeamsPresence, TenantKey, UserKey};

/// What the poller works by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often every user is asked for, at the latest.
    pub interval: Duration,
    /// How often those are asked for that somebody watches.
    pub interval_watched: Duration,
    /// When nothing is heard of a request for so long, its answer is lost.
    pub request_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            interval_watched: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// What the poller wants done, or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask Graph for these users; the answer goes to [`super::Poller::handle_polled`].
    Poll { request: RequestId, tenant: TenantKey, ids: Vec<Arc<str>> },
    /// What Teams shows of a user has changed. `own`: it is nothing but what the edge itself has written, or had a moment
    /// ago, and must not come back to the PBX.
    Heard { user: UserKey, presence: TeamsPresence, own: bool },
    /// Whether Teams shows the user's own choice in place of what the edge has written.
    ChoiceWins { user: UserKey, wins: bool },
}

/// Totals since the start, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub polls: u64,
    /// Users that were asked for.
    pub asked: u64,
    /// Users that Graph left out of its answer.
    pub missing: u64,
    /// What came later than something newer.
    pub stale: u64,
    pub changes: u64,
    /// Requests that failed as a whole, and those whose answer never came.
    pub faults: u64,
    pub lost: u64,
    pub notified: u64,
    /// Users of whom nothing was heard for so long that nothing is known.
    pub silenced: u64,
    pub in_flight: usize,
    pub users: usize,
    pub watched: usize,
    /// Users whose own choice wins.
    pub choice_wins: usize,
}
