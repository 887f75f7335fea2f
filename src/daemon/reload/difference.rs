//! What differs between the configuration in force and the one that takes its place. Pure.
//!
//! Things are compared by name, as text that holds no ids: where a tenant stands in its file says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::path::PathBuf;

use siphasher::sip::SipHasher13;

use crate::admin::{KindOfDifference, Moved, MovedPrefix, Named, NeedsRestart};
use crate::config::Config;
use crate::daemon::control::restart_wanted;
use crate::routing::translate::Translations;
use crate::routing::{Plan, Route, Routing, Site, Table, Tenant, TenantId};
use crate::trunk::{TrunkId, Trunks};

/// Names of one kind that are told one by one.
const NAMES: usize = 100;

/// Prefixes that are told one by one.
const EXAMPLES: usize = 10;

/// What each file of certificates and keys holds, as a number.
pub(super) type Certificates = BTreeMap<PathBuf, u64>;

/// A configuration, with the routing that changes at run time have made of it.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub config: &'a Config,
    pub trunks: &'a Trunks,
    pub translations: &'a [Translations],
    pub routing: &'a Routing,
    pub certificates: &'a Certificates,
}

/// Everything that differs, kinds in which nothing does left out.
pub(super) fn differences(old: &Side<'_>, new: &Side<'_>) -> (Vec<KindOfDifference>, Moved) {
    let (plans, moved) = moved(old.routing, new.routing);
    let kinds = [
        compared("listeners", &listeners(old), &listeners(new)),
        compared("trunks", &trunks(old), &trunks(new)),
        compared("tenants", &tenants(old), &tenants(new)),
        compared("sites", &sites(old), &sites(new)),
        users(old.routing, new.routing),
        compared("routes", &routes(old), &routes(new)),
        plans,
        compared("certificates", &certificates(old), &certificates(new)),
        compared("settings", &settings(old), &settings(new)),
    ];
    let kinds = kinds.into_iter().filter(|kind| kind.added.count + kind.removed.count + kind.changed.count > 0);
    (kinds.collect(), moved)
}

/// Adds a name.
fn note(names: &mut Named, name: impl Into<String>) {
    names.count += 1;
    if names.names.len() < NAMES {
        names.names.push(name.into());
    }
}

/// Texts by name.
type Texts = BTreeMap<String, String>;

fn compared(kind: &'static str, old: &Texts, new: &Texts) -> KindOfDifference {
    let mut difference = KindOfDifference { kind, ..KindOfDifference::default() };
    for (name, text) in new {
        match old.get(name) {
            None => note(&mut difference.added, name),
            Some(before) if before != text => note(&mut difference.changed, name),
            Some(_) => {}
        }
    }
    old.keys().filter(|name| !new.contains_key(*name)).for_each(|name| note(&mut difference.removed, name));
    difference
}

fn listeners(side: &Side<'_>) -> Texts {
    let staying = side.config.listeners.iter().filter(|listen| !listen.listener.leaving);
    staying.map(|listen| (listen.listener.name.to_string(), format!("{listen:?}"))).collect()
}

fn trunks(side: &Side<'_>) -> Texts {
    let text = |trunk: &crate::trunk::Trunk| {
        let at = usize::from(trunk.id.0);
        let (tls, health) = (side.config.trunk_tls.get(at), side.config.trunk_health.get(at));
        let origin = side.routing.origin(trunk.id).map(|origin| {
            let plan = origin.plan.and_then(|plan| side.routing.plans().get(plan as usize)).map(Plan::name);
            let rates = origin.rates.as_ref().map(|rates| digest(&rates.0));
            let tenant = origin.tenant.map(|tenant| tenant_name(side.routing, tenant));
            (plan, rates, tenant, origin.called, origin.calling)
        });
        format!("{trunk:?} {tls:?} {health:?} {:?} {origin:?}", side.translations.get(at))
    };
    side.trunks.staying().map(|trunk| (trunk.name.to_string(), text(trunk))).collect()
}

fn tenants(side: &Side<'_>) -> Texts {
    let text = |tenant: &Tenant| {
        let Tenant { numbering, ranges, unassigned, emergency, service, between_tenants, anonymous, removed, .. } =
            tenant;
        let limits = (&tenant.limits, &tenant.user_limits);
        let ranges = digest(ranges);
        format!(
            "{numbering:?} {ranges} {unassigned:?} {emergency:?} {service:?} {between_tenants} {anonymous:?} {removed} \
             {limits:?}"
        )
    };
    side.routing.tenants().iter().map(|tenant| (tenant.id.to_string(), text(tenant))).collect()
}

