//! Mutual TLS of the stand-ins: the certificate is shown in both roles, the peer's is always asked for.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, client};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// PEM texts that a stand-in needs for TLS.
#[derive(Clone)]
pub struct TlsSettings {
    /// Roots to which the peer's chain must lead.
    pub ca: String,
    /// Own chain, end-entity first.
    pub certificate: String,
    pub key: String,
}

impl fmt::Debug for TlsSettings {
    /// Keeps the key out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}

/// Why TLS could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    #[error("PEM cannot be read: {0}")]
    Pem(#[from] tokio_rustls::rustls::pki_types::pem::Error),
    #[error("TLS settings do not fit: {0}")]
    Rustls(#[from] tokio_rustls::rustls::Error),
    #[error("the peer's roots do not fit: {0}")]
    Verifier(#[from] tokio_rustls::rustls::server::VerifierBuilderError),
}

/// Ready configurations for both roles.
#[derive(Clone, Debug)]
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the PEM texts.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(settings.ca.as_bytes()) {
            roots.add(root?)?;
        }
        let roots = Arc::new(roots);
        let chain = CertificateDer::pem_slice_iter(settings.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = || PrivateKeyDer::from_pem_slice(settings.key.as_bytes());
        // The stock verifier asks for the clientAuth purpose, as Microsoft does of an SBC.
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)?;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }

    /// Ready-made configurations, for a party with verifiers of its own.
    pub fn from_configs(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Self {
        Self { server, client }
    }

    /// The configuration in the client's role.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// The handshake of an accepted connection, with the peer's certificate.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<(tokio_rustls::server::TlsStream<TcpStream>, Option<Arc<[u8]>>)> {
        let stream = TlsAcceptor::from(self.server.clone()).accept(stream).await?;
        let certificate = end_entity(stream.get_ref().1.peer_certificates());
        Ok((stream, certificate))
    }

    /// The handshake of a dialled connection; `name` goes out as SNI and must stand in the certificate.
    pub(super) async fn connect(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, Option<Arc<[u8]>>)> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(self.client.clone()).connect(name, stream).await?;
        let certificate = end_entity(stream.get_ref().1.peer_certificates());
        Ok((stream, certificate))
    }
}

fn end_entity(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<[u8]>> {
    chain?.first().map(|certificate| Arc::from(certificate.as_ref()))
}

/// Whether a certificate (DER) carries a host name, one-level wildcards included.
pub(in crate::lab) fn certificate_names(certificate: &[u8], host: &str) -> bool {
    let certificate = CertificateDer::from(certificate);
    let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(&certificate), ServerName::try_from(host)) else {
        return false;
    };
    client::verify_server_name(&parsed, &name).is_ok()
}
