//! The endpoints.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::access::{Caller, Need, Routes};
use super::bodies::{Bodies, Held};
use super::control::{Control, KeyList, Made, Summary};
use super::fault::Fault;
use super::listing::{self, NumberQuery, PageQuery, RuleQuery};
use super::tenancy::View;
use super::{
    Settings, calls, connections, directory, guard, health, history, logs, openapi, presence, reloading, service, trace,
};
use crate::routing::{Batch, Record};

/// Characters of a name that a caller gives: the id of a batch, and who asks for it.
const MAX_NAME: usize = 256;

/// What all endpoints work with.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) control: Arc<dyn Control>,
    pub(super) bodies: Bodies,
}

/// The endpoints over what stands behind them.
pub(super) fn router(control: Arc<dyn Control>, settings: &Settings) -> Router {
    let desk = Desk { control, bodies: Bodies::new(settings) };
    let (router, _) = all().into_parts();
    router
        .fallback(async || Fault::missing("unknown_endpoint", "there is no such endpoint"))
        .method_not_allowed_fallback(async || {
            Fault::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", "this endpoint has other methods")
        })
        .with_state(desk)
}

/// All endpoints.
pub(super) fn all() -> Routes {
    Routes::new()
        .get("/v1/status", Need::READ, status)
        .get("/v1/dialplans/{plan}/rules", Need::READ.in_tenants(), rules)
        .get("/v1/dialplans/{plan}/find", Need::READ.in_tenants(), find)
        .get("/v1/trunks", Need::READ, trunks)
        .get("/v1/tenants", Need::READ.in_tenants(), tenants)
        .get("/v1/tenants/{tenant}/users", Need::READ.in_tenants(), users)
        .get("/v1/changes", Need::READ.in_tenants(), changes)
        .post("/v1/changes", Need::CHANGE.in_tenants(), apply)
        .get("/v1/changes/{id}", Need::READ.in_tenants(), change)
        .post("/v1/changes/{id}/revert", Need::CHANGE.in_tenants(), revert)
        .get("/v1/keys", Need::READ, keys)
        .post("/v1/keys/rotate", Need::ADMIN, rotate_keys)
        .post("/v1/keys/reload", Need::ADMIN, reload_keys)
        .post("/v1/route", Need::READ, route)
        .merge(calls::routes())
        .merge(connections::routes())
        .merge(directory::routes())
        .merge(guard::routes())
        .merge(health::routes())
        .merge(history::routes())
        .merge(logs::routes())
        .merge(openapi::routes())
        .merge(presence::routes())
        .merge(reloading::routes())
        .merge(service::routes())
        .merge(trace::routes())
}

pub(super) type Reply<T> = Result<T, Fault>;

impl Desk {
    /// Does what may take long, or wait for a disk, where no call waits for it.
    pub(super) async fn aside<T: Send + 'static>(
        self,
        work: impl FnOnce(&dyn Control) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let broken = |_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "the request could not be done");
        tokio::task::spawn_blocking(move || work(&*self.control)).await.map_err(broken)?
    }
}

async fn status(State(desk): State<Desk>) -> Reply<Response> {
    Ok(Json(desk.aside(|control| Ok(control.status())).await?).into_response())
}

async fn rules(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    plan: Result<Path<String>, PathRejection>,
    query: Result<Query<RuleQuery>, QueryRejection>,
) -> Reply<Response> {
    let (Path(plan), Query(query)) = (plan?, query?);
    let page =
        desk.aside(move |control| listing::rules(&View::new(&caller, &control.routing()), &plan, &query)).await?;
    Ok(Json(page).into_response())
}

async fn find(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    plan: Result<Path<String>, PathRejection>,
    query: Result<Query<NumberQuery>, QueryRejection>,
) -> Reply<Response> {
    let (Path(plan), Query(query)) = (plan?, query?);
    Ok(Json(listing::rule_of(&View::new(&caller, &desk.control.routing()), &plan, &query.number)?).into_response())
}

async fn trunks(State(desk): State<Desk>, query: Result<Query<PageQuery>, QueryRejection>) -> Reply<Response> {
    let Query(query) = query?;
    let page = desk.aside(move |control| Ok(listing::trunks(control.trunks(), &query))).await?;
    Ok(Json(page).into_response())
}

