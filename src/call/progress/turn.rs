//! What presence is told of a call: which users are in it, when it begins, when it is answered, and when a transfer has
//! changed its sides. Its end is told by its record.

use std::sync::Arc;

use super::Progress;
use crate::call::id::CallId;
use crate::call::live::{End, LiveCall, LiveId, Lives};
use crate::call::{Edge, Env, Output, Secrets};
use crate::routing::Tenant;
use crate::sip::{Message, NameAddr};
use crate::trunk::{TrunkId, TrunkKind};

/// A call as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub call: CallId,
    pub tenant: Arc<str>,
    /// It was answered.
    pub up: bool,
    /// A side of it is the focus of a conference.
    pub conference: bool,
    /// By [`End`]: the id of the tenant's user who is on that side, as far as it is one.
    pub users: [Option<Box<str>>; 2],
}

impl Turn {
    /// Of a call in progress; `live` where it is up between owned legs. `None`: it is no tenant's.
    pub fn of(edge: &Edge, secrets: &Secrets, progress: &Progress, live: Option<&LiveCall>) -> Option<Self> {
        let name = live.and_then(|live| live.tenant.as_ref()).or(progress.tenant.as_ref())?;
        let tenants = edge.routing.tenants();
        let tenant = tenants.get(tenants.find(name)?)?;
        let user = |end: End| side(edge, tenant, progress, live, end);
        Some(Self {
            call: CallId::of(secrets, progress.call_id()),
            tenant: Arc::clone(name),
            up: live.is_some() || progress.answered.is_some(),
            conference: progress.conference,
            users: End::BOTH.map(user),
        })
    }
}

/// Tells of a call that has begun or was answered, where somebody wants to know.
pub fn note(env: &Env<'_>, out: &mut Output, progress: &Progress) {
    if out.wants_turns {
        out.turns.extend(Turn::of(env.edge, env.secrets, progress, None));
    }
}

/// The same of a call that is up and has got another side.
pub fn note_connected(env: &Env<'_>, out: &mut Output, lives: &Lives, id: LiveId) {
    if !out.wants_turns {
        return;
    }
    let Some(call) = lives.get(id) else { return };
    if let Some(progress) = &*call.progress {
        out.turns.extend(Turn::of(env.edge, env.secrets, progress, Some(call)));
    }
}

/// Whether who sent a message is the focus of a conference (RFC 4579 section 5.1).
pub fn is_focus(message: &Message) -> bool {
    message.contacts().filter_map(Result::ok).any(|contact| contact.param(b"isfocus").is_some())
}

/// The user on a side of a call. What a carrier says of callers proves nothing, and who is reached by a carrier is no
/// phone of the tenant's.
fn side(edge: &Edge, tenant: &Tenant, progress: &Progress, live: Option<&LiveCall>, end: End) -> Option<Box<str>> {
    let is_carrier = |trunk: TrunkId| edge.trunk(trunk).is_some_and(|trunk| trunk.kind == TrunkKind::Carrier);
    let user = |number: &[u8]| tenant.user_of(number).filter(|_| !number.is_empty());
    let [caller, callee] = progress.sides;
    let found = match (if end == End::Caller { caller } else { callee }, live) {
        (Some(End::Caller), _) if !is_carrier(progress.from) => user(progress.caller()),
        (Some(End::Callee), _) if !progress.to.is_some_and(|(trunk, _)| is_carrier(trunk)) => {
            user(progress.sent_to()).or_else(|| user(progress.called()))
        }
        // Somebody that a transfer has brought.
        (None, Some(live)) => {
            let leg = live.leg(end);
            let kind = leg.trunk(edge).map(|trunk| trunk.kind);
            let uri = NameAddr::parse(&leg.peer).ok().filter(|_| kind != Some(TrunkKind::Carrier))?.uri;
            user(crate::sip::Uri::parse(uri).ok()?.user?)
        }
        _ => None,
    };
    found.map(|user| user.record.id.as_str().into())
}
