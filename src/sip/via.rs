//! Via values (RFC 3261 section 20.42, RFC 3581), blanks and folds between their parts allowed.

use super::flaw::What;
use super::scan::{self, Param, Params};
use super::transport::Transport;
use super::uri;

/// The branch prefix of RFC 3261 transactions (section 8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The whole value as written.
    pub raw: &'a [u8],
    /// The transport token as written.
    pub transport: &'a [u8],
    /// The sent-by host, IPv6 in its brackets.
    pub host: &'a [u8],
    pub port: Option<u16>,
    /// The parameters with their leading `;`, or empty.
    pub params: &'a [u8],
    pub branch: Option<&'a [u8]>,
    /// `rport`: `None` absent, `Some(None)` a request for it, `Some(Some(_))` its value.
    pub rport: Option<Option<&'a [u8]>>,
    pub received: Option<&'a [u8]>,
    pub maddr: Option<&'a [u8]>,
    /// The `alias` of RFC 5923.
    pub alias: bool,
}

impl<'a> Via<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// [`What::Via`].
    pub fn parse(raw: &'a [u8]) -> Result<Self, What> {
        let rest = match raw.get(..8) {
            Some(b"SIP/2.0/") => raw.get(8..).unwrap_or_default(),
            _ => {
                let rest = word(raw, b"SIP")?;
                let rest = word(slash(rest)?, b"2.0")?;
                scan::trim_start(slash(rest)?)
            }
        };
        let len = rest.iter().take_while(|&&byte| scan::is_token(byte)).count();
        let (transport, rest) = rest.split_at(len);
        let sent_by = scan::trim_start(rest);
        if transport.is_empty() || sent_by.len() == rest.len() {
            return Err(What::Via);
        }
        let host_len = uri::host_len(sent_by).ok_or(What::Via)?;
        let (host, rest) = sent_by.split_at(host_len);
        let mut rest = scan::trim_start(rest);
        let mut port = None;
        if let [b':', tail @ ..] = rest {
            let tail = scan::trim_start(tail);
            let len = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, tail) = tail.split_at(len);
            port = Some(uri::parse_port(digits).ok_or(What::Via)?);
            rest = scan::trim_start(tail);
        }
        let via = Self {
            raw,
            transport,
            host,
            port,
            params: rest,
            branch: None,
            rport: None,
            received: None,
            maddr: None,
            alias: false,
        };
        via.with_params()
    }

    fn with_params(mut self) -> Result<Self, What> {
        for param in Params::new(self.params) {
            let Param { name, value } = param.map_err(|_| What::Via)?;
            match (name.len(), name.first().map(|byte| byte | 0x20)) {
                (6, Some(b'b')) if name.eq_ignore_ascii_case(b"branch") => self.branch = value,
                (5, Some(b'r')) if name.eq_ignore_ascii_case(b"rport") => self.rport = Some(value),
                (8, Some(b'r')) if name.eq_ignore_ascii_case(b"received") => self.received = value,
                (5, Some(b'm')) if name.eq_ignore_ascii_case(b"maddr") => self.maddr = value,
                (5, Some(b'a')) if name.eq_ignore_ascii_case(b"alias") => self.alias = true,
                _ => {}
            }
        }
        Ok(self)
    }

    /// The transport, when the edge speaks it.
    pub fn known_transport(&self) -> Option<Transport> {
        Transport::from_token(self.transport)
    }

    /// The branch when it starts with the magic cookie and goes on after it: an RFC 3261 transaction id.
    pub fn rfc3261_branch(&self) -> Option<&'a [u8]> {
        let branch = self.branch?;
        let (cookie, id) = branch.split_at_checked(MAGIC_COOKIE.len())?;
        (!id.is_empty() && cookie.eq_ignore_ascii_case(MAGIC_COOKIE)).then_some(branch)
    }
}

fn word<'a>(text: &'a [u8], wanted: &[u8]) -> Result<&'a [u8], What> {
    let text = scan::trim_start(text);
    match text.split_at_checked(wanted.len()) {
        Some((word, rest)) if word.eq_ignore_ascii_case(wanted) => Ok(rest),
        _ => Err(What::Via),
    }
}

fn slash(text: &[u8]) -> Result<&[u8], What> {
    scan::trim_start(text).strip_prefix(b"/").ok_or(What::Via)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Via<'_>, What> {
        Via::parse(text.as_bytes())
    }

    #[test]
    fn plain_and_folded_values() {
        let via = read("SIP/2.0/TLS 52.114.75.24:5061;branch=z9hG4bK1f2e;rport;alias").unwrap();
        assert_eq!((via.transport, via.host, via.port), (&b"TLS"[..], &b"52.114.75.24"[..], Some(5061)));
        assert_eq!(via.rfc3261_branch(), Some(&b"z9hG4bK1f2e"[..]));
        assert_eq!(via.rport, Some(None));
        assert!(via.alias);
        let via = read("SIP  / 2.0\r\n /UDP\r\n    192.0.2.2 : 5070 ;branch=390skdjuw").unwrap();
        assert_eq!((via.host, via.port, via.branch), (&b"192.0.2.2"[..], Some(5070), Some(&b"390skdjuw"[..])));
        assert_eq!(via.rfc3261_branch(), None);
        let via = read("SIP/2.0/UDP [2001:db8::1]:5060;received=192.0.2.1;maddr=x;branch=z9hG4bK").unwrap();
        assert_eq!(via.host, b"[2001:db8::1]");
        assert_eq!(via.rfc3261_branch(), None, "nothing follows the cookie");
        assert_eq!((via.received, via.maddr), (Some(&b"192.0.2.1"[..]), Some(&b"x"[..])));
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;;,;",
            "SIP/2.0/UDP a;;",
            "SIP/3.0/UDP a",
            "SIP/2.0/UDP a:x",
            "SIP/2.0/UDP a b",
            "XIP/2.0/UDP a",
            "SIP/2.0/UDPa",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
