//! Endpoints: records of calls that are over.

use super::access::Routes;

/// What stands behind these endpoints: records of calls that are over.
pub trait History: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
