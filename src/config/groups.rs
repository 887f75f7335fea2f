//! `to` and `groups` of a route: the trunks that it leads to, and in which order.

use super::log::{At, Draft, Log, Place};
use super::reader::{Table, quoted};
use super::trunks::TrunkSet;
use crate::routing::{Group, Member, Order};
use crate::trunk::TrunkId;

/// The groups of a route and where each of their trunks is named.
pub(super) fn read(
    log: &Log,
    route: &mut Table<'_>,
    trunks: &TrunkSet<'_>,
    max_branches: usize,
) -> (Vec<Group>, Vec<At<TrunkId>>) {
    let mut named = Vec::new();
    if route.has("to") && route.has("groups") {
        let message = format!("{}: `to` and `groups` exclude each other", route.title);
        let help = "`to` is short for one group whose members have the priorities 0, 1, ...";
        let draft = Draft::error(route.place_of("groups"), message);
        log.add(draft.also(route.place_of("to"), "and here").help(help));
    }
    if !route.has("groups") {
        route.must_have("to");
    }
    for key in ["to", "groups"] {
        if route.is_empty_list(key) {
            let message = format!("{}: `{key}` is empty", route.title);
            log.add(Draft::error(route.place_of(key), message));
        }
    }
    let mut groups: Vec<Group> = serial(log, route, trunks, &mut named).into_iter().collect();
    let title = route.title.clone();
    for table in route.tables("groups", "route.groups", |index| format!("group {} of {title}", index + 1)) {
        groups.push(group(log, table, trunks, &mut named));
    }
    if let Some(first) = named.get(max_branches) {
        let message =
            format!("{}: it names {} trunks, `max_branches` in [limits] is {max_branches}", route.title, named.len());
        log.add(Draft::error(first.place, message).label("the first too many"));
    }
    (groups, named)
}

fn serial(log: &Log, route: &mut Table<'_>, trunks: &TrunkSet<'_>, named: &mut Vec<At<TrunkId>>) -> Option<Group> {
    let mut members: Vec<Member> = Vec::new();
    for (priority, name) in (0..=u16::MAX).zip(route.texts("to")?) {
        let Some(trunk) = trunks.names.find(log, &route.title, &name) else { continue };
        if members.iter().any(|member| member.trunk == trunk) {
            let message = format!("{}: `to` names {} twice", route.title, quoted(name.value));
            log.add(Draft::error(name.place, message));
        }
        members.push(Member { trunk, priority, weight: 1 });
        named.push(At::new(trunk, name.place));
    }
    Some(Group { order: Order::Priority, members })
}

fn group(log: &Log, mut table: Table<'_>, trunks: &TrunkSet<'_>, named: &mut Vec<At<TrunkId>>) -> Group {
    let order = table.choice("order", &[("priority", Order::Priority), ("cost", Order::Cost)]);
    table.must_have("members");
    if table.is_empty_list("members") {
        let message = format!("{}: `members` is empty", table.title);
        log.add(Draft::error(table.place_of("members"), message));
    }
    let title = table.title.clone();
    let mut members: Vec<Member> = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for mut member in
        table.tables("members", "route.groups.members", |index| format!("member {} of {title}", index + 1))
    {
        let name = member.required("trunk");
        let priority = number(&mut member, "priority").unwrap_or(0);
        let weight = number(&mut member, "weight").unwrap_or(1);
        let found = name.and_then(|name| Some((trunks.names.find(log, &member.title, &name)?, name)));
        member.finish();
        let Some((trunk, name)) = found else { continue };
        let again = members.iter().zip(&places).find(|(known, _)| known.trunk == trunk);
        if let Some((_, first)) = again {
            let message = format!("{title}: {} is there twice", quoted(name.value));
            log.add(Draft::error(name.place, message).label("again").also(*first, "first"));
        }
        members.push(Member { trunk, priority, weight });
        places.push(name.place);
        named.push(At::new(trunk, name.place));
    }
    table.finish();
    Group { order: order.map_or_else(Order::default, |order| order.value), members }
}

fn number(table: &mut Table<'_>, key: &'static str) -> Option<u16> {
    table.number(key, 0..=u64::from(u16::MAX)).and_then(|number| u16::try_from(number.value).ok())
}
