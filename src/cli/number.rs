//! `trunkway number`: what a number means to a tenant, and how each interface writes it.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::{ConfigFile, Output, json};
use crate::config;
use crate::routing::countries::Country;
use crate::routing::number::{Interface, Number, NumberingPlan, Read};

/// Arguments of `trunkway number`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The number as it stands somewhere: a URI, a user part, a field of a directory or what a person wrote.
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,

    /// The tenant whose numbering plan is asked. May be left out when there is one tenant only.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// The interface that wrote it: some leave out the `+` of whole numbers.
    #[arg(long = "as", value_name = "INTERFACE")]
    pub interface: Option<String>,

    #[command(flatten)]
    pub file: ConfigFile,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `number --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    tenant: &'a str,
    value: &'a str,
    /// `e164`, `extension`, `service` or `opaque`.
    kind: &'static str,
    /// The canonical text.
    canonical: String,
    /// With `+`.
    e164: Option<String>,
    extension: Option<String>,
    service: Option<String>,
    /// The number calls for help.
    emergency: bool,
    /// ISO code of the country of an E.164 number: the tenant's own among those that share a calling code, else the
    /// largest.
    country: Option<&'static str>,
    /// What a caller in the tenant's country dials.
    dialled: Option<String>,
    /// What it was known by.
    reason: &'static str,
    /// By the interface's name; null where it has no form.
    forms: BTreeMap<&'static str, Option<String>>,
}

/// Reads a number and writes its forms.
pub fn number(arguments: &Arguments, color: bool) -> Output {
    let loaded = match config::load(&arguments.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(color)),
    };
    let known = || loaded.numbering.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    let mut all = loaded.numbering.iter();
    let found = match &arguments.tenant {
        Some(name) => loaded.numbering.get_key_value(&**name),
        None => all.next().filter(|_| all.next().is_none()),
    };
    let Some((tenant, plan)) = found else {
        return Output::fault(match (&arguments.tenant, loaded.numbering.is_empty()) {
            (_, true) => "the configuration has no tenant\n".to_owned(),
            (Some(name), _) => format!("there is no tenant `{name}`; known: {}\n", known()),
            (None, _) => format!("say which tenant is meant with --tenant; known: {}\n", known()),
        });
    };
    let read = match &arguments.interface {
        None => plan.read(&arguments.value),
        Some(name) => match name.parse::<Interface>() {
            Ok(interface) => plan.read_as(interface, &arguments.value),
            Err(_) => {
                let names: Vec<&str> = Interface::ALL.iter().map(|interface| interface.name()).collect();
                return Output::fault(format!("there is no interface `{name}`; known: {}\n", names.join(", ")));
            }
        },
    };
    let report = report(tenant, &arguments.value, plan, &read);
    Output::said(if arguments.json { json(&report) } else { words(&report, plan) })
}

fn report<'a>(tenant: &'a str, value: &'a str, plan: &NumberingPlan, read: &Read) -> Report<'a> {
    let number = &read.number;
    let (kind, service) = match number {
        Number::Telephone { .. } => ("e164", None),
        Number::Extension(_) => ("extension", None),
        Number::Service(digits) => ("service", Some(*digits)),
        Number::Opaque(_) => ("opaque", None),
    };
    Report {
        tenant,
        value,
        kind,
        canonical: number.to_string(),
        e164: number.e164().map(|digits| format!("+{digits}")),
        extension: number.extension().map(|digits| digits.to_string()),
        service: service.map(|digits| digits.to_string()),
        emergency: service.is_some_and(|digits| plan.is_emergency(digits)),
        country: country(number, plan).map(|country| country.iso),
        dialled: number.dialled(plan),
        reason: read.how.words(),
        forms: Interface::ALL.into_iter().map(|interface| (interface.name(), number.write(interface, plan))).collect(),
    }
}

fn country(number: &Number, plan: &NumberingPlan) -> Option<&'static Country> {
    let digits: Vec<u8> = number.e164()?.bytes().collect();
    let sharing = Country::of_number(&digits);
    let own = plan.country().filter(|own| sharing.iter().any(|country| country.iso == own.iso));
    own.or_else(|| sharing.first())
}

fn words(report: &Report<'_>, plan: &NumberingPlan) -> String {
    let place = plan.country().map_or("no country", |country| country.name);
    let mut text = format!("`{}` to tenant `{}` ({place})\n", report.value, report.tenant);
    let kind = match (report.kind, report.emergency) {
        ("e164", _) => "telephone number",
        ("extension", _) => "extension",
        ("service", true) => "emergency number",
        ("service", false) => "service number",
        _ => "no number",
    };
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<22} {value}\n"));
    line("is", &format!("{kind}: {}", report.reason));
    line("canonical", &report.canonical);
    let named = report.country.and_then(Country::find).map(|country| country.name);
    for (name, value) in [("country", named), ("dialled", report.dialled.as_deref())] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    for interface in Interface::ALL {
        line(interface.name(), report.forms.get(interface.name()).and_then(Option::as_deref).unwrap_or("-"));
    }
    text
}
