//! Where a request goes: sites, tenants, dial plans and routes, compiled into one immutable value. Pure; a lookup does no
//! I/O.
//!
//! - Whose call it is: from Teams the Request-URI's host names the site, and so the tenant; a host that is neither a site
//!   of that trunk nor the edge's own name gets nowhere. From any other trunk the host, the trunk's own tenant or, last,
//!   the called number in the dial plan says it.
//! - Calls for help go by the trunks named for them, else by a rule for exactly that number, else as other calls.
//! - Numbers of the tenant stay inside: a user rings where the user lives, a number of nobody is refused or sent to the
//!   tenant's destination for such, a shared one to its main number. Then a rule of the dial plan: to the Teams side of a
//!   site, or from Teams to its PBX. What leads to another tenant is passed over, unless both want such calls to stay.
//! - What leaves takes the most specific route: those that name trunk and tenant, then the tenant, then the trunk, then
//!   any; among these the longest prefix that is open. Only a route that names a carrier in `from` takes its calls to
//!   another carrier. Without a route a call from Teams leaves by the caller's side (the caller's number in the dial plan,
//!   P-Asserted-Identity before From), else by the site's own trunk, and a PBX's by that of its site.
//!
//! A tenant's trunk serves that tenant alone, and a request goes back to the trunk it came from only by a hairpin that a
//! route or a site allows; anything else would be a loop. A rule or route that was asked and leads nowhere is not
//! replaced by a less specific one: the request is refused, with a reason.

mod change;
mod classes;
pub mod countries;
mod decide;
pub mod number;
pub mod people;
mod plan;
mod prefixes;
mod query;
mod route;
mod site;
mod symbols;
pub mod table;
mod tenant;
pub mod translate;
mod trie;
pub mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use decide::{Explanation, MAX_NEAR, NearShown, PlanRule, RuleShown, Step, Verdict, WayShown};
pub use plan::{Found, Near, NearMiss, Plan, Source};
pub use prefixes::{Conflict, MAX_PREFIX_SYMBOLS, PrefixError, one_form};
pub use query::{Caller, Callers, Choice, Decision, Matched, NoRoute, Noted, Query, Refused, Way};
pub use route::{Group, Member, Order, Rates, Route, price};
pub use site::{Destination, Site, SiteMark, Sites};
pub use table::batch::{Batch, BatchError, Change, Edit, Record, State, TenantChange, UserChange};
pub use table::layer::{Rule, Rules};
pub use table::ledger::{Bounds, Ledger, Outcome};
pub use table::page::{RuleFilter, plain_owner};
pub use table::rows::{Fields, Row, RowReader};
pub use table::{Listed, Table};
pub use tenant::{Anonymous, Tenant, TenantId, Tenants, User, UserError, compile};
pub use window::{EVERY_DAY, Window};

use self::classes::Classes;
use self::number::{Digits, Form};
use crate::trunk::{TrunkId, TrunkKind};

/// What routing knows of a trunk.
#[derive(Clone, Debug)]
pub struct Origin {
    pub name: Arc<str>,
    pub kind: TrunkKind,
    /// The edge's own host towards this trunk: a Request-URI that names it names no tenant.
    pub host: Arc<str>,
    /// Index of the plan that is asked for requests from this trunk.
    pub plan: Option<u32>,
    /// Whose trunk it is: a carrier of the customer's own, or a PBX that only one tenant's sites name; `None`: shared.
    pub tenant: Option<TenantId>,
    /// How called and calling numbers are written towards it.
    pub called: Form,
    pub calling: Form,
    /// What it asks for calls.
    pub rates: Option<Rates>,
    /// The configuration does not have it any more: nothing leads to it.
    pub leaving: bool,
}

impl Origin {
    /// A shared trunk without a plan.
    pub fn new(name: impl Into<Arc<str>>, kind: TrunkKind, host: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            kind,
            host: host.into(),
            plan: None,
            tenant: None,
            called: Form::AsIs,
            calling: Form::AsIs,
            rates: None,
            leaving: false,
        }
    }
}

/// Emergency calls of no tenant, and of tenants that name no trunk for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emergency {
    /// What is an emergency number where no tenant is known.
    pub numbers: Vec<Digits>,
    /// In order; empty: as other calls go.
    pub to: Vec<TrunkId>,
}

/// What a routing is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub sites: Sites,
    pub tenants: Tenants,
    pub plans: Vec<Plan>,
    /// By [`TrunkId`].
    pub origins: Vec<Origin>,
    pub routes: Vec<Route>,
    pub emergency: Emergency,
}

/// The routing of one configuration. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    sites: Sites,
    tenants: Tenants,
    table: Table,
    /// By [`TrunkId`].
    origins: Arc<[Origin]>,
    routes: Arc<[Route]>,
    emergency: Arc<Emergency>,
    classes: Arc<Classes>,
    /// Tenants with a carrier of their own, ascending.
    own_carriers: Arc<[TenantId]>,
}

