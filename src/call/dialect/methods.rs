//! The methods and extensions that a peer knows. What becomes of it on the way from one leg to the other.
//!
//! `Allow` is said anew on each leg, from what the edge does itself and what the far side can be asked to do. Option tags
//! pass where whoever gets them knows them; 100rel ends at the edge unless both sides pass it.

use smallvec::SmallVec;

use super::Passing;
use crate::sip::scan::Values;
use crate::sip::{Edits, HeaderName, Line, Message, NameAddr, Span};
use crate::trunk::dialect::early::{Reliable, Ringing};
use crate::trunk::dialect::methods::MethodSet;
use crate::trunk::dialect::session::Timer;
use crate::trunk::{Trunk, TrunkKind};

/// Methods that go through the edge only when whoever is on the far side knows them.
const THROUGH: [&[u8]; 4] = [b"INFO", b"MESSAGE", b"SUBSCRIBE", b"PUBLISH"];

/// The option tag of reliable provisional answers.
const RELIABLE: &[u8] = b"100rel";

pub(super) fn edit(passing: &Passing<'_>, edits: &mut Edits) {
    edit_allow(passing, edits);
    edit_options(passing, edits);
    if passing.to.kind == TrunkKind::Teams && passing.message.is_request() {
        edit_for_teams(passing.message, edits);
    }
}

/// Whether reliable provisional answers end at the edge on both legs between two trunks. Answers that change on their
/// way cannot be acknowledged by whoever gets to see something else.
pub fn ends_reliable(one: &Trunk, other: &Trunk) -> bool {
    let (one, other) = (&one.dialect.early, &other.dialect.early);
    one.reliable.is_ended_with(other.reliable) || [one, other].iter().any(|early| early.ringing != Ringing::Pass)
}

/// What the edge takes from a peer: its own part, and what the far side takes as well, whose Allow is `said`.
pub fn offered(to: &Trunk, far: Option<&Trunk>, said: Option<MethodSet>) -> MethodSet {
    let knows = |method: &[u8]| to.dialect.methods.known.has(method);
    let far_knows = |method: &[u8]| {
        far.is_none_or(|far| far.dialect.methods.known.has(method)) && said.is_none_or(|said| said.has(method))
    };
    let mut set = MethodSet::BASIC;
    for method in THROUGH.into_iter().filter(|method| knows(method) && far_knows(method)) {
        set = set.with(method);
    }
    if knows(b"UPDATE") {
        set = set.with(b"UPDATE");
    }
    if knows(b"PRACK") && (far.is_none_or(|far| ends_reliable(to, far)) || far_knows(b"PRACK")) {
        set = set.with(b"PRACK");
    }
    if to.dialect.transfer.takes_refer() {
        set = set.with(b"REFER");
    }
    set
}

/// Whether a peer can be sent a request of this method. What the edge does not tell apart is for the peers themselves.
pub fn takes(to: &Trunk, method: &[u8]) -> bool {
    to.dialect.methods.known.has(method) || !MethodSet::ALL.has(method) && to.kind != TrunkKind::Teams
}

/// Writes the line `Allow: INVITE, ...`.
pub fn write_allow(set: MethodSet, further: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(b"Allow");
    let mut separator: &[u8] = b": ";
    let mut put = |method: &[u8]| {
        out.extend_from_slice(std::mem::replace(&mut separator, b", "));
        out.extend_from_slice(method);
    };
    set.iter().for_each(|method| put(method.as_bytes()));
    further.iter().for_each(|method| put(method));
    out.extend_from_slice(b"\r\n");
}

/// The option tags that a request requires and its receiver does not know: it deserves 420 (RFC 3261 section 8.2.2.3).
pub fn unmet<'m>(request: &'m Message, from: &Trunk, to: &Trunk) -> SmallVec<[&'m [u8]; 2]> {
    if matches!(request.method(), b"ACK" | b"CANCEL") {
        return SmallVec::new();
    }
    let ends = ends_reliable(from, to);
    let met = |tag: &[u8]| to.dialect.methods.knows(tag) || is(tag, b"timer") || ends && is(tag, RELIABLE);
    request.option_tags(HeaderName::Require).filter(|tag| !met(tag)).collect()
}