fn sites(side: &Side<'_>) -> Texts {
    let text = |site: &Site| {
        let Site { tenant, fqdn: _, owner: _, teams, trunk, pbx, hairpin, limits } = site;
        format!("{tenant} {teams:?} {trunk:?} {pbx:?} {hairpin} {limits:?}")
    };
    side.routing.sites().iter().map(|site| (site.fqdn.to_string(), text(site))).collect()
}

/// Users of tenants that both have, `tenant/user`: those of a tenant that has come or gone are told with it.
fn users(old: &Routing, new: &Routing) -> KindOfDifference {
    let mut difference = KindOfDifference { kind: "users", ..KindOfDifference::default() };
    for tenant in new.tenants().iter() {
        let before = old.tenants().find(&tenant.id).and_then(|id| old.tenants().get(id));
        let Some(before) = before else { continue };
        let name = |user: &crate::routing::User| format!("{}/{}", tenant.id, user.record.id);
        // Both are in the order of their ids.
        let (mut left, mut right) = (before.users().iter().peekable(), tenant.users().iter().peekable());
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.record.id == b.record.id => {
                    if a.record != b.record {
                        note(&mut difference.changed, name(b));
                    }
                    left.next();
                    right.next();
                }
                (Some(a), b) if b.is_none_or(|b| a.record.id < b.record.id) => {
                    note(&mut difference.removed, name(a));
                    left.next();
                }
                (_, Some(b)) => {
                    note(&mut difference.added, name(b));
                    right.next();
                }
                // `Some` and `None` are above.
                _ => break,
            }
        }
    }
    difference
}

/// Routes have no names: they are known by what they are for, and those for the same by their order.
fn routes(side: &Side<'_>) -> Texts {
    let trunk = |id: TrunkId| side.trunks.get(id).map_or("", |trunk| &*trunk.name);
    let mut texts = Texts::new();
    for route in side.routing.routes() {
        let mut name = format!("prefix \"{}\"", route.prefix);
        if let Some(from) = route.from {
            name += &format!(" from {}", trunk(from));
        }
        if let Some(tenant) = route.tenant {
            name += &format!(" of {}", tenant_name(side.routing, tenant));
        }
        let text = format!("{:?}", Route { tenant: None, ..route.clone() });
        let mut numbered = name.clone();
        let mut number = 1;
        while texts.contains_key(&numbered) {
            number += 1;
            numbered = format!("{name} ({number})");
        }
        texts.insert(numbered, text);
    }
    texts
}

fn certificates(side: &Side<'_>) -> Texts {
    side.certificates.iter().map(|(path, content)| (path.display().to_string(), content.to_string())).collect()
}

fn settings(side: &Side<'_>) -> Texts {
    let Config { node, timers, limits, service, .. } = side.config;
    let of = |name: &str, text: String| (name.to_owned(), text);
    let mut texts = Texts::from([
        of("[node]", format!("{node:?}")),
        of("[timers]", format!("{timers:?}")),
        of("[limits]", format!("{limits:?}")),
        of("[service]", format!("{service:?}")),
        of("[emergency]", format!("{:?}", side.routing.emergency())),
    ]);
    texts.extend(SECTIONS.iter().map(|section| (format!("[{}]", section.name), (section.text)(side.config))));
    texts
}

fn tenant_name(routing: &Routing, id: TenantId) -> &str {
    routing.tenants().get(id).map_or("", |tenant| &tenant.id)
}

/// A plan's rules as a number.
fn digest(plan: &Plan) -> u64 {
    let mut hash = SipHasher13::new();
    Table::new(vec![plan.clone()]).for_each(|rule| {
        for text in [&rule.prefix, &rule.tag, &rule.owner] {
            hash.write(text.as_bytes());
            hash.write_u8(0);
        }
        hash.write_u8(u8::from(rule.active));
    });
    hash.finish()
}

