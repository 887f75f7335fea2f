//! Routes by who may take them: those of one `from` and tenant are a class with a table of prefixes of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::plan::Plan;
use super::prefixes::{Conflict, Prefix, PrefixError};
use super::route::Route;
use super::table::layer::Rules;
use super::tenant::TenantId;
use crate::trunk::TrunkId;

/// Whose calls a class of routes takes; `None`: anybody's.
type Key = (Option<TrunkId>, Option<TenantId>);

/// Indices of routes, by prefix.
type Lists = Vec<Box<[u32]>>;

/// All routes, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    by_key: HashMap<Key, Class, RandomState>,
    /// The prefixes of all routes that say anything about a number.
    every: Plan,
}

/// The routes of one `from` and tenant.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// The origin of a prefix is its index in `routes`.
    plan: Plan,
    /// By prefix: the routes that have it, in the order of the configuration.
    routes: Lists,
}

impl Classes {
    /// Sorts the routes. One that can never be reached, since one before it of the same class and prefix is always open,
    /// comes back as a conflict.
    pub(super) fn new(routes: &[Route]) -> Result<(Self, Vec<Conflict>), (usize, PrefixError)> {
        let mut by_prefix: BTreeMap<(Key, String), Vec<u32>> = BTreeMap::new();
        for (index, route) in routes.iter().enumerate() {
            let prefix = Prefix::read(&route.prefix, false).map_err(|error| (index, error))?;
            let id = u32::try_from(index).map_err(|_| (index, PrefixError::Full(index)))?;
            by_prefix.entry(((route.from, route.tenant), prefix.to_string())).or_default().push(id);
        }
        let is_always_open = |id: &u32| routes.get(*id as usize).is_some_and(|route| route.windows.is_empty());
        let mut conflicts = Vec::new();
        let mut drafts: HashMap<Key, (Rules, Lists), RandomState> = HashMap::default();
        let mut every = Rules::new(routes.len());
        for ((key, prefix), mut ids) in by_prefix {
            if let Some(kept) = ids.iter().position(is_always_open) {
                let last = ids.get(kept).copied().unwrap_or_default();
                let beyond = ids.drain(kept + 1..);
                conflicts.extend(beyond.map(|dropped| Conflict { kept: last, dropped }));
            }
            let at = ids.first().copied().unwrap_or_default() as usize;
            let (rules, lists) = drafts.entry(key).or_insert_with(|| (Rules::new(routes.len()), Lists::new()));
            // There are no more lists than routes, whose indices fit.
            rules.add(&prefix, "", lists.len() as u32).map_err(|error| (at, error))?;
            lists.push(ids.into());
            if !prefix.is_empty() {
                every.add(&prefix, "", 0).map_err(|error| (at, error))?;
            }
        }
        conflicts.sort_unstable_by_key(|conflict| conflict.dropped);
        let pack = |rules| Plan::new(Arc::from(""), rules, |_| None).0;
        let class = |(key, (rules, routes))| (key, Class { plan: pack(rules), routes });
        let by_key = drafts.into_iter().map(class).collect();
        Ok((Self { by_key, every: pack(every) }, conflicts))
    }

    /// The class of exactly this `from` and tenant.
    pub(super) fn get(&self, from: Option<TrunkId>, tenant: Option<TenantId>) -> Option<&Class> {
        self.by_key.get(&(from, tenant))
    }

    /// Whether there is a route for a number, whosever it is. One that takes every number says nothing about this one.
    pub(super) fn knows(&self, user: &[u8]) -> bool {
        self.every.find(user).is_some()
    }
}

impl Class {
    /// The routes of a prefix that a number fits; the most specific prefix is number zero.
    pub(super) fn nth(&self, user: &[u8], place: usize) -> Option<&[u32]> {
        let origin = match place {
            0 => self.plan.origin(user)?,
            _ => self.plan.matches(user).nth(place)?.origin()?,
        };
        self.routes.get(origin as usize).map(|list| &**list)
    }
}
