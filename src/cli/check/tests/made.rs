//! Certificates for tests of `check`: an authority, and leaves with whatever is wrong with them.

use std::path::Path;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    RsaKeySize,
};
use time::{Duration, OffsetDateTime};

/// One RSA key for all, since they take long to make.
static RSA: LazyLock<String> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap().serialize_pem());

/// What shall stand in a certificate.
#[derive(Clone, Debug)]
pub struct Leaf<'n> {
    pub names: &'n [&'n str],
    pub is_rsa: bool,
    /// Empty: none is stated.
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    /// From when until when it is good, in hours from now.
    pub hours: (i64, i64),
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Self { names: &["sbc.example.net"], is_rsa: true, usages, hours: (-24, 90 * 24) }
    }
}

impl Leaf<'_> {
    fn key(&self) -> KeyPair {
        if self.is_rsa { KeyPair::from_pem(&RSA).unwrap() } else { KeyPair::generate().unwrap() }
    }

    fn params(&self) -> CertificateParams {
        let names: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = called(self.names.first().unwrap_or(&""));
        params.extended_key_usages.clone_from(&self.usages);
        valid(&mut params, self.hours);
        params
    }

    pub fn self_signed(&self) -> String {
        self.params().self_signed(&self.key()).unwrap().pem()
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn valid(params: &mut CertificateParams, hours: (i64, i64)) {
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now + Duration::hours(hours.0), now + Duration::hours(hours.1));
}

/// An authority with its certificate as PEM text.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::made(name, None, (-24, 3650 * 24))
    }

    /// One under another, good for the given hours.
    pub fn under(name: &str, above: &Self, hours: (i64, i64)) -> Self {
        Self::made(name, Some(above), hours)
    }

    fn made(name: &str, above: Option<&Self>, hours: (i64, i64)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = called(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        valid(&mut params, hours);
        let key = KeyPair::generate().unwrap();
        let made = match above {
            Some(above) => params.signed_by(&key, &above.issuer),
            None => params.self_signed(&key),
        };
        Self { pem: made.unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, leaf: &Leaf<'_>) -> String {
        leaf.params().signed_by(&leaf.key(), &self.issuer).unwrap().pem()
    }
}

/// Writes a file of PEM texts.
pub fn write(path: &Path, texts: &[&str]) {
    std::fs::write(path, texts.concat()).unwrap();
}
