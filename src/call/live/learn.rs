//! What messages that pass between the legs teach about a call: it is up, a side has another target, another session
//! description, other numbers.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::table::{Known, LegKey};
use super::{Allowed, End, LiveCall, LiveId, LiveLeg, SessionState, Supports, replace, session};
use crate::call::Env;
use crate::call::admission::Ticket;
use crate::call::branch::ContextId;
use crate::call::dialect::media;
use crate::call::edge::Edge;
use crate::call::leg::Leg;
use crate::call::owned::{Crossing, Dialog, LEG_STEP, cseq, mark, site_of};
use crate::call::progress::{BeginProgress, Kept, Progress};
use crate::call::seal::{Hold, Side};
use crate::call::{Output, Tools};
use crate::routing::{Site, SiteMark};
use crate::sdp::Lines;
use crate::sip::{HeaderName, Message, NameAddr};
use crate::transaction::{Alarm, Moment};
use crate::trunk::{Hop, ListenerId, TrunkId};

/// Where numbers of the edge's own begin on a leg whose numbers a restart made it forget: above any that it has used.
const AFRESH: u32 = 1 << 29;

/// A 2xx to an INVITE or UPDATE that passed from one leg to the other.
#[derive(Clone, Copy, Debug)]
pub struct Agreed<'a> {
    pub edge: &'a Edge,
    /// The request as it came, or what [`crate::call::owned::digest`] left of it.
    pub request: &'a Message,
    /// The request as it was sent on; `None`: it was let go, since another fork has answered before.
    pub sent: Option<&'a Message>,
    /// The answer as it came.
    pub response: &'a Message,
    pub crossing: &'a Crossing,
    /// The trunk and the listener that the request came by.
    pub from: TrunkId,
    pub listener: ListenerId,
    /// Where it was sent.
    pub hop: &'a Hop,
    /// What routing asked for.
    pub leg: Option<&'a Leg>,
    /// The call that the first answer of the same INVITE made.
    pub first: Option<LiveId>,
    /// Requests of the edge's own that went to whoever answered before: PRACKs.
    pub own_requests: u32,
}

impl Agreed<'_> {
    /// The side that sent the request.
    pub const fn near(&self) -> End {
        match self.crossing.near {
            Side::Caller { .. } => End::Caller,
            Side::Callee => End::Callee,
        }
    }
}

/// Learns from a 2xx that passes back; gives the call when it is remembered. One that is new takes the `progress` of its
/// INVITE.
pub fn learn(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    agreed: &Agreed<'_>,
    progress: &mut Option<Box<Progress>>,
) -> Option<LiveId> {
    let method = agreed.response.cseq().ok()?.method;
    let Agreed { request, response, .. } = *agreed;
    let call_id = request.value(HeaderName::CallId).unwrap_or_default();
    let own_tag = request.to_tag().or(response.to_tag()).unwrap_or_default();
    let peer_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
    let key = LegKey::new(env.secrets, call_id, peer_tag, own_tag);
    match tools.lives.find(key) {
        // A copy of the first answer tells nothing that is not older than what is known.
        Some(Known::Up(id, _)) if agreed.crossing.dialog.is_none() => Some(id),
        Some(Known::Up(id, end)) => {
            let call = tools.lives.get_mut(id)?;
            refresh(call, end, agreed);
            call.seen = env.now;
            session::agreed(env, call, agreed);
            Some(id)
        }
        Some(Known::Aside(_) | Known::Ended { .. }) => None,
        None if let Some(taken) = agreed.crossing.dialog.as_ref().and_then(|dialog| dialog.joins) => {
            replace::learn(env, tools, out, agreed, taken)
        }
        None if method == b"INVITE" && !tools.lives.has_room() => {
            out.counts.calls_not_remembered += 1;
            None
        }
        None if method == b"INVITE" => {
            let first = agreed.first.and_then(|id| tools.lives.get(id));
            let mut call = Box::new(new_call(env, agreed, first)?);
            session::agreed(env, &mut call, agreed);
            call.progress.0 = if call.relearned { Some(relearned(env, agreed, &call)) } else { progress.take() };
            call.forked = first.is_some();
            if let Some(first) = agreed.first.and_then(|id| tools.lives.get_mut(id)) {
                first.forked = true;
            }
            match tools.lives.insert(env.secrets, call) {
                Ok(id) => Some(id),
                Err(mut call) => {
                    out.counts.calls_not_remembered += 1;
                    if !call.relearned {
                        *progress = call.progress.take();
                    }
                    None
                }
            }
        }
        None => None,
    }
}

