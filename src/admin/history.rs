//! Endpoints: records of calls that are over.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: records of calls that are over.
pub trait History: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
