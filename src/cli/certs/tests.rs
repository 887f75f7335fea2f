use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// P-256, since RSA keys take long to make.
fn quick() -> DevOptions {
    DevOptions { key: KeyKind::EcdsaP256, ..DevOptions::default() }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn set_is_written_with_keys_for_the_owner_alone() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("certs/dev");
    let made = make_dev_certificates(&dir, &quick()).unwrap();
    assert!(made.iter().all(|file| file.written));
    assert_eq!(mode(&dir), 0o700);
    let names: BTreeSet<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected = ["ca", "edge", "expired", "pbx", "teams", "wrong-name"]
        .iter()
        .flat_map(|stem| [format!("{stem}.key"), format!("{stem}.pem")])
        .collect();
    assert_eq!(names, expected);
    for name in names.iter().filter(|name| name.ends_with(".key")) {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn each_key_fits_its_certificate_and_each_certificate_its_authority() {
    let dir = TempDir::new().unwrap();
    make_dev_certificates(dir.path(), &quick()).unwrap();
    let ca = dir.path().join("ca.pem");
    for role in Role::ALL {
        let files = PairFiles::new(dir.path(), role.file_stem());
        tls::pem::identity(&files.certificate, &files.key).unwrap();
        let checked = tls::pem::check_issuer(&fs::read(&files.certificate).unwrap(), &ca);
        match role {
            Role::Expired => {
                let error = checked.unwrap_err().to_string();
                assert!(error.contains("expired"), "{error}");
            }
            _ => checked.unwrap(),
        }
    }
}

#[test]
fn second_run_keeps_every_file() {
    let dir = TempDir::new().unwrap();
    make_dev_certificates(dir.path(), &quick()).unwrap();
    let before = fs::read(dir.path().join("edge.key")).unwrap();
    let made = make_dev_certificates(dir.path(), &quick()).unwrap();
    assert!(made.iter().all(|file| !file.written));
    assert_eq!(fs::read(dir.path().join("edge.key")).unwrap(), before);
}

#[test]
fn removed_certificate_is_made_again_under_the_same_authority() {
    let dir = TempDir::new().unwrap();
    make_dev_certificates(dir.path(), &quick()).unwrap();
    let ca = fs::read(dir.path().join("ca.pem")).unwrap();
    fs::remove_file(dir.path().join("pbx.pem")).unwrap();
    fs::remove_file(dir.path().join("pbx.key")).unwrap();
    let made = make_dev_certificates(dir.path(), &quick()).unwrap();
    let written: Vec<_> = made.iter().filter(|file| file.written).collect();
    assert_eq!(written.len(), 2);
    assert_eq!(fs::read(dir.path().join("ca.pem")).unwrap(), ca);
    let pbx = fs::read(dir.path().join("pbx.pem")).unwrap();
    tls::pem::check_issuer(&pbx, &dir.path().join("ca.pem")).unwrap();
}

#[test]
fn force_replaces_authority_and_certificates() {
    let dir = TempDir::new().unwrap();
    make_dev_certificates(dir.path(), &quick()).unwrap();
    let before = fs::read(dir.path().join("ca.pem")).unwrap();
    let options = DevOptions { force: true, ..quick() };
    let made = make_dev_certificates(dir.path(), &options).unwrap();
    assert!(made.iter().all(|file| file.written));
    assert_ne!(fs::read(dir.path().join("ca.pem")).unwrap(), before);
    assert_eq!(mode(&dir.path().join("ca.key")), 0o600);
}

#[test]
fn certificate_without_its_key_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("teams.pem"), "of somebody").unwrap();
    let error = make_dev_certificates(dir.path(), &quick()).unwrap_err();
    assert!(matches!(error, CertsError::HalfPair { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn certificates_of_a_lost_authority_are_not_replaced_unasked() {
    let dir = TempDir::new().unwrap();
    make_dev_certificates(dir.path(), &quick()).unwrap();
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    let before = fs::read(dir.path().join("edge.pem")).unwrap();
    let error = make_dev_certificates(dir.path(), &quick()).unwrap_err();
    assert!(matches!(error, CertsError::LostAuthority { .. }), "{error}");
    assert_eq!(fs::read(dir.path().join("edge.pem")).unwrap(), before);
    assert!(!dir.path().join("ca.pem").exists());
}

#[test]
fn authority_made_by_something_else_is_refused() {
    let dir = TempDir::new().unwrap();
    let other = DevAuthority::generate("another CA", KeyKind::EcdsaP256).unwrap();
    fs::write(dir.path().join("ca.pem"), other.certificate()).unwrap();
    fs::write(dir.path().join("ca.key"), other.pem().key).unwrap();
    let error = make_dev_certificates(dir.path(), &quick()).unwrap_err();
    assert!(matches!(error, CertsError::ForeignAuthority { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn rsa_keys_of_2048_bits_are_made_by_default() {
    let dir = TempDir::new().unwrap();
    let authority = DevAuthority::generate("test CA", KeyKind::EcdsaP256).unwrap();
    let pem = authority.issue(&Role::Edge.leaf(&DevOptions::default())).unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    fs::write(&certificate, &pem.certificate).unwrap();
    fs::write(&key, &pem.key).unwrap();
    tls::pem::identity(&certificate, &key).unwrap();
    // A PKCS #8 RSA key of 2048 bits has about 1700 characters; a P-256 key about 240.
    assert!((1500..2000).contains(&pem.key.len()), "{}", pem.key.len());
}

#[test]
fn debug_output_shows_no_key() {
    let set = DevCertificates::generate(&quick()).unwrap();
    let text = format!("{set:?}");
    assert!(text.contains("BEGIN CERTIFICATE"));
    assert!(!text.contains("PRIVATE KEY"));
}

#[test]
fn name_that_fits_no_certificate_is_quoted() {
    let options = DevOptions { edge_names: vec!["büro.example".to_owned()], ..quick() };
    let error = DevCertificates::generate(&options).unwrap_err();
    assert!(error.to_string().contains("büro.example"), "{error}");
}
