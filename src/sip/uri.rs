//! URIs as they stand in messages: sip, sips and tel are taken apart, others are passed on
//! (RFC 3261 section 19.1, RFC 3966). Nothing is unescaped: bytes leave as they came.

use super::flaw::What;
use super::scan::{self, Params};

/// The scheme of a URI, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Any other: the proxy cannot route by it (416).
    Other,
}

/// A URI, taken apart over its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The whole URI as written.
    pub raw: &'a [u8],
    pub scheme: Scheme,
    /// The user part as written, escapes and user parameters included; for `tel` the number.
    pub user: Option<&'a [u8]>,
    /// What follows the user's colon.
    pub password: Option<&'a [u8]>,
    /// The host as written, IPv6 in its brackets; empty for `tel` and other schemes.
    pub host: &'a [u8],
    pub port: Option<u16>,
    /// The parameters with their leading `;`, or empty.
    pub params: &'a [u8],
    /// What follows `?`, or empty.
    pub headers: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a URI that fills the slice.
    ///
    /// # Errors
    /// [`What::Uri`] when there is no scheme, or a sip URI has no or a malformed host or port.
    pub fn parse(raw: &'a [u8]) -> Result<Self, What> {
        let colon = memchr::memchr(b':', raw).ok_or(What::Uri)?;
        let (name, rest) = raw.split_at(colon);
        let rest = rest.get(1..).unwrap_or_default();
        if !is_scheme(name) || raw.iter().any(|&byte| scan::is_blank(byte) || matches!(byte, b'<' | b'>' | b'"' | 0)) {
            return Err(What::Uri);
        }
        let scheme = match name.len() {
            3 if name.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
            4 if name.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
            3 if name.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
            _ => Scheme::Other,
        };
        let plain = Self { raw, scheme, user: None, password: None, host: &[], port: None, params: &[], headers: &[] };
        match scheme {
            Scheme::Sip | Scheme::Sips => plain.with_sip_parts(rest),
            Scheme::Tel => plain.with_tel_parts(rest),
            Scheme::Other => Ok(plain),
        }
    }

    fn with_sip_parts(mut self, rest: &'a [u8]) -> Result<Self, What> {
        // Neither parameters nor headers may hold an unescaped `@`, but a user part may hold `;`, `?` and `/`.
        let after = match memchr::memchr(b'@', rest) {
            Some(at) => {
                let (userinfo, after) = rest.split_at(at);
                match memchr::memchr(b':', userinfo) {
                    Some(colon) => {
                        let (user, password) = userinfo.split_at(colon);
                        self.user = Some(user);
                        self.password = password.get(1..);
                    }
                    None => self.user = Some(userinfo),
                }
                if self.user.is_some_and(<[u8]>::is_empty) {
                    return Err(What::Uri);
                }
                after.get(1..).unwrap_or_default()
            }
            None => rest,
        };
        let host_end = host_len(after).ok_or(What::Uri)?;
        let (host, tail) = after.split_at(host_end);
        self.host = host;
        let tail = match tail {
            [b':', tail @ ..] => {
                let len = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (port, tail) = tail.split_at(len);
                self.port = Some(parse_port(port).ok_or(What::Uri)?);
                tail
            }
            _ => tail,
        };
        match tail.first() {
            None => Ok(self),
            Some(b';') => {
                let end = memchr::memchr(b'?', tail).unwrap_or(tail.len());
                let (params, headers) = tail.split_at(end);
                self.params = params;
                self.headers = headers.get(1..).unwrap_or_default();
                Ok(self)
            }
            Some(b'?') => {
                self.headers = tail.get(1..).unwrap_or_default();
                Ok(self)
            }
            Some(_) => Err(What::Uri),
        }
    }

    fn with_tel_parts(mut self, rest: &'a [u8]) -> Result<Self, What> {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (number, params) = rest.split_at(end);
        if number.is_empty() {
            return Err(What::Uri);
        }
        self.user = Some(number);
        self.params = params;
        Ok(self)
    }

    /// Whether the proxy can route by this scheme.
    pub fn is_routable(&self) -> bool {
        self.scheme != Scheme::Other
    }

    /// A parameter by name, in any case: `None` absent, `Some(None)` without a value.
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if self.params.is_empty() {
            return None;
        }
        Params::new(self.params).find(name).map(|param| param.value)
    }

    /// Whether the URI is that of a loose router (RFC 3261 section 19.1.1, `lr`).
    pub fn is_loose(&self) -> bool {
        self.param(b"lr").is_some()
    }

    /// The host without the brackets of an IPv6 literal.
    pub fn bare_host(&self) -> &'a [u8] {
        self.host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(self.host)
    }

    /// The host as an address when it is an IP literal.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        ip_literal(self.host)
    }
}