fn new_call(env: &Env<'_>, agreed: &Agreed<'_>, first: Option<&LiveCall>) -> Option<LiveCall> {
    let dialog = agreed.crossing.dialog.as_deref();
    let near = agreed.near();
    let near_leg = near_leg(agreed, dialog, first)?;
    let far_leg = far_leg(agreed, dialog, first)?;
    let leg = match (agreed.crossing.near, dialog.map(|dialog| dialog.far_side)) {
        (Side::Caller { leg }, _) | (Side::Callee, Some(Side::Caller { leg })) => leg,
        (Side::Callee, _) => return None,
    };
    let hold = hold_after(agreed, dialog.map_or(Hold::None, |dialog| dialog.hold));
    let tenant = || {
        let sites = agreed.edge.routing.sites();
        let site = [near_leg.site, far_leg.site].into_iter().flatten().find_map(|mark| sites.marked(mark));
        site.map(|site| site.tenant.clone())
    };
    Some(LiveCall {
        id: LiveId::default(),
        key: agreed.crossing.key,
        leg,
        named: dialog.is_some_and(|dialog| dialog.call_id_named),
        transfers: u8::try_from(leg / LEG_STEP).unwrap_or(u8::MAX),
        transfer: None,
        adopted: false,
        hold: if near == End::Caller { hold } else { hold.turned() },
        emergency: agreed.crossing.emergency,
        engine: dialog.and_then(|dialog| dialog.engine),
        began: env.now,
        began_unix: env.unix,
        relearned: dialog.is_some(),
        seen: env.now,
        tenant: tenant().or_else(|| Some(agreed.leg?.tenant.as_ref()?.id.clone())),
        progress: Kept::default(),
        forked: false,
        alarm: Alarm::default(),
        errands: Vec::new(),
        passing: None,
        legs: if near == End::Caller { [near_leg, far_leg] } else { [far_leg, near_leg] },
    })
}

/// What can still be said of a call whose INVITE this process has not seen.
fn relearned(env: &Env<'_>, agreed: &Agreed<'_>, call: &LiveCall) -> Box<Progress> {
    let user = |end| NameAddr::parse(&call.leg(end).peer).ok().and_then(|peer| peer.uri().ok()?.user);
    let [caller, callee] = match agreed.near() {
        End::Caller => [agreed.from, agreed.hop.trunk],
        End::Callee => [agreed.hop.trunk, agreed.from],
    };
    let mut progress = Progress::begin(BeginProgress {
        from: caller,
        tenant: call.tenant.clone(),
        site: None,
        emergency: call.emergency,
        now: env.now,
        unix_ms: 0,
        call_id: &call.leg(End::Caller).call_id,
        caller: user(End::Caller).unwrap_or_default(),
        called: user(End::Callee).unwrap_or_default(),
        ticket: Ticket::default(),
    });
    progress.to = Some((callee, None));
    Box::new(progress)
}

/// The leg on which the request came.
pub fn near_leg(agreed: &Agreed<'_>, dialog: Option<&Dialog>, first: Option<&LiveCall>) -> Option<LiveLeg> {
    let Agreed { edge, request, response, .. } = *agreed;
    let number = request.cseq().ok()?.number;
    let to = request.value(HeaderName::To)?;
    let tag = response.to_tag().filter(|_| request.to_tag().is_none());
    // In one block that need not be made smaller.
    let mut own = Vec::with_capacity(to.len() + tag.map_or(0, |tag| b";tag=".len() + tag.len()));
    own.extend_from_slice(to);
    if let Some(tag) = tag {
        own.extend_from_slice(b";tag=");
        own.extend_from_slice(tag);
    }
    let host = request.uri().map(|uri| uri.host).unwrap_or_default();
    let mut routes = joined(request.values(HeaderName::RecordRoute).filter_map(Result::ok));
    if routes.is_empty() {
        routes = joined(dialog.into_iter().flat_map(Dialog::near_routes));
    }
    let offer = agreed.sent.map(sdp_of).unwrap_or_default();
    let offer = if offer.is_empty() { first.map_or(offer, |call| &call.leg(agreed.near()).sdp) } else { offer };
    Some(LiveLeg {
        mark: mark(edge, agreed.from),
        listener: agreed.listener,
        site: site_of(edge, agreed.from, host).map(Site::mark),
        call_id: request.value(HeaderName::CallId)?.into(),
        own: own.into(),
        peer: request.value(HeaderName::From)?.into(),
        target: contact_of(request)?.into(),
        routes,
        sent_cseq: 0,
        cseq_floor: if dialog.is_some() { AFRESH } else { 0 },
        heard_cseq: number,
        cseq_offset: agreed.crossing.cseq_offset(),
        sdp: offer.into(),
        allows: Allowed::of(request).unwrap_or_default(),
        supports: Supports::of(request).unwrap_or_default(),
        session: SessionState::default(),
    })
}

