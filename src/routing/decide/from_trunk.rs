//! Calls from carriers and PBXs: the dial plan says whose number it is, where host and trunk do not.

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::smallvec;

use super::super::number::Number;
use super::super::{Destination, Found, Matched, NoRoute, Plan, Site};
use super::on_net::Callee;
use super::{Ask, Next, Steps, by_rule, name, rule, rule_words};
use crate::trunk::{TrunkId, TrunkKind};

impl<'a, S: Steps> Ask<'a, '_, S> {
    pub(super) fn call_from_trunk(&mut self) -> Next<'a> {
        let named = self.called_site();
        self.tenant_of_trunk(named)?;
        self.anonymous()?;
        // A shared carrier brings calls in; whoever dials for help stands behind a PBX or a tenant's own trunk.
        if self.origin.kind == TrunkKind::Pbx || self.origin.tenant.is_some() {
            self.help()?;
        }
        if let Some(own) = self.own() {
            self.users(own)?;
        }
        if let Some(site) = named {
            self.teams_side_of_host(site)?;
        }
        self.rule_of_trunk()?;
        self.leave()
    }

    fn tenant_of_trunk(&mut self, named: Option<&'a Arc<Site>>) -> Next<'a> {
        match (named, self.origin.tenant) {
            (Some(site), Some(owner)) if site.owner != owner => {
                self.steps.add(|| format!("host `{}` is a site of another tenant than the trunk", site.fqdn));
                return ControlFlow::Break(Err(NoRoute::Forbidden));
            }
            (Some(site), _) => {
                self.steps.add(|| format!("host `{}` is a site of tenant `{}`", site.fqdn, site.tenant));
                self.pin(site.owner, Some(site));
            }
            (None, Some(owner)) if self.is_removed(owner) => {
                self.steps.add(|| format!("trunk `{}` is that of a tenant that was removed", self.origin.name));
                if self.origin.kind == TrunkKind::Pbx {
                    self.help()?;
                }
                return ControlFlow::Break(Err(NoRoute::Forbidden));
            }
            (None, Some(owner)) => {
                self.pin(owner, None);
                let tenant = self.tenant;
                self.steps.add(|| {
                    let id = tenant.map_or("?", |tenant| &tenant.id);
                    format!("trunk `{}` is that of tenant `{id}`", self.origin.name)
                });
            }
            (None, None) => {}
        }
        ControlFlow::Continue(())
    }

    /// Answers by the Teams side of the site that the host names, where nothing is known of its tenant's numbers.
    fn teams_side_of_host(&mut self, site: &'a Arc<Site>) -> Next<'a> {
        let knows_numbers = self.tenant.is_some_and(|tenant| !tenant.ranges.is_empty() || !tenant.users().is_empty());
        if knows_numbers || self.detoured || matches!(self.number(), Number::Service(_)) {
            return ControlFlow::Continue(());
        }
        let routing = self.routing;
        self.steps.add(|| format!("the host's Teams side is `{}`", name(routing, site.teams)));
        self.to_site(smallvec![self.way(site.teams, None, None)], Matched::Tenant, Some(site), Some(site))
    }

    fn rule_of_trunk(&mut self) -> Next<'a> {
        let Some(plan) = self.plan() else {
            self.steps.add(|| format!("trunk `{}` has no dial plan", self.origin.name));
            return ControlFlow::Continue(());
        };
        self.steps.asked(plan, &self.user);
        let mut passed_over = 0;
        while let Some(found) = rule(plan, &self.user, passed_over) {
            self.steps.add(|| rule_words(plan, &self.user, &found));
            match found.destination {
                None => return ControlFlow::Continue(()),
                Some(Destination::Site(index)) => {
                    let Some(site) = self.routing.sites.get(index) else { return ControlFlow::Continue(()) };
                    if self.rule_to_site(plan, &found, site)? {
                        passed_over = 0;
                        continue;
                    }
                }
                Some(Destination::Trunk(trunk)) if trunk == self.query.from => {
                    let name = &self.origin.name;
                    self.steps.add(|| format!("`{name}` is where the request came from: passed over"));
                    self.looped = true;
                    return ControlFlow::Continue(());
                }
                Some(Destination::Trunk(trunk)) => self.rule_to_trunk(plan, &found, trunk)?,
            }
            passed_over += 1;
        }
        self.steps.add(|| match passed_over {
            0 => format!("dial plan `{}` has no prefix of the number", plan.name()),
            _ => format!("dial plan `{}` has no other prefix of the number", plan.name()),
        });
        ControlFlow::Continue(())
    }

    /// Answers by a rule that leads to a site: by the users of its tenant, else by its Teams side. True: the tenant sends
    /// the call to another number, which has to be looked for.
    fn rule_to_site(&mut self, plan: &'a Plan, found: &Found<'a>, site: &'a Arc<Site>) -> Next<'a, bool> {
        let routing = self.routing;
        self.steps.add(|| {
            format!("the tag is a site of tenant `{}`, Teams side `{}`", site.tenant, name(routing, site.teams))
        });
        if self.is_removed(site.owner) {
            self.steps.add(|| format!("tenant `{}` was removed: passed over", site.tenant));
            return ControlFlow::Continue(false);
        }
        match self.owner {
            None => {
                self.pin(site.owner, Some(site));
                self.anonymous()?;
            }
            Some(owner) if owner != site.owner && !self.stays_between(site.owner) => {
                self.steps.add(|| "it is another tenant's: passed over".to_owned());
                return ControlFlow::Continue(false);
            }
            Some(_) => {}
        }
        let matched = by_rule(plan, found);
        let Some(tenant) = routing.tenants.get(site.owner) else {
            self.steps.rule(plan, &self.user, found);
            self.to_site(smallvec![self.way(site.teams, None, None)], matched, Some(site), Some(site))?;
            return ControlFlow::Continue(false);
        };
        let callee = Callee { owner: site.owner, tenant, site: Some(site) };
        if self.users_or_detour(callee)? {
            return ControlFlow::Continue(true);
        }
        self.steps.rule(plan, &self.user, found);
        self.by_side(callee, site, site.teams, matched)?;
        ControlFlow::Continue(false)
    }

    /// Answers by a rule that leads to a trunk, unless that is another tenant's.
    fn rule_to_trunk(&mut self, plan: &'a Plan, found: &Found<'a>, trunk: TrunkId) -> Next<'a> {
        match (self.owner, self.owner_of(trunk)) {
            (Some(own), Some(other)) if own != other && !self.stays_between(other) => {
                self.steps.add(|| "it is another tenant's trunk: passed over".to_owned());
                self.forbidden = true;
                return ControlFlow::Continue(());
            }
            (None, Some(owner)) => {
                self.pin(owner, None);
                self.anonymous()?;
            }
            _ => {}
        }
        self.steps.rule(plan, &self.user, found);
        self.to(smallvec![self.way(trunk, None, None)], by_rule(plan, found))
    }
}
