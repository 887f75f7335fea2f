//! Changes at run time, as they are asked for and as they are recorded.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::prefixes::PrefixError;

/// Changes that are made all or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The caller's name for it: a batch whose id was seen before changes nothing.
    pub id: String,
    /// Who asks for it.
    pub who: String,
    /// When, in milliseconds since 1970 UTC.
    pub when: u64,
    pub edits: Vec<Edit>,
}

/// One change that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Adds a rule, or gives the one of this plan, prefix and owner another tag.
    Put { plan: String, prefix: String, owner: String, tag: String, active: bool },
    /// Removes the rule of this plan, prefix and owner.
    Remove { plan: String, prefix: String, owner: String },
    /// Removes all rules of an owner, in every plan.
    RemoveOwner { owner: String },
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

/// A batch that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub who: String,
    /// In milliseconds since 1970 UTC.
    pub when: u64,
    /// The id of the batch that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<String>,
    pub changes: Vec<Change>,
}

impl Record {
    /// The changes that take it back.
    pub fn inverse(&self) -> Vec<Change> {
        let back = |change: &Change| Change { old: change.new.clone(), new: change.old.clone(), ..change.clone() };
        self.changes.iter().rev().map(back).collect()
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
    #[error("dial plan `{plan}`: the rule `{prefix}` of owner `{owner}` has changed since")]
    ChangedSince { plan: String, prefix: String, owner: String },
    #[error("there is no change `{0}`")]
    UnknownChange(String),
    #[error("there is no room for more rules: the limit is {0}")]
    Full(usize),
    #[error("{0} changes wait to be folded in: no more are taken until they are")]
    Pending(usize),
    #[error("a batch needs an id")]
    NoId,
}
