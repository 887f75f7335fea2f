//! What a configuration says about TLS, as plain values.

use std::path::PathBuf;
use std::sync::Arc;

use crate::trunk::TrunkId;

/// How the TLS peers of one trunk are known.
#[derive(Clone, Debug)]
pub struct PeerRule {
    /// The trunk that a peer with one of the names belongs to.
    pub trunk: TrunkId,
    /// Names (host names or IP literals) of which a certificate must carry one in its subjectAltName.
    pub names: Vec<Arc<str>>,
    /// Takes a certificate whose extended key usage is serverAuth alone as a client certificate, as
    /// Microsoft presents since 2026; otherwise clientAuth (or no extended key usage) is needed.
    pub accept_server_auth_only: bool,
}

/// Whether a listener asks its peers for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientCertificate {
    /// Asks, and refuses a peer that shows none.
    #[default]
    Require,
    /// Asks, and lets a peer without one in as nobody; one that is shown must be good.
    Optional,
    /// Does not ask.
    None,
}

/// TLS of one listener.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// PEM file: the listener's certificate first, then its intermediates.
    pub certificate: PathBuf,
    /// PEM file: the unencrypted private key of `certificate`.
    pub key: PathBuf,
    /// PEM file: the authorities that may have issued the certificates of peers.
    pub client_ca: Option<PathBuf>,
    /// Whether peers are asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// The trunks on this listener; when none lists names, the chain alone decides.
    pub peers: Vec<PeerRule>,
}

/// TLS of the connections that the edge dials.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// PEM file: the authorities that may have issued the certificates of dialled peers, or such certificates
    /// themselves (self-signed ones); `None`: no peer is trusted, and each TLS handshake fails with a message
    /// that says so.
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate chain and the key that are shown to a peer that asks.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Names of which one in the peer's certificate does as well as the name that is dialled: Microsoft's machines have
    /// more names than their certificates.
    pub peer_names: Vec<Arc<str>>,
}