async fn tenants(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Reply<Response> {
    let Query(query) = query?;
    Ok(Json(listing::tenants(&View::new(&caller, &desk.control.routing()), &query)).into_response())
}

async fn users(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    tenant: Result<Path<String>, PathRejection>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Reply<Response> {
    let (Path(tenant), Query(query)) = (tenant?, query?);
    caller.must_see(&tenant)?;
    Ok(Json(listing::users(&desk.control.routing(), &tenant, &query)?).into_response())
}

async fn changes(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Reply<Json<Vec<Summary>>> {
    let Query(query) = query?;
    let limit = listing::page(query.limit);
    let found = desk.aside(move |control| {
        let routing = control.routing();
        let view = View::new(&caller, &routing);
        Ok(control.changes(limit, &|record| view.sees(record)))
    });
    Ok(Json(found.await?))
}

async fn change(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Reply<Json<Record>> {
    let Path(id) = id?;
    let record = desk.aside(move |control| {
        let unknown = || Fault::missing("unknown_change", format!("there is no change `{id}`"));
        let routing = control.routing();
        control.change(&id).filter(|record| View::new(&caller, &routing).sees(record)).ok_or_else(unknown)
    });
    Ok(Json(record.await?))
}

async fn apply(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Response> {
    let held: Held<Batch> = desk.bodies.json(&headers, body).await?;
    let made = desk.aside(move |control| {
        let (batch, _room) = held.into_parts();
        let routing = control.routing();
        let view = View::new(&caller, &routing);
        view.may_make(&batch)?;
        view.made(control.apply(&signed(batch, &caller)?)?)
    });
    Ok(reply(made.await?))
}

async fn revert(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Reply<Response> {
    let Path(id) = id?;
    let held: Held<Batch> = desk.bodies.json(&headers, body).await?;
    let made = desk.aside(move |control| {
        let (by, _room) = held.into_parts();
        let by = signed(by, &caller)?;
        if !by.edits.is_empty() {
            return Err(Fault::bad("bad_json", "what takes a change back has no edits of its own"));
        }
        // One who sees no such change is told so.
        let routing = control.routing();
        let view = View::new(&caller, &routing);
        if let Some(record) = control.change(&id) {
            view.may_revert(&record)?;
        }
        view.made(control.revert(&id, &by)?)
    });
    Ok(reply(made.await?))
}

/// How keys are rotated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateAsk {
    /// Even if calls may be up that need the key that goes.
    #[serde(default)]
    force: bool,
}

async fn keys(State(desk): State<Desk>) -> Reply<Json<KeyList>> {
    Ok(Json(desk.aside(|control| Ok(control.keys()?)).await?))
}

async fn rotate_keys(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Reply<Json<KeyList>> {
    let held: Held<RotateAsk> = desk.bodies.json(&headers, body).await?;
    let (RotateAsk { force }, _room) = held.into_parts();
    Ok(Json(desk.aside(move |control| Ok(control.rotate_keys(force)?)).await?))
}

async fn reload_keys(State(desk): State<Desk>) -> Reply<Json<KeyList>> {
    Ok(Json(desk.aside(|control| Ok(control.reload_keys()?)).await?))
}

async fn route(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Reply<Json<Value>> {
    let held: Held<Value> = desk.bodies.json(&headers, body).await?;
    let wrong = |detail| Fault::bad("bad_question", detail);
    let answer = desk.aside(move |control| {
        let (ask, _room) = held.into_parts();
        control.route(ask).map_err(wrong)
    });
    Ok(Json(answer.await?))
}

/// What was made by it, or before under the same id.
fn reply(made: Made) -> Response {
    let status = if made.known { StatusCode::OK } else { StatusCode::CREATED };
    (status, Json(made.record)).into_response()
}

/// The batch with the time, and with who really asks beside who it says it is.
fn signed(mut batch: Batch, caller: &Caller) -> Reply<Batch> {
    for (name, value) in [("id", &batch.id), ("who", &batch.who)] {
        if value.chars().count() > MAX_NAME || value.chars().any(char::is_control) {
            let detail = format!("`{name}` has more than {MAX_NAME} characters, or a control character");
            return Err(Fault::bad("bad_id", detail));
        }
    }
    let label = caller.label();
    batch.who = if batch.who.is_empty() { label } else { format!("{} ({label})", batch.who) };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    batch.when = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Ok(batch)
}
