//! The request that a question stands for.

use bytes::Bytes;

use super::{Ask, AskError, MAX_VALUE};
use crate::call::numbers::written;
use crate::sip::{Framing, Limits, Message, Scheme, Uri};

/// An INVITE as the trunk would send it.
pub(super) struct Synthetic {
    pub message: Message,
}

impl Synthetic {
    /// Makes the request; `host` is asked where the question has no Request-URI.
    pub fn new(ask: &Ask, host: impl FnOnce() -> String) -> Result<Self, AskError> {
        let values = [&ask.called, &ask.caller, &ask.pai, &ask.request_uri];
        if values.into_iter().flatten().any(|value| value.len() > MAX_VALUE) {
            return Err(AskError::TooLong);
        }
        let mut text = b"INVITE ".to_vec();
        write_request_uri(ask, host, &mut text)?;
        text.extend_from_slice(b" SIP/2.0\r\nVia: SIP/2.0/UDP explain.invalid;branch=z9hG4bK0\r\nFrom: ");
        write_address(ask.caller.as_deref(), &mut text);
        text.extend_from_slice(b";tag=0\r\nTo: <sip:explain.invalid>\r\nCall-ID: 0\r\nCSeq: 1 INVITE\r\n");
        if let Some(pai) = &ask.pai {
            text.extend_from_slice(b"P-Asserted-Identity: ");
            write_address(Some(pai), &mut text);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n");
        let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::default());
        let message = message.ok().filter(|message| message.flaw().is_none()).ok_or(AskError::RequestUri)?;
        Ok(Self { message })
    }
}

fn write_request_uri(ask: &Ask, host: impl FnOnce() -> String, out: &mut Vec<u8>) -> Result<(), AskError> {
    let called = ask.called.as_deref().map(str::trim).filter(|called| !called.is_empty());
    let given = match &ask.request_uri {
        Some(text) => Some(Uri::parse(text.trim().as_bytes()).map_err(|_| AskError::RequestUri)?),
        None => None,
    };
    // A number that is a URI itself is one.
    let given = given.or_else(|| called.and_then(|called| Uri::parse(called.as_bytes()).ok()).filter(is_of_call));
    let called = called.filter(|called| given.is_none_or(|uri| uri.raw != called.as_bytes()));
    match (given, called) {
        (Some(uri), _) if !is_of_call(&uri) => return Err(AskError::RequestUri),
        (Some(uri), None) if uri.user.is_none() => return Err(AskError::NoNumber),
        (Some(uri), None) => out.extend_from_slice(uri.raw),
        (Some(uri), Some(called)) if uri.scheme == Scheme::Tel => {
            out.extend_from_slice(b"tel:");
            out.extend_from_slice(&written(called.as_bytes()));
        }
        (Some(uri), Some(called)) => {
            out.extend_from_slice(if uri.scheme == Scheme::Sips { b"sips:" } else { b"sip:" });
            out.extend_from_slice(&written(called.as_bytes()));
            // The host begins behind the user part's `@`, or behind the scheme.
            let after = memchr::memchr(b'@', uri.raw).or_else(|| memchr::memchr(b':', uri.raw)).unwrap_or_default();
            out.push(b'@');
            out.extend_from_slice(uri.raw.get(after + 1..).unwrap_or_default());
        }
        (None, Some(called)) => {
            out.extend_from_slice(b"sip:");
            out.extend_from_slice(&written(called.as_bytes()));
            out.push(b'@');
            out.extend_from_slice(host().as_bytes());
        }
        (None, None) => return Err(AskError::NoNumber),
    }
    Ok(())
}

fn is_of_call(uri: &Uri<'_>) -> bool {
    uri.scheme != Scheme::Other
}

/// Writes an address of a number, of `user@host` or of a URI; nobody has a host only.
fn write_address(who: Option<&str>, out: &mut Vec<u8>) {
    let who = who.map(str::trim).unwrap_or_default();
    if who.eq_ignore_ascii_case("anonymous") {
        return out.extend_from_slice(b"\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    }
    out.push(b'<');
    match Uri::parse(who.as_bytes()).ok().filter(is_of_call) {
        Some(uri) => out.extend_from_slice(uri.raw),
        None => {
            let (user, host) =
                who.rsplit_once('@').filter(|(_, host)| is_host(host)).unwrap_or((who, "caller.invalid"));
            out.extend_from_slice(b"sip:");
            if !user.is_empty() {
                out.extend_from_slice(&written(user.as_bytes()));
                out.push(b'@');
            }
            out.extend_from_slice(host.as_bytes());
        }
    }
    out.push(b'>');
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
