//! From one side's dialect to the other's: what a message between owned legs is given and spared so that each side gets
//! what it understands. One file for each matter; each adds edits to the message.

pub mod early;
pub mod headers;
pub mod identity;
pub mod media;
pub mod methods;
pub mod session;

use super::edge::Edge;
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
    /// The name by which the side that gets the message knows the edge.
    pub host: &'a [u8],
}

impl Passing<'_> {
    /// Adds what the dialects ask for, but for who calls: [`identity::edit`] needs to know more.
    pub fn edit(&self, edits: &mut Edits) {
        methods::edit(self, edits);
        early::edit(self, edits);
        session::edit(self, edits);
        media::edit(self, edits);
    }
}
