//! Small typed values: CSeq, Expires, Retry-After, Reason, option tags (RFC 3261 section 20, RFC 3326).

use super::flaw::What;
use super::message::Message;
use super::name::HeaderName;
use super::scan::{self, Params};

/// CSeq (RFC 3261 section 20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (section 8.1.1.5).
    pub number: u32,
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// [`What::CSeq`].
    pub fn parse(value: &'a [u8]) -> Result<Self, What> {
        let len = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = value.split_at(len);
        let method = scan::trim_start(rest);
        let number = scan::decimal(digits).filter(|&number| number < 1 << 31).ok_or(What::CSeq)?;
        if method.len() == rest.len() || !scan::is_whole_token(method) {
            return Err(What::CSeq);
        }
        Ok(Self { number: number as u32, method })
    }
}

/// RAck: which reliable provisional response a PRACK acknowledges (RFC 3262 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    pub rseq: u32,
    /// CSeq of the request that was answered.
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    /// Reads a value; `None` for anything else.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let len = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = value.split_at(len);
        let cseq = scan::trim_start(rest);
        if cseq.len() == rest.len() {
            return None;
        }
        Some(Self { rseq: u32::try_from(scan::decimal(digits)?).ok()?, cseq: CSeq::parse(cseq).ok()? })
    }
}

/// One Reason value (RFC 3326).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` ...
    pub protocol: &'a [u8],
    pub cause: Option<u16>,
    /// The text, without its quotes, escapes as they came.
    pub text: Option<&'a [u8]>,
}

/// The leading number of Expires or Retry-After; what follows (a comment, parameters) is not read.
fn delta_seconds(value: &[u8]) -> Option<u32> {
    let len = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, _) = value.split_at(len);
    if digits.is_empty() {
        return None;
    }
    // Overlarge values count as the largest (RFC 4475 3.1.2.4).
    Some(scan::decimal(digits).map_or(u32::MAX, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX)))
}

impl Message {
    /// Expires in seconds; `None` when absent or unreadable.
    pub fn expires(&self) -> Option<u32> {
        self.value(HeaderName::Expires).and_then(delta_seconds)
    }

    /// Retry-After in seconds; `None` when absent or unreadable.
    pub fn retry_after(&self) -> Option<u32> {
        self.value(HeaderName::RetryAfter).and_then(delta_seconds)
    }

    /// The number of a reliable provisional response (RFC 3262 section 7.1); `None` when it is none.
    pub fn rseq(&self) -> Option<u32> {
        if !self.option_tags(HeaderName::Require).any(|tag| tag.eq_ignore_ascii_case(b"100rel")) {
            return None;
        }
        let number = scan::decimal(self.other(b"rseq")?)?;
        u32::try_from(number).ok().filter(|&number| number > 0)
    }

    /// What a PRACK acknowledges.
    pub fn rack(&self) -> Option<RAck<'_>> {
        self.other(b"rack").and_then(RAck::parse)
    }

    /// The Reason values that can be read.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.values(HeaderName::Reason).filter_map(|value| {
            let value = value.ok()?;
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let (protocol, params) = value.split_at(end);
            let find = |name| Params::new(params).find(name).and_then(|param| param.value);
            let unquoted = |text: &[u8]| text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).is_some();
            Some(Reason {
                protocol: scan::trim_end(protocol),
                cause: find(b"cause").and_then(scan::decimal).and_then(|cause| u16::try_from(cause).ok()),
                text: find(b"text")
                    .map(|text| if unquoted(text) { text.get(1..text.len() - 1).unwrap_or_default() } else { text }),
            })
        })
    }

    /// The option tags of Require, Proxy-Require or Supported (RFC 3261 section 19.2).
    pub fn option_tags(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.values(name).filter_map(Result::ok).filter(|tag| !tag.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_is_three_words() {
        let cseq = CSeq { number: 7, method: b"INVITE" };
        assert_eq!(RAck::parse(b"776656  7 INVITE"), Some(RAck { rseq: 776_656, cseq }));
        for bad in ["", "1", "1 2", "1 INVITE", "x 2 INVITE", "12 INVITE", "4294967296 1 INVITE", "1 2147483648 INVITE"]
        {
            assert_eq!(RAck::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn cseq_is_bounded_and_whole() {
        assert_eq!(CSeq::parse(b"0009\r\n  INVITE"), Ok(CSeq { number: 9, method: b"INVITE" }));
        assert_eq!(CSeq::parse(b"2147483647 ACK").map(|cseq| cseq.number), Ok(2_147_483_647));
        for bad in
            ["2147483648 ACK", "36893488147419103232 REGISTER", "1", "1INVITE", "x INVITE", "1 IN VITE", "", "1 "]
        {
            assert_eq!(CSeq::parse(bad.as_bytes()), Err(What::CSeq), "{bad}");
        }
    }
}
