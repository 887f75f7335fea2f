//! Endpoints: reloads of the configuration, and what came of them.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Caller, Need, Routes};
use super::bodies::Held;
use super::fault::Fault;
use super::routes::{Desk, Reply};

/// What stands behind these endpoints: reloads of the configuration, and what came of them.
pub trait Reloading: Send + Sync + 'static {
    /// Reads the configuration again and puts it in force, or with `dry_run` only says what would change; `by` says who
    /// wants it.
    ///
    /// # Errors
    /// [`NotReloaded`]; nothing has changed then.
    fn reload(&self, dry_run: bool, by: &str) -> Result<ReloadReport, NotReloaded>;

    /// The last reload that was no dry run; `None`: there was none since the start.
    fn last_reload(&self) -> Option<LastReload>;
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    pub dry_run: bool,
    /// Whether anything differs from what is in force.
    pub changed: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was added, removed and changed, by kind; kinds in which nothing differs are left out.
    pub differences: Vec<KindOfDifference>,
    /// Dial plan prefixes that lead elsewhere.
    pub moved: Moved,
    /// Keys whose new value is taken at the next start only.
    pub restart: Vec<NeedsRestart>,
    /// Changes made at run time that no longer fit, in words.
    pub not_replayed: Vec<String>,
    /// What the operator may not want.
    pub warnings: Vec<FileFault>,
}

/// What differs among the things of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindOfDifference {
    /// `trunks`, `listeners`, `tenants`, `sites`, `users`, `routes`, `dialplans`, `certificates` or `settings`.
    pub kind: &'static str,
    pub added: Named,
    pub removed: Named,
    pub changed: Named,
}

/// Names, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    pub count: usize,
    /// The first ones, in order.
    pub names: Vec<String>,
}

/// Prefixes of dial plans that lead elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub count: usize,
    /// The first ones.
    pub examples: Vec<MovedPrefix>,
}

/// A prefix of a dial plan that leads elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MovedPrefix {
    pub plan: String,
    pub prefix: String,
    /// The tag that it led to; `None`: there was no such rule.
    pub from: Option<String>,
    /// The tag that it leads to; `None`: there is no such rule any more.
    pub to: Option<String>,
}

/// A key whose new value is taken at the next start only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NeedsRestart {
    /// As `[table] key`.
    pub key: String,
    /// What is in force; `None` for a table as a whole.
    pub running: Option<String>,
    /// What the file says; `None` for a table as a whole.
    pub file: Option<String>,
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct NotReloaded {
    /// One word: `bad_configuration`, `bad_certificate`, `bad_key`, `cannot_listen`, `not_taken`, `no_file`
    /// or `broken`.
    pub error: &'static str,
    /// In a sentence.
    pub detail: String,
    /// What is wrong with the files, one by one.
    pub faults: Vec<FileFault>,
    /// The same as `check` shows it.
    pub rendered: String,
}

/// A fault of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileFault {
    /// `error` or `warning`.
    pub severity: &'static str,
    pub message: String,
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1.
    pub column: Option<usize>,
    pub help: Option<String>,
}

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LastReload {
    /// When it was over (RFC 3339).
    pub at: String,
    /// Who wanted it.
    pub by: String,
    /// `changed`, `unchanged` or `failed`.
    pub result: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it failed, the first faults in one line each.
    pub faults: Vec<String>,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new().post("/v1/reload", Need::ADMIN, reload).get("/v1/reloads/last", Need::READ, last)
}

/// How to reload.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReloadAsk {
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn reload(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Response> {
    let held: Held<ReloadAsk> = desk.bodies.json(&headers, body).await?;
    let (ReloadAsk { dry_run }, _room) = held.into_parts();
    let by = caller.label();
    let answer = desk.aside(move |control| Ok(control.reload(dry_run, &by))).await?;
    Ok(match answer {
        Ok(report) => Json(report).into_response(),
        Err(not) => {
            let NotReloaded { error, detail, faults, rendered } = not;
            let body = json!({ "error": error, "detail": detail, "faults": faults, "rendered": rendered });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    })
}

async fn last(State(desk): State<Desk>) -> Reply<Json<LastReload>> {
    let last = desk.aside(|control| Ok(control.last_reload())).await?;
    last.map(Json).ok_or_else(|| Fault::missing("no_reload", "there was no reload since the start"))
}
