//! Endpoints: life of the daemon: drain and undrain.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: life of the daemon: drain and undrain.
pub trait Service: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
