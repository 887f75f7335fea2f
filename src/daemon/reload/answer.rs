//! What is told of a reload: to whoever asked, in the log, and as metrics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::admin::{FileFault, KindOfDifference, NotReloaded, ReloadReport};
use crate::config::{self, Faults, Severity};

/// What can come of a reload.
const RESULTS: [&str; 3] = ["changed", "unchanged", "failed"];

/// Handles of the series.
pub(super) struct Meters {
    results: [Counter; 3],
    last_success: Gauge,
    last_failed: Gauge,
    duration: Gauge,
}

impl Meters {
    /// Registers the series; the configuration of the start counts as loaded now.
    pub(super) fn register() -> Self {
        describe_counter!("trunkway_reloads_total", "Reloads of the configuration, by what came of them");
        describe_gauge!(
            "trunkway_reload_last_success_timestamp_seconds",
            metrics::Unit::Seconds,
            "When the configuration in force was read, since 1970"
        );
        describe_gauge!("trunkway_reload_last_failed", "Whether the last reload failed (1) or not (0)");
        describe_gauge!("trunkway_reload_duration_seconds", metrics::Unit::Seconds, "How long the last reload took");
        let meters = Self {
            results: RESULTS.map(|result| counter!("trunkway_reloads_total", "result" => result)),
            last_success: gauge!("trunkway_reload_last_success_timestamp_seconds"),
            last_failed: gauge!("trunkway_reload_last_failed"),
            duration: gauge!("trunkway_reload_duration_seconds"),
        };
        meters.last_success.set(unix());
        meters.last_failed.set(0.0);
        meters.duration.set(0.0);
        meters
    }

    /// A reload is over.
    pub(super) fn note(&self, result: &'static str, took: Duration) {
        for (known, counter) in RESULTS.iter().zip(&self.results) {
            counter.increment(u64::from(*known == result));
        }
        let failed = result == "failed";
        self.last_failed.set(f64::from(u8::from(failed)));
        self.duration.set(took.as_secs_f64());
        if !failed {
            self.last_success.set(unix());
        }
    }
}

fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as f64
}

/// A reload in one line.
pub(super) fn sentence(report: &ReloadReport) -> String {
    if !report.changed {
        return "reloaded: nothing has changed".to_owned();
    }
    let kind = |kind: &KindOfDifference| {
        let parts = [("added", &kind.added), ("removed", &kind.removed), ("changed", &kind.changed)];
        let parts = parts.into_iter().filter(|(_, names)| names.count > 0);
        let parts: Vec<String> = parts.map(|(word, names)| format!("{} {word}", names.count)).collect();
        format!("{} {}", kind.kind, parts.join(", "))
    };
    let mut parts: Vec<String> = report.differences.iter().map(kind).collect();
    if report.moved.count > 0 {
        parts.push(format!("{} prefixes now go elsewhere", report.moved.count));
    }
    format!("reloaded: {}", parts.join("; "))
}

pub(super) fn broken(detail: &str) -> NotReloaded {
    NotReloaded { error: "broken", detail: detail.to_owned(), faults: Vec::new(), rendered: String::new() }
}

pub(super) fn no_file() -> NotReloaded {
    let detail = "the configuration came from no file: there is nothing to read again".to_owned();
    NotReloaded { error: "no_file", detail, faults: Vec::new(), rendered: String::new() }
}

/// The file is good, but what it asks for cannot be had.
pub(super) fn refused(error: &'static str, why: &dyn std::fmt::Display) -> NotReloaded {
    let detail = format!("{why}: nothing was changed");
    NotReloaded { error, rendered: format!("error: {detail}\n"), detail, faults: Vec::new() }
}

pub(super) fn of_file(faults: &Faults) -> NotReloaded {
    let errors = faults.errors().count();
    let first = faults.errors().next().map(|fault| format!(": {}", in_a_line(&file_fault(fault)))).unwrap_or_default();
    let count = if errors == 1 { "a fault".to_owned() } else { format!("{errors} faults") };
    NotReloaded {
        error: "bad_configuration",
        detail: format!("the configuration has {count}, so nothing was changed{first}"),
        faults: faults.faults.iter().map(file_fault).collect(),
        rendered: faults.render(false),
    }
}

pub(super) fn warnings(faults: &Faults) -> Vec<FileFault> {
    faults.warnings().map(file_fault).collect()
}

fn file_fault(fault: &config::Fault) -> FileFault {
    let position = fault.at.as_ref().and_then(|at| at.position.as_ref());
    FileFault {
        severity: match fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: fault.message.clone(),
        file: fault.at.as_ref().map(|at| at.file.clone()),
        line: position.map(|position| position.line),
        column: position.map(|position| position.column),
        help: fault.help.clone(),
    }
}

/// `file:line:column: message`.
pub(super) fn in_a_line(fault: &FileFault) -> String {
    let place = [fault.line, fault.column].into_iter().flatten().map(|number| format!(":{number}"));
    let place = place.collect::<String>();
    let file = fault.file.as_deref().map(|file| format!("{file}{place}: ")).unwrap_or_default();
    format!("{file}{}", fault.message)
}
