//! URIs, name-addrs, Via values, CSeq, lists and parameters.

use trunkway::sip::scan::{Params, Values};
use trunkway::sip::{CSeq, NameAddr, Scheme, Uri, Via};

use crate::{assert_in_order, offset_within};

/// Reads the bytes as each of them.
///
/// # Panics
/// When a part lies outside of the bytes or parts are out of order.
pub fn check(bytes: &[u8]) {
    if let Ok(uri) = Uri::parse(bytes) {
        check_uri(bytes, &uri);
    }
    if let Ok(address) = NameAddr::parse(bytes) {
        check_address(bytes, &address);
    }
    if let Ok(via) = Via::parse(bytes) {
        check_via(bytes, &via);
    }
    if let Ok(cseq) = CSeq::parse(bytes) {
        assert!(cseq.number < 1 << 31);
        assert_in_order(bytes, &[cseq.method]);
    }
    let mut end = 0;
    for value in Values::new(bytes) {
        let Ok(value) = value else { break };
        if !value.is_empty() {
            let start = offset_within(bytes, value);
            assert!(start >= end);
            end = start + value.len();
        }
    }
    check_params(bytes, bytes);
}

/// Checks a URI read from within `bytes`.
///
/// # Panics
/// When one of its parts does not lie in its place.
pub fn check_uri(bytes: &[u8], uri: &Uri<'_>) {
    offset_within(bytes, uri.raw);
    let none: &[u8] = &[];
    assert_in_order(
        uri.raw,
        &[uri.user.unwrap_or(none), uri.password.unwrap_or(none), uri.host, uri.params, uri.headers],
    );
    match uri.scheme {
        Scheme::Sip | Scheme::Sips => assert!(!uri.host.is_empty()),
        Scheme::Tel => assert!(uri.user.is_some_and(|number| !number.is_empty()) && uri.host.is_empty()),
        Scheme::Other => assert!(!uri.is_routable()),
    }
    assert!(uri.port != Some(0));
    assert!(uri.params.is_empty() || uri.params.starts_with(b";"));
    assert!(uri.host.ends_with(uri.bare_host()) || uri.host.starts_with(b"["));
    if uri.host.starts_with(b"[") {
        assert!(uri.host.ends_with(b"]"));
    }
    // An address reads the same once it is written.
    if let Some(ip) = uri.ip() {
        assert!(uri.bare_host().len() >= 2 && ip.to_string().len() >= 2);
    }
    uri.is_loose();
    check_params(uri.raw, uri.params);
    // What was read from the whole is read from a copy alike.
    let copy = uri.raw.to_vec();
    assert_eq!(Uri::parse(&copy).as_ref(), Ok(uri));
}

fn check_address(bytes: &[u8], address: &NameAddr<'_>) {
    assert_in_order(bytes, &[address.display, address.uri, address.params]);
    assert!(!address.uri.is_empty());
    if let Some(tag) = address.tag() {
        offset_within(bytes, tag);
    }
    if let Ok(uri) = address.uri() {
        check_uri(bytes, &uri);
    }
    check_params(bytes, address.params);
}

fn check_via(bytes: &[u8], via: &Via<'_>) {
    assert_eq!(via.raw, bytes);
    assert_in_order(bytes, &[via.transport, via.host, via.params]);
    assert!(!via.host.is_empty() && via.port != Some(0));
    for part in [via.branch, via.received, via.maddr, via.rport.flatten(), via.rfc3261_branch()].into_iter().flatten() {
        offset_within(via.params, part);
    }
}

fn check_params(whole: &[u8], text: &[u8]) {
    for param in Params::new(text) {
        let Ok(param) = param else { break };
        assert!(!param.name.is_empty());
        assert_in_order(whole, &[param.name, param.value.unwrap_or_default()]);
    }
}
