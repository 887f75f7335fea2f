//! Proof of who a peer is: by chain and by name, with the purpose of its certificate per trunk.
//!
//! Names are matched as RFC 6125 does, a wildcard standing for exactly one label. RFC 5922 section 7.2
//! would refuse wildcards, but Teams uses and demands them; the subject's common name is never read.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use smallvec::SmallVec;

use super::{PeerRule, TlsError};
use crate::trunk::TrunkId;

/// Why a peer with a good chain is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerRefused {
    #[error("the peer's certificate names {}, wanted one of {}", list_of(.presented), list_of(.wanted))]
    Name { presented: Vec<String>, wanted: Vec<String> },
    #[error(
        "the peer's certificate is for servers only (extended key usage without clientAuth), which no trunk that it could belong to accepts; set accept_server_auth_only on the trunk if this is expected"
    )]
    Purpose,
    #[error("no authority is configured for TLS peers that the edge dials; set the CA file")]
    NoTrust,
}

impl From<PeerRefused> for Error {
    fn from(refused: PeerRefused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

/// Names for a message: comma-separated, or `no name`.
pub(super) fn list_of(names: &[String]) -> String {
    if names.is_empty() {
        return "no name".to_owned();
    }
    names.join(", ")
}

/// The names as they stand in the certificate, out of the `DnsName("a.example")` of the verifier.
pub(super) fn plain_names(presented: &[String]) -> Vec<String> {
    presented
        .iter()
        .map(|name| {
            name.split_once('(')
                .and_then(|(_, rest)| rest.strip_suffix(')'))
                .unwrap_or(name)
                .trim_matches('"')
                .to_owned()
        })
        .collect()
}

/// What the extended key usage of a verified certificate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// clientAuth, or no restriction.
    Client,
    /// serverAuth without clientAuth.
    ServerOnly,
}

/// Certificate verifier of a listener.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    /// Checks chain, dates and clientAuth.
    chain: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    rules: Vec<Rule>,
    /// Whether any rule lists names; if not, the chain alone decides.
    by_name: bool,
    mandatory: bool,
}

#[derive(Debug)]
struct Rule {
    trunk: TrunkId,
    names: Vec<ServerName<'static>>,
    accept_server_auth_only: bool,
}

impl Rule {
    fn compile(rule: &PeerRule) -> Result<Self, TlsError> {
        Ok(Self {
            trunk: rule.trunk,
            names: rule.names.iter().map(|name| super::server_name(name)).collect::<Result<_, _>>()?,
            accept_server_auth_only: rule.accept_server_auth_only,
        })
    }

    fn accepts(&self, purpose: Purpose) -> bool {
        purpose == Purpose::Client || self.accept_server_auth_only
    }

    fn names_peer(&self, certificate: &ParsedCertificate<'_>) -> bool {
        self.names.iter().any(|name| verify_server_name(certificate, name).is_ok())
    }
}

