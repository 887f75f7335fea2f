//! Session timers with a peer (RFC 4028). What becomes of it on the way from one leg to the other: what one side says of a
//! timer stays there, and the edge says to each side what is its own.

use super::Passing;
use crate::call::Edge;
use crate::call::destination::{Candidate, Destination};
use crate::call::live::timer::{accept, is_refresh, offer, too_small};
use crate::call::owned::site_of;
use crate::call::screen::Refusal;
use crate::sip::session_expires::{is_of_session_timer, write_min_se};
use crate::sip::{Edits, HeaderName, Message, Refresher, SessionExpires};
use crate::trunk::dialect::Session;
use crate::trunk::dialect::session::{Offerless, Timer};
use crate::trunk::{ListenerId, TrunkId};

pub(super) fn edit(passing: &Passing<'_>, edits: &mut Edits) {
    let Passing { message, from, to, method, .. } = *passing;
    let own = &to.dialect.session;
    let timer = own.timer_beside(&from.dialect.session);
    if timer == Timer::Pass {
        return;
    }
    take_out(message, edits);
    if timer == Timer::Off || !is_refresh(method) {
        return;
    }
    let at = message.header_block().end;
    if message.is_request() {
        // An UPDATE may be of an early dialog, which has no timer yet.
        if method == b"INVITE" || message.session_expires().is_some() {
            edits.insert_with(at, |out| write_offer(own, offer(own, 0), out));
        }
    } else if let (200..=299, Some(request)) = (message.status(), passing.request) {
        edits.insert_with(at, |out| {
            write_accepted(own, request, out);
        });
    }
}

/// Admits an INVITE that begins a call: places where one without an offer is not taken are left out.
///
/// # Errors
/// 422 for a session interval that is too small (RFC 4028 section 9); 488 when no place is left.
pub fn admit(
    edge: &Edge,
    (from, listener, request): (TrunkId, ListenerId, &Message),
    destination: &mut Destination,
) -> Result<(), Refusal> {
    if request.method() != b"INVITE" {
        return Ok(());
    }
    let Some(near) = edge.trunk(from).map(|trunk| &trunk.dialect.session) else { return Ok(()) };
    let far = |candidate: &Candidate| {
        let trunk = edge.trunk(candidate.trunk).filter(|far| edge.owns_legs(from, far.id));
        trunk.map(|trunk| trunk.dialect.session)
    };
    let places = || destination.lanes.iter().flat_map(|lane| &lane.candidates).filter_map(far);
    if too_small(near, request) && places().any(|far| near.timer_beside(&far) == Timer::Edge) {
        let mut refusal = Refusal::new(422, "Session Interval Too Small");
        write_min_se(near.min, &mut refusal.headers);
        return Err(refusal);
    }
    if !request.body().is_empty() {
        return Ok(());
    }
    let takes = |candidate: &Candidate| far(candidate).is_none_or(|far| far.offerless == Offerless::Pass);
    destination.keep(takes);
    if destination.lanes.is_empty() {
        let host = own_name(edge, from, listener, request);
        let headers = warning(&host, "An INVITE without an offer is not taken by who is called");
        return Err(Refusal { headers, ..Refusal::new(488, "Not Acceptable Here") });
    }
    Ok(())
}

/// The name by which the sender of a request knows the edge.
pub fn own_name(edge: &Edge, from: TrunkId, listener: ListenerId, request: &Message) -> Vec<u8> {
    let host = request.uri().map(|uri| uri.host).unwrap_or_default();
    let mut name = Vec::with_capacity(64);
    let len = edge.write_own(from, listener, site_of(edge, from, host), &mut name);
    name.truncate(len);
    name
}

/// A Warning line of the edge's own (RFC 3261 section 20.43).
pub fn warning(host: &[u8], text: &str) -> Vec<u8> {
    [b"Warning: 399 ", host, b" \"", text.as_bytes(), b"\"\r\n"].concat()
}

/// Writes what the edge asks of a side: whole lines.
pub fn write_offer(session: &Session, offer: SessionExpires, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Supported: timer\r\n");
    offer.write(out);
    // What a 422 asked for is no less than what the edge takes.
    write_min_se(session.min, out);
}

/// Writes what the edge says of the timer in a 2xx to a side's request: whole lines, or nothing. Gives what it says.
pub fn write_accepted(session: &Session, request: &Message, out: &mut Vec<u8>) -> Option<SessionExpires> {
    let accepted = accept(session, request)?;
    accepted.write(out);
    // RFC 4028 section 9: who is to refresh must know of it; who knows of it is to know that it is in force.
    if accepted.refresher == Some(Refresher::Uac) || request.knows(b"timer") {
        out.extend_from_slice(b"Require: timer\r\n");
    }
    Some(accepted)
}

