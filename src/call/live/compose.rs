//! Requests of the edge's own on a leg of a live call, as the peer of that leg expects them inside its dialog
//! (RFC 3261 section 12.2.1.1).

use bytes::Bytes;

use super::errand::Composed;
use super::{End, LiveCall};
use crate::call::Env;
use crate::call::destination;
use crate::call::dialect::{Passing, media};
use crate::call::owned::{NotSealed, write_contact};
use crate::call::probe::PRODUCT;
use crate::sip::build::write_line;
use crate::sip::edit::write_decimal;
use crate::sip::scan::Values;
use crate::sip::{Edits, Message, NameAddr, Uri, body};
use crate::trunk::TrunkKind;

/// What of a request is not in the leg.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    pub method: &'a str,
    /// Whole header lines.
    pub headers: &'a [u8],
    /// Of the body; empty when there is none.
    pub content_type: &'a str,
    pub body: &'a [u8],
}

/// Composes a request on a leg and takes a CSeq number for it; `None` when the trunk is gone, its place cannot be read,
/// or its Contact does not fit.
///
/// The dialects see it as a request that came from the other side.
pub fn request(env: &Env<'_>, edits: &mut Edits, call: &mut LiveCall, end: End, asked: Asked<'_>) -> Option<Composed> {
    let number = call.leg_mut(end).next_cseq();
    // The Contact that it carries says who holds by then.
    if matches!(asked.method, "INVITE" | "UPDATE") {
        call.hold = match end {
            End::Callee => media::offered(call.hold, asked.body),
            End::Caller => media::offered(call.hold.turned(), asked.body).turned(),
        };
    }
    let call = &*call;
    let leg = call.leg(end);
    let trunk = leg.trunk(env.edge)?;
    let first = Values::new(&leg.routes).filter_map(Result::ok).find(|value| !value.is_empty());
    let first = first.and_then(|route| NameAddr::parse(route).ok()?.uri().ok());
    let target = Uri::parse(&leg.target).ok()?;
    let to = destination::of_leg(env.edge, trunk, leg.listener, first.as_ref().unwrap_or(&target))?;
    let strict = first.filter(|route| !route.is_loose());
    let mut out = Vec::with_capacity(768 + asked.body.len());
    out.extend_from_slice(asked.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(strict.map_or(target.raw, |route| route.raw));
    out.extend_from_slice(b" SIP/2.0\r\n");
    out.extend_from_slice(NO_VIA);
    write_routes(&leg.routes, strict.is_some().then_some(&leg.target), &mut out);
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    write_line(&mut out, "From", &leg.own);
    write_line(&mut out, "To", &leg.peer);
    write_line(&mut out, "Call-ID", &leg.call_id);
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(number));
    out.push(b' ');
    out.extend_from_slice(asked.method.as_bytes());
    out.extend_from_slice(b"\r\n");
    let teams = trunk.kind == TrunkKind::Teams;
    // Teams wants to see its tenant in every request.
    if teams || !matches!(asked.method, "ACK" | "BYE" | "PRACK") {
        contact(env, call, end, &mut out).ok()?;
    }
    if teams {
        out.extend_from_slice(PRODUCT.as_bytes());
    }
    out.extend_from_slice(asked.headers);
    write_body(asked.content_type, asked.body, &mut out);
    let bytes = translated(env, edits, call, end, out.into())?;
    Some(Composed { bytes, to })
}

/// A re-INVITE with this offer, or without any when it is empty.
pub fn re_invite(env: &Env<'_>, edits: &mut Edits, call: &mut LiveCall, end: End, sdp: &[u8]) -> Option<Composed> {
    let asked = Asked { method: "INVITE", content_type: "application/sdp", body: sdp, ..Asked::default() };
    request(env, edits, call, end, asked)
}

/// An UPDATE, with an offer unless it is empty (RFC 3311).
pub fn update(env: &Env<'_>, edits: &mut Edits, call: &mut LiveCall, end: End, sdp: &[u8]) -> Option<Composed> {
    let asked = Asked { method: "UPDATE", content_type: "application/sdp", body: sdp, ..Asked::default() };
    request(env, edits, call, end, asked)
}

/// A BYE that says why (RFC 3326): `reason` is the value of a Reason header.
pub fn bye(env: &Env<'_>, edits: &mut Edits, call: &mut LiveCall, end: End, reason: &str) -> Option<Composed> {
    let mut headers = Vec::with_capacity(64);
    if !reason.is_empty() {
        write_line(&mut headers, "Reason", reason.as_bytes());
    }
    request(env, edits, call, end, Asked { method: "BYE", headers: &headers, ..Asked::default() })
}

