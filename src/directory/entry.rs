//! A user as the directory has it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// Takes what has changed; a property that is not there has not.
    pub fn take(&mut self, properties: &Map<String, Value>, fields: &[Arc<str>]) {
        if let Some(value) = properties.get("userPrincipalName") {
            self.upn = text(value).to_lowercase().into();
        }
        if let Some(value) = properties.get("mail") {
            self.mail = text(value).to_lowercase().into();
        }
        if let Some(value) = properties.get("accountEnabled") {
            self.enabled = value.as_bool().unwrap_or(true);
        }
        for field in fields {
            let (first, inner) = field.split_once('.').map_or((&**field, None), |(first, inner)| (first, Some(inner)));
            let Some(value) = properties.get(first) else { continue };
            let value = match inner {
                // Of a property that has properties, those that are not there have not changed.
                Some(inner) if value.is_object() => match value.get(inner) {
                    Some(value) => value,
                    None => continue,
                },
                _ => value,
            };
            self.set(field, text(value));
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

/// A value as text; of a list, its first text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => cleaned(text),
        Value::Number(number) => number.to_string(),
        Value::Array(list) => list.iter().map(text).find(|text| !text.is_empty()).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Object(_) => String::new(),
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
    use serde_json::json;

    use super::*;

    fn taken(entry: &mut Entry, properties: Value) {
        let fields = ["displayName", "businessPhones", "onPremisesExtensionAttributes.extensionAttribute1"];
        let Value::Object(properties) = properties else { panic!("an object") };
        entry.take(&properties, &fields.map(Arc::from));
    }

    #[test]
    fn what_is_not_told_has_not_changed_and_null_is_gone() {
        let mut entry = Entry::default();
        assert!(!entry.is_known());
        taken(
            &mut entry,
            json!({
                "userPrincipalName": "Alice@Contoso.example", "mail": "a.smith@contoso.example", "displayName": " Al\tice ",
                "businessPhones": ["", "+441632768401"], "onPremisesExtensionAttributes": { "extensionAttribute1": 401 },
            }),
        );
        assert_eq!(entry.names().collect::<Vec<_>>(), ["alice@contoso.example", "a.smith@contoso.example"]);
        assert!(entry.is_enabled());
        assert_eq!(entry.value("displayName"), Some("Al ice"));
        assert_eq!(entry.value("businessPhones"), Some("+441632768401"));
        let before = entry.clone();
        taken(&mut entry, json!({ "onPremisesExtensionAttributes": { "extensionAttribute2": "x" } }));
        assert_eq!(entry, before);
        taken(&mut entry, json!({ "businessPhones": [], "mail": null, "accountEnabled": false }));
        assert_eq!((entry.value("businessPhones"), entry.is_enabled()), (None, false));
        assert_eq!(entry.names().collect::<Vec<_>>(), ["alice@contoso.example"]);
        taken(&mut entry, json!({ "onPremisesExtensionAttributes": null }));
        assert_eq!(entry.value("onPremisesExtensionAttributes.extensionAttribute1"), None);
    }

    #[test]
    fn who_has_no_principal_name_is_known_by_mail() {
        let mut entry = Entry::default();
        taken(&mut entry, json!({ "mail": "Bob@Contoso.example", "displayName": "é".repeat(400) }));
        assert_eq!(entry.id(), Some("bob@contoso.example"));
        assert_eq!(entry.value("displayName").map(str::len), Some(MAX_VALUE));
    }
}
