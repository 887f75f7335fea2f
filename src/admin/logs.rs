//! Endpoints: what is logged.

use super::access::Routes;

/// What stands behind these endpoints: what is logged.
pub trait Logs: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
