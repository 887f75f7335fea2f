//! `trunkway check`: everything that is wrong with a configuration, for people or as JSON.

mod certificates;
mod shadows;
mod teams_names;
mod teams_side;
mod uncovered;
mod unkept;

pub use uncovered::is_covered;

use clap::Args;
use serde::Serialize;

use super::{ConfigFile, EXIT_FAULTS, Output, json};
use crate::config::{self, Faults, Loaded, Review};

/// How many findings of one kind are told; of the rest only the number is.
const MAX_TOLD: usize = 20;

/// Arguments of `trunkway check`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: ConfigFile,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `check --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether the configuration can be taken.
    valid: bool,
    #[serde(flatten)]
    faults: &'a Faults,
    #[serde(flatten)]
    counts: Option<Counts>,
}

/// How much there is of everything in a configuration.
#[derive(Debug, Serialize)]
struct Counts {
    listeners: usize,
    trunks: usize,
    tenants: usize,
    sites: usize,
    users: usize,
    dialplans: usize,
    /// Prefixes of all dial plans, those of ranges counted singly.
    prefixes: usize,
    routes: usize,
}

impl Counts {
    fn of(loaded: &Loaded) -> Self {
        Self {
            listeners: loaded.config.listeners.len(),
            trunks: loaded.trunks.0.len(),
            tenants: loaded.routing.tenants().iter().count(),
            sites: loaded.routing.sites().iter().count(),
            users: loaded.routing.tenants().iter().map(|tenant| tenant.users().len()).sum(),
            dialplans: loaded.routing.plans().len(),
            prefixes: loaded.routing.plans().iter().map(|plan| plan.len()).sum(),
            routes: loaded.routing.routes().len(),
        }
    }
}

/// What only a closer look finds: it takes its time, and reads certificates.
fn review(loaded: &Loaded, review: &Review<'_>) {
    shadows::look(loaded, review);
    uncovered::look(loaded, review);
    teams_names::look(loaded, review);
    certificates::look(loaded, review);
    unkept::look(loaded, review);
}

/// Reads a configuration and looks at it as closely as `check` does.
///
/// # Errors
/// All that is wrong with it.
pub fn load_reviewed(file: &std::path::Path) -> Result<Loaded, Faults> {
    config::load_reviewed(file, review)
}

/// Checks a configuration.
pub fn check(arguments: &Arguments, color: bool) -> Output {
    let result = load_reviewed(&arguments.file.config);
    let (faults, counts) = match &result {
        Ok(loaded) => (&loaded.warnings, Some(Counts::of(loaded))),
        Err(faults) => (faults, None),
    };
    let code = if counts.is_some() { 0 } else { EXIT_FAULTS };
    if arguments.json {
        let report = Report { valid: counts.is_some(), faults, counts };
        return Output { out: json(&report), code, ..Output::default() };
    }
    let err = faults.render(color);
    match counts {
        Some(counts) => Output { out: summary(&counts, faults), err, code },
        None => {
            let verdict = format!("{} cannot be taken\n", arguments.file.config.display());
            Output { err: err + &verdict, code, ..Output::default() }
        }
    }
}

fn summary(counts: &Counts, faults: &Faults) -> String {
    let Counts { listeners, trunks, tenants, sites, users, dialplans, prefixes, routes } = counts;
    let warnings = match faults.faults.len() + faults.more {
        0 => String::new(),
        1 => "; 1 warning".to_owned(),
        count => format!("; {count} warnings"),
    };
    format!(
        "ok: listeners {listeners}, trunks {trunks}, tenants {tenants}, sites {sites}, users {users}, dial plans {dialplans} (prefixes {prefixes}), routes {routes}{warnings}\n"
    )
}

#[cfg(test)]
mod tests;
