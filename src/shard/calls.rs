//! Calls that are up, as their shard sees them: requests inside them are decided about, what the machines of a call want
//! is done, and what nobody speaks of any more is forgotten.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::requests::refuse;
use super::{CALLS, Incoming, Shard};
use crate::call::branch::ContextId;
use crate::call::context::{BeginErrand, BeginLocal, Context, ack_key};
use crate::call::destination::{self, Asking, Destination};
use crate::call::live::errand::{Composed, Invitation};
use crate::call::live::hang_up::{Cause, hang_up};
use crate::call::live::learn::note_request;
use crate::call::live::midcall::{self, Within};
use crate::call::live::{
    Ack, End, Errand, Known, LegKey, LiveCall, LiveId, MAX_ERRANDS, Midcall, News, Order, Purpose, session, transfer,
};
use crate::call::owned::{Behalf, Dialog, cseq};
use crate::call::record::{self, Ending};
use crate::call::screen::Refusal;
use crate::call::{Env, Output, Tools, draw, key_parts};
use crate::sip::{Essentials, HeaderName, Message};
use crate::transaction::{Due, Key};
use crate::trunk::{ListenerId, TrunkId};

/// How often the memory of calls is gone through for what nobody speaks of any more.
const SWEEP: Duration = Duration::from_secs(600);

/// News and orders that one event may bring about one after the other, before the rest waits for the next event: no
/// fault of a machine may keep a shard busy for ever.
const MAX_ROUNDS: usize = 32;

/// The entry of the wheel for [`SWEEP`].
const SWEEP_ENTRY: u32 = u32::MAX;

/// The key of the leg that a request comes on.
pub(super) fn leg_key(env: &Env<'_>, essentials: &Essentials<'_>) -> LegKey {
    let (peer_tag, own_tag) = (essentials.from_tag.unwrap_or_default(), essentials.to_tag.unwrap_or_default());
    LegKey::new(env.secrets, essentials.call_id, peer_tag, own_tag)
}

/// Where routing sends an INVITE that the edge makes in the name of a side.
fn route_own(env: &Env<'_>, out: &mut Output, from: TrunkId, bytes: &Bytes) -> Result<Destination, Refusal> {
    let fault = Refusal::new(400, "Bad Request");
    let Some(request) = Message::reread(bytes) else { return Err(fault) };
    let Ok(uri) = request.uri() else { return Err(fault) };
    let draw = draw(env.secrets, request.value(HeaderName::CallId).unwrap_or_default());
    let asking = Asking { edge: env.edge, from, request: &request, unix: env.unix, draw };
    destination::of_initial(&asking, &uri, &mut out.counts)
}

impl Shard {
    /// Calls that are up.
    pub fn calls(&self) -> usize {
        self.tools.lives.len()
    }

    /// The calls that are up.
    pub fn live_calls(&self) -> impl Iterator<Item = &LiveCall> {
        self.tools.lives.iter()
    }

    /// Ends a call on both sides, as an operator wants it.
    pub fn hang_up(&mut self, env: &Env<'_>, out: &mut Output, id: LiveId, cause: Cause) {
        self.with_shelf(env, out, |shard, out| hang_up(env, &mut shard.tools, out, id, cause));
    }

    /// What is known of the leg that a request comes on.
    pub(super) fn known_leg(&self, env: &Env<'_>, essentials: &Essentials<'_>) -> Option<Known> {
        // Most requests are of no call.
        essentials.to_tag.filter(|_| !self.tools.lives.is_blank())?;
        self.tools.lives.find(leg_key(env, essentials))
    }