/// Reads an IPv4 literal, or an IPv6 literal in brackets.
pub fn ip_literal(host: &[u8]) -> Option<std::net::IpAddr> {
    let bare = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    match (bare, host.first()?) {
        (Some(bare), _) => std::str::from_utf8(bare).ok()?.parse::<std::net::Ipv6Addr>().ok().map(Into::into),
        (None, b'0'..=b'9') => std::str::from_utf8(host).ok()?.parse::<std::net::Ipv4Addr>().ok().map(Into::into),
        _ => None,
    }
}

/// A port of one to five digits that fits; 0 is no port.
pub(crate) fn parse_port(digits: &[u8]) -> Option<u16> {
    match scan::decimal(digits)? {
        0 => None,
        port => u16::try_from(port).ok(),
    }
}

/// Length of a host at the front of `text`: a bracketed IPv6 literal, or the bytes of names and IPv4 literals.
///
/// Underscores are let through: they occur in the names of real networks.
pub(crate) fn host_len(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text)?;
        let inner = text.get(1..end)?;
        let valid =
            !inner.is_empty() && inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        return valid.then_some(end + 1);
    }
    let len = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')).count();
    (len > 0).then_some(len)
}

fn is_scheme(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap_or_else(|what| panic!("{text}: {what}"))
    }

    #[test]
    fn parts_are_found() {
        let it = uri("sip:+44163276;phone-context=x:pw@[2001:db8::9:1]:5070;transport=tcp;lr?Replaces=a%40b");
        assert_eq!(it.user, Some(&b"+44163276;phone-context=x"[..]));
        assert_eq!(it.password, Some(&b"pw"[..]));
        assert_eq!(it.host, b"[2001:db8::9:1]");
        assert_eq!(it.bare_host(), b"2001:db8::9:1");
        assert_eq!(it.ip(), Some("2001:db8::9:1".parse().unwrap()));
        assert_eq!(it.port, Some(5070));
        assert_eq!(it.param(b"TRANSPORT"), Some(Some(&b"tcp"[..])));
        assert!(it.is_loose());
        assert_eq!(it.headers, b"Replaces=a%40b");
    }

    #[test]
    fn teams_contact_keeps_its_slashes() {
        let it = uri("sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b7;x-c=a35a/s/1/4b30");
        assert_eq!(it.host, b"api-du-a-usea.pstnhub.microsoft.com");
        assert_eq!(it.port, Some(443));
        assert_eq!(it.param(b"x-c"), Some(Some(&b"a35a/s/1/4b30"[..])));
    }

    #[test]
    fn odd_users_are_taken_whole() {
        assert_eq!(uri("sip:user;par=u%40example.net@example.com").user, Some(&b"user;par=u%40example.net"[..]));
        let it = uri("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com");
        assert_eq!(it.host, b"example.com");
        assert!(it.headers.is_empty() && it.params.is_empty());
    }

    #[test]
    fn tel_and_other_schemes() {
        let it = uri("tel:+1-201-555-0123;ext=7");
        assert_eq!((it.scheme, it.user, it.params), (Scheme::Tel, Some(&b"+1-201-555-0123"[..]), &b";ext=7"[..]));
        assert_eq!(uri("SIPS:a.example").scheme, Scheme::Sips);
        assert!(!uri("soap.beep://192.0.2.103:3002").is_routable());
    }

    #[test]
    fn malformed_uris_are_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a@h:0",
            "sip:a@h:65536",
            "sip:a@h:x",
            "sip:a b@h",
            "sip:a@[::1",
            "sip:a@[]",
            ":x",
            "sip:a@h/x",
            "tel:",
            "sip:a@h:",
        ] {
            assert!(Uri::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
