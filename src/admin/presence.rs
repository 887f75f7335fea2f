//! Endpoints: users of the presence bridge, and the feed of line states.

pub mod feed;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use self::feed::{BodyFault, LineState};
use super::access::{Caller, Need, Routes};
use super::bodies::Held;
use super::fault::Fault;
use super::listing;
use super::routes::{Desk, Reply};

/// What stands behind these endpoints: the presence bridge.
pub trait Presence: Send + Sync + 'static {
    /// Users that fit.
    ///
    /// # Errors
    /// [`PresenceRefusal`].
    fn presence(&self, ask: &PresenceAsk) -> Result<PresencePage, PresenceRefusal>;

    /// How many users of each tenant there are, and what is unusual of them; `tenants`: of these only.
    ///
    /// # Errors
    /// [`PresenceRefusal`].
    fn presence_summary(&self, tenants: Option<Arc<[Arc<str>]>>) -> Result<PresenceSummary, PresenceRefusal>;

    /// Takes line states of a tenant's users; for each what is wrong with it.
    ///
    /// # Errors
    /// [`PresenceRefusal`]; none is taken then.
    fn line_states(&self, tenant: &str, states: Vec<LineState>) -> Result<Vec<Result<(), String>>, PresenceRefusal>;
}

/// Which users are asked for; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceAsk {
    /// Users of these tenants.
    pub tenants: Option<Arc<[Arc<str>]>>,
    /// The id of a user, in any case of letters.
    pub user: Option<String>,
    pub only: Option<Only>,
    pub limit: usize,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// Users that an operator looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// Those who have no match in Teams.
    Unmatched,
    /// Those whose own choice in Teams goes over what the edge writes.
    Overruled,
}

/// A page of users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PresencePage {
    pub users: Vec<PresenceStatus>,
    /// What to ask for the next page with; `None`: this is the last. A page may have fewer users than were asked for.
    pub next: Option<String>,
}

/// A user of the bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PresenceStatus {
    pub tenant: String,
    pub user: String,
    /// `to-teams`, `from-teams`, `both`.
    pub direction: &'static str,
    /// Whether Teams has such a user.
    pub matched: bool,
    /// What all sources come to.
    pub pbx: &'static str,
    /// Whether a line is busy in a conference.
    pub conference: bool,
    pub sources: Vec<SourceStatus>,
    /// What Teams is to be told; `None`: nothing.
    pub wanted: Option<Pair>,
    /// What Teams has been told.
    pub written: Option<Pair>,
    /// How long the two have differed.
    pub waits_s: Option<u64>,
    /// What Teams shows.
    pub teams: Option<Pair>,
    /// Whether that is the user's own choice.
    pub overruled: bool,
    /// Subscriptions at the edge for the user.
    pub watchers: usize,
    /// The edge's own subscriptions for the user's lines.
    pub subscriptions: Vec<SubscriptionStatus>,
}

/// Availability and activity, as Graph spells them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub availability: String,
    pub activity: String,
}

/// A source of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    pub source: String,
    /// `line` or `user`: whether it tells what a line does, or what the user has set.
    pub of: Option<&'static str>,
    /// `None`: it is lost, and counts as unknown.
    pub says: Option<&'static str>,
    pub conference: bool,
    /// Since it was heard of last, or was lost.
    pub age_s: u64,
    /// Until it is lost; `None`: it has no lifetime.
    pub left_s: Option<u64>,
}

/// One of the edge's subscriptions on a PBX.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionStatus {
    /// `up`, `asking`, `queued` or `resting`.
    pub state: &'static str,
    /// What the PBX refused the last SUBSCRIBE with.
    pub status: Option<u16>,
    /// Until the next SUBSCRIBE.
    pub again_s: Option<u64>,
}

/// How many users there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PresenceSummary {
    pub tenants: BTreeMap<String, TenantSummary>,
}

/// Users of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TenantSummary {
    pub users: usize,
    /// Who have no match in Teams.
    pub unmatched: usize,
    /// Whose own choice in Teams goes over what the edge writes.
    pub overruled: usize,
    /// Whom somebody watches.
    pub watched: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceRefusal {
    #[error("tenant `{0}` takes no part in the presence bridge: it has no table [tenant.ID.presence]")]
    Off(String),
    #[error("the presence bridge is too busy: ask again in a while")]
    Busy,
    #[error("{0}")]
    BadAsk(String),
}