/// Why a request cannot be sent to whoever is on the other side: the status of the answer that it deserves, and whole
/// header lines for that.
pub fn not_taken(request: &Message, from: &Trunk, to: &Trunk) -> Option<(u16, Vec<u8>)> {
    let mut headers = Vec::new();
    if request.method() == b"PRACK" && ends_reliable(from, to) {
        return Some((481, headers));
    }
    if !takes(to, request.method()) {
        write_allow(offered(from, Some(to), None), &[], &mut headers);
        return Some((405, headers));
    }
    let unmet = unmet(request, from, to);
    if unmet.is_empty() {
        return None;
    }
    headers.extend_from_slice(b"Unsupported: ");
    headers.extend_from_slice(&unmet.join(&b", "[..]));
    headers.extend_from_slice(b"\r\n");
    Some((420, headers))
}

/// All lines of a header that [`HeaderName`] does not know.
fn lines_named<'m>(message: &'m Message, name: &'static [u8]) -> impl Iterator<Item = &'m Line> + Clone {
    let named = move |line: &&Line| message.name_at(line).eq_ignore_ascii_case(name);
    message.lines_of(HeaderName::Other).filter(named)
}

fn is(tag: &[u8], known: &[u8]) -> bool {
    tag.eq_ignore_ascii_case(known)
}

fn edit_allow(passing: &Passing<'_>, edits: &mut Edits) {
    let Passing { message, from, to, method, .. } = *passing;
    let mut lines = lines_named(message, b"Allow").peekable();
    let wanted = match message.status() {
        _ if message.is_request() => matches!(method, b"INVITE" | b"OPTIONS"),
        101..=299 => method == b"INVITE" || method == b"OPTIONS",
        405 => true,
        _ => false,
    };
    let stands = lines.peek().is_some();
    if !wanted && !stands {
        return;
    }
    let values = lines.clone().flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok);
    let said = stands.then(|| MethodSet::of(values.clone()));
    // What the edge does not tell apart, it passes on; REGISTER is no matter of calls.
    let through = |method: &&[u8]| !MethodSet::ALL.has(method) && *method != b"REGISTER" && !method.is_empty();
    let further: SmallVec<[&[u8]; 4]> = match to.kind {
        TrunkKind::Teams => SmallVec::new(),
        TrunkKind::Carrier | TrunkKind::Pbx => values.filter(through).collect(),
    };
    for line in lines {
        edits.remove_line(line);
    }
    let set = offered(to, Some(from), said);
    edits.insert_with(message.header_block().end, |out| write_allow(set, &further, out));
}

fn edit_options(passing: &Passing<'_>, edits: &mut Edits) {
    let Passing { message, from, to, method, .. } = *passing;
    let (ends, request) = (ends_reliable(from, to), message.is_request());
    let known = &to.dialect.methods;
    // Whether `timer` passes is decided with the session timers; here it is looked at so that no line is left empty.
    let timer = to.dialect.session.timer_beside(&from.dialect.session) == Timer::Pass;
    let passes = |tag: &[u8]| match tag {
        tag if is(tag, b"timer") => timer,
        tag if is(tag, RELIABLE) => !ends && known.knows(tag),
        tag => known.knows(tag),
    };
    remove_tags(message, HeaderName::Supported, edits, |tag| !passes(tag));
    remove_tags(message, HeaderName::Require, edits, |tag| ends && is(tag, RELIABLE) || is(tag, b"timer") && !timer);
    if ends {
        for line in lines_named(message, b"RSeq") {
            edits.remove_line(line);
        }
    }
    // Without an offer in the INVITE the callee's would have to be answered in a PRACK, for which nobody is there to ask.
    let offers = request && method == b"INVITE" && !message.body().is_empty();
    if ends && offers && to.dialect.early.reliable == Reliable::End {
        edits.append_header(message, "Supported", RELIABLE);
    }
}

/// Takes option tags out of a header, and lines that have no other.
fn remove_tags(message: &Message, header: HeaderName, edits: &mut Edits, gone: impl Fn(&[u8]) -> bool) {
    for line in message.lines_of(header) {
        let tags: SmallVec<[Span; 8]> = Values::new(message.value_at(line))
            .filter_map(Result::ok)
            .filter(|tag| !tag.is_empty())
            .map(|tag| message.span_of(tag))
            .collect();
        if tags.is_empty() {
            continue;
        }
        if tags.iter().all(|&tag| gone(message.at(tag))) {
            edits.remove_line(line);
            continue;
        }
        let mut kept_before = false;
        for (index, &tag) in tags.iter().enumerate() {
            if !gone(message.at(tag)) {
                kept_before = true;
            } else if let (true, Some(before)) = (kept_before, index.checked_sub(1).and_then(|at| tags.get(at))) {
                edits.remove(Span { start: before.end, end: tag.end });
            } else if let Some(next) = tags.get(index + 1) {
                edits.remove(Span { start: tag.start, end: next.start });
            }
        }
    }
}

