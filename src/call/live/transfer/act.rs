//! What a transfer's machine wants done, as requests on the legs of the call.

use std::sync::Arc;

use smallvec::SmallVec;

use super::super::errand::{Ack, Errand, Invitation, Order, Purpose};
use super::super::hang_up::Cause;
use super::super::{End, LiveId, LiveLeg, compose, learn};
use super::{CHANGE, GIVE_BACK, SETTLE, TAKE, Target, Transfer, connected, invite, offset_behind};
use crate::call::owned::{Behalf, LEG_STEP};
use crate::call::progress::turn;
use crate::call::refer::machine::{Action, Actions, Event, Machine};
use crate::call::refer::{ReferTo, event, sipfrag, subscription_state};
use crate::call::{Env, Output, Tools, record};
use crate::sip::Message;

/// What a REFER asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub request: &'a Message,
    pub refer_to: &'a ReferTo<'a>,
    /// The side of another call whose peer is wanted.
    pub known: Option<(LiveId, End)>,
    /// No NOTIFY is wanted.
    pub silent: bool,
}

/// Begins a transfer that the side `referrer` of a call has asked for.
pub(super) fn begin(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    (id, referrer): (LiveId, End),
    wanted: &Wanted<'_>,
) {
    let Some(call) = tools.lives.get(id) else { return };
    let (machine, actions) = Machine::begin(!wanted.silent);
    let transfer = Transfer {
        machine,
        referrer,
        id: wanted.request.cseq().map_or(0, |cseq| cseq.number),
        target: match wanted.known {
            Some((call, near)) => Target::Known { call, near },
            None => Target::New { leg: LEG_STEP.saturating_mul(u16::from(call.transfers) + 1) },
        },
        offset: offset_behind(call.leg(referrer.other())).unwrap_or_default(),
        offer: invite::offer_of(&call.leg(referrer.other()).sdp).into(),
        after: None,
        before: None,
    };
    out.counts.transfers += 1;
    Running { env, tools, out, id, transfer: Box::new(transfer), ended: false }.run(actions, Some(wanted));
}

/// Hands an event to the transfer of a call, if it has one, and does what comes of it.
pub(super) fn handle(env: &Env<'_>, tools: &mut Tools, out: &mut Output, id: LiveId, event: Event) {
    let Some(mut transfer) = tools.lives.get_mut(id).and_then(|call| call.transfer.take()) else { return };
    let chance = env.secrets.number(8, &[&env.now.as_millis().to_le_bytes(), &id.slot.to_le_bytes()]);
    let actions = transfer.machine.handle(env.now, event, chance);
    Running { env, tools, out, id, transfer, ended: false }.run(actions, None);
}

/// The target has answered: this is its leg.
pub(super) fn take_target(env: &Env<'_>, tools: &mut Tools, id: LiveId, leg: LiveLeg) {
    let Some(call) = tools.lives.get(id) else { return };
    let Some(transfer) = &call.transfer else { return };
    let Target::New { leg: number } = transfer.target else { return };
    let after = connected(call, transfer.referrer.other(), leg, Some(number), transfer.offset);
    tools.lives.stand_aside(env.secrets, after.leg(End::Callee), id);
    if let Some(transfer) = tools.lives.get_mut(id).and_then(|call| call.transfer.as_mut()) {
        transfer.after = Some(Box::new(after));
    }
}

/// The target that was in another call has taken the offer and has given this description.
pub(super) fn take_known(tools: &mut Tools, id: LiveId, description: &[u8]) {
    let transfer = tools.lives.get_mut(id).and_then(|call| call.transfer.as_mut());
    if let Some(after) = transfer.and_then(|transfer| transfer.after.as_mut())
        && !description.is_empty()
    {
        after.leg_mut(End::Callee).sdp = description.into();
    }
}

/// The other side has taken the target's description: it may have told something new of itself.
pub(super) fn take_other(tools: &mut Tools, id: LiveId, response: &Message) {
    let Some(call) = tools.lives.get_mut(id) else { return };
    let Some(end) = call.transfer.as_ref().map(|transfer| transfer.referrer.other()) else { return };
    learn::heard_of(call.leg_mut(end), response);
}

/// What the target was offered in the other side's name.
pub(super) fn offered(tools: &Tools, id: LiveId) -> Box<[u8]> {
    let transfer = tools.lives.get(id).and_then(|call| call.transfer.as_ref());
    transfer.map_or_else(Box::default, |transfer| transfer.offer.clone())
}

/// Tells the target what the other side said, when that is not what was offered in its name.
pub(super) fn settle(env: &Env<'_>, tools: &mut Tools, id: LiveId, offered: &[u8], said: &[u8]) {
    if said.is_empty() || offered.is_empty() || invite::same_streams(offered, said) {
        return;
    }
    let Tools { lives, edits, orders, .. } = tools;
    let Some(call) = lives.get_mut(id) else { return };
    if call.transfer.as_ref().is_some_and(|transfer| transfer.is_pending()) {
        return;
    }
    if let Some(request) = compose::re_invite(env, edits, call, End::Callee, said) {
        let errand = Errand { call: id, end: End::Callee, purpose: Purpose::Connect { step: SETTLE } };
        orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
    }
}

