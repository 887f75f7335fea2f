//! Change notifications of presence (B4): what Graph posts, whether it is from Graph, and what is inside.
//!
//! Nothing that comes is believed before three things fit: the client state that was given with the subscription, tokens
//! that Microsoft has signed, and the signature of what is encrypted, which is looked at before it is decrypted.

mod decrypt;
mod keys;

use std::borrow::Cow;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::Deserialize;

use super::presences::Entry;
use super::{Secret, UserPresence};

pub use decrypt::{Decryptor, NotOpened};
pub use keys::{NotSigned, SigningKeys};

/// Notifications of one request that are looked at; Graph sends far fewer.
pub const MAX_NOTICES: usize = 10_000;

/// Tokens of one request that are looked at.
const MAX_TOKENS: usize = 100;

/// What is no list of notifications.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no list of notifications: {0}")]
pub struct NotNotices(String);

/// All that one request has told.
#[derive(Debug, Default)]
pub struct Notices {
    pub list: Vec<Notice>,
    /// Tokens that prove where it comes from.
    pub tokens: Vec<String>,
}

/// One notification.
#[derive(Debug)]
pub struct Notice {
    pub subscription: String,
    client_state: Secret,
    pub news: News,
}

/// What a notification tells.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// A user's presence, in clear.
    Plain(UserPresence),
    /// A user's presence, which the key opens.
    Encrypted(Encrypted),
    /// What has happened to the subscription itself.
    Lifecycle(Lifecycle),
    /// Something that has nothing in it for the edge.
    Nothing,
}

/// What has happened to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Graph wants to see the token again.
    ReauthorizationRequired,
    /// It is gone.
    Removed,
    /// Notifications were lost.
    Missed,
}

/// What is encrypted for the edge's certificate; all in Base64.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Encrypted {
    pub data: String,
    #[serde(rename = "dataSignature")]
    pub signature: String,
    #[serde(rename = "dataKey")]
    pub key: String,
    /// The name that the certificate was given with the subscription.
    #[serde(rename = "encryptionCertificateId")]
    pub certificate: String,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    value: Vec<Item<'a>>,
    #[serde(default, rename = "validationTokens")]
    tokens: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "subscriptionId")]
    subscription: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientState")]
    client_state: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "lifecycleEvent")]
    lifecycle: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "resourceData")]
    plain: Option<Entry<'a>>,
    #[serde(default, rename = "encryptedContent")]
    encrypted: Option<Encrypted>,
}

impl Notice {
    /// Whether it bears the secret that was given with the subscription; takes as long either way.
    pub fn bears(&self, client_state: &Secret) -> bool {
        verify_slices_are_equal(self.client_state.reveal().as_bytes(), client_state.reveal().as_bytes()).is_ok()
    }
}

/// Reads the body of a request to the webhook.
///
/// # Errors
/// [`NotNotices`].
pub fn parse(body: &[u8]) -> Result<Notices, NotNotices> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| NotNotices(error.to_string()))?;
    let mut tokens = body.tokens.unwrap_or_default();
    tokens.truncate(MAX_TOKENS);
    Ok(Notices { list: body.value.into_iter().take(MAX_NOTICES).map(notice).collect(), tokens })
}

/// Reads what was inside of an encrypted notification.
pub fn inside(text: &[u8]) -> Option<UserPresence> {
    serde_json::from_slice::<Entry<'_>>(text).ok()?.user()
}

fn notice(item: Item<'_>) -> Notice {
    let news = match (item.lifecycle.as_deref(), item.encrypted, item.plain) {
        (Some("reauthorizationRequired"), _, _) => News::Lifecycle(Lifecycle::ReauthorizationRequired),
        (Some("subscriptionRemoved"), _, _) => News::Lifecycle(Lifecycle::Removed),
        (Some("missed"), _, _) => News::Lifecycle(Lifecycle::Missed),
        (Some(_), _, _) => News::Nothing,
        (None, Some(encrypted), _) => News::Encrypted(encrypted),
        (None, None, Some(plain)) => plain.user().map_or(News::Nothing, News::Plain),
        (None, None, None) => News::Nothing,
    };
    let client_state = Secret::new(item.client_state.as_deref().unwrap_or_default());
    Notice { subscription: item.subscription.into_owned(), client_state, news }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::Availability;

    #[test]
    fn each_notification_of_a_request_is_read() {
        let body = br#"{"value":[
            {"subscriptionId":"s1","clientState":"secret","changeType":"updated","resource":"communications/presences/a",
             "tenantId":"t","resourceData":{"@odata.type":"x","id":"A","availability":"Away","activity":"Away"}},
            {"subscriptionId":"s2","resourceData":{"id":"a"},"encryptedContent":{"data":"d","dataSignature":"s",
             "dataKey":"k","encryptionCertificateId":"c","encryptionCertificateThumbprint":"t"}},
            {"subscriptionId":"s3","clientState":"secret","lifecycleEvent":"reauthorizationRequired"},
            {"subscriptionId":"s4","lifecycleEvent":"somethingNew"},
            {"subscriptionId":"s5","resourceData":{"id":"a"}}],"validationTokens":["t1"]}"#;
        let notices = parse(body).unwrap();
        assert_eq!(notices.tokens, ["t1"]);
        let [plain, encrypted, lifecycle, unknown, empty] = &notices.list[..] else { panic!("{notices:?}") };
        let News::Plain(user) = &plain.news else { panic!("{plain:?}") };
        assert_eq!((&*user.id, user.presence.availability), ("a", Availability::Away));
        assert!(plain.bears(&Secret::new("secret")) && !plain.bears(&Secret::new("secre")));
        assert!(!encrypted.bears(&Secret::new("secret")));
        assert!(matches!(&encrypted.news, News::Encrypted(inside) if inside.certificate == "c"));
        assert_eq!(lifecycle.news, News::Lifecycle(Lifecycle::ReauthorizationRequired));
        assert_eq!((&unknown.news, &empty.news), (&News::Nothing, &News::Nothing));
        assert!(!format!("{notices:?}").contains("\"secret\""));
        for bad in [&b"{}"[..], b"[]", b"{\"value\":1}", b""] {
            assert!(parse(bad).is_err());
        }
    }
}
