//! Where pages of a directory come from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// A directory that is read page by page. A link is opaque: it comes from the page before.
pub trait Pages: Send + Sync {
    /// What has changed of users since `link` was made, or all users where there is none, with these properties.
    fn users(
        &self,
        select: &[Arc<str>],
        link: Option<&str>,
    ) -> impl Future<Output = Result<Page<UserChange>, Fault>> + Send;

    /// The same for the direct members of a group.
    fn members(&self, group: &str, link: Option<&str>) -> impl Future<Output = Result<Page<Member>, Fault>> + Send;

    /// The telephone numbers that Teams has assigned to users, all of them.
    fn assignments(&self, link: Option<&str>) -> impl Future<Output = Result<Page<Assignment>, Fault>> + Send;
}

/// A page; it may be empty and yet have a next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The link of the next page; `None`: this was the last one.
    pub next: Option<Box<str>>,
    /// On the last page: the link that gives what changes from now on.
    pub since: Option<Box<str>>,
}

/// What is told of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// The object id.
    pub id: Box<str>,
    /// The user is deleted, for good or so that it can be restored.
    pub gone: bool,
    /// By name, as `displayName` or `onPremisesExtensionAttributes.extensionAttribute1`: what is not there has not changed,
    /// what is empty was taken away.
    pub fields: BTreeMap<String, Vec<String>>,
}

/// What is told of a member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The object id.
    pub id: Box<str>,
    pub gone: bool,
}

/// A number and who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The object id.
    pub user: Box<str>,
    pub number: Box<str>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The link is too old: everything must be read again.
    #[error("the directory no longer knows what was read before")]
    Stale,
    #[error("the directory asks to wait for {} s", after.as_secs())]
    Throttled { after: Duration },
    #[error("the directory has more than max_users = {0} users")]
    TooMany(usize),
    /// In words.
    #[error("{0}")]
    Failed(String),
}
