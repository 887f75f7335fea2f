//! Tenants: whose numbers, users and wishes a decision follows.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::number::{Lookup, Number, NumberingPlan, UserId, Users};
use super::people::UserRecord;
use super::plan::Plan;
use crate::trunk::TrunkId;

/// Index of a tenant in [`Tenants`]; stable for one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub u32);

/// What a tenant does about callers who hide their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    #[default]
    Accept,
    /// 433 (RFC 5079); emergency calls pass.
    Refuse,
}

/// A user of a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub record: UserRecord,
    /// What `record` says in digits, read by the tenant's numbering plan: number with extension, or either alone.
    pub numbers: SmallVec<[Number; 1]>,
    /// Index of the home site in [`super::Sites`].
    pub site: Option<u32>,
}

/// A customer of the edge.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    /// The short name: a DNS label of 3 to 15 characters that never changes.
    pub id: Arc<str>,
    pub numbering: NumberingPlan,
    /// Indices in [`super::Sites`], in the order of the configuration.
    pub sites: Vec<u32>,
    /// The tenant's own number ranges, E.164 with `+`. A number in them belongs to a user, or to nobody.
    pub ranges: Plan,
    /// Where calls go whose number is in `ranges` and nobody's; `None`: 404.
    pub unassigned: Option<Number>,
    /// Trunks for emergency calls, in order; empty: as other calls go.
    pub emergency: Vec<TrunkId>,
    /// Trunks for service numbers, in order; empty: as other calls go.
    pub service: Vec<TrunkId>,
    /// Calls to and from other tenants of this edge that say so too may stay on the edge.
    pub between_tenants: bool,
    pub anonymous: Anonymous,
    /// Removed at run time: nothing of it is found any more, though a configuration still names it.
    pub removed: bool,
    /// By [`UserId`].
    users: Vec<User>,
    index: Users,
}

impl Tenant {
    /// A tenant of nothing but a name and a numbering plan.
    pub fn new(id: impl Into<Arc<str>>, numbering: NumberingPlan) -> Self {
        Self { id: id.into(), numbering, ..Self::default() }
    }

    /// Replaces the users.
    #[must_use]
    pub fn with_users(mut self, users: Vec<User>) -> Self {
        let numbers = (0..).zip(&users).flat_map(|(id, user)| user.numbers.iter().map(move |number| (number, id)));
        self.index = Users::new(numbers);
        self.users = users;
        self
    }

    /// Whose number it is.
    pub fn lookup(&self, number: &Number) -> Lookup {
        self.index.find(number)
    }

    /// The user of an id that [`Tenant::lookup`] gave.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(id as usize)
    }

    /// All users.
    pub fn users(&self) -> &[User] {
        &self.users
    }
}

/// All tenants; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    list: Arc<[Arc<Tenant>]>,
    by_id: Arc<HashMap<Arc<str>, TenantId, foldhash::fast::RandomState>>,
}

impl Tenants {
    /// Takes the tenants, in the order of their [`TenantId`]s.
    pub fn new(list: Vec<Tenant>) -> Self {
        let by_id = (0..).zip(&list).map(|(index, tenant)| (Arc::clone(&tenant.id), TenantId(index))).collect();
        Self { list: list.into_iter().map(Arc::new).collect(), by_id: Arc::new(by_id) }
    }

    /// The tenant of an id.
    pub fn get(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.list.get(id.0 as usize)
    }

    /// The tenant of a short name.
    pub fn find(&self, id: &str) -> Option<TenantId> {
        self.by_id.get(id).copied()
    }

    /// All tenants, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.list.iter()
    }

    /// The same tenants with another value for one of them.
    #[must_use]
    pub fn with(&self, id: TenantId, tenant: Tenant) -> Self {
        let mut list = self.list.to_vec();
        if let Some(slot) = list.get_mut(id.0 as usize) {
            *slot = Arc::new(tenant);
        }
        Self { list: list.into(), by_id: Arc::clone(&self.by_id) }
    }
}
