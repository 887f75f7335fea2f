//! The Contact of a leg of a live call: what requests of the edge's own carry, and answers of its own.

use super::{NotSealed, Sealing, Values, minutes};
use crate::call::Env;
use crate::call::live::{End, LiveCall};
use crate::call::seal::{Bound, LegState, is_named};
use crate::sip::scan;

/// Writes the Contact that the peer of a leg gets, a whole line: it leads to the other side.
///
/// # Errors
/// [`NotSealed`]: nothing is written then.
pub fn write_contact(env: &Env<'_>, call: &LiveCall, end: End, out: &mut Vec<u8>) -> Result<(), NotSealed> {
    let (near, far) = (call.leg(end), call.leg(end.other()));
    let trunk = near.trunk(env.edge).ok_or(NotSealed::Fault)?;
    let site = near.site.and_then(|mark| env.edge.routing.sites().marked(mark));
    let mut own = Vec::with_capacity(64);
    env.edge.write_own(trunk.id, near.listener, site.map(|site| &**site), &mut own);
    let hold = if end == End::Caller { call.hold } else { call.hold.turned() };
    Sealing {
        ring: &env.secrets.ring,
        key: call.key,
        bound: Bound { call_id: &near.call_id, trunk: near.mark },
        own: &own,
        state: LegState {
            near: call.side(end),
            hold,
            emergency: call.emergency,
            created: minutes(env.unix),
            far: far.mark,
            tenant: far.site.map(|site| site.tenant),
            site: far.site.map(|site| site.site),
            engine: call.engine,
            cseq_offset: near.cseq_offset,
            back_offset: far.cseq_offset,
            call_id: (call.named || end == End::Callee && is_named(&far.call_id)).then_some(&*far.call_id),
            from_tag: Some(far.own_tag()).filter(|&tag| tag != near.peer_tag()),
            to_tag: Some(far.peer_tag()).filter(|&tag| tag != near.own_tag()),
            target: &far.target,
            ..LegState::default()
        },
        far: routes(&far.routes),
        near: routes(&near.routes),
        tag: Some(near.peer_tag()),
        call: &call.leg(End::Caller).call_id,
        up: true,
    }
    .write(out, &mut env.shelf.borrow_mut())
}

fn routes(joined: &[u8]) -> Values<'_> {
    scan::Values::new(joined).filter_map(Result::ok).filter(|value| !value.is_empty()).collect()
}
