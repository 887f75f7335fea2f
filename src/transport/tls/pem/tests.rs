use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, RsaKeySize};
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;

/// A self-signed certificate and its key.
fn made(key: KeyPair) -> (String, String) {
    let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn ecdsa() -> (String, String) {
    made(KeyPair::generate().unwrap())
}

fn file(dir: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn pemfile_and_the_pem_reader_of_pki_types_read_the_same() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    for (certificate, key) in [ecdsa(), made(rsa)] {
        let (other, _) = ecdsa();
        let text = format!("Subject: a comment\n{certificate}\r\n{other}{key}");
        let (certificates, found) = sections(text.as_bytes()).ok().unwrap();
        let expected: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(certificates.len(), 2);
        assert_eq!(certificates, expected);
        assert_eq!(found.unwrap(), PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap());
    }
}

#[test]
fn identity_is_read_from_two_files() {
    let dir = TempDir::new().unwrap();
    let (certificate, key) = ecdsa();
    let found = identity(&file(&dir, "a.pem", certificate), &file(&dir, "a.key", key));
    assert_eq!(found.unwrap().cert.len(), 1);
}

#[test]
fn missing_file_is_named_with_the_reason() {
    let error = certificates(Path::new("/nowhere/edge.pem")).unwrap_err();
    assert!(matches!(error, TlsError::Read { .. }));
    let text = error.to_string();
    assert!(text.starts_with("/nowhere/edge.pem: "), "{text}");
    assert!(text.contains("No such file"), "{text}");
}

#[test]
fn file_without_certificate_or_key_is_named() {
    let dir = TempDir::new().unwrap();
    let (certificate, key) = ecdsa();
    let only_key = file(&dir, "key", key);
    let only_certificate = file(&dir, "certificate", certificate);
    assert!(matches!(certificates(&only_key), Err(TlsError::NoCertificate { path }) if path == only_key));
    assert!(matches!(private_key(&only_certificate), Err(TlsError::NoKey { path }) if path == only_certificate));
}

#[test]
fn key_of_another_certificate_is_refused_with_both_files_named() {
    let dir = TempDir::new().unwrap();
    let certificate = file(&dir, "a.pem", ecdsa().0);
    let key = file(&dir, "b.key", ecdsa().1);
    let error = identity(&certificate, &key).unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("a.pem") && text.contains("b.key"), "{text}");
}

#[test]
fn encrypted_keys_of_both_forms_are_told_from_missing_ones() {
    let dir = TempDir::new().unwrap();
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                 DEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    for text in [pkcs8, older] {
        let path = file(&dir, "locked.key", text);
        let error = private_key(&path).unwrap_err();
        assert!(matches!(error, TlsError::EncryptedKey { .. }), "{error}");
        assert!(error.to_string().contains("openssl pkey"));
    }
}

#[test]
fn damaged_key_file_is_refused_without_showing_what_is_in_it() {
    let dir = TempDir::new().unwrap();
    let (certificate, key) = ecdsa();
    let cut = &key[..key.len() / 2];
    let error = private_key(&file(&dir, "cut.key", cut)).unwrap_err();
    assert!(matches!(error, TlsError::Malformed { .. }), "{error}");
    let secret_line = key.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(&secret_line[..16]));

    let wrong = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let error = identity(&file(&dir, "a.pem", certificate), &file(&dir, "wrong.key", wrong)).unwrap_err();
    assert!(matches!(error, TlsError::UnusableKey { .. }), "{error}");
}

#[test]
fn unreadable_authority_is_counted() {
    let dir = TempDir::new().unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let path = file(&dir, "roots.pem", ecdsa().0 + damaged);
    let error = authorities(&path).unwrap_err();
    assert!(matches!(error, TlsError::BadCertificate { number: 2, .. }), "{error}");
}

#[test]
fn file_beyond_the_limit_is_not_read() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "huge.pem", vec![b'\n'; MAX_FILE_BYTES as usize + 1]);
    assert!(matches!(certificates(&path), Err(TlsError::TooLarge { .. })));
}
