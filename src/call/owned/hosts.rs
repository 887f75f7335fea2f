//! Names in headers: the hosts of one side become the edge's own name towards the other, and what a side says of its own
//! make and network is left out.
//!
//! What no rule knows passes as it came (promise 3 of the design), unless the sender's own addresses stand in it.

mod unknown;

use super::super::dialect::Passing;
use super::super::dialect::identity::Seen;
use crate::sip::edit::Edits;
use crate::sip::scan::{Params, Values};
use crate::sip::{HeaderName, Line, Message, NameAddr, Scheme, Span, Uri};
use crate::trunk::TrunkKind;

/// Puts the edge's own name in all addresses of a message but Contact and routes, and leaves out what is spared to the
/// side that gets it. Says which headers there are that tell of people.
pub(super) fn edit(passing: &Passing<'_>, edits: &mut Edits) -> Seen {
    let phone = passing.to.kind == TrunkKind::Teams;
    let mut hosts = Hosts { passing, phone, seen: Seen::default(), near: None };
    let message = passing.message;
    for line in message.lines() {
        match line.name {
            HeaderName::From | HeaderName::To if message.is_request() => hosts.rename_party(line, edits),
            HeaderName::Other => hosts.edit_other(line, edits),
            _ => {}
        }
    }
    hosts.seen
}

struct Hosts<'a> {
    passing: &'a Passing<'a>,
    /// Numbers are marked as such, as Teams wants them.
    phone: bool,
    seen: Seen,
    /// The sender's hosts, once they were asked for.
    near: Option<unknown::Near<'a>>,
}

/// What becomes of a header by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The hosts of its addresses are the edge's.
    Rename,
    /// The same, and it tells of people.
    Identity(Seen),
    /// It tells of people and has no hosts.
    Note(Seen),
    Remove,
    Warning,
    /// Only what names no place stays.
    Placeless,
    ReferredBy,
    Signature,
    Pass,
    Unknown,
}

fn fate(name: &[u8]) -> Fate {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        1 if is("b") => Fate::ReferredBy,
        // What it leads to is no header's business, but that of the transfer.
        1 if is("r") => Fate::Pass,
        1 if is("y") || is("n") => Fate::Signature,
        6 if is("Server") => Fate::Remove,
        7 if is("Privacy") => Fate::Note(Seen::PRIVACY),
        7 if is("Warning") => Fate::Warning,
        8 if is("Identity") => Fate::Signature,
        8 if is("Refer-To") || is("Replaces") => Fate::Pass,
        8 if is("Reply-To") => Fate::Identity(Seen::REVEALING),
        9 if is("Call-Info") => Fate::Placeless,
        9 if is("Diversion") => Fate::Identity(Seen::DIVERSION),
        // Of bodies and their parts.
        10 if is("Content-ID") => Fate::Pass,
        10 if is("User-Agent") => Fate::Remove,
        10 if is("Alert-Info") || is("Error-Info") => Fate::Placeless,
        // Call-IDs of the other leg mean nothing here.
        11 if is("In-Reply-To") => Fate::Remove,
        11 if is("Referred-By") => Fate::ReferredBy,
        11 if is("Geolocation") => Fate::Pass,
        12 if is("History-Info") => Fate::Identity(Seen::HISTORY),
        12 if is("Organization") => Fate::Remove,
        13 if is("Authorization") || is("Target-Dialog") => Fate::Pass,
        13 if is("Identity-Info") => Fate::Signature,
        13 if is("P-Served-User") => Fate::Identity(Seen::REVEALING),
        15 if is("Remote-Party-ID") => Fate::Identity(Seen::REMOTE_PARTY),
        15 if is("P-User-Database") => Fate::Remove,
        16 if is("P-Associated-URI") => Fate::Identity(Seen::REVEALING),
        17 if is("P-Charging-Vector") => Fate::Remove,
        17 if is("P-Called-Party-ID") => Fate::Rename,
        19 if is("P-Asserted-Identity") => Fate::Identity(Seen::ASSERTED),
        19 if is("Proxy-Authorization") => Fate::Pass,
        20 if is("P-Preferred-Identity") => Fate::Identity(Seen::PREFERRED),
        20 if is("P-Visited-Network-ID") => Fate::Remove,
        29 if is("P-Charging-Function-Addresses") => Fate::Remove,
        _ => Fate::Unknown,
    }
}