/// A NOTIFY: `event` and `state` are the values of Event and Subscription-State, the body is a `message/sipfrag`
/// (RFC 3515 section 2.4.4).
pub fn notify(
    env: &Env<'_>,
    edits: &mut Edits,
    call: &mut LiveCall,
    end: End,
    (event, state): (&str, &str),
    sipfrag: &[u8],
) -> Option<Composed> {
    let mut headers = Vec::with_capacity(96);
    write_line(&mut headers, "Event", event.as_bytes());
    write_line(&mut headers, "Subscription-State", state.as_bytes());
    let content_type = "message/sipfrag;version=2.0";
    request(env, edits, call, end, Asked { method: "NOTIFY", headers: &headers, content_type, body: sipfrag })
}

/// Writes the Contact that the peer of a leg gets, a whole line: it leads to the other side.
///
/// # Errors
/// [`NotSealed`]: nothing is written then.
pub fn contact(env: &Env<'_>, call: &LiveCall, end: End, out: &mut Vec<u8>) -> Result<(), NotSealed> {
    write_contact(env, call, end, out)
}

/// The ACK of the 2xx to an INVITE of the edge's own, from the INVITE as it was sent (RFC 3261 section 13.2.2.4);
/// `None` when the answer names no target and the INVITE began the dialog.
pub fn ack(sent: &Message, response: &Message, via: &[u8], content_type: &str, body: &[u8]) -> Option<Bytes> {
    use crate::sip::HeaderName;
    let contact = response.contacts().next().and_then(Result::ok).map(|contact| contact.uri);
    let mut routes: Vec<&[u8]> = Vec::new();
    let mut uri = contact;
    if sent.to_tag().is_some() {
        // A dialog keeps the route set that it began with (RFC 3261 section 12.2).
        routes.extend(sent.values(HeaderName::Route).filter_map(Result::ok));
        let is_loose = |route: &&[u8]| NameAddr::parse(route).and_then(|it| it.uri()).is_ok_and(|uri| uri.is_loose());
        match routes.last_mut() {
            // The target of a strict router's route set stands last (RFC 3261 section 12.2.1.1).
            Some(last) if !is_loose(&&**last) => uri = Some(sent.request_uri()),
            _ => uri = contact.or(Some(sent.request_uri())),
        }
    } else {
        routes.extend(response.values(HeaderName::RecordRoute).filter_map(Result::ok));
        routes.reverse();
    }
    let mut out = Vec::with_capacity(512 + body.len());
    out.extend_from_slice(b"ACK ");
    out.extend_from_slice(uri?);
    out.extend_from_slice(b" SIP/2.0\r\n");
    write_line(&mut out, "Via", via);
    for route in routes {
        write_line(&mut out, "Route", route);
    }
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    write_line(&mut out, "From", sent.value(HeaderName::From).unwrap_or_default());
    write_line(&mut out, "To", response.value(HeaderName::To).unwrap_or_default());
    write_line(&mut out, "Call-ID", sent.value(HeaderName::CallId).unwrap_or_default());
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(sent.cseq().map_or(0, |cseq| cseq.number)));
    out.extend_from_slice(b" ACK\r\n");
    write_body(content_type, body, &mut out);
    Some(out.into())
}

/// The place of the Via that the branch writes.
const NO_VIA: &[u8] = b"Via: SIP/2.0/UDP edge.invalid;branch=z9hG4bK0\r\n";

fn write_routes(routes: &[u8], strict_target: Option<&[u8]>, out: &mut Vec<u8>) {
    let values = Values::new(routes).filter_map(Result::ok).filter(|value| !value.is_empty());
    for route in values.skip(usize::from(strict_target.is_some())) {
        write_line(out, "Route", route);
    }
    if let Some(target) = strict_target {
        out.extend_from_slice(b"Route: <");
        out.extend_from_slice(target);
        out.extend_from_slice(b">\r\n");
    }
}

fn write_body(content_type: &str, body: &[u8], out: &mut Vec<u8>) {
    if !body.is_empty() {
        write_line(out, "Content-Type", content_type.as_bytes());
    }
    out.extend_from_slice(b"Content-Length: ");
    write_decimal(out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// The request in the dialect of the leg's peer.
fn translated(env: &Env<'_>, edits: &mut Edits, call: &LiveCall, end: End, bytes: Bytes) -> Option<Bytes> {
    let leg = call.leg(end);
    let (from, to) = (call.leg(end.other()).trunk(env.edge)?, leg.trunk(env.edge)?);
    let message = Message::reread(&bytes)?;
    let mut host = Vec::with_capacity(64);
    let site = leg.site.and_then(|mark| env.edge.routing.sites().marked(mark));
    let len = env.edge.write_own(to.id, leg.listener, site.map(|site| &**site), &mut host);
    host.truncate(len);
    // The caller's side of holding is *near* in a call, and here it is the sender's.
    let hold = if end == End::Callee { call.hold } else { call.hold.turned() };
    let passing = Passing { hold, ..Passing::inside(env.edge, &message, [from, to], &host) };
    edits.clear();
    passing.edit(edits);
    body::edit_length(&message, true, edits);
    if edits.is_empty() { Some(bytes) } else { Some(edits.apply(&message)) }
}
