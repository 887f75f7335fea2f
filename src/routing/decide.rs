//! The decision itself, once: `route` and `explain` run the same code and differ only in who listens to the steps.

pub(super) mod explain;

use std::fmt::Write as _;

use smallvec::{SmallVec, smallvec};

pub use self::explain::{Explanation, MAX_NEAR, NearShown, PlanRule, RuleShown, Step, Verdict, WayShown};
use self::explain::{prefix, shown};
use super::Found;
use super::{Choice, Decision, Destination, Matched, NoRoute, Noted, Origin, Plan, Query, Route, Routing, Site, Way};
use crate::trunk::{TrunkId, TrunkKind};
use std::sync::Arc;

/// Who listens to the steps of a decision.
trait Steps {
    /// Something was looked at.
    fn add(&mut self, words: impl FnOnce() -> String);

    /// Something changes the called number.
    fn change(&mut self, words: impl FnOnce() -> String, before: &[u8], after: &[u8]);

    /// A dial plan is asked for the called number.
    fn asked(&mut self, plan: &Plan, user: &[u8]);

    /// A rule of a dial plan was found that may decide.
    fn rule(&mut self, plan: &Plan, user: &[u8], found: &Found<'_>);
}

/// Nobody listens: no words are made.
pub(super) struct Silent;

impl Steps for Silent {
    fn add(&mut self, _: impl FnOnce() -> String) {}
    fn change(&mut self, _: impl FnOnce() -> String, _: &[u8], _: &[u8]) {}
    fn asked(&mut self, _: &Plan, _: &[u8]) {}
    fn rule(&mut self, _: &Plan, _: &[u8], _: &Found<'_>) {}
}

pub(super) fn decide<'a>(routing: &'a Routing, query: Query<'_>, steps: &mut impl Steps) -> Decision<'a> {
    let Some(origin) = routing.origins.get(usize::from(query.from.0)) else {
        return Decision::NoRoute(NoRoute::UnknownTrunk.into());
    };
    match origin.kind {
        TrunkKind::Teams => from_teams(routing, query, origin, steps),
        TrunkKind::Carrier | TrunkKind::Pbx => from_trunk(routing, query, origin, steps),
    }
}

fn from_teams<'a>(routing: &'a Routing, query: Query<'_>, origin: &Origin, steps: &mut impl Steps) -> Decision<'a> {
    let host = query.host.strip_suffix(b".").unwrap_or(query.host);
    let site = routing.site(host).filter(|site| site.teams == query.from);
    match site {
        Some(site) => steps.add(|| format!("host `{}` is a site of tenant `{}`", site.fqdn, site.tenant)),
        None if host.eq_ignore_ascii_case(origin.host.as_bytes()) => {
            steps.add(|| format!("host `{}` is the edge's own name: no tenant", origin.host));
        }
        None => {
            steps.add(|| format!("host `{}` is no site of trunk `{}`", shown(host), origin.name));
            return Decision::NoRoute(NoRoute::UnknownHost.into());
        }
    }
    let mut looped = false;
    if let Some(choice) = by_routes(routing, query, site, &mut looped, steps) {
        return Decision::To(choice);
    }
    if let Some(site) = site {
        if site.trunk != query.from {
            steps.add(|| format!("the site's own trunk is `{}`", name(routing, site.trunk)));
            return Decision::To(Choice {
                ways: smallvec![Way::plain(site.trunk)],
                tenant: routing.tenants.get(site.owner),
                site: Some(site),
                matched: Matched::SiteTrunk,
                emergency: false,
                far_site: None,
                noted: Noted::default(),
            });
        }
        looped = true;
    }
    Decision::NoRoute(if looped { NoRoute::Loop } else { NoRoute::NoRule }.into())
}

fn from_trunk<'a>(routing: &'a Routing, query: Query<'_>, origin: &Origin, steps: &mut impl Steps) -> Decision<'a> {
    let mut looped = false;
    if let Some(choice) = by_plan(routing, query, origin, &mut looped, steps) {
        return Decision::To(choice);
    }
    if let Some(choice) = by_routes(routing, query, None, &mut looped, steps) {
        return Decision::To(choice);
    }
    Decision::NoRoute(if looped { NoRoute::Loop } else { NoRoute::NoRule }.into())
}

fn by_plan<'a>(
    routing: &'a Routing,
    query: Query<'_>,
    origin: &Origin,
    looped: &mut bool,
    steps: &mut impl Steps,
) -> Option<Choice<'a>> {
    let Some(plan) = origin.plan.and_then(|index| routing.plans().get(index as usize)) else {
        steps.add(|| format!("trunk `{}` has no dial plan", origin.name));
        return None;
    };
    let Some(found) = plan.find(query.user) else {
        steps.add(|| format!("dial plan `{}` has no prefix of the number", plan.name()));
        return None;
    };
    steps.add(|| {
        let prefix = prefix(query.user, found.symbols);
        format!("dial plan `{}`: longest prefix `{prefix}`, tag `{}`", plan.name(), found.tag)
    });
    let (trunk, site) = match found.destination? {
        Destination::Trunk(trunk) => (trunk, None),
        Destination::Site(index) => {
            let site = routing.sites.get(index)?;
            steps.add(|| {
                format!("the tag is a site of tenant `{}`, Teams side `{}`", site.tenant, name(routing, site.teams))
            });
            (site.teams, Some(site))
        }
    };
    if trunk == query.from {
        steps.add(|| format!("`{}` is where the request came from: passed over", origin.name));
        *looped = true;
        return None;
    }
    Some(Choice {
        ways: smallvec![Way::plain(trunk)],
        tenant: site.and_then(|site| routing.tenants.get(site.owner)),
        site,
        matched: Matched::Plan { plan: plan.name(), tag: found.tag, symbols: found.symbols },
        emergency: false,
        far_site: None,
        noted: Noted::default(),
    })
}

