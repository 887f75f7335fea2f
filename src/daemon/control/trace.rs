//! Behind the door: messages of calls, as the edge saw them.

mod story;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, channel};

use super::Desk;
use crate::admin::{self, MAX_PAGE, NoTrace, TraceLook, TracePage, TraceQuery, TraceShown, TraceSummary};
use crate::call::{CallId, Edge};
use crate::telemetry::pcap;
use crate::telemetry::trace::redact::{Mask, redact};
use crate::telemetry::trace::{Heading, Kept, What, Whom};
use story::Teller;

/// Calls of a page, when nothing is said.
const PAGE: usize = 100;

/// Lines that wait for the connection of a follower; messages wait before it, in the follower's queue.
const LINES: usize = 64;

impl Desk {
    /// What is kept of a call, and its id.
    fn kept_of(&self, call: &str) -> Result<(CallId, Vec<Kept>), NoTrace> {
        let trace = self.parts.core.taps().trace();
        if !trace.has_ring() {
            return Err(NoTrace::Off);
        }
        let ids = [call.parse().ok(), Some(self.parts.core.call_of(call))];
        let found = ids.into_iter().flatten().map(|id| (id, trace.call(id))).find(|(_, kept)| !kept.is_empty());
        found.ok_or_else(|| NoTrace::Unknown(call.chars().take(256).collect()))
    }
}

impl admin::Trace for Desk {
    fn traces(&self, query: &TraceQuery) -> Result<TracePage, NoTrace> {
        let trace = self.parts.core.taps().trace();
        if !trace.has_ring() {
            return Err(NoTrace::Off);
        }
        let number = query.number.as_deref();
        let whom = number.map(|number| Whom::read(number).ok_or_else(|| NoTrace::BadNumber(number.to_owned())));
        let (whom, edge) = (whom.transpose()?, self.parts.core.edge());
        let after = query.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(u64::MAX);
        let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let mut page = TracePage::default();
        let mut last = None;
        for heading in trace.headings().into_iter().filter(|heading| heading.last_us < after) {
            if !is_wanted(&heading, query, whom.as_ref(), &edge) {
                continue;
            }
            if page.traces.len() == limit {
                page.next = last;
                break;
            }
            last = Some(heading.last_us.to_string());
            page.traces.push(summary(&heading, &edge));
        }
        Ok(page)
    }

    fn trace(&self, call: &str, look: TraceLook) -> Result<TraceShown, NoTrace> {
        let (id, kept) = self.kept_of(call)?;
        let edge = self.parts.core.edge();
        Ok(Teller::new(&edge, look).tell(id, &self.parts.node, &kept))
    }

    fn trace_capture(&self, call: &str, look: TraceLook) -> Result<Vec<u8>, NoTrace> {
        let (_, kept) = self.kept_of(call)?;
        let edge = self.parts.core.edge();
        let mut teller = Teller::new(&edge, look);
        let messages: Vec<(Kept, String)> = kept
            .into_iter()
            .filter(|kept| kept.entry.what == What::Message)
            .map(|mut kept| {
                kept.entry.local = teller.local_of(&kept.entry);
                let comment = teller.comment(&kept.entry);
                if !look.unredacted {
                    kept.bytes = redact(&kept.bytes, Mask::SameLength).into();
                }
                (kept, comment)
            })
            .collect();
        let packets =
            messages.iter().map(|(kept, comment)| pcap::Packet { entry: &kept.entry, bytes: &kept.bytes, comment });
        Ok(pcap::write(&self.parts.node, packets))
    }

    fn follow(&self, whom: &str, look: TraceLook) -> Result<Receiver<Bytes>, NoTrace> {
        let core = &self.parts.core;
        if !core.taps().trace().has_ring() {
            return Err(NoTrace::Off);
        }
        let whom = Whom::read(whom).ok_or_else(|| NoTrace::BadNumber(whom.chars().take(256).collect()))?;
        let mut followed = core.taps().trace().follow(whom).map_err(|error| NoTrace::TooMany(error.to_string()))?;
        let (lines, receiver) = channel(LINES);
        let core = std::sync::Arc::clone(core);
        tokio::spawn(async move {
            let mut starts = story::Starts::default();
            loop {
                let kept = tokio::select! {
                    kept = followed.next() => kept,
                    () = lines.closed() => return,
                };
                let Some(kept) = kept else { return };
                let line = Teller::new(&core.edge(), look).line(&kept, &mut starts);
                let Ok(mut line) = serde_json::to_vec(&line) else { continue };
                line.push(b'\n');
                if lines.send(line.into()).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// Whether a call is one of those that were asked for.
fn is_wanted(heading: &Heading, query: &TraceQuery, whom: Option<&Whom>, edge: &Edge) -> bool {
    let ended = heading.ended.as_ref();
    let first = heading.first.as_ref();
    let of_number = |whom: &Whom| {
        let in_ended = ended.is_some_and(|ended| {
            [&ended.caller, &ended.called].iter().any(|party| Whom::read(party).as_ref() == Some(whom))
        });
        in_ended || first.is_some_and(|first| whom.is_in(&first.bytes))
    };
    let of_trunk = |trunk: &str| {
        let from = first.and_then(|first| edge.trunk(first.entry.trunk?)).is_some_and(|from| &*from.name == trunk);
        from || ended.is_some_and(|ended| ended.from == trunk || ended.to.as_deref() == Some(trunk))
    };
    let of_tenant = |tenant: &str| ended.is_some_and(|ended| ended.tenant.as_deref() == Some(tenant));
    let of_result = |result: &str| match result {
        "failed" => ended.is_some_and(|ended| ended.failed),
        "up" => ended.is_none(),
        outcome => ended.is_some_and(|ended| ended.outcome == outcome),
    };
    whom.is_none_or(of_number)
        && query.trunk.as_deref().is_none_or(of_trunk)
        && query.tenant.as_deref().is_none_or(of_tenant)
        && query.result.as_deref().is_none_or(of_result)
}

fn summary(heading: &Heading, edge: &Edge) -> TraceSummary {
    let first = heading.first.as_ref();
    let trunk = first.and_then(|first| edge.trunk(first.entry.trunk?)).map(|trunk| trunk.name.to_string());
    let mut summary = TraceSummary {
        call: heading.call.to_string(),
        began: story::rfc3339(heading.began_unix_us),
        whole: heading.whole,
        messages: heading.messages,
        bytes: heading.bytes,
        from: trunk,
        caller: first.and_then(|first| story::party(&first.bytes, b"from", b"f")),
        called: first.and_then(|first| story::party(&first.bytes, b"to", b"t")),
        ..TraceSummary::default()
    };
    if let Some(ended) = &heading.ended {
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        summary.from = Some(ended.from.clone());
        summary.to = ended.to.clone();
        summary.caller = text(&ended.caller).or(summary.caller);
        summary.called = text(&ended.called).or(summary.called);
        summary.tenant = ended.tenant.clone();
        summary.outcome = Some(ended.outcome.clone());
        summary.failed = ended.failed;
        summary.status = Some(ended.status);
    }
    summary
}
