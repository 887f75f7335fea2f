//! `[tenant.ID.graph]`: how Microsoft Graph is asked for a tenant.

use std::path::PathBuf;
use std::sync::Arc;

/// How Graph is asked for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The directory (tenant) id in Entra, or a verified domain.
    pub directory: Arc<str>,
    /// The application's client id, which is also the session id of presence.
    pub client: Arc<str>,
    pub credential: Credential,
    /// `https://login.microsoftonline.com`, or that of another cloud or stand-in.
    pub login: Arc<str>,
    /// `https://graph.microsoft.com`, or that of another cloud or stand-in.
    pub base: Arc<str>,
    /// PEM: the roots that both may lead to; `None`: those of the system.
    pub ca: Option<PathBuf>,
}

/// What the application proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A file with the client secret.
    Secret(PathBuf),
    /// PEM files of a certificate and its key; `legacy`: RS256 with `x5t` instead of PS256 with `x5t#S256`.
    Certificate { certificate: PathBuf, key: PathBuf, legacy: bool },
}
