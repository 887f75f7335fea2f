//! `trunkway check`: everything that is wrong with a configuration, for people or as JSON.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{ConfigFile, EXIT_FAULTS, complain, say, show};
use crate::config::{self, Faults, Loaded};

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
    sites: usize,
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
            sites: loaded.routing.sites().iter().count(),
            dialplans: loaded.routing.plans().len(),
            prefixes: loaded.routing.plans().iter().map(|plan| plan.len()).sum(),
            routes: loaded.routing.routes().len(),
        }
    }
}

/// Checks a configuration.
pub fn check(arguments: &Arguments) -> ExitCode {
    let result = config::load(&arguments.file.config);
    let (faults, counts) = match &result {
        Ok(loaded) => (&loaded.warnings, Some(Counts::of(loaded))),
        Err(faults) => (faults, None),
    };
    let valid = counts.is_some();
    if arguments.json {
        say(&json(&Report {
            valid,
            faults,
            counts,
        }));
    } else {
        show(faults);
        match counts {
            Some(counts) => say(&summary(&counts, faults)),
            None => complain(&format!(
                "{} cannot be taken\n",
                arguments.file.config.display()
            )),
        }
    }
    if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAULTS)
    }
}

fn summary(counts: &Counts, faults: &Faults) -> String {
    let Counts {
        listeners,
        trunks,
        sites,
        dialplans,
        prefixes,
        routes,
    } = counts;
    let warnings = match faults.faults.len() + faults.more {
        0 => String::new(),
        1 => "; 1 warning".to_owned(),
        count => format!("; {count} warnings"),
    };
    format!(
        "ok: listeners {listeners}, trunks {trunks}, sites {sites}, dial plans {dialplans} (prefixes {prefixes}), routes {routes}{warnings}\n"
    )
}

/// A value as indented JSON and a newline.
pub(super) fn json(value: &impl Serialize) -> String {
    // Only maps with keys that are no strings, and writers, can fail; here is neither.
    serde_json::to_string_pretty(value).map_or_else(
        |error| format!("{{\"error\": \"{error}\"}}\n"),
        |text| text + "\n",
    )
}
