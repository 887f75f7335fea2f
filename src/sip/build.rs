//! Making messages of the edge's own: answers to a request (RFC 3261 section 8.2.6), and the ACK and CANCEL
//! that belong to an INVITE sent on (sections 17.1.1.3 and 9.1).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::edit::{write_decimal, write_header};
use super::message::Message;
use super::name::HeaderName;
use super::scan::{self, Param, Params, Values};
use super::via::Via;

/// What an answer carries beyond what it copies from the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    pub status: u16,
    pub reason: &'a str,
    /// Tag for To when the request has none; left out for 100 (RFC 3261 section 8.2.6.2).
    pub to_tag: &'a [u8],
    /// Whole header lines with their line breaks.
    pub headers: &'a [u8],
    /// How many Via values on top are the edge's own: 1 when `request` is what the edge sent on.
    pub own_vias: usize,
}

/// Builds the answer to a request that came from `remote`.
pub fn answer(request: &Message, remote: SocketAddr, answer: &Answer<'_>) -> Bytes {
    answer_with(request, remote, answer, b"")
}

/// Builds the answer to a request that came from `remote`, with a body whose type is among the answer's headers.
pub fn answer_with(request: &Message, remote: SocketAddr, answer: &Answer<'_>, body: &[u8]) -> Bytes {
    let headers = usize::from(request.header_block().end).min(1_024) + answer.headers.len();
    let mut out = Vec::with_capacity(headers + body.len());
    out.extend_from_slice(b"SIP/2.0 ");
    write_decimal(&mut out, u64::from(answer.status));
    out.push(b' ');
    out.extend_from_slice(answer.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut own_vias = answer.own_vias;
    let mut top = own_vias == 0;
    for line in request.lines() {
        let value = request.value_at(line);
        match line.name {
            HeaderName::Via if own_vias > 0 => own_vias -= 1,
            HeaderName::Via => {
                out.extend_from_slice(b"Via: ");
                if std::mem::take(&mut top) {
                    write_top_via(&mut out, value, remote);
                } else {
                    write_unfolded(&mut out, value);
                }
                out.extend_from_slice(b"\r\n");
            }
            HeaderName::From => write_line(&mut out, "From", value),
            HeaderName::To => {
                out.extend_from_slice(b"To: ");
                write_unfolded(&mut out, value);
                if answer.status != 100 && !answer.to_tag.is_empty() && !request.to().is_ok_and(|to| to.tag().is_some())
                {
                    out.extend_from_slice(b";tag=");
                    out.extend_from_slice(answer.to_tag);
                }
                out.extend_from_slice(b"\r\n");
            }
            HeaderName::CallId => write_line(&mut out, "Call-ID", value),
            HeaderName::CSeq => write_line(&mut out, "CSeq", value),
            HeaderName::Timestamp if answer.status == 100 => write_line(&mut out, "Timestamp", value),
            _ => {}
        }
    }
    out.extend_from_slice(answer.headers);
    out.extend_from_slice(b"Content-Length: ");
    write_decimal(&mut out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out.into()
}

/// Writes a line without folds.
pub(crate) fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    write_unfolded(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a value with each fold turned into one space: what the edge makes has no folds.
fn write_unfolded(out: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (head, tail) = rest.split_at(at);
        out.extend_from_slice(scan::trim_end(head));
        out.push(b' ');
        rest = scan::trim_start(tail);
    }
    out.extend_from_slice(rest);
}

/// Writes a Via line's values, the first of them completed by where it came from.
pub(crate) fn write_top_via(out: &mut Vec<u8>, value: &[u8], remote: SocketAddr) {
    let first = Values::new(value).next();
    match first {
        Some(Ok(first)) => match Via::parse(first) {
            Ok(via) if via_needs_source(&via, remote) => {
                write_via_with_source(out, &via, remote);
                write_unfolded(out, value.get(first.len()..).unwrap_or_default());
            }
            _ => write_unfolded(out, value),
        },
        _ => write_unfolded(out, value),
    }
}

/// Whether the top Via lacks what says where the request came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
pub fn via_needs_source(via: &Via<'_>, remote: SocketAddr) -> bool {
    via.rport.is_some() || via.received.is_some() || super::uri::ip_literal(via.host) != Some(canonical(remote.ip()))
}

/// Writes a Via value with `received`, and `rport` where it was asked for, set from the request's source.
pub fn write_via_with_source(out: &mut Vec<u8>, via: &Via<'_>, remote: SocketAddr) {
    let params_at = via.raw.len() - via.params.len();
    write_unfolded(out, scan::trim_end(via.raw.get(..params_at).unwrap_or_default()));
    for param in Params::new(via.params).filter_map(Result::ok) {
        if param.is(b"received") {
            continue;
        }
        let Param { name, value } = param;
        out.push(b';');
        out.extend_from_slice(name);
        if param.is(b"rport") {
            out.push(b'=');
            write_decimal(out, u64::from(remote.port()));
        } else if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(b";received=");
    write_ip(out, remote.ip());
}

/// IPv4 mapped into IPv6 is IPv4 to a peer.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Writes an address, IPv6 without brackets as `received` wants it.
pub fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    use std::io::Write;
    // Writing to a Vec does not fail.
    let _ = write!(out, "{}", canonical(ip));
}

/// Builds the ACK for a final answer other than 2xx (RFC 3261 section 17.1.1.3) from the INVITE as it was sent:
/// Request-URI, top Via, Route, From and Call-ID are the INVITE's, To is the answer's.
pub fn ack(sent: &Message, response: &Message) -> Bytes {
    let to = response.value(HeaderName::To).or_else(|| sent.value(HeaderName::To)).unwrap_or_default();
    follow_up(sent, b"ACK", to, &[])
}

/// Builds the CANCEL of an INVITE from the INVITE as it was sent (RFC 3261 section 9.1). `headers` are whole lines,
/// such as Reason.
pub fn cancel(sent: &Message, headers: &[u8]) -> Bytes {
    follow_up(sent, b"CANCEL", sent.value(HeaderName::To).unwrap_or_default(), headers)
}

/// Builds the ACK of a 2xx to an INVITE, or the BYE that ends the call (RFC 3261 sections 13.2.2.4, 15.1.1), from the
/// INVITE as it was sent; `None` when the 2xx names no remote target.
pub fn after_2xx(sent: &Message, response: &Message, method: &[u8], via: &[u8]) -> Option<Bytes> {
    response.contacts().next()?.ok()?;
    let number = sent.cseq().map_or(0, |cseq| cseq.number).saturating_add(u32::from(method != b"ACK"));
    let mut headers = Vec::new();
    write_product(&mut headers, sent);
    Some(in_dialog(sent, response, &InDialog { method, number, via, headers: &headers }))
}

/// A request of the edge's own in the dialog that an answer to its INVITE began.
#[derive(Clone, Copy, Debug)]
pub struct InDialog<'a> {
    pub method: &'a [u8],
    pub number: u32,
    /// The value of its Via.
    pub via: &'a [u8],
    /// Whole lines.
    pub headers: &'a [u8],
}

/// Builds a request in the dialog of an answer, which may be an early one (RFC 3261 section 12.2.1.1), from the INVITE as
/// it was sent. An answer without a Contact leaves its Request-URI as the target.
pub fn in_dialog(sent: &Message, response: &Message, request: &InDialog<'_>) -> Bytes {
    let InDialog { method, number, via, headers } = *request;
    let contact = response.contacts().find_map(Result::ok).map(|contact| contact.uri);
    let mut out = Vec::with_capacity(512 + headers.len());
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(contact.unwrap_or(sent.request_uri()));
    out.extend_from_slice(b" SIP/2.0\r\n");
    write_header(&mut out, "Via", via);
    let mut routes: Vec<&[u8]> = response.values(HeaderName::RecordRoute).filter_map(Result::ok).collect();
    routes.reverse();
    for route in routes {
        write_header(&mut out, "Route", route);
    }
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    write_line(&mut out, "From", sent.value(HeaderName::From).unwrap_or_default());
    write_line(&mut out, "To", response.value(HeaderName::To).unwrap_or_default());
    write_line(&mut out, "Call-ID", sent.value(HeaderName::CallId).unwrap_or_default());
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(number));
    out.push(b' ');
    out.extend_from_slice(method);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out.into()
}