/// The dial plans that differ, and the prefixes in them that lead elsewhere.
fn moved(old: &Routing, new: &Routing) -> (KindOfDifference, Moved) {
    let mut moved = Moved::default();
    let mut changed: BTreeSet<String> = BTreeSet::new();
    new.table().for_each_difference(old.table(), |plan, prefix, from, to| {
        moved.count += 1;
        if !changed.contains(plan) {
            changed.insert(plan.to_owned());
        }
        if moved.examples.len() < EXAMPLES {
            let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
            moved.examples.push(MovedPrefix { plan: plan.to_owned(), prefix: prefix.to_owned(), from, to });
        }
    });
    let text = |plan: &Plan| (plan.name().to_string(), String::new());
    let (before, after): (Texts, Texts) =
        (old.plans().iter().map(text).collect(), new.plans().iter().map(text).collect());
    let mut plans = compared("dialplans", &before, &after);
    let stays = |name: &String| before.contains_key(name) && after.contains_key(name);
    changed.iter().filter(|name| stays(name)).for_each(|name| note(&mut plans.changed, name));
    (plans, moved)
}

/// A key that is read at the start only.
struct Fixed {
    key: &'static str,
    text: fn(&Config) -> String,
    keep: fn(&mut Config, &Config),
}

/// A table whose owner may take it while the edge runs.
struct Section {
    name: &'static str,
    text: fn(&Config) -> String,
    keep: fn(&mut Config, &Config),
}

macro_rules! fixed {
    ($($key:literal => $($field:ident).+),* $(,)?) => {
        &[$(Fixed {
            key: $key,
            text: |config| format!("{:?}", config.$($field).+),
            keep: |new, old| new.$($field).+ = old.$($field).+.clone(),
        }),*]
    };
}

macro_rules! sections {
    ($($name:literal => $field:ident),* $(,)?) => {
        &[$(Section {
            name: $name,
            text: |config| format!("{:?}", config.$field),
            keep: |new, old| new.$field = old.$field.clone(),
        }),*]
    };
}

const FIXED: &[Fixed] = fixed! {
    "[node] name" => node.name,
    "[node] workers" => node.workers,
    "[node] seal_key_file" => node.seal_key_file,
    "[state] dir" => state.dir,
    "[dns] servers" => dns.servers,
    "[dns] timeout_ms" => dns.timeout,
    "[dns] stale_s" => dns.stale,
    "[dns] max_entries" => dns.max_entries,
    "[dns] negative_s" => dns.negative,
    "[limits] max_transactions" => limits.max_transactions,
    "[limits] max_calls_remembered" => limits.max_calls_remembered,
    "[limits] max_stored_calls" => limits.max_stored_calls,
    "[limits] unknown_source_answers_per_second" => limits.unknown_source_answers_per_second,
    "[log] format" => logging.format,
    "[log] queue" => logging.queue,
};

const SECTIONS: &[Section] = sections! {
    "control" => control,
    "metrics" => metrics,
    "records" => records,
    "trace" => trace,
    "guard" => guard,
    "overload" => overload,
    "log" => logging,
    "presence" => presence,
    "graph" => graph,
    "directory" => directory,
};

/// Puts the values in force where new ones need a restart, and tells which. A table in `taken` changes while the edge
/// runs.
pub(super) fn keep_fixed(new: &mut Config, old: &Config, taken: &[&str]) -> Vec<NeedsRestart> {
    let mut restart = Vec::new();
    for Fixed { key, text, keep } in FIXED {
        let (running, file) = (text(old), text(new));
        if running != file {
            keep(new, old);
            restart.push(NeedsRestart { key: (*key).to_owned(), running: Some(running), file: Some(file) });
        }
    }
    let control = restart_wanted(&old.control, &new.control);
    if !control.is_empty() {
        new.control = old.control.clone();
        restart.extend(control.into_iter().map(|key| NeedsRestart { key: key.to_owned(), running: None, file: None }));
    }
    // The key log comes and goes with the certificates.
    let key_log = std::mem::replace(&mut new.trace.key_log, old.trace.key_log.clone());
    for Section { name, text, keep } in SECTIONS {
        if !taken.contains(name) && text(old) != text(new) {
            keep(new, old);
            // What is in there may be nobody's business.
            restart.push(NeedsRestart { key: format!("[{name}]"), running: None, file: None });
        }
    }
    new.trace.key_log = key_log;
    restart
}

#[cfg(test)]
mod tests;
