//! TLS of a listener.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use smallvec::SmallVec;

use super::verifier::PeerVerifier;
use super::{ClientCertificate, Credentials, KeyLog, ServerSettings, TlsError, pem, provider};
use crate::trunk::TrunkId;

/// The TLS side of a listener: what it shows, and whom it lets in. Loaded anew and swapped on a reload.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// `None`: the listener asks for no certificate.
    verifier: Option<Arc<PeerVerifier>>,
    credentials: Arc<Credentials>,
    key_log: Option<KeyLog>,
}

impl ServerTls {
    /// Reads the files of a listener and checks that they fit together.
    pub fn load(settings: &ServerSettings) -> Result<Self, TlsError> {
        Self::load_logged(settings, None)
    }

    /// The same, with the secrets of its sessions written to a file.
    pub fn load_logged(settings: &ServerSettings, key_log: Option<&KeyLog>) -> Result<Self, TlsError> {
        let identity = pem::identity(&settings.certificate, &settings.key)?;
        let trusted = settings.client_ca.as_deref().map(pem::certificates).transpose()?.unwrap_or_default();
        let rules = (settings.client_certificate, &settings.peers);
        let credentials = Credentials::new(Some((&settings.certificate, &identity)), &trusted, &rules);
        let verifier = peer_verifier(settings, trusted)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(match &verifier {
                Some(verifier) => verifier.clone(),
                None => WebPkiClientVerifier::no_client_auth(),
            });
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        if verifier.is_none() {
            config.ticketer = Ticketer::new()?;
            config.send_tls13_tickets = 1;
        }
        if let Some(key_log) = key_log {
            config.key_log = Arc::new(key_log.clone());
        }
        Ok(Self { config: Arc::new(config), verifier, credentials: Arc::new(credentials), key_log: key_log.cloned() })
    }

    /// What a TLS acceptor needs.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Where the secrets of sessions are written, if anywhere.
    pub const fn key_log(&self) -> Option<&KeyLog> {
        self.key_log.as_ref()
    }

    /// What is shown and trusted.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The trunks that list a name which the chain's first certificate carries and that accept its
    /// purpose; empty for a peer without certificate, or when no trunk lists names.
    ///
    /// Verifies the chain once more (one or two signatures): call it once per connection.
    pub fn trunks_of(&self, chain: &[CertificateDer<'_>]) -> SmallVec<[TrunkId; 2]> {
        match &self.verifier {
            Some(verifier) => verifier.trunks_of(chain, UnixTime::now()),
            None => SmallVec::new(),
        }
    }
}

fn peer_verifier(
    settings: &ServerSettings,
    trusted: Vec<CertificateDer<'static>>,
) -> Result<Option<Arc<PeerVerifier>>, TlsError> {
    let mandatory = match settings.client_certificate {
        ClientCertificate::Require => true,
        ClientCertificate::Optional => false,
        ClientCertificate::None => {
            return match settings.peers.iter().find_map(|rule| rule.names.first()) {
                Some(name) => Err(TlsError::NamesNeverChecked { name: name.to_string() }),
                None => Ok(None),
            };
        }
    };
    let roots = pem::authorities_among(settings.client_ca.as_deref().ok_or(TlsError::NoClientCa)?, trusted)?;
    PeerVerifier::new(Arc::new(roots), &settings.peers, mandatory).map(Arc::new).map(Some)
}
