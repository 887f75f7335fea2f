//! What transfers are made of: the values of Refer-To, Referred-By and Replaces (RFC 3515, RFC 3892, RFC 3891), the
//! NOTIFYs that tell of progress, and the machine that leads a transfer from the REFER to its end ([`machine`]).

pub mod machine;

use std::borrow::Cow;

use crate::sip::scan::{self, Params, Values};
use crate::sip::{HeaderName, Message, NameAddr, Scheme, Uri};

/// Why a REFER or a Replaces is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Faulty {
    #[error("there is not exactly one Refer-To")]
    Count,
    #[error("a value cannot be read")]
    Value,
    #[error("the URI is of a kind that nobody is called by")]
    Scheme,
    #[error("another method than INVITE is asked for")]
    Method,
}

/// Whom a REFER leads to (RFC 3515 section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo<'a> {
    /// The URI as it came, less its headers: the Request-URI of the call (RFC 3261 section 19.1.5).
    pub uri: &'a [u8],
    /// The dialog that the call shall take the place of, from the URI's headers.
    pub replaces: Option<Replaces<'a>>,
}

impl<'a> ReferTo<'a> {
    /// Of a REFER.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn of(request: &'a Message) -> Result<Self, Faulty> {
        let mut lines = lines_of(request, b"refer-to", b"r");
        match (lines.next(), lines.next()) {
            (Some(value), None) => Self::parse(value),
            _ => Err(Faulty::Count),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn parse(value: &'a [u8]) -> Result<Self, Faulty> {
        let address = NameAddr::parse(value).map_err(|_| Faulty::Value)?;
        let uri = address.uri().map_err(|_| Faulty::Value)?;
        if uri.scheme == Scheme::Other {
            return Err(Faulty::Scheme);
        }
        if uri.param(b"method").flatten().is_some_and(|method| !method.eq_ignore_ascii_case(b"INVITE")) {
            return Err(Faulty::Method);
        }
        let replaces = match header_of(&uri, b"replaces") {
            Some(value) => Some(Replaces::read(&value).ok_or(Faulty::Value)?.into_owned()),
            None => None,
        };
        Ok(Self { uri: without_headers(&uri), replaces })
    }
}

/// A dialog that a call takes the place of (RFC 3891 section 6.1), as its other side names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    pub call_id: Cow<'a, [u8]>,
    /// The tag of whoever gets the header.
    pub to_tag: Cow<'a, [u8]>,
    /// The tag of that side's peer.
    pub from_tag: Cow<'a, [u8]>,
    /// Only while it has not been answered (RFC 3891 section 7.1).
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Of an INVITE; `None` when it takes no call's place.
    ///
    /// # Errors
    /// [`Faulty`] for more than one or an unreadable one (RFC 3891 section 3: 400).
    pub fn of(request: &'a Message) -> Result<Option<Self>, Faulty> {
        let mut lines = lines_of(request, b"replaces", b"replaces");
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match Values::new(value).count() {
                1 => Self::read(value).map(Some).ok_or(Faulty::Value),
                _ => Err(Faulty::Count),
            },
            (Some(_), Some(_)) => Err(Faulty::Count),
        }
    }

    fn read(value: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (call_id, params) = value.split_at(end);
        let call_id = scan::trim(call_id);
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for param in Params::new(params) {
            let param = param.ok()?;
            let slot = match param.name {
                name if name.eq_ignore_ascii_case(b"to-tag") => &mut to_tag,
                name if name.eq_ignore_ascii_case(b"from-tag") => &mut from_tag,
                name => {
                    early_only |= name.eq_ignore_ascii_case(b"early-only");
                    continue;
                }
            };
            if slot.replace(param.value?).is_some() {
                return None;
            }
        }
        let sound = !call_id.is_empty() && !call_id.iter().any(|&byte| scan::is_blank(byte));
        Some(Self { call_id: call_id.into(), to_tag: to_tag?.into(), from_tag: from_tag?.into(), early_only })
            .filter(|_| sound)
    }

    /// The same in memory of its own.
    pub fn into_owned(self) -> Replaces<'static> {
        let own = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        Replaces {
            call_id: own(self.call_id),
            to_tag: own(self.to_tag),
            from_tag: own(self.from_tag),
            early_only: self.early_only,
        }
    }

    /// Writes the value of a header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.call_id);
        out.extend_from_slice(b";to-tag=");
        out.extend_from_slice(&self.to_tag);
        out.extend_from_slice(b";from-tag=");
        out.extend_from_slice(&self.from_tag);
        out.extend_from_slice(if self.early_only { b";early-only" } else { b"" });
    }
}

