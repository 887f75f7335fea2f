//! The record of a call, made of what was learned of it when it is over.

use std::sync::Arc;
use std::time::Duration;

use super::{CallRecord, Facts, Outcome, Party, microsoft};
use crate::call::id::CallId;
use crate::call::live::hang_up::Cause;
use crate::call::live::{End, LiveCall, Lives};
use crate::call::owned::{Dialog, LEG_STEP};
use crate::call::progress::{Progress, q850_of};
use crate::call::screen::Refusal;
use crate::call::seal::Side;
use crate::call::{Env, Output};
use crate::sip::{HeaderName, Message};
use crate::trunk::{TrunkId, TrunkKind};

/// Longest text of a peer that a record keeps, in bytes.
const MAX_TEXT: usize = 256;

/// How a call that was up ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// A side sent this BYE.
    Bye(End, &'a Message),
    Edge(Cause),
    Forgotten,
}

impl Ending<'_> {
    fn outcome(&self) -> Outcome {
        match *self {
            Self::Bye(end, _) => Outcome::HungUp(end),
            Self::Edge(cause) => Outcome::Ended(cause),
            Self::Forgotten => Outcome::Forgotten,
        }
    }

    fn reason(&self) -> Box<str> {
        match *self {
            Self::Bye(_, bye) => reason_of(bye),
            Self::Edge(cause) => cause.reason().into(),
            Self::Forgotten => Box::default(),
        }
    }
}

/// Tells of a call between owned legs that was up, unless another call that the same INVITE made goes on: then that one
/// is told of in its place.
pub fn of_call(env: &Env<'_>, lives: &mut Lives, out: &mut Output, call: &mut LiveCall, ending: Ending<'_>) {
    // The answer to a side's BYE tells the call store; a transferred call goes on under the same mark.
    if let Ending::Edge(cause) = ending
        && cause != Cause::Transferred
    {
        let mark = env.secrets.ring.call_mark(call.key, &call.leg(End::Caller).call_id);
        env.shelf.borrow_mut().mark_over(mark);
    }
    let Some(mut progress) = call.progress.take() else { return };
    if call.forked
        && let Some(other) = lives.sibling(call)
    {
        other.progress.0 = Some(progress);
        return;
    }
    let party = |end| Party::of(env.edge, env.edge.trunk_of_mark(call.leg(end).mark)?);
    let gone = || Party { trunk: "gone".into(), kind: TrunkKind::Pbx };
    progress.owned = true;
    let record = CallRecord {
        from: party(End::Caller).unwrap_or_else(gone),
        to: party(End::Callee),
        tenant: call.tenant.clone().or_else(|| progress.tenant.clone()),
        began_unix: call.began_unix,
        lasted: Some(env.now.since(call.began)),
        relearned: call.relearned,
        ..ended(env, &progress, &ending)
    };
    let facts = Facts {
        far_call_id: text_of(&call.leg(End::Callee).call_id),
        transfers: call.transfers,
        emergency: call.emergency,
        ..record.facts
    };
    tell(out, CallRecord { facts, ..record });
}

/// Tells of a call between transparent trunks that was up.
pub fn of_passing(env: &Env<'_>, out: &mut Output, progress: &Progress, ending: Ending<'_>) {
    tell(out, ended(env, progress, &ending));
}

/// What is told of a call that was up, by what was learned of it on its way.
fn ended(env: &Env<'_>, progress: &Progress, ending: &Ending<'_>) -> CallRecord {
    let reason = ending.reason();
    let meaning = match ending {
        Ending::Bye(..) => microsoft::meaning(0, reason.as_bytes()),
        _ => None,
    };
    let lasted = progress.answered.map(|answered| env.now.since(answered)).unwrap_or_default();
    let record = CallRecord {
        began_unix: env.unix.saturating_sub(lasted.as_secs()),
        lasted: Some(lasted),
        outcome: ending.outcome(),
        status: 200,
        meaning,
        ..begun(env, progress)
    };
    let facts = Facts { q850: q850_of(reason.as_bytes()), ..record.facts };
    CallRecord { facts, reason, ..record }
}

/// Tells of a call that was up before this process knew of it, and that a side ends with this BYE. The call is that of a
/// token; `near_call_id` is the Call-ID of the BYE.
pub fn of_bye(env: &Env<'_>, out: &mut Output, from: TrunkId, dialog: &Dialog, (bye, near_call_id): (&Message, &[u8])) {
    let Some(near) = Party::of(env.edge, from) else { return };
    let far = env.edge.trunk_of_mark(dialog.far).and_then(|trunk| Party::of(env.edge, trunk));
    let (end, leg) = match (dialog.near, dialog.far_side) {
        (Side::Caller { leg }, _) => (End::Caller, leg),
        (Side::Callee, Side::Caller { leg }) => (End::Callee, leg),
        (Side::Callee, Side::Callee) => (End::Callee, 0),
    };
    let (from, to) = match (end, far) {
        (End::Caller, far) => (near, far),
        (End::Callee, Some(far)) => (far, Some(near)),
        (End::Callee, None) => (Party { trunk: "gone".into(), kind: TrunkKind::Pbx }, Some(near)),
    };
    let call_id = dialog.callers_call_id(near_call_id);
    let far_call_id = if end == End::Caller { &dialog.call_id } else { near_call_id };
    let site = dialog.site.and_then(|mark| env.edge.routing.sites().marked(mark));
    let reason = reason_of(bye);
    let facts = Facts {
        far_call_id: text_of(far_call_id),
        site: site.map(|site| Arc::clone(&site.fqdn)),
        emergency: dialog.emergency,
        q850: q850_of(reason.as_bytes()),
        transfers: u8::try_from(leg / LEG_STEP).unwrap_or(u8::MAX),
        ..Facts::default()
    };
    let record = CallRecord {
        id: CallId::of(env.secrets, call_id),
        call_id: text_of(call_id),
        from,
        to,
        tenant: site.map(|site| Arc::clone(&site.tenant)),
        began_unix: env.unix,
        lasted: Some(Duration::ZERO),
        relearned: true,
        outcome: Outcome::HungUp(end),
        status: 200,
        meaning: microsoft::meaning(0, reason.as_bytes()),
        reason,
        facts,
    };
    tell(out, record);
}

