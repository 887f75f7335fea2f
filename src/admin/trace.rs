//! Endpoints: messages of calls, as the edge saw them.

mod lines;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Receiver;

use super::access::{Caller, Need, Routes};
use super::fault::Fault;
use super::routes::{Desk, Reply};
use lines::Lines;

/// What stands behind these endpoints: messages of calls, as the edge saw them.
pub trait Trace: Send + Sync + 'static {
    /// Calls of which messages are kept, the one that was heard of last first.
    ///
    /// # Errors
    /// [`NoTrace::Off`] when none are kept.
    fn traces(&self, query: &TraceQuery) -> Result<TracePage, NoTrace>;

    /// What passed of a call, given by its id or by the Call-ID of one of its legs.
    ///
    /// # Errors
    /// [`NoTrace`].
    fn trace(&self, call: &str, look: TraceLook) -> Result<TraceShown, NoTrace>;

    /// The same as a capture file (pcapng).
    ///
    /// # Errors
    /// [`NoTrace`].
    fn trace_capture(&self, call: &str, look: TraceLook) -> Result<Vec<u8>, NoTrace>;

    /// Lines of JSON, a [`TraceLine`] each, of calls that begin from now on: those with a number, or `all`. Needs a
    /// runtime; ends when the receiver is dropped.
    ///
    /// # Errors
    /// [`NoTrace`].
    fn follow(&self, whom: &str, look: TraceLook) -> Result<Receiver<Bytes>, NoTrace>;
}

/// Why there is nothing to be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrace {
    #[error("no messages are kept: `ring_bytes` of [trace] is 0")]
    Off,
    #[error("nothing is kept of call `{0}`: it is none, it was too long ago, or it was not chosen under load")]
    Unknown(String),
    #[error("`{0}` is neither `all` nor a number")]
    BadNumber(String),
    #[error("{0}")]
    TooMany(String),
}

impl From<NoTrace> for Fault {
    fn from(no: NoTrace) -> Self {
        let (status, error) = match &no {
            NoTrace::Off => (StatusCode::CONFLICT, "trace_off"),
            NoTrace::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_trace"),
            NoTrace::BadNumber(_) => (StatusCode::BAD_REQUEST, "bad_number"),
            NoTrace::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_followers"),
        };
        Self::new(status, error, no.to_string())
    }
}

/// Which calls are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// On either side.
    pub number: Option<String>,
    /// On either side.
    pub trunk: Option<String>,
    pub tenant: Option<String>,
    /// `failed`, `up`, or an outcome such as `refused`.
    pub result: Option<String>,
    #[serde(default, deserialize_with = "super::listing::limit")]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// How much of messages is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceLook {
    /// The messages themselves.
    pub messages: bool,
    /// With keys, credentials, tokens and all bodies.
    pub unredacted: bool,
}

/// A call of which messages are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    pub call: String,
    /// When its first message came (RFC 3339).
    pub began: String,
    /// Nothing of its beginning has gone.
    pub whole: bool,
    pub messages: usize,
    /// Bytes of these messages.
    pub bytes: u64,
    /// The trunk that called.
    pub from: Option<String>,
    pub to: Option<String>,
    pub caller: Option<String>,
    pub called: Option<String>,
    pub tenant: Option<String>,
    /// How it ended; `None`: it goes on, or nobody noted it.
    pub outcome: Option<String>,
    pub failed: bool,
    pub status: Option<u16>,
}

/// A page of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePage {
    pub traces: Vec<TraceSummary>,
    /// What to ask for the next page with; `None`: this is the last.
    pub next: Option<String>,
}

/// What passed of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceShown {
    pub call: String,
    /// The Call-IDs of its legs, in the order in which they were seen.
    pub call_ids: Vec<String>,
    /// The edge's own name.
    pub node: String,
    /// Nothing of its beginning has gone.
    pub whole: bool,
    /// Secrets are hidden.
    pub redacted: bool,
    /// When its first message came (RFC 3339).
    pub began: String,
    /// As the first message has them in From and To.
    pub caller: Option<String>,
    pub called: Option<String>,
    /// Who the edge spoke with, the caller first.
    pub peers: Vec<TracePeer>,
    pub messages: Vec<TraceMessage>,
    pub ended: Option<TraceEnd>,
}

