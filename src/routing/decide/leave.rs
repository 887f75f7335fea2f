//! Calls that leave: by the routes, from the most to the least specific class, then by the trunk of the caller's side.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::smallvec;

use super::super::{Destination, Found, Matched, Route, Site, TenantId};
use super::groups::{Chance, ordered};
use super::on_net::e164_text;
use super::{Ask, Next, Steps, Ways, by_rule, explain, name, rule, rule_words};
use crate::trunk::{TrunkId, TrunkKind};

/// The trunk by which a caller's calls leave where no route takes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    trunk: TrunkId,
    matched: Matched<'a>,
}

impl<'a, S: Steps> Ask<'a, '_, S> {
    /// Answers by the most specific route, then by the caller's side.
    pub(super) fn leave(&mut self) -> Next<'a> {
        self.routes()?;
        let Some(Side { trunk, matched }) = self.side() else { return ControlFlow::Continue(()) };
        self.to(smallvec![self.way(trunk, None, None)], matched)
    }

    fn routes(&mut self) -> Next<'a> {
        let (from, owner) = (Some(self.query.from), self.owner);
        let keys = [(from, owner), (None, owner), (from, None), (None, None)];
        // Without a tenant the first two are the last two.
        for key in keys.into_iter().skip(if owner.is_some() { 0 } else { 2 }) {
            if let ControlFlow::Break(next) = self.class(key.0, key.1) {
                return next;
            }
        }
        ControlFlow::Continue(())
    }

    /// Asks the routes of one class; goes on to the next class where none takes the number at this time.
    fn class(&mut self, from: Option<TrunkId>, owner: Option<TenantId>) -> ControlFlow<Next<'a>> {
        let routing = self.routing;
        let class = routing.classes.get(from, owner);
        let mut passed_over = 0;
        while let Some(list) = class.and_then(|class| class.nth(&self.user, passed_over)) {
            if owner.is_none() && self.has_own_carrier() {
                self.steps.add(|| "routes that do not name the tenant do not replace its own carrier".to_owned());
                return ControlFlow::Continue(());
            }
            self.routed = true;
            let now = self.query.now;
            let is_open =
                |route: &&Route| route.windows.is_empty() || route.windows.iter().any(|window| window.is_open(now));
            let routes = || list.iter().filter_map(|index| routing.routes.get(*index as usize));
            match routes().find(is_open) {
                Some(route) => return ControlFlow::Break(self.by_route(route)),
                None => {
                    let closed = routes().next();
                    self.steps.add(|| closed.map_or_else(String::new, |route| words(self.routing, route)) + ": closed");
                    self.closed = true;
                }
            }
            passed_over += 1;
        }
        if passed_over == 0 && (class.is_some() || owner.is_none()) {
            let tenant = self.tenant.filter(|_| owner.is_some());
            self.steps.add(|| {
                let whose = tenant.map_or_else(String::new, |tenant| format!(" of tenant `{}`", tenant.id));
                match from {
                    Some(from) => format!("no route{whose} from `{}` takes the number", name(routing, from)),
                    None => format!("no route{whose} from any trunk takes the number"),
                }
            });
        }
        ControlFlow::Continue(())
    }

    /// Answers by a route. One that leads nowhere for this call is not replaced by a less specific one.
    fn by_route(&mut self, route: &'a Route) -> Next<'a> {
        let (routing, from) = (self.routing, self.query.from);
        self.steps.add(|| words(routing, route));
        let mut ways = Ways::new();
        let mut chance = Chance::new(self.query.draw);
        let (mut looped, mut forbidden) = (false, false);
        for group in &route.groups {
            for member in ordered(group, &mut chance, |trunk| self.price(trunk)) {
                let trunk = member.trunk;
                if trunk == from && !route.hairpin {
                    looped = true;
                } else if self.is_transit(route, trunk) || !self.may_use(trunk) {
                    forbidden = true;
                    self.steps.add(|| format!("`{}` is not for calls from here: passed over", name(routing, trunk)));
                } else if !ways.iter().any(|way| way.trunk == trunk) {
                    ways.push(self.way(trunk, route.called, route.calling));
                }
            }
        }
        if looped {
            self.steps.add(|| format!("`{}` is where the request came from: passed over", name(routing, from)));
        }
        if ways.is_empty() {
            // Where there is more than the way back, that is what the caller may not have.
            self.forbidden |= forbidden;
            self.looped |= looped && !forbidden;
            return ControlFlow::Continue(());
        }
        if ways.len() > 1 {
            self.steps.add(|| format!("in order: {}", explain::names(routing, ways.iter().map(|way| way.trunk))));
        }
        self.to(ways, Matched::Route(route))
    }

    /// Whether a call would come in from one carrier and leave by another, which only a route that names the first
    /// allows.
    fn is_transit(&self, route: &Route, trunk: TrunkId) -> bool {
        let is_carrier = |trunk| self.kind(trunk) == Some(TrunkKind::Carrier);
        route.from.is_none() && trunk != self.query.from && self.origin.kind == TrunkKind::Carrier && is_carrier(trunk)
    }

    /// What a trunk asks for the call, in millionths.
    fn price(&self, trunk: TrunkId) -> Option<u64> {
        let rates = self.routing.origin(trunk)?.rates.as_ref()?;
        match e164_text(self.number()) {
            Some(text) => rates.price(&text),
            None => rates.price(&self.user),
        }
    }

    /// Whether the caller's side is a carrier of the tenant's own.
    fn has_own_carrier(&mut self) -> bool {
        let may = self.owner.is_some_and(|owner| self.routing.own_carriers.binary_search(&owner).is_ok());
        may && self.side().is_some_and(|side| {
            self.kind(side.trunk) == Some(TrunkKind::Carrier) && self.owner_of(side.trunk).is_some()
        })
    }

    /// The trunk by which the caller's calls leave.
    fn side(&mut self) -> Option<Side<'a>> {
        if self.side.is_none() {
            let side = match self.origin.kind {
                TrunkKind::Teams => self.side_of_caller().or_else(|| self.side_of_site(self.site)),
                TrunkKind::Pbx => self.side_of_pbx(),
                TrunkKind::Carrier => None,
            };
            self.side = Some(side);
        }
        self.side.flatten()
    }

    /// The side that the caller's number has in the dial plan; P-Asserted-Identity counts for more than From.
    fn side_of_caller(&mut self) -> Option<Side<'a>> {
        let plan = self.plan().filter(|plan| !plan.is_empty())?;
        let caller = self.query.caller;
        for is_asserted in [true, false] {
            let user = if is_asserted { caller.asserted() } else { caller.from() };
            let Some(user) = user else { continue };
            let mut passed_over = 0;
            while let Some(found) = rule(plan, &user, passed_over) {
                let header = if is_asserted { "P-Asserted-Identity" } else { "From" };
                self.steps.add(|| format!("caller's number in {header}, {}", rule_words(plan, &user, &found)));
                if let Some(trunk) = self.side_of_rule(&found) {
                    let routing = self.routing;
                    self.steps.add(|| format!("the caller's side is `{}`", name(routing, trunk)));
                    self.steps.rule(plan, &user, &found);
                    return Some(Side { trunk, matched: by_rule(plan, &found) });
                }
                self.steps.add(|| "it is no side of the caller's tenant: passed over".to_owned());
                passed_over += 1;
            }
        }
        None
    }

    fn side_of_rule(&self, found: &Found<'_>) -> Option<TrunkId> {
        let trunk = match found.destination? {
            Destination::Trunk(trunk) => trunk,
            Destination::Site(index) => {
                self.routing.sites.get(index).filter(|site| self.owner == Some(site.owner))?.trunk
            }
        };
        let may = trunk != self.query.from && self.kind(trunk) != Some(TrunkKind::Teams) && self.may_use(trunk);
        may.then_some(trunk)
    }

    /// The trunk that a site names as its own.
    fn side_of_site(&mut self, site: Option<&'a Arc<Site>>) -> Option<Side<'a>> {
        let trunk = site?.trunk;
        let routing = self.routing;
        if trunk == self.query.from {
            self.steps
                .add(|| format!("the site's own trunk is `{}`, where the request came from", name(routing, trunk)));
            self.looped = true;
            return None;
        }
        if !self.may_use(trunk) {
            self.steps.add(|| format!("the site's trunk `{}` is another tenant's", name(routing, trunk)));
            self.forbidden = true;
            return None;
        }
        self.steps.add(|| format!("the site's own trunk is `{}`", name(routing, trunk)));
        Some(Side { trunk, matched: Matched::SiteTrunk })
    }

    /// A PBX's calls leave by the trunk of its site, where that is another.
    fn side_of_pbx(&mut self) -> Option<Side<'a>> {
        let from = self.query.from;
        let is_its = |site: &Arc<Site>| site.pbx == Some(from) && site.trunk != from;
        let called = self.site.filter(|site| is_its(site));
        let site = called.or_else(|| {
            let mut sites = self.tenant?.sites.iter().filter_map(|index| self.routing.sites.get(*index));
            sites.find(|site| is_its(site))
        });
        self.side_of_site(Some(site?))
    }
}

fn words(routing: &super::Routing, route: &Route) -> String {
    let mut text = match route.from {
        Some(from) => format!("route from `{}`", name(routing, from)),
        None => "route from any trunk".to_owned(),
    };
    if let Some(tenant) = route.tenant.and_then(|id| routing.tenants.get(id)) {
        let _ = write!(text, " for tenant `{}`", tenant.id);
    }
    let _ = match &*route.prefix {
        "" => write!(text, ", every number, to "),
        prefix => write!(text, ", longest prefix `{prefix}`, to "),
    };
    text + &explain::names(routing, route.trunks())
}
