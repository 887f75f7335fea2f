//! What a side asks inside a call and the edge answers itself: refreshes of its session, INVITEs without an offer, and
//! what the other side does not know.

use super::learn::{self, sdp_of};
use super::midcall::{LocalAnswer, Midcall, Within};
use super::timer::too_small;
use super::{End, LiveCall, LiveId, compose, relay, session};
use crate::call::dialect::session::{own_name, warning};
use crate::call::dialect::{Passing, media, methods};
use crate::call::{Env, Tools};
use crate::sip::build::write_line;
use crate::sip::session_expires::write_min_se;
use crate::sip::{Edits, HeaderName, Message};
use crate::trunk::Trunk;
use crate::trunk::dialect::methods::MethodSet;
use crate::trunk::dialect::session::{Offerless, Timer};

/// What an INFO may carry to a side that knows none: it asks for a key frame, of which there is none in a call.
const KEY_FRAME: &[u8] = b"application/media_control+xml";

/// Decides about a request inside a dialog.
pub(super) fn decide(env: &Env<'_>, tools: &mut Tools, within: &Within<'_>) -> Midcall {
    let far = env.edge.trunk_of_mark(within.dialog.far).and_then(|id| env.edge.trunk(id));
    let (Some(near), Some(far)) = (env.edge.trunk(within.from), far) else { return Midcall::Pass };
    let asked = Asked { env, within, near, far };
    match within.request.method() {
        b"INVITE" => asked.invite(tools),
        b"UPDATE" => asked.update(tools),
        // What every side knows, and what others look after.
        b"ACK" | b"CANCEL" | b"BYE" | b"OPTIONS" | b"NOTIFY" | b"PRACK" | b"REFER" => Midcall::Pass,
        method if asked.far_knows(tools, method) => Midcall::Pass,
        b"INFO" => Midcall::Answer(info(within.request)),
        _ => Midcall::Answer(asked.not_allowed(tools)),
    }
}

/// A request and the two trunks that it would pass between.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub env: &'a Env<'a>,
    pub within: &'a Within<'a>,
    pub near: &'a Trunk,
    pub far: &'a Trunk,
}