/// A transfer that something happens to.
struct Running<'r, 'e> {
    env: &'r Env<'e>,
    tools: &'r mut Tools,
    out: &'r mut Output,
    id: LiveId,
    transfer: Box<Transfer>,
    /// A side of the call was hung up on: it is over.
    ended: bool,
}

impl Running<'_, '_> {
    fn run(mut self, actions: Actions, wanted: Option<&Wanted<'_>>) {
        // What cannot be done is an event in itself.
        let mut queue: SmallVec<[Action; 8]> = actions.into_iter().rev().collect();
        while let Some(action) = queue.pop() {
            if let Some(event) = self.act(action, wanted) {
                let more = self.transfer.machine.handle(self.env.now, event, 0);
                queue = more.into_iter().rev().collect();
            }
        }
        self.conclude();
    }

    fn act(&mut self, action: Action, wanted: Option<&Wanted<'_>>) -> Option<Event> {
        let referrer = self.transfer.referrer;
        match action {
            Action::Notify { status, last } => self.notify(status, last),
            Action::Call => return self.call(wanted?).err().map(Event::Refused),
            Action::Cancel => {
                let purpose = match self.transfer.target {
                    Target::New { .. } => Purpose::Target,
                    Target::Known { .. } => Purpose::Connect { step: TAKE },
                };
                self.tools.orders.push(Order::Cancel { errand: self.errand(referrer, purpose) });
            }
            Action::Change => {
                if self.change().is_none() {
                    return Some(Event::NotChanged(500));
                }
            }
            Action::Join => {
                self.join();
            }
            Action::HangUpReferrer => self.hang_up_side(referrer),
            Action::HangUpOther => self.hang_up_side(referrer.other()),
            Action::HangUpTarget => {
                self.hang_up_target();
            }
        }
        None
    }

    fn errand(&self, end: End, purpose: Purpose) -> Errand {
        Errand { call: self.id, end, purpose }
    }

    /// Tells the referrer how far it is.
    fn notify(&mut self, status: u16, last: bool) {
        let errand = self.errand(self.transfer.referrer, Purpose::Notify);
        let Tools { lives, edits, orders, .. } = &mut *self.tools;
        let (event, state) =
            (event(self.transfer.id), subscription_state(last, self.env.edge.timing.timer_c.as_secs()));
        let call = match &mut self.transfer.before {
            Some(before) => Some(&mut **before),
            None => lives.get_mut(self.id),
        };
        let Some(call) = call else { return };
        let body = sipfrag(status);
        if let Some(request) = compose::notify(self.env, edits, call, errand.end, (&event, &state), body.as_bytes()) {
            orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        }
    }

    /// Calls the target; gives the status that tells why not.
    fn call(&mut self, wanted: &Wanted<'_>) -> Result<(), u16> {
        match self.transfer.target {
            Target::New { leg } => self.invite(wanted, leg),
            Target::Known { call, near } => self.take(call, near).ok_or(500),
        }
    }

    fn invite(&mut self, wanted: &Wanted<'_>, leg: u16) -> Result<(), u16> {
        let (env, referrer) = (self.env, self.transfer.referrer);
        let call = self.tools.lives.get(self.id).ok_or(481_u16)?;
        let other = call.leg(referrer.other());
        let request = invite::compose(env, call, referrer, wanted.request, wanted.refer_to, &self.transfer.offer);
        let request = request.ok_or(400_u16)?;
        let message = Message::reread(&request).ok_or(400_u16)?;
        let to = invite::destination(env, &mut self.out.counts, call, referrer, &message);
        let to = to.map_err(|refusal| refusal.status)?;
        let from = invite::sender(env, call, referrer).ok_or(503_u16)?;
        let errand = self.errand(referrer, Purpose::Target);
        let behalf =
            Behalf { leg, known_as: other.own_tag().into(), site: other.site, back_offset: self.transfer.offset };
        self.tools.orders.push(Order::Invite(Box::new(Invitation {
            errand,
            request,
            from,
            listener: other.listener,
            behalf: Arc::new(behalf),
            to: Some(to),
            ack: Ack::AtOnce,
        })));
        Ok(())
    }

