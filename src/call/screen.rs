//! What a request must pass before it is sent on (RFC 3261 section 16.3) and the OPTIONS that end at the edge.

use super::edge::Edge;
use super::loops;
use super::probe::answer_headers;
use crate::sip::{Essentials, HeaderName, Message, Scheme};
use crate::trunk::TrunkId;

/// An answer of the edge's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub reason: &'static str,
    /// Whole header lines.
    pub headers: Vec<u8>,
}

impl Refusal {
    /// An answer without headers of its own.
    pub const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new() }
    }

    /// A 503 that asks to wait.
    pub fn overloaded(edge: &Edge) -> Self {
        let headers = format!("Retry-After: {}\r\n", edge.retry_after).into_bytes();
        Self { status: 503, reason: "Service Unavailable", headers }
    }
}

/// Checks a request from the trunk `from`. `loop_hash` is `None` for requests inside a dialog.
///
/// # Errors
/// The answer to give instead of sending the request on; for OPTIONS to the edge itself that is a 200, or a 503 while it
/// drains.
pub fn screen(
    edge: &Edge,
    from: TrunkId,
    message: &Message,
    essentials: &Essentials<'_>,
    loop_hash: Option<u32>,
) -> Result<(), Refusal> {
    let uri = &essentials.uri;
    if uri.scheme == Scheme::Other {
        return Err(Refusal::new(416, "Unsupported URI Scheme"));
    }
    if message.method() == b"OPTIONS" && essentials.to_tag.is_none() && uri.user.is_none() && edge.is_own_uri(uri) {
        // Peers that ask whether the edge is well turn to another one before calls are refused.
        if edge.gate.is_draining() {
            return Err(Refusal::overloaded(edge));
        }
        return Err(Refusal { status: 200, reason: "OK", headers: answer_headers(edge, from, uri.host) });
    }
    if essentials.max_forwards == Some(0) {
        return Err(Refusal::new(483, "Too Many Hops"));
    }
    if message.line(HeaderName::ProxyRequire).is_some() && !matches!(message.method(), b"ACK" | b"CANCEL") {
        let mut headers = b"Unsupported: ".to_vec();
        for (index, tag) in message.option_tags(HeaderName::ProxyRequire).enumerate() {
            headers.extend_from_slice(if index > 0 { b", " } else { b"" });
            headers.extend_from_slice(tag);
        }
        headers.extend_from_slice(b"\r\n");
        return Err(Refusal { status: 420, reason: "Bad Extension", headers });
    }
    if loop_hash.is_some_and(|hash| loops::is_loop(message, hash)) {
        return Err(Refusal::new(482, "Loop Detected"));
    }
    Ok(())
}
