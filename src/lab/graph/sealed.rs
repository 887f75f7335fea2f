//! Encrypted resource data and validation tokens, as Graph's change notifications carry them.
//!
//! A fresh key of 32 bytes for each item, its first 16 bytes as the initialisation vector of AES-256-CBC; HMAC-SHA256
//! over the cipher text; the key itself by RSA-OAEP with SHA-1 for the subscriber's certificate.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::text::random;

/// The application that Graph's change tracking is.
const CHANGE_TRACKING: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
/// The name of the one key.
const KEY_ID: &str = "lab-graph-1";

/// A subscriber's certificate, for which resource data is encrypted.
#[derive(Clone, Debug)]
pub(super) struct Recipient {
    public_key: Vec<u8>,
    thumbprint: String,
    id: String,
}

impl Recipient {
    /// Reads a certificate (base64 of DER) with the name that its owner gave it; `None`: it is none of RSA.
    pub(super) fn read(certificate: &str, id: &str) -> Option<Self> {
        let der = STANDARD.decode(certificate).ok()?;
        let certificate = CertificateDer::from(der);
        let public_key = ParsedCertificate::try_from(&certificate).ok()?.subject_public_key_info().to_vec();
        PublicEncryptingKey::from_der(&public_key).ok()?;
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        let thumbprint = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Some(Self { public_key, thumbprint, id: id.to_owned() })
    }

    /// The `encryptedContent` of some resource data.
    pub(super) fn seal(&self, resource: &Value) -> Option<Value> {
        let mut key = [0_u8; 32];
        random(&mut key);
        let (data, signature) = sealed(&key, resource.to_string().as_bytes())?;
        let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&self.public_key).ok()?).ok()?;
        let mut wrapped = vec![0; public.ciphertext_size()];
        let wrapped = public.encrypt(&OAEP_SHA1_MGF1SHA1, &key, &mut wrapped, None).ok()?;
        Some(json!({
            "data": data,
            "dataSignature": signature,
            "dataKey": STANDARD.encode(wrapped),
            "encryptionCertificateId": self.id,
            "encryptionCertificateThumbprint": self.thumbprint,
        }))
    }
}

/// Cipher text and its signature, both base64.
fn sealed(key: &[u8; 32], plain: &[u8]) -> Option<(String, String)> {
    let initial: [u8; 16] = key.first_chunk().copied()?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut text = plain.to_vec();
    cipher.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(initial))).ok()?;
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &text);
    Some((STANDARD.encode(&text), STANDARD.encode(signature)))
}

/// The key with which validation tokens are signed.
pub(super) struct Signer {
    pair: RsaKeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    pub(super) fn new() -> Option<Self> {
        RsaKeyPair::generate(KeySize::Rsa2048).ok().map(|pair| Self { pair })
    }

    /// A validation token for an application in a tenant.
    pub(super) fn token(&self, tenant: &str, client: &str, unix: u64) -> String {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": KEY_ID });
        let claims = json!({
            "aud": client,
            "iss": format!("https://sts.windows.net/{tenant}/"),
            "iat": unix,
            "nbf": unix.saturating_sub(5),
            "exp": unix + 3_600,
            "appid": CHANGE_TRACKING,
            "azp": CHANGE_TRACKING,
            "tid": tenant,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(&RSA_PKCS1_SHA256, &rand::SystemRandom::new(), message.as_bytes(), &mut signature);
        let signature = if signed.is_ok() { URL_SAFE_NO_PAD.encode(signature) } else { String::new() };
        format!("{message}.{signature}")
    }

    /// The public key, as a set of JSON web keys.
    pub(super) fn keys(&self) -> Value {
        let (modulus, exponent) = components(self.pair.public_key().as_ref()).unwrap_or_default();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "x5t": KEY_ID,
            "n": encode(modulus), "e": encode(exponent),
        }] })
    }
}

/// Modulus and exponent of a public key in DER (RFC 8017, A.1.1), without leading zeros.
fn components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// The content of the first element, when it has that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        length => (usize::from(*length), rest),
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_gives_what_was_made_with_other_tools() {
        let key: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).unwrap());
        let plain = concat!(
            r#"{"@odata.id":"users/00000000-0000-0000-0000-000000000001/presence","#,
            r#""id":"00000000-0000-0000-0000-000000000001","availability":"Busy","activity":"InACall"}"#
        );
        let (data, signature) = sealed(&key, plain.as_bytes()).unwrap();
        assert_eq!(
            data,
            "nTMpSZJYXuOeut0pe+fp1g1xOmx/zzsfOPLq335W6L6zHdAB8dxoHf1IsyGsCF8KIv+Z7IDxM2gFDC0SHuYib1OLPbl65Q7m01BYhZLDr934\
             dtTt8mn4c12H6DNkpGtryA8tR/PVUUg837b3ZzD3Dz30LrIeeYnjkxU4tIXcYnppGIumJPR9l2N4Xx0RQfYRW0s3zoxa/m1l0zF/i6X3ew=="
        );
        assert_eq!(signature, "4bnLvmLYUT01irJtQEXAitVnJJ1bW+6jVP+BRFW63BQ=");
    }

    #[test]
    fn a_token_is_verified_by_the_published_key() {
        let signer = Signer::new().unwrap();
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(signer.keys()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(KEY_ID).unwrap()).unwrap();
        let now = jsonwebtoken::get_current_timestamp();
        let mut wanted = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        wanted.set_audience(&["client"]);
        wanted.set_issuer(&["https://sts.windows.net/t/"]);
        let token = signer.token("t", "client", now);
        assert!(jsonwebtoken::decode::<Value>(&token, &key, &wanted).is_ok());
        let foreign = Signer::new().unwrap().token("t", "client", now);
        assert!(jsonwebtoken::decode::<Value>(&foreign, &key, &wanted).is_err());
    }
}
