//! Endpoints: records of calls that are over.

mod time;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::{Caller, Need, Routes};
use super::fault::Fault;
use super::listing;
use super::routes::{Desk, Reply};
use crate::call::CallId;
use crate::call::id::NoCallId;

/// What stands behind these endpoints: records of calls that are over.
pub trait History: Send + Sync + 'static {
    /// Records that fit, the newest first.
    ///
    /// # Errors
    /// [`HistoryRefusal`] when there is no history, or it cannot be read.
    fn history(&self, ask: &HistoryAsk) -> Result<HistoryPage, HistoryRefusal>;

    /// The records of a call; more than one when it was transferred.
    ///
    /// # Errors
    /// [`HistoryRefusal`].
    fn history_of(&self, call: CallId) -> Result<Vec<Value>, HistoryRefusal>;
}

/// Which records are asked for; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryAsk {
    /// The id of a user: whatever number or extension they have now.
    pub user: Option<String>,
    /// Who called or was called, as any side wrote it.
    pub number: Option<String>,
    pub tenant: Option<String>,
    /// The trunk of either side.
    pub trunk: Option<String>,
    /// When the call began, in milliseconds since 1970 UTC: at this time or later.
    pub since: Option<u64>,
    /// Before this time.
    pub until: Option<u64>,
    /// An outcome, or `answered` or `failed`.
    pub outcome: Option<String>,
    pub limit: usize,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// A page of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HistoryPage {
    pub records: Vec<Value>,
    /// What to ask for the next page with; `None`: this is the last. A page may have fewer records than were asked for.
    pub next: Option<String>,
}

/// Why there are no records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryRefusal {
    #[error("there is no history: it needs `history = true` in [records] and a `dir` in [state]")]
    Off,
    #[error("the history is being opened: ask again in a while")]
    Opening,
    #[error("{0}")]
    BadAsk(String),
    #[error("the history cannot be read: {0}")]
    Failed(String),
}

impl From<HistoryRefusal> for Fault {
    fn from(refusal: HistoryRefusal) -> Self {
        let (status, error) = match &refusal {
            HistoryRefusal::Off => (StatusCode::NOT_FOUND, "no_history"),
            HistoryRefusal::Opening => (StatusCode::SERVICE_UNAVAILABLE, "opening"),
            HistoryRefusal::BadAsk(_) => (StatusCode::BAD_REQUEST, "bad_query"),
            HistoryRefusal::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "history_failed"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    user: Option<String>,
    number: Option<String>,
    tenant: Option<String>,
    trunk: Option<String>,
    since: Option<String>,
    until: Option<String>,
    outcome: Option<String>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<String>,
}

impl HistoryQuery {
    fn ask(self) -> Result<HistoryAsk, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let moment = |key: &str, text: Option<String>| match text {
            Some(text) => time::moment(&text, now).map(Some).ok_or_else(|| {
                let detail = format!("`{key}`: a time is 2026-11-22, 2026-11-22T10:15:00Z, or an age as 2h");
                Fault::bad("bad_query", detail)
            }),
            None => Ok(None),
        };
        Ok(HistoryAsk {
            since: moment("since", self.since)?,
            until: moment("until", self.until)?,
            user: self.user,
            number: self.number,
            tenant: self.tenant,
            trunk: self.trunk,
            outcome: self.outcome,
            limit: listing::page(self.limit),
            after: self.after,
        })
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    let need = Need::READ.in_tenants();
    Routes::new().get("/v1/history", need, list).get("/v1/history/{call}", need, one)
}

async fn list(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Reply<Response> {
    let Query(mut query) = query?;
    // Who has several tenants says which one is meant.
    query.tenant = query.tenant.or_else(|| caller.only_tenant().map(str::to_owned));
    caller.must_see(query.tenant.as_deref().unwrap_or_default())?;
    let ask = query.ask()?;
    Ok(Json(desk.aside(move |control| Ok(control.history(&ask)?)).await?).into_response())
}

async fn one(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    call: Result<Path<String>, PathRejection>,
) -> Reply<Response> {
    let Path(text) = call?;
    let call: CallId = text.parse().map_err(|error: NoCallId| Fault::bad("bad_call", error.to_string()))?;
    let mut records = desk.aside(move |control| Ok(control.history_of(call)?)).await?;
    records.retain(|record| caller.sees(record.get("tenant").and_then(Value::as_str).unwrap_or_default()));
    if records.is_empty() {
        return Err(Fault::missing("unknown_call", format!("the history has no call {call}")));
    }
    Ok(Json(HistoryPage { records, next: None }).into_response())
}
