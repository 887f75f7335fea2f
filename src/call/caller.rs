//! Who calls, as a request says it: From, P-Asserted-Identity (RFC 3325) and what the caller hides (RFC 3323).
//! Nothing is read before routing asks.

use std::borrow::Cow;

use super::numbers::translated;
use crate::routing::Callers;
use crate::routing::translate::Translation;
use crate::sip::scan::Values;
use crate::sip::{HeaderName, Line, Message, NameAddr, Uri, scan};

/// The caller of a request.
#[derive(Clone, Copy, Debug)]
pub struct Calling<'a> {
    pub request: &'a Message,
    /// For calling numbers, of the trunk that the request comes from.
    pub rules: Option<&'a Translation>,
    /// Whether what that trunk asserts counts (RFC 3325 section 5).
    pub believed: bool,
}

impl Calling<'_> {
    fn translated<'u>(&self, user: &'u [u8]) -> Cow<'u, [u8]> {
        match self.rules {
            Some(rules) => translated(rules, user),
            None => Cow::Borrowed(user),
        }
    }
}

impl Callers for Calling<'_> {
    fn from(&self) -> Option<Cow<'_, [u8]>> {
        let address = self.request.from().ok()?;
        let uri = address.uri().ok()?;
        let user = uri.user.filter(|_| !is_anonymous(&address, &uri) && !wants_privacy(self.request))?;
        Some(self.translated(user))
    }

    fn asserted(&self) -> Option<Cow<'_, [u8]>> {
        if !self.believed {
            return None;
        }
        let uris = || {
            let values = asserted_lines(self.request).flat_map(|line| Values::new(self.request.value_at(line)));
            let addresses = values.filter_map(|value| NameAddr::parse(value.ok()?).ok());
            addresses.filter_map(|address| address.uri().ok().filter(|uri| !is_anonymous(&address, uri))?.user)
        };
        let user = uris().find(|user| is_number(user)).or_else(|| uris().next())?;
        Some(self.translated(user))
    }
}

/// The lines that assert who calls.
pub fn asserted_lines(request: &Message) -> impl Iterator<Item = &Line> {
    request.lines().iter().filter(|line| {
        line.name == HeaderName::Other && request.name_at(line).eq_ignore_ascii_case(b"P-Asserted-Identity")
    })
}

/// Whether an address says that it says nothing (RFC 3323 section 4.1.1.3).
pub(super) fn is_anonymous(address: &NameAddr<'_>, uri: &Uri<'_>) -> bool {
    let display = address.display.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
    display.unwrap_or(address.display).eq_ignore_ascii_case(b"anonymous")
        || uri.user.is_some_and(|user| user.eq_ignore_ascii_case(b"anonymous"))
        || uri.host.eq_ignore_ascii_case(b"anonymous.invalid")
}

/// Whether the caller asks that nobody be told who calls (RFC 3323 section 4.2, RFC 3325 section 9.3).
fn wants_privacy(request: &Message) -> bool {
    let Some(value) = request.other(b"Privacy") else { return false };
    let is = |word: &[u8], wanted: &[u8]| scan::trim(word).eq_ignore_ascii_case(wanted);
    value.split(|&byte| matches!(byte, b';' | b',')).any(|word| is(word, b"id") || is(word, b"user"))
}

/// Whether a user part is a telephone number, as far as its first characters tell.
fn is_number(user: &[u8]) -> bool {
    match user {
        [b'%', b'2', b'B' | b'b', rest @ ..] | [b'+', rest @ ..] | rest => rest.first().is_some_and(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::routing::translate::Rule;

    fn request(from: &str, more: &str) -> Message {
        let text = format!("INVITE sip:1@edge SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: {from}\r\n{more}\r\n");
        Message::reread(&Bytes::from(text)).unwrap()
    }

    fn seen(from: &str, more: &str) -> (Option<String>, Option<String>) {
        let request = request(from, more);
        let rules = Translation::new(vec![Rule::new("r", "^0(.*)$", "+44$1").unwrap()]).unwrap();
        let caller = Calling { request: &request, rules: Some(&rules), believed: true };
        let text = |user: Option<Cow<'_, [u8]>>| user.map(|user| String::from_utf8(user.into_owned()).unwrap());
        (text(caller.from()), text(caller.asserted()))
    }

    #[test]
    fn callers_are_known_by_from_and_by_what_the_network_asserts() {
        let some = |text: &str| Some(text.to_owned());
        for (from, more, wanted) in [
            ("<sip:402@pbx>;tag=1", "", (some("402"), None)),
            ("sip:01632@pbx;tag=1", "", (some("+441632"), None)),
            ("<sip:pbx>;tag=1", "", (None, None)),
            (
                "\"A\" <sip:402;ext=1@pbx>",
                "P-Asserted-Identity: \"A, B\" <sip:anna@pbx>, <tel:%2B44>\r\n",
                (some("402;ext=1"), some("%2B44")),
            ),
            ("<sip:402@pbx>", "p-asserted-identity: <sip:anna@pbx>\r\n", (some("402"), some("anna"))),
            (
                "<sip:402@pbx>",
                "P-Asserted-Identity: nonsense\r\nP-Asserted-Identity: <sip:07@pbx>\r\n",
                (some("402"), some("+447")),
            ),
        ] {
            assert_eq!(seen(from, more), wanted, "{from} {more}");
        }
    }

    #[test]
    fn callers_hide_in_several_ways() {
        let pai = "P-Asserted-Identity: <sip:402@pbx>\r\n";
        for (from, more) in [
            ("\"Anonymous\" <sip:402@pbx>", ""),
            ("Anonymous<sip:402@pbx>", ""),
            ("<sip:Anonymous@pbx>", ""),
            ("<sip:402@anonymous.invalid>", ""),
            ("<sip:402@pbx>", "Privacy: id\r\n"),
            ("<sip:402@pbx>", "Privacy: header; USER;critical\r\n"),
        ] {
            assert_eq!(seen(from, &format!("{more}{pai}")), (None, Some("402".to_owned())), "{from} {more}");
        }
        for privacy in ["none", "header", "session", "history"] {
            assert_eq!(
                seen("<sip:402@pbx>", &format!("Privacy: {privacy}\r\n")).0.as_deref(),
                Some("402"),
                "{privacy}"
            );
        }
        assert_eq!(seen("<sip:1@pbx>", "P-Asserted-Identity: <sip:anonymous@anonymous.invalid>\r\n").1, None);
    }
}
