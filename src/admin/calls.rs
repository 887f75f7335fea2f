//! Endpoints: calls in progress and the limits that they count against.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::access::{Caller, Need, Routes, not_yours};
use super::fault::Fault;
use super::listing;
use super::routes::{Desk, Reply};
use crate::call::CallId;

/// What stands behind these endpoints: calls in progress and the limits that they count against.
pub trait Calls: Send + Sync + 'static {
    /// Calls in progress that pass a filter, at most so many, from a place on; and the place of the next.
    fn calls(&self, filter: &CallFilter, after: &str, limit: usize) -> (Vec<CallShown>, Option<String>);

    /// A call in progress with all that is known of it.
    fn call(&self, id: CallId) -> Option<CallShown>;

    /// Ends a call; gives what it was.
    ///
    /// # Errors
    /// [`NotEnded`]; the call goes on then.
    fn hang_up(&self, id: CallId) -> Result<CallShown, NotEnded>;

    /// All limits, and what counts against them.
    fn admission(&self) -> Vec<LimitShown>;
}

/// Which calls are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// The name of a trunk on either side.
    pub trunk: Option<String>,
    pub tenants: Option<Vec<String>>,
    /// What the caller's number or that which is called has in it.
    pub number: Option<String>,
    /// `ringing` or `up`.
    pub state: Option<CallState>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// Its INVITE has no final answer yet.
    #[default]
    Ringing,
    Up,
}

/// A call in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallShown {
    /// The same for all its legs, in logs, records and traces.
    pub id: String,
    pub state: CallState,
    pub caller: String,
    /// The number or name as it was dialled.
    pub called: String,
    /// The number or name as the last target got it.
    pub sent_to: String,
    /// The trunk that called.
    pub from: String,
    /// The trunk that is called, once there is one.
    pub to: Option<String>,
    pub tenant: Option<String>,
    pub site: Option<String>,
    /// Seconds in this state.
    pub for_s: u64,
    /// When the INVITE came, in milliseconds since 1970 UTC; `None`: a process before this one saw it.
    pub invited: Option<u64>,
    pub emergency: bool,
    /// One dialog end to end: the edge cannot hang up.
    pub transparent: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub details: Option<CallDetails>,
}

/// What is shown of one call that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallDetails {
    pub call_id: String,
    /// The target that is tried or has answered, as the configuration has it.
    pub target: Option<String>,
    /// Targets that were tried.
    pub tries: u8,
    /// From the INVITE to the first provisional answer other than 100, in milliseconds.
    pub rang_after_ms: Option<u64>,
    /// From the INVITE to the 200, in milliseconds.
    pub answered_after_ms: Option<u64>,
    pub transfers: u8,
    /// It was up before this process knew of it.
    pub relearned: bool,
    /// The limits that it counts against: `trunk carrier`.
    pub counts_at: Vec<String>,
    /// Both legs, the caller's first; empty unless the edge owns them and the call is up.
    pub legs: Vec<LegShown>,
}

/// One leg of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegShown {
    pub trunk: Option<String>,
    pub call_id: String,
    /// From or To of the peer, with its tag.
    pub peer: String,
    /// The Contact of the peer.
    pub target: String,
    /// The last CSeq number that the edge sent.
    pub sent_cseq: u32,
    /// Seconds until something is due of its session timer.
    pub timer_s: Option<u64>,
}

/// A limit, and what counts against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitShown {
    /// `trunk`, `tenant`, `site` or `user`.
    pub scope: &'static str,
    pub name: String,
    /// The profile that the limits come from.
    pub profile: Option<String>,
    /// Calls in progress that came from there, and that went there.
    pub calls_in: u32,
    pub calls_out: u32,
    pub max_calls: Option<u32>,
    pub max_calls_in: Option<u32>,
    pub max_calls_out: Option<u32>,
    pub max_calls_per_second: Option<u32>,
    /// From so many percent on there is a warning.
    pub soft_percent: Option<u8>,
    /// Whether as many are in progress.
    pub soft: bool,
    /// Calls that did not pass, since the process began.
    pub refused: u64,
    /// Times that the soft threshold was passed on the way up.
    pub soft_passed: u64,
}

