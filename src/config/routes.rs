//! `[[route]]`: which trunk a number leaves by.

use super::dialplans::prefix_help;
use super::log::{At, Draft, Log, Place};
use super::reader::{Table, quoted};
use super::trunks::TrunkSet;
use crate::routing::{Route, Rules};
use crate::trunk::{TrunkId, TrunkKind};

/// The routes and where each stands.
#[derive(Debug, Default)]
pub(super) struct RouteSet {
    pub list: Vec<Route>,
    pub places: Vec<Place>,
}

pub(super) fn read(log: &Log, tables: Vec<Table<'_>>, trunks: &TrunkSet<'_>, max_branches: usize) -> RouteSet {
    let mut set = RouteSet::default();
    for mut table in tables {
        let from = table.text("from").and_then(|from| trunks.names.find(log, &table.title, &from));
        let prefix = table.text("prefix");
        table.must_have("to");
        if table.is_empty_list("to") {
            let message = format!("{}: `to` is empty", table.title);
            log.add(Draft::error(table.place_of("to"), message));
        }
        let to = table.texts("to").unwrap_or_default();
        let to = destinations(log, &table, &to, trunks, max_branches);
        let prefix = match prefix {
            Some(prefix) => readable(log, &table, At::new(prefix.value.trim(), prefix.place)),
            None => "",
        };
        if from.is_none() && !table.has("from") {
            transit(log, &table, &to, trunks);
        }
        set.places.push(table.place);
        set.list.push(Route::serial(from, prefix, &to));
        table.finish();
    }
    set
}

fn destinations(
    log: &Log,
    table: &Table<'_>,
    to: &[At<&str>],
    trunks: &TrunkSet<'_>,
    max_branches: usize,
) -> Vec<TrunkId> {
    let mut list = Vec::with_capacity(to.len());
    for name in to {
        let Some(id) = trunks.names.find(log, &table.title, name) else {
            continue;
        };
        if list.contains(&id) {
            let message = format!("{}: `to` names {} twice", table.title, quoted(name.value));
            log.add(Draft::error(name.place, message));
        }
        list.push(id);
    }
    if to.len() > max_branches {
        let message =
            format!("{}: `to` names {} trunks, `max_branches` in [limits] is {max_branches}", table.title, to.len());
        log.add(Draft::error(table.place_of("to"), message));
    }
    list
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

/// Warns of a way from carrier to carrier that nobody named: calls that come in could leave at the operator's cost.
fn transit(log: &Log, table: &Table<'_>, to: &[TrunkId], trunks: &TrunkSet<'_>) {
    let carriers = || trunks.trunks.0.iter().filter(|trunk| trunk.kind == TrunkKind::Carrier);
    let out = carriers().find(|trunk| to.contains(&trunk.id));
    let pair = out.and_then(|out| carriers().find(|come| come.id != out.id).map(|come| (come, out)));
    if let Some((come, out)) = pair {
        let message = format!(
            "{}: calls that come in from {} may leave by {}",
            table.title,
            quoted(&come.name),
            quoted(&out.name)
        );
        log.add(
            Draft::warning(table.place, message)
                .label("no `from`: for every trunk")
                .help("name the trunk whose calls may take it in `from`, with a route for each"),
        );
    }
}
