//! `trunkway doctor`: looks after everything that has to fit before calls pass, step by step: the configuration with its
//! certificates, rules and users, names, the way to each target, and what the running edge hears from its peers.

mod edge;
mod ways;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::control::Door;
use super::{EXIT_NO, Output, json};
use crate::cli::check;
use crate::config::{self, Loaded, Severity};
use crate::trunk::{Trunk, TrunkId};

/// Steps that are told at most; a configuration with many warnings has more of them.
const MAX_STEPS: usize = 2_000;

/// Arguments of `trunkway doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only what calls of this tenant need.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// How long a connection to a target may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout_s: u64,

    #[command(flatten)]
    pub door: Door,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// `configuration`, `name`, `target`, `edge`, `options` or `health`.
    step: &'static str,
    result: Verdict,
    /// What was looked at, and what was found.
    text: String,
    /// What to do; empty when all is well.
    advice: String,
}

impl Step {
    fn ok(step: &'static str, text: impl Into<String>) -> Self {
        Self { step, result: Verdict::Ok, text: text.into(), advice: String::new() }
    }

    fn warn(step: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { step, result: Verdict::Warn, text: text.into(), advice: advice.into() }
    }

    fn fail(step: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { step, result: Verdict::Fail, text: text.into(), advice: advice.into() }
    }
}

/// What of the configuration is looked at.
struct Scope<'l> {
    loaded: &'l Loaded,
    /// `None`: all.
    trunks: Option<BTreeSet<TrunkId>>,
    tenant: Option<&'l str>,
}

impl<'l> Scope<'l> {
    /// What the calls of a tenant need, or all; `None`: there is no such tenant.
    fn new(loaded: &'l Loaded, tenant: Option<&'l str>) -> Option<Self> {
        let Some(name) = tenant else { return Some(Self { loaded, trunks: None, tenant }) };
        loaded.routing.tenants().find(name)?;
        let mut trunks = BTreeSet::new();
        for site in loaded.routing.sites().iter().filter(|site| *site.tenant == *name) {
            trunks.extend([Some(site.teams), Some(site.trunk), site.pbx].into_iter().flatten());
        }
        Some(Self { loaded, trunks: Some(trunks), tenant })
    }

    fn trunks(&self) -> impl Iterator<Item = &'l Trunk> {
        let wanted = |trunk: &&Trunk| self.trunks.as_ref().is_none_or(|trunks| trunks.contains(&trunk.id));
        self.loaded.trunks.0.iter().filter(wanted)
    }

    /// The edge's own names that others look up.
    fn names(&self) -> BTreeSet<Arc<str>> {
        let mut names: BTreeSet<Arc<str>> = self.trunks().filter_map(|trunk| trunk.fqdn.clone()).collect();
        if self.tenant.is_none() {
            names.extend(self.loaded.config.node.fqdn.clone());
        }
        let of_tenant = |site: &&Arc<crate::routing::Site>| self.tenant.is_none_or(|tenant| *site.tenant == *tenant);
        names.extend(self.loaded.routing.sites().iter().filter(of_tenant).map(|site| Arc::clone(&site.fqdn)));
        names
    }
}

/// Runs it.
pub fn doctor(arguments: &Arguments) -> Output {
    let Arguments { tenant, timeout_s, door } = arguments;
    let loaded = match config::load_reviewed(&door.file.config, check::review) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(false)),
    };
    let Some(scope) = Scope::new(&loaded, tenant.as_deref()) else {
        return Output::fault(format!("there is no tenant `{}`\n", tenant.as_deref().unwrap_or_default()));
    };
    let mut steps = configuration(&scope);
    let runtime = match super::runtime(1) {
        Ok(runtime) => runtime,
        Err(error) => return Output::fault(format!("the system gives no runtime: {error}\n")),
    };
    steps.extend(runtime.block_on(ways::look(&scope, Duration::from_secs(*timeout_s))));
    steps.extend(edge::look(&scope, door));
    steps.truncate(MAX_STEPS);
    told(&steps, door.json)
}

/// What a closer look at the configuration finds: certificates, their names, purposes and roots, rules, users without
/// a rule.
fn configuration(scope: &Scope<'_>) -> Vec<Step> {
    let Loaded { warnings, routing, .. } = scope.loaded;
    // A warning that names another tenant or trunk is not this tenant's matter.
    let is_of = |message: &str| {
        let Some(tenant) = scope.tenant else { return true };
        let elsewhere =
            routing.tenants().iter().any(|it| *it.id != *tenant && message.contains(&format!("`{}`", it.id)));
        !elsewhere
    };
    let mut steps: Vec<Step> = warnings
        .faults
        .iter()
        .filter(|fault| is_of(&fault.message))
        .map(|fault| {
            let (text, advice) = (fault.message.clone(), fault.help.clone().unwrap_or_default());
            match fault.severity {
                Severity::Error => Step::fail("configuration", text, advice),
                Severity::Warning => Step::warn("configuration", text, advice),
            }
        })
        .collect();
    if steps.is_empty() {
        steps.push(Step::ok("configuration", "it can be taken: certificates, names, rules and users fit together"));
    }
    steps
}

/// The steps in words or as JSON.
fn told(steps: &[Step], as_json: bool) -> Output {
    let worst = steps.iter().map(|step| step.result).max().unwrap_or(Verdict::Ok);
    let code = if worst == Verdict::Fail { EXIT_NO } else { 0 };
    if as_json {
        return Output {
            out: json(&serde_json::json!({ "result": worst, "steps": steps })),
            code,
            ..Output::default()
        };
    }
    let mut out = String::new();
    for Step { step, result, text, advice } in steps {
        let word = match result {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        out += &format!("{word:<5} {step:<14} {text}\n");
        for line in advice.lines() {
            out += &format!("{:20} {line}\n", "");
        }
    }
    let count = |wanted: Verdict| steps.iter().filter(|step| step.result == wanted).count();
    out += &format!("\n{} ok, {} warnings, {} failures\n", count(Verdict::Ok), count(Verdict::Warn), count(Verdict::Fail));
    Output { out, code, ..Output::default() }
}

#[cfg(test)]
mod tests;