fn by_routes<'a>(
    routing: &'a Routing,
    query: Query<'_>,
    site: Option<&'a Arc<Site>>,
    looped: &mut bool,
    steps: &mut impl Steps,
) -> Option<Choice<'a>> {
    if let Some(route) =
        routing.for_one.get(usize::from(query.from.0)).and_then(|routes| longest(routing, routes, query.user))
    {
        steps.add(|| words(routing, route));
        let ways = route.trunks().map(Way::plain).collect();
        return Some(by_route(routing, route, ways, site));
    }
    steps.add(|| format!("no route from `{}` takes the number", name(routing, query.from)));
    let Some(route) = longest(routing, &routing.for_any, query.user) else {
        steps.add(|| "no route from any trunk takes the number".to_owned());
        return None;
    };
    steps.add(|| words(routing, route));
    let trunks: SmallVec<[TrunkId; 4]> = route.trunks().filter(|trunk| *trunk != query.from).collect();
    if trunks.len() < route.trunks().count() {
        let back = name(routing, query.from);
        steps.add(|| format!("`{back}` is where the request came from: passed over"));
    }
    if trunks.is_empty() {
        *looped = true;
        return None;
    }
    Some(by_route(routing, route, trunks.into_iter().map(Way::plain).collect(), site))
}

fn by_route<'a>(
    routing: &'a Routing,
    route: &'a Route,
    ways: SmallVec<[Way; 4]>,
    site: Option<&'a Arc<Site>>,
) -> Choice<'a> {
    let tenant = site.and_then(|site| routing.tenants.get(site.owner));
    Choice {
        ways,
        tenant,
        site,
        matched: Matched::Route(route),
        emergency: false,
        far_site: None,
        noted: Noted::default(),
    }
}

fn longest<'a>(routing: &'a Routing, routes: &Plan, user: &[u8]) -> Option<&'a Route> {
    routing.routes.get(routes.origin(user)? as usize)
}

fn name(routing: &Routing, trunk: TrunkId) -> &str {
    routing.origins.get(usize::from(trunk.0)).map_or("?", |origin| &origin.name)
}

fn words(routing: &Routing, route: &Route) -> String {
    let mut text = match route.from {
        Some(from) => format!("route from `{}`", name(routing, from)),
        None => "route from any trunk".to_owned(),
    };
    let _ = match &*route.prefix {
        "" => write!(text, ", every number, to"),
        prefix => write!(text, ", longest prefix `{prefix}`, to"),
    };
    for (index, trunk) in route.trunks().enumerate() {
        let before = if index == 0 { " " } else { ", then " };
        let _ = write!(text, "{before}`{}`", name(routing, trunk));
    }
    text
}
