//! What is said of session timers in messages, and what follows from it (RFC 4028 sections 7 and 9).

use crate::sip::{Message, Refresher, SessionExpires};
use crate::trunk::dialect::Session;

/// What a 2xx settles for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Seconds.
    pub interval: u32,
    /// The edge is to refresh.
    pub own: bool,
}

/// Whether a request refreshes sessions.
pub fn is_refresh(method: &[u8]) -> bool {
    matches!(method, b"INVITE" | b"UPDATE")
}

/// What the edge asks of a side in an INVITE or UPDATE that passes: the side is to refresh, since it outlives the edge's
/// process. `least`: what the side asked for by a 422.
pub fn offer(session: &Session, least: u32) -> SessionExpires {
    SessionExpires { seconds: session.expires.max(least), refresher: Some(Refresher::Uas) }
}

/// What the edge says in a 2xx to a side's request; `None`: nothing of a timer (the table of RFC 4028 section 9).
pub fn accept(session: &Session, request: &Message) -> Option<SessionExpires> {
    let knows = request.knows(b"timer");
    let asked = request.session_expires();
    // An UPDATE may be of an early dialog, which has no timer yet.
    if request.method() != b"INVITE" && asked.is_none() {
        return None;
    }
    let seconds = match asked {
        // Who does not know it may have a proxy that asks for it: the edge does the refreshing then.
        Some(asked) => asked.seconds,
        None if knows => session.expires.max(request.min_se().unwrap_or_default()),
        None => return None,
    };
    let refresher = match asked.and_then(|asked| asked.refresher) {
        _ if !knows => Refresher::Uas,
        Some(refresher) => refresher,
        // Whoever is not the edge goes on when the edge begins anew.
        None => Refresher::Uac,
    };
    Some(SessionExpires { seconds, refresher: Some(refresher) })
}

/// Whether a side asks for less than the edge takes and can be told so (RFC 4028 section 9).
pub fn too_small(session: &Session, request: &Message) -> bool {
    request.knows(b"timer") && request.session_expires().is_some_and(|asked| asked.seconds < session.min)
}

/// What a side's 2xx to a request of the edge settles.
pub fn agreed_by_uas(response: &Message) -> Option<Agreed> {
    let SessionExpires { seconds, refresher } = response.session_expires()?;
    // The refresher has to be named; where it is not, one refresh too many does no harm.
    Some(Agreed { interval: seconds, own: refresher != Some(Refresher::Uas) })
}

/// What the edge's 2xx to a request of a side settles.
pub fn agreed_by_uac(response: &Message) -> Option<Agreed> {
    let SessionExpires { seconds, refresher } = response.session_expires()?;
    Some(Agreed { interval: seconds, own: refresher != Some(Refresher::Uac) })
}
