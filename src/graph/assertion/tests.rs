use std::path::Path;
use std::process::Command;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::*;

const CLIENT: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
const ENDPOINT: &str = "https://login.microsoftonline.com/contoso/oauth2/v2.0/token";

/// A certificate and its key, as an operator makes them.
fn made(place: &Path, legacy: bool) -> ClientCertificate {
    openssl(
        place,
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=x"],
    );
    openssl(place, &["x509", "-in", "c.pem", "-outform", "DER", "-out", "c.der"]);
    openssl(place, &["pkcs8", "-topk8", "-nocrypt", "-in", "k.pem", "-outform", "DER", "-out", "k.der"]);
    openssl(place, &["x509", "-in", "c.pem", "-noout", "-pubkey", "-out", "p.pem"]);
    openssl(place, &["rsa", "-pubin", "-in", "p.pem", "-RSAPublicKey_out", "-outform", "DER", "-out", "p.der"]);
    let read = |name: &str| std::fs::read(place.join(name)).unwrap();
    ClientCertificate { der: read("c.der"), key: read("k.der"), legacy, ends: 0 }
}

fn openssl(place: &Path, arguments: &[&str]) -> String {
    let done = Command::new("openssl").args(arguments).current_dir(place).output().expect("openssl is installed");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn both_kinds_are_what_others_verify() {
    let place = tempfile::tempdir().unwrap();
    let now = super::super::client::unix_now();
    for (legacy, algorithm, thumb, hash, padding) in [
        (false, Algorithm::PS256, "x5t#S256", "-sha256", Some("rsa_padding_mode:pss")),
        (true, Algorithm::RS256, "x5t", "-sha1", None),
    ] {
        let certificate = made(place.path(), legacy);
        let jwt = make(&certificate, CLIENT, ENDPOINT, "id-1", now).unwrap();

        let public = std::fs::read(place.path().join("p.der")).unwrap();
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[ENDPOINT]);
        validation.set_issuer(&[CLIENT]);
        validation.validate_nbf = true;
        let claims = decode::<Value>(&jwt, &DecodingKey::from_rsa_der(&public), &validation).unwrap().claims;
        assert_eq!((claims["sub"].as_str(), claims["jti"].as_str()), (Some(CLIENT), Some("id-1")));
        assert_eq!(claims["exp"].as_i64(), Some(now + 300));
        assert_eq!(decode_header(&jwt).unwrap().typ.as_deref(), Some("JWT"));

        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        std::fs::write(place.path().join("signed"), signed).unwrap();
        std::fs::write(place.path().join("signature"), URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let mut arguments = vec!["dgst", "-sha256", "-verify", "p.pem", "-signature", "signature"];
        arguments.extend(padding.iter().flat_map(|padding| ["-sigopt", padding]));
        arguments.push("signed");
        assert_eq!(openssl(place.path(), &arguments).trim(), "Verified OK");

        let header = URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let shown = openssl(place.path(), &["x509", "-in", "c.pem", "-noout", "-fingerprint", hash]);
        let digits = shown.rsplit_once('=').unwrap().1.trim().split(':');
        let fingerprint: Vec<u8> = digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(header[thumb].as_str(), Some(&*URL_SAFE_NO_PAD.encode(fingerprint)));
    }
}

#[test]
fn keys_that_entra_does_not_take_are_told() {
    let certificate = ClientCertificate { der: Vec::new(), key: b"no key".to_vec(), legacy: false, ends: 0 };
    let told = make(&certificate, CLIENT, ENDPOINT, "id", 0).unwrap_err().to_string();
    assert_eq!(told, "the key of the certificate is no RSA key of 2048 bits or more, as Entra wants");
    assert!(!format!("{certificate:?}").contains("no key"));
}
