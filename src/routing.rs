//! Where a request goes: sites, dial plans and routes, compiled into one immutable value. Pure; a lookup does no I/O.
//!
//! From a Teams trunk the Request-URI's host names the site, and so the tenant; a host that is neither a site of that
//! trunk nor the edge's own name gets nowhere. Routes that name the trunk come first, then routes for everybody, then
//! the site's own trunk. From any other trunk the dial plan comes first, then the routes in the same order. Among
//! routes the longest prefix wins. A request goes back to the trunk it came from only by a route that names it in
//! `from`; anything else would be a loop.

pub mod countries;
mod decide;
pub mod number;
pub mod people;
mod plan;
mod prefixes;
mod symbols;
pub mod table;
pub mod translate;
mod trie;

use std::sync::Arc;

use smallvec::SmallVec;
use thiserror::Error;

pub use decide::Explanation;
pub use plan::{Found, Plan, Sites, Source};
pub use prefixes::{Conflict, MAX_PREFIX_SYMBOLS, PrefixError, one_form};
pub use table::batch::{Batch, BatchError, Change, Edit, Record, State};
pub use table::layer::{Rule, Rules};
pub use table::ledger::{Ledger, Outcome};
pub use table::rows::{Fields, Row, RowReader};
pub use table::{Listed, Table};

use crate::trunk::{TrunkId, TrunkKind};

/// One place of a tenant: a name that Teams knows it by, the Teams side and the trunk side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub tenant: Arc<str>,
    /// In lower case; the edge's own name on the Teams leg of this site's calls.
    pub fqdn: Arc<str>,
    pub teams: TrunkId,
    pub trunk: TrunkId,
}

/// Where a tag of a dial plan leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Index in [`Sites`]: to the Teams side of the site.
    Site(u32),
    Trunk(TrunkId),
}

/// What routing knows of a trunk that requests come from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub name: Arc<str>,
    pub kind: TrunkKind,
    /// The edge's own host towards this trunk: a Request-URI that names it names no tenant.
    pub host: Arc<str>,
    /// Index of the plan that is asked for requests from this trunk.
    pub plan: Option<u32>,
}

/// A rule by number prefix; an empty prefix matches every user part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `None`: for requests from any trunk.
    pub from: Option<TrunkId>,
    pub prefix: Arc<str>,
    /// In order of preference.
    pub to: Vec<TrunkId>,
}

/// The routing of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    sites: Sites,
    table: Table,
    /// By [`TrunkId`].
    origins: Vec<Origin>,
    routes: Vec<Route>,
    for_any: Plan,
    /// By [`TrunkId`]: the routes that name the trunk in `from`.
    for_one: Vec<Plan>,
}

/// A request, as far as routing looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub from: TrunkId,
    /// The Request-URI's host, without the port.
    pub host: &'a [u8],
    /// The Request-URI's user part, as it stands there.
    pub user: &'a [u8],
}

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    To(Choice<'a>),
    NoRoute(NoRoute),
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// In order of preference, never empty.
    pub trunks: SmallVec<[TrunkId; 4]>,
    /// The site, and so the tenant, that the request belongs to.
    pub site: Option<&'a Arc<Site>>,
    pub matched: Matched<'a>,
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched<'a> {
    Route(&'a Route),
    /// A rule of a dial plan, by its tag and the number of symbols that its prefix covers.
    Plan {
        plan: &'a Arc<str>,
        tag: &'a str,
        symbols: usize,
    },
    /// The trunk that the site names as its own.
    SiteTrunk,
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoRoute {
    #[error("the trunk is not in this configuration")]
    UnknownTrunk,
    #[error("the Request-URI's host is no site of this trunk")]
    UnknownHost,
    #[error("no dial plan rule and no route takes this number")]
    NoRule,
    #[error("the request would go back to the trunk it came from")]
    Loop,
}

impl Routing {
    /// Puts the parts together; `origins` are in the order of their [`TrunkId`]s.
    ///
    /// Two routes with the same `from` and prefix come back as conflicts of route indices; the first of them stays. A
    /// route whose prefix cannot be read is an error with its index.
    pub fn new(
        sites: Sites,
        plans: Vec<Plan>,
        origins: Vec<Origin>,
        routes: Vec<Route>,
    ) -> Result<(Self, Vec<Conflict>), (usize, PrefixError)> {
        let empty = || Rules::new(routes.len());
        let mut for_any = empty();
        let mut for_one: Vec<Rules> = origins.iter().map(|_| empty()).collect();
        for (index, route) in routes.iter().enumerate() {
            let rules = match route.from {
                None => Some(&mut for_any),
                Some(from) => for_one.get_mut(usize::from(from.0)),
            };
            let id = u32::try_from(index).map_err(|_| (index, PrefixError::Full(index)))?;
            if let Some(rules) = rules {
                // Each route is a place of its own, so two of them for one prefix are a conflict.
                rules.add(&route.prefix, &index.to_string(), id).map_err(|error| (index, error))?;
            }
        }
        let nameless = || Arc::from("");
        let (for_any, mut conflicts) = Plan::new(nameless(), for_any, |_| None);
        let mut plans_of = Vec::with_capacity(for_one.len());
        for rules in for_one {
            let (plan, more) = Plan::new(nameless(), rules, |_| None);
            plans_of.push(plan);
            conflicts.extend(more);
        }
        let table = Table::new(plans);
        Ok((Self { sites, table, origins, routes, for_any, for_one: plans_of }, conflicts))
    }

    /// The same routing over other dial plans.
    #[must_use]
    pub fn with_table(&self, table: Table) -> Self {
        Self { table, ..self.clone() }
    }

    /// The dial plans as one value, which can be changed at run time.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Makes a batch of changes; every tag in it must lead somewhere. [`Routing::with_table`] takes the result.
    pub fn apply(&self, ledger: &Ledger, batch: &Batch) -> Result<Outcome, BatchError> {
        for edit in &batch.edits {
            if let Edit::Put { tag, .. } = edit
                && self.resolve(tag).is_none()
            {
                return Err(BatchError::UnknownTag(tag.clone()));
            }
        }
        ledger.apply(&self.table, batch, &|tag| self.resolve(tag))
    }

    /// Takes the batch of an id back; `by` says who wants it, and its own id is that of the new record.
    pub fn revert(&self, ledger: &Ledger, id: &str, by: &Batch) -> Result<Outcome, BatchError> {
        ledger.revert(&self.table, id, by, &|tag| self.resolve(tag))
    }

    /// Where a tag of a dial plan leads: the site of that FQDN, or the trunk of that name.
    pub fn resolve(&self, tag: &str) -> Option<Destination> {
        let site = self.sites.find(tag.as_bytes()).map(Destination::Site);
        let trunk = || (0..).zip(&self.origins).find(|(_, origin)| *origin.name == *tag);
        site.or_else(|| trunk().map(|(id, _)| Destination::Trunk(TrunkId(id))))
    }

    /// Where a request goes.
    pub fn route<'a>(&'a self, query: Query<'_>) -> Decision<'a> {
        decide::decide(self, query, &mut decide::Silent)
    }

    /// Where a request goes, and each step on the way in words.
    pub fn explain(&self, query: Query<'_>) -> Explanation {
        decide::explain(self, query)
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
