//! A user as the directory has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of a value that are kept; longer ones are cut.
const MAX_VALUE: usize = 256;

/// A user of the directory, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// User principal name, in lower case; empty: there is none.
    #[serde(rename = "upn", default)]
    upn: Box<str>,
    /// In lower case; empty: there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    mail: Box<str>,
    #[serde(default)]
    enabled: bool,
    /// Values by field, without those that are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<(Box<str>, Box<str>)>,
    /// The number that Teams has assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams_number: Option<Box<str>>,
}

impl Default for Entry {
    /// Nobody yet; accounts are enabled unless the directory says otherwise.
    fn default() -> Self {
        Self { upn: "".into(), mail: "".into(), enabled: true, values: Vec::new(), teams_number: None }
    }
}

impl Entry {
    /// Takes what has changed; a field that is not there has not.
    pub fn take(&mut self, changes: &BTreeMap<String, Vec<String>>, fields: &[Arc<str>]) {
        let first = |name: &str| {
            let values = changes.get(name)?;
            Some(values.iter().map(|value| cleaned(value)).find(|value| !value.is_empty()).unwrap_or_default())
        };
        if let Some(value) = first("userPrincipalName") {
            self.upn = value.to_lowercase().into();
        }
        if let Some(value) = first("mail") {
            self.mail = value.to_lowercase().into();
        }
        if let Some(value) = first("accountEnabled") {
            self.enabled = value != "false";
        }
        for field in fields {
            // What is inside of something that was taken away is taken away with it.
            let around = || field.split_once('.').and_then(|(around, _)| first(around));
            if let Some(value) = first(field).or_else(around) {
                self.set(field, value);
            }
        }
    }

    fn set(&mut self, field: &str, value: String) {
        self.values.retain(|(known, _)| **known != *field);
        if !value.is_empty() {
            self.values.push((field.into(), value.into()));
        }
    }

    /// Whether the directory has told whose entry it is.
    pub fn is_known(&self) -> bool {
        !self.upn.is_empty() || !self.mail.is_empty()
    }

    /// Whether the account is enabled; one that is not counts as absent.
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// What the user is known by: user principal name, or else mail, in lower case.
    pub fn id(&self) -> Option<&str> {
        self.names().next()
    }

    /// All that the user is known by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mail = Some(&*self.mail).filter(|mail| **mail != *self.upn);
        [Some(&*self.upn), mail].into_iter().flatten().filter(|name| !name.is_empty())
    }

    /// The value of a field.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| **known == *field).map(|(_, value)| &**value)
    }
}

/// Without what breaks lines and tables.
fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_VALUE));
    for letter in text.trim().chars() {
        if clean.len() + letter.len_utf8() > MAX_VALUE {
            break;
        }
        clean.push(if letter.is_control() { ' ' } else { letter });
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTRIBUTE: &str = "onPremisesExtensionAttributes.extensionAttribute1";

    fn taken(entry: &mut Entry, changes: &[(&str, &[&str])]) {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let changes = changes.iter().map(|(name, all)| ((*name).to_owned(), values(all))).collect();
        entry.take(&changes, &["displayName", "businessPhones", ATTRIBUTE].map(Arc::from));
    }

    #[test]
    fn what_is_not_told_has_not_changed_and_what_is_empty_is_gone() {
        let mut entry = Entry::default();
        assert!(!entry.is_known());
        taken(
            &mut entry,
            &[
                ("userPrincipalName", &["Alice@Contoso.example"]),
                ("mail", &["a.smith@contoso.example"]),
                ("displayName", &[" Al\tice "]),
                ("businessPhones", &["", "+441632768401", "+441632768402"]),
                (ATTRIBUTE, &["401"]),
            ],
        );
        assert_eq!(entry.names().collect::<Vec<_>>(), ["alice@contoso.example", "a.smith@contoso.example"]);
        assert!(entry.is_enabled());
        assert_eq!(entry.value("displayName"), Some("Al ice"));
        assert_eq!((entry.value("businessPhones"), entry.value(ATTRIBUTE)), (Some("+441632768401"), Some("401")));
        let before = entry.clone();
        taken(&mut entry, &[("onPremisesExtensionAttributes.extensionAttribute2", &["x"]), ("surname", &["x"])]);
        assert_eq!(entry, before);
        taken(&mut entry, &[("businessPhones", &[]), ("mail", &[]), ("accountEnabled", &["false"])]);
        assert_eq!((entry.value("businessPhones"), entry.is_enabled()), (None, false));
        assert_eq!(entry.names().collect::<Vec<_>>(), ["alice@contoso.example"]);
        taken(&mut entry, &[("onPremisesExtensionAttributes", &[]), ("accountEnabled", &["true"])]);
        assert_eq!((entry.value(ATTRIBUTE), entry.is_enabled()), (None, true));
    }

    #[test]
    fn who_has_no_principal_name_is_known_by_mail() {
        let mut entry = Entry::default();
        taken(&mut entry, &[("mail", &["Bob@Contoso.example"]), ("displayName", &[&"é".repeat(400)])]);
        assert_eq!(entry.id(), Some("bob@contoso.example"));
        assert_eq!(entry.value("displayName").map(str::len), Some(MAX_VALUE));
    }
}
