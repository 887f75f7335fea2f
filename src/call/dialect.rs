//! From one side's dialect to the other's: what a message between owned legs is given and spared so that each side gets
//! what it understands. One file for each matter; each adds edits to the message.

pub mod early;
pub mod headers;
pub mod identity;
pub mod media;
pub mod methods;
pub mod session;

use super::edge::Edge;
use super::seal::Hold;
use crate::sdp::Outline;
use crate::sip::{Edits, Message};
use crate::trunk::Trunk;

/// A message on its way from one leg to the other.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    pub edge: &'a Edge,
    pub message: &'a Message,
    /// Of an answer: the request of the side that gets it, as it came or what [`super::owned::digest`] left of it.
    pub request: Option<&'a Message>,
    /// The method of the request, of an answer that of what it answers.
    pub method: &'a [u8],
    /// The trunk that sent the message.
    pub from: &'a Trunk,
    /// The trunk that gets it.
    pub to: &'a Trunk,
    /// The request begins a dialog, or is outside of any.
    pub initial: bool,
    /// It is of a call for help.
    pub emergency: bool,
    /// The side that gets it has named its target and its referrer itself: they stay as they are.
    pub verbatim: bool,
    /// The session description that it brings.
    pub said: Option<Outline>,
    /// Of an answer: the description in the request that it answers, as that came.
    pub offer: Option<Outline>,
    /// Who held before it came; *near* is its sender.
    pub hold: Hold,
    /// The description that its sender gave before, where that is remembered.
    pub spoken: Option<&'a [u8]>,
    /// The name by which the side that gets the message knows the edge.
    pub host: &'a [u8],
}

impl<'a> Passing<'a> {
    /// A request inside a dialog, of which no more is known than what it says.
    pub fn inside(edge: &'a Edge, message: &'a Message, [from, to]: [&'a Trunk; 2], host: &'a [u8]) -> Self {
        Self {
            edge,
            message,
            request: None,
            method: message.method(),
            from,
            to,
            initial: false,
            emergency: false,
            verbatim: false,
            said: media::said_in(message),
            offer: None,
            hold: Hold::None,
            spoken: None,
            host,
        }
    }

    /// An answer to a request inside a dialog, with no more known of the call than what the two say. `from` answers.
    pub fn answering(
        edge: &'a Edge,
        message: &'a Message,
        request: &'a Message,
        [from, to]: [&'a Trunk; 2],
        host: &'a [u8],
    ) -> Self {
        let offer = media::said_in(request);
        let method = request.method();
        Self { request: Some(request), method, offer, ..Self::inside(edge, message, [from, to], host) }
    }
}

impl Passing<'_> {
    /// Adds what the dialects ask for, but for who calls: [`identity::edit`] needs to know more.
    pub fn edit(&self, edits: &mut Edits) {
        methods::edit(self, edits);
        session::edit(self, edits);
        media::edit(self, edits);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::trunk::{Dialect, Fork, ListenerId, TrunkId, TrunkKind};

    /// A trunk of which nothing is known but its kind.
    pub(super) fn trunk(kind: TrunkKind) -> Trunk {
        Trunk {
            id: TrunkId(0),
            name: kind.word().into(),
            kind,
            listener: ListenerId(0),
            targets: Vec::new(),
            allow_from: Vec::new(),
            peer_names: Vec::new(),
            fqdn: None,
            fork: Fork::Serial,
            failover_codes: Vec::new(),
            no_answer: Duration::from_secs(4),
            stream_when_large: true,
            connection_reuse: true,
            transparent: false,
            limits: None,
            dialect: Arc::new(Dialect::of_kind(kind)),
            leaving: false,
        }
    }

    /// What the methods' part makes of a message between two kinds of peers.
    pub(super) fn edited(text: &str, method: &[u8], from: TrunkKind, to: TrunkKind) -> String {
        edited_between(text, method, &trunk(from), &trunk(to))
    }

    pub(super) fn edited_between(text: &str, method: &[u8], from: &Trunk, to: &Trunk) -> String {
        let message = Message::reread(&Bytes::copy_from_slice(text.as_bytes())).expect("a message");
        let mut edits = Edits::new();
        let edge = Edge::default();
        let passing = Passing { method, initial: true, ..Passing::inside(&edge, &message, [from, to], b"edge") };
        methods::edit(&passing, &mut edits);
        String::from_utf8(edits.apply(&message).to_vec()).expect("text")
    }
}