    /// A request inside a dialog between owned legs.
    pub(super) fn handle_midcall(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        key: Key,
        (dialog, destination): (&Dialog, Destination),
    ) {
        let Incoming { flow, from, request, essentials, .. } = *incoming;
        let known = self.known_leg(env, essentials);
        let method = request.method();
        if let Some(Known::Ended { by_edge: true }) = known {
            // The peer's BYE has crossed the edge's (RFC 3261 section 15.1.2); anything else comes too late.
            let refusal = match method {
                b"BYE" => Refusal::new(200, "OK"),
                _ => Refusal::new(481, "Call/Transaction Does Not Exist"),
            };
            return refuse(env, out, incoming, &refusal);
        }
        let call = known.and_then(|known| match known {
            Known::Up(id, end) => Some((id, end)),
            Known::Aside(_) | Known::Ended { .. } => None,
        });
        let context = self.next_id(env);
        let within = Within { request, essentials, flow, from, dialog, call, context };
        let answer = match midcall::decide(env, &mut self.tools, out, &within) {
            Midcall::Pass => {
                if known.is_none() && method == b"BYE" {
                    self.tell_unknown(env, out, incoming, dialog);
                }
                self.note_passing(env, out, &within);
                return self.begin(env, out, incoming, (context, Some(key)), destination, (0, None));
            }
            Midcall::Answer(answer) => Some(answer),
            Midcall::Take => None,
        };
        if let Some((id, end)) = call {
            self.note_heard(env, id, end, essentials.cseq.number);
        }
        let begin = BeginLocal { id: context, flow, request, essentials, from, call };
        let context = Context::begin_local(env, &mut self.tools, out, begin, answer.as_ref());
        self.enter(env, out, incoming, Some(key), context);
    }

    fn note_heard(&mut self, env: &Env<'_>, id: LiveId, end: End, number: u32) {
        if let Some(call) = self.tools.lives.get_mut(id) {
            call.seen = env.now;
            let heard = &mut call.leg_mut(end).heard_cseq;
            *heard = number.max(*heard);
        }
    }

    /// A request passes from one leg to the other. One that ends the call does so at once, whatever the answer to it is
    /// (RFC 3261 section 15.1.1).
    fn note_passing(&mut self, env: &Env<'_>, out: &mut Output, within: &Within<'_>) {
        let Within { request, essentials, dialog, call, context, .. } = *within;
        let bye = request.method() == b"BYE";
        match call {
            Some((id, end)) if bye => {
                self.drop_call(env, out, id, Ending::Bye(end, request));
            }
            Some((id, end)) => {
                if let Some(call) = self.tools.lives.get_mut(id) {
                    note_request(call, end, request, env.now, context);
                }
            }
            None => {
                let own_tag = dialog.from_tag.as_deref().or(essentials.from_tag).unwrap_or_default();
                let peer_tag = dialog.to_tag.as_deref().or(essentials.to_tag).unwrap_or_default();
                let far = LegKey::new(env.secrets, &dialog.call_id, peer_tag, own_tag);
                if bye {
                    // Its 2xx may still be on the way.
                    let until = env.now + env.edge.timing.timer_l();
                    for key in [leg_key(env, essentials), far] {
                        self.tools.lives.bury(key, until, false);
                    }
                } else {
                    // The call may come up as long as its INVITE may ring.
                    let until = env.now + env.edge.timing.timer_c;
                    let number = cseq::far(essentials.cseq.number, dialog.cseq_offset);
                    self.tools.lives.note_early(far, number, until);
                }
            }
        }
    }

    /// Forgets a call that a side has ended, or nobody speaks of any more.
    fn drop_call(&mut self, env: &Env<'_>, out: &mut Output, id: LiveId, ending: Ending<'_>) {
        let memory = env.edge.timing.timer_l();
        let lives = &mut self.tools.lives;
        let Some(mut call) = lives.remove(env.secrets, (env.now, memory), id, false) else { return };
        record::of_call(env, lives, out, &mut call, ending);
        self.tools.orders.extend(call.errands.iter().map(|&(_, context)| Order::GiveUp { context }));
    }

    /// Hands the ACK of an answer of the edge's own to its context.
    pub(super) fn handle_local_ack(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>) -> bool {
        let Incoming { request, essentials, .. } = *incoming;
        if self.awaiting_ack.is_empty() {
            return false;
        }
        let key = ack_key(env, essentials, essentials.to_tag.unwrap_or_default());
        let Some(&slot) = self.awaiting_ack.get(&key) else { return false };
        let Some((context, _)) = self.contexts.get_mut(slot as usize) else { return false };
        context.handle_local_ack(&mut self.tools, out, request);
        true
    }