/// The value of Referred-By as it came (RFC 3892 section 3); that of the first where there are several.
pub fn referred_by(request: &Message) -> Option<&[u8]> {
    lines_of(request, b"referred-by", b"b").next()
}

/// Whether the referrer wants no NOTIFY (RFC 4488 section 4).
pub fn wants_no_notify(request: &Message) -> bool {
    let value = request.other(b"refer-sub").unwrap_or_default();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    scan::trim(value.get(..end).unwrap_or_default()).eq_ignore_ascii_case(b"false")
}

/// The event of a REFER's NOTIFYs: `refer;id=3` (RFC 3515 section 2.4.6).
pub fn event(cseq: u32) -> String {
    format!("refer;id={cseq}")
}

/// The type of a NOTIFY's body.
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// The body of a NOTIFY: how far the call to the target has come (RFC 3515 section 2.4.5).
pub fn sipfrag(status: u16) -> String {
    format!("SIP/2.0 {status} {}\r\n", phrase(status))
}

/// Subscription-State of a NOTIFY: the last one ends the subscription (RFC 3515 section 2.4.7).
pub fn subscription_state(last: bool, expires_s: u64) -> String {
    if last { "terminated;reason=noresource".to_owned() } else { format!("active;expires={expires_s}") }
}

/// The reason phrases of RFC 3261 section 21, for what Teams and phones look at the number only.
pub const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200..=299 => "OK",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        410 => "Gone",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        101..=199 => "Progress",
        300..=399 => "Moved",
        _ => "Failed",
    }
}

/// The values of all lines of a header that the parser does not know, by its name and its compact form.
fn lines_of<'a>(message: &'a Message, name: &'static [u8], short: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let is = move |line: &&crate::sip::Line| {
        let written = message.name_at(line);
        line.name == HeaderName::Other && (written.eq_ignore_ascii_case(name) || written.eq_ignore_ascii_case(short))
    };
    message.lines().iter().filter(is).map(|line| message.value_at(line))
}

/// The value of the first line of such a header.
pub fn header_line<'a>(message: &'a Message, name: &'static [u8], short: &'static [u8]) -> Option<&'a [u8]> {
    lines_of(message, name, short).next()
}

/// A URI less what follows its `?`.
fn without_headers<'a>(uri: &Uri<'a>) -> &'a [u8] {
    let cut = if uri.headers.is_empty() { 0 } else { uri.headers.len() + 1 };
    let whole = uri.raw.get(..uri.raw.len() - cut).unwrap_or_default();
    whole.strip_suffix(b"?").unwrap_or(whole)
}

/// The value of one of a URI's headers, unescaped (RFC 3261 section 19.1.1).
fn header_of(uri: &Uri<'_>, name: &[u8]) -> Option<Vec<u8>> {
    uri.headers.split(|&byte| byte == b'&').find_map(|header| {
        let equals = memchr::memchr(b'=', header)?;
        let (written, value) = header.split_at(equals);
        unescaped(written).eq_ignore_ascii_case(name).then(|| unescaped(value.get(1..).unwrap_or_default()))
    })
}

/// Replaces `%41` by what it stands for; what is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => out.push(byte),
        }
    }
    out
}

