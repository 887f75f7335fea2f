//! Calls that stay inside a tenant, or between two tenants of this edge: users, number ranges, `main` and `unassigned`.

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::super::number::{Lookup, Number};
use super::super::people::Lives;
use super::super::{Matched, NoRoute, Site, Tenant, TenantId, User};
use super::{Ask, Next, Steps, Ways, name, read};
use crate::trunk::{TrunkId, TrunkKind};

/// Among whose numbers a called one is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee<'a> {
    pub owner: TenantId,
    pub tenant: &'a Arc<Tenant>,
    /// Where users are who name no site.
    pub site: Option<&'a Arc<Site>>,
}

impl<'a, S: Steps> Ask<'a, '_, S> {
    /// The call's own tenant as the one that is called.
    pub(super) fn own(&self) -> Option<Callee<'a>> {
        let (owner, tenant) = (self.owner?, self.tenant?);
        Some(Callee { owner, tenant, site: self.site.or_else(|| self.home_site(tenant)) })
    }

    /// The site of a call that names none: the one that the trunk belongs to, or the tenant's first.
    pub(super) fn home_site(&self, tenant: &Tenant) -> Option<&'a Arc<Site>> {
        let sites = || tenant.sites.iter().filter_map(|index| self.routing.sites.get(*index));
        let from = self.query.from;
        let names_trunk = |site: &&Arc<Site>| site.pbx == Some(from) || site.trunk == from;
        sites().find(names_trunk).or_else(|| sites().next())
    }

    /// Answers calls to users of a tenant and to numbers that are nobody's; goes on with any other number.
    pub(super) fn users(&mut self, callee: Callee<'a>) -> Next<'a> {
        let tenant = callee.tenant;
        let number = self.number_to(callee);
        if matches!(number, Number::Service(_)) {
            return ControlFlow::Continue(());
        }
        match tenant.lookup(&number) {
            Lookup::User(id) => match tenant.user(id) {
                Some(user) => self.by_user(callee, user, &number),
                None => ControlFlow::Continue(()),
            },
            Lookup::Ambiguous if !self.detoured => {
                self.steps.add(|| "the number is that of several users".to_owned());
                let Some(main) = tenant.numbering.main() else {
                    return ControlFlow::Break(Err(NoRoute::Ambiguous));
                };
                self.noted.ambiguous = true;
                self.detour(main, "the tenant's main number takes it");
                self.after_detour(callee)
            }
            _ => self.nobodys(callee, &number),
        }
    }

    /// Answers as [`Ask::users`] does; true: the tenant sends the call to another number, which has to be looked for.
    pub(super) fn users_or_detour(&mut self, callee: Callee<'a>) -> Next<'a, bool> {
        let before = self.detoured;
        self.users(callee)?;
        ControlFlow::Continue(self.detoured != before)
    }

    fn number_to(&self, callee: Callee<'a>) -> Number {
        if self.detoured || self.owner == Some(callee.owner) {
            return self.number().clone();
        }
        read(&self.user, &callee.tenant.numbering)
    }

    /// Whether numbers of a tenant's own are nobody's, and what becomes of them then.
    fn nobodys(&mut self, callee: Callee<'a>, number: &Number) -> Next<'a> {
        if self.detoured {
            return self.default_side(callee, number);
        }
        let tenant = callee.tenant;
        let is_extension = is_extension(tenant, number);
        if is_extension && tenant.users().is_empty() {
            self.steps.add(|| "an extension of the tenant, which names no users".to_owned());
            return self.by_a_side(callee);
        }
        if !is_extension && !is_in_ranges(tenant, number) {
            return ControlFlow::Continue(());
        }
        self.steps.add(|| format!("`{number}` is a number of tenant `{}` and nobody's", tenant.id));
        let Some(unassigned) = &tenant.unassigned else {
            return ControlFlow::Break(Err(NoRoute::Unassigned));
        };
        self.noted.unassigned = true;
        self.detour(unassigned, "the tenant's destination for numbers of nobody takes it");
        self.after_detour(callee)
    }

    /// `main` and `unassigned` may be a user's, a number of the tenant, or one outside.
    fn after_detour(&mut self, callee: Callee<'a>) -> Next<'a> {
        let number = self.number_to(callee);
        match callee.tenant.lookup(&number) {
            Lookup::User(_) => self.users(callee),
            Lookup::Ambiguous | Lookup::Nobody => self.default_side(callee, &number),
        }
    }

    /// Answers calls to a destination of the tenant that is no user and has no rule of its own.
    fn default_side(&mut self, callee: Callee<'a>, number: &Number) -> Next<'a> {
        let tenant = callee.tenant;
        let is_inside =
            matches!(number, Number::Opaque(_)) || is_extension(tenant, number) || is_in_ranges(tenant, number);
        let has_rule = self.plan().is_some_and(|plan| plan.find(&self.user).is_some());
        if !is_inside || has_rule {
            return ControlFlow::Continue(());
        }
        self.by_a_side(callee)
    }

    /// Answers by the PBX of the site, or by its Teams side where that is what is left.
    fn by_a_side(&mut self, callee: Callee<'a>) -> Next<'a> {
        let from = self.query.from;
        let Some(site) = callee.site else { return ControlFlow::Continue(()) };
        if let Some(pbx) = self.pbx_of(site) {
            return self.by_side(callee, site, pbx, Matched::Tenant);
        }
        // Teams knows its own numbers: what it asks the edge for is none of them.
        if self.origin.kind != TrunkKind::Teams && site.teams != from {
            return self.by_side(callee, site, site.teams, Matched::Tenant);
        }
        ControlFlow::Continue(())
    }

    /// Answers by one side of a site.
    pub(super) fn by_side(
        &mut self,
        callee: Callee<'a>,
        site: &'a Arc<Site>,
        trunk: TrunkId,
        matched: Matched<'a>,
    ) -> Next<'a> {
        let routing = self.routing;
        self.steps.add(|| format!("site `{}`: `{}`", site.fqdn, name(routing, trunk)));
        let way = self.way(trunk, None, None);
        self.to_callee(callee, site, [way].into_iter().collect(), matched)
    }

    /// Ends the decision with a choice for a site of the callee. A call that came in by a site stays one of that site
    /// when Teams sent it, or when the other tenant's site is the far one.
    fn to_callee(&self, callee: Callee<'a>, site: &'a Arc<Site>, ways: Ways, matched: Matched<'a>) -> Next<'a> {
        let to_teams = ways.iter().any(|way| way.trunk == site.teams);
        let keeps = self.origin.kind == TrunkKind::Teams || self.owner.is_some_and(|owner| owner != callee.owner);
        let own = if keeps { self.site } else { Some(site) };
        self.to_site(ways, matched, own, Some(site).filter(|_| to_teams))
    }

    fn by_user(&mut self, callee: Callee<'a>, user: &'a User, number: &Number) -> Next<'a> {
        let record = &user.record;
        let home = user.site.and_then(|index| self.routing.sites.get(index));
        let home = home.filter(|site| site.owner == callee.owner);
        let Some(site) = home.or(callee.site) else {
            self.steps.add(|| format!("user `{}` has no site", record.id));
            return ControlFlow::Continue(());
        };
        self.steps.add(|| {
            let lives = match record.lives {
                Lives::Teams => "Teams",
                Lives::Pbx => "the PBX",
                Lives::Both => "Teams and the PBX",
            };
            format!("`{number}` is user `{}` in {lives}, site `{}`", record.id, site.fqdn)
        });
        let (pbx, teams) = self.sides(callee, record.lives, site);
        if let (None, None) = (pbx, teams) {
            return self.no_side(record.lives, site);
        }
        let mut ways: Ways = SmallVec::new();
        if let Some(pbx) = pbx {
            ways.push(self.way_to_user(pbx, callee.tenant, user, number));
        }
        if let Some(teams) = teams {
            let mut way = self.way_to_user(teams, callee.tenant, user, number);
            way.beside = pbx.map(|_| record.coverage_delay_s);
            ways.push(way);
        }
        let routing = self.routing;
        self.steps.add(|| match (pbx, teams) {
            (Some(pbx), Some(teams)) => {
                let (pbx, teams, delay) = (name(routing, pbx), name(routing, teams), record.coverage_delay_s);
                format!("`{pbx}`, and `{teams}` beside it after {delay} s")
            }
            (one, other) => super::explain::names(routing, one.into_iter().chain(other)),
        });
        self.to_callee(callee, site, ways, Matched::User(&record.id))
    }

    /// The PBX and the Teams trunk of a user, without the one that the call came from.
    fn sides(&self, callee: Callee<'a>, lives: Lives, site: &Site) -> (Option<TrunkId>, Option<TrunkId>) {
        let from = self.query.from;
        let from_teams = self.origin.kind == TrunkKind::Teams;
        let is_other = self.owner.is_some_and(|owner| owner != callee.owner);
        let pbx = self.pbx_of(site).filter(|_| lives != Lives::Teams);
        let hairpin = is_other || self.site.is_some_and(|site| site.hairpin);
        // Teams has tried its own side of a user who lives in both.
        let rings_teams = match lives {
            Lives::Pbx => false,
            Lives::Teams => true,
            Lives::Both => !from_teams || is_other || pbx.is_none(),
        };
        let teams = Some(site.teams).filter(|teams| rings_teams && (*teams != from || hairpin));
        (pbx, teams)
    }

    /// What becomes of a user without a side to ring: a loop, unless there is no PBX where one should be.
    fn no_side(&mut self, lives: Lives, site: &Site) -> Next<'a> {
        if lives == Lives::Pbx && site.pbx.is_none() {
            self.steps.add(|| format!("site `{}` names no PBX", site.fqdn));
            return ControlFlow::Continue(());
        }
        self.steps.add(|| format!("`{}` is where the request came from", self.origin.name));
        ControlFlow::Break(Err(NoRoute::Loop))
    }
}

/// Whether a number is in the tenant's extension ranges.
fn is_extension(tenant: &Tenant, number: &Number) -> bool {
    matches!(number, Number::Extension(digits) if tenant.numbering.is_extension(*digits))
}

/// Whether a number is in the tenant's own telephone ranges.
fn is_in_ranges(tenant: &Tenant, number: &Number) -> bool {
    e164_text(number).is_some_and(|text| tenant.ranges.find(&text).is_some())
}

/// An E.164 number with its `+`.
pub(super) fn e164_text(number: &Number) -> Option<SmallVec<[u8; 17]>> {
    let digits = number.e164()?;
    Some([b'+'].into_iter().chain(digits.bytes()).collect())
}
