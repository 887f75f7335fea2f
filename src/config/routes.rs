//! `[[route]]`: which trunks a number leaves by.

use std::sync::Arc;

use super::dialplans::prefix_help;
use super::groups;
use super::log::{At, Draft, Log, Place};
use super::owners::{Named, Owners};
use super::reader::{Table, quoted};
use super::trunks::form;
use super::windows;
use crate::routing::{Conflict, Route, Rules};

/// The routes and where each stands.
#[derive(Debug, Default)]
pub(super) struct RouteSet {
    pub list: Vec<Route>,
    pub places: Vec<Place>,
}

pub(super) fn read(
    log: &Log,
    tables: Vec<Table<'_>>,
    around: Named<'_>,
    owners: &Owners,
    max_branches: usize,
) -> RouteSet {
    let mut set = RouteSet::default();
    for table in tables {
        set.places.push(table.place);
        set.list.push(route(log, table, around, owners, max_branches));
    }
    set
}

fn route(log: &Log, mut table: Table<'_>, around: Named<'_>, owners: &Owners, max_branches: usize) -> Route {
    let t = &mut table;
    let Named { trunks, tenants } = around;
    let from = t.text("from").and_then(|name| Some(At::new(trunks.names.find(log, &t.title, &name)?, name.place)));
    let tenant = t.text("tenant").and_then(|name| tenants.ids.find(log, &t.title, &name));
    let prefix = match t.text("prefix") {
        Some(prefix) => readable(log, t, At::new(prefix.value.trim(), prefix.place)),
        None => "",
    };
    let (groups, mut named) = groups::read(log, t, trunks, max_branches);
    let failover_codes = t.numbers("failover_codes", 300..=699);
    let route = Route {
        from: from.as_ref().map(|from| from.value),
        tenant,
        prefix: prefix.into(),
        groups,
        windows: windows::read(t),
        failover_codes: failover_codes.map(|codes| -> Arc<[u16]> {
            codes.into_iter().filter_map(|code| u16::try_from(code.value).ok()).collect()
        }),
        called: form(t, "called_form"),
        calling: form(t, "calling_form"),
        hairpin: t.boolean("hairpin").is_some_and(|flag| flag.value),
    };
    if let Some(tenant) = tenant {
        named.extend(from);
        for trunk in &named {
            owners.check(log, &t.title, trunk, tenant, &around);
        }
    }
    table.finish();
    route
}

/// The prefix when it can be read, else none, after a complaint.
fn readable<'t>(log: &Log, table: &Table<'_>, prefix: At<&'t str>) -> &'t str {
    let Err(error) = Rules::new(1).add(prefix.value, "", 0) else {
        return prefix.value;
    };
    let message = format!("{}: prefix {}: {error}", table.title, quoted(prefix.value));
    log.add(Draft::error(prefix.place, message).maybe_help(prefix_help(error)));
    ""
}

/// Complains of routes that no call ever takes, since another for the same calls is always open.
pub(super) fn unreachable(log: &Log, places: &[Place], conflicts: &[Conflict]) {
    for conflict in conflicts {
        let place = |index: u32| places.get(index as usize).copied();
        if let (Some(kept), Some(dropped)) = (place(conflict.kept), place(conflict.dropped)) {
            let message = "two routes with the same `from`, `tenant` and `prefix`";
            let help = "write one route and all its trunks in `to`, in order, or say when the first is `open`";
            let draft = Draft::error(dropped, message).label("is never taken").also(kept, "is always open");
            log.add(draft.help(help));
        }
    }
}