impl PeerVerifier {
    pub(super) fn new(roots: Arc<RootCertStore>, rules: &[PeerRule], mandatory: bool) -> Result<Self, TlsError> {
        let provider = super::provider();
        let algorithms = provider.signature_verification_algorithms;
        let chain = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let rules = rules.iter().map(Rule::compile).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            chain,
            roots,
            algorithms,
            by_name: rules.iter().any(|rule| !rule.names.is_empty()),
            rules,
            mandatory,
        })
    }

    /// The trunks that a peer with this chain belongs to; none when the chain is not good (any more).
    pub(super) fn trunks_of(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> SmallVec<[TrunkId; 2]> {
        let Some((end, intermediates)) = chain.split_first() else {
            return SmallVec::new();
        };
        let Ok(certificate) = ParsedCertificate::try_from(end) else {
            return SmallVec::new();
        };
        // The purpose is checked again, not remembered from the handshake: a certificate for servers
        // only must not pass for a trunk that does not accept those because another trunk let it in.
        let Ok(purpose) = self.purpose(end, intermediates, now) else {
            return SmallVec::new();
        };
        self.rules
            .iter()
            .filter(|rule| rule.accepts(purpose) && rule.names_peer(&certificate))
            .map(|rule| rule.trunk)
            .collect()
    }

    /// Checks the chain and says what the certificate may be used for.
    fn purpose(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Purpose, Error> {
        match self.chain.verify_client_cert(end, intermediates, now) {
            Ok(_) => Ok(Purpose::Client),
            Err(Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            )) => rustls::client::verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end)?,
                &self.roots,
                intermediates,
                now,
                self.algorithms.all,
            )
            .map(|()| Purpose::ServerOnly),
            Err(error) => Err(error),
        }
    }

    /// Whether some trunk on this listener takes a peer with this certificate and purpose.
    fn admit(&self, certificate: &ParsedCertificate<'_>, purpose: Purpose) -> Result<(), PeerRefused> {
        let named = || self.rules.iter().filter(|rule| !rule.names.is_empty());
        if !self.by_name {
            return match purpose {
                Purpose::Client => Ok(()),
                Purpose::ServerOnly if self.rules.iter().any(|rule| rule.accepts(purpose)) => Ok(()),
                Purpose::ServerOnly => Err(PeerRefused::Purpose),
            };
        }
        let mut known = named().filter(|rule| rule.names_peer(certificate)).peekable();
        if known.peek().is_none() {
            return Err(PeerRefused::Name {
                presented: self.presented(certificate),
                wanted: named().flat_map(|rule| rule.names.iter().map(|name| name.to_str().into_owned())).collect(),
            });
        }
        if known.any(|rule| rule.accepts(purpose)) { Ok(()) } else { Err(PeerRefused::Purpose) }
    }

    /// The names in a certificate, for a message; read out of the fault that a wrong name makes.
    fn presented(&self, certificate: &ParsedCertificate<'_>) -> Vec<String> {
        let any_name = self.rules.iter().find_map(|rule| rule.names.first());
        match any_name.map(|name| verify_server_name(certificate, name)) {
            Some(Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))) => {
                plain_names(&presented)
            }
            _ => Vec::new(),
        }
    }
}

impl ClientCertVerifier for PeerVerifier {
    /// Empty: some peers pick no certificate at all when theirs is not under a hinted authority, and
    /// a stranger learns nothing about who is trusted.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let purpose = self.purpose(end, intermediates, now)?;
        self.admit(&ParsedCertificate::try_from(end)?, purpose)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Verifier of dialled peers: by chain and name, or by name alone for a certificate that the trust file itself
/// holds. Many a PBX shows a self-signed certificate, which no chain leads to; naming exactly that certificate is
/// trust in one key, and a renewed one has to be put into the file again.
#[derive(Debug)]
pub(super) struct DialledVerifier {
    chain: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    /// Names that do as well as the one that is dialled.
    also: Vec<ServerName<'static>>,
}

impl DialledVerifier {
    pub(super) fn new(
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
        also: Vec<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { chain, pinned, also })
    }

    fn names_peer(&self, certificate: &ParsedCertificate<'_>, dialled: &ServerName<'_>) -> Result<(), Error> {
        verify_server_name(certificate, dialled).or_else(|error| {
            let known = self.also.iter().any(|name| verify_server_name(certificate, name).is_ok());
            if known { Ok(()) } else { Err(error) }
        })
    }
}

impl ServerCertVerifier for DialledVerifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.iter().any(|pinned| pinned.as_ref() == end.as_ref()) {
            self.names_peer(&ParsedCertificate::try_from(end)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        match self.chain.verify_server_cert(end, intermediates, name, ocsp, now) {
            // The name is looked at last: whose is wrong has a good chain.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {
                self.names_peer(&ParsedCertificate::try_from(end)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Verifier of dialled peers when no authority is configured: refuses each and says why.
#[derive(Debug)]
pub(super) struct NoTrust(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for NoTrust {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(PeerRefused::NoTrust.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
