//! The assertion with which a certificate proves the application: a JWT of RFC 7523 section 2.2, signed with PS256 and
//! named by `x5t#S256`, or with RS256 and `x5t` for those who still want that (B6).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaSignatureEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::settings::{ClientCertificate, ProofFault};

/// How long an assertion is good, in seconds.
const GOOD_S: i64 = 300;

/// The shortest RSA key, in bytes of its modulus.
const MIN_MODULUS: usize = 256;

/// Makes an assertion for the token endpoint; `now` in seconds since 1970, `id` never used before.
///
/// # Errors
/// [`ProofFault`] when the key cannot be used. Its text has nothing of the key in it.
pub fn make(
    certificate: &ClientCertificate,
    client: &str,
    endpoint: &str,
    id: &str,
    now: i64,
) -> Result<String, ProofFault> {
    let no_rsa =
        || ProofFault("the key of the certificate is no RSA key of 2048 bits or more, as Entra wants".to_owned());
    let key =
        KeyPair::from_pkcs8(&certificate.key).or_else(|_| KeyPair::from_der(&certificate.key)).map_err(|_| no_rsa())?;
    if key.public_modulus_len() < MIN_MODULUS {
        return Err(no_rsa());
    }
    let (header, encoding): (_, &'static RsaSignatureEncoding) = if certificate.legacy {
        let thumb = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate.der);
        (json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(thumb)}), &RSA_PKCS1_SHA256)
    } else {
        let thumb = digest(&SHA256, &certificate.der);
        (json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumb)}), &RSA_PSS_SHA256)
    };
    let claims = json!({
        "aud": endpoint, "iss": client, "sub": client, "jti": id, "nbf": now, "iat": now, "exp": now + GOOD_S,
    });
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| no_rsa())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests;
