//! Header field names: recognised in any case and in compact form (RFC 3261 sections 7.3.1 and 7.3.3).

/// A header that the edge itself reads, or [`HeaderName::Other`] for all that it only passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HeaderName {
    Other = 0,
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    Route,
    RecordRoute,
    MaxForwards,
    ContentLength,
    ContentType,
    Require,
    ProxyRequire,
    Supported,
    Expires,
    RetryAfter,
    Reason,
    Timestamp,
    WwwAuthenticate,
    ProxyAuthenticate,
}

/// How many variants [`HeaderName`] has: the length of tables indexed by it.
pub(crate) const HEADER_NAMES: usize = HeaderName::ProxyAuthenticate as usize + 1;

/// Longest name in the table of known names; longer ones are `Other` without a look.
const LONGEST: usize = 18;

impl HeaderName {
    /// Recognises a name as written, without the colon and without blanks around it.
    pub fn recognise(name: &[u8]) -> Self {
        let Some(&first) = name.first() else { return Self::Other };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let pick = |known: &str, header: Self| if is(known) { header } else { Self::Other };
        match (name.len(), first | 0x20) {
            (1, b'v') => Self::Via,
            (1, b'f') => Self::From,
            (1, b't') => Self::To,
            (1, b'i') => Self::CallId,
            (1, b'm') => Self::Contact,
            (1, b'l') => Self::ContentLength,
            (1, b'c') => Self::ContentType,
            (1, b'k') => Self::Supported,
            (2, b't') => pick("to", Self::To),
            (3, b'v') => pick("via", Self::Via),
            (4, b'f') => pick("from", Self::From),
            (4, b'c') => pick("cseq", Self::CSeq),
            (5, b'r') => pick("route", Self::Route),
            (6, b'r') => pick("reason", Self::Reason),
            (7, b'c') if is("call-id") => Self::CallId,
            (7, b'c') => pick("contact", Self::Contact),
            (7, b'r') => pick("require", Self::Require),
            (7, b'e') => pick("expires", Self::Expires),
            (9, b's') => pick("supported", Self::Supported),
            (9, b't') => pick("timestamp", Self::Timestamp),
            (11, b'r') => pick("retry-after", Self::RetryAfter),
            (12, b'm') => pick("max-forwards", Self::MaxForwards),
            (12, b'r') => pick("record-route", Self::RecordRoute),
            (12, b'c') => pick("content-type", Self::ContentType),
            (13, b'p') => pick("proxy-require", Self::ProxyRequire),
            (14, b'c') => pick("content-length", Self::ContentLength),
            (16, b'w') => pick("www-authenticate", Self::WwwAuthenticate),
            (LONGEST, b'p') => pick("proxy-authenticate", Self::ProxyAuthenticate),
            _ => Self::Other,
        }
    }

    /// Whether RFC 3261 section 7.3.1 lets the header stand once only, so that a second one is a fault.
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Self::From
                | Self::To
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::ContentLength
                | Self::ContentType
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_in_any_case_and_compact() {
        for (name, header) in [
            ("Via", HeaderName::Via),
            ("v", HeaderName::Via),
            ("VIA", HeaderName::Via),
            ("fRoM", HeaderName::From),
            ("F", HeaderName::From),
            ("To", HeaderName::To),
            ("t", HeaderName::To),
            ("CALL-ID", HeaderName::CallId),
            ("i", HeaderName::CallId),
            ("CSEQ", HeaderName::CSeq),
            ("Contact", HeaderName::Contact),
            ("m", HeaderName::Contact),
            ("ROUTE", HeaderName::Route),
            ("Record-Route", HeaderName::RecordRoute),
            ("max-forwards", HeaderName::MaxForwards),
            ("l", HeaderName::ContentLength),
            ("Content-Length", HeaderName::ContentLength),
            ("c", HeaderName::ContentType),
            ("Require", HeaderName::Require),
            ("Proxy-Require", HeaderName::ProxyRequire),
            ("k", HeaderName::Supported),
            ("Expires", HeaderName::Expires),
            ("Retry-After", HeaderName::RetryAfter),
            ("REASON", HeaderName::Reason),
            ("Timestamp", HeaderName::Timestamp),
            ("WWW-Authenticate", HeaderName::WwwAuthenticate),
            ("Proxy-Authenticate", HeaderName::ProxyAuthenticate),
            ("X-MS-SBC", HeaderName::Other),
            ("C%6Fntact", HeaderName::Other),
            ("", HeaderName::Other),
            ("o", HeaderName::Other),
        ] {
            assert_eq!(HeaderName::recognise(name.as_bytes()), header, "{name}");
        }
    }
}
