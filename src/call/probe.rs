//! OPTIONS of the edge's own, by which a trunk's targets are asked whether they are there, and what the edge says to
//! those of its peers.
//!
//! What Teams asks of them: a Contact with a name that the certificate carries, no user part, the `Allow` of what the
//! edge really takes (RFC 3261 section 11). They come from the trunk's own name; the names of sites inherit its health.
//! Their branches begin otherwise than those of calls, so that no answer to them ever gets to one.

use std::time::Duration;

use bytes::Bytes;

use super::branch::{read_hex, write_hex};
use super::dialect::methods::{offered, write_allow};
use super::edge::Edge;
use super::forward::{Branch, write_own_via};
use super::owned::site_of;
use crate::sip::edit::write_decimal;
use crate::sip::{HeaderName, Message};
use crate::trunk::dialect::methods::MethodSet;
use crate::trunk::{Hop, Target, TrunkId, TrunkKind};

/// What every branch of OPTIONS of the edge's own starts with.
const PREFIX: &[u8] = b"z9hG4bKtp";

/// A header line with vendor, product and version, as Microsoft's support wants to see them in whatever comes to Teams.
pub(super) const PRODUCT: &str = concat!("X-MS-SBC: Trunkway/Edge/", env!("CARGO_PKG_VERSION"), "\r\n");

/// One OPTIONS request: whom it asks and a number that nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId {
    /// The owner's index of the target.
    pub target: u32,
    pub number: u64,
}

impl ProbeId {
    /// Writes the branch parameter's value: the prefix and 24 hex digits.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        write_hex(out, u64::from(self.target), 8);
        write_hex(out, self.number, 16);
    }

    /// Reads a branch that the edge made for OPTIONS.
    pub fn read(branch: &[u8]) -> Option<Self> {
        let digits = branch.strip_prefix(PREFIX).filter(|digits| digits.len() == 24)?;
        let (target, number) = digits.split_at_checked(8)?;
        Some(Self { target: u32::try_from(read_hex(target)?).ok()?, number: read_hex(number)? })
    }
}

/// What an answer to OPTIONS of the edge's own says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    pub id: ProbeId,
    pub status: u16,
    /// Retry-After of a 503.
    pub retry_after: Option<Duration>,
}

impl ProbeAnswer {
    /// Reads an answer; `None` for those to anything else. Neither a To tag nor a Contact is missed.
    pub fn read(response: &Message) -> Option<Self> {
        let id = ProbeId::read(response.top_via().ok()?.branch?)?;
        if response.flaw().is_some() || response.cseq().ok()?.method != b"OPTIONS" {
            return None;
        }
        Some(Self { id, status: response.status(), retry_after: retry_after(response) })
    }
}

/// Retry-After of a 503 (RFC 3261 section 20.33), less its comment and parameters.
pub fn retry_after(response: &Message) -> Option<Duration> {
    let value = response.value(HeaderName::RetryAfter).filter(|_| response.status() == 503)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let seconds = std::str::from_utf8(value.get(..digits)?).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Random numbers for one OPTIONS request, besides that of its branch.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    pub call_id: u64,
    pub tag: u64,
}

/// The OPTIONS for a target, to one of its places.
pub fn request(edge: &Edge, hop: &Hop, target: &Target, id: ProbeId, random: Random) -> Bytes {
    let mut uri = Vec::with_capacity(80);
    write_target_uri(target, hop, &mut uri);
    let mut out = Vec::with_capacity(640);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let (place, params) = own_place(edge, hop);
    let mut via = Vec::with_capacity(96);
    write_own_via(edge, hop, Branch::Probe(id), 0, &mut via);
    let (mut tag, mut call_id) = (Vec::with_capacity(16), Vec::with_capacity(16));
    write_hex(&mut tag, random.tag, 16);
    write_hex(&mut call_id, random.call_id, 16);
    put(&[b"OPTIONS ", &uri, b" SIP/2.0\r\nVia: ", &via, b"\r\nMax-Forwards: 70\r\n"]);
    put(&[b"From: <sip:", &place, b">;tag=", &tag, b"\r\nTo: <", &uri, b">\r\n"]);
    put(&[b"Call-ID: ", &call_id, b"\r\nCSeq: 1 OPTIONS\r\n"]);
    put(&[b"Contact: <sip:", &place, &params, b">\r\n", &allow(edge, hop.trunk)]);
    put(&[product(edge, hop.trunk), b"Content-Length: 0\r\n\r\n"]);
    out.into()
}

/// What the edge's answer to a trunk's OPTIONS carries: Contact with the name that was asked for when it is that of a
/// site of this trunk, else with the trunk's name of the edge; what it takes; and, for Teams, whose product it is.
pub fn answer_headers(edge: &Edge, from: TrunkId, asked: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    if let Some(trunk) = edge.trunk(from).filter(|_| edge.face(from).is_some_and(|face| !face.record_route.is_empty()))
    {
        out.extend_from_slice(b"Contact: <sip:");
        edge.write_own(from, trunk.listener, site_of(edge, from, asked), &mut out);
        out.extend_from_slice(b">\r\n");
    }
    out.extend_from_slice(b"Accept: application/sdp\r\n");
    out.extend_from_slice(&allow(edge, from));
    out.extend_from_slice(product(edge, from));
    out
}

/// What the edge takes from a trunk, whoever is on the other side: a whole line. Past a transparent trunk all goes on.
fn allow(edge: &Edge, trunk: TrunkId) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let set = match edge.trunk(trunk) {
        Some(trunk) if !trunk.transparent => offered(trunk, None, None),
        _ => MethodSet::ALL,
    };
    write_allow(set, &[], &mut out);
    out
}

/// The header by which Teams knows the product; nobody else is told.
pub fn product(edge: &Edge, trunk: TrunkId) -> &'static [u8] {
    match edge.trunk(trunk).map(|trunk| trunk.kind) {
        Some(TrunkKind::Teams) => PRODUCT.as_bytes(),
        _ => b"",
    }
}

/// The edge's host and port towards a hop, and the parameters of a URI that leads there.
fn own_place(edge: &Edge, hop: &Hop) -> (Vec<u8>, Vec<u8>) {
    let mut place = Vec::with_capacity(64);
    let fqdn = edge.trunk(hop.trunk).and_then(|trunk| trunk.fqdn.as_deref());
    if let Some(listener) = edge.listener(hop.listener) {
        place.extend_from_slice(fqdn.unwrap_or(&listener.host).as_bytes());
        place.push(b':');
        write_decimal(&mut place, u64::from(listener.port));
    }
    (place, transport_param(hop))
}

fn transport_param(hop: &Hop) -> Vec<u8> {
    match hop.transport.is_reliable() {
        true => format!(";transport={}", hop.transport.uri_token()).into_bytes(),
        false => Vec::new(),
    }
}

/// The URI of a target, as calls to it have it.
fn write_target_uri(target: &Target, hop: &Hop, out: &mut Vec<u8>) {
    let is_v6 = target.host.contains(':');
    out.extend_from_slice(if is_v6 { b"sip:[" } else { b"sip:" });
    out.extend_from_slice(target.host.as_bytes());
    out.extend_from_slice(if is_v6 { b"]" } else { b"" });
    if let Some(port) = target.port {
        out.push(b':');
        write_decimal(out, u64::from(port));
    }
    out.extend_from_slice(&transport_param(hop));
}

#[cfg(test)]
mod tests;
