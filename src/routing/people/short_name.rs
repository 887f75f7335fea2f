//! Short names of tenants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The short name of a tenant: a DNS label of 3 to 15 characters in lower case (RFC 1123 section 2.1), so that it can
/// be the first label of the tenant's FQDN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortName(Box<str>);

/// Why a text is no short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShortNameError {
    #[error("a short name has 3 to 15 characters")]
    Length,
    #[error("`{0}` cannot stand in a short name: it has lower-case letters, digits and hyphens")]
    Character(char),
    #[error("a short name neither begins nor ends with a hyphen")]
    Hyphen,
}

impl ShortName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShortName {
    type Err = ShortNameError;

    fn from_str(text: &str) -> Result<Self, ShortNameError> {
        let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
        if let Some(other) = text.chars().find(|c| !allowed(c)) {
            return Err(ShortNameError::Character(other));
        }
        if !(3..=15).contains(&text.len()) {
            return Err(ShortNameError::Length);
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(ShortNameError::Hyphen);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ShortName {
    type Error = ShortNameError;

    fn try_from(text: String) -> Result<Self, ShortNameError> {
        text.parse()
    }
}

impl From<ShortName> for String {
    fn from(name: ShortName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_a_label_of_three_to_fifteen() {
        for good in ["abc", "a-1", "365", "contoso-emea-uk", "abcdefghijklmno"] {
            assert_eq!(good.parse::<ShortName>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for (bad, error) in [
            ("", ShortNameError::Length),
            ("ab", ShortNameError::Length),
            ("abcdefghijklmnop", ShortNameError::Length),
            ("Contoso", ShortNameError::Character('C')),
            ("a.b", ShortNameError::Character('.')),
            ("a_b", ShortNameError::Character('_')),
            ("münchen", ShortNameError::Character('ü')),
            ("-abc", ShortNameError::Hyphen),
            ("abc-", ShortNameError::Hyphen),
        ] {
            assert_eq!(bad.parse::<ShortName>(), Err(error), "{bad}");
        }
        let name: ShortName = serde_json::from_str("\"abc\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"abc\"");
        assert!(serde_json::from_str::<ShortName>("\"ab\"").is_err());
    }
}
