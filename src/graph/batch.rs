//! Up to twenty writes in one request (`$batch`, B5). Answers come in any order, each with a status, a fault and a wait of
//! its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Graph;
use super::answer::graph_fault;
use super::client::unix_now;
use super::fault::{Fault, Permission};
use super::presences::{duration, segment};
use super::retry_after;
use super::settings::Call;
use crate::presence::Session;

/// Requests that one batch may have.
pub const MAX_BATCH: usize = 20;

/// What is to be written of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The object id in Entra.
    pub user: Arc<str>,
    /// `None`: the session is taken away.
    pub session: Option<Session>,
    /// When Graph lets a session go by itself, five minutes to four hours.
    pub expires: Duration,
}

impl Write {
    /// The path, with the version of the API.
    pub(super) fn url(&self) -> Result<String, Fault> {
        let action = if self.session.is_some() { "setPresence" } else { "clearPresence" };
        Ok(format!("/v1.0/users/{}/presence/{action}", segment(&self.user)?))
    }

    /// The body; the session's id is the application's client id.
    pub(super) fn body(&self, client: &str) -> Value {
        match self.session {
            Some(session) => json!({
                "sessionId": client,
                "availability": session.availability(),
                "activity": session.activity(),
                "expirationDuration": duration(self.expires),
            }),
            None => json!({"sessionId": client}),
        }
    }
}

impl Graph {
    /// Writes up to [`MAX_BATCH`] users' sessions in one request; what came of each stands at its place. That there was no
    /// session to take away is no fault.
    ///
    /// # Errors
    /// [`Fault`] that befell the request as a whole: nothing was written.
    pub async fn write_many(&self, writes: &[Write]) -> Result<Vec<Result<(), Fault>>, Fault> {
        if let [single] = writes {
            // What concerns the user alone is the item's, as in a batch.
            return match self.write(single).await {
                Err(fault @ (Fault::NotFound(_) | Fault::Refused(_) | Fault::Gone(_) | Fault::Malformed(_))) => {
                    Ok(vec![Err(fault)])
                }
                Err(fault) => Err(fault),
                Ok(()) => Ok(vec![Ok(())]),
            };
        }
        if writes.len() > MAX_BATCH {
            return Err(Fault::Setup(format!(
                "{} writes are more than a batch takes, which is {MAX_BATCH}",
                writes.len()
            )));
        }
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let mut requests = Vec::with_capacity(writes.len());
        let mut unusable = Vec::new();
        for (id, write) in writes.iter().enumerate() {
            let url = match write.url() {
                Ok(url) => url,
                Err(fault) => {
                    unusable.push((id, fault));
                    continue;
                }
            };
            requests.push(json!({
                "id": id.to_string(),
                "method": "POST",
                // Relative to the version.
                "url": url.strip_prefix("/v1.0").unwrap_or(&url),
                "headers": {"Content-Type": "application/json"},
                "body": write.body(&self.settings.client),
            }));
        }
        let body = json!({"requests": requests});
        let answer = self.post(Call::Batch, Permission::WritePresence, "/v1.0/$batch", &body).await?;
        let mut results = answers(&answer.body, writes.len())?;
        for (result, write) in results.iter_mut().zip(writes) {
            if write.session.is_none() && matches!(result, Err(Fault::NotFound(_))) {
                *result = Ok(());
            }
        }
        for (id, fault) in unusable {
            if let Some(result) = results.get_mut(id) {
                *result = Err(fault);
            }
        }
        Ok(results)
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    responses: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Value,
}

impl Item<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        match value {
            Value::String(text) => Some(text.into()),
            Value::Number(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    fn result(&self) -> Result<(), Fault> {
        if matches!(self.status, 200..=299) {
            return Ok(());
        }
        let after = self.header("Retry-After").and_then(|value| retry_after::read(&value, unix_now()));
        let body = self.body.to_string();
        Err(graph_fault(self.status, body.as_bytes(), self.header("request-id").as_deref(), after))
    }
}

/// What came of `count` requests that were named by their places, from the body of a batch's answer. One without an answer
/// has failed.
///
/// # Errors
/// [`Fault::Malformed`].
pub fn answers(body: &[u8], count: usize) -> Result<Vec<Result<(), Fault>>, Fault> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let missing = || Err(Fault::Malformed("the batch's answer leaves this request out".to_owned()));
    let mut results: Vec<Result<(), Fault>> = (0..count).map(|_| missing()).collect();
    for item in &body.responses {
        let place = item.id.parse::<usize>().ok().and_then(|id| results.get_mut(id));
        if let Some(place) = place {
            *place = item.result();
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let body = br#"{"responses":[
            {"id":"2","status":429,"headers":{"Retry-After":"2.128"},"body":{"error":{"code":"TooManyRequests"}}},
            {"id":"0","status":200},
            {"id":"7","status":200},
            {"id":"1","status":404,"headers":{"request-id":"r1"},"body":{"error":{"code":"NotFound","message":"No."}}},
            {"id":"x","status":200},
            {"id":"3","status":503,"headers":{"retry-after":7},"body":null}]}"#;
        let results = answers(body, 5).unwrap();
        assert_eq!(results[0], Ok(()));
        let Err(Fault::NotFound(refusal)) = &results[1] else { panic!("{results:?}") };
        assert_eq!(refusal.to_string(), "404 NotFound, \"No.\" (request-id r1)");
        assert_eq!(results[2], Err(Fault::Throttled { retry_after: Some(Duration::from_millis(2_128)) }));
        assert!(matches!(&results[3], Err(Fault::Server { retry_after: Some(after), .. }) if after.as_secs() == 7));
        assert!(matches!(&results[4], Err(Fault::Malformed(_))));
        assert!(matches!(answers(b"{\"value\":[]}", 1), Err(Fault::Malformed(_))));
    }
}
