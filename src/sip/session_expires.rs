//! Session-Expires and Min-SE (RFC 4028 sections 4 and 5).

use super::edit::write_decimal;
use super::message::Message;
use super::name::HeaderName;
use super::scan::{self, Params};

/// Who refreshes a session, as seen from one request: the side that sent it or the one that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

impl Refresher {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Uac => b"uac",
            Self::Uas => b"uas",
        }
    }
}

/// The value of Session-Expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    pub seconds: u32,
    /// `None`: left to the side that answers.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    fn parse(value: &[u8]) -> Option<Self> {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, params) = value.split_at(digits);
        let seconds = scan::decimal(digits)?;
        let named = Params::new(params).find(b"refresher").and_then(|param| param.value);
        let is = |word: Refresher| named.is_some_and(|value| value.eq_ignore_ascii_case(word.word()));
        let refresher = [Refresher::Uac, Refresher::Uas].into_iter().find(|&word| is(word));
        Some(Self { seconds: u32::try_from(seconds).unwrap_or(u32::MAX), refresher })
    }

    /// Writes the whole header line.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Session-Expires: ");
        write_decimal(out, u64::from(self.seconds));
        if let Some(refresher) = self.refresher {
            out.extend_from_slice(b";refresher=");
            out.extend_from_slice(refresher.word());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the whole header line of Min-SE.
pub fn write_min_se(seconds: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Min-SE: ");
    write_decimal(out, u64::from(seconds));
    out.extend_from_slice(b"\r\n");
}

/// Whether a header of this name, as written, is Session-Expires, its short form `x`, or Min-SE.
pub fn is_of_session_timer(name: &[u8]) -> bool {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    is(b"Session-Expires") || is(b"x") || is(b"Min-SE")
}

impl Message {
    /// Session-Expires; `None` when absent or unreadable.
    pub fn session_expires(&self) -> Option<SessionExpires> {
        self.other(b"Session-Expires").or_else(|| self.other(b"x")).and_then(SessionExpires::parse)
    }

    /// Min-SE in seconds; `None` when absent or unreadable.
    pub fn min_se(&self) -> Option<u32> {
        let value = self.other(b"Min-SE")?;
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let seconds = scan::decimal(value.get(..digits)?)?;
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Whether the sender knows an extension, by Supported or Require (RFC 3261 sections 20.32, 20.37).
    pub fn knows(&self, option: &[u8]) -> bool {
        let known = |name| self.option_tags(name).any(|tag| tag.eq_ignore_ascii_case(option));
        known(HeaderName::Supported) || known(HeaderName::Require)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(lines: &str) -> Message {
        let text = format!("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP e\r\n{lines}\r\n");
        Message::reread(&Bytes::from(text)).unwrap()
    }

    #[test]
    fn values_are_read_in_long_and_short_form_and_any_case() {
        let some = |seconds, refresher| Some(SessionExpires { seconds, refresher });
        for (lines, wanted) in [
            ("Session-Expires: 1800\r\n", some(1_800, None)),
            ("SESSION-EXPIRES: 3600;refresher=uas\r\n", some(3_600, Some(Refresher::Uas))),
            ("x: 90 ; Refresher=UAC;a=b\r\n", some(90, Some(Refresher::Uac))),
            ("x: 90;refresher=both\r\n", some(90, None)),
            ("Session-Expires: 99999999999\r\n", some(u32::MAX, None)),
            ("Session-Expires: soon\r\n", None),
            ("Min-SE: 90\r\n", None),
        ] {
            assert_eq!(message(lines).session_expires(), wanted, "{lines}");
        }
        assert_eq!(message("MIN-SE: 300\r\n").min_se(), Some(300));
        assert_eq!(message("Min-SE: x\r\n").min_se(), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for refresher in [None, Some(Refresher::Uac), Some(Refresher::Uas)] {
            let value = SessionExpires { seconds: 1_800, refresher };
            let mut out = Vec::new();
            value.write(&mut out);
            write_min_se(90, &mut out);
            let read = message(std::str::from_utf8(&out).unwrap());
            assert_eq!((read.session_expires(), read.min_se()), (Some(value), Some(90)));
        }
    }

    #[test]
    fn options_are_known_by_either_header() {
        for (lines, knows) in [
            ("Supported: 100rel, Timer\r\n", true),
            ("k: replaces\r\nSupported: timer\r\n", true),
            ("Require: timer\r\n", true),
            ("Supported: timers\r\n", false),
            ("Supported:\r\n", false),
        ] {
            assert_eq!(message(lines).knows(b"timer"), knows, "{lines}");
        }
    }
}
