//! What a side of TLS shows and whom it trusts, as connections remember it: so a renewal finds those that were made with
//! something else.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::certificate::Certificate;
use super::pem;

/// What was shown and trusted in a handshake; shared by all connections that were made with it.
#[derive(Debug)]
pub struct Credentials {
    /// `None`: nothing is shown.
    pub shown: Option<Shown>,
    /// SHA-256 of the trusted certificates and of the rules by which a peer is known.
    trust: Vec<u8>,
}

/// The edge's own certificate in a file.
#[derive(Debug)]
pub struct Shown {
    pub file: PathBuf,
    /// The names that it carries.
    pub names: Vec<String>,
    pub certificate: Certificate,
    /// When the first certificate of the chain that is sent ends.
    pub ends: OffsetDateTime,
    /// SHA-256 of the certificate.
    fingerprint: Vec<u8>,
}

impl Credentials {
    pub(super) fn new(
        identity: Option<(&Path, &CertifiedKey)>,
        trusted: &[CertificateDer<'_>],
        rules: &impl std::fmt::Debug,
    ) -> Self {
        let mut trust = Context::new(&SHA256);
        for certificate in trusted {
            trust.update(certificate);
        }
        trust.update(format!("{rules:?}").as_bytes());
        let shown = identity.and_then(|(file, identity)| Shown::new(file, identity));
        Self { shown, trust: trust.finish().as_ref().to_vec() }
    }

    /// Whether both show the same certificate.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        let fingerprint = |it: &Self| it.shown.as_ref().map(|shown| shown.fingerprint.clone());
        fingerprint(self) == fingerprint(other)
    }

    /// Whether both trust the same authorities and know peers by the same rules.
    pub fn trusts_the_same(&self, other: &Self) -> bool {
        self.trust == other.trust
    }
}

impl Shown {
    /// Whole days until the first certificate of the chain ends; negative once one has.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        const DAY: i64 = 86_400;
        (self.ends - now).whole_seconds().div_euclid(DAY)
    }

    /// `None` for a certificate of which not even the dates can be read.
    fn new(file: &Path, identity: &CertifiedKey) -> Option<Self> {
        let own = identity.cert.first()?;
        let chain = identity.cert.iter().map(Certificate::parse).collect::<Option<Vec<_>>>()?;
        Some(Self {
            file: file.to_owned(),
            names: pem::names_of(own).unwrap_or_default(),
            ends: chain.iter().map(|certificate| certificate.not_after).min()?,
            certificate: chain.into_iter().next()?,
            fingerprint: digest(&SHA256, own).as_ref().to_vec(),
        })
    }
}
