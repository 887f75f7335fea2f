use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, RsaKeySize, SerialNumber,
};
use time::Duration;

use super::*;

/// What rcgen made, read back.
fn read_back(params: &CertificateParams, key: &KeyPair) -> Certificate {
    Certificate::parse(params.self_signed(key).unwrap().der()).unwrap()
}

/// Seconds since 1970.
fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// One second before 2000, in the form with two digits for the year.
const CENTURY: i64 = 946_684_799;
/// 2050, from which on a year has four digits.
const FOUR_DIGITS: i64 = 2_524_608_000;
/// 2026-01-02 03:04:05.
const BEGIN: i64 = 1_767_323_045;
const DAY: i64 = 86_400;

fn named(names: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    for (kind, name) in names {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params
}

#[test]
fn everything_that_was_put_in_is_read() {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = named(&[(DnType::CommonName, "Root"), (DnType::OrganizationName, "Org")]);
    authority.not_before = at(CENTURY);
    authority.not_after = at(FOUR_DIGITS);
    let mut leaf = named(&[(DnType::OrganizationName, "Contoso"), (DnType::CommonName, "sbc.example.net")]);
    leaf.serial_number = Some(SerialNumber::from_slice(&[0x80, 0x0a, 0xff]));
    leaf.not_before = at(BEGIN);
    leaf.not_after = at(BEGIN + 90 * DAY);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning, ExtendedKeyUsagePurpose::ServerAuth];
    let root = read_back(&authority, &authority_key);
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let made = leaf.signed_by(&rsa, &Issuer::new(authority.clone(), authority_key)).unwrap();
    let leaf = Certificate::parse(made.der()).unwrap();

    assert_eq!((&*leaf.serial, &*leaf.subject.shown, &*leaf.issuer.shown), ("800AFF", "sbc.example.net", "Root"));
    assert_eq!(leaf.not_before, at(BEGIN));
    assert_eq!(leaf.not_after, at(BEGIN + 90 * DAY));
    assert_eq!((leaf.key, root.key), (Key::Rsa { bits: 2048 }, Key::Ecdsa));
    assert_eq!(leaf.purposes, Some(Purposes { client: false, server: true }));
    assert_eq!((root.purposes, root.not_before), (None, at(CENTURY)));
    assert_eq!(root.not_after, at(FOUR_DIGITS));
    assert!(root.is_self_issued() && !leaf.is_self_issued());
    assert_eq!(leaf.issuer, root.subject);
    assert_ne!(leaf.issuer, read_back(&named(&[(DnType::CommonName, "Root")]), &rsa).subject, "another of this name");
    for (hours, left) in
        [(90 * 24, 90), (30 * 24, 30), (30 * 24 - 1, 29), (24, 1), (23, 0), (0, 0), (-1, -1), (-25, -2)]
    {
        assert_eq!(leaf.days_left(leaf.not_after - Duration::hours(hours)), left, "{hours} hours before");
    }
}

#[test]
fn purposes_and_names_of_every_kind_are_read() {
    use ExtendedKeyUsagePurpose::{ClientAuth, EmailProtection, ServerAuth};
    let key = KeyPair::generate().unwrap();
    for (usages, client, server) in [
        (vec![ServerAuth, ClientAuth], true, true),
        (vec![ClientAuth], true, false),
        (vec![EmailProtection], false, false),
    ] {
        let mut params = named(&[]);
        params.extended_key_usages.clone_from(&usages);
        assert_eq!(read_back(&params, &key).purposes, Some(Purposes { client, server }), "{usages:?}");
    }
    let shown = |names: &[(DnType, &str)]| read_back(&named(names), &key).subject.shown;
    assert_eq!(shown(&[(DnType::CountryName, "GB"), (DnType::OrganizationName, "Büro")]), "Büro");
    assert_eq!(shown(&[(DnType::CommonName, "first"), (DnType::OrganizationName, "Org")]), "first");
    assert_eq!(shown(&[]), "");
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    assert_eq!(read_back(&named(&[]), &ed).key, Key::Other);
}

/// An element of DER around a content of less than 64 KiB.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

#[test]
fn length_of_an_rsa_key_is_that_of_its_modulus() {
    let oid = element(der::OBJECT_IDENTIFIER, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);
    for (first, bytes, bits) in [(&[0x00, 0xc0][..], 128, 1024), (&[0x7f], 128, 1023), (&[0x00, 0x80], 512, 4096)] {
        let mut modulus = first.to_vec();
        let zeros = usize::from(first[0] == 0);
        modulus.resize(bytes + zeros, 0xff);
        let key = element(der::SEQUENCE, &[element(der::INTEGER, &modulus), element(der::INTEGER, &[3])].concat());
        let info = [element(der::SEQUENCE, &oid), element(der::BIT_STRING, &[vec![0], key].concat())].concat();
        assert_eq!(Key::parse(&info), Some(Key::Rsa { bits }), "{bits}");
    }
}

#[test]
fn fingerprint_is_that_of_the_whole_certificate() {
    // RFC 3174 section 7.3: the digest of "abc".
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, b"abc");
    assert_eq!(hexadecimal(digest.as_ref()), "A9993E364706816ABA3E25717850C26C9CD0D89D");
    let made = named(&[]).self_signed(&KeyPair::generate().unwrap()).unwrap();
    let expected = hexadecimal(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, made.der()).as_ref());
    assert_eq!(Certificate::parse(made.der()).unwrap().sha1, expected);
}

#[test]
fn cut_or_changed_certificate_is_refused_or_read_but_never_fatal() {
    let made = named(&[(DnType::CommonName, "a")]).self_signed(&KeyPair::generate().unwrap()).unwrap();
    for end in 0..made.der().len() {
        assert_eq!(Certificate::parse(&CertificateDer::from(made.der()[..end].to_vec())), None, "cut at {end}");
    }
    for (at, change) in (0..made.der().len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xff)]) {
        let mut der = made.der().to_vec();
        der[at] ^= change;
        let _ = Certificate::parse(&CertificateDer::from(der));
    }
}

#[test]
fn file_tells_its_certificates_in_order_or_which_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chain.pem");
    let key = KeyPair::generate().unwrap();
    let pem = |name| named(&[(DnType::CommonName, name)]).self_signed(&key).unwrap().pem();
    std::fs::write(&path, pem("one") + &pem("two")).unwrap();
    let shown: Vec<String> = super::read(&path).unwrap().into_iter().map(|found| found.subject.shown).collect();
    assert_eq!(shown, ["one", "two"]);
    let none = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(&path, pem("one") + none).unwrap();
    let error = super::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("certificate number 2 cannot be read (this is no X.509 certificate)"), "{error}");
}
