//! A ticket: what a call holds of the meters that it counts against.

use std::sync::Arc;

use smallvec::SmallVec;

use super::meter::Meter;
use super::{Full, Meters, Scope, Way};
use crate::call::command::Counts;
use crate::call::edge::Edge;
use crate::routing::{Site, Tenant};
use crate::transaction::Moment;
use crate::trunk::{CallLimits, TrunkId, TrunkKind};

/// A call that asks whether it may begin.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub edge: &'a Edge,
    pub now: Moment,
    /// The trunk that calls.
    pub from: TrunkId,
    pub tenant: Option<&'a Arc<Tenant>>,
    pub site: Option<&'a Arc<Site>>,
    /// The user part of who calls, and of who is called.
    pub caller: &'a [u8],
    pub called: &'a [u8],
    /// It is a call for help, which no limit holds up.
    pub emergency: bool,
}

/// What a call holds; dropping it gives everything back.
#[derive(Debug, Default)]
pub struct Ticket {
    held: SmallVec<[Held; 4]>,
}

#[derive(Debug)]
struct Held {
    meter: Arc<Meter>,
    way: Way,
    /// The trunk that the call was sent to.
    to: Option<TrunkId>,
}

/// A meter that a call has to pass.
struct Step<'a> {
    meter: Arc<Meter>,
    limits: Option<&'a CallLimits>,
    way: Way,
}

impl Ticket {
    /// Lets a call begin.
    ///
    /// # Errors
    /// The limit that it does not pass; then it is counted nowhere.
    pub fn admit(ask: &Ask<'_>, counts: &mut Counts) -> Result<Self, Full> {
        let mut ticket = Self::default();
        let steps = steps(ask);
        for (index, step) in steps.iter().enumerate() {
            if let Err(full) = ticket.pass(step, None, (ask.emergency, ask.now), counts) {
                steps.iter().take(index).for_each(|step| step.meter.refund(step.limits.filter(|_| !ask.emergency)));
                return Err(full);
            }
        }
        Ok(ticket)
    }

    /// Sends the call to a trunk, which counts it once however many of its targets are tried.
    ///
    /// # Errors
    /// The limit of that trunk that it does not pass.
    pub fn enter(&mut self, edge: &Edge, trunk: TrunkId, how: (bool, Moment), counts: &mut Counts) -> Result<(), Full> {
        let Some(to) = edge.trunk(trunk).filter(|_| !self.is_on(trunk)) else { return Ok(()) };
        let meter = edge.gate.meters().meter(Scope::Trunk, &to.name);
        let step = Step { meter, limits: to.limits.as_deref(), way: Way::Out };
        self.pass(&step, Some(trunk), how, counts)
    }

    /// The call has left the trunks that it was sent to, but for those that are kept.
    pub fn leave(&mut self, is_kept: impl Fn(TrunkId) -> bool) {
        self.held.retain(|held| held.to.is_none_or(&is_kept));
    }

    /// What the call counts at.
    pub fn names(&self) -> impl Iterator<Item = (Scope, &str)> {
        self.held.iter().map(|held| (held.meter.scope, &*held.meter.name))
    }

    /// Whether the call counts at a trunk that it was sent to.
    fn is_on(&self, trunk: TrunkId) -> bool {
        self.held.iter().any(|held| held.to == Some(trunk))
    }

    fn pass(
        &mut self,
        step: &Step<'_>,
        to: Option<TrunkId>,
        (emergency, now): (bool, Moment),
        counts: &mut Counts,
    ) -> Result<(), Full> {
        let Step { meter, limits, way } = step;
        let (scope, name) = (meter.scope, &meter.name);
        match meter.enter(*limits, *way, emergency, now) {
            Ok(entered) => {
                if let Some(key) = entered.soft {
                    counts.soft_limits.add(scope as usize);
                    if meter.may_warn(now) {
                        let (came, went) = meter.used();
                        let (scope, key) = (scope.word(), key.word());
                        tracing::warn!(scope, %name, limit = key, came, went, "a limit of calls is nearly reached");
                    }
                }
                self.held.push(Held { meter: Arc::clone(meter), way: *way, to });
                Ok(())
            }
            Err(key) => {
                counts.limits_reached.add(scope as usize);
                if meter.may_warn(now) {
                    tracing::warn!(scope = scope.word(), %name, limit = key.word(), "calls are refused at a limit");
                }
                let (status, retry_after) = limits.map_or((503, 0), |it| (it.over_limit_code, it.retry_after));
                Err(Full { scope, name: Arc::clone(name), key, status, retry_after })
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.leave(self.way);
    }
}

/// What a call has to pass before it is sent anywhere, the widest limit first.
fn steps<'a>(ask: &Ask<'a>) -> SmallVec<[Step<'a>; 4]> {
    let meters: &Meters = ask.edge.gate.meters();
    let mut steps = SmallVec::new();
    let mut add = |scope, name: &str, limits, way| steps.push(Step { meter: meters.meter(scope, name), limits, way });
    let from = ask.edge.trunk(ask.from);
    if let Some(trunk) = from {
        add(Scope::Trunk, &trunk.name, trunk.limits.as_deref(), Way::In);
    }
    // Users are behind Teams and PBXs: calls from there leave the tenant.
    let leaves = from.is_some_and(|trunk| trunk.kind != TrunkKind::Carrier);
    let way = if leaves { Way::Out } else { Way::In };
    if let Some(tenant) = ask.tenant {
        add(Scope::Tenant, &tenant.id, tenant.limits.as_deref(), way);
    }
    if let Some(site) = ask.site {
        add(Scope::Site, &site.fqdn, site.limits.as_deref(), way);
    }
    if let Some(tenant) = ask.tenant.filter(|tenant| tenant.has_user_limits()) {
        for (part, way) in [(ask.caller, Way::Out), (ask.called, Way::In)] {
            if let Some((user, limits)) = tenant.limits_of_user(part) {
                add(Scope::User, &format!("{}/{}", tenant.id, user), Some(limits), way);
            }
        }
    }
    steps
}
