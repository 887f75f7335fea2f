//! Session timers of live calls (RFC 4028): what a call has to remember of them, when it wants to be woken, and the
//! refreshes of the edge's own.

use super::errand::{Ack, Composed, Errand, Order, Purpose};
use super::hang_up::{self, Cause};
use super::learn::{self, Agreed};
use super::relay::Relayed;
use super::timer::{self, Act, Refusal, SessionTimer, agreed_by_uac, agreed_by_uas};
use super::{End, LiveCall, LiveId, LiveLeg, compose};
use crate::call::{Env, Output, Tools};
use crate::sip::session_expires::is_of_session_timer;
use crate::sip::{Edits, HeaderName, Message, Refresher, SessionExpires};
use crate::transaction::Moment;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::session::Timer;

/// The session timer of one leg, and what else its refreshes need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    pub timer: SessionTimer,
    /// Tells whether a description of the peer's is the one before: what [`learn::mark_of`] makes of it; 0: none is known.
    pub heard: u64,
    /// The peer has to be told of the other side's present description or target, at this time.
    owed: Option<Moment>,
    /// What is owed follows from an answer to the other side's own refresh: it is not sent back and forth.
    echo: bool,
    /// The peer has refused an UPDATE.
    no_update: bool,
    /// The request of the peer's that went on as another one.
    pub(super) relayed: Option<Box<Relayed>>,
}

/// The two sides have agreed on a session, anew or for the first time: a 2xx to an INVITE or UPDATE passed.
pub fn agreed(env: &Env<'_>, call: &mut LiveCall, agreed: &Agreed<'_>) {
    let near = agreed.near();
    let far = near.other();
    let heard = learn::mark_of(learn::sdp_of(agreed.response));
    for (end, heard) in [(near, agreed.crossing.mark), (far, heard)] {
        if heard != 0 {
            call.leg_mut(end).session.heard = heard;
        }
    }
    let accepted = accepted(env, call, near, agreed.request);
    let told = match who_keeps(env, call, near) {
        Timer::Edge => accepted.map(|accepted| settled(accepted, Refresher::Uas)),
        Timer::Pass | Timer::Off => None,
    };
    let said = match who_keeps(env, call, far) {
        Timer::Edge => agreed_by_uas(agreed.response),
        Timer::Pass | Timer::Off => None,
    };
    call.leg_mut(near).session.timer.agree(env.now, told);
    call.leg_mut(far).session.timer.agree(env.now, said);
}

/// What is settled by a Session-Expires that the edge gives as this side of the request.
fn settled(value: SessionExpires, edge: Refresher) -> timer::Agreed {
    timer::Agreed { interval: value.seconds, own: value.refresher == Some(edge) }
}

/// Who keeps the timer of a leg.
pub(super) fn who_keeps(env: &Env<'_>, call: &LiveCall, end: End) -> Timer {
    let session = |end| call.leg(end).trunk(env.edge).map(|trunk| trunk.dialect.session);
    match (session(end), session(end.other())) {
        (Some(own), Some(other)) => own.timer_beside(&other),
        // Of a trunk that the configuration has no more nothing is known.
        _ => Timer::Off,
    }
}

/// What the edge says in a 2xx to a request on a leg.
fn accepted(env: &Env<'_>, call: &LiveCall, near: End, request: &Message) -> Option<SessionExpires> {
    let session = call.leg(near).trunk(env.edge)?.dialect.session;
    timer::accept(&session, request)
}

/// The edge itself has answered a session refresh with a 2xx that says this.
pub(super) fn answered(env: &Env<'_>, call: &mut LiveCall, near: End, response: &Message) {
    let settled = match who_keeps(env, call, near) {
        Timer::Edge => agreed_by_uac(response),
        Timer::Pass | Timer::Off => None,
    };
    call.leg_mut(near).session.timer.agree(env.now, settled);
}

