//! Endpoints: life of the daemon: drain and undrain.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::access::{Need, Routes};
use super::fault::Fault;
use super::routes::{Desk, Reply};

/// What stands behind these endpoints: life of the daemon: drain and undrain.
pub trait Service: Send + Sync + 'static {
    /// Whether new calls are taken, and what is in progress.
    fn life(&self) -> Life;

    /// Refuses new calls from now on.
    fn drain(&self) -> Life;

    /// Takes new calls again.
    ///
    /// # Errors
    /// [`Stopping`]: the process is about to end.
    fn undrain(&self) -> Result<Life, Stopping>;
}

/// Whether new calls are taken, and what is in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Life {
    pub state: LifeState,
    /// Seconds in this state.
    pub for_s: u64,
    /// Calls that are up and remembered.
    pub calls: usize,
    /// Requests without a final answer: calls that are being set up, and what passes inside calls.
    pub requests: usize,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeState {
    /// They are.
    #[default]
    Serving,
    /// They are refused since an operator wants it so.
    Draining,
    /// They are refused since the process is about to end.
    Stopping,
}

/// The process is about to end: that cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the edge is stopping: start it again to take calls")]
pub struct Stopping;

impl From<Stopping> for Fault {
    fn from(stopping: Stopping) -> Self {
        Self::new(StatusCode::CONFLICT, "stopping", stopping.to_string())
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/drain", Need::READ, life).post("/v1/drain", Need::ADMIN, drain).post(
        "/v1/undrain",
        Need::ADMIN,
        undrain,
    )
}

async fn life(State(desk): State<Desk>) -> Reply<Json<Life>> {
    Ok(Json(desk.aside(|control| Ok(control.life())).await?))
}

async fn drain(State(desk): State<Desk>) -> Reply<Json<Life>> {
    Ok(Json(desk.aside(|control| Ok(control.drain())).await?))
}

async fn undrain(State(desk): State<Desk>) -> Reply<Json<Life>> {
    Ok(Json(desk.aside(|control| Ok(control.undrain()?)).await?))
}
