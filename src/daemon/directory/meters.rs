//! What is counted of directories.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

const RUNS: &str = "trunkway_directory_runs_total";

/// What may come of a run.
const RESULTS: [&str; 4] = ["changed", "unchanged", "stopped", "failed"];

/// The directories' metrics.
pub(super) struct Meters {
    /// In the order of [`RESULTS`].
    runs: [Counter; RESULTS.len()],
    users: Gauge,
    unreadable: Gauge,
    failing: Gauge,
}

impl Meters {
    pub(super) fn register() -> Self {
        describe_counter!(RUNS, "Readings of tenants' directories, by what came of them");
        describe_gauge!("trunkway_directory_users", "Users that come from directories");
        describe_gauge!(
            "trunkway_directory_unreadable_users",
            "Users of directories that are not provisioned for a fault"
        );
        describe_gauge!(
            "trunkway_directory_failing",
            "Tenants whose directory was not read, or not followed, the last time"
        );
        Self {
            runs: RESULTS.map(|result| counter!(RUNS, "result" => result)),
            users: gauge!("trunkway_directory_users"),
            unreadable: gauge!("trunkway_directory_unreadable_users"),
            failing: gauge!("trunkway_directory_failing"),
        }
    }

    pub(super) fn ran(&self, result: &str) {
        for (counter, known) in self.runs.iter().zip(RESULTS) {
            if known == result {
                counter.increment(1);
            }
        }
    }

    pub(super) fn set(&self, users: usize, unreadable: usize, failing: usize) {
        self.users.set(users as f64);
        self.unreadable.set(unreadable as f64);
        self.failing.set(failing as f64);
    }
}
