//! Whose description it is (`o=`), and the addresses in it (`c=`).

use std::net::IpAddr;

use super::lines::{Lines, words};

/// The `o=` line (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    pub user: &'a [u8],
    pub id: &'a [u8],
    pub version: &'a [u8],
    /// `IN IP4 192.0.2.1`, as written.
    pub address: &'a [u8],
}

impl<'a> Origin<'a> {
    /// Reads the line.
    pub fn of(sdp: &'a [u8]) -> Option<Self> {
        let value = Lines::new(sdp).find(|line| line.kind == b'o')?.value;
        let mut fields = value.splitn(4, |&byte| byte == b' ');
        let origin =
            Self { user: fields.next()?, id: fields.next()?, version: fields.next()?, address: fields.next()? };
        Some(origin)
    }
}

/// The address of a `c=` value or the end of an `o=` or `a=rtcp:` value: the third word of `IN IP4 192.0.2.1/127`.
pub(super) fn ip_of(connection: &[u8]) -> Option<IpAddr> {
    let mut words = words(connection);
    if !words.next()?.eq_ignore_ascii_case(b"IN") {
        return None;
    }
    let address = words.nth(1)?.split(|&byte| byte == b'/').next()?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// Whether a `c=` value says 0.0.0.0 or `::`, by which nothing is to be sent there (RFC 3264 section 8.4).
pub(super) fn is_nowhere(connection: &[u8]) -> bool {
    ip_of(connection).is_some_and(|ip| ip.is_unspecified())
}

/// The first `c=` value of a description that media can be sent to.
pub fn address(sdp: &[u8]) -> Option<&[u8]> {
    Lines::new(sdp).filter(|line| line.kind == b'c').map(|line| line.value).find(|value| !is_nowhere(value))
}

/// The address of the `o=` line, where it is one.
pub fn origin_address(sdp: &[u8]) -> Option<&[u8]> {
    let address = Origin::of(sdp)?.address;
    ip_of(address).filter(|ip| !ip.is_unspecified()).map(|_| address)
}