impl Asked<'_> {
    fn invite(&self, tools: &mut Tools) -> Midcall {
        let request = self.within.request;
        if let Some(refusal) = self.too_small() {
            return refusal;
        }
        if request.body().is_empty() {
            return self.offerless(tools);
        }
        let Some((id, end)) = self.within.call else { return Midcall::Pass };
        let Tools { lives, edits, .. } = tools;
        let Some(call) = lives.get_mut(id) else { return Midcall::Pass };
        // Nothing may pass to a leg on which an offer of the edge's own is under way.
        if call.errands.iter().any(|(errand, _)| errand.purpose.offers()) {
            return Midcall::Answer(glare());
        }
        if !self.is_refresh(call, end) {
            return Midcall::Pass;
        }
        if call.passing.is_some() {
            return Midcall::Answer(glare());
        }
        let description = call.leg(end.other()).sdp.clone();
        self.agree(edits, call, end, &description).map_or(Midcall::Pass, Midcall::Answer)
    }

    /// Whether an INVITE says nothing but that its side is still there: it describes what it did before, and the other
    /// side would have to be told of no other Contact.
    fn is_refresh(&self, call: &LiveCall, end: End) -> bool {
        let (leg, request) = (call.leg(end), self.within.request);
        let heard = learn::mark_of(sdp_of(request));
        self.timer() != Timer::Pass
            && heard != 0
            && heard == leg.session.heard
            && !call.leg(end.other()).sdp.is_empty()
            && learn::contact_of(request).is_none_or(|target| *target == *leg.target)
    }

    /// An INVITE without an offer asks for one.
    fn offerless(&self, tools: &mut Tools) -> Midcall {
        match self.far.dialect.session.offerless {
            Offerless::Pass => return Midcall::Pass,
            Offerless::Refuse => {
                return Midcall::Answer(self.not_acceptable("An INVITE without an offer is not taken"));
            }
            Offerless::Insert => {}
        }
        let unknown = || Midcall::Answer(self.not_acceptable("No description of the other side is known to offer"));
        let Some((id, end)) = self.within.call else { return unknown() };
        let Tools { lives, edits, .. } = tools;
        let Some(call) = lives.get_mut(id) else { return unknown() };
        if call.has_offer_under_way() {
            return Midcall::Answer(glare());
        }
        let description = call.leg(end.other()).sdp.clone();
        if description.is_empty() {
            return unknown();
        }
        let moved = learn::hear_target(call.leg_mut(end), self.within.request);
        if moved {
            session::owe(self.env, call, end.other());
        }
        self.agree(edits, call, end, &description).map_or_else(unknown, Midcall::Answer)
    }

    fn update(&self, tools: &mut Tools) -> Midcall {
        if let Some(refusal) = self.too_small() {
            return refusal;
        }
        let passes = self.far_knows(tools, b"UPDATE");
        let offers = !self.within.request.body().is_empty();
        let call = self.within.call.filter(|&(id, _)| tools.lives.get(id).is_some());
        let Some((id, end)) = call else {
            return match (passes, offers) {
                (true, _) => Midcall::Pass,
                (false, false) => Midcall::Answer(self.agree_unknown(&mut tools.edits)),
                // The call may be an early one, or have begun in another process; an INVITE would pass.
                (false, true) => Midcall::Answer(self.not_allowed(tools)),
            };
        };
        if offers {
            return self.update_with_offer(tools, (id, end), passes);
        }
        let Tools { lives, edits, .. } = tools;
        let Some(call) = lives.get_mut(id) else { return Midcall::Pass };
        let target = learn::contact_of(self.within.request);
        let moves = target.is_some_and(|target| *target != *call.leg(end).target);
        if passes && (moves || self.timer() == Timer::Pass) {
            return Midcall::Pass;
        }
        if learn::hear_target(call.leg_mut(end), self.within.request) {
            session::owe(self.env, call, end.other());
        }
        self.agree(edits, call, end, b"").map_or(Midcall::Pass, Midcall::Answer)
    }

    fn update_with_offer(&self, tools: &mut Tools, (id, end): (LiveId, End), passes: bool) -> Midcall {
        let Some(call) = tools.lives.get(id) else { return Midcall::Pass };
        let relayed = call.leg(end).session.relayed.is_some();
        if relayed || !passes && call.passing.is_some() {
            // RFC 3311 section 5.2: an offer of the same side is not answered yet.
            return Midcall::Answer(busy());
        }
        if call.errands.iter().any(|(errand, _)| errand.purpose.offers()) {
            return Midcall::Answer(glare());
        }
        if passes { Midcall::Pass } else { relay::begin(self, tools, (id, end)) }
    }

    /// Who keeps the timer of the near leg.
    fn timer(&self) -> Timer {
        self.near.dialect.session.timer_beside(&self.far.dialect.session)
    }

    /// Refuses an interval that is too small (RFC 4028 section 9).
    fn too_small(&self) -> Option<Midcall> {
        let session = &self.near.dialect.session;
        let refused = self.timer() == Timer::Edge && too_small(session, self.within.request);
        refused.then(|| Midcall::Answer(interval_too_small(session.min)))
    }

    /// Whether the far side takes a method: by its Allow as far as it told, else by what its trunk is said to know.
    fn far_knows(&self, tools: &Tools, method: &[u8]) -> bool {
        let said = self.far_said(tools).filter(|_| MethodSet::ALL.has(method));
        methods::takes(self.far, method) && said.is_none_or(|said| said.has(method))
    }

    /// What the far side's last Allow said.
    fn far_said(&self, tools: &Tools) -> Option<MethodSet> {
        let (id, end) = self.within.call?;
        let allows = tools.lives.get(id)?.leg(end.other()).allows;
        let said = MethodSet::of(MethodSet::ALL.iter().map(str::as_bytes).filter(|method| allows.has(method)));
        (said != MethodSet::NONE).then_some(said)
    }

    /// 405, with what is taken on the near leg (RFC 3261 section 21.4.6).
    fn not_allowed(&self, tools: &Tools) -> LocalAnswer {
        let taken = methods::offered(self.near, Some(self.far), self.far_said(tools));
        let mut answer = LocalAnswer::new(405, "Method Not Allowed");
        methods::write_allow(taken.without(self.within.request.method()), &[], &mut answer.headers);
        answer
    }

    fn not_acceptable(&self, text: &str) -> LocalAnswer {
        let mut answer = LocalAnswer::new(488, "Not Acceptable Here");
        answer.headers = warning(&self.own_name(), text);
        answer
    }

    /// The name by which the near side knows the edge.
    fn own_name(&self) -> Vec<u8> {
        own_name(self.env.edge, self.near.id, self.within.flow.listener, self.within.request)
    }

    /// Agrees to what the near side asks, with this description of the far side; the timer starts anew. `None`: no
    /// Contact can be made.
    pub(super) fn agree(&self, edits: &mut Edits, call: &mut LiveCall, end: End, sdp: &[u8]) -> Option<LocalAnswer> {
        let mut contact = Vec::with_capacity(272);
        compose::contact(self.env, call, end, &mut contact).ok()?;
        let request = self.within.request;
        let (answer, made) = self.as_the_other(edits, request, &contact, sdp)?;
        session::answered(self.env, call, end, &made);
        Some(answer)
    }

    /// Agrees to an UPDATE without an offer of a call that is not remembered. Its side keeps the Contact that it has of
    /// the edge, which is the Request-URI.
    fn agree_unknown(&self, edits: &mut Edits) -> LocalAnswer {
        let request = self.within.request;
        let mut contact = b"Contact: <".to_vec();
        contact.extend_from_slice(request.request_uri());
        contact.extend_from_slice(b">\r\n");
        let made = self.as_the_other(edits, request, &contact, b"");
        made.map_or(LocalAnswer::new(200, "OK"), |(answer, _)| answer)
    }

    /// A 200 as if the far side had given it: the dialects have their say. Gives it as a message too.
    fn as_the_other(
        &self,
        edits: &mut Edits,
        request: &Message,
        contact: &[u8],
        sdp: &[u8],
    ) -> Option<(LocalAnswer, Message)> {
        let mut text = Vec::with_capacity(512 + sdp.len());
        text.extend_from_slice(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP edge.invalid\r\n");
        write_line(&mut text, "CSeq", request.value(HeaderName::CSeq).unwrap_or_default());
        if !sdp.is_empty() {
            text.extend_from_slice(b"Content-Type: application/sdp\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(sdp);
        let plain = Message::reread(&text.into())?;
        let host = self.own_name();
        edits.clear();
        let passing = Passing::inside(self.env.edge, &plain, [self.far, self.near], &host);
        let (method, offer) = (request.method(), media::said_in(request));
        // Who holds is told by the token for the near side; here the far one is the sender.
        let hold = self.within.dialog.hold.turned();
        Passing { request: Some(request), method, offer, hold, ..passing }.edit(edits);
        let made = Message::reread(&edits.apply(&plain))?;
        let mut answer = LocalAnswer::new(200, "OK");
        answer.headers.extend_from_slice(contact);
        for line in made.lines() {
            if !matches!(line.name, HeaderName::Via | HeaderName::CSeq | HeaderName::ContentLength) {
                let name = String::from_utf8_lossy(made.name_at(line));
                write_line(&mut answer.headers, &name, made.value_at(line));
            }
        }
        answer.body.extend_from_slice(made.body());
        Some((answer, made))
    }
}

/// The ACK of an answer of the edge's own has come: after an INVITE without an offer it brings an answer, of which the
/// other side hears when it is another description than before.
pub(super) fn hear_ack(env: &Env<'_>, tools: &mut Tools, (id, end): (LiveId, End), ack: &Message) {
    let Some(call) = tools.lives.get_mut(id) else { return };
    if learn::hear_description(call.leg_mut(end), ack) {
        session::owe(env, call, end.other());
    }
}

/// An INFO to a side that knows none.
fn info(request: &Message) -> LocalAnswer {
    let kind = request.value(HeaderName::ContentType).unwrap_or_default();
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if request.body().is_empty() || kind.eq_ignore_ascii_case(KEY_FRAME) {
        return LocalAnswer::new(200, "OK");
    }
    // Digits that would get lost are refused, so that the phone can send them in its stream (RFC 4733).
    let mut answer = LocalAnswer::new(415, "Unsupported Media Type");
    write_line(&mut answer.headers, "Accept", KEY_FRAME);
    answer
}

/// Another offer is under way (RFC 3261 section 14.2).
fn glare() -> LocalAnswer {
    LocalAnswer::new(491, "Request Pending")
}

/// An offer of the same side is not answered yet.
fn busy() -> LocalAnswer {
    LocalAnswer { headers: b"Retry-After: 2\r\n".to_vec(), ..LocalAnswer::new(500, "Server Internal Error") }
}

/// 422 (RFC 4028 section 6).
fn interval_too_small(min: u32) -> LocalAnswer {
    let mut answer = LocalAnswer::new(422, "Session Interval Too Small");
    write_min_se(min, &mut answer.headers);
    answer
}
