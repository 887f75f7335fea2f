//! Endpoints: reloads of the configuration, and what came of them.

use super::access::Routes;

/// What stands behind these endpoints: reloads of the configuration, and what came of them.
pub trait Reloading: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
