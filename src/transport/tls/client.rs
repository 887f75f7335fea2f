//! TLS of the connections that the edge dials.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;

use super::verifier::{DialledVerifier, NoTrust};
use super::{ClientSettings, Credentials, KeyLog, TlsError, pem, provider};

/// The TLS side of dialled connections: whom they trust, and what they show.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
    credentials: Arc<Credentials>,
    key_log: Option<KeyLog>,
}

impl ClientTls {
    /// Reads the files and checks that they fit together.
    pub fn load(settings: &ClientSettings) -> Result<Self, TlsError> {
        Self::load_logged(settings, None)
    }

    /// The same, with the secrets of its sessions written to a file.
    pub fn load_logged(settings: &ClientSettings, key_log: Option<&KeyLog>) -> Result<Self, TlsError> {
        let identity =
            settings.identity.as_ref().map(|(certificate, key)| pem::identity(certificate, key)).transpose()?;
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let pinned = settings.ca.as_deref().map(pem::certificates).transpose()?.unwrap_or_default();
        let file = settings.identity.as_ref().map(|(certificate, _)| certificate.as_path());
        let credentials = Credentials::new(file.zip(identity.as_ref()), &pinned, &settings.peer_names);
        let verifier: Arc<dyn ServerCertVerifier> = match &settings.ca {
            Some(path) => {
                let also = settings.peer_names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
                let roots = pem::authorities_among(path, pinned.clone())?;
                Arc::new(DialledVerifier::new(roots, pinned, also, provider)?)
            }
            None => Arc::new(NoTrust(algorithms)),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier.clone());
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        if let Some(key_log) = key_log {
            config.key_log = Arc::new(key_log.clone());
        }
        Ok(Self { config: Arc::new(config), verifier, credentials: Arc::new(credentials), key_log: key_log.cloned() })
    }

    /// What a TLS connector needs; the name to check and to send as SNI is [`server_name`] of the host
    /// that is dialled.
    pub fn config(&self) -> Arc<ClientConfig> {
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

    /// Whether a peer with this chain would be let in now under the name that was dialled; checks signatures.
    pub fn proves(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> bool {
        let Some((end, intermediates)) = chain.split_first() else { return false };
        self.verifier.verify_server_cert(end, intermediates, name, &[], UnixTime::now()).is_ok()
    }
}

/// The name that a peer's certificate must carry when `host` is dialled: a DNS name (also sent as SNI),
/// or, for an IP literal with or without brackets, an address (RFC 5922 section 7.3, RFC 6066 section 3).
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::from(address));
    }
    // A dot at the end makes a name absolute for the resolver; certificates are written without it.
    ServerName::try_from(bare.strip_suffix('.').unwrap_or(bare).to_owned())
        .map_err(|_| TlsError::BadName { name: host.to_owned() })
}
