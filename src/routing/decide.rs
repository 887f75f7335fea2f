//! The decision itself, once: `route` and `explain` run the same code and differ only in who listens to the steps.
//!
//! Each step either answers, which ends the decision, or goes on. What was passed over is remembered and becomes the
//! reason where nothing answers.

pub(super) mod explain;
mod forms;
mod from_teams;
mod from_trunk;
mod groups;
mod help;
mod leave;
mod on_net;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

pub use self::explain::{Explanation, MAX_NEAR, NearShown, PlanRule, RuleShown, Step, Verdict, WayShown};
use self::leave::Side;
use super::number::{Number, NumberingPlan};
use super::{
    Choice, Decision, Found, Matched, NoRoute, Noted, Origin, Plan, Query, Refused, Routing, Site, Tenant, TenantId,
    Way,
};
use crate::trunk::{TrunkId, TrunkKind};

/// How many rules of a dial plan are passed over for one number before the plan is left.
const MAX_PASSED_OVER: usize = 16;

/// Who listens to the steps of a decision.
pub(super) trait Steps {
    /// Something was looked at.
    fn add(&mut self, words: impl FnOnce() -> String);

    /// Something changes the called number.
    fn change(&mut self, words: impl FnOnce() -> String, before: &[u8], after: &[u8]);

    /// A dial plan is asked for the called number.
    fn asked(&mut self, plan: &Plan, user: &[u8]);

    /// A rule of a dial plan decides, found for the called or the caller's number.
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

/// The end of a decision, or the next step.
type Next<'a, T = ()> = ControlFlow<Result<Choice<'a>, NoRoute>, T>;

type Ways = SmallVec<[Way; 4]>;

/// What numbers mean where no tenant is known.
static NO_TENANT: LazyLock<NumberingPlan> = LazyLock::new(NumberingPlan::default);

/// A decision in the making.
struct Ask<'a, 'q, S> {
    routing: &'a Routing,
    query: Query<'q>,
    origin: &'a Origin,
    /// Whose call it is, as far as that is known by now.
    owner: Option<TenantId>,
    tenant: Option<&'a Arc<Tenant>>,
    site: Option<&'a Arc<Site>>,
    /// The number that is looked for: the called one, or where the tenant sends it instead.
    user: Cow<'q, [u8]>,
    /// The same as the tenant reads it.
    number: OnceCell<Number>,
    /// The called number is not the one that was dialled any more.
    detoured: bool,
    emergency: bool,
    noted: Noted,
    /// Where calls of this caller leave, once that was asked.
    side: Option<Option<Side<'a>>>,
    looped: bool,
    forbidden: bool,
    closed: bool,
    /// A route that this call may take has the number.
    routed: bool,
    steps: &'q mut S,
}

pub(super) fn decide<'a>(routing: &'a Routing, query: Query<'_>, steps: &mut impl Steps) -> Decision<'a> {
    let Some(origin) = routing.origin(query.from) else {
        return Decision::NoRoute(NoRoute::UnknownTrunk.into());
    };
    let mut ask = Ask {
        routing,
        query,
        origin,
        owner: None,
        tenant: None,
        site: None,
        user: Cow::Borrowed(query.user),
        number: OnceCell::new(),
        detoured: false,
        emergency: false,
        noted: Noted::default(),
        side: None,
        looped: false,
        forbidden: false,
        closed: false,
        routed: false,
        steps,
    };
    let next = match origin.kind {
        TrunkKind::Teams => ask.call_from_teams(),
        TrunkKind::Carrier | TrunkKind::Pbx => ask.call_from_trunk(),
    };
    let why = match next {
        ControlFlow::Break(Ok(choice)) => return Decision::To(choice),
        ControlFlow::Break(Err(why)) => why,
        ControlFlow::Continue(()) => ask.nowhere(),
    };
    Decision::NoRoute(Refused { why, tenant: ask.tenant, site: ask.site })
}

impl<'a, S: Steps> Ask<'a, '_, S> {
    /// The call belongs to a tenant from here on.
    fn pin(&mut self, owner: TenantId, site: Option<&'a Arc<Site>>) {
        self.owner = Some(owner);
        self.tenant = self.routing.tenants.get(owner);
        self.site = site;
        self.number = OnceCell::new();
    }

    /// Sends the call to another number of the tenant.
    fn detour(&mut self, to: &Number, why: &str) {
        let user: Vec<u8> = match to {
            // The host of `user@host` is that of the far side.
            Number::Opaque(text) => text.split('@').next().unwrap_or(text).as_bytes().to_vec(),
            _ => to.to_string().into_bytes(),
        };
        self.steps.change(|| why.to_owned(), &self.user, &user);
        self.user = Cow::Owned(user);
        self.number = OnceCell::from(to.clone());
        self.detoured = true;
    }

    /// The called number as the tenant reads it.
    fn number(&self) -> &Number {
        self.number.get_or_init(|| read(&self.user, self.numbering()))
    }

