//! Making the request that is sent on (RFC 3261 section 16.6), as edits to the one that came: what no edit names
//! leaves byte for byte.

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::Bytes;

use super::branch::{BranchId, write_hex};
use super::caller::asserted_lines;
use super::destination::sets_up_dialog;
use super::dialog_token::DialogToken;
use super::edge::Edge;
use super::leg::Leg;
use super::numbers::translated;
use super::probe::ProbeId;
use super::route_set::RouteSet;
use super::{Secrets, Tools};
use crate::routing::number::Form;
use crate::routing::translate::Translation;
use crate::sip::build::{via_needs_source, write_via_with_source};
use crate::sip::edit::write_decimal;
use crate::sip::scan::{Param, Params, Values};
use crate::sip::{Essentials, HeaderName, Message, NameAddr, Scheme, Span, Uri};
use crate::trunk::{Hop, Target, TrunkId, TrunkKind};

/// What a request gets when it has no Max-Forwards (RFC 3261 section 16.6 item 3).
const MAX_FORWARDS: u64 = 70;

/// A request on its way from one trunk to a place of another.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    pub edge: &'a Edge,
    pub secrets: &'a Secrets,
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
    pub routes: &'a RouteSet<'a>,
    /// Where the request came from: stands in its Via as `received`.
    pub remote: SocketAddr,
    pub from: TrunkId,
    pub hop: &'a Hop,
    /// The configured target behind `hop`, whose host takes the place of the edge's in the Request-URI.
    pub target: Option<&'a Target>,
    /// How routing wants the numbers written; `None`: as they came.
    pub leg: Option<&'a Leg>,
    pub branch: Branch,
    pub loop_hash: u32,
}

/// What stands in the branch of the edge's Via.
#[derive(Clone, Copy, Debug)]
pub enum Branch {
    /// A transaction of the edge.
    Stateful(BranchId),
    /// None: the ACK of a 2xx. The number is the same for copies of one request (RFC 3261 section 16.11).
    Stateless(u64),
    /// OPTIONS of the edge's own.
    Probe(ProbeId),
}

