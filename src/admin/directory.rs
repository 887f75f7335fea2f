//! Endpoints: tenants' users as their directories have them.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::access::{Caller, Need, Routes};
use super::bodies::Held;
use super::fault::Fault;
use super::routes::{Desk, Reply};
use crate::routing::people::UserRecord;

/// What stands behind these endpoints. All but the status wait for the directory.
pub trait Directory: Send + Sync + 'static {
    /// How it stands with a tenant's directory.
    ///
    /// # Errors
    /// [`DirectoryRefusal::None`].
    fn directory(&self, tenant: &str) -> Result<DirectoryStatus, DirectoryRefusal>;

    /// Tries whether it can be read.
    ///
    /// # Errors
    /// [`DirectoryRefusal`].
    fn test_directory(&self, tenant: &str) -> Result<DirectoryTest, DirectoryRefusal>;

    /// Says what a run would do.
    ///
    /// # Errors
    /// [`DirectoryRefusal`].
    fn preview_directory(&self, tenant: &str) -> Result<DirectoryRun, DirectoryRefusal>;

    /// Reads it and does what it says; `force`: however many users go.
    ///
    /// # Errors
    /// [`DirectoryRefusal`]; no user has changed then.
    fn sync_directory(&self, tenant: &str, force: bool) -> Result<DirectoryRun, DirectoryRefusal>;
}

/// Why a directory is not read, or not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefusal {
    #[error("the tenant has no directory: [tenant.ID.graph] and [tenant.ID.directory] say where it is")]
    None,
    /// More users would go than may.
    #[error("{0}")]
    Stopped(String),
    #[error("{0}")]
    Failed(String),
}

/// How it stands with a tenant's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectoryStatus {
    pub tenant: String,
    /// `tenant`, or `group` and its object id.
    pub scope: String,
    /// Nobody is provisioned: only the ids of users are read, for the presence bridge.
    pub ids_only: bool,
    pub interval_s: u64,
    /// Users that the directory has.
    pub users: usize,
    /// Entries of users that it provisions.
    pub provisioned: usize,
    /// `None`: it was never read.
    pub last: Option<DirectoryLast>,
    /// Users that are not provisioned since something of them makes no sense, and the first of them.
    pub unreadable: usize,
    pub unread: Vec<DirectoryUnreadable>,
    /// Users of the tenant whom the directory does not know, and the first of them.
    pub unmatched: usize,
    pub unmatched_users: Vec<String>,
}

/// What came of the last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectoryLast {
    /// RFC 3339.
    pub at: String,
    /// `changed`, `unchanged`, `stopped` or `failed`.
    pub result: String,
    /// In words.
    pub text: String,
    /// When a run was last good; `None`: never.
    pub good: Option<String>,
}

/// Whether a directory can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectoryTest {
    pub tenant: String,
    pub ok: bool,
    pub steps: Vec<DirectoryTried>,
}

/// A part that was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectoryTried {
    pub what: String,
    pub ok: bool,
    /// In words.
    pub fault: Option<String>,
}

/// What a run has done, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectoryRun {
    pub tenant: String,
    /// RFC 3339.
    pub at: String,
    pub took_ms: u64,
    /// `changed`, `unchanged` or `preview`.
    pub result: &'static str,
    /// Of a preview: so many users would go that a run would stop.
    pub stopped: bool,
    /// Whether the whole directory was read, or what has changed since the last time.
    pub whole: bool,
    pub pages: usize,
    /// Users that the directory has.
    pub users: usize,
    /// Entries of users that it provisions.
    pub provisioned: usize,
    pub new: usize,
    pub update: usize,
    pub delete: usize,
    pub unreadable: usize,
    /// Users that the configuration or an operator has.
    pub held: usize,
    /// Users with neither a number nor an extension.
    pub without_number: usize,
    /// The first thousand of each kind.
    pub changes: Vec<DirectoryChange>,
    pub unread: Vec<DirectoryUnreadable>,
    pub held_by_others: Vec<String>,
}

/// A user that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryChange {
    /// `new`, `update` or `delete`.
    pub what: &'static str,
    /// As it will be, or was.
    pub user: UserRecord,
}

/// A user that is not provisioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryUnreadable {
    pub user: String,
    /// In words.
    pub why: String,
}

/// How a directory is followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncAsk {
    /// However many users go.
    #[serde(default)]
    force: bool,
}

impl From<DirectoryRefusal> for Fault {
    fn from(refusal: DirectoryRefusal) -> Self {
        let (status, error) = match &refusal {
            DirectoryRefusal::None => (StatusCode::NOT_FOUND, "no_directory"),
            DirectoryRefusal::Stopped(_) => (StatusCode::CONFLICT, "too_many_deletions"),
            DirectoryRefusal::Failed(_) => (StatusCode::BAD_GATEWAY, "directory_failed"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/tenants/{tenant}/directory", Need::READ.in_tenants(), status)
        .post("/v1/tenants/{tenant}/directory/test", Need::READ.in_tenants(), test)
        .post("/v1/tenants/{tenant}/directory/preview", Need::READ.in_tenants(), preview)
        .post("/v1/tenants/{tenant}/directory/sync", Need::CHANGE.in_tenants(), sync)
}

async fn status(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
) -> Reply<Json<DirectoryStatus>> {
    let Path(tenant) = tenant?;
    caller.must_see(&tenant)?;
    Ok(Json(desk.aside(move |control| Ok(control.directory(&tenant)?)).await?))
}

async fn test(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
) -> Reply<Json<DirectoryTest>> {
    let Path(tenant) = tenant?;
    caller.must_see(&tenant)?;
    Ok(Json(desk.aside(move |control| Ok(control.test_directory(&tenant)?)).await?))
}

async fn preview(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
) -> Reply<Json<DirectoryRun>> {
    let Path(tenant) = tenant?;
    caller.must_see(&tenant)?;
    Ok(Json(desk.aside(move |control| Ok(control.preview_directory(&tenant)?)).await?))
}

async fn sync(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Json<DirectoryRun>> {
    let Path(tenant) = tenant?;
    caller.must_see(&tenant)?;
    let held: Held<SyncAsk> = desk.bodies.json(&headers, body).await?;
    let (SyncAsk { force }, _room) = held.into_parts();
    Ok(Json(desk.aside(move |control| Ok(control.sync_directory(&tenant, force)?)).await?))
}
