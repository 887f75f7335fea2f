//! An UPDATE with an offer for a side that does not know UPDATE: it goes on as a re-INVITE, and what comes of that is its
//! answer (RFC 3311 section 5.2).

use bytes::Bytes;

use super::errand::{Ack, Errand, Order, Purpose};
use super::hang_up::{self, Cause};
use super::learn::{self, sdp_of};
use super::local::Asked;
use super::midcall::{LocalAnswer, Midcall, Within};
use super::timer::agreed_by_uas;
use super::{End, LiveId, compose, session};
use crate::call::branch::ContextId;
use crate::call::owned::Dialog;
use crate::call::{Env, Output, Tools};
use crate::sip::edit::write_decimal;
use crate::sip::{Essentials, Message};
use crate::trunk::dialect::session::Timer;
use crate::trunk::{Flow, TrunkId};

/// A request that went on as another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relayed {
    pub asker: ContextId,
    request: Bytes,
    flow: Flow,
    from: TrunkId,
    dialog: Dialog,
}

/// Sends the offer of an UPDATE on in a re-INVITE.
pub(super) fn begin(asked: &Asked<'_>, tools: &mut Tools, (id, end): (LiveId, End)) -> Midcall {
    let Asked { env, within, .. } = *asked;
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return Midcall::Pass };
    let far = end.other();
    // The Contact that the far side gets leads to where the near side is from now on.
    learn::hear_target(call.leg_mut(end), within.request);
    let request = compose::re_invite(env, edits, call, far, sdp_of(within.request));
    let Some(request) = request.and_then(|request| session::with_timer(env, edits, call, far, request)) else {
        return Midcall::Answer(LocalAnswer::new(500, "Server Internal Error"));
    };
    let relayed = Relayed {
        asker: within.context,
        request: within.request.bytes().clone(),
        flow: within.flow,
        from: within.from,
        dialog: within.dialog.clone(),
    };
    call.leg_mut(end).session.relayed = Some(Box::new(relayed));
    let errand = Errand { call: id, end: far, purpose: Purpose::Relay { asker: within.context } };
    orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
    Midcall::Take
}

/// The re-INVITE was answered, or was not.
pub(super) fn hear(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    errand: Errand,
    status: u16,
    response: Option<&Message>,
) {
    if status < 200 {
        return;
    }
    let Errand { call: id, end: far, .. } = errand;
    let near = far.other();
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return };
    let relayed = call.leg_mut(near).session.relayed.take();
    let agreed = response.filter(|_| status < 300);
    if let Some(response) = agreed {
        let kept = session::who_keeps(env, call, far) == Timer::Edge;
        let leg = call.leg_mut(far);
        leg.session.timer.agree(env.now, agreed_by_uas(response).filter(|_| kept));
        learn::hear_description(leg, response);
        learn::hear_target(leg, response);
    }
    let Some(relayed) = relayed else {
        // Whoever asked has given up: the far side is told again what holds on the near one.
        if agreed.is_some() {
            session::owe(env, call, far);
        }
        return;
    };
    let answer = match agreed {
        Some(response) => relayed.agree(env, edits, call, near, response),
        None => refusal(status, response),
    };
    orders.push(Order::Answer { context: relayed.asker, answer });
    if agreed.is_none() && matches!(status, 408 | 481) {
        hang_up::hang_up(env, tools, out, id, Cause::Gone(far));
    }
}

impl Relayed {
    /// The answer of the far side as that of the request.
    fn agree(
        &self,
        env: &Env<'_>,
        edits: &mut crate::sip::Edits,
        call: &mut super::LiveCall,
        near: End,
        response: &Message,
    ) -> LocalAnswer {
        let failed = LocalAnswer::new(500, "Server Internal Error");
        let Some(request) = Message::reread(&self.request) else { return failed };
        let Ok(essentials) = Essentials::of_request(&request, &env.edge.limits) else { return failed };
        learn::hear_description(call.leg_mut(near), &request);
        let Self { flow, from, ref dialog, asker, .. } = *self;
        let call_of = Some((call.id, near));
        let within =
            Within { request: &request, essentials: &essentials, flow, from, dialog, call: call_of, context: asker };
        let trunks = [near, near.other()].map(|end| call.leg(end).trunk(env.edge));
        let [Some(near_trunk), Some(far_trunk)] = trunks else { return failed };
        let asked = Asked { env, within: &within, near: near_trunk, far: far_trunk };
        asked.agree(edits, call, near, sdp_of(response)).unwrap_or(failed)
    }
}

/// What the refusal of a re-INVITE is for the UPDATE.
fn refusal(status: u16, response: Option<&Message>) -> LocalAnswer {
    let (status, reason) = match status {
        491 => (491, "Request Pending"),
        408 | 481 => (481, "Call/Transaction Does Not Exist"),
        415 => (415, "Unsupported Media Type"),
        488 | 606 => (488, "Not Acceptable Here"),
        503 => (503, "Service Unavailable"),
        603 => (603, "Decline"),
        _ => (500, "Server Internal Error"),
    };
    let mut answer = LocalAnswer::new(status, reason);
    if let Some(seconds) = response.and_then(Message::retry_after) {
        answer.headers.extend_from_slice(b"Retry-After: ");
        write_decimal(&mut answer.headers, u64::from(seconds));
        answer.headers.extend_from_slice(b"\r\n");
    }
    answer
}

/// Whoever asked has given up.
pub(super) fn give_up(tools: &mut Tools, (id, near): (LiveId, End), context: ContextId) {
    let Some(call) = tools.lives.get_mut(id) else { return };
    let relayed = &mut call.leg_mut(near).session.relayed;
    if relayed.take_if(|relayed| relayed.asker == context).is_some() {
        let errand = Errand { call: id, end: near.other(), purpose: Purpose::Relay { asker: context } };
        tools.orders.push(Order::Cancel { errand });
    }
}
