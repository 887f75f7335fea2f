//! Endpoints: open connections and the certificates behind them.

use axum::Router;

use super::routes::Desk;

/// What stands behind these endpoints: open connections and the certificates behind them.
pub trait Connections: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
}
