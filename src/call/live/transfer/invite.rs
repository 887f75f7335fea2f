//! The INVITE to the target of a transfer, as the other side of the call would have sent it, and where it goes.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{Allowed, End, LiveCall, LiveLeg};
use crate::call::destination::{self, Asking, Destination};
use crate::call::leg::Leg;
use crate::call::refer::{ReferTo, referred_by};
use crate::call::screen::Refusal;
use crate::call::{Counts, Env, draw};
use crate::sdp::{self, Direction};
use crate::sip::build::write_line;
use crate::sip::edit::write_decimal;
use crate::sip::scan::Values;
use crate::sip::{Message, NameAddr, Scheme, Uri};
use crate::trunk::{TrunkId, TrunkKind};

/// Writes the INVITE. From is what the referrer knows the other side by, since that is how its trunk writes numbers; tag,
/// Call-ID, Contact and routes are the other side's own.
pub(super) fn compose(
    env: &Env<'_>,
    call: &LiveCall,
    referrer: End,
    refer: &Message,
    refer_to: &ReferTo<'_>,
    offer: &[u8],
) -> Option<Bytes> {
    let (asking, other) = (call.leg(referrer), call.leg(referrer.other()));
    let own = NameAddr::parse(&asking.own).ok()?;
    let verbatim = asking.trunk(env.edge)?.kind == TrunkKind::Teams;
    let mut uri = Vec::with_capacity(refer_to.uri.len());
    if verbatim {
        uri.extend_from_slice(refer_to.uri);
    } else {
        write_own_uri(env, asking, &Uri::parse(refer_to.uri).ok()?, &mut uri)?;
    }
    let mut out = Vec::with_capacity(1_024 + offer.len());
    out.extend_from_slice(b"INVITE ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b" SIP/2.0\r\nVia: SIP/2.0/UDP edge.invalid;branch=z9hG4bK0\r\n");
    for route in Values::new(&other.routes).filter_map(Result::ok).filter(|route| !route.is_empty()) {
        write_line(&mut out, "Record-Route", route);
    }
    out.extend_from_slice(b"Max-Forwards: ");
    write_decimal(&mut out, u64::from(refer.max_forwards().ok()?.unwrap_or(70)));
    out.extend_from_slice(b"\r\nFrom: ");
    if !own.display.is_empty() {
        out.extend_from_slice(own.display);
        out.push(b' ');
    }
    for part in [b"<", own.uri, b">;tag=", other.peer_tag(), b"\r\nTo: <"] {
        out.extend_from_slice(part);
    }
    let bare = Uri::parse(&uri).ok()?;
    out.extend_from_slice(bare.raw);
    out.extend_from_slice(b">\r\n");
    write_line(&mut out, "Call-ID", &other.call_id);
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(other.heard_cseq));
    out.extend_from_slice(b" INVITE\r\nContact: <");
    out.extend_from_slice(&other.target);
    out.extend_from_slice(b">\r\n");
    if let Some(referred_by) = referred_by(refer) {
        write_line(&mut out, "Referred-By", referred_by);
    }
    if let Some(replaces) = refer_to.replaces.as_ref().filter(|_| !verbatim) {
        out.extend_from_slice(b"Replaces: ");
        replaces.write(&mut out);
        out.extend_from_slice(b"\r\n");
    }
    write_allow(other.allows, &mut out);
    out.extend_from_slice(b"Content-Type: application/sdp\r\nContent-Length: ");
    write_decimal(&mut out, offer.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(offer);
    Some(out.into())
}

/// What the other side takes; what it did not say it is not asked to do.
fn write_allow(allows: Allowed, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY");
    for method in ["REFER", "INFO", "UPDATE", "MESSAGE"] {
        if allows.has(method.as_bytes()) {
            out.extend_from_slice(b", ");
            out.extend_from_slice(method.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The target as one that is asked of the edge: hosts behind a trunk mean nothing anywhere else.
fn write_own_uri(env: &Env<'_>, asking: &LiveLeg, uri: &Uri<'_>, out: &mut Vec<u8>) -> Option<()> {
    let site = asking.site.and_then(|mark| env.edge.routing.sites().marked(mark)).map(|site| &**site);
    out.extend_from_slice(b"sip:");
    if let Some(user) = uri.user {
        out.extend_from_slice(user);
        out.push(b'@');
    }
    let trunk = asking.trunk(env.edge)?.id;
    let mut own = Vec::with_capacity(64);
    let host = env.edge.write_own(trunk, asking.listener, site, &mut own);
    out.extend_from_slice(own.get(..host)?);
    if uri.scheme == Scheme::Tel || uri.param(b"user").flatten().is_some_and(|user| user.eq_ignore_ascii_case(b"phone"))
    {
        out.extend_from_slice(b";user=phone");
    }
    Some(())
}

/// Where the INVITE goes: to the proxy that sent the REFER where that names its targets itself, as Teams does; otherwise
/// where routing sends it as a call of the referrer's trunk.
///
/// # Errors
/// Why it goes nowhere.
pub(super) fn destination(
    env: &Env<'_>,
    counts: &mut Counts,
    call: &LiveCall,
    referrer: End,
    invite: &Message,
) -> Result<Destination, Refusal> {
    let gone = Refusal::new(503, "Trunk Is Gone");
    let asking_leg = call.leg(referrer);
    let trunk = asking_leg.trunk(env.edge).ok_or(gone)?;
    if trunk.kind == TrunkKind::Teams {
        let site = asking_leg.site.and_then(|mark| env.edge.routing.sites().marked(mark)).map(Arc::clone);
        let leg = Leg::referred(None, trunk.id, true, site);
        return destination::of_proxy(env.edge, trunk, asking_leg.listener, next_hop(asking_leg), &leg)
            .ok_or(Refusal::new(503, "No Next Hop"));
    }
    let uri = invite.uri().map_err(|_| Refusal::new(400, "Bad Refer-To"))?;
    let asking = Asking {
        edge: env.edge,
        from: trunk.id,
        request: invite,
        unix: env.unix,
        draw: draw(env.secrets, &asking_leg.call_id),
    };
    let mut destination = destination::of_initial(&asking, &uri, counts)?;
    for candidate in destination.lanes.iter_mut().flat_map(|lane| &mut lane.candidates) {
        candidate.leg = Some(Leg::referred(candidate.leg.as_deref(), trunk.id, false, None));
    }
    Ok(destination)
}

/// The first route of a leg, or its target.
fn next_hop(leg: &LiveLeg) -> Option<Uri<'_>> {
    let first = Values::new(&leg.routes).filter_map(Result::ok).find(|route| !route.is_empty());
    match first {
        Some(route) => NameAddr::parse(route).ok()?.uri().ok(),
        None => Uri::parse(&leg.target).ok(),
    }
}

/// The trunk and listener in whose name the INVITE is sent.
pub(super) fn sender(env: &Env<'_>, call: &LiveCall, referrer: End) -> Option<TrunkId> {
    Some(call.leg(referrer.other()).trunk(env.edge)?.id)
}

/// What a description offers when nobody holds: a side that is on hold for its transfer must not stay so
/// (Teams refuses a call that begins on hold).
pub(super) fn offer_of(description: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(description.len() + 16);
    let mut at = 0;
    let address = sdp::address(description).or(None);
    sdp::rewrite(
        description,
        |_| Direction::SendRecv,
        address,
        |range, parts| {
            out.extend_from_slice(description.get(at..range.start).unwrap_or_default());
            parts.iter().for_each(|part| out.extend_from_slice(part));
            at = range.end;
        },
    );
    out.extend_from_slice(description.get(at..).unwrap_or_default());
    out
}

/// Whether two descriptions of one side ask for the same streams at the same place, whatever direction they have.
pub(super) fn same_streams(a: &[u8], b: &[u8]) -> bool {
    let told = |sdp| {
        sdp::Lines::new(sdp)
            .filter(|line| matches!(line.kind, b'c' | b'm' | b'a'))
            .filter(|line| line.attribute().is_none_or(|(name, _)| Direction::named(name).is_none()))
            .map(|line| line.value)
    };
    told(a).eq(told(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &[u8] =
        b"v=0\r\no=- 1 2 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n\
        a=rtcp-mux\r\na=inactive\r\n";

    #[test]
    fn nobody_is_called_on_hold() {
        let offer = offer_of(HELD);
        let text = String::from_utf8(offer.clone()).unwrap();
        assert_eq!(text, String::from_utf8_lossy(HELD).replace("a=inactive", "a=sendrecv"));
        assert_eq!(offer_of(&offer), offer);
        let nowhere = String::from_utf8_lossy(HELD).replace("a=inactive\r\n", "c=IN IP4 0.0.0.0\r\n");
        assert!(!sdp::is_hold(&offer_of(nowhere.as_bytes())), "{nowhere}");
    }

    #[test]
    fn streams_are_the_same_whatever_their_direction() {
        let other = |from: &str, to: &str| String::from_utf8_lossy(HELD).replace(from, to).into_bytes();
        assert!(same_streams(HELD, &other("a=inactive", "a=sendrecv")));
        assert!(same_streams(HELD, &other("o=- 1 2", "o=- 1 3")));
        assert!(!same_streams(HELD, &other("audio 4000", "audio 4002")));
        assert!(!same_streams(HELD, &other("c=IN IP4 192.0.2.5", "c=IN IP4 192.0.2.6")));
        assert!(!same_streams(HELD, &other("a=rtcp-mux\r\n", "")));
    }
}
