//! What stands in a certificate, for those who look after it: until when it is good, what for, and who issued it.
//!
//! Nothing is proven here, signatures are not looked at: whom to let in, the verifiers decide (RFC 5280 section 4.1).

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::der::{self, Elements};
use super::{TlsError, pem};

/// A certificate, as far as its owner has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Upper-case hexadecimal digits, as others show it.
    pub serial: String,
    pub subject: Name,
    pub issuer: Name,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub key: Key,
    /// `None`: nothing is stated, so any purpose will do.
    pub purposes: Option<Purposes>,
    /// SHA-1 fingerprint in upper-case hexadecimal digits: a name for the certificate, no proof of anything.
    pub sha1: String,
}

/// The name of a subject or an issuer; two are the same when their bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    der: Vec<u8>,
    /// The common name, or else the last value of the name; empty when there is none.
    pub shown: String,
}

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ecdsa,
    Other,
    Rsa {
        /// Length of the modulus.
        bits: usize,
    },
}

/// What of TLS an extended key usage allows (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purposes {
    pub client: bool,
    pub server: bool,
}

/// The certificates of a PEM file in their order, never none.
pub fn read(path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let bad = |index: usize| TlsError::BadCertificate {
        path: path.to_owned(),
        number: index + 1,
        reason: "this is no X.509 certificate".to_owned(),
    };
    let chain = pem::certificates(path)?;
    chain.iter().enumerate().map(|(index, der)| Certificate::parse(der).ok_or_else(|| bad(index))).collect()
}

impl Certificate {
    /// Out of its DER form; `None`: this is no X.509 certificate.
    pub(crate) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let signed = Elements(der).content(der::SEQUENCE)?;
        let mut body = Elements(Elements(signed).content(der::SEQUENCE)?);
        // The version, which certificates of version 1 leave out.
        body.maybe(der::explicit(0));
        let serial = body.content(der::INTEGER)?;
        // The algorithm of the signature.
        body.of(der::SEQUENCE)?;
        let issuer = Name::parse(body.of(der::SEQUENCE)?)?;
        let mut validity = Elements(body.content(der::SEQUENCE)?);
        let not_before = der::time(validity.next()?)?;
        let not_after = der::time(validity.next()?)?;
        let subject = Name::parse(body.of(der::SEQUENCE)?)?;
        let key = Key::parse(body.content(der::SEQUENCE)?)?;
        let purposes = match body.find(|element| element.tag == der::explicit(3)) {
            Some(extensions) => purposes(Elements(extensions.content).content(der::SEQUENCE)?)?,
            None => None,
        };
        Some(Self {
            serial: hexadecimal(serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial)),
            subject,
            issuer,
            not_before,
            not_after,
            key,
            purposes,
            sha1: hexadecimal(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
        })
    }

    /// Whole days until it ends; negative once it has.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        const DAY: i64 = 86_400;
        (self.not_after - now).whole_seconds().div_euclid(DAY)
    }

    /// Whether it names itself as its issuer, as roots do.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

impl Name {
    fn parse(name: der::Element<'_>) -> Option<Self> {
        const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
        let mut shown: Option<&[u8]> = None;
        let mut has_common = false;
        for set in Elements(name.content).filter(|element| element.tag == der::SET) {
            for attribute in Elements(set.content).filter(|element| element.tag == der::SEQUENCE) {
                let mut parts = Elements(attribute.content);
                let is_common = parts.content(der::OBJECT_IDENTIFIER)? == COMMON_NAME;
                if is_common || !has_common {
                    shown = Some(parts.next()?.content);
                }
                has_common |= is_common;
            }
        }
        let shown = shown.map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned());
        Some(Self { der: name.whole.to_owned(), shown })
    }
}

impl Key {
    /// Out of a SubjectPublicKeyInfo (RFC 3279 section 2.3).
    fn parse(info: &[u8]) -> Option<Self> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        let mut info = Elements(info);
        let algorithm = Elements(info.content(der::SEQUENCE)?).content(der::OBJECT_IDENTIFIER)?;
        // The first byte says how many bits of the last one do not count.
        let (_, key) = info.content(der::BIT_STRING)?.split_first()?;
        Some(match algorithm {
            RSA => {
                let modulus = Elements(Elements(key).content(der::SEQUENCE)?).content(der::INTEGER)?;
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let top = modulus.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
                Self::Rsa { bits: (modulus.len() - zeros) * 8 - top }
            }
            ECDSA => Self::Ecdsa,
            _ => Self::Other,
        })
    }
}

/// What the extended key usage among the extensions allows; the inner `None`: there is none.
fn purposes(extensions: &[u8]) -> Option<Option<Purposes>> {
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    for extension in Elements(extensions) {
        let mut parts = Elements(extension.content);
        if parts.content(der::OBJECT_IDENTIFIER)? != EXTENDED_KEY_USAGE {
            continue;
        }
        parts.maybe(der::BOOLEAN);
        let listed = Elements(Elements(parts.content(der::OCTET_STRING)?).content(der::SEQUENCE)?);
        let mut purposes = Purposes::default();
        for purpose in listed {
            purposes.server |= purpose.content == SERVER_AUTH;
            purposes.client |= purpose.content == CLIENT_AUTH;
        }
        return Some(Some(purposes));
    }
    Some(None)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests;