/// When the call wants [`handle_due`].
pub fn next_timeout(call: &LiveCall) -> Option<Moment> {
    End::BOTH.into_iter().filter_map(|end| next_timeout_of(call.leg(end))).min()
}

/// When something is due of one leg's session.
pub fn next_timeout_of(leg: &LiveLeg) -> Option<Moment> {
    [leg.session.timer.next_timeout(), leg.session.owed].into_iter().flatten().min()
}

/// The call's time has come, or an entry of the wheel did early.
pub fn handle_due(env: &Env<'_>, tools: &mut Tools, out: &mut Output, id: LiveId) {
    for end in End::BOTH {
        let Some(call) = tools.lives.get_mut(id) else { return };
        let session = &mut call.leg_mut(end).session;
        match session.timer.handle_timeout(env.now) {
            Some(Act::Expire) => return hang_up::hang_up(env, tools, out, id, Cause::SessionExpired(end)),
            Some(Act::Refresh) => refresh(env, tools, id, end),
            None if session.owed.is_some_and(|at| at <= env.now) => tell(env, tools, id, end),
            None => {}
        }
    }
}

/// The peer of a leg has to be told soon of what the other side describes now, or of where it is.
pub(super) fn owe(env: &Env<'_>, call: &mut LiveCall, end: End) {
    let session = &mut call.leg_mut(end).session;
    session.owed = Some(env.now);
    session.echo = false;
}

/// Refreshes the session with the peer of a leg: with an UPDATE where it takes one and it is not Teams, which refreshes by
/// INVITE only, else with a re-INVITE that says again what the peer has heard.
fn refresh(env: &Env<'_>, tools: &mut Tools, id: LiveId, end: End) {
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return };
    if call.has_offer_under_way() {
        return call.leg_mut(end).session.timer.postpone(env.now);
    }
    let request = if takes_update(env, call, end) {
        compose::update(env, edits, call, end, b"")
    } else {
        with_description(env, edits, call, end)
    };
    match request.and_then(|request| with_timer(env, edits, call, end, request)) {
        Some(request) => ask(orders, id, end, request),
        // There is nothing that could be said to it: it may refresh itself, or end the call when its time comes.
        None => call.leg_mut(end).session.timer.agree(env.now, None),
    }
}

/// Tells the peer of a leg what the other side's description and target are.
fn tell(env: &Env<'_>, tools: &mut Tools, id: LiveId, end: End) {
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return };
    if call.has_offer_under_way() {
        call.leg_mut(end).session.owed = Some(env.now + timer::POSTPONED);
        return;
    }
    let request = with_description(env, edits, call, end);
    let request = request.and_then(|request| with_timer(env, edits, call, end, request));
    let session = &mut call.leg_mut(end).session;
    session.owed = None;
    if let Some(request) = request {
        ask(orders, id, end, request);
    }
}

fn ask(orders: &mut Vec<Order>, call: LiveId, end: End, request: Composed) {
    let errand = Errand { call, end, purpose: Purpose::Refresh };
    orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
}

fn takes_update(env: &Env<'_>, call: &LiveCall, end: End) -> bool {
    let leg = call.leg(end);
    let teams = leg.trunk(env.edge).is_none_or(|trunk| trunk.kind == TrunkKind::Teams);
    !teams && !leg.session.no_update && leg.allows.has(b"UPDATE")
}

fn with_description(env: &Env<'_>, edits: &mut Edits, call: &mut LiveCall, end: End) -> Option<Composed> {
    let sdp = call.leg(end.other()).sdp.clone();
    if sdp.is_empty() { None } else { compose::re_invite(env, edits, call, end, &sdp) }
}

