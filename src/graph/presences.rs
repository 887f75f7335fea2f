//! Presence of users: written one by one, and read many at a time (B2, B3).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Answer;
use super::fault::{Fault, Permission};
use super::settings::Call;
use super::{Graph, Write};
use crate::presence::{Availability, Session, TeamsPresence};

/// Ids that one request may ask for.
pub const MAX_POLLED: usize = 650;

/// Bytes of an activity or a sequence number that are kept.
const MAX_WORD: usize = 64;

/// What a user's presence was told to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPresence {
    /// The object id in Entra, in lower case.
    pub id: Arc<str>,
    pub presence: TeamsPresence,
}

/// One of the pairs that `setUserPreferredPresence` takes (B2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preferred {
    Available,
    Away,
    BeRightBack,
    Busy,
    DoNotDisturb,
    Offline,
}

impl Preferred {
    /// Availability and activity, as Graph spells them.
    const fn pair(self) -> (&'static str, &'static str) {
        match self {
            Self::Available => ("Available", "Available"),
            Self::Away => ("Away", "Away"),
            Self::BeRightBack => ("BeRightBack", "BeRightBack"),
            Self::Busy => ("Busy", "Busy"),
            Self::DoNotDisturb => ("DoNotDisturb", "DoNotDisturb"),
            Self::Offline => ("Offline", "OffWork"),
        }
    }
}

impl Graph {
    /// Sets the application's session of a user; it is gone after `expires`, five minutes to four hours.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn set_presence(&self, user: &str, session: Session, expires: Duration) -> Result<(), Fault> {
        self.write(&Write { user: user.into(), session: Some(session), expires }).await
    }

    /// Takes the application's session of a user away; that there is none is no fault.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn clear_presence(&self, user: &str) -> Result<(), Fault> {
        self.write(&Write { user: user.into(), session: None, expires: Duration::ZERO }).await
    }

    /// Writes one user's session.
    pub(super) async fn write(&self, write: &Write) -> Result<(), Fault> {
        let call = if write.session.is_some() { Call::SetPresence } else { Call::ClearPresence };
        let (url, body) = (write.url()?, write.body(&self.settings.client));
        let answer = self.post(call, Permission::WritePresence, &url, &body).await;
        match (answer, write.session) {
            (Err(Fault::NotFound(_)), None) => Ok(()),
            (answer, _) => answer.map(drop),
        }
    }

    /// Sets what a user would have picked by hand; `None`: takes it away.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn set_preferred(&self, user: &str, preferred: Option<(Preferred, Duration)>) -> Result<(), Fault> {
        let user = segment(user)?;
        let (action, body) = match preferred {
            Some((preferred, expires)) => {
                let (availability, activity) = preferred.pair();
                let expires = duration(expires);
                (
                    "setUserPreferredPresence",
                    json!({"availability": availability, "activity": activity, "expirationDuration": expires}),
                )
            }
            None => ("clearUserPreferredPresence", json!({})),
        };
        let url = format!("/v1.0/users/{user}/presence/{action}");
        self.post(Call::PreferredPresence, Permission::WritePresence, &url, &body).await.map(drop)
    }

    /// Reads the presence of up to [`MAX_POLLED`] users by their object ids; Graph leaves out those that it does not know.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn presences(&self, ids: &[&str]) -> Result<Vec<UserPresence>, Fault> {
        if ids.len() > MAX_POLLED {
            return Err(Fault::Setup(format!(
                "{} ids are more than one request takes, which is {MAX_POLLED}",
                ids.len()
            )));
        }
        let url = "/v1.0/communications/getPresencesByUserId";
        let answer = self.post(Call::Presences, Permission::ReadPresence, url, &json!({"ids": ids})).await?;
        read_presences(&answer.body)
    }

    /// A POST with a JSON body to a path of Graph.
    pub(super) async fn post(
        &self,
        call: Call,
        permission: Permission,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Fault> {
        let url = format!("{}{path}", self.settings.base);
        self.ask(call, permission, || self.client.request(Method::POST, &url).json(body)).await
    }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    value: Vec<Entry<'a>>,
}

