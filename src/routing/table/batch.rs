//! Changes at run time, as they are asked for and as they are recorded.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::people::{Lives, UserRecord};
use super::super::prefixes::PrefixError;
use super::super::tenant::UserError;

/// Changes that are made all or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The caller's name for it: a batch whose id was seen before changes nothing.
    pub id: String,
    /// Who asks for it.
    #[serde(default)]
    pub who: String,
    /// When, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub when: u64,
    #[serde(default)]
    pub edits: Vec<Edit>,
}

/// One change that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Adds a rule, or gives the one of this plan, prefix and owner another tag.
    Put {
        plan: String,
        prefix: String,
        #[serde(default)]
        owner: String,
        tag: String,
        #[serde(default = "active")]
        active: bool,
    },
    /// Removes the rule of this plan, prefix and owner.
    Remove {
        plan: String,
        prefix: String,
        #[serde(default)]
        owner: String,
    },
    /// Removes all rules of an owner, in every plan.
    RemoveOwner { owner: String },
    /// Adds a user, or puts this record in the place of the one with its id.
    PutUser { tenant: String, user: UserRecord },
    /// Removes the user of an id.
    RemoveUser { tenant: String, user: String },
    /// Says where a user's calls ring.
    SetLives { tenant: String, user: String, lives: Lives },
    /// Makes these the tenant's users, and no others.
    ReplaceUsers { tenant: String, users: Vec<UserRecord> },
    /// Removes a tenant, its users, and in every plan the rules whose owner is the tenant's id, or the FQDN or its first
    /// label of one of the tenant's sites.
    RemoveTenant { tenant: String },
    /// Takes a tenant that was removed back, without users and rules; [`super::super::Routing::revert`] brings those.
    RestoreTenant { tenant: String },
}

const fn active() -> bool {
    true
}

/// What may change of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub tag: String,
    pub active: bool,
}

/// One change that was made; `None`: there was, or is, no such rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub plan: String,
    pub prefix: String,
    pub owner: String,
    pub old: Option<State>,
    pub new: Option<State>,
}

/// One change of a user that was made; `None`: there was, or is, no such user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange {
    pub tenant: String,
    /// The user's id.
    pub user: String,
    pub old: Option<UserRecord>,
    pub new: Option<UserRecord>,
}

/// A tenant that was removed, or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantChange {
    pub tenant: String,
    /// Whether it is removed now; it was the opposite before.
    pub removed: bool,
}

/// A batch that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// Its number among all batches, from one; zero in journals that have none.
    #[serde(default)]
    pub revision: u64,
    pub who: String,
    /// In milliseconds since 1970 UTC.
    pub when: u64,
    /// The id of the batch that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<String>,
    /// Changes of rules.
    #[serde(default)]
    pub changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantChange>,
}

impl Record {
    /// How many single changes it has.
    pub const fn len(&self) -> usize {
        self.changes.len() + self.users.len() + self.tenants.len()
    }

    /// Whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The changes of rules that take it back.
    pub fn inverse(&self) -> Vec<Change> {
        let back = |change: &Change| Change { old: change.new.clone(), new: change.old.clone(), ..change.clone() };
        self.changes.iter().rev().map(back).collect()
    }

    /// The changes of users that take it back.
    pub fn inverse_users(&self) -> Vec<UserChange> {
        let back =
            |change: &UserChange| UserChange { old: change.new.clone(), new: change.old.clone(), ..change.clone() };
        self.users.iter().rev().map(back).collect()
    }

    /// The changes of tenants that take it back.
    pub fn inverse_tenants(&self) -> Vec<TenantChange> {
        let back = |change: &TenantChange| TenantChange { removed: !change.removed, ..change.clone() };
        self.tenants.iter().rev().map(back).collect()
    }
}

/// Why a batch is not made; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    #[error("there is no dial plan `{0}`")]
    UnknownPlan(String),
    #[error("prefix `{prefix}`: {error}")]
    Prefix { prefix: String, error: PrefixError },
    #[error("the prefix is empty")]
    EmptyPrefix,
    #[error("dial plan `{plan}` has no rule `{prefix}` of owner `{owner}`")]
    Missing { plan: String, prefix: String, owner: String },
    #[error("dial plan `{plan}`: `{prefix}` leads to `{known}` by a rule of owner `{of}`, not to `{tag}`")]
    Conflict { plan: String, prefix: String, tag: String, known: String, of: String },
    #[error("tag `{0}` is neither a site's FQDN nor a trunk")]
    UnknownTag(String),
    #[error("there is no tenant `{0}`")]
    UnknownTenant(String),
    #[error("tenant `{tenant}` has no user `{user}`")]
    UnknownUser { tenant: String, user: String },
    #[error("tenant `{tenant}`: {error}")]
    User { tenant: String, error: UserError },
    #[error("tenant `{tenant}`: user `{user}` is there twice")]
    UserTwice { tenant: String, user: String },
    #[error("dial plan `{plan}`: the rule `{prefix}` of owner `{owner}` has changed since")]
    ChangedSince { plan: String, prefix: String, owner: String },
    #[error("tenant `{tenant}`: user `{user}` has changed since")]
    UserChangedSince { tenant: String, user: String },
    #[error("tenant `{0}` was removed or taken back since")]
    TenantChangedSince(String),
    #[error("there is no change `{0}`")]
    UnknownChange(String),
    #[error("there is no room for more rules: the limit is {0}")]
    Full(usize),
    #[error("there is no room for more users: the limit is {0}")]
    FullOfUsers(usize),
    #[error("{0} changes wait to be folded in: no more are taken until they are")]
    Pending(usize),
    #[error("a batch needs an id")]
    NoId,
}