/// The request with the interval that is in force and who refreshes by now.
pub(super) fn with_timer(
    env: &Env<'_>,
    edits: &mut Edits,
    call: &LiveCall,
    end: End,
    request: Composed,
) -> Option<Composed> {
    let leg = call.leg(end);
    let session = leg.trunk(env.edge)?.dialect.session;
    let timer = &leg.session.timer;
    if !timer.is_running() {
        return Some(request);
    }
    let refresher = if timer.is_own() { Refresher::Uac } else { Refresher::Uas };
    let message = Message::reread(&request.bytes)?;
    edits.clear();
    for line in message.lines() {
        if line.name == HeaderName::Other && is_of_session_timer(message.name_at(line)) {
            edits.remove_line(line);
        }
    }
    let value = SessionExpires { seconds: timer.interval(), refresher: Some(refresher) };
    let supported = message.option_tags(HeaderName::Supported).any(|tag| tag.eq_ignore_ascii_case(b"timer"));
    edits.insert_with(message.header_block().end, |out| {
        if !supported {
            out.extend_from_slice(b"Supported: timer\r\n");
        }
        value.write(out);
        crate::sip::session_expires::write_min_se(session.min.max(timer.least()), out);
    });
    Some(Composed { bytes: edits.apply(&message), to: request.to })
}

/// A refresh of the edge's own was answered: `response` is `None` when nothing came.
pub(super) fn hear(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    errand: Errand,
    status: u16,
    response: Option<&Message>,
) {
    let Errand { call: id, end, .. } = errand;
    let Some(call) = tools.lives.get_mut(id) else { return };
    match (status, response) {
        (..200, _) => {}
        (200..=299, Some(response)) => refreshed(env, call, end, response),
        _ => {
            let refusal = refusal(env, call, end, status, response);
            refused(env, tools, out, (id, end), refusal);
        }
    }
}

/// The peer has agreed: the timer starts anew, and what it says new of itself goes to the other side.
fn refreshed(env: &Env<'_>, call: &mut LiveCall, end: End, response: &Message) {
    let kept = who_keeps(env, call, end) == Timer::Edge;
    let leg = call.leg_mut(end);
    leg.session.timer.agree(env.now, agreed_by_uas(response).filter(|_| kept));
    let echo = std::mem::take(&mut leg.session.echo);
    let changed = learn::hear_description(leg, response);
    let moved = learn::hear_target(leg, response);
    if (changed && !echo) || moved {
        let session = &mut call.leg_mut(end.other()).session;
        session.owed = Some(env.now);
        session.echo = true;
    }
}

fn refusal(env: &Env<'_>, call: &LiveCall, end: End, status: u16, response: Option<&Message>) -> Refusal {
    let leg = call.leg(end);
    Refusal {
        status,
        retry_after: response.and_then(Message::retry_after),
        min_se: response.and_then(Message::min_se),
        // The callee's leg is the one that the edge began.
        owns_call_id: end == End::Callee,
        draw: env.secrets.number(8, &[&leg.call_id, &env.now.as_millis().to_le_bytes()]),
    }
}

fn refused(env: &Env<'_>, tools: &mut Tools, out: &mut Output, (id, end): (LiveId, End), refusal: Refusal) {
    let Some(call) = tools.lives.get_mut(id) else { return };
    let session = &mut call.leg_mut(end).session;
    // A peer that does not know UPDATE after all, though its Allow says so.
    if matches!(refusal.status, 405 | 501) && session.timer.is_refreshing() && !session.no_update {
        session.no_update = true;
        return refresh(env, tools, id, end);
    }
    if !session.timer.is_refreshing() {
        // What was owed: a glare passes, and a side that is gone is gone.
        match refusal.status {
            491 => session.owed = Some(env.now + timer::glare_pause(refusal.owns_call_id, refusal.draw)),
            408 | 481 => hang_up::hang_up(env, tools, out, id, Cause::Gone(end)),
            _ => {}
        }
        return;
    }
    match session.timer.handle_refusal(env.now, &refusal) {
        Some(Act::Expire) => hang_up::hang_up(env, tools, out, id, Cause::SessionExpired(end)),
        Some(Act::Refresh) => refresh(env, tools, id, end),
        None => {}
    }
}
