//! Endpoints: what is logged.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: what is logged.
pub trait Logs: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
