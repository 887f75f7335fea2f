//! Endpoints: life of the daemon: drain and undrain.

use super::access::Routes;

/// What stands behind these endpoints: life of the daemon: drain and undrain.
pub trait Service: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
