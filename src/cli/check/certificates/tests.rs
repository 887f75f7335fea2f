//! What is said of certificates, each put together with one thing wrong.

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};

use super::fitness::complaints;
use super::*;
use crate::cli::check::tests::made::{Authority, Leaf, write};
use crate::config::teams::Root;
use crate::transport::tls::certificate::{Key, Name};

/// The certificates of PEM texts.
fn parsed(texts: &[&str]) -> Vec<Certificate> {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), texts);
    certificate::read(file.path()).unwrap()
}

/// What is said of a chain where `trusted` is in the trust file.
fn said(chain: &[&str], trusted: &[&str]) -> Vec<String> {
    let trusted = if trusted.is_empty() { Vec::new() } else { parsed(trusted) };
    let is_trusted = |name: &Name| trusted.iter().any(|one| one.subject == *name);
    complaints(&parsed(chain), is_trusted, OffsetDateTime::now_utc()).into_iter().map(|told| told.what).collect()
}

/// The day so many hours from now.
fn day(hours: i64) -> String {
    (OffsetDateTime::now_utc() + time::Duration::hours(hours)).date().to_string()
}

#[test]
fn good_certificate_is_not_spoken_of() {
    let (root, leaf) = (Authority::root("Root"), Leaf::default());
    let between = Authority::under("Between", &root, (-24, 3000 * 24));
    let own = between.issue(&leaf);
    assert_eq!(said(&[&own, &between.pem], &[]), [""; 0], "the root need not be sent");
    assert_eq!(said(&[&own, &between.pem, &root.pem], &[]), [""; 0], "but it may");
    assert_eq!(said(&[&root.issue(&leaf)], &[&root.pem]), [""; 0], "straight under a trusted root");
    let unstated = Leaf { usages: vec![], ..Leaf::default() };
    assert_eq!(said(&[&between.issue(&unstated), &between.pem], &[]), [""; 0], "for any purpose");
}

#[test]
fn each_fault_of_a_certificate_is_told() {
    let root = Authority::root("Root");
    let base = Leaf::default;
    for (leaf, expected) in [
        (Leaf { hours: (-48, -1), ..base() }, format!("expired on {}", day(-1))),
        (Leaf { hours: (1, 90 * 24), ..base() }, format!("is not good before {}", day(1))),
        (Leaf { hours: (-24, 23), ..base() }, "ends within a day".to_owned()),
        (Leaf { hours: (-24, 25), ..base() }, format!("ends in 1 day, on {}", day(25))),
        (Leaf { hours: (-24, 30 * 24 - 1), ..base() }, format!("ends in 29 days, on {}", day(30 * 24 - 1))),
        (Leaf { is_rsa: false, ..base() }, "has an ECDSA key, and the suites that Teams offers are for RSA".to_owned()),
        (Leaf { usages: vec![ServerAuth], ..base() }, "has no clientAuth in its extended key usage".to_owned()),
        (Leaf { usages: vec![ClientAuth], ..base() }, "has no serverAuth in its extended key usage".to_owned()),
        (
            Leaf { usages: vec![CodeSigning], ..base() },
            "has neither serverAuth nor clientAuth in its extended key usage".to_owned(),
        ),
    ] {
        assert_eq!(said(&[&root.issue(&leaf)], &[&root.pem]), [expected], "{leaf:?}");
    }
    let just_enough = Leaf { hours: (-24, 30 * 24 + 1), ..base() };
    assert_eq!(said(&[&root.issue(&just_enough)], &[&root.pem]), [""; 0]);
}

#[test]
fn chain_leads_to_somebody_who_is_known() {
    let root = Authority::root("Root");
    let between = Authority::under("Between", &root, (-24, 3000 * 24));
    let other = Authority::root("Other");
    let own = between.issue(&Leaf::default());
    let incomplete = "comes without that of `Between`, who issued it: its chain is incomplete";
    assert_eq!(said(&[&own], &[]), [incomplete]);
    assert_eq!(said(&[&own], &[&root.pem]), [incomplete], "the root alone does not do");
    assert_eq!(said(&[&own, &other.pem], &[&other.pem]), [incomplete], "another's does not either");
    assert_eq!(said(&[&Leaf::default().self_signed()], &[]), ["is self-signed, and Teams takes none of those"]);
    let past = Authority::under("Past", &root, (-48, -2));
    let own = past.issue(&Leaf::default());
    assert_eq!(said(&[&own, &past.pem], &[]), [format!("comes with `Past`, which expired on {}", day(-2))]);
}

#[test]
fn all_faults_of_one_certificate_are_told_and_each_says_what_to_do() {
    let leaf = Leaf { is_rsa: false, usages: vec![ServerAuth], hours: (-48, -24), ..Leaf::default() };
    let chain = parsed(&[&Authority::root("Root").issue(&leaf)]);
    let told = complaints(&chain, |_| false, OffsetDateTime::now_utc());
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|complaint| !complaint.help.is_empty()));
    assert_eq!(complaints(&[], |_| false, OffsetDateTime::now_utc()), []);
}

/// Keys that rcgen does not make.
#[test]
fn short_and_foreign_keys_are_told() {
    let root = Authority::root("Root");
    let chain = parsed(&[&root.issue(&Leaf::default())]);
    for (key, expected) in [
        (Key::Rsa { bits: 1024 }, Some("has an RSA key of 1024 bits, and Teams asks for 2048")),
        (Key::Rsa { bits: 2047 }, Some("has an RSA key of 2047 bits, and Teams asks for 2048")),
        (Key::Rsa { bits: 2048 }, None),
        (Key::Rsa { bits: 4096 }, None),
        (Key::Other, Some("has a key that is not RSA, and the suites that Teams offers are for RSA")),
    ] {
        let own = Certificate { key, ..chain[0].clone() };
        let told = complaints(&[own], |_| true, OffsetDateTime::now_utc());
        assert_eq!(told.first().map(|complaint| &*complaint.what), expected, "{key:?}");
    }
}

#[test]
fn missing_roots_are_named_and_others_do_no_harm() {
    let trusted = parsed(&[&Authority::root("A").pem, &Authority::root("B").pem, &Authority::root("C").pem]);
    let root = |name: &str, sha1: &str| Root { name: name.to_owned(), sha1: sha1.to_owned() };
    let (a, b) = (root("A", &trusted[0].sha1), root("B", &trusted[1].sha1));
    // Of the right name, but another certificate.
    let (c, d) = (root("C", "00C0"), root("D", "00D0"));
    let missing = |roots: &[Root]| roots::missing(roots, &trusted);
    assert_eq!(missing(&[a.clone(), b.clone()]), None);
    let (what, help) = missing(&[a, c.clone(), b, d.clone()]).unwrap();
    assert_eq!(what, "lacks 2 of the 4 roots that Microsoft names: C, D");
    assert_eq!(help, "add C (SHA-1 00C0), D (SHA-1 00D0)");
    assert_eq!(missing(&[c, d]).unwrap().0, "has none of the 2 roots that Microsoft names");
}