/// Why a call goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnded {
    #[error("there is no call `{0}` in progress")]
    Unknown(CallId),
    #[error(
        "call `{0}` is one dialog between transparent trunks, which the edge cannot end: a side has to hang up; with \
         `transparent = false` on one of its trunks later calls can be ended here"
    )]
    Transparent(CallId),
}

impl From<NotEnded> for Fault {
    fn from(not: NotEnded) -> Self {
        match not {
            NotEnded::Unknown(_) => Self::missing("unknown_call", not.to_string()),
            NotEnded::Transparent(_) => Self::new(StatusCode::CONFLICT, "transparent_call", not.to_string()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallQuery {
    trunk: Option<String>,
    tenant: Option<String>,
    number: Option<String>,
    state: Option<CallState>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct CallPage {
    calls: Vec<CallShown>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitQuery {
    scope: Option<String>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct LimitPage {
    limits: Vec<LimitShown>,
    next: Option<String>,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/calls", Need::READ.in_tenants(), calls)
        .get("/v1/calls/{id}", Need::READ.in_tenants(), call)
        .post("/v1/calls/{id}/hangup", Need::CHANGE.in_tenants(), hang_up)
        .get("/v1/admission", Need::READ, admission)
}

async fn calls(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<CallQuery>, QueryRejection>,
) -> Reply<Json<CallPage>> {
    let Query(query) = query?;
    if let Some(tenant) = &query.tenant {
        caller.must_see(tenant)?;
    }
    let own = || caller.tenants().map(|own| own.iter().map(|tenant| tenant.to_string()).collect());
    let filter = CallFilter {
        tenants: query.tenant.map(|tenant| vec![tenant]).or_else(own),
        trunk: query.trunk,
        number: query.number,
        state: query.state,
    };
    let (limit, after) = (listing::page(query.limit), query.after.unwrap_or_default());
    if !after.is_empty() && after.split('.').filter(|part| part.parse::<u64>().is_ok()).count() != 3 {
        return Err(Fault::bad("bad_query", "`after` is not the `next` of a page of calls"));
    }
    let (calls, next) = desk.aside(move |control| Ok(control.calls(&filter, &after, limit))).await?;
    Ok(Json(CallPage { calls, next }))
}

async fn call(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Reply<Json<CallShown>> {
    let id = id_of(id)?;
    Ok(Json(desk.aside(move |control| visible(&caller, id, control.call(id))).await?))
}

async fn hang_up(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Reply<Json<CallShown>> {
    let id = id_of(id)?;
    let ended = desk.aside(move |control| {
        visible(&caller, id, control.call(id))?;
        Ok(control.hang_up(id)?)
    });
    Ok(Json(ended.await?))
}

async fn admission(
    State(desk): State<Desk>,
    query: Result<Query<LimitQuery>, QueryRejection>,
) -> Reply<Json<LimitPage>> {
    let Query(query) = query?;
    let limit = listing::page(query.limit);
    let mut limits = desk.aside(|control| Ok(control.admission())).await?;
    let after = query.after.unwrap_or_default();
    let key = |limit: &LimitShown| format!("{} {}", limit.scope, limit.name);
    limits.retain(|limit| query.scope.as_ref().is_none_or(|scope| *scope == limit.scope));
    limits.sort_by_cached_key(key);
    limits.retain(|limit| after.is_empty() || key(limit) > after);
    let more = limits.len() > limit;
    limits.truncate(limit);
    let next = limits.last().filter(|_| more).map(key);
    Ok(Json(LimitPage { limits, next }))
}

fn id_of(id: Result<Path<String>, PathRejection>) -> Result<CallId, Fault> {
    let Path(id) = id?;
    id.parse().map_err(|error: crate::call::id::NoCallId| Fault::bad("bad_id", error.to_string()))
}

/// A call that is the caller's business.
fn visible(caller: &Caller, id: CallId, call: Option<CallShown>) -> Result<CallShown, Fault> {
    let call = call.ok_or(NotEnded::Unknown(id))?;
    if caller.sees(call.tenant.as_deref().unwrap_or_default()) {
        Ok(call)
    } else {
        Err(not_yours(&format!("call `{id}`")))
    }
}
