//! Endpoints: what is logged.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::access::{Need, Routes};
use super::bodies::Held;
use super::fault::Fault;
use super::routes::{Desk, Reply};

/// What stands behind these endpoints: what is logged.
pub trait Logs: Send + Sync + 'static {
    /// What is logged now.
    ///
    /// # Errors
    /// [`LogRefusal::NotOurs`].
    fn log(&self) -> Result<LogStatus, LogRefusal>;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// [`LogRefusal`]; nothing has changed then.
    fn set_log(&self, change: &LogChange) -> Result<LogStatus, LogRefusal>;
}

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogStatus {
    /// The levels in force: `info,trunkway::transport=debug`.
    pub filter: String,
    /// Those that the configuration or the command line asks for.
    pub configured: String,
    /// Until when others than the configured ones are in force (RFC 3339); `None`: until they are set anew.
    pub until: Option<String>,
    /// `text`, `json` or `journald`.
    pub format: String,
    /// Lines that were not written since nobody took them fast enough.
    pub dropped: u64,
}

/// What is to be logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogChange {
    /// Levels; `None`: those that are configured.
    pub filter: Option<String>,
    /// For how long; `None`: until they are set anew, or the edge is restarted.
    pub for_s: Option<u64>,
}

/// Why nothing else is logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogRefusal {
    #[error("the log of this process was set up by the program around the edge")]
    NotOurs,
    #[error("{0}")]
    BadFilter(String),
    #[error("`for_s` is from 1 to {0}")]
    TooLong(u64),
}

impl From<LogRefusal> for Fault {
    fn from(refusal: LogRefusal) -> Self {
        let (status, error) = match &refusal {
            LogRefusal::NotOurs => (StatusCode::NOT_FOUND, "no_log"),
            LogRefusal::BadFilter(_) => (StatusCode::BAD_REQUEST, "bad_filter"),
            LogRefusal::TooLong(_) => (StatusCode::BAD_REQUEST, "bad_time"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/log", Need::READ, log).put("/v1/log", Need::ADMIN, set)
}

async fn log(State(desk): State<Desk>) -> Reply<Json<LogStatus>> {
    Ok(Json(desk.control.log()?))
}

async fn set(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Reply<Json<LogStatus>> {
    let held: Held<LogChange> = desk.bodies.json(&headers, body).await?;
    let changed = desk.aside(move |control| {
        let (change, _room) = held.into_parts();
        Ok(control.set_log(&change)?)
    });
    Ok(Json(changed.await?))
}