impl Routing {
    /// Puts the parts together.
    ///
    /// A route that can never be reached, since one of the same `from`, tenant and prefix stands before it and is always
    /// open, comes back as a conflict of route indices. A route whose prefix cannot be read is an error with its index.
    pub fn new(parts: Parts) -> Result<(Self, Vec<Conflict>), (usize, PrefixError)> {
        let Parts { sites, tenants, plans, origins, routes, emergency } = parts;
        let (classes, conflicts) = Classes::new(&routes)?;
        let carriers = origins.iter().filter(|origin| origin.kind == TrunkKind::Carrier);
        let mut own_carriers: Vec<TenantId> = carriers.filter_map(|origin| origin.tenant).collect();
        own_carriers.sort_unstable();
        own_carriers.dedup();
        let routing = Self {
            sites,
            tenants,
            table: Table::new(plans),
            origins: origins.into(),
            routes: routes.into(),
            emergency: Arc::new(emergency),
            classes: Arc::new(classes),
            own_carriers: own_carriers.into(),
        };
        Ok((routing, conflicts))
    }

    /// The same routing over other dial plans.
    #[must_use]
    pub fn with_table(&self, table: Table) -> Self {
        Self { table, ..self.clone() }
    }

    /// The same routing for other tenants, in the same order.
    #[must_use]
    pub fn with_tenants(&self, tenants: Tenants) -> Self {
        Self { tenants, ..self.clone() }
    }

    /// The same routing after that of a configuration before it: calls that are up still find their sites.
    #[must_use]
    pub fn following(self, old: &Self) -> Self {
        Self { sites: self.sites.following(&old.sites), ..self }
    }

    /// All tenants.
    pub const fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// What routing knows of a trunk.
    pub fn origin(&self, trunk: TrunkId) -> Option<&Origin> {
        self.origins.get(usize::from(trunk.0))
    }

    /// Emergency calls of no tenant.
    pub fn emergency(&self) -> &Emergency {
        &self.emergency
    }

    /// The dial plans as one value, which can be changed at run time.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Where a tag of a dial plan leads: the site of that FQDN, or the trunk of that name.
    pub fn resolve(&self, tag: &str) -> Option<Destination> {
        let site = self.sites.find(tag.as_bytes()).map(Destination::Site);
        let trunk = || (0..).zip(&*self.origins).find(|(_, origin)| *origin.name == *tag && !origin.leaving);
        site.or_else(|| trunk().map(|(id, _)| Destination::Trunk(TrunkId(id))))
    }

    /// What the rules of a tenant have as owner, in lower case: its id, the FQDNs of its sites and their first labels.
    pub fn owner_names(&self, id: TenantId) -> BTreeSet<String> {
        self.owner_names_among(id, |other| self.tenants.get(other).is_some_and(|tenant| tenant.removed))
    }

    /// The same beside the tenants that are not removed.
    ///
    /// A label that may as well mean another tenant is left out, since that one's rules must stay.
    fn owner_names_among(&self, id: TenantId, is_removed: impl Fn(TenantId) -> bool) -> BTreeSet<String> {
        let (mut names, mut labels, mut of_others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (index, tenant) in (0..).map(TenantId).zip(self.tenants.iter()) {
            let name = tenant.id.to_ascii_lowercase();
            match index == id {
                true => _ = names.insert(name),
                false if is_removed(index) => {}
                false => _ = of_others.insert(name),
            }
        }
        for site in self.sites.iter() {
            let fqdn = site.fqdn.to_ascii_lowercase();
            let label = fqdn.split('.').next().unwrap_or_default().to_owned();
            if site.owner == id {
                names.insert(fqdn);
                labels.insert(label);
            } else if !is_removed(site.owner) {
                of_others.insert(label);
            }
        }
        names.extend(labels.into_iter().filter(|label| !of_others.contains(label)));
        names
    }

    /// Where a request goes.
    pub fn route<'a>(&'a self, query: Query<'_>) -> Decision<'a> {
        decide::decide(self, query, &mut decide::Silent)
    }

    /// Where a request goes, and each step on the way in words.
    pub fn explain(&self, query: Query<'_>) -> Explanation {
        decide::explain::explain(self, query)
    }

    /// The site of a host name, if it is one.
    pub fn site(&self, host: &[u8]) -> Option<&Arc<Site>> {
        self.sites.find(host).and_then(|index| self.sites.get(index))
    }

    /// All sites.
    pub const fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The dial plans, in the order of the configuration.
    pub fn plans(&self) -> &[Plan] {
        self.table.plans()
    }

    /// The routes, in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

#[cfg(test)]
mod tests;
