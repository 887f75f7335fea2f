//! The people of a tenant: user records, the CSV files that hold them, and tenants' short names. Pure.
//!
//! A user file may hold the passwords that the edge registers with. They are kept apart in [`Credentials`], which does
//! not show them, and [`masked`] makes a text of the file that is fit for faults.

pub mod line;
mod mask;
mod rows;
mod short_name;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use mask::masked;
pub use rows::{Column, UserRow, UserRowError, UserRowFault, UserRows};
pub use short_name::{ShortName, ShortNameError};

/// Where calls for a user ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lives {
    /// In Teams alone.
    #[default]
    Teams,
    /// On the PBX alone.
    Pbx,
    /// On the PBX at once and in Teams after the coverage delay.
    Both,
}

/// What stands behind a user's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    #[default]
    Person,
    /// An auto attendant or a call queue.
    Resource,
}

/// A word that names no value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write {0}")]
pub struct UnknownWord(pub &'static str);

impl Lives {
    /// The word that stands in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::Pbx => "pbx",
            Self::Both => "both",
        }
    }
}

impl FromStr for Lives {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Teams, Self::Pbx, Self::Both];
        let known = all.into_iter().find(|lives| text.eq_ignore_ascii_case(lives.word()));
        known.ok_or(UnknownWord("`teams`, `pbx` or `both`"))
    }
}

impl fmt::Display for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl UserKind {
    /// The word that stands in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Resource => "resource",
        }
    }
}

impl FromStr for UserKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Person, Self::Resource];
        let known = all.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.word()));
        known.ok_or(UnknownWord("`person` or `resource`"))
    }
}

impl fmt::Display for UserKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A user of a tenant, as files and the configuration write it; it has a number, an extension, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// What the user is known by, such as an e-mail address; unique in a tenant.
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Telephone number, in any form that the tenant's numbering plan reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub lives: Lives,
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: UserKind,
    /// FQDN of the user's site; `None`: the tenant's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// How long the PBX rings alone before Teams does, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub coverage_delay_s: u16,
    /// What the PBX knows the user by: `user.host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pbx_identity: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the edge registers a user at the PBX with; both empty when it does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    /// Secret: neither `Debug` nor serialization shows it.
    pub password: String,
}

impl Credentials {
    /// Whether the edge does not register the user.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.password.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_empty() { "" } else { "***" };
        f.debug_struct("Credentials").field("user", &self.user).field("password", &password).finish()
    }
}

/// A value cannot stand in a file of lines.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("user `{id}`: `{column}` has a line break or another control character")]
pub struct Unwritable {
    pub id: String,
    pub column: &'static str,
}

/// Users as a file with a header line, all columns in their usual order; [`UserRows`] reads it again.
pub fn user_file<'u>(users: impl IntoIterator<Item = (&'u UserRecord, &'u Credentials)>) -> Result<String, Unwritable> {
    let names: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
    let mut text = names.join(",");
    text.push('\n');
    for (user, credentials) in users {
        for (index, column) in Column::ALL.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            let delay;
            let value = match column {
                Column::Id => &*user.id,
                Column::Name => &user.name,
                Column::Number => user.number.as_deref().unwrap_or_default(),
                Column::Extension => user.extension.as_deref().unwrap_or_default(),
                Column::Lives => user.lives.word(),
                Column::Kind => user.kind.word(),
                Column::Site => user.site.as_deref().unwrap_or_default(),
                Column::CoverageDelay => {
                    delay = user.coverage_delay_s.to_string();
                    &delay
                }
                Column::PbxIdentity => user.pbx_identity.as_deref().unwrap_or_default(),
                Column::RegisterUser => &credentials.user,
                Column::RegisterPassword => &credentials.password,
            };
            if value.chars().any(char::is_control) {
                return Err(Unwritable { id: user.id.clone(), column: column.name() });
            }
            line::push(&mut text, value);
        }
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