    fn numbering(&self) -> &'a NumberingPlan {
        self.tenant.map_or(&*NO_TENANT, |tenant| &tenant.numbering)
    }

    /// The site of the Request-URI's host.
    fn called_site(&self) -> Option<&'a Arc<Site>> {
        self.routing.site(self.query.host).filter(|site| !self.is_removed(site.owner))
    }

    fn is_removed(&self, tenant: TenantId) -> bool {
        self.routing.tenants.get(tenant).is_some_and(|tenant| tenant.removed)
    }

    /// The dial plan of the trunk that the call comes from.
    fn plan(&self) -> Option<&'a Plan> {
        self.routing.plans().get(self.origin.plan? as usize)
    }

    fn kind(&self, trunk: TrunkId) -> Option<TrunkKind> {
        self.routing.origin(trunk).map(|origin| origin.kind)
    }

    fn owner_of(&self, trunk: TrunkId) -> Option<TenantId> {
        self.routing.origin(trunk).and_then(|origin| origin.tenant)
    }

    /// Whether the call may leave by a trunk: a tenant's trunk serves that tenant alone. A call of nobody known reaches a
    /// tenant's PBX, but not its carrier.
    fn may_use(&self, trunk: TrunkId) -> bool {
        match (self.owner, self.owner_of(trunk)) {
            (_, None) => true,
            (Some(own), Some(owner)) => own == owner,
            (None, Some(_)) => self.kind(trunk) != Some(TrunkKind::Carrier),
        }
    }

    /// The PBX of a site, unless the call came from there or the PBX is another tenant's.
    fn pbx_of(&self, site: &Site) -> Option<TrunkId> {
        let is_its = |pbx: &TrunkId| self.owner_of(*pbx).is_none_or(|owner| owner == site.owner);
        site.pbx.filter(|pbx| *pbx != self.query.from && is_its(pbx))
    }

    /// Whether calls of this tenant and another stay on the edge.
    fn stays_between(&self, other: TenantId) -> bool {
        let says_so = |tenant: &Arc<Tenant>| tenant.between_tenants && !tenant.removed;
        self.tenant.is_some_and(says_so) && self.routing.tenants.get(other).is_some_and(says_so)
    }

    /// Ends the decision with a choice for the call's own site.
    fn to(&self, ways: Ways, matched: Matched<'a>) -> Next<'a> {
        // A call from the tenant's own trunk may name no site, but Teams wants to see one.
        let site = || self.site.or_else(|| self.home_site(self.tenant?));
        let to_teams = ways.iter().any(|way| self.kind(way.trunk) == Some(TrunkKind::Teams));
        let far_site = if to_teams { site() } else { None };
        self.to_site(ways, matched, self.site, far_site)
    }

    /// Ends the decision with a choice.
    fn to_site(
        &self,
        ways: Ways,
        matched: Matched<'a>,
        site: Option<&'a Arc<Site>>,
        far_site: Option<&'a Arc<Site>>,
    ) -> Next<'a> {
        let Self { tenant, emergency, noted, .. } = *self;
        ControlFlow::Break(Ok(Choice { ways, tenant, site, far_site, matched, emergency, noted }))
    }

    /// Why a call that no step answered goes nowhere.
    fn nowhere(&mut self) -> NoRoute {
        if self.looped {
            return NoRoute::Loop;
        }
        if self.forbidden {
            return NoRoute::Forbidden;
        }
        if !self.routed && self.routing.classes.knows(&self.user) {
            self.steps.add(|| "there is a route for the number, but not for calls from here".to_owned());
            return NoRoute::Forbidden;
        }
        if self.closed {
            return NoRoute::Closed;
        }
        if let Some(plan) = self.plan().filter(|plan| plan.is_incomplete(&self.user)) {
            self.steps.add(|| format!("dial plan `{}` has rules for longer numbers that begin so", plan.name()));
            return NoRoute::Incomplete;
        }
        NoRoute::NoRule
    }
}

/// A user part as a numbering plan reads it.
fn read(user: &[u8], numbering: &NumberingPlan) -> Number {
    match std::str::from_utf8(user) {
        Ok(text) => numbering.read(text).number,
        Err(_) => Number::Opaque("".into()),
    }
}

/// The rule for a number after so many were passed over, the most specific first.
fn rule<'p>(plan: &'p Plan, user: &[u8], passed_over: usize) -> Option<Found<'p>> {
    match passed_over {
        0 => plan.find(user),
        1..MAX_PASSED_OVER => plan.matches(user).nth(passed_over),
        _ => None,
    }
}

fn by_rule<'a>(plan: &'a Plan, found: &Found<'a>) -> Matched<'a> {
    Matched::Plan { plan: plan.name(), tag: found.tag, symbols: found.symbols }
}

fn rule_words(plan: &Plan, user: &[u8], found: &Found<'_>) -> String {
    let prefix = explain::prefix(user, found.symbols);
    format!("dial plan `{}`: longest prefix `{prefix}`, tag `{}`", plan.name(), found.tag)
}

fn name(routing: &Routing, trunk: TrunkId) -> &str {
    routing.origin(trunk).map_or("?", |origin| &origin.name)
}

#[cfg(test)]
mod tests;