impl<'a> Hosts<'a> {
    fn edit_other(&mut self, line: &'a Line, edits: &mut Edits) {
        let message = self.passing.message;
        let name = message.name_at(line);
        let fate = fate(name);
        let headers = &self.passing.to.dialect.headers;
        if let Fate::Identity(seen) | Fate::Note(seen) = fate {
            self.seen.add(seen);
        }
        let kept = matches!(fate, Fate::Identity(seen) if seen != Seen::REVEALING);
        if headers.spares(name) && !kept {
            return edits.remove_line(line);
        }
        match fate {
            Fate::Rename | Fate::Identity(_) => self.rename(line, edits),
            Fate::Note(_) | Fate::Pass => {}
            Fate::Warning => edit_warnings(message, line, self.passing.host, edits),
            Fate::Remove if !headers.passes(name) => edits.remove_line(line),
            Fate::Placeless if !headers.passes(name) => self.keep_placeless(line, edits),
            Fate::Remove | Fate::Placeless => {}
            Fate::ReferredBy if self.passing.verbatim => {}
            Fate::ReferredBy => self.edit_referred_by(line, edits),
            Fate::Signature if self.passing.to.dialect.identity.signatures => self.seen.add(Seen::REVEALING),
            Fate::Signature => edits.remove_line(line),
            Fate::Unknown if !headers.passes(name) && self.tells_of_near(line) => edits.remove_line(line),
            Fate::Unknown => {}
        }
    }

    fn tells_of_near(&mut self, line: &Line) -> bool {
        let message = self.passing.message;
        let value = message.value_at(line);
        if !unknown::may_hold_a_host(value) {
            return false;
        }
        self.near.get_or_insert_with(|| unknown::Near::of(message)).stands_in(value)
    }

    /// From and To are of this leg, whatever they hold.
    fn rename_party(&self, line: &Line, edits: &mut Edits) {
        let message = self.passing.message;
        let uri = NameAddr::parse(message.value_at(line)).and_then(|address| address.uri());
        match uri {
            Ok(uri) if uri.scheme == Scheme::Tel && self.phone => self.write_tel_as_sip(&uri, edits),
            _ => self.rename(line, edits),
        }
    }

    /// Renames the hosts of all addresses in a line.
    fn rename(&self, line: &Line, edits: &mut Edits) {
        let message = self.passing.message;
        for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
            let Ok(address) = NameAddr::parse(value) else { continue };
            let Ok(uri) = address.uri() else { continue };
            // Nobody's host (RFC 3323 section 4.1.1.3) says that the caller hides.
            if uri.host.is_empty() || is_nobodys(uri.host) {
                continue;
            }
            // Without brackets, what follows are parameters of the header: one more of the URI would join them.
            let phone = self.phone && address.bracketed && self.is_number(uri.user.unwrap_or_default(), edits);
            edits.replace_with(place_of(message, &uri), |out| write_place(&uri, self.passing.host, phone, out));
        }
    }

    /// Whether a user part is a number, or is made one.
    fn is_number(&self, user: &[u8], edits: &Edits) -> bool {
        if is_telephone(user) || user.is_empty() {
            return !user.is_empty();
        }
        let message = self.passing.message;
        let mut made = Vec::with_capacity(32);
        edits.render(message, message.span_of(user), &mut made);
        is_telephone(&made)
    }

    /// A number that stood in a URI of its own, as the edge's (RFC 3261 section 19.1.6).
    fn write_tel_as_sip(&self, uri: &Uri<'_>, edits: &mut Edits) {
        let message = self.passing.message;
        let mut user = Vec::with_capacity(32);
        edits.render(message, message.span_of(uri.user.unwrap_or_default()), &mut user);
        let whole = message.span_of(uri.raw);
        edits.retract(whole);
        edits.replace_with(whole, |out| {
            out.extend_from_slice(b"sip:");
            out.extend_from_slice(&user);
            out.extend_from_slice(uri.params);
            out.push(b'@');
            out.extend_from_slice(self.passing.host);
            out.extend_from_slice(b";user=phone");
        });
    }

    /// Keeps the values whose URI leads to no host: a part of the body, or a meaning that all know.
    fn keep_placeless(&self, line: &Line, edits: &mut Edits) {
        let message = self.passing.message;
        let is_placeless = |value: &&[u8]| {
            let uri = NameAddr::parse(value).map(|address| address.uri).unwrap_or_default();
            let starts =
                |scheme: &str| uri.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme.as_bytes()));
            starts("cid:") || starts("urn:")
        };
        let values = || Values::new(message.value_at(line)).filter_map(Result::ok);
        let kept = values().filter(is_placeless).count();
        if kept == 0 {
            return edits.remove_line(line);
        }
        if kept == values().count() {
            return;
        }
        edits.replace_with(Span { start: line.value, end: line.value_end }, |out| {
            for (index, value) in values().filter(is_placeless).enumerate() {
                out.extend_from_slice(if index > 0 { b", " } else { b"" });
                out.extend_from_slice(value);
            }
        });
    }

    /// Teams gets its own references back byte for byte: their parameters are not for others to read.
    fn edit_referred_by(&mut self, line: &Line, edits: &mut Edits) {
        let Passing { message, to, .. } = *self.passing;
        // That side has written it itself, and asked for this call.
        if self.passing.verbatim {
            return;
        }
        if !to.dialect.identity.referred_by {
            return edits.remove_line(line);
        }
        self.seen.add(Seen::REVEALING);
        let uri = NameAddr::parse(message.value_at(line)).and_then(|address| address.uri());
        if !uri.is_ok_and(|uri| leads_to(to, uri.host)) {
            self.rename(line, edits);
        }
    }
}

