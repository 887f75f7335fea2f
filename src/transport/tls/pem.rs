//! PEM files: certificates and private keys. The only module that knows the PEM reader.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys};

use super::TlsError;

/// Size up to which a PEM file is read; the bundles of public authorities have about 250 kB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The certificates of a PEM file in their order, never none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (certificates, _) = sections(&read(path)?).map_err(|Damaged| TlsError::Malformed { path: path.to_owned() })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The first private key of a PEM file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey { path: path.to_owned() });
    }
    let (_, key) = sections(&text).map_err(|Damaged| TlsError::Malformed { path: path.to_owned() })?;
    key.ok_or_else(|| TlsError::NoKey { path: path.to_owned() })
}

/// The names that the first certificate of a PEM file carries, as they stand there; its common name is none of them.
pub fn names(path: &Path) -> Result<Vec<String>, TlsError> {
    let chain = certificates(path)?;
    let first = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path.to_owned() })?;
    let bad =
        |error: TlsError| TlsError::BadCertificate { path: path.to_owned(), number: 1, reason: error.to_string() };
    names_of(first).map_err(bad)
}

/// The names that a certificate carries, as they stand there; its common name is none of them.
pub fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, TlsError> {
    let certificate = ParsedCertificate::try_from(certificate)?;
    // A certificate that is asked for a name that nobody has tells all that it carries (RFC 6761 section 6.4).
    let nobody = super::server_name("nobody.invalid")?;
    match verify_server_name(&certificate, &nobody) {
        Ok(()) => Ok(vec!["*.invalid".to_owned()]),
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            Ok(super::verifier::plain_names(&presented))
        }
        Err(error) => Err(error.into()),
    }
}

/// A certificate chain with its key, which must belong to the chain's first certificate.
pub fn identity(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let secret = private_key(key)?;
    CertifiedKey::from_der(chain, secret, &super::provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        Error::InvalidCertificate(reason) => {
            TlsError::BadCertificate { path: certificate.to_owned(), number: 1, reason: reason.to_string() }
        }
        // The text of other faults is left out: it speaks of the inside of the key.
        _ => TlsError::UnusableKey { path: key.to_owned() },
    })
}

/// The authorities of a PEM file; each must be readable.
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    authorities_among(path, certificates(path)?)
}

/// The authorities among the certificates that were read from a file.
pub(super) fn authorities_among(
    path: &Path,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::BadCertificate {
            path: path.to_owned(),
            number: index + 1,
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// Checks that the certificate in `text` was issued by an authority in the file `authority`.
pub fn check_issuer(text: &[u8], authority: &Path) -> Result<(), TlsError> {
    let roots = authorities(authority)?;
    let (chain, _) = sections(text).map_err(|Damaged| TlsError::Malformed { path: authority.to_owned() })?;
    let (end, intermediates) =
        chain.split_first().ok_or_else(|| TlsError::NoCertificate { path: authority.to_owned() })?;
    let algorithms = super::provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(end)?,
        &roots,
        intermediates,
        UnixTime::now(),
        algorithms.all,
    )?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fault = |source| TlsError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(fault)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(fault)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    Ok(text)
}

/// PKCS #8 names its encrypted form in the section's title, the older forms in a header line.
fn is_encrypted(text: &[u8]) -> bool {
    let holds = |needle: &[u8]| memchr::memmem::find(text, needle).is_some();
    holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED")
}

struct Damaged;

type Sections = (Vec<CertificateDer<'static>>, Option<PrivateKeyDer<'static>>);

/// All certificates and the first private key. `rustls-pemfile` is named here and nowhere else.
fn sections(text: &[u8]) -> Result<Sections, Damaged> {
    use rustls_pemfile::Item;
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in rustls_pemfile::read_all(&mut &text[..]) {
        let found = match item.map_err(|_| Damaged)? {
            Item::X509Certificate(certificate) => {
                certificates.push(certificate);
                continue;
            }
            Item::Pkcs1Key(found) => PrivateKeyDer::Pkcs1(found),
            Item::Pkcs8Key(found) => PrivateKeyDer::Pkcs8(found),
            Item::Sec1Key(found) => PrivateKeyDer::Sec1(found),
            _ => continue,
        };
        key.get_or_insert(found);
    }
    Ok((certificates, key))
}

#[cfg(test)]
mod tests;
