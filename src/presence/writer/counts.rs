//! What the writer counts.

use std::time::Duration;

use super::{Fault, ItemResult};
use crate::presence::TenantKey;

/// Upper bounds of the latency histogram, in milliseconds.
pub const LATENCY_BOUNDS: [u64; 12] = [1, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 30_000, 120_000];

/// How long it took from a change to the request that tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Changes by [`LATENCY_BOUNDS`], each counted once; the last place has what took longer.
    pub buckets: [u64; LATENCY_BOUNDS.len() + 1],
    pub sum: Duration,
}

impl Latency {
    pub(super) fn add(&mut self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS.partition_point(|&bound| bound < millis);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += took;
    }

    /// How many changes there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Totals since the start, and gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that were sent: new sessions, sessions that go on, and clears.
    pub sets: u64,
    pub refreshes: u64,
    pub clears: u64,
    /// Requests that were sent, each with one item or more.
    pub requests: u64,
    /// Items by what Graph said; those of a request that failed as a whole are not among them.
    pub done: u64,
    pub not_found: u64,
    pub throttled: u64,
    pub refused: u64,
    pub failed: u64,
    /// Requests that failed as a whole.
    pub faults_throttled: u64,
    pub faults_token: u64,
    pub faults_refused: u64,
    pub faults_server: u64,
    pub faults_network: u64,
    pub faults_not_sent: u64,
    /// Requests whose answer never came.
    pub lost: u64,
    /// From the change to the request.
    pub latency: Latency,
    /// Requests under way.
    pub in_flight: usize,
    /// Users with a change that is not under way, and how long the first of them waits.
    pub waiting: usize,
    pub oldest_waiting: Duration,
    /// Users that Graph does not know.
    pub unmatched: usize,
    /// Users, and sessions that nobody wants any more.
    pub slots: usize,
}

impl Counts {
    pub(super) const fn count_result(&mut self, result: ItemResult) {
        *match result {
            ItemResult::Done => &mut self.done,
            ItemResult::NotFound => &mut self.not_found,
            ItemResult::Throttled { .. } => &mut self.throttled,
            ItemResult::Refused => &mut self.refused,
            ItemResult::Failed => &mut self.failed,
        } += 1;
    }

    pub(super) const fn count_fault(&mut self, fault: Fault) {
        *match fault {
            Fault::Throttled { .. } => &mut self.faults_throttled,
            Fault::Token => &mut self.faults_token,
            Fault::Refused => &mut self.faults_refused,
            Fault::Server { .. } => &mut self.faults_server,
            Fault::Network => &mut self.faults_network,
            Fault::NotSent => &mut self.faults_not_sent,
        } += 1;
    }
}

/// The gauges of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantCounts {
    pub tenant: TenantKey,
    pub users: usize,
    pub unmatched: usize,
    pub in_flight: usize,
    pub waiting: usize,
    pub oldest_waiting: Duration,
}
