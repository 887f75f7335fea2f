//! Session timers of live calls (RFC 4028): what a call has to remember of them, and when it wants to be woken.

use super::learn::Agreed;
use super::{LiveCall, LiveId};
use crate::call::{Env, Output, Tools};
use crate::transaction::Moment;

/// The session timer of one leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {}

/// The two sides have agreed on a session, anew or for the first time: a 2xx to an INVITE or UPDATE passed.
pub fn agreed(_env: &Env<'_>, _call: &mut LiveCall, _agreed: &Agreed<'_>) {}

/// When the call wants [`handle_due`].
pub fn next_timeout(_call: &LiveCall) -> Option<Moment> {
    None
}

/// The call's time has come, or an entry of the wheel did early.
pub fn handle_due(_env: &Env<'_>, _tools: &mut Tools, _out: &mut Output, _call: LiveId) {}
