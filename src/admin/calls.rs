//! Endpoints: calls in progress and the limits that they count against.

use super::access::Routes;

/// What stands behind these endpoints: calls in progress and the limits that they count against.
pub trait Calls: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
