//! Endpoints: messages of calls, as the edge saw them.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: messages of calls, as the edge saw them.
pub trait Trace: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