/// A peer of the edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePeer {
    /// What it is called in the ladder.
    pub name: String,
    pub trunk: Option<String>,
    pub address: String,
}

/// A message of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMessage {
    /// Microseconds since the first message of the call.
    pub at_us: u64,
    /// RFC 3339.
    pub time: String,
    /// Index in `peers`.
    pub peer: usize,
    /// It came to the edge; otherwise the edge sent it.
    pub received: bool,
    pub transport: String,
    pub listener: String,
    pub local: String,
    pub remote: String,
    pub call_id: String,
    /// Method of a request.
    pub method: Option<String>,
    /// Status of an answer, with its phrase.
    pub status: Option<u16>,
    pub phrase: Option<String>,
    pub cseq: String,
    /// It has a session description.
    pub sdp: bool,
    /// The same has passed before.
    pub again: bool,
    /// The value of Reason.
    pub reason: Option<String>,
    /// What Microsoft means by that.
    pub meaning: Option<String>,
    /// Bytes that it had.
    pub bytes: u32,
    /// Only its beginning is kept.
    pub cut: bool,
    /// The message itself, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEnd {
    pub at_us: u64,
    pub outcome: String,
    pub failed: bool,
    pub status: u16,
    /// All about it, a sentence each.
    pub words: Vec<String>,
}

/// A line of what is followed: a message of a call, how a call ended, or how many messages the follower was too slow for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    pub call: String,
    /// The peer's name.
    pub peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<TraceMessage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<TraceEnd>,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/traces", Need::READ, traces).get("/v1/traces/follow", Need::READ, follow).get(
        "/v1/traces/{call}",
        Need::READ,
        trace,
    )
}

async fn traces(State(desk): State<Desk>, query: Result<Query<TraceQuery>, QueryRejection>) -> Reply<Json<TracePage>> {
    let Query(query) = query?;
    Ok(Json(desk.aside(move |control| Ok(control.traces(&query)?)).await?))
}

/// How a call is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LookQuery {
    format: Option<Format>,
    #[serde(default)]
    messages: bool,
    #[serde(default)]
    unredacted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Pcap,
}

async fn trace(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    call: Result<Path<String>, PathRejection>,
    query: Result<Query<LookQuery>, QueryRejection>,
) -> Reply<Response> {
    let (Path(call), Query(LookQuery { format, messages, unredacted })) = (call?, query?);
    let look = TraceLook { messages, unredacted };
    if unredacted {
        admit_unredacted(&caller, &call)?;
    }
    if format == Some(Format::Pcap) {
        let file = desk.aside(move |control| Ok(control.trace_capture(&call, look)?)).await?;
        return Ok(([(header::CONTENT_TYPE, "application/x-pcapng")], file).into_response());
    }
    Ok(Json(desk.aside(move |control| Ok(control.trace(&call, look)?)).await?).into_response())
}

/// Whose calls are followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowQuery {
    /// A number, or `all`.
    number: String,
    #[serde(default)]
    messages: bool,
    #[serde(default)]
    unredacted: bool,
}

async fn follow(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<FollowQuery>, QueryRejection>,
) -> Reply<Response> {
    let Query(FollowQuery { number, messages, unredacted }) = query?;
    if unredacted {
        admit_unredacted(&caller, &number)?;
    }
    let lines = desk.control.follow(&number, TraceLook { messages, unredacted })?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(Lines(lines))).into_response())
}

/// Who sees secrets must be let to, and is written down.
fn admit_unredacted(caller: &Caller, what: &str) -> Reply<()> {
    caller.may(Need::ADMIN)?;
    let what: String = what.chars().filter(|letter| !letter.is_control()).take(256).collect();
    tracing::warn!(who = caller.label(), what, "messages are shown with their secrets");
    Ok(())
}
