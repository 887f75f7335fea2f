//! `[tenant.ID.directory]`: users read from Entra ID.

use std::sync::Arc;
use std::time::Duration;

use crate::routing::people::Lives;

/// How a tenant's users are read from Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The object id of the group whose members are read; `None`: the whole tenant.
    pub group: Option<Arc<str>>,
    pub interval: Duration,
    /// The field that names a user, `displayName`.
    pub name: Arc<str>,
    /// Fields with numbers and the suffix that entries made of them get.
    pub numbers: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Teams' own assignments are preferred over the fields.
    pub teams_numbers: bool,
    pub new: bool,
    pub update: bool,
    pub delete: bool,
    /// A run that would delete more than this share of the users, in percent, stops and asks.
    pub max_delete_percent: u8,
    pub max_users: usize,
    pub rules: Vec<GroupRule>,
}

/// How members of a group are provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Object id.
    pub group: Arc<str>,
    pub lives: Lives,
    /// The first extension that is dealt out.
    pub first_extension: Option<Arc<str>>,
    /// The field that holds the extension.
    pub extension_field: Option<Arc<str>>,
}
