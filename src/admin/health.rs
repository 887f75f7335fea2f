//! Endpoints: the health of the edge as a whole, its causes and alarms.

use serde::Serialize;

use super::access::Routes;

/// How bad a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// Why the edge is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub severity: Severity,
    /// A short name that stays the same: `target-down`, `certificate-near-end`.
    pub name: &'static str,
    /// What it is about: a trunk, a file.
    pub source: String,
    /// What is wrong, in words.
    pub text: String,
    /// What to do about it.
    pub advice: String,
}

/// What stands behind these endpoints: the health of the edge as a whole, its causes and alarms.
pub trait Health: Send + Sync + 'static {}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
}
