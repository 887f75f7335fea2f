//! Endpoints: addresses that are banned, and the overload of the edge.

use super::access::Routes;

/// What stands behind these endpoints: addresses that are banned, and the overload of the edge.
pub trait Guard: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
