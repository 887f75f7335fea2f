//! Users as files and changes at run time write them.

use serde::{Deserialize, Serialize};

/// Where a user's calls ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lives {
    #[default]
    Teams,
    Pbx,
    Both,
}

/// What a user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    #[default]
    Person,
    Resource,
}

/// A user of a tenant, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    pub id: String,
    pub name: String,
    pub number: Option<String>,
    pub extension: Option<String>,
    pub lives: Lives,
    pub kind: UserKind,
    pub site: Option<String>,
    pub coverage_delay_s: u16,
    pub pbx_identity: Option<String>,
}
