//! `name-addr` and `addr-spec` with parameters: From, To, Contact, Route and the like (RFC 3261 section 20.10).

use super::flaw::What;
use super::scan::{self, Param, Params};
use super::uri::Uri;

/// A display name, a URI and the header's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name as written, quotes included; empty when absent.
    pub display: &'a [u8],
    /// The URI's bytes, without angle brackets.
    pub uri: &'a [u8],
    /// The header parameters with their leading `;`, or empty.
    pub params: &'a [u8],
    /// Whether the URI stood in angle brackets.
    pub bracketed: bool,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. Glued names (`John Doe<sip:...>`, as Teams writes them) and names in raw UTF-8 are taken;
    /// commas and unbalanced quotes in a name are not.
    ///
    /// # Errors
    /// [`What`] naming the part that cannot be read.
    pub fn parse(value: &'a [u8]) -> Result<Self, What> {
        let value = scan::trim(value);
        let name_len = match value.first() {
            Some(b'"') => scan::quoted_len(value).ok_or(What::Quote)?,
            Some(_) => 0,
            None => return Err(What::Uri),
        };
        let after_name = value.get(name_len..).unwrap_or_default();
        match memchr::memchr(b'<', after_name) {
            Some(open) => Self::bracketed(value, name_len, name_len + open),
            None if name_len > 0 => Err(What::Uri),
            None => Self::bare(value),
        }
    }

    fn bracketed(value: &'a [u8], name_len: usize, open: usize) -> Result<Self, What> {
        let between = value.get(name_len..open).unwrap_or_default();
        let clean = if name_len > 0 {
            between.iter().all(|&byte| scan::is_blank(byte))
        } else {
            !between.iter().any(|byte| matches!(byte, b'"' | b',' | b';' | b'>'))
        };
        if !clean {
            return Err(What::Quote);
        }
        let inner = value.get(open + 1..).unwrap_or_default();
        let close = memchr::memchr(b'>', inner).ok_or(What::Uri)?;
        let (uri, rest) = inner.split_at(close);
        let params = scan::trim_start(rest.get(1..).unwrap_or_default());
        Self { display: scan::trim(value.get(..open).unwrap_or_default()), uri, params, bracketed: true }.checked()
    }

    /// `sip:a@b;tag=x`: without brackets, parameters belong to the header (RFC 3261 section 20).
    fn bare(value: &'a [u8]) -> Result<Self, What> {
        let end = value.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(value.len());
        // A user part may hold `;`, but then the URI must be in brackets.
        let (uri, params) = value.split_at(end);
        if memchr::memchr2(b'?', b',', uri).is_some() {
            return Err(What::Uri);
        }
        Self { display: &[], uri: scan::trim_end(uri), params, bracketed: false }.checked()
    }

    fn checked(self) -> Result<Self, What> {
        let colon = memchr::memchr(b':', self.uri).ok_or(What::Uri)?;
        if colon == 0 || self.uri.iter().any(|&byte| scan::is_blank(byte) || byte == 0) {
            return Err(What::Uri);
        }
        if !self.params.is_empty() {
            for param in Params::new(self.params) {
                param?;
            }
        }
        Ok(self)
    }

    /// `Contact: *` (RFC 3261 section 10.2.2): an address without a URI.
    pub const fn star() -> Self {
        Self { display: &[], uri: &[], params: &[], bracketed: false }
    }

    /// The URI, taken apart.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn uri(&self) -> Result<Uri<'a>, What> {
        Uri::parse(self.uri)
    }

    /// A header parameter by name, in any case.
    pub fn param(&self, name: &[u8]) -> Option<Param<'a>> {
        Params::new(self.params).find(name)
    }

    /// The value of the tag parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        if self.params.is_empty() {
            return None;
        }
        self.param(b"tag").and_then(|param| param.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NameAddr<'_>, What> {
        NameAddr::parse(text.as_bytes())
    }

    #[test]
    fn forms_of_an_address() {
        for (text, display, uri, tag) in [
            ("<sip:a@b>;tag=1", "", "sip:a@b", Some("1")),
            ("sip:a@b;tag=1", "", "sip:a@b", Some("1")),
            ("John Doe<sip:a@b>;TAG=x", "John Doe", "sip:a@b", Some("x")),
            ("\"a \\\"<x>;\" <sip:a@b;lr> ; tag = q", "\"a \\\"<x>;\"", "sip:a@b;lr", Some("q")),
            ("caller<sip:a@b>", "caller", "sip:a@b", None),
            ("M\u{fc}ller <sip:a@b>", "M\u{fc}ller", "sip:a@b", None),
            ("<tel:+44;ext=1>", "", "tel:+44;ext=1", None),
            ("isbn:2983792873", "", "isbn:2983792873", None),
            ("<sip:a@b>;x=\"t;a,g\";tag=z", "", "sip:a@b", Some("z")),
        ] {
            let it = read(text).unwrap_or_else(|what| panic!("{text}: {what}"));
            assert_eq!(it.display, display.as_bytes(), "{text}");
            assert_eq!(it.uri, uri.as_bytes(), "{text}");
            assert_eq!(it.tag(), tag.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "\"Mr. J. User <sip:j@example.com>",
            "\"x\" < sip:j@example.com >",
            "Bell, Alexander <sip:a@b>;tag=43",
            "sip:user@example.com?Route=%3Csip:b%3E",
            "<sip:a@b",
            "\"x\" sip:a@b",
            "<sip:a@b>;;",
            "<sip:a@b>x",
            "plain",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
