//! Endpoints: open connections and the certificates behind them.

use super::access::Routes;

/// What stands behind these endpoints: open connections and the certificates behind them.
pub trait Connections: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
