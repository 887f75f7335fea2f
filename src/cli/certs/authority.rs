//! A certificate authority in memory, and what it issues.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

use super::{CertsError, DevOptions};

/// Validity of certificates, short enough for clients that cap it.
const LEAF_DAYS: i64 = 397;
/// Validity of the authority.
const AUTHORITY_DAYS: i64 = 3650;
/// A certificate is valid from a little before it was made: the clocks of a laboratory differ.
const CLOCK_SLACK: Duration = Duration::hours(24);

/// Common name of the authority of `trunkway certs dev`.
pub(super) const AUTHORITY_NAME: &str = "trunkway development CA";

/// The kind of key that a certificate is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// What Teams needs: it offers only suites that are authenticated by RSA over TLS 1.2.
    #[default]
    Rsa2048,
    /// Faster to make and to use.
    EcdsaP256,
}

impl KeyKind {
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        }
    }
}

/// A certificate and its key as PEM text; the key never shows in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Extended key usage of a certificate (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// serverAuth and clientAuth, as Teams demands of an SBC.
    Both,
    /// clientAuth alone.
    Client,
    /// serverAuth alone, as Microsoft's own certificates since 2026.
    Server,
}

/// What shall stand in a certificate.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Host names, one-label wildcards and IP addresses of the subjectAltName; the first is also the
    /// subject's common name.
    pub names: Vec<String>,
    pub purpose: Purpose,
    /// Whether it ceased to be valid an hour ago.
    pub expired: bool,
    pub key: KeyKind,
}

/// A private certificate authority for development.
pub struct DevAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl DevAuthority {
    /// A new authority under a common name.
    pub fn generate(common_name: &str, key: KeyKind) -> Result<Self, CertsError> {
        let params = authority_params(common_name);
        let key = key.generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority of a key that lies on disk together with its `certificate`.
    ///
    /// The certificate's text is passed on as it is; what is issued names the authority by
    /// `common_name`, so it must be the one that the certificate was made with.
    pub fn from_pem(common_name: &str, certificate: &str, key: &str) -> Result<Self, CertsError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { issuer: Issuer::new(authority_params(common_name), key), certificate: certificate.to_owned() })
    }

    /// The authority's own certificate and key.
    pub fn pem(&self) -> Pem {
        Pem { certificate: self.certificate.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// The authority's certificate, which peers are to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate for a new key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Pem, CertsError> {
        let key = leaf.key.generate()?;
        let certificate = leaf_params(leaf)?.signed_by(&key, &self.issuer)?;
        Ok(Pem { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl fmt::Debug for DevAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevAuthority").finish_non_exhaustive()
    }
}

fn authority_params(common_name: &str) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_SLACK;
    params.not_after = now + Duration::days(AUTHORITY_DAYS);
    params
}

fn leaf_params(leaf: &Leaf) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::new(leaf.names.clone()).map_err(|error| {
        let names = leaf.names.join(", ");
        CertsError::BadName { name: names, reason: error.to_string() }
    })?;
    let now = OffsetDateTime::now_utc();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = leaf.names.first() {
        params.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = match leaf.purpose {
        Purpose::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
    };
    params.not_before = now - CLOCK_SLACK;
    params.not_after = if leaf.expired { now - Duration::hours(1) } else { now + Duration::days(LEAF_DAYS) };
    Ok(params)
}

/// Who a development certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Edge,
    Expired,
    Pbx,
    Teams,
    WrongName,
}

impl Role {
    /// Every role, in the order in which files are made.
    pub const ALL: [Self; 5] = [Self::Edge, Self::Teams, Self::Pbx, Self::Expired, Self::WrongName];

    /// Name of the files without `.pem` and `.key`.
    pub const fn file_stem(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Expired => "expired",
            Self::Pbx => "pbx",
            Self::Teams => "teams",
            Self::WrongName => "wrong-name",
        }
    }

    /// What the certificate is for, in a few words.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Edge => "the edge, as server and as client",
            Self::Expired => "a peer that must be refused: expired an hour before it was made",
            Self::Pbx => "a PBX, as server and as client",
            Self::Teams => "a stand-in for Teams: extended key usage serverAuth alone",
            Self::WrongName => "a peer that must be refused: a name that no trunk lists",
        }
    }

    /// What stands in the certificate.
    pub fn leaf(self, options: &DevOptions) -> Leaf {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let teams = ["sip.pstnhub.microsoft.com", "sip2.pstnhub.microsoft.com", "sip3.pstnhub.microsoft.com"];
        Leaf {
            names: match self {
                Self::Edge => options.edge_names.clone(),
                Self::Teams | Self::Expired => owned(&teams),
                Self::Pbx => owned(&["pbx.example.net", "localhost", "127.0.0.1", "::1"]),
                Self::WrongName => owned(&["wrong.example.org"]),
            },
            purpose: match self {
                Self::Teams => Purpose::Server,
                Self::Edge | Self::Expired | Self::Pbx | Self::WrongName => Purpose::Both,
            },
            expired: self == Self::Expired,
            key: options.key,
        }
    }
}

/// The set of `trunkway certs dev` in memory, for demos and tests.
#[derive(Clone, Debug)]
pub struct DevCertificates {
    pub ca: Pem,
    pub edge: Pem,
    pub teams: Pem,
    pub pbx: Pem,
    pub expired: Pem,
    pub wrong_name: Pem,
}

impl DevCertificates {
    /// Makes an authority and a certificate for each [`Role`].
    pub fn generate(options: &DevOptions) -> Result<Self, CertsError> {
        let authority = DevAuthority::generate(AUTHORITY_NAME, options.key)?;
        let issue = |role: Role| authority.issue(&role.leaf(options));
        Ok(Self {
            ca: authority.pem(),
            edge: issue(Role::Edge)?,
            teams: issue(Role::Teams)?,
            pbx: issue(Role::Pbx)?,
            expired: issue(Role::Expired)?,
            wrong_name: issue(Role::WrongName)?,
        })
    }
}
