//! Calls in progress, as their shard sees them: where they begin and are let in, and where those end that no table of
//! live calls has.

use std::sync::Arc;

use super::requests::{asking, refuse};
use super::{Incoming, Shard};
use crate::call::admission::{Ask, Ticket};
use crate::call::destination::{Destination, Whose};
use crate::call::owned::Dialog;
use crate::call::progress::through::Named;
use crate::call::progress::{BeginProgress, Progress, turn};
use crate::call::record::{self, Ending};
use crate::call::screen::Refusal;
use crate::call::{Env, Output};
use crate::routing::Callers;
use crate::transaction::Key;

/// Whether a request begins a call.
fn begins_call(incoming: &Incoming<'_>) -> bool {
    incoming.request.method() == b"INVITE" && incoming.essentials.to_tag.is_none()
}

/// What is known of a call that begins, or would have.
fn progress_of(env: &Env<'_>, incoming: &Incoming<'_>, whose: &Whose, emergency: bool) -> Box<Progress> {
    let Incoming { from, essentials, .. } = *incoming;
    let asking = asking(env, incoming);
    let caller = asking.caller();
    let user = caller.from().or_else(|| caller.asserted());
    Box::new(Progress::begin(BeginProgress {
        from,
        tenant: whose.tenant.as_ref().map(|tenant| Arc::clone(&tenant.id)),
        site: whose.site.as_ref().map(|site| Arc::clone(&site.fqdn)),
        emergency,
        now: env.now,
        unix_ms: env.unix_ms,
        call_id: essentials.call_id,
        caller: user.as_deref().unwrap_or_default(),
        called: essentials.uri.user.unwrap_or_default(),
        ticket: Ticket::default(),
    }))
}

/// Begins a call, where a request does so: the limits of its trunk, tenant, site and user let it in.
///
/// # Errors
/// The answer that the limit asks for which does not; then the call is told of.
pub(super) fn begin_progress(
    env: &Env<'_>,
    out: &mut Output,
    incoming: &Incoming<'_>,
    destination: &Destination,
) -> Result<Option<Box<Progress>>, Refusal> {
    if !begins_call(incoming) {
        return Ok(None);
    }
    let Destination { emergency, ref whose, .. } = *destination;
    let mut progress = progress_of(env, incoming, whose, emergency);
    let called = destination.called().unwrap_or(progress.called());
    let ask = Ask {
        edge: env.edge,
        now: env.now,
        from: incoming.from,
        tenant: whose.tenant.as_ref(),
        site: whose.site.as_ref(),
        caller: progress.caller(),
        called,
        emergency,
    };
    match Ticket::admit(&ask, &mut out.counts) {
        Ok(ticket) => {
            progress.ticket = ticket;
            progress.conference = turn::is_focus(incoming.request);
            turn::note(env, out, &progress);
            Ok(Some(progress))
        }
        Err(full) => {
            progress.limit = Some(full.to_string().into());
            let refusal = full.refusal();
            record::of_refused(env, out, &progress, &refusal);
            Err(refusal)
        }
    }
}

/// A request that the edge does not let pass.
#[derive(Clone, Debug)]
pub(super) struct NotPassed {
    pub refusal: Refusal,
    pub whose: Whose,
    /// What of the edge as a whole forbids it, for the record.
    pub limit: Option<&'static str>,
}

impl From<Refusal> for NotPassed {
    fn from(refusal: Refusal) -> Self {
        (refusal, Whose::default()).into()
    }
}

impl From<(Refusal, Whose)> for NotPassed {
    fn from((refusal, whose): (Refusal, Whose)) -> Self {
        Self { refusal, whose, limit: None }
    }
}

impl Shard {
    /// Calls that are up between transparent trunks.
    pub fn calls_through(&self) -> usize {
        self.tools.through.len()
    }

    /// Refuses a request that the edge does not let pass, and tells of a call that it would have begun.
    pub(super) fn turn_away(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        key: Key,
        refused: NotPassed,
    ) {
        let NotPassed { refusal, whose, limit } = refused;
        if begins_call(incoming) {
            let mut progress = progress_of(env, incoming, &whose, false);
            progress.limit = limit.map(Box::from);
            record::of_refused(env, out, &progress, &refusal);
        }
        self.refuse_call(env, out, incoming, key, refusal);
    }

    /// Answers a request without a transaction; a copy of an INVITE is answered alike for a while.
    pub(super) fn refuse_call(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        key: Key,
        refusal: Refusal,
    ) {
        refuse(env, out, incoming, &refusal);
        // Over a stream nobody repeats a request.
        if begins_call(incoming) && !incoming.flow.transport.is_reliable() {
            self.refusals.add(key, refusal, (env.now, env.edge.timing.timer_b()));
        }
    }

    /// A BYE passes between transparent trunks: its call is over, whatever the answer is (RFC 3261 section 15.1.1).
    pub(super) fn note_bye_through(
        &mut self,
        env: &Env<'_>,
        out: &mut Output,
        incoming: &Incoming<'_>,
        destination: &Destination,
    ) {
        let Incoming { from, request, essentials, .. } = *incoming;
        if request.method() != b"BYE" || self.tools.through.is_empty() {
            return;
        }
        let Some(to) = destination.lanes.first().and_then(|lane| lane.candidates.last()) else { return };
        let named = Named {
            call_id: essentials.call_id,
            from_tag: essentials.from_tag.unwrap_or_default(),
            to_tag: essentials.to_tag.unwrap_or_default(),
            from,
            to: to.trunk,
        };
        if let Some((progress, end)) = self.tools.through.end(env.secrets, &named) {
            record::of_passing(env, out, &progress, Ending::Bye(end, request));
        }
    }

    /// A BYE between owned legs passes of which no call is known: one that was up before this process began, unless its
    /// INVITE is still in progress.
    pub(super) fn tell_unknown(&self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>, dialog: &Dialog) {
        let Incoming { from, request, essentials, .. } = *incoming;
        let call_id = dialog.callers_call_id(essentials.call_id);
        let mut begun = self.contexts.iter().filter_map(|(_, (context, _))| context.progress());
        if !begun.any(|progress| progress.call_id() == call_id) {
            record::of_bye(env, out, from, dialog, (request, essentials.call_id));
        }
    }

    /// Tells of calls between transparent trunks whose BYE nobody has seen for too long.
    pub(super) fn sweep_through(&mut self, env: &Env<'_>, out: &mut Output) {
        let age = env.edge.transparent_call_age;
        if env.now.since(crate::transaction::Moment::START) <= age {
            return;
        }
        for key in self.tools.through.up_since(env.now - age) {
            if let Some(progress) = self.tools.through.remove(key) {
                record::of_passing(env, out, &progress, Ending::Forgotten);
            }
        }
    }
}