/// Whether a host is one of the peer's own: a target, or a neighbour of it in the same domain.
fn leads_to(to: &crate::trunk::Trunk, host: &[u8]) -> bool {
    to.targets.iter().any(|target| {
        let target_host = target.host.as_bytes();
        let domain = target.literal.is_none().then(|| memchr::memchr(b'.', target_host)).flatten();
        let domain = domain
            .and_then(|dot| target_host.get(dot..))
            .filter(|domain| memchr::memchr_iter(b'.', domain).count() > 1);
        let ends = |domain: &[u8]| {
            let at = host.len().checked_sub(domain.len());
            at.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        };
        target_host.eq_ignore_ascii_case(host) || domain.is_some_and(ends)
    })
}

/// Whether a host is one that no name server knows (RFC 2606 section 2).
pub fn is_nobodys(host: &[u8]) -> bool {
    const INVALID: &[u8] = b".invalid";
    host.len()
        .checked_sub(INVALID.len())
        .and_then(|at| host.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(INVALID))
}

/// Whether a user part is a telephone number (RFC 3261 section 25.1, `telephone-subscriber`).
pub fn is_telephone(user: &[u8]) -> bool {
    let digits = user.split(|&byte| byte == b';').next().unwrap_or_default();
    let digits = digits.strip_prefix(b"+").or_else(|| digits.strip_prefix(b"%2B")).unwrap_or(digits);
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || b"-.()".contains(byte))
}

/// From the host to the last parameter.
pub(super) fn place_of(message: &Message, uri: &Uri<'_>) -> Span {
    let whole = message.span_of(uri.raw);
    let headers = if uri.headers.is_empty() { 0 } else { uri.headers.len() as u16 + 1 };
    Span { start: message.span_of(uri.host).start, end: whole.end - headers }
}

/// The host, and of the parameters those that name no place; `phone` marks the user part as a number.
pub fn write_place(uri: &Uri<'_>, own: &[u8], phone: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(own);
    let mut marked = false;
    for param in Params::new(uri.params).filter_map(Result::ok) {
        if param.is(b"maddr") || param.is(b"transport") || param.is(b"received") {
            continue;
        }
        marked |= param.is(b"user");
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    if phone && !marked {
        out.extend_from_slice(b";user=phone");
    }
}

/// Puts the edge's name where a warning names its author (RFC 3261 section 20.43): `399 host "text"`.
fn edit_warnings(message: &Message, line: &Line, own: &[u8], edits: &mut Edits) {
    for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
        let agent = value.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).nth(1);
        if let Some(agent) = agent.filter(|agent| !agent.starts_with(b"\"")) {
            edits.replace(message.span_of(agent), own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of the wrong length would never be met.
    #[test]
    fn every_name_is_met() {
        for name in [
            "b",
            "r",
            "y",
            "n",
            "Server",
            "Privacy",
            "Warning",
            "Identity",
            "Refer-To",
            "Replaces",
            "Reply-To",
            "Call-Info",
            "Diversion",
            "Content-ID",
            "User-Agent",
            "Alert-Info",
            "Error-Info",
            "In-Reply-To",
            "Referred-By",
            "Geolocation",
            "History-Info",
            "Organization",
            "Authorization",
            "Target-Dialog",
            "Identity-Info",
            "P-Served-User",
            "Remote-Party-ID",
            "P-User-Database",
            "P-Associated-URI",
            "P-Charging-Vector",
            "P-Called-Party-ID",
            "P-Asserted-Identity",
            "Proxy-Authorization",
            "P-Preferred-Identity",
            "P-Visited-Network-ID",
            "P-Charging-Function-Addresses",
        ] {
            assert_ne!(fate(name.as_bytes()), Fate::Unknown, "{name}");
            assert_eq!(fate(name.to_ascii_uppercase().as_bytes()), fate(name.as_bytes()), "{name}");
        }
        assert_eq!(fate(b"X-Anything"), Fate::Unknown);
    }

    #[test]
    fn numbers_are_told_from_names() {
        for (user, is) in [
            ("+441632960001", true),
            ("%2B44", true),
            ("402", true),
            ("+1(425)555-0100;ext=7", true),
            ("1a", false),
            ("alice", false),
            ("+", false),
            ("", false),
            ("anonymous", false),
        ] {
            assert_eq!(is_telephone(user.as_bytes()), is, "{user}");
        }
    }
}