/// Takes out what a message says of session timers.
fn take_out(message: &Message, edits: &mut Edits) {
    for line in message.lines() {
        if line.name == HeaderName::Other && is_of_session_timer(message.name_at(line)) {
            edits.remove_line(line);
        }
    }
    for name in [HeaderName::Supported, HeaderName::Require] {
        edits.remove_values_where(message, name, |tag| tag.eq_ignore_ascii_case(b"timer"));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Limits;
    use crate::transaction::Timing;
    use crate::trunk::{Trunk, Trunks};

    const CONFIG: &str = "[node]\nname = \"e\"\n[[listen]]\nname = \"u\"\nbind = \"udp:192.0.2.1:5060\"\n\
        [trunk.a]\nkind = \"pbx\"\nlisten = \"u\"\ntargets = [\"udp:192.0.2.10:5060\"]\n\
        [trunk.b]\nkind = \"carrier\"\nlisten = \"u\"\ntargets = [\"udp:192.0.2.20:5060\"]\n";

    fn trunk(timer: Timer) -> Trunk {
        let loaded = crate::config::load_str("t", CONFIG, std::path::Path::new(".")).expect("a sound configuration");
        let mut trunk = loaded.trunks.0[0].clone();
        let session = Session { timer, ..trunk.dialect.session };
        std::sync::Arc::make_mut(&mut trunk.dialect).session = session;
        trunk
    }

    fn message(start: &str, lines: &str) -> Message {
        let text = format!("{start}\r\nVia: SIP/2.0/UDP e\r\n{lines}CSeq: 1 INVITE\r\n\r\n");
        Message::reread(&Bytes::from(text)).unwrap()
    }

    /// What is left of a message's lines between Via and CSeq, and what is added behind.
    fn passed(timers: [Timer; 2], message: &Message, request: Option<&Message>) -> String {
        let edge = Edge::new(Vec::new(), Trunks::default(), Default::default(), Timing::default(), Limits::default());
        let [from, to] = timers.map(trunk);
        let (method, host) = (&b"INVITE"[..], &b"edge"[..]);
        let inside = Passing::inside(&edge, message, [&from, &to], host);
        let passing = Passing { request, method, initial: true, ..inside };
        let mut edits = Edits::new();
        edit(&passing, &mut edits);
        let text = String::from_utf8(edits.apply(message).to_vec()).unwrap();
        let lines = text.split("\r\n").skip(2).filter(|line| !line.is_empty() && !line.starts_with("CSeq"));
        lines.collect::<Vec<_>>().join("|")
    }

    const OWN: &str = "Supported: timer|Session-Expires: 1800;refresher=uas|Min-SE: 90";

    #[test]
    fn what_one_side_asks_for_stays_there_and_the_edge_asks_for_its_own() {
        let both = [Timer::Edge; 2];
        for (lines, kept) in [
            ("", ""),
            ("Supported: timer\r\nMIN-SE: 300\r\nSESSION-EXPIRES: 3600\r\n", ""),
            ("Supported: 100rel, timer\r\nx: 90\r\n", "Supported: 100rel|"),
            ("k: timer,replaces\r\nRequire: Timer\r\n", "k: replaces|"),
            ("Supported: a, timer, b\r\nSupported: c\r\n", "Supported: a, b|Supported: c|"),
        ] {
            let request = message("INVITE sip:a@b SIP/2.0", lines);
            assert_eq!(passed(both, &request, None), format!("{kept}{OWN}"), "{lines}");
        }
    }

    #[test]
    fn a_2xx_says_what_the_edge_agrees_to_with_who_asked() {
        let both = [Timer::Edge; 2];
        let response = message("SIP/2.0 200 OK", "Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n");
        for (lines, wanted) in [
            ("", ""),
            ("Supported: timer\r\n", "Session-Expires: 1800;refresher=uac|Require: timer"),
            (
                "Supported: timer\r\nSession-Expires: 3600;refresher=uas\r\n",
                "Session-Expires: 3600;refresher=uas|Require: timer",
            ),
            ("Session-Expires: 3600\r\n", "Session-Expires: 3600;refresher=uas"),
        ] {
            let request = message("INVITE sip:a@b SIP/2.0", lines);
            assert_eq!(passed(both, &response, Some(&request)), wanted, "{lines}");
            let ringing = message("SIP/2.0 180 Ringing", "");
            assert_eq!(passed(both, &ringing, Some(&request)), "");
        }
    }

    #[test]
    fn a_timer_passes_or_is_not_spoken_of_where_the_trunks_say_so() {
        let lines = "Supported: timer\r\nSession-Expires: 3600\r\n";
        let request = message("INVITE sip:a@b SIP/2.0", lines);
        assert_eq!(passed([Timer::Pass; 2], &request, None), "Supported: timer|Session-Expires: 3600");
        assert_eq!(passed([Timer::Pass, Timer::Off], &request, None), "");
        assert_eq!(passed([Timer::Off, Timer::Pass], &request, None), OWN);
        let response = message("SIP/2.0 200 OK", "Session-Expires: 1800;refresher=uac\r\n");
        assert_eq!(passed([Timer::Edge, Timer::Off], &response, Some(&request)), "");
    }
}