/// A presence as answers and notifications have it.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    availability: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    activity: Option<Cow<'a, str>>,
    #[serde(default, rename = "sequenceNumber")]
    sequence: Option<Value>,
}

impl Entry<'_> {
    /// The user's presence; `None`: whose it is stands nowhere, or nothing of it is told.
    pub(super) fn user(&self) -> Option<UserPresence> {
        let availability = self.availability.as_deref()?;
        if self.id.is_empty() || self.id.len() > MAX_WORD {
            return None;
        }
        let sequence: Option<Box<str>> = match &self.sequence {
            Some(Value::String(text)) => Some(word(text)),
            // Numbers are made as long as they can be, so that they sort as texts.
            Some(Value::Number(number)) => number.as_u64().map(|number| format!("{number:020}").into()),
            _ => None,
        };
        let presence = TeamsPresence {
            availability: Availability::read(availability),
            activity: word(self.activity.as_deref().unwrap_or_default()),
            sequence: sequence.filter(|sequence| !sequence.is_empty()),
        };
        Some(UserPresence { id: self.id.to_ascii_lowercase().into(), presence })
    }
}

fn word(text: &str) -> Box<str> {
    text.chars().filter(|sign| !sign.is_control()).take(MAX_WORD).collect::<String>().into()
}

fn read_presences(body: &[u8]) -> Result<Vec<UserPresence>, Fault> {
    let list: List<'_> = serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    Ok(list.value.iter().filter_map(Entry::user).collect())
}

/// An id as a segment of a path. Object ids and user principal names have nothing to escape.
pub(super) fn segment(id: &str) -> Result<&str, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@!~".contains(&byte);
    let good = !id.is_empty() && id.len() <= 256 && id.bytes().all(plain) && !id.trim_matches('.').is_empty();
    if good { Ok(id) } else { Err(Fault::Malformed(format!("{id:?} is no id of a user or group"))) }
}

/// A length of time as ISO 8601 writes it.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3_600) => format!("PT{}H", seconds / 3_600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("PT{}M", seconds / 60),
        seconds => format!("PT{seconds}S"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presences_are_read_whatever_they_hold() {
        let body = br#"{"@odata.context":"x","value":[
            {"id":"AA-1","availability":"Busy","activity":"InACall","sequenceNumber":"A0005","workLocation":null},
            {"id":"aa-2","availability":"busyidle","activity":null,"sequenceNumber":7},
            {"id":"aa-3","availability":"Dancing","activity":"Tango"},
            {"id":"","availability":"Busy"},{"id":"aa-4"}]}"#;
        let read = read_presences(body).unwrap();
        let told = |id: &str, availability, activity: &str, sequence: Option<&str>| UserPresence {
            id: id.into(),
            presence: TeamsPresence { availability, activity: activity.into(), sequence: sequence.map(Into::into) },
        };
        assert_eq!(
            read,
            [
                told("aa-1", Availability::Busy, "InACall", Some("A0005")),
                told("aa-2", Availability::BusyIdle, "", Some("00000000000000000007")),
                told("aa-3", Availability::Unknown, "Tango", None),
            ]
        );
        assert!(matches!(read_presences(b"{}"), Err(Fault::Malformed(_))));
    }

    #[test]
    fn times_and_ids_are_written_as_graph_wants_them() {
        for (seconds, text) in [(3_600, "PT1H"), (300, "PT5M"), (5_400, "PT90M"), (61, "PT61S"), (0, "PT0S")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(segment("alice@contoso.example").ok(), Some("alice@contoso.example"));
        for bad in ["", "a/b", "..", "a?b", "a b", "a%2fb"] {
            assert!(segment(bad).is_err(), "{bad}");
        }
    }
}
