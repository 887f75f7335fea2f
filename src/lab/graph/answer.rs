//! Answers as Graph and the login service write them.

use serde_json::{Value, json};

use super::text::guid;

/// An answer before it is put on the wire or into a batch.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Answer {
    /// Done, with nothing to say.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    /// An error of Graph.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let date = jiff::Timestamp::now().to_string();
        let inner = json!({ "date": date, "request-id": guid(), "client-request-id": guid() });
        Self::json(status, json!({ "error": { "code": code, "message": message, "innerError": inner } }))
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Told to wait so many seconds.
    pub(super) fn throttled(retry_after: Option<f64>) -> Self {
        let message = "Too many requests. Please try again after the time that Retry-After says.";
        let answer = Self::error(429, "TooManyRequests", message);
        match retry_after {
            Some(seconds) => answer.with("retry-after", seconds_text(seconds)),
            None => answer,
        }
    }

    /// What a switched-on error says.
    pub(super) fn trouble(code: u16, retry_after: Option<f64>) -> Self {
        if code == 429 {
            return Self::throttled(retry_after);
        }
        let (word, message) = match code {
            400 => ("BadRequest", "The request is not understood."),
            401 => ("InvalidAuthenticationToken", "Access token validation failure."),
            403 => ("Forbidden", "The request is not allowed."),
            404 => ("ResourceNotFound", "Resource not found."),
            503 => ("ServiceUnavailable", "The service is not available for the moment."),
            504 => ("GatewayTimeout", "A service behind did not answer in time."),
            _ => ("InternalServerError", "An error has occurred."),
        };
        let answer = Self::error(code, word, message);
        match retry_after {
            Some(seconds) => answer.with("retry-after", seconds_text(seconds)),
            None => answer,
        }
    }
}

/// Seconds as `Retry-After` carries them: whole, or with up to three places.
pub(super) fn seconds_text(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
