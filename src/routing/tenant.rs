//! Tenants: whose numbers, users and wishes a decision follows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use super::number::{Digits, Lookup, MAX_EXTENSION, Number, NumberingPlan, UserId, Users};
use super::people::UserRecord;
use super::plan::Plan;
use super::site::Sites;
use crate::trunk::{CallLimits, TrunkId};

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

/// Why a user record is none for its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UserError {
    #[error("user `{id}`: extension `{extension}` is not the one in number `{number}`")]
    Contradiction { id: String, number: String, extension: String },
    #[error("user `{id}`: `{extension}` is no extension: write 1 to {MAX_EXTENSION} digits")]
    Extension { id: String, extension: String },
    #[error("a user needs an id")]
    NoId,
    #[error("user `{id}` has neither a number nor an extension")]
    NoNumber { id: String },
    #[error("user `{id}`: `{number}` is no number by the numbering plan of tenant `{tenant}`")]
    Number { id: String, number: String, tenant: String },
    #[error("user `{id}`: `{number}` is a service number")]
    ServiceNumber { id: String, number: String },
    #[error("user `{id}`: tenant `{tenant}` has no site `{site}`")]
    Site { id: String, site: String, tenant: String },
}

/// Reads a user record as its tenant means it: the numbers by the numbering plan, and the home site, which must be one
/// of the tenant's.
///
/// A record without a site gets the tenant's only one; where there are several, it has none.
pub fn compile(mut record: UserRecord, tenant: &Tenant, sites: &Sites) -> Result<User, UserError> {
    record.id = record.id.trim().to_owned();
    let number = read_number(&record, tenant)?;
    let site = home(&record, tenant, sites)?;
    Ok(User { record, numbers: smallvec![number], site })
}

/// The one number that a record comes to: a telephone number with or without extension, or an extension alone.
fn read_number(record: &UserRecord, tenant: &Tenant) -> Result<Number, UserError> {
    if record.id.is_empty() {
        return Err(UserError::NoId);
    }
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let id = || record.id.clone();
    let extension = match given(&record.extension) {
        Some(text) => Some(extension(&text).ok_or_else(|| UserError::Extension { id: id(), extension: text })?),
        None => None,
    };
    let Some(text) = given(&record.number) else {
        return extension.map(Number::Extension).ok_or_else(|| UserError::NoNumber { id: id() });
    };
    let number = Number::parse(&text, &tenant.numbering);
    let contradicts = match (number.extension(), extension) {
        (Some(own), Some(other)) => own != other,
        _ => false,
    };
    match number {
        Number::Opaque(_) => Err(UserError::Number { id: id(), number: text, tenant: tenant.id.to_string() }),
        Number::Service(_) => Err(UserError::ServiceNumber { id: id(), number: text }),
        _ if contradicts => {
            let extension = extension.map(|digits| digits.to_string()).unwrap_or_default();
            Err(UserError::Contradiction { id: id(), number: text, extension })
        }
        Number::Telephone { e164, extension: own } => Ok(Number::Telephone { e164, extension: own.or(extension) }),
        alone @ Number::Extension(_) => Ok(alone),
    }
}

fn extension(text: &str) -> Option<Digits> {
    Digits::new(text.as_bytes()).filter(|digits| digits.is_decimal() && digits.len() <= MAX_EXTENSION)
}

/// The user's site: the one that the record names, or the tenant's only one.
fn home(record: &UserRecord, tenant: &Tenant, sites: &Sites) -> Result<Option<u32>, UserError> {
    match record.site.as_deref().map(str::trim).filter(|site| !site.is_empty()) {
        Some(site) => {
            let own = sites.find(site.as_bytes()).filter(|index| tenant.sites.contains(index));
            let none =
                || UserError::Site { id: record.id.clone(), site: site.to_owned(), tenant: tenant.id.to_string() };
            own.map(Some).ok_or_else(none)
        }
        None => Ok(match *tenant.sites {
            [only] => Some(only),
            _ => None,
        }),
    }
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
    /// How many calls it may have.
    pub limits: Option<Arc<CallLimits>>,
    /// How many calls each of its users may have, by id; the empty id stands for all that are not named.
    pub user_limits: BTreeMap<Box<str>, Arc<CallLimits>>,
    /// Removed at run time: nothing of it is found any more, though a configuration still names it.
    pub removed: bool,
    /// By [`UserId`], ascending by id.
    users: Arc<[Arc<User>]>,
    index: Arc<Users>,
}