/// Teams takes no Replaces and no `sips:`; the Request-URI is seen to where it is written.
fn edit_for_teams(request: &Message, edits: &mut Edits) {
    let mut replaces = lines_named(request, b"Replaces").peekable();
    if replaces.peek().is_some() {
        remove_tags(request, HeaderName::Require, edits, |tag| is(tag, b"replaces"));
    }
    replaces.for_each(|line| edits.remove_line(line));
    let names: [&[u8]; 6] = [
        b"P-Asserted-Identity",
        b"P-Preferred-Identity",
        b"P-Called-Party-ID",
        b"Remote-Party-ID",
        b"Diversion",
        b"History-Info",
    ];
    for line in request.lines() {
        let named = || names.iter().any(|name| request.name_at(line).eq_ignore_ascii_case(name));
        if matches!(line.name, HeaderName::From | HeaderName::To) || line.name == HeaderName::Other && named() {
            edit_schemes(request, line, edits);
        }
    }
}

fn edit_schemes(message: &Message, line: &Line, edits: &mut Edits) {
    for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
        let Ok(address) = NameAddr::parse(value) else { continue };
        if address.uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:")) {
            let Span { start, .. } = message.span_of(address.uri);
            edits.replace(Span { start, end: start + 4 }, b"sip");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::dialect::tests::{edited, trunk};
    use crate::trunk::dialect::Dialect;
    use crate::trunk::dialect::early::Reliable;

    fn allow(text: &str) -> Option<&str> {
        text.lines().find_map(|line| line.strip_prefix("Allow: "))
    }

    fn request(headers: &str) -> String {
        format!("INVITE sip:1@b SIP/2.0\r\nFrom: <sip:a@h>;tag=1\r\n{headers}\r\n")
    }

    #[test]
    fn allow_says_what_the_edge_takes_on_that_leg() {
        use TrunkKind::{Carrier, Pbx, Teams};
        const BASIC: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY";
        let full = format!("{BASIC}, INFO, UPDATE, PRACK, MESSAGE, SUBSCRIBE, PUBLISH");
        for (from, to, said, wanted) in [
            (Pbx, Carrier, "", full.clone()),
            (
                Pbx,
                Carrier,
                "Allow: INVITE, ACK, BYE, CANCEL, INFO, X-OWN, REGISTER\r\n",
                format!("{BASIC}, INFO, UPDATE, X-OWN"),
            ),
            // The edge ends PRACK and UPDATE for a side that knows them.
            (Teams, Pbx, "ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n", format!("{BASIC}, REFER, UPDATE, PRACK")),
            (Pbx, Teams, "Allow: INVITE, INFO\r\nAllow: PRACK, UPDATE, X-OWN\r\n", format!("{BASIC}, REFER")),
            (Pbx, Teams, "", format!("{BASIC}, REFER")),
        ] {
            let text = edited(&request(said), b"INVITE", from, to);
            assert_eq!(allow(&text), Some(&*wanted), "{from:?} {to:?} {said}");
            assert_eq!(text.to_lowercase().matches("allow:").count(), 1);
        }
    }

    #[test]
    fn messages_that_need_no_allow_get_none() {
        for (head, method, wanted) in [
            ("SIP/2.0 100 Trying", &b"INVITE"[..], false),
            ("SIP/2.0 180 Ringing", b"INVITE", true),
            ("SIP/2.0 200 OK", b"INVITE", true),
            ("SIP/2.0 200 OK", b"OPTIONS", true),
            ("SIP/2.0 200 OK", b"BYE", false),
            ("SIP/2.0 405 Not Allowed", b"INFO", true),
            ("SIP/2.0 486 Busy", b"INVITE", false),
            ("BYE sip:a@b SIP/2.0", b"BYE", false),
        ] {
            let text = edited(&format!("{head}\r\nX: 1\r\n\r\n"), method, TrunkKind::Pbx, TrunkKind::Teams);
            assert_eq!(allow(&text).is_some(), wanted, "{head}");
        }
    }

    #[test]
    fn option_tags_pass_to_whoever_knows_them() {
        use TrunkKind::{Pbx, Teams};
        for (line, to_teams, to_pbx) in [
            ("Supported: timer, 100rel, replaces, path", "Supported: replaces", "Supported: replaces, path"),
            ("k: 100rel,timer", "", ""),
            ("Supported: 100rel", "", ""),
            ("Supported: path , 100rel", "", "Supported: path"),
            ("Require: 100rel", "", ""),
            ("Supported:", "Supported:", "Supported:"),
        ] {
            for (from, to, wanted) in [(Pbx, Teams, to_teams), (Teams, Pbx, to_pbx)] {
                let text = edited(&request(&format!("{line}\r\n")), b"INVITE", from, to);
                let found: Vec<_> =
                    text.lines().filter(|line| line.starts_with(['S', 'k', 'R'])).map(str::trim_end).collect();
                assert_eq!(found.concat(), wanted, "{line} to {to:?}");
            }
        }
    }

    #[test]
    fn reliability_passes_between_two_that_pass_it_and_is_offered_by_the_edge_where_it_ends() {
        let (pbx, carrier) = (trunk(TrunkKind::Pbx), trunk(TrunkKind::Carrier));
        assert!(!ends_reliable(&pbx, &carrier));
        let with = |reliable| {
            let mut trunk = carrier.clone();
            let mut dialect = Dialect::of_kind(TrunkKind::Carrier);
            dialect.early.reliable = reliable;
            trunk.dialect = Arc::new(dialect);
            trunk
        };
        let invite = request("Supported: 100rel\r\n").replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nv=0");
        let supported = |to: &Trunk, invite: &str| {
            let text = crate::call::dialect::tests::edited_between(invite, b"INVITE", &pbx, to);
            text.lines().filter(|line| line.starts_with("Supported")).collect::<Vec<_>>().join("|")
        };
        assert_eq!(supported(&with(Reliable::Pass), &invite), "Supported: 100rel");
        assert_eq!(supported(&with(Reliable::End), &invite), "Supported: 100rel");
        assert_eq!(supported(&with(Reliable::Off), &invite), "");
        let plain = invite.replace("Supported: 100rel\r\n", "");
        assert_eq!(supported(&with(Reliable::End), &plain), "Supported: 100rel");
        assert_eq!(supported(&with(Reliable::End), &request("")), "", "no offer, no reliable answer");
        let answer = "SIP/2.0 183 P\r\nRequire: 100rel\r\nRSeq: 7\r\n\r\n";
        for (reliable, stays) in [(Reliable::Pass, true), (Reliable::End, false)] {
            let text = crate::call::dialect::tests::edited_between(answer, b"INVITE", &with(reliable), &pbx);
            assert_eq!((text.contains("100rel"), text.contains("RSeq")), (stays, stays), "{text}");
        }
    }

    #[test]
    fn what_a_request_requires_must_be_known_to_whoever_gets_it() {
        let (pbx, teams) = (trunk(TrunkKind::Pbx), trunk(TrunkKind::Teams));
        for (line, unknown) in [
            ("Require: timer, 100rel, replaces", ""),
            ("Require: precondition, 100rel, x", "precondition x"),
            ("Supported: precondition", ""),
        ] {
            let message = Message::reread(&bytes::Bytes::from(request(&format!("{line}\r\n")))).unwrap();
            let tags = unmet(&message, &pbx, &teams).iter().map(|tag| String::from_utf8_lossy(tag)).collect::<Vec<_>>();
            assert_eq!(tags.join(" "), unknown, "{line}");
            assert!(unmet(&message, &teams, &pbx).is_empty());
        }
    }

    #[test]
    fn teams_gets_no_sips_and_no_replaces() {
        let headers = "To: \"B\" <sips:1@b>\r\nP-Asserted-Identity: <SIPS:a@h>, <tel:+1>\r\nReplaces: x;to-tag=1;from-tag=2\r\n\
            Require: replaces\r\nReferred-By: <sips:c@d>\r\n";
        let text = edited(&request(headers), b"INVITE", TrunkKind::Pbx, TrunkKind::Teams);
        assert!(
            text.contains("To: \"B\" <sip:1@b>\r\n") && text.contains("P-Asserted-Identity: <sip:a@h>, <tel:+1>\r\n"),
            "{text}"
        );
        assert!(!text.contains("Replaces") && !text.contains("Require"), "{text}");
        assert!(text.contains("Referred-By: <sips:c@d>\r\n"), "what a transfer brings stays byte for byte");
        let text = edited(&request(headers), b"INVITE", TrunkKind::Teams, TrunkKind::Pbx);
        assert!(text.contains("Replaces: x") && text.contains("<sips:1@b>"), "{text}");
    }
}