    /// After an event of a context: what the table of calls says of it is made true.
    pub(super) fn settle_calls(&mut self, env: &Env<'_>, slot: u32) {
        let Some((context, _)) = self.contexts.get(slot as usize) else { return };
        let (id, over) = (context.id, context.is_over());
        if let Some(key) = context.ack_key() {
            self.awaiting_ack.insert(key, slot);
        } else if over && !self.awaiting_ack.is_empty() {
            self.awaiting_ack.retain(|_, other| *other != slot);
        }
        let Some(call) = context.live().and_then(|call| self.tools.lives.get_mut(call)) else { return };
        if call.passing == Some(id) && (over || context.is_answered()) {
            call.passing = None;
        }
        if over || context.errand().is_some_and(|(_, settled)| settled) {
            call.errands.retain(|&(_, other)| other != id);
        }
        let call = call.id;
        self.arm_call(env, call);
    }

    /// Hands news to the machines of calls and does what they want, until there is nothing more of either.
    pub(super) fn work_off(&mut self, env: &Env<'_>, out: &mut Output) {
        for _ in 0..MAX_ROUNDS {
            if self.tools.news.is_empty() && self.tools.orders.is_empty() {
                break;
            }
            for news in std::mem::take(&mut self.tools.news) {
                self.hear(env, out, news);
            }
            for order in std::mem::take(&mut self.tools.orders) {
                self.carry_out(env, out, order);
            }
        }
        self.arm_sweep(env);
    }

    fn hear(&mut self, env: &Env<'_>, out: &mut Output, news: News) {
        let call = match &news {
            News::Errand { errand, .. } => Some(errand.call),
            News::GivenUp { call, .. } | News::NotAcknowledged { call, .. } | News::Acknowledged { call, .. } => {
                call.map(|(id, _)| id)
            }
        };
        midcall::hear(env, &mut self.tools, out, news);
        if let Some(call) = call {
            self.arm_call(env, call);
        }
    }

    fn carry_out(&mut self, env: &Env<'_>, out: &mut Output, order: Order) {
        match order {
            Order::Ask { errand, request, ack } => self.ask(env, out, errand, request, ack),
            Order::Invite(invitation) => self.invite(env, out, *invitation),
            Order::Cancel { errand } => {
                if let Some(context) = self.context_of(errand) {
                    self.with_context(env, out, context, |context, env, tools, out| context.give_up(env, tools, out));
                }
            }
            Order::GiveUp { context } => {
                self.with_context(env, out, context, |context, env, tools, out| context.give_up(env, tools, out));
            }
            Order::Acknowledge { errand, content_type, body } => {
                if let Some(context) = self.context_of(errand) {
                    self.with_context(env, out, context, |context, env, _, out| {
                        context.acknowledge(env, out, content_type, &body);
                    });
                }
            }
            Order::Answer { context, answer } => {
                self.with_context(env, out, context, |context, env, _, out| context.answer_local(env, out, &answer));
            }
            Order::HangUp { call, cause } => hang_up(env, &mut self.tools, out, call, cause),
        }
    }

    fn context_of(&self, errand: Errand) -> Option<ContextId> {
        let call = self.tools.lives.get(errand.call)?;
        call.errands.iter().rev().find(|(other, _)| *other == errand).map(|&(_, context)| context)
    }