/// Writes what may stand as the value of a URI's header, all else escaped (RFC 3261 section 25.1, `hvalue`).
pub fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/?:+$".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn replaces(call_id: &'static str, to_tag: &'static str, from_tag: &'static str) -> Replaces<'static> {
        let text = |text: &'static str| Cow::Borrowed(text.as_bytes());
        Replaces { call_id: text(call_id), to_tag: text(to_tag), from_tag: text(from_tag), early_only: false }
    }

    fn message(lines: &str) -> Message {
        let text = format!(
            "REFER sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@a>;tag=2\r\n\
             Call-ID: 1\r\nCSeq: 3 REFER\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), crate::sip::Framing::Datagram, &crate::sip::Limits::default()).unwrap()
    }

    #[test]
    fn refer_to_keeps_its_uri_byte_for_byte() {
        for (value, wanted) in [
            ("<sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:orgid:1-2;x-t=3>", None),
            ("<sip:+14255550199@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls>", None),
            ("\"A, B\" <sips:%61@B.Example>", Some("sips:%61@B.Example")),
            ("sip:200@pbx.example", Some("sip:200@pbx.example")),
            ("<tel:+49301234;phone-context=x>", Some("tel:+49301234;phone-context=x")),
            ("<sip:200@pbx?Subject=x&Require=y>", Some("sip:200@pbx")),
            ("<sip:200@pbx?>", Some("sip:200@pbx")),
        ] {
            let inner = value.trim_matches(['<', '>']);
            let wanted = ReferTo { uri: wanted.unwrap_or(inner).as_bytes(), replaces: None };
            assert_eq!(ReferTo::parse(value.as_bytes()), Ok(wanted), "{value}");
        }
    }

    #[test]
    fn replaces_stands_escaped_behind_a_refer_to() {
        let value = b"<sip:bob@pbx;x=1?Replaces=12%40192.0.2.1%3Bto-tag%3Dx%3Bfrom-tag%3Dy&Require=replaces>";
        let refer_to = ReferTo::parse(value).unwrap();
        assert_eq!(refer_to.uri, b"sip:bob@pbx;x=1");
        assert_eq!(refer_to.replaces, Some(replaces("12@192.0.2.1", "x", "y")));
        let mut escaped = Vec::new();
        let mut plain = Vec::new();
        refer_to.replaces.unwrap().write(&mut plain);
        write_escaped(&plain, &mut escaped);
        assert_eq!(escaped, b"12%40192.0.2.1%3Bto-tag%3Dx%3Bfrom-tag%3Dy");
        assert_eq!(unescaped(&escaped), plain);
        assert_eq!(unescaped(b"100%, %4"), b"100%, %4");
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (value, fault) in [
            ("<mailto:a@b>", Faulty::Scheme),
            ("<sip:a@b;method=BYE>", Faulty::Method),
            ("<sip:>", Faulty::Value),
            ("", Faulty::Value),
            ("<sip:a@b?Replaces=12>", Faulty::Value),
        ] {
            assert_eq!(ReferTo::parse(value.as_bytes()), Err(fault), "{value}");
        }
        assert!(ReferTo::parse(b"<sip:a@b;method=invite>").is_ok());
        assert_eq!(ReferTo::of(&message("")), Err(Faulty::Count));
        assert_eq!(ReferTo::of(&message("r: <sip:a@b>\r\nREFER-TO: <sip:c@d>\r\n")), Err(Faulty::Count));
    }

    #[test]
    fn headers_are_found_by_short_and_upper_case_names() {
        let refer = message("R: <sip:a@b>\r\nREFERRED-BY: <sip:c@d;x-tt=aHR%3D>\r\nRefer-Sub: false\r\n");
        assert_eq!(ReferTo::of(&refer).unwrap().uri, b"sip:a@b");
        assert_eq!(referred_by(&refer), Some(&b"<sip:c@d;x-tt=aHR%3D>"[..]));
        assert_eq!(referred_by(&message("b: <sip:c@d>;cid=1\r\n")), Some(&b"<sip:c@d>;cid=1"[..]));
        assert!(wants_no_notify(&refer) && !wants_no_notify(&message("Refer-Sub: true\r\n")));
    }

    #[test]
    fn replaces_is_read_once_and_whole() {
        let of = |lines: &str| Replaces::of(&message(lines)).map(|found| found.map(Replaces::into_owned));
        assert_eq!(of(""), Ok(None));
        let teams = "REPLACES: 9d2b;to-tag=sbc12;from-tag=0f0e\r\n";
        assert_eq!(of(teams), Ok(Some(replaces("9d2b", "sbc12", "0f0e"))));
        let early = of("Replaces: 1@a ;from-tag=0;to-tag=7;early-only;x=y\r\n").unwrap().unwrap();
        assert_eq!(early, Replaces { early_only: true, ..replaces("1@a", "7", "0") });
        for bad in ["1", "1;to-tag=a", ";to-tag=a;from-tag=b", "1;to-tag=a;to-tag=b;from-tag=c", "1;to-tag;from-tag=b"]
        {
            assert_eq!(of(&format!("Replaces: {bad}\r\n")), Err(Faulty::Value), "{bad}");
        }
        assert_eq!(of(&format!("{teams}{teams}")), Err(Faulty::Count));
        assert_eq!(of("Replaces: 1;to-tag=a;from-tag=b, 2;to-tag=a;from-tag=b\r\n"), Err(Faulty::Count));
    }

    #[test]
    fn notifies_say_how_far_the_call_has_come() {
        assert_eq!(sipfrag(200), "SIP/2.0 200 OK\r\n");
        assert_eq!(sipfrag(180), "SIP/2.0 180 Ringing\r\n");
        assert_eq!(event(3), "refer;id=3");
        assert_eq!(subscription_state(false, 180), "active;expires=180");
        assert_eq!(subscription_state(true, 180), "terminated;reason=noresource");
        assert!((100..700).all(|status| !phrase(status).is_empty()));
    }
}