impl Forward<'_> {
    /// Writes the request.
    pub fn write(&self, tools: &mut Tools) -> Bytes {
        tools.edits.clear();
        if self.essentials.to_tag.is_none() {
            self.edit_calling(tools);
        }
        self.edit_request_uri(tools);
        self.edit_via(tools);
        self.edit_max_forwards(tools);
        self.edit_routes(tools);
        if sets_up_dialog(self.request.method(), self.essentials) {
            self.add_record_route(tools);
        }
        self.edit_length(tools);
        tools.edits.apply(self.request)
    }

    /// Writes a request of the edge's own: it is whole but for its Via.
    pub fn write_own(&self, tools: &mut Tools) -> Bytes {
        tools.edits.clear();
        if let Some(line) = self.request.line(HeaderName::Via) {
            let span = Span { start: line.value, end: line.value_end };
            tools.edits.replace_with(span, |out| {
                write_own_via(self.edge, self.hop, self.branch, self.loop_hash, out);
            });
        }
        tools.edits.apply(self.request)
    }

    /// Messages of a stream say how long their body is (RFC 3261 section 18.3).
    pub(super) fn edit_length(&self, tools: &mut Tools) {
        if self.hop.transport.is_reliable() && self.request.line(HeaderName::ContentLength).is_none() {
            let length = self.request.body().len() as u64;
            tools.edits.insert_with(self.request.header_block().end, |out| {
                out.extend_from_slice(b"Content-Length: ");
                write_decimal(out, length);
                out.extend_from_slice(b"\r\n");
            });
        }
    }

    /// The next hop is a strict router (RFC 3261 section 16.6 item 6)?
    fn strict_next(&self) -> Option<Uri<'_>> {
        let uri = self.routes.next.as_ref()?.uri().ok()?;
        // Outside a dialog the dial plan decides and Route is only passed on.
        (self.essentials.to_tag.is_some() && !uri.is_loose()).then_some(uri)
    }

    pub(super) fn edit_request_uri(&self, tools: &mut Tools) {
        let Some(span) = self.request.request_uri_span() else { return };
        if self.is_verbatim() {
            return;
        }
        if let Some(strict) = self.strict_next() {
            return tools.edits.replace(span, strict.raw);
        }
        let user = self.called();
        let plain = self.is_plain_wanted();
        // Of the whole only the scheme is written.
        let raw = if plain { b"sip:" } else { self.routes.request_uri.raw };
        let uri = &Uri { raw, user: user.as_deref().or(self.routes.request_uri.user), ..self.routes.request_uri };
        match self.target {
            Some(target) if !uri.host.is_empty() && self.edge.is_own_uri(uri) => {
                tools.edits.replace_with(span, |out| write_retargeted(uri, target, self.hop, out));
            }
            _ if self.edge.is_own_maddr(uri) => {
                let unrouted = |param: &Param<'_>| !param.is(b"maddr") && !param.is(b"transport");
                tools.edits.replace_with(span, |out| {
                    write_uri(uri, |out| out.extend_from_slice(uri.host), unrouted, out);
                });
            }
            _ if plain => {
                let host = |out: &mut Vec<u8>| {
                    out.extend_from_slice(uri.host);
                    if let Some(port) = uri.port {
                        out.push(b':');
                        write_decimal(out, u64::from(port));
                    }
                };
                tools.edits.replace_with(span, |out| write_uri(uri, host, |_| true, out));
            }
            _ if self.routes.from_last => tools.edits.replace(span, uri.raw),
            _ => {
                if let (Some(old), Some(new)) = (self.routes.request_uri.user, &user) {
                    tools.edits.replace(self.request.span_of(old), new);
                }
            }
        }
    }

    /// Whether `sips:` is to become `sip:`: Teams wants it so, and is reached over TLS in any case.
    fn is_plain_wanted(&self) -> bool {
        let to = self.edge.trunk(self.hop.trunk);
        self.routes.request_uri.scheme == Scheme::Sips
            && to.is_some_and(|to| to.kind == TrunkKind::Teams && !to.transparent)
    }

    /// The called number as the far side wants it; `None` when it stays as it came.
    fn called(&self) -> Option<Vec<u8>> {
        let user = self.routes.request_uri.user.filter(|_| self.essentials.to_tag.is_none())?;
        let inside = match self.leg.and_then(|leg| leg.called.as_deref()) {
            Some(called) if called != user => Cow::Owned(called.to_vec()),
            Some(_) => Cow::Borrowed(user),
            None => self.edge.called_from(self.asker(), user),
        };
        match self.edge.translations(self.hop.trunk).map(|rules| translated(&rules.outbound.called, &inside)) {
            Some(Cow::Owned(outside)) => Some(outside),
            _ => matches!(inside, Cow::Owned(_)).then(|| inside.into_owned()),
        }
    }

    /// The trunk whose peer wants the call: another than that of the sender where it was asked for by REFER.
    fn asker(&self) -> TrunkId {
        self.leg.and_then(|leg| leg.asked_by).unwrap_or(self.from)
    }

    /// Whether the far side has named the target itself.
    pub(super) fn is_verbatim(&self) -> bool {
        self.leg.is_some_and(|leg| leg.verbatim)
    }

    /// Writes the calling number as the far side wants it, in From and P-Asserted-Identity.
    pub(super) fn edit_calling(&self, tools: &mut Tools) {
        if self.is_verbatim() {
            return;
        }
        let none = Translation::default();
        let (from, to) = (self.edge.translations(self.asker()), self.edge.translations(self.hop.trunk));
        let inbound = from.map_or(&none, |rules| &rules.inbound.calling);
        let outbound = to.map_or(&none, |rules| &rules.outbound.calling);
        let leg = self.leg.filter(|leg| leg.calling != Form::AsIs);
        if inbound.rules().is_empty() && outbound.rules().is_empty() && leg.is_none() {
            return;
        }
        let lines = asserted_lines(self.request).chain(self.request.line(HeaderName::From));
        for value in lines.flat_map(|line| Values::new(self.request.value_at(line))).filter_map(Result::ok) {
            let user = NameAddr::parse(value).and_then(|address| address.uri()).ok().and_then(|uri| uri.user);
            let Some(user) = user else { continue };
            let inside = translated(inbound, user);
            let formed = leg.map_or(Cow::Borrowed(&*inside), |leg| leg.calling(&inside));
            let outside = translated(outbound, &formed);
            if *outside != *user {
                tools.edits.replace(self.request.span_of(user), &outside);
            }
        }
    }

    /// Completes the top Via by its source and puts the edge's own on top (RFC 3261 sections 16.6 item 8, 18.2.1).
    fn edit_via(&self, tools: &mut Tools) {
        let Some(line) = self.request.line(HeaderName::Via) else { return };
        tools.edits.insert_with(line.start, |out| {
            out.extend_from_slice(b"Via: ");
            write_own_via(self.edge, self.hop, self.branch, self.loop_hash, out);
            out.extend_from_slice(b"\r\n");
        });
        let via = &self.essentials.via;
        if via_needs_source(via, self.remote) {
            let span = self.request.span_of(via.raw);
            tools.edits.replace_with(span, |out| write_via_with_source(out, via, self.remote));
        }
    }

    pub(super) fn edit_max_forwards(&self, tools: &mut Tools) {
        match (self.request.line(HeaderName::MaxForwards), self.essentials.max_forwards) {
            (Some(line), Some(left)) => {
                let span = Span { start: line.value, end: line.value_end };
                tools.edits.replace_with(span, |out| write_decimal(out, u64::from(left.saturating_sub(1))));
            }
            _ => {
                let at =
                    self.request.line(HeaderName::Via).map_or(self.request.header_block().start, |line| line.start);
                tools.edits.insert_with(at, |out| {
                    out.extend_from_slice(b"Max-Forwards: ");
                    write_decimal(out, MAX_FORWARDS);
                    out.extend_from_slice(b"\r\n");
                });
            }
        }
    }

    fn edit_routes(&self, tools: &mut Tools) {
        let strict = self.strict_next();
        if !self.routes.from_last && strict.is_none() {
            if self.routes.taken > 0 {
                tools.edits.remove_values(self.request, HeaderName::Route, self.routes.taken);
            }
            return;
        }
        // Strict routing on either side: the list is written anew, which transparent peers hardly ever need.
        let mut kept: Vec<&[u8]> =
            self.request.values(HeaderName::Route).filter_map(Result::ok).skip(self.routes.taken).collect();
        if self.routes.from_last {
            kept.pop();
        }
        if strict.is_some() && !kept.is_empty() {
            kept.remove(0);
        }
        let at = self.request.line(HeaderName::Route).map_or(self.request.header_block().end, |line| line.start);
        tools.edits.remove_header(self.request, HeaderName::Route);
        tools.edits.insert_with(at, |out| {
            for route in kept {
                out.extend_from_slice(b"Route: ");
                out.extend_from_slice(route);
                out.extend_from_slice(b"\r\n");
            }
            if strict.is_some() {
                out.extend_from_slice(b"Route: <");
                out.extend_from_slice(self.routes.request_uri.raw);
                out.extend_from_slice(b">\r\n");
            }
        });
    }

    /// Keeps the edge in the dialog's path; twice when the two sides see different names of it (RFC 5658).
    fn add_record_route(&self, tools: &mut Tools) {
        let (Some(caller), Some(callee)) = (self.edge.face(self.from), self.edge.face(self.hop.trunk)) else { return };
        let at = match self.request.line(HeaderName::RecordRoute) {
            Some(line) => line.start,
            None => self.request.line(HeaderName::Via).map_or(self.request.header_block().start, |line| line.start),
        };
        let token = DialogToken { caller: caller.mark, callee: callee.mark };
        let call_id = self.essentials.call_id;
        let seal = &self.secrets.seal;
        tools.scratch.clear();
        token.write(seal, call_id, &mut tools.scratch);
        let token: &[u8] = &tools.scratch;
        let write = |face: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(b"Record-Route: <sip:");
            out.extend_from_slice(token);
            out.push(b'@');
            out.extend_from_slice(face);
            out.extend_from_slice(b";lr>\r\n");
        };
        let listener = self.edge.trunk(self.hop.trunk).map(|trunk| trunk.listener);
        let mut other = Vec::new();
        let callee: &[u8] = if listener == Some(self.hop.listener) {
            &callee.record_route
        } else {
            write_host(self.edge, self.hop, &mut other);
            if self.hop.transport.is_reliable() {
                other.extend_from_slice(b";transport=");
                other.extend_from_slice(self.hop.transport.uri_token().as_bytes());
            }
            &other
        };
        tools.edits.insert_with(at, |out| {
            write(callee, out);
            if caller.record_route != callee {
                write(&caller.record_route, out);
            }
        });
    }
}