/// What the INVITE said of its maker to Teams is said again.
fn write_product(out: &mut Vec<u8>, sent: &Message) {
    const NAME: &str = "X-MS-SBC";
    if let Some(product) = sent.other(NAME.as_bytes()) {
        write_line(out, NAME, product);
    }
}

fn follow_up(sent: &Message, method: &[u8], to: &[u8], headers: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(512 + headers.len());
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(sent.request_uri());
    out.extend_from_slice(b" SIP/2.0\r\n");
    if let Some(Ok(via)) = sent.values(HeaderName::Via).next() {
        write_header(&mut out, "Via", via);
    }
    for line in sent.lines_of(HeaderName::Route) {
        write_line(&mut out, "Route", sent.value_at(line));
    }
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    write_line(&mut out, "From", sent.value(HeaderName::From).unwrap_or_default());
    write_line(&mut out, "To", to);
    write_line(&mut out, "Call-ID", sent.value(HeaderName::CallId).unwrap_or_default());
    out.extend_from_slice(b"CSeq: ");
    write_decimal(&mut out, u64::from(sent.cseq().map_or(0, |cseq| cseq.number)));
    out.push(b' ');
    out.extend_from_slice(method);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    write_product(&mut out, sent);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Framing, Limits};

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &Limits::default()).unwrap()
    }

    const INVITE: &str = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h.example\r\n ;branch=z9hG4bKx;rport;received=9.9.9.9, SIP/2.0/UDP two\r\n\
        Via: SIP/2.0/UDP three\r\nf: <sip:c@d>;tag=f\r\nt:\r\n <sip:a@b>\r\ni: id\r\nCSeq: 7\r\n INVITE\r\nTimestamp: 5\r\nRoute: <sip:r1;lr>, <sip:r2;lr>\r\nl: 0\r\n\r\n";

    #[test]
    fn answers_copy_what_they_must_and_say_where_the_request_came_from() {
        let request = message(INVITE);
        let remote = "192.0.2.7:5099".parse().unwrap();
        let out =
            answer(&request, remote, &Answer { status: 100, reason: "Trying", to_tag: b"t", ..Answer::default() });
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP h.example;branch=z9hG4bKx;rport=5099;received=192.0.2.7, SIP/2.0/UDP two\r\n\
             Via: SIP/2.0/UDP three\r\nFrom: <sip:c@d>;tag=f\r\nTo: <sip:a@b>\r\nCall-ID: id\r\nCSeq: 7 INVITE\r\nTimestamp: 5\r\nContent-Length: 0\r\n\r\n"
        );
        let out = answer(
            &request,
            remote,
            &Answer { status: 404, reason: "Not Found", to_tag: b"t", headers: b"X: 1\r\n", ..Answer::default() },
        );
        let text = std::str::from_utf8(&out).unwrap();
        assert!(text.contains("To: <sip:a@b>;tag=t\r\n") && text.contains("X: 1\r\n") && !text.contains("Timestamp"));
    }

    #[test]
    fn ack_and_cancel_follow_the_invite() {
        let sent = message(&INVITE.replace("INVITE sip:a@b", "INVITE sip:x@y"));
        let response = message("SIP/2.0 486 Busy\r\nVia: SIP/2.0/UDP e\r\nTo: <sip:a@b>;tag=z\r\n\r\n");
        let text = ack(&sent, &response);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "ACK sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP h.example\r\n ;branch=z9hG4bKx;rport;received=9.9.9.9\r\nRoute: <sip:r1;lr>, <sip:r2;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:c@d>;tag=f\r\n\
             To: <sip:a@b>;tag=z\r\nCall-ID: id\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        let text = cancel(&sent, b"Reason: SIP;cause=200\r\n");
        let text = std::str::from_utf8(&text).unwrap();
        assert!(
            text.starts_with("CANCEL sip:x@y SIP/2.0\r\n")
                && text.contains("CSeq: 7 CANCEL\r\n")
                && text.contains("Reason: SIP;cause=200\r\n")
        );
        assert!(text.contains("To: <sip:a@b>\r\n"));
    }
}