impl From<PresenceRefusal> for Fault {
    fn from(refusal: PresenceRefusal) -> Self {
        let (status, error) = match &refusal {
            PresenceRefusal::Off(_) => (StatusCode::NOT_FOUND, "no_presence"),
            PresenceRefusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            PresenceRefusal::BadAsk(_) => (StatusCode::BAD_REQUEST, "bad_query"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

impl From<BodyFault> for Fault {
    fn from(fault: BodyFault) -> Self {
        let (status, error) = match &fault {
            BodyFault::Empty | BodyFault::NotJson(_) => (StatusCode::BAD_REQUEST, "bad_json"),
            BodyFault::TooMany => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        };
        Self::new(status, error, fault.to_string())
    }
}

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceQuery {
    tenant: Option<String>,
    user: Option<String>,
    only: Option<Only>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<String>,
}

/// What came of a body of the feed.
#[derive(Debug, Default, Serialize)]
struct Taken {
    /// Why nothing was taken, as other faults have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    taken: usize,
    faults: Vec<EntryFault>,
}

/// An entry that was not taken.
#[derive(Debug, Serialize)]
struct EntryFault {
    /// Its number, from one.
    entry: usize,
    detail: String,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    let need = Need::READ.in_tenants();
    Routes::new()
        .get("/v1/presence", need, list)
        .get("/v1/presence/summary", need, summary)
        .get("/v1/presence/{tenant}/{user}", need, one)
        .post("/v1/tenants/{tenant}/line-state", Need::FEED.in_tenants(), line_state)
}

async fn list(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<PresenceQuery>, QueryRejection>,
) -> Reply<Response> {
    let Query(PresenceQuery { tenant, user, only, limit, after }) = query?;
    let tenants = match tenant {
        Some(tenant) => {
            caller.must_see(&tenant)?;
            Some(Arc::from([Arc::from(tenant)]))
        }
        None => caller.tenants().map(Arc::from),
    };
    let ask = PresenceAsk { tenants, user, only, limit: listing::page(limit), after };
    Ok(Json(desk.aside(move |control| Ok(control.presence(&ask)?)).await?).into_response())
}

async fn summary(State(desk): State<Desk>, Extension(caller): Extension<Caller>) -> Reply<Json<PresenceSummary>> {
    let tenants = caller.tenants().map(Arc::from);
    Ok(Json(desk.aside(move |control| Ok(control.presence_summary(tenants)?)).await?))
}

async fn one(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Reply<Json<PresenceStatus>> {
    let Path((tenant, user)) = path?;
    caller.must_see(&tenant)?;
    let found = desk.aside(move |control| {
        let tenants: Arc<[Arc<str>]> = Arc::from([Arc::from(tenant.as_str())]);
        let ask = PresenceAsk { tenants: Some(tenants), user: Some(user.clone()), limit: 1, ..PresenceAsk::default() };
        let unknown = || Fault::missing("unknown_user", format!("the bridge has no user `{user}` of `{tenant}`"));
        control.presence(&ask)?.users.pop().ok_or_else(unknown)
    });
    Ok(Json(found.await?))
}

async fn line_state(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Response> {
    let Path(tenant) = tenant?;
    caller.must_see(&tenant)?;
    let held: Held<axum::body::Bytes> = desk.bodies.bytes(&headers, body).await?;
    let (bytes, room) = held.into_parts();
    let taken = desk.aside(move |control| {
        let _room = room;
        let entries = feed::read(&bytes)?;
        let (mut states, mut numbers, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, read) in (1..).zip(entries) {
            match read {
                Ok(state) => {
                    states.push(state);
                    numbers.push(entry);
                }
                Err(detail) => faults.push(EntryFault { entry, detail }),
            }
        }
        let count = states.len();
        // A tenant that takes no part is told even if nothing could be read.
        let results = control.line_states(&tenant, states)?;
        let refused = numbers.into_iter().zip(results).filter_map(|(entry, result)| Some((entry, result.err()?)));
        let before = faults.len();
        faults.extend(refused.map(|(entry, detail)| EntryFault { entry, detail }));
        let taken = count - (faults.len() - before);
        faults.sort_by_key(|fault| fault.entry);
        Ok(Taken { taken, faults, ..Taken::default() })
    });
    Ok(reply(taken.await?))
}

/// Where there was something to be taken, and nothing was, the request is at fault.
fn reply(mut taken: Taken) -> Response {
    let Some(first) = taken.faults.first().filter(|_| taken.taken == 0) else {
        return Json(taken).into_response();
    };
    taken.error = Some("nothing_taken");
    taken.detail = Some(format!("entry {}: {}", first.entry, first.detail));
    (StatusCode::BAD_REQUEST, Json(taken)).into_response()
}
