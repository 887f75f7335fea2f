//! Transfers: a side of a call asks by REFER that its peer be connected elsewhere (RFC 3515, RFC 5589), and the edge does
//! it. [`super::super::refer::machine`] says what happens when; here that becomes requests on the three legs.
//!
//! While the target is called the call is as it was. When the other side has taken the target's description, the two are
//! the call, and what was the referrer's leg stands aside until its BYE has come.

mod act;
mod invite;
mod joined;

pub use joined::{MARGIN, connected, offset_behind};

use super::errand::{News, Purpose};
use super::midcall::{LocalAnswer, Midcall, Within};
use super::table::{Known, LegKey};
use super::{End, LiveCall, LiveId, LiveLeg, compose, learn};
use crate::call::refer::machine::{Event, Machine};
use crate::call::refer::{Faulty, ReferTo, wants_no_notify};
use crate::call::{Env, Output, Tools, record};
use crate::transaction::Moment;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::transfer::Refer;

/// The re-INVITE to the other side.
const CHANGE: u8 = 0;
/// The re-INVITE that tells the target how the other side has answered.
const SETTLE: u8 = 1;
/// The re-INVITE to a target that is in another call.
const TAKE: u8 = 2;
/// The re-INVITE that gives such a target back to its call.
const GIVE_BACK: u8 = 3;

/// A transfer of a call that is up.
#[derive(Clone, Debug)]
pub struct Transfer {
    machine: Machine,
    /// The side that asked for it, by the ends that the call had then.
    referrer: End,
    /// The CSeq number of its REFER, which the NOTIFYs name.
    id: u32,
    target: Target,
    /// What is added to the target's CSeq numbers on the other side's leg.
    offset: i32,
    /// What the target was offered.
    offer: Box<[u8]>,
    /// The call as it will be, once the target has answered.
    after: Option<Box<LiveCall>>,
    /// The call as it was, once it has changed: the referrer still has to be told.
    before: Option<Box<LiveCall>>,
}

/// Whom the other side is to be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// Somebody who is called for it; the leg has this number.
    New { leg: u16 },
    /// The peer of this side of another call, which the side has a call with already (RFC 3891).
    Known { call: LiveId, near: End },
}

impl Transfer {
    /// Whether nothing has changed yet: the referrer still is in the call.
    pub const fn is_pending(&self) -> bool {
        self.machine.is_pending()
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.machine.next_timeout()
    }

    /// Legs that are not the call's, and are known to belong to it: the target's until the two are joined, the referrer's
    /// from then on.
    pub(super) fn aside(&self) -> impl Iterator<Item = &LiveLeg> {
        let new = self.after.as_ref().filter(|_| matches!(self.target, Target::New { .. }));
        let target = new.map(|after| after.leg(End::Callee));
        let referrer = self.before.as_ref().map(|before| before.leg(self.referrer));
        target.into_iter().chain(referrer)
    }

    /// Bytes of memory that it holds on the heap, itself included.
    pub fn heap_bytes(&self) -> usize {
        let calls = [&self.after, &self.before].into_iter().flatten();
        size_of::<Self>() + self.offer.len() + calls.map(|call| call.heap_bytes()).sum::<usize>()
    }
}

/// When the call wants [`handle_due`].
pub fn next_timeout(call: &LiveCall) -> Option<Moment> {
    call.transfer.as_ref()?.next_timeout()
}

/// The call's time has come, or that of something else of it.
pub fn handle_due(env: &Env<'_>, tools: &mut Tools, out: &mut Output, id: LiveId) {
    if tools.lives.get(id).and_then(next_timeout).is_some_and(|at| at <= env.now) {
        act::handle(env, tools, out, id, Event::Due);
    }
}

