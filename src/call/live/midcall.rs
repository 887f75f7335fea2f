//! Requests inside a call that is up: each passes, is answered by the edge, or is taken by one of its machines.

use super::errand::{News, Order, Purpose};
use super::hang_up::Cause;
use super::{End, LiveId, local, relay, session, transfer};
use crate::call::branch::ContextId;
use crate::call::owned::Dialog;
use crate::call::{Env, Output, Tools};
use crate::sip::{Essentials, Message};
use crate::trunk::{Flow, TrunkId};

/// A request inside a dialog between owned legs, before it is sent on.
#[derive(Clone, Copy, Debug)]
pub struct Within<'a> {
    pub request: &'a Message,
    pub essentials: &'a Essentials<'a>,
    pub flow: Flow,
    pub from: TrunkId,
    /// What its token says.
    pub dialog: &'a Dialog,
    /// The call and the leg that it came on, when it is remembered.
    pub call: Option<(LiveId, End)>,
    /// The context that the request will have.
    pub context: ContextId,
}

/// What becomes of a request inside a dialog.
#[derive(Clone, Debug, Default)]
pub enum Midcall {
    /// It goes on to the other side.
    #[default]
    Pass,
    /// The edge answers it.
    Answer(LocalAnswer),
    /// A machine has it and orders the answer later; until then an INVITE has its 100.
    Take,
}

/// A final answer of the edge's own inside a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAnswer {
    pub status: u16,
    pub reason: &'static str,
    /// Whole header lines; a Contact that leads to the other side ([`super::compose::contact`]) among them where one is
    /// wanted.
    pub headers: Vec<u8>,
    /// Its Content-Type is among `headers`.
    pub body: Vec<u8>,
}

impl LocalAnswer {
    /// An answer without headers or body of its own.
    pub const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new(), body: Vec::new() }
    }
}

/// Decides about a request inside a dialog between owned legs.
pub fn decide(env: &Env<'_>, tools: &mut Tools, out: &mut Output, within: &Within<'_>) -> Midcall {
    transfer::decide(env, tools, out, within).unwrap_or_else(|| local::decide(env, tools, within))
}

/// Hands news to the machine that waits for it.
pub fn hear(env: &Env<'_>, tools: &mut Tools, out: &mut Output, news: News) {
    if transfer::hear(env, tools, out, &news) {
        return;
    }
    match news {
        News::Errand { errand, status, response, .. } => {
            let response = response.as_ref();
            match errand.purpose {
                Purpose::Refresh => session::hear(env, tools, out, errand, status, response),
                Purpose::Relay { .. } => relay::hear(env, tools, out, errand, status, response),
                Purpose::HangUp | Purpose::Notify | Purpose::Target | Purpose::Connect { .. } => {}
            }
        }
        News::GivenUp { context, call: Some(call) } => relay::give_up(tools, call, context),
        News::Acknowledged { call: Some(call), ack, .. } => local::hear_ack(env, tools, call, &ack),
        News::NotAcknowledged { call: Some((call, end)), .. } => {
            tools.orders.push(Order::HangUp { call, cause: Cause::NotAcknowledged(end) });
        }
        News::GivenUp { call: None, .. }
        | News::Acknowledged { call: None, .. }
        | News::NotAcknowledged { call: None, .. } => {}
    }
}
