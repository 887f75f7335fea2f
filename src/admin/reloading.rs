//! Endpoints: reloads of the configuration, and what came of them.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: reloads of the configuration, and what came of them.
pub trait Reloading: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
