//! Calls from Teams: the Request-URI's host names the site, and so the tenant.

use std::ops::ControlFlow;

use smallvec::smallvec;

use super::super::{Destination, NoRoute, TenantId};
use super::on_net::Callee;
use super::{Ask, Next, Steps, by_rule, explain, name, rule, rule_words};
use crate::trunk::TrunkId;

impl<'a, S: Steps> Ask<'a, '_, S> {
    pub(super) fn call_from_teams(&mut self) -> Next<'a> {
        self.site_of_teams()?;
        self.anonymous()?;
        self.help()?;
        if let Some(own) = self.own() {
            self.users(own)?;
        }
        self.rule_inside()?;
        self.leave()
    }

    fn site_of_teams(&mut self) -> Next<'a> {
        let host = self.query.host.strip_suffix(b".").unwrap_or(self.query.host);
        let site = self.called_site().filter(|site| site.teams == self.query.from);
        match site {
            Some(site) => {
                self.steps.add(|| format!("host `{}` is a site of tenant `{}`", site.fqdn, site.tenant));
                self.pin(site.owner, Some(site));
            }
            None if host.eq_ignore_ascii_case(self.origin.host.as_bytes()) => {
                self.steps.add(|| format!("host `{}` is the edge's own name: no tenant", self.origin.host));
            }
            None => {
                self.steps
                    .add(|| format!("host `{}` is no site of trunk `{}`", explain::shown(host), self.origin.name));
                return ControlFlow::Break(Err(NoRoute::UnknownHost));
            }
        }
        ControlFlow::Continue(())
    }

    /// Answers by a rule of the dial plan that keeps the call inside the tenant, or between tenants that both allow it.
    /// Rules of other tenants are passed over: their numbers may be the same.
    fn rule_inside(&mut self) -> Next<'a> {
        let (Some(plan), Some(owner)) = (self.plan(), self.owner) else { return ControlFlow::Continue(()) };
        self.steps.asked(plan, &self.user);
        let mut passed_over = 0;
        while let Some(found) = rule(plan, &self.user, passed_over) {
            let (routing, from) = (self.routing, self.query.from);
            self.steps.add(|| rule_words(plan, &self.user, &found));
            let matched = by_rule(plan, &found);
            match found.destination {
                None => return ControlFlow::Continue(()),
                Some(Destination::Site(index)) => {
                    let Some(site) = routing.sites.get(index) else { return ControlFlow::Continue(()) };
                    if site.owner == owner {
                        let Some(pbx) = self.pbx_of(site) else {
                            self.steps.add(|| format!("site `{}` has no PBX: the call leaves", site.fqdn));
                            return ControlFlow::Continue(());
                        };
                        self.steps.rule(plan, &self.user, &found);
                        let callee = self.own().map(|own| Callee { site: Some(site), ..own });
                        return match callee {
                            Some(callee) => self.by_side(callee, site, pbx, matched),
                            None => self.to(smallvec![self.way(pbx, None, None)], matched),
                        };
                    }
                    if let Some(tenant) = routing.tenants.get(site.owner)
                        && self.stays_between(site.owner)
                    {
                        let callee = Callee { owner: site.owner, tenant, site: Some(site) };
                        if self.users_or_detour(callee)? {
                            passed_over = 0;
                            continue;
                        }
                        self.steps.rule(plan, &self.user, &found);
                        return self.by_side(callee, site, site.teams, matched);
                    }
                }
                Some(Destination::Trunk(trunk)) => match self.owner_of(trunk) {
                    Some(other) if other != owner && !self.stays_between(other) => {}
                    None if !self.is_own_trunk(owner, trunk, found.owner()) => return ControlFlow::Continue(()),
                    _ if trunk == from => {
                        self.steps.add(|| format!("`{}` is where the request came from", name(routing, from)));
                        self.looped = true;
                        return ControlFlow::Continue(());
                    }
                    _ => {
                        self.steps.rule(plan, &self.user, &found);
                        return self.to(smallvec![self.way(trunk, None, None)], matched);
                    }
                },
            }
            self.steps.add(|| "it leads to another tenant: passed over".to_owned());
            passed_over += 1;
        }
        self.steps.add(|| match passed_over {
            0 => format!("dial plan `{}` has no prefix of the number", plan.name()),
            _ => format!("dial plan `{}` has no other prefix of the number", plan.name()),
        });
        ControlFlow::Continue(())
    }

    /// Whether a rule to a shared trunk is one of the tenant's own: its site names the trunk, or the rule is the tenant's.
    fn is_own_trunk(&self, owner: TenantId, trunk: TrunkId, rule_owner: &str) -> bool {
        let Some(tenant) = self.routing.tenants.get(owner) else { return false };
        let mut sites = tenant.sites.iter().filter_map(|index| self.routing.sites.get(*index));
        *tenant.id == *rule_owner || sites.any(|site| site.trunk == trunk || site.pbx == Some(trunk))
    }
}