/// Writes a URI with its host and port replaced by those of the target (RFC 3261 section 16.5: the edge was
/// responsible for the URI's host). The user and unrelated parameters stay.
fn write_retargeted(uri: &Uri<'_>, target: &Target, hop: &Hop, out: &mut Vec<u8>) {
    let host = |out: &mut Vec<u8>| {
        let is_v6 = target.host.contains(':') && !target.host.starts_with('[');
        out.extend_from_slice(if is_v6 { b"[" } else { b"" });
        out.extend_from_slice(target.host.as_bytes());
        out.extend_from_slice(if is_v6 { b"]" } else { b"" });
        if let Some(port) = target.port {
            out.push(b':');
            write_decimal(out, u64::from(port));
        }
    };
    write_uri(uri, host, |param| !param.is(b"maddr") && !param.is(b"transport"), out);
    if hop.transport.is_reliable() {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(hop.transport.uri_token().as_bytes());
    }
}

/// Writes a URI with another host and port, and of its parameters those that `keep` names.
fn write_uri(uri: &Uri<'_>, host: impl Fn(&mut Vec<u8>), keep: impl Fn(&Param<'_>) -> bool, out: &mut Vec<u8>) {
    let scheme_end = memchr::memchr(b':', uri.raw).map_or(0, |colon| colon + 1);
    out.extend_from_slice(uri.raw.get(..scheme_end).unwrap_or_default());
    if let Some(user) = uri.user {
        out.extend_from_slice(user);
        if let Some(password) = uri.password {
            out.push(b':');
            out.extend_from_slice(password);
        }
        out.push(b'@');
    }
    host(out);
    for param in Params::new(uri.params).filter_map(Result::ok).filter(keep) {
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}

/// Writes the edge's own Via value towards a hop.
pub fn write_own_via(edge: &Edge, hop: &Hop, branch: Branch, loop_hash: u32, out: &mut Vec<u8>) {
    write_via(edge, hop, out, |out| match branch {
        Branch::Stateful(id) => id.write(loop_hash, out),
        Branch::Probe(id) => id.write(out),
        Branch::Stateless(number) => {
            out.extend_from_slice(b"z9hG4bKts");
            write_hex(out, number, 16);
        }
    });
}

/// Writes the edge's own Via value towards a hop, with the branch that `write_branch` writes.
pub fn write_via(edge: &Edge, hop: &Hop, out: &mut Vec<u8>, write_branch: impl FnOnce(&mut Vec<u8>)) {
    let trunk = edge.trunk(hop.trunk);
    let face = edge.face(hop.trunk).filter(|_| trunk.is_some_and(|trunk| trunk.listener == hop.listener));
    match face {
        Some(face) => out.extend_from_slice(&face.via),
        None => {
            out.extend_from_slice(b"SIP/2.0/");
            out.extend_from_slice(hop.transport.via_token().as_bytes());
            out.push(b' ');
            write_host(edge, hop, out);
            out.extend_from_slice(b";branch=");
        }
    }
    write_branch(out);
    match face {
        Some(face) => out.extend_from_slice(&face.via_params),
        None if !hop.transport.is_reliable() => out.extend_from_slice(b";rport"),
        None => {}
    }
}

/// Writes the edge's host and port on a listener that is not the trunk's own one.
fn write_host(edge: &Edge, hop: &Hop, out: &mut Vec<u8>) {
    let Some(listener) = edge.listener(hop.listener) else { return };
    let fqdn = edge.trunk(hop.trunk).and_then(|trunk| trunk.fqdn.as_deref());
    out.extend_from_slice(fqdn.unwrap_or(&listener.host).as_bytes());
    out.push(b':');
    write_decimal(out, u64::from(listener.port));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;
    use crate::trunk::{ListenerId, TrunkId};

    fn hop(transport: Transport) -> Hop {
        let addr = "192.0.2.9:5080".parse().unwrap();
        Hop { listener: ListenerId(0), transport, addr, name: None, trunk: TrunkId(0) }
    }

    #[test]
    fn request_uri_gets_the_targets_host_and_keeps_user_and_parameters() {
        let target = |host: &str, port| Target { transport: None, host: host.into(), port, literal: None };
        for (uri, target, transport, wanted) in [
            ("sip:+44@edge:5060", target("pbx.example", None), Transport::Udp, "sip:+44@pbx.example"),
            (
                "sip:+44;phone-context=x:pw@edge;transport=udp;user=phone;maddr=edge",
                target("192.0.2.9", Some(5080)),
                Transport::Tcp,
                "sip:+44;phone-context=x:pw@192.0.2.9:5080;user=phone;transport=tcp",
            ),
            ("sips:edge", target("2001:db8::1", Some(5061)), Transport::Tls, "sips:[2001:db8::1]:5061;transport=tls"),
        ] {
            let mut out = Vec::new();
            write_retargeted(&Uri::parse(uri.as_bytes()).unwrap(), &target, &hop(transport), &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap(), wanted, "{uri}");
        }
    }
}
