//! INVITE with Replaces (RFC 3891): somebody takes the place of a side of a call that is up. The INVITE goes on to the
//! other side as a re-INVITE of its dialog; when that is agreed on, the leg whose place was taken is hung up.

use super::errand::{Ack, Errand, Order, Purpose};
use super::hang_up::Cause;
use super::learn::{self, Agreed};
use super::table::{Known, LegKey};
use super::transfer::{MARGIN, connected, offset_behind};
use super::{End, LiveCall, LiveId, LiveLeg, Lives, compose, session};
use crate::call::owned::{Dialog, mark, site_of};
use crate::call::progress::turn;
use crate::call::refer::Replaces;
use crate::call::screen::Refusal;
use crate::call::{Env, Output, Tools};
use crate::sip::{Essentials, Message};
use crate::trunk::TrunkId;

/// The dialog of the other side that an INVITE with Replaces goes on in; `None`: it replaces nothing that is the edge's.
///
/// # Errors
/// The answer of RFC 3891 section 3 when there is no such call, or it is not the sender's.
pub fn find(
    env: &Env<'_>,
    lives: &Lives,
    from: TrunkId,
    request: &Message,
    essentials: &Essentials<'_>,
) -> Result<Option<Dialog>, Refusal> {
    if request.method() != b"INVITE" || essentials.to_tag.is_some() || !env.edge.owns_legs(from, from) {
        return Ok(None);
    }
    let replaces = match Replaces::of(request) {
        Ok(Some(replaces)) => replaces,
        Ok(None) => return Ok(None),
        Err(_) => return Err(Refusal::new(400, "Bad Replaces")),
    };
    let unknown = Refusal::new(481, "Call/Transaction Does Not Exist");
    let key = LegKey::new(env.secrets, &replaces.call_id, &replaces.from_tag, &replaces.to_tag);
    let (id, end) = match lives.find(key) {
        Some(Known::Up(id, end)) => (id, end),
        Some(Known::Ended { .. }) => return Err(Refusal::new(603, "Call Has Ended")),
        Some(Known::Aside(_)) | None => return Err(unknown),
    };
    let call = lives.get(id).ok_or(unknown)?;
    let leg = call.leg(end);
    let site = site_of(env.edge, from, essentials.uri.host).map(|site| site.mark().tenant);
    if leg.mark != mark(env.edge, from) || leg.site.is_some_and(|own| site.is_some_and(|asked| asked != own.tenant)) {
        return Err(Refusal::new(403, "Not Your Call"));
    }
    if replaces.early_only {
        return Err(Refusal::new(486, "Call Is Up"));
    }
    if call.transfer.as_ref().is_some_and(|transfer| transfer.is_pending()) || call.has_offer_under_way() {
        return Err(Refusal::new(491, "Request Pending"));
    }
    let most = env.edge.trunk(from).map_or(0, |trunk| trunk.dialect.transfer.max_transfers);
    let offset = offset_behind(call.leg(end.other())).filter(|_| call.transfers < most);
    let offset = offset.ok_or(Refusal::new(603, "Too Many Transfers"))?;
    Ok(Some(Dialog::joining(call, (id, end), (offset, offset_of_stayer()))))
}

/// The other side has agreed: whoever sent the INVITE is its peer from now on.
pub fn learn(
    env: &Env<'_>,
    tools: &mut Tools,
    out: &mut Output,
    agreed: &Agreed<'_>,
    (id, end): (LiveId, End),
) -> Option<LiveId> {
    let dialog = agreed.crossing.dialog.as_deref()?;
    let call = tools.lives.get(id)?;
    // Somebody else was faster.
    if dialog.from_tag.as_deref() != Some(call.leg(end.other()).own_tag()) {
        return None;
    }
    let peer = LiveLeg { cseq_floor: 0, ..learn::near_leg(agreed, Some(dialog), None)? };
    let mut after = Box::new(connected(call, end.other(), peer, None, dialog.cseq_offset));
    let kept = after.leg_mut(End::Caller);
    learn::heard_of(kept, agreed.response);
    if let Some(number) = agreed.sent.and_then(|sent| sent.cseq().ok()).map(|cseq| cseq.number) {
        kept.sent_cseq = kept.sent_cseq.max(number);
    }
    session::agreed(env, &mut after, agreed);
    tools.lives.homes().keep(env.secrets, agreed.request.call_id().unwrap_or_default());
    let mut before = LiveCall { transfer: None, ..call.clone() };
    tools.lives.connect(env.secrets, id, end.other(), after);
    turn::note_connected(env, out, &tools.lives, id);
    out.counts.transferred += 1;
    let Tools { lives, edits, orders, .. } = tools;
    lives.bury_leg(env.secrets, before.leg(end), env.now + env.edge.timing.timer_l(), true);
    if let Some(request) = compose::bye(env, edits, &mut before, end, Cause::Transferred.reason()) {
        let errand = Errand { call: id, end: End::Callee, purpose: Purpose::HangUp };
        orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
    }
    Some(id)
}

/// What is added to the CSeq numbers of the side that stays, on a leg on which the edge has sent nothing yet.
const fn offset_of_stayer() -> i32 {
    MARGIN as i32
}
