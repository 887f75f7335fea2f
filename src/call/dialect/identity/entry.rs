//! One value of History-Info, read as leniently as Teams writes it: the Reason inside its URI comes escaped, bare, with
//! plain quotes or with typographic ones. What is written out is escaped as RFC 3261 section 19.1.1 wants it.

use std::borrow::Cow;

use crate::call::numbers::unescaped;
use crate::call::owned::hosts::{is_nobodys, write_place};
use crate::sip::scan::{self, Params};
use crate::sip::{NameAddr, Scheme, Uri};

/// A party that a call was for (RFC 7044 section 5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub display: &'a [u8],
    pub uri: Uri<'a>,
    /// What followed `?` in the URI, as it came.
    pub headers: &'a [u8],
    /// Those of the entry: the index and the like.
    pub params: &'a [u8],
    /// It is well-formed as it came.
    pub sound: bool,
}

impl<'a> Entry<'a> {
    /// Reads a value; `None` when there is no URI in it.
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let open = memchr::memchr(b'<', value);
        let (display, inside, params) = match open {
            Some(open) => {
                let rest = value.get(open + 1..)?;
                let close = memchr::memchr(b'>', rest)?;
                (value.get(..open)?, rest.get(..close)?, rest.get(close + 1..)?)
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let (inside, params) = value.split_at(end);
                (&value[..0], inside, params)
            }
        };
        let (place, headers) = match headers_at(inside) {
            Some(at) => (inside.get(..at)?, inside.get(at + 1..)?),
            None => (inside, &inside[..0]),
        };
        let uri = Uri::parse(scan::trim(place)).ok()?;
        let whole = NameAddr::parse(value).is_ok_and(|address| address.uri().is_ok());
        let sound = whole && headers.split(|&byte| byte == b'&').all(is_escaped);
        Some(Self { display: scan::trim(display), uri, headers, params: scan::trim(params), sound })
    }

    /// A header that the URI carries, unescaped (RFC 3261 section 19.1.1).
    fn header(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let mut headers = self.headers.split(|&byte| byte == b'&').filter_map(name_and_value);
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(unescaped(value))
    }

    /// Protocol and cause of the Reason for which the call went on from here (RFC 7044 section 10.2).
    pub fn reason(&self) -> Option<(Vec<u8>, u16)> {
        let reason = self.header(b"Reason")?;
        let protocol = reason.split(|&byte| byte == b';').next().map(scan::trim).unwrap_or_default();
        let at = reason.windows(5).position(|word| word.eq_ignore_ascii_case(b"cause"))?;
        let rest = scan::trim_start(reason.get(at + 5..)?).strip_prefix(b"=")?;
        let rest = scan::trim_start(rest);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let cause = scan::decimal(rest.get(..digits)?).and_then(|cause| u16::try_from(cause).ok())?;
        Some((protocol.to_ascii_uppercase(), cause))
    }

    /// Why the call came here (RFC 4458 section 2).
    pub fn cause(&self) -> Option<u16> {
        cause_of(&self.uri)
    }

    /// Whether the party wants to stay unknown outside of the trust domain (RFC 7044 section 10.1).
    pub fn is_private(&self) -> bool {
        self.header(b"Privacy").is_some_and(|value| super::Privacy::read(&value).hides_history())
    }

    /// Writes the entry for another leg: with the edge's host, sound, and without its name where it is to be `hidden`.
    pub fn write(&self, own: &[u8], phone: bool, hidden: bool, out: &mut Vec<u8>) {
        if hidden {
            out.extend_from_slice(b"<sip:anonymous@anonymous.invalid");
        } else {
            write_display(self.display, out);
            out.push(b'<');
            self.write_uri(own, phone, out);
        }
        let headers = self.headers.split(|&byte| byte == b'&').filter_map(name_and_value);
        for (index, (name, value)) in headers.enumerate() {
            out.push(if index == 0 { b'?' } else { b'&' });
            out.extend_from_slice(name);
            out.push(b'=');
            write_escaped(value, out);
        }
        out.push(b'>');
        for param in Params::new(self.params).map_while(Result::ok) {
            out.push(b';');
            out.extend_from_slice(param.name);
            if let Some(value) = param.value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }

    fn write_uri(&self, own: &[u8], phone: bool, out: &mut Vec<u8>) {
        let uri = &self.uri;
        if uri.host.is_empty() {
            return out.extend_from_slice(uri.raw);
        }
        let sips = uri.scheme == Scheme::Sips && !phone;
        out.extend_from_slice(if sips { b"sips:" } else { b"sip:" });
        if let Some(user) = uri.user {
            out.extend_from_slice(user);
            out.push(b'@');
        }
        let phone = phone && super::is_telephone(uri.user.unwrap_or_default());
        write_place(uri, if is_nobodys(uri.host) { uri.host } else { own }, phone, out);
    }
}

/// Where the headers of a URI begin: a user part may hold `?` too, but nothing with a value behind it.
fn headers_at(uri: &[u8]) -> Option<usize> {
    let user = memchr::memchr(b'@', uri).unwrap_or(0);
    let first = memchr::memchr(b'?', uri)?;
    let in_user = first < user && !uri.get(first..user).unwrap_or_default().contains(&b'=');
    if in_user { memchr::memchr(b'?', uri.get(user..)?).map(|at| user + at) } else { Some(first) }
}

/// The number of a `cause` parameter.
pub(super) fn cause_of(uri: &Uri<'_>) -> Option<u16> {
    let cause = uri.param(b"cause").flatten().and_then(scan::decimal)?;
    u16::try_from(cause).ok()
}

/// Writes a display name with a blank behind it, if it is one that may stand in front of a URI.
pub(super) fn write_display(display: &[u8], out: &mut Vec<u8>) {
    let quoted = scan::quoted_len(display) == Some(display.len()) && display.first() == Some(&b'"');
    let words = display.iter().all(|&byte| scan::is_token(byte) || byte == b' ');
    if !display.is_empty() && (quoted || words) {
        out.extend_from_slice(display);
        out.push(b' ');
    }
}

fn name_and_value(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', header)?;
    let (name, value) = header.split_at(at);
    let sound = !name.is_empty() && name.iter().all(|&byte| stands_bare(byte) || byte == b'%');
    sound.then_some((name, value.get(1..).unwrap_or_default()))
}

/// Bytes of `hvalue` that need no escape (RFC 3261 section 25.1).
const fn stands_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b'['
                | b']'
                | b'/'
                | b'?'
                | b':'
                | b'+'
                | b'$'
        )
}

fn is_escaped(header: &[u8]) -> bool {
    let value = memchr::memchr(b'=', header).and_then(|at| header.get(at + 1..)).unwrap_or_default();
    value.iter().all(|&byte| stands_bare(byte) || byte == b'%')
}

/// Writes a value escaped; what is escaped already stays so, and typographic quotes become plain ones.
pub(super) fn write_escaped(mut value: &[u8], out: &mut Vec<u8>) {
    while let Some((&byte, rest)) = value.split_first() {
        let taken = match value {
            [0xe2, 0x80, 0x9c..=0x9f, ..] => {
                out.extend_from_slice(b"%22");
                3
            }
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.extend_from_slice(&[b'%', *a, *b]);
                3
            }
            _ if stands_bare(byte) => {
                out.push(byte);
                1
            }
            _ => {
                out.push(b'%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(b"0123456789ABCDEF".get(usize::from(digit)).copied().unwrap_or(b'0'));
                }
                1
            }
        };
        value = value.get(taken..).unwrap_or(&rest[..0]);
    }
}
