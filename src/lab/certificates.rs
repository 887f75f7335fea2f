//! Short-lived certificates for rehearsals: one root, an edge identity and one like Microsoft's. Never for production.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use thiserror::Error;

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("cannot make a certificate: {0}")]
pub struct CertificateError(#[from] rcgen::Error);

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// A root that signs identities for the length of one rehearsal.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new root with a fresh key.
    pub fn new() -> Result<Self, CertificateError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "trunkway lab root");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The root certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// An identity of an SBC: for both roles, as Microsoft asks.
    pub fn edge(&self, names: &[&str]) -> Result<Identity, CertificateError> {
        self.sign(names, &[Purpose::ServerAuth, Purpose::ClientAuth])
    }

    /// An identity like Microsoft's since 2026: for servers only, yet shown as client too.
    pub fn teams(&self, names: &[&str]) -> Result<Identity, CertificateError> {
        self.sign(names, &[Purpose::ServerAuth])
    }

    fn sign(&self, names: &[&str], purposes: &[Purpose]) -> Result<Identity, CertificateError> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.extended_key_usages = purposes.to_vec();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}
