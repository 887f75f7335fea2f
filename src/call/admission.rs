//! Admission: whether one call more may begin, by the limits of the trunks, the tenant, the site and the user that it
//! belongs to (`trunk::limits`).
//!
//! [`Meters`] count for the whole process: they are found by name and outlive a reload, while the limits come with the
//! configuration. A call that may begin holds a [`Ticket`], which gives everything back when it is dropped. A call for help
//! passes each limit and is counted.

mod meter;
mod ticket;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub use meter::{Key, Meter, Refused};
pub use ticket::{Ask, Ticket};

use super::edge::Edge;
use super::screen::Refusal;

/// What a limit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Trunk,
    Tenant,
    Site,
    User,
}

impl Scope {
    /// All, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::Trunk, Self::Tenant, Self::Site, Self::User];

    /// A word for metrics, JSON and the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Tenant => "tenant",
            Self::Site => "site",
            Self::User => "user",
        }
    }
}

/// Which way a call goes, as what has the limit sees it: from there, or to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    In,
    Out,
}

/// A limit that a call did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    pub scope: Scope,
    pub name: Arc<str>,
    pub key: Key,
    /// The final status that the limit asks for.
    pub status: u16,
    /// Seconds for Retry-After; zero: none.
    pub retry_after: u32,
}

impl Full {
    /// The answer that the limit asks for.
    pub fn refusal(&self) -> Refusal {
        let reason = super::best::reason(self.status);
        let headers = match self.retry_after {
            0 => Vec::new(),
            seconds => format!("Retry-After: {seconds}\r\n").into_bytes(),
        };
        Refusal { status: self.status, reason, headers }
    }
}

/// As records name it: `trunk carrier max_calls`.
impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.scope.word(), self.name, self.key.word())
    }
}

/// Meters that nobody uses are let go from this many on.
const MOST_IDLE: usize = 100_000;

/// The meters of a process, by scope and name.
#[derive(Debug, Default)]
pub struct Meters([RwLock<ByName>; Scope::ALL.len()]);

type ByName = HashMap<Arc<str>, Arc<Meter>, foldhash::fast::RandomState>;

impl Meters {
    /// The meter of a name; one that is new has counted nothing.
    pub fn meter(&self, scope: Scope, name: &str) -> Arc<Meter> {
        let Some(meters) = self.0.get(scope as usize) else { return Arc::new(Meter::new(scope, name.into())) };
        if let Some(meter) = meters.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(meter);
        }
        let mut meters = meters.write().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= MOST_IDLE {
            meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        let name: Arc<str> = name.into();
        let meter = meters.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(Meter::new(scope, name)));
        Arc::clone(meter)
    }

    /// The meter of a name that has counted something.
    pub fn find(&self, scope: Scope, name: &str) -> Option<Arc<Meter>> {
        self.0.get(scope as usize)?.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Lets go of meters that no call counts at and whose name the configuration does not have.
    pub fn keep(&self, edge: &Edge) {
        let (tenants, sites) = (edge.routing.tenants(), edge.routing.sites());
        for (scope, meters) in Scope::ALL.into_iter().zip(&self.0) {
            let known = |name: &str| match scope {
                Scope::Trunk => edge.trunks.named(name).is_some(),
                Scope::Tenant => tenants.find(name).is_some(),
                Scope::Site => sites.find(name.as_bytes()).is_some(),
                Scope::User => name.split_once('/').is_some_and(|(tenant, _)| tenants.find(tenant).is_some()),
            };
            let mut meters = meters.write().unwrap_or_else(PoisonError::into_inner);
            meters.retain(|name, meter| meter.used() != (0, 0) || Arc::strong_count(meter) > 1 || known(name));
        }
    }

    /// All meters of a scope, in no order.
    pub fn all(&self, scope: Scope) -> Vec<Arc<Meter>> {
        let Some(meters) = self.0.get(scope as usize) else { return Vec::new() };
        meters.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