    /// Offers the other side's description to a target that is in another call.
    fn take(&mut self, known: LiveId, near: End) -> Option<()> {
        let Tools { lives, edits, orders, .. } = &mut *self.tools;
        let peer = lives.get(known)?.leg(near.other()).clone();
        let call = lives.get(self.id)?;
        let keep = self.transfer.referrer.other();
        let mut after = Box::new(connected(call, keep, peer, None, self.transfer.offset));
        let request = compose::re_invite(self.env, edits, &mut after, End::Callee, &self.transfer.offer)?;
        self.transfer.after = Some(after);
        let errand = Errand { call: self.id, end: self.transfer.referrer, purpose: Purpose::Connect { step: TAKE } };
        orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        Some(())
    }

    /// Sends the other side the target's description and a Contact that leads to it.
    fn change(&mut self) -> Option<()> {
        let errand = self.errand(self.transfer.referrer.other(), Purpose::Connect { step: CHANGE });
        let after = self.transfer.after.as_mut()?;
        let description = after.leg(End::Callee).sdp.clone();
        let Tools { edits, orders, .. } = &mut *self.tools;
        let request = compose::re_invite(self.env, edits, after, End::Caller, &description)?;
        orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        Some(())
    }

    /// The other side and the target are the call from now on.
    fn join(&mut self) -> Option<()> {
        let mut after = self.transfer.after.take()?;
        let keep = self.transfer.referrer.other();
        let call = self.tools.lives.get(self.id)?;
        let numbers = after.leg(End::Caller);
        let kept = LiveLeg {
            sent_cseq: numbers.sent_cseq.max(call.leg(keep).sent_cseq),
            cseq_offset: numbers.cseq_offset,
            ..call.leg(keep).clone()
        };
        *after.leg_mut(End::Caller) = kept;
        self.transfer.before = Some(Box::new(call.clone()));
        if let Target::Known { call: known, near } = self.transfer.target {
            self.leave_known(known, near);
        }
        self.tools.lives.connect(self.env.secrets, self.id, keep, after);
        turn::note_connected(self.env, self.out, &self.tools.lives, self.id);
        self.out.counts.transferred += 1;
        Some(())
    }

    /// The target's other call is over: its peer there was talking to it until now.
    fn leave_known(&mut self, known: LiveId, near: End) {
        let Tools { lives, edits, orders, .. } = &mut *self.tools;
        let Some(call) = lives.get_mut(known) else { return };
        if let Some(request) = compose::bye(self.env, edits, call, near, Cause::Transferred.reason()) {
            let errand = Errand { call: known, end: near, purpose: Purpose::HangUp };
            orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        }
        self.forget(known);
    }

    /// Sends a side of the call as it was a BYE.
    fn hang_up_side(&mut self, end: End) {
        let errand = self.errand(end, Purpose::HangUp);
        let Tools { lives, edits, orders, .. } = &mut *self.tools;
        let call = match &mut self.transfer.before {
            Some(before) => Some(&mut **before),
            None => {
                self.ended = true;
                lives.get_mut(self.id)
            }
        };
        let Some(call) = call else { return };
        if let Some(request) = compose::bye(self.env, edits, call, end, Cause::Transferred.reason()) {
            orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        }
    }

    /// Ends the call with the target, or gives it back to the call that it was in.
    fn hang_up_target(&mut self) -> Option<()> {
        let after = self.transfer.after.as_mut()?;
        let Tools { lives, edits, orders, .. } = &mut *self.tools;
        let (errand, request) = match self.transfer.target {
            Target::New { .. } => {
                let errand = Errand { call: self.id, end: self.transfer.referrer, purpose: Purpose::HangUp };
                (errand, compose::bye(self.env, edits, after, End::Callee, Cause::Transferred.reason())?)
            }
            Target::Known { call: known, near } => {
                let call = lives.get_mut(known)?;
                let used = after.leg(End::Callee).sent_cseq;
                let leg = call.leg_mut(near.other());
                leg.sent_cseq = leg.sent_cseq.max(used);
                let description = call.leg(near).sdp.clone();
                let errand = Errand { call: known, end: near.other(), purpose: Purpose::Connect { step: GIVE_BACK } };
                (errand, compose::re_invite(self.env, edits, call, near.other(), &description)?)
            }
        };
        orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        Some(())
    }

    /// Puts the transfer back where it is found, or forgets it.
    fn conclude(mut self) {
        if !self.transfer.machine.is_over() {
            if let Some(call) = self.tools.lives.get_mut(self.id) {
                call.transfer = Some(self.transfer);
            }
            return;
        }
        let until = self.env.now + self.env.edge.timing.timer_l();
        for leg in self.transfer.aside() {
            self.tools.lives.bury_leg(self.env.secrets, leg, until, true);
        }
        if self.ended {
            self.forget(self.id);
        }
    }

    fn forget(&mut self, id: LiveId) {
        let memory = (self.env.now, self.env.edge.timing.timer_l());
        let lives = &mut self.tools.lives;
        if let Some(mut call) = lives.remove(self.env.secrets, memory, id, true) {
            record::of_call(self.env, lives, self.out, &mut call, record::Ending::Edge(Cause::Transferred));
        }
    }
}
