//! Endpoints: addresses that are banned, and the overload of the edge.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: addresses that are banned, and the overload of the edge.
pub trait Guard: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