/// An INVITE that failed.
#[derive(Clone, Debug)]
pub struct Failed<'a> {
    pub outcome: Outcome,
    /// The status that the caller got.
    pub status: u16,
    /// The answer of the callee, unless the status is the edge's own.
    pub response: Option<&'a Message>,
    /// The Call-ID of the callee's leg, where it is another.
    pub far_call_id: &'a [u8],
}

/// Tells of an INVITE that failed.
pub fn of_failed(env: &Env<'_>, out: &mut Output, progress: &Progress, failed: &Failed<'_>) {
    let Failed { outcome, status, response, far_call_id } = *failed;
    let reason = response.map(reason_of).unwrap_or_default();
    let record = CallRecord {
        outcome,
        status,
        meaning: response.and_then(|response| microsoft::meaning(response.status(), reason.as_bytes())),
        ..begun(env, progress)
    };
    let q850 = q850_of(reason.as_bytes()).or(progress.q850);
    let facts = Facts {
        far_call_id: text_of(far_call_id),
        answered_after: Some(progress.after(progress.answered.unwrap_or(env.now))),
        q850,
        ..record.facts
    };
    tell(out, CallRecord { facts, reason, ..record });
}

/// Tells of an INVITE that the edge did not let pass.
pub fn of_refused(env: &Env<'_>, out: &mut Output, progress: &Progress, refusal: &Refusal) {
    let failed =
        Failed { outcome: Outcome::NotPassed, status: refusal.status, response: None, far_call_id: Default::default() };
    of_failed(env, out, progress, &failed);
}

/// Tells of a call that was answered now, where somebody wants to know: what would be lost with the process.
pub fn note_up(env: &Env<'_>, out: &mut Output, progress: &Progress) {
    if out.wants_ups {
        let record = begun(env, progress);
        out.ups.push(CallRecord { status: 200, lasted: Some(Duration::ZERO), outcome: Outcome::Forgotten, ..record });
    }
}

/// What is known of a call before its end.
fn begun(env: &Env<'_>, progress: &Progress) -> CallRecord {
    let gone = || Party { trunk: "gone".into(), kind: TrunkKind::Pbx };
    let to = progress.to.and_then(|(trunk, _)| Party::of(env.edge, trunk));
    let target = progress.to.and_then(|(trunk, target)| env.edge.trunk(trunk)?.targets.get(usize::from(target?)));
    let from = Party::of(env.edge, progress.from).unwrap_or_else(gone);
    let facts = Facts {
        site: progress.site.clone(),
        caller: text_of(progress.caller()),
        called: text_of(progress.called()),
        sent_to: text_of(progress.sent_to()),
        user: user_of(env, progress, from.kind),
        target: target.map(|target| target.to_string().into()).unwrap_or_default(),
        emergency: progress.emergency,
        invited_unix_ms: progress.invited_unix_ms,
        rang_after: progress.rang.map(|rang| progress.after(rang)),
        answered_after: progress.answered.map(|answered| progress.after(answered)),
        q850: progress.q850,
        tries: progress.tries,
        stays: progress.stays(),
        limit: progress.limit.clone(),
        transparent: !progress.owned && to.is_some(),
        transfers: 0,
        far_call_id: Box::default(),
    };
    CallRecord {
        id: CallId::of(env.secrets, progress.call_id()),
        call_id: text_of(progress.call_id()),
        from,
        to,
        tenant: progress.tenant.clone(),
        began_unix: env.unix,
        lasted: None,
        relearned: false,
        outcome: Outcome::NotPassed,
        status: 0,
        reason: Box::default(),
        meaning: None,
        facts,
    }
}

/// The user of the tenant who calls, or who is called from outside.
fn user_of(env: &Env<'_>, progress: &Progress, from: TrunkKind) -> Option<Box<str>> {
    let tenants = env.edge.routing.tenants();
    let tenant = tenants.get(tenants.find(progress.tenant.as_deref()?)?)?;
    let mut numbers = [progress.caller(), progress.sent_to(), progress.called()];
    if from == TrunkKind::Carrier {
        numbers.rotate_left(1);
    }
    let user = numbers.into_iter().filter(|number| !number.is_empty()).find_map(|number| tenant.user_of(number))?;
    Some(user.record.id.as_str().into())
}

fn tell(out: &mut Output, record: CallRecord) {
    let kind = record.to.as_ref().map_or(record.from.kind, |to| to.kind);
    out.counts.calls_ended.add(record.outcome, kind);
    out.records.push(record);
}

/// What a message gives as the reason: its Reason values, else its Warning.
pub fn reason_of(message: &Message) -> Box<str> {
    let mut text = Vec::new();
    for line in message.lines_of(HeaderName::Reason) {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(message.value_at(line));
    }
    if text.is_empty() {
        text.extend_from_slice(message.other(b"Warning").unwrap_or_default());
    }
    text_of(&text)
}

/// A peer's bytes as text for a log: no control characters, not too long.
pub(super) fn text_of(bytes: &[u8]) -> Box<str> {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    String::from_utf8_lossy(bytes).chars().map(clean).collect::<String>().into()
}