    /// Lets something happen to a context that is no event from outside.
    fn with_context(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        id: ContextId,
        happen: impl FnOnce(&mut Context, &Env<'_>, &mut Tools, &mut Output),
    ) {
        let context = self.contexts.get_mut(id.slot as usize).map(|(context, _)| context);
        let Some(context) = context.filter(|context| context.id == id) else { return };
        let had_server = context.has_server();
        happen(context, env, &mut self.tools, out);
        self.settle(env, id.slot, had_server);
    }

    fn ask(&mut self, env: &Env<'_>, out: &mut Output, errand: Errand, request: Composed, ack: Ack) {
        let Composed { bytes, to } = request;
        let listener = env.edge.trunk(to.trunk).map_or(ListenerId(0), |trunk| trunk.listener);
        let from = to.trunk;
        self.begin_errand(env, out, (errand, ack), (from, listener, None), &bytes, Destination::only(to));
    }

    fn invite(&mut self, env: &Env<'_>, out: &mut Output, invitation: Invitation) {
        let Invitation { errand, request, from, listener, behalf, to, ack } = invitation;
        let to = to.map_or_else(|| route_own(env, out, from, &request), Ok);
        match to {
            Ok(to) => self.begin_errand(env, out, (errand, ack), (from, listener, Some(behalf)), &request, to),
            Err(refusal) => {
                let news = News::Errand { errand, status: refusal.status, response: None, leg: None };
                self.tools.news.push(news);
            }
        }
    }

    fn begin_errand(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        (errand, ack): (Errand, Ack),
        (from, listener, behalf): (TrunkId, ListenerId, Option<Arc<Behalf>>),
        bytes: &Bytes,
        destination: Destination,
    ) {
        let failed = News::Errand { errand, status: 503, response: None, leg: None };
        // The edge's own requests take the place of no call for help, and hanging up has to be possible at any time.
        let full = self.is_full(errand.purpose == Purpose::HangUp);
        let too_many = self.tools.lives.get(errand.call).is_some_and(|call| call.errands.len() >= MAX_ERRANDS);
        let Some(request) = Message::reread(bytes).filter(|_| !full && !too_many) else {
            out.counts.over_limit += u32::from(full);
            return self.tools.news.push(failed);
        };
        let Ok(essentials) = Essentials::of_request(&request, &env.edge.limits) else {
            return self.tools.news.push(failed);
        };
        let id = self.next_id(env);
        if let Some(call) = self.tools.lives.get_mut(errand.call) {
            call.errands.push((errand, id));
        }
        let (request, essentials) = (&request, &essentials);
        let begin = BeginErrand { id, errand, request, essentials, from, listener, behalf, destination, ack };
        let context = Context::begin_errand(env, &mut self.tools, out, begin);
        let key = Key::of_request(&env.secrets.hash, &key_parts(request, essentials));
        let slot = self.put(context, key);
        self.settle(env, slot, false);
    }

    /// A timer entry of calls came due.
    pub(super) fn handle_call_due(&mut self, env: &Env<'_>, out: &mut Output, entry: Due) {
        if entry.id == SWEEP_ENTRY {
            return self.sweep(env, out);
        }
        let Some(id) = self.tools.lives.at(entry.id & !CALLS, entry.generation) else { return };
        if let Some(call) = self.tools.lives.get_mut(id) {
            call.alarm.handle_due(env.now);
        }
        session::handle_due(env, &mut self.tools, out, id);
        transfer::handle_due(env, &mut self.tools, out, id);
        self.arm_call(env, id);
    }

    /// Sets the timer of a call.
    fn arm_call(&mut self, env: &Env<'_>, id: LiveId) {
        let Some(call) = self.tools.lives.get_mut(id) else { return };
        let next = [session::next_timeout(call), transfer::next_timeout(call)].into_iter().flatten().min();
        if let Some(at) = call.alarm.cover(env.now, next) {
            self.wheel.arm(id.slot | CALLS, id.generation, at);
        }
    }

    fn arm_sweep(&mut self, env: &Env<'_>) {
        if self.sweep.is_none() && !(self.tools.lives.is_blank() && self.tools.through.is_empty()) {
            let at = env.now + SWEEP;
            self.sweep = Some(at);
            self.wheel.arm(SWEEP_ENTRY, 0, at);
        }
    }

    /// Forgets calls of which nothing was seen for as long as a token is taken: whoever is left of them cannot be
    /// helped any more.
    fn sweep(&mut self, env: &Env<'_>, out: &mut Output) {
        self.sweep = None;
        self.tools.lives.forget(env.now);
        let age = env.edge.seal_max_age;
        if env.now.since(crate::transaction::Moment::START) > age {
            for id in self.tools.lives.unseen_since(env.now - age) {
                self.drop_call(env, out, id, Ending::Forgotten);
            }
        }
        self.sweep_through(env, out);
    }
}
