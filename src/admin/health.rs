//! Endpoints: the health of the edge as a whole, its causes and alarms.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::access::{Need, Routes};
use super::listing;
use super::routes::{Desk, Reply};

/// How bad a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// Why the edge is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub severity: Severity,
    /// A short name that stays the same: `target-down`, `certificate-near-end`.
    pub name: &'static str,
    /// What it is about: a trunk, a file.
    pub source: String,
    /// What is wrong, in words.
    pub text: String,
    /// What to do about it.
    pub advice: String,
}

/// How the edge is doing: as badly as the worst cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Ok,
    Warning,
    Error,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

/// The health of the edge, and why it is not better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub health: Level,
    /// The worst first.
    pub causes: Vec<Cause>,
    /// How many causes there are beyond those.
    pub more: usize,
}

/// A cause that is there, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its number among all alarms of this process.
    pub id: u64,
    #[serde(flatten)]
    pub cause: Cause,
    /// When it came, in milliseconds since 1970 UTC.
    pub since: u64,
    /// When it went; `None`: it is there.
    pub until: Option<u64>,
}

/// Which alarms are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    Current,
    Cleared,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmQuery {
    state: Option<Which>,
    #[serde(default, deserialize_with = "listing::limit")]
    limit: Option<usize>,
    after: Option<u64>,
}

#[derive(Debug, Serialize)]
struct AlarmPage {
    alarms: Vec<Alarm>,
    /// What to ask for the next page with; `None`: this is the last.
    next: Option<String>,
}

/// What stands behind these endpoints: the health of the edge as a whole, its causes and alarms.
pub trait Health: Send + Sync + 'static {
    /// How the edge is doing, as of the last look at its parts.
    fn health(&self) -> Report;

    /// All alarms that are remembered, in any order.
    fn alarms(&self) -> Vec<Alarm>;
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/health", Need::READ, health).get("/v1/alarms", Need::READ, alarms)
}

async fn health(State(desk): State<Desk>) -> Json<Report> {
    Json(desk.control.health())
}

async fn alarms(State(desk): State<Desk>, query: Result<Query<AlarmQuery>, QueryRejection>) -> Reply<Json<AlarmPage>> {
    let Query(query) = query?;
    Ok(Json(desk.aside(move |control| Ok(page(control.alarms(), &query))).await?))
}

/// A page of alarms, the newest first.
fn page(mut all: Vec<Alarm>, query: &AlarmQuery) -> AlarmPage {
    all.retain(|alarm| {
        let asked = match query.state {
            Some(Which::Current) => alarm.until.is_none(),
            Some(Which::Cleared) => alarm.until.is_some(),
            None => true,
        };
        asked && query.after.is_none_or(|after| alarm.id < after)
    });
    all.sort_by_key(|alarm| std::cmp::Reverse(alarm.id));
    let limit = listing::page(query.limit);
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|last| last.id.to_string());
    AlarmPage { alarms: all, next }
}