impl Tenant {
    /// A tenant of nothing but a name and a numbering plan.
    pub fn new(id: impl Into<Arc<str>>, numbering: NumberingPlan) -> Self {
        Self { id: id.into(), numbering, ..Self::default() }
    }

    /// Replaces the users; their order is that of their ids.
    #[must_use]
    pub fn with_users(mut self, users: Vec<User>) -> Self {
        let mut users: Vec<Arc<User>> = users.into_iter().map(Arc::new).collect();
        users.sort_by(|a, b| a.record.id.cmp(&b.record.id));
        self.index = index(&users);
        self.users = users.into();
        self
    }

    /// The same tenant with some users put, or removed where there is `None`, by id.
    #[must_use]
    pub(super) fn with_changes(&self, changes: BTreeMap<String, Option<User>>) -> Self {
        let mut users = Vec::with_capacity(self.users.len() + changes.len());
        let mut left = self.users.iter().peekable();
        // A switch of where calls ring moves nobody and changes no number: then the index stays.
        let mut same_numbers = true;
        for (id, change) in changes {
            while let Some(user) = left.next_if(|user| user.record.id < id) {
                users.push(Arc::clone(user));
            }
            let old = left.next_if(|user| user.record.id == id);
            while left.next_if(|user| user.record.id == id).is_some() {
                same_numbers = false;
            }
            same_numbers &= match (old, &change) {
                (Some(old), Some(new)) => old.numbers == new.numbers,
                (None, None) => true,
                _ => false,
            };
            users.extend(change.map(Arc::new));
        }
        users.extend(left.cloned());
        let index = if same_numbers { Arc::clone(&self.index) } else { index(&users) };
        Self { users: users.into(), index, ..self.clone() }
    }

    /// Whose number it is.
    pub fn lookup(&self, number: &Number) -> Lookup {
        self.index.find(number)
    }

    /// The user of an id that [`Tenant::lookup`] gave.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(id as usize).map(|user| &**user)
    }

    /// Whether any of its users is limited.
    pub fn has_user_limits(&self) -> bool {
        !self.user_limits.is_empty()
    }

    /// The user of a number as it stands in a URI, and how many calls that user may have.
    pub fn limits_of_user(&self, user: &[u8]) -> Option<(&str, &CallLimits)> {
        let id = &*self.user_of(user)?.record.id;
        let limits = self.user_limits.get(id).or_else(|| self.user_limits.get(""))?;
        Some((id, limits))
    }

    /// The user of a number as it stands in a URI.
    pub fn user_of(&self, user: &[u8]) -> Option<&User> {
        let number = self.numbering.read(std::str::from_utf8(user).ok()?).number;
        match self.lookup(&number) {
            Lookup::User(id) => self.user(id),
            _ => None,
        }
    }

    /// All users, ascending by id.
    pub fn users(&self) -> &[Arc<User>] {
        &self.users
    }

    /// The user of an id.
    pub fn named(&self, id: &str) -> Option<&User> {
        let at = self.users.binary_search_by(|user| (*user.record.id).cmp(id)).ok()?;
        self.user(u32::try_from(at).ok()?)
    }
}

fn index(users: &[Arc<User>]) -> Arc<Users> {
    let numbers = (0..).zip(users).flat_map(|(id, user)| user.numbers.iter().map(move |number| (number, id)));
    Arc::new(Users::new(numbers))
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

#[cfg(test)]
mod tests;