/// The leg on which it was sent on.
pub fn far_leg(agreed: &Agreed<'_>, dialog: Option<&Dialog>, first: Option<&LiveCall>) -> Option<LiveLeg> {
    let Agreed { edge, response, hop, .. } = *agreed;
    let (call_id, own, sent_cseq) = match (agreed.sent, first) {
        (Some(sent), _) => (sent.value(HeaderName::CallId)?, sent.value(HeaderName::From)?, sent.cseq().ok()?.number),
        (None, Some(call)) => {
            let leg = call.leg(agreed.near().other());
            (&*leg.call_id, &*leg.own, response.cseq().ok()?.number)
        }
        (None, None) => return None,
    };
    let routes = match dialog {
        Some(dialog) => joined(dialog.routes()),
        None => {
            let mut routes: Vec<_> = response.values(HeaderName::RecordRoute).filter_map(Result::ok).collect();
            routes.reverse();
            joined(routes)
        }
    };
    let site: Option<SiteMark> = match dialog {
        Some(dialog) => dialog.site,
        None => agreed.leg.and_then(|leg| leg.site.as_deref()).map(Site::mark),
    };
    Some(LiveLeg {
        mark: mark(edge, hop.trunk),
        listener: hop.listener,
        site,
        call_id: call_id.into(),
        own: own.into(),
        peer: response.value(HeaderName::To)?.into(),
        target: contact_of(response).or(dialog.map(Dialog::target))?.into(),
        routes,
        sent_cseq: sent_cseq.saturating_add(agreed.own_requests),
        cseq_floor: 0,
        heard_cseq: 0,
        cseq_offset: dialog.map_or(0, |dialog| dialog.back_offset),
        sdp: sdp_of(response).into(),
        allows: Allowed::of(response).unwrap_or_default(),
        supports: Supports::of(response).unwrap_or_default(),
        session: SessionState::default(),
    })
}

/// What a peer says of itself in an answer inside its dialog.
pub fn heard_of(leg: &mut LiveLeg, message: &Message) {
    set(&mut leg.sdp, sdp_of(message));
    set(&mut leg.target, contact_of(message).unwrap_or_default());
    leg.allows = Allowed::of(message).unwrap_or(leg.allows);
    leg.supports = Supports::of(message).unwrap_or(leg.supports);
}

/// Who holds from then on, as the side sees it that sent the request.
fn hold_after(agreed: &Agreed<'_>, before: Hold) -> Hold {
    let Crossing { dialog, offer, .. } = agreed.crossing;
    media::agreed(before, dialog.is_none(), *offer, media::said_in(agreed.response))
}

/// A request inside the dialog was agreed to.
fn refresh(call: &mut LiveCall, near: End, agreed: &Agreed<'_>) {
    let Agreed { request, response, .. } = *agreed;
    let offer = agreed.sent.map(sdp_of).unwrap_or_default();
    call.hold = match near {
        End::Caller => hold_after(agreed, call.hold),
        End::Callee => hold_after(agreed, call.hold.turned()).turned(),
    };
    for (end, message, sdp) in [(near, request, offer), (near.other(), response, sdp_of(response))] {
        let leg = call.leg_mut(end);
        set(&mut leg.sdp, sdp);
        set(&mut leg.target, contact_of(message).unwrap_or_default());
        leg.allows = Allowed::of(message).unwrap_or(leg.allows);
        leg.supports = Supports::of(message).unwrap_or(leg.supports);
    }
    if agreed.crossing.shift > 0 {
        call.leg_mut(near).cseq_offset = agreed.crossing.cseq_offset();
        let sent = agreed.sent.and_then(|sent| sent.cseq().ok()).map_or(0, |cseq| cseq.number);
        let to = call.leg_mut(near.other());
        to.sent_cseq = to.sent_cseq.max(sent);
    }
}

