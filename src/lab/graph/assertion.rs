//! Signed assertions instead of secrets: PS256 with `x5t#S256`, or RS256 with `x5t`.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::tenant::GraphApp;

/// The only kind of assertion that is taken.
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 60;

/// Why the login service gives no token.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) word: &'static str,
    pub(super) number: u32,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: u16, word: &'static str, number: u32, text: &str) -> Self {
        Self { status, word, number, text: text.to_owned() }
    }

    fn of_client(number: u32, text: &str) -> Self {
        Self::new(401, "invalid_client", number, text)
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    jti: Option<String>,
    exp: u64,
    iat: Option<u64>,
    nbf: Option<u64>,
}

/// Verifies an assertion of an application for a token endpoint; its id and its end in seconds since 1970.
pub(super) fn verify(app: &GraphApp, jwt: &str, kind: Option<&str>, audience: &str) -> Result<(String, u64), Refusal> {
    if kind != Some(KIND) {
        let text = "The client_assertion_type must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.";
        return Err(Refusal::of_client(50_027, text));
    }
    let header = jsonwebtoken::decode_header(jwt)
        .map_err(|error| Refusal::of_client(50_027, &format!("JWT token is invalid or malformed: {error}.")))?;
    let (wanted, sha256) = match (header.alg, &header.x5t_s256, &header.x5t) {
        (Algorithm::PS256, Some(thumbprint), _) => (thumbprint, true),
        (Algorithm::RS256, _, Some(thumbprint)) => (thumbprint, false),
        (algorithm, ..) => {
            let text = format!("Client assertion with {algorithm:?} needs x5t#S256 (PS256) or x5t (RS256).");
            return Err(Refusal::of_client(700_027, &text));
        }
    };
    let certificate = app
        .certificates
        .iter()
        .filter_map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok())
        .find(|certificate| thumbprint(certificate, sha256) == *wanted);
    let key = certificate.as_ref().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    let Some(key) = key.map(|parsed| parsed.subject_public_key_info()) else {
        let text =
            "The certificate with identifier used to sign the client assertion is not registered on application.";
        return Err(Refusal::of_client(700_027, text));
    };
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[&app.client]);
    validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    let claims = jsonwebtoken::decode::<Claims>(jwt, &DecodingKey::from_rsa_der(&key), &validation)
        .map_err(|error| refusal(error.kind(), audience))?
        .claims;
    if claims.sub != app.client {
        return Err(Refusal::of_client(700_021, "Client assertion application identifier doesn't match its subject."));
    }
    let begin = claims.nbf.or(claims.iat);
    if begin.is_none_or(|begin| claims.exp.saturating_sub(begin) > 24 * 3_600) {
        return Err(Refusal::of_client(700_024, "Client assertion is valid for too long, or without a beginning."));
    }
    match claims.jti.filter(|jti| !jti.is_empty()) {
        Some(jti) => Ok((jti, claims.exp)),
        None => Err(Refusal::of_client(50_027, "JWT token is invalid: it has no jti.")),
    }
}

fn refusal(kind: &ErrorKind, audience: &str) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => {
            Refusal::of_client(700_024, "Client assertion is not within its valid time range.")
        }
        ErrorKind::InvalidAudience => {
            let text = format!("Client assertion audience claim does not match {audience}.");
            Refusal::of_client(700_023, &text)
        }
        ErrorKind::InvalidIssuer => {
            Refusal::of_client(700_021, "Client assertion application identifier doesn't match the issuer.")
        }
        ErrorKind::InvalidSignature => Refusal::of_client(700_027, "Client assertion contains an invalid signature."),
        other => Refusal::of_client(50_027, &format!("JWT token is invalid or malformed: {other:?}.")),
    }
}

fn thumbprint(certificate: &CertificateDer<'_>, sha256: bool) -> String {
    let algorithm = if sha256 { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY };
    URL_SAFE_NO_PAD.encode(digest::digest(algorithm, certificate))
}