/// Decides about a request that concerns transfers; `None`: it does not.
pub fn decide(env: &Env<'_>, tools: &mut Tools, out: &mut Output, within: &Within<'_>) -> Option<Midcall> {
    match (within.request.method(), within.call) {
        (b"REFER", _) => refer(env, tools, out, within),
        (b"BYE", Some((id, end))) => leave(env, tools, out, within, (id, end)),
        (_, Some(_)) => None,
        (method, None) => {
            let essentials = within.essentials;
            let (peer, own) = (essentials.from_tag.unwrap_or_default(), essentials.to_tag.unwrap_or_default());
            match tools.lives.find(LegKey::new(env.secrets, essentials.call_id, peer, own)) {
                Some(Known::Aside(id)) => aside(env, tools, out, method, essentials.call_id, id),
                _ => None,
            }
        }
    }
}

/// Hears of a request of a transfer; false: it is not of one.
pub fn hear(env: &Env<'_>, tools: &mut Tools, out: &mut Output, news: &News) -> bool {
    let News::Errand { errand, status, response, leg } = news else { return false };
    let (id, status) = (errand.call, *status);
    let description = || response.as_ref().map(learn::sdp_of).unwrap_or_default();
    match errand.purpose {
        Purpose::Notify => {
            if status == 481 {
                act::handle(env, tools, out, id, Event::NotifyRefused);
            }
        }
        Purpose::Target => {
            if let (200..=299, Some(leg)) = (status, leg) {
                act::take_target(env, tools, id, (**leg).clone());
            }
            act::handle(env, tools, out, id, event_of(status));
        }
        Purpose::Connect { step: TAKE } => {
            if (200..=299).contains(&status) {
                act::take_known(tools, id, description());
            }
            act::handle(env, tools, out, id, event_of(status));
        }
        Purpose::Connect { step: CHANGE } => match status {
            ..=199 => {}
            200..=299 => {
                if let Some(response) = response {
                    act::take_other(tools, id, response);
                }
                let offered = act::offered(tools, id);
                act::handle(env, tools, out, id, Event::Changed);
                act::settle(env, tools, id, &offered, description());
            }
            _ => act::handle(env, tools, out, id, Event::NotChanged(status)),
        },
        // What comes of them changes nothing.
        Purpose::Connect { step: SETTLE | GIVE_BACK } => {}
        _ => return false,
    }
    true
}

const fn event_of(status: u16) -> Event {
    match status {
        ..=199 => Event::Progress(status),
        200..=299 => Event::Answered,
        _ => Event::Refused(status),
    }
}

fn refused(status: u16, reason: &'static str) -> Option<Midcall> {
    Some(Midcall::Answer(LocalAnswer::new(status, reason)))
}

/// A REFER: it goes on to the other side, is refused, or begins a transfer.
fn refer(env: &Env<'_>, tools: &mut Tools, out: &mut Output, within: &Within<'_>) -> Option<Midcall> {
    let dialect = env.edge.trunk(within.from)?.dialect.transfer;
    match dialect.refer {
        Refer::Off => return refused(603, "Decline"),
        Refer::Pass if far_takes_refer(env, tools, within) => return None,
        Refer::Handle | Refer::Pass => {}
    }
    let refer_to = match ReferTo::of(within.request) {
        Ok(refer_to) => refer_to,
        Err(Faulty::Scheme) => return refused(416, "Unsupported URI Scheme"),
        Err(Faulty::Method) => return refused(603, "Decline"),
        Err(Faulty::Count | Faulty::Value) => return refused(400, "Bad Refer-To"),
    };
    // What the other side can be reached with is known of calls only that are remembered.
    let Some((id, end)) = within.call else { return refused(603, "Call Is Not Remembered") };
    let call = tools.lives.get(id)?;
    match &call.transfer {
        Some(transfer) if transfer.is_pending() => return refused(491, "Request Pending"),
        // The one before has worked: who asked for it has had its time.
        Some(_) => act::handle(env, tools, out, id, Event::Due),
        None => {}
    }
    let call = tools.lives.get(id)?;
    let other = call.leg(end.other());
    if call.transfers >= dialect.max_transfers || offset_behind(other).is_none() {
        return refused(603, "Too Many Transfers");
    }
    if other.sdp.is_empty() {
        return refused(603, "Nothing To Offer");
    }
    let known = refer_to.replaces.as_ref().and_then(|replaces| {
        let key = LegKey::new(env.secrets, &replaces.call_id, &replaces.from_tag, &replaces.to_tag);
        tools.lives.up(key).filter(|&(found, _)| found != id)
    });
    // A call of another trunk is not the referrer's to move.
    let known = known.filter(|&(found, near)| {
        let call = tools.lives.get(found);
        call.is_some_and(|found| found.leg(near).mark == call_mark(env, within) && found.transfer.is_none())
    });
    let silent = wants_no_notify(within.request);
    let mut answer = LocalAnswer::new(202, "Accepted");
    compose::contact(env, call, end, &mut answer.headers).ok()?;
    if silent {
        answer.headers.extend_from_slice(b"Refer-Sub: false\r\n");
    }
    let wanted = act::Wanted { request: within.request, refer_to: &refer_to, known, silent };
    act::begin(env, tools, out, (id, end), &wanted);
    Some(Midcall::Answer(answer))
}