/// A request inside a call passes: its numbers are noted, and that an offer may be under way.
pub fn note_request(call: &mut LiveCall, near: End, request: &Message, now: Moment, context: ContextId) {
    call.seen = now;
    let Ok(number) = request.cseq().map(|cseq| cseq.number) else { return };
    let offset = offset_for(call, near, number);
    let from = call.leg_mut(near);
    from.cseq_offset = offset;
    from.heard_cseq = number.max(from.heard_cseq);
    let to = call.leg_mut(near.other());
    to.sent_cseq = cseq::far(number, offset).max(to.sent_cseq);
    to.cseq_floor = 0;
    if matches!(request.method(), b"INVITE" | b"UPDATE") {
        call.passing = Some(context);
    }
}

/// What is added to number `number` of a side so that the other gets one that is greater than any before.
pub fn offset_for(call: &LiveCall, near: End, number: u32) -> i32 {
    let (from, to) = (call.leg(near), call.leg(near.other()));
    if number <= from.heard_cseq {
        return from.cseq_offset;
    }
    cseq::offset_after(to.sent_cseq, number, from.cseq_offset)
}

/// The ACK of an INVITE without an offer brings the answer.
pub fn note_ack(call: &mut LiveCall, near: End, ack: &Message, now: Moment) {
    call.seen = now;
    set(&mut call.leg_mut(near).sdp, sdp_of(ack));
}

/// Takes over the description in a message of a leg's peer; whether it says anything new but its version.
pub(super) fn hear_description(leg: &mut LiveLeg, message: &Message) -> bool {
    let sdp = sdp_of(message);
    if sdp.is_empty() {
        return false;
    }
    let changed = !is_same_session(&leg.sdp, sdp);
    set(&mut leg.sdp, sdp);
    leg.session.heard = mark_of(sdp);
    changed
}

/// Takes over the Contact in a message of a leg's peer; whether it is another.
pub(super) fn hear_target(leg: &mut LiveLeg, message: &Message) -> bool {
    let target = contact_of(message).unwrap_or_default();
    let moved = !target.is_empty() && *leg.target != *target;
    set(&mut leg.target, target);
    moved
}

/// Whether two descriptions say the same, whatever their version (RFC 8866 section 5.2).
fn is_same_session(one: &[u8], other: &[u8]) -> bool {
    let told = |sdp| Lines::new(sdp).filter(|line| matches!(line.kind, b'c' | b'm' | b'a')).map(|line| line.value);
    told(one).eq(told(other))
}

/// A number by which a description is known again: its version and what it says; 0 for none.
pub fn mark_of(sdp: &[u8]) -> u64 {
    if sdp.is_empty() {
        return 0;
    }
    // Whoever finds another description with the same number is answered by the edge, to nobody's harm but its own.
    let mut hash = SipHasher13::new();
    for line in Lines::new(sdp).filter(|line| matches!(line.kind, b'o' | b'c' | b'm' | b'a')) {
        hash.write_u8(line.kind);
        hash.write(line.value);
        hash.write_u8(b'\n');
    }
    hash.finish().max(1)
}

/// Puts a new value in the place of an old one, unless it is empty or the same.
fn set(old: &mut Box<[u8]>, new: &[u8]) {
    if !new.is_empty() && **old != *new {
        *old = new.into();
    }
}

/// The session description in a message, plain or as a part of its body; empty when there is none.
pub fn sdp_of(message: &Message) -> &[u8] {
    crate::sdp::body_of(message).unwrap_or_default()
}

pub(super) fn contact_of(message: &Message) -> Option<&[u8]> {
    let contact = message.contacts().next()?.ok()?;
    (!contact.uri.is_empty()).then_some(contact.uri)
}

/// Route values as the value of one header.
fn joined<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Box<[u8]> {
    let mut out = Vec::new();
    for value in values {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value);
    }
    out.into()
}
