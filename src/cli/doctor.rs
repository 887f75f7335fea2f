//! `trunkway doctor`: looks into everything that has to be right before calls pass, one step after the other, and says of
//! each step that fails what to do.
//!
//! It reads the configuration, asks DNS, opens connections of its own to the targets and sends each the OPTIONS that the
//! edge would send, and asks the running edge what it has seen. It changes nothing.

mod names;
mod report;
mod rules;
mod running;
mod targets;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use self::report::{Report, Step};
use super::control::Door;
use super::{EXIT_FAULTS, EXIT_NO, Output, runtime};
use crate::call::Edge;
use crate::config::{Excerpt, Loaded, Severity};
use crate::daemon::build;
use crate::dns::Resolver;
use crate::routing::{Site, TenantId};
use crate::trunk::TrunkId;

/// Arguments of `trunkway doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway doctor
  trunkway doctor --tenant contoso
  trunkway doctor --trunk teams --patience-s 10
  trunkway doctor --offline --json")]
pub struct Arguments {
    #[command(flatten)]
    pub door: Door,

    /// Only what has to do with this tenant: its sites, users and rules, and the trunks that its sites use.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// Only the targets of this trunk.
    #[arg(long, value_name = "TRUNK")]
    pub trunk: Option<String>,

    /// Ask nobody: no DNS, no targets, no running edge.
    #[arg(long)]
    pub offline: bool,

    /// How long each step at a target may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub patience_s: u64,
}

/// What the steps look at.
struct Patient<'l> {
    loaded: &'l Loaded,
    edge: Arc<Edge>,
    tenant: Option<TenantId>,
    trunk: Option<TrunkId>,
    patience: Duration,
}

impl<'l> Patient<'l> {
    /// The sites that are looked at.
    fn sites(&self) -> impl Iterator<Item = &'l Arc<Site>> {
        let id = self.tenant.and_then(|id| self.loaded.routing.tenants().get(id)).map(|tenant| Arc::clone(&tenant.id));
        let sites = self.loaded.routing.sites().iter();
        sites.filter(move |site| id.as_ref().is_none_or(|id| site.tenant == *id))
    }

    /// Whether a trunk is looked at.
    fn looks_at(&self, trunk: TrunkId) -> bool {
        match (self.trunk, self.tenant) {
            (Some(only), _) => only == trunk,
            (None, Some(_)) => {
                self.sites().any(|site| site.teams == trunk || site.trunk == trunk || site.pbx == Some(trunk))
            }
            (None, None) => true,
        }
    }
}

/// Runs it.
pub fn doctor(arguments: &Arguments, color: bool) -> ExitCode {
    look(arguments, color).print()
}

/// Looks, and gives what there is to say.
pub fn look(arguments: &Arguments, color: bool) -> Output {
    let loaded = match super::check::load_reviewed(&arguments.door.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => {
            let verdict = "nothing else was looked at: mend the configuration first\n";
            return Output { code: EXIT_FAULTS, ..Output::fault(faults.render(color) + verdict) };
        }
    };
    let patient = match patient(arguments, &loaded) {
        Ok(patient) => patient,
        Err(what) => return Output::fault(format!("error: {what}\n")),
    };
    let mut report = Report::default();
    configuration(arguments, &loaded, &mut report);
    rules::look(&patient, &mut report);
    if !arguments.offline {
        match ask(&patient, arguments, &mut report) {
            Ok(()) => {}
            Err(why) => report.add(Step::fail("network", "this machine", why)),
        }
    }
    let code = if report.has_failed() { EXIT_NO } else { 0 };
    let out = if arguments.door.json { super::json(&report) } else { report.words() };
    Output { out, code, ..Output::default() }
}

fn patient<'l>(arguments: &Arguments, loaded: &'l Loaded) -> Result<Patient<'l>, String> {
    let tenant = match &arguments.tenant {
        Some(name) => {
            let found = loaded.routing.tenants().find(name);
            Some(found.ok_or_else(|| format!("there is no tenant `{name}` in the configuration"))?)
        }
        None => None,
    };
    let trunk = match &arguments.trunk {
        Some(name) => {
            let found = loaded.trunks.named(name);
            Some(found.ok_or_else(|| format!("there is no trunk `{name}` in the configuration"))?.id)
        }
        None => None,
    };
    // The ports of a running edge are not known here; those that the configuration gives are.
    let edge = Arc::new(build::edge(loaded.config.limits, loaded, |_| None));
    Ok(Patient { loaded, edge, tenant, trunk, patience: Duration::from_secs(arguments.patience_s) })
}

/// What `check` says, step by step.
fn configuration(arguments: &Arguments, loaded: &Loaded, report: &mut Report) {
    let file = arguments.door.file.config.display().to_string();
    for warning in &loaded.warnings.faults {
        let text = match &warning.at {
            Some(Excerpt { file, position: Some(position), .. }) => {
                format!("{} ({file}:{})", warning.message, position.line)
            }
            _ => warning.message.clone(),
        };
        let step = match warning.severity {
            Severity::Error => Step::fail("configuration", &file, text),
            Severity::Warning => Step::warn("configuration", &file, text),
        };
        report.add(match &warning.help {
            Some(help) => step.advise(help.clone()),
            None => step,
        });
    }
    if loaded.warnings.is_empty() {
        report.add(Step::ok("configuration", &file, "can be taken, without a warning"));
    }
}

/// The steps that ask somebody.
fn ask(patient: &Patient<'_>, arguments: &Arguments, report: &mut Report) -> Result<(), String> {
    let runtime = runtime(1).map_err(|error| format!("the system gives no runtime: {error}"))?;
    let settings = build::dns_settings(&patient.loaded.config.dns);
    runtime.block_on(async {
        let resolver = Resolver::new(&settings).map_err(|error| format!("the resolver cannot be set up: {error}"))?;
        names::look(patient, &resolver, report).await;
        targets::look(patient, &resolver, report).await;
        Ok::<_, String>(())
    })?;
    // The client of the control socket has a runtime of its own.
    running::look(patient, arguments, report);
    Ok(())
}

#[cfg(test)]
mod tests;