fn call_mark(env: &Env<'_>, within: &Within<'_>) -> u32 {
    crate::call::owned::mark(env.edge, within.from)
}

/// Whether the other side takes REFER, as far as is known: Teams never does.
fn far_takes_refer(env: &Env<'_>, tools: &Tools, within: &Within<'_>) -> bool {
    let trunk = env.edge.trunk_of_mark(within.dialog.far).and_then(|id| env.edge.trunk(id));
    if trunk.is_none_or(|trunk| trunk.kind == TrunkKind::Teams) {
        return false;
    }
    match within.call.and_then(|(id, end)| Some(tools.lives.get(id)?.leg(end.other()))) {
        Some(leg) => leg.allows.has(b"REFER"),
        None => true,
    }
}

/// A BYE of one of the two sides of a call that is being transferred.
fn leave(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    within: &Within<'_>,
    (id, end): (LiveId, End),
) -> Option<Midcall> {
    let machine = tools.lives.get(id)?.transfer.as_ref().map(|transfer| (transfer.machine, transfer.referrer));
    let (machine, referrer) = machine?;
    if machine.is_pending() && end == referrer {
        act::handle(env, tools, out, id, Event::ReferrerLeft);
        return refused(200, "OK");
    }
    let alone = machine.is_pending() && machine.is_alone();
    act::handle(env, tools, out, id, Event::OtherLeft);
    if !alone {
        return None;
    }
    // Nobody is left to tell.
    let memory = env.edge.timing.timer_l();
    if let Some(mut call) = tools.lives.remove(env.secrets, (env.now, memory), id, true) {
        record::of_call(env, &mut tools.lives, out, &mut call, record::Ending::Bye(end, within.request));
    }
    refused(200, "OK")
}

/// A request on a leg that stands aside: the referrer's, when the transfer is through, or the target's, before it is.
fn aside(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    method: &[u8],
    call_id: &[u8],
    id: LiveId,
) -> Option<Midcall> {
    let transfer = tools.lives.get(id)?.transfer.as_ref()?;
    let of_target = transfer.after.as_ref().is_some_and(|after| &*after.leg(End::Callee).call_id == call_id);
    match (method, of_target) {
        (b"BYE", _) => {
            let event = if of_target { Event::TargetLeft } else { Event::ReferrerLeft };
            act::handle(env, tools, out, id, event);
            refused(200, "OK")
        }
        (b"INVITE" | b"UPDATE", true) => refused(491, "Request Pending"),
        (b"ACK", _) | (_, true) => None,
        _ => refused(481, "Call/Transaction Does Not Exist"),
    }
}
