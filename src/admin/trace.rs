//! Endpoints: messages of calls, as the edge saw them.

use super::access::Routes;

/// What stands behind these endpoints: messages of calls, as the edge saw them.
pub trait Trace: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
