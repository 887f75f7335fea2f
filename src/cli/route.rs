//! `trunkway route`: where a call would go, and why, from the configuration alone.

use std::borrow::Cow;

use clap::Args;

use super::{ConfigFile, EXIT_NO, Output, json};
use crate::call::numbers::translated;
use crate::config::{self, Loaded};
use crate::routing::{Explanation, Query, Step};
use crate::trunk::{Trunk, TrunkKind};

/// Arguments of `trunkway route`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The trunk that the call comes from.
    #[arg(value_name = "FROM")]
    pub from: String,

    /// The called number, as it stands in the Request-URI.
    #[arg(value_name = "NUMBER")]
    pub number: String,

    /// The Request-URI's host: for calls from Teams the FQDN of a site. May be left out when there is one site only.
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    #[command(flatten)]
    pub file: ConfigFile,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Explains where a call would go.
pub fn route(arguments: &Arguments, color: bool) -> Output {
    let loaded = match config::load(&arguments.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(color)),
    };
    let Some(trunk) = loaded.trunks.named(&arguments.from) else {
        let names: Vec<&str> = loaded.trunks.0.iter().map(|trunk| &*trunk.name).collect();
        let known = names.join(", ");
        return Output::fault(format!("there is no trunk `{}`; known: {known}\n", arguments.from));
    };
    let host = match &arguments.host {
        Some(host) => host.clone(),
        None => usual_host(&loaded, trunk),
    };
    let called = match loaded.translations.get(usize::from(trunk.id.0)) {
        Some(rules) => translated(&rules.inbound.called, arguments.number.as_bytes()),
        None => Cow::Borrowed(arguments.number.as_bytes()),
    };
    let query = Query::new(trunk.id, host.as_bytes(), &called);
    let mut explanation = loaded.routing.explain(query);
    if let Cow::Owned(number) = &called {
        let step = format!("translation rules of `{}` make it `{}`", trunk.name, String::from_utf8_lossy(number));
        explanation.steps.insert(0, Step::new(step));
    }
    let out = if arguments.json { json(&explanation) } else { words(&explanation) };
    let code = if explanation.refused.is_some() { EXIT_NO } else { 0 };
    Output { out, code, ..Output::default() }
}

/// The host that a call from the trunk most likely has.
fn usual_host(loaded: &Loaded, trunk: &Trunk) -> String {
    let mut sites = loaded.routing.sites().iter().filter(|site| site.teams == trunk.id);
    match (trunk.kind, sites.next(), sites.next()) {
        (TrunkKind::Teams, Some(site), None) => site.fqdn.to_string(),
        _ => {
            let listen = loaded.config.listeners.get(usize::from(trunk.listener.0));
            let own = trunk.fqdn.as_ref().or(listen.map(|listen| &listen.listener.host));
            own.map_or_else(String::new, |host| host.to_string())
        }
    }
}

fn words(explanation: &Explanation) -> String {
    let Explanation { from, number, steps, to, site, tenant, refused, .. } = explanation;
    let mut text = format!("from `{from}`, number `{number}`\n");
    for (index, step) in steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", index + 1));
    }
    match refused {
        Some(reason) => text.push_str(&format!("no route: {reason}\n")),
        None => text.push_str(&format!("to {}\n", to.join(", then "))),
    }
    if let (Some(site), Some(tenant)) = (site, tenant) {
        text.push_str(&format!("site {site} of tenant {tenant}\n"));
    }
    text
}
