//! A record as files and the history have it: flat, with names that stay and units in them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::words;
use crate::call::CallRecord;
use crate::call::live::End;
use crate::call::mask::Mask;
use crate::call::record::Outcome;

/// Longest text that an entry takes over, in bytes: a Call-ID may be long, nothing else is.
const MAX_TEXT: usize = 512;

/// A call that is over, and when that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    pub record: CallRecord,
    /// In milliseconds since 1970 UTC.
    pub ended_unix_ms: u64,
    /// What else the outcome is called than the record has it: [`LOST`].
    pub lost: bool,
}

/// The outcome of a call that was up when the process ended, and was not heard of any more.
pub const LOST: &str = "lost-with-the-process";

impl Over {
    /// When the call began: its INVITE, or what is known next to that; in milliseconds since 1970 UTC.
    pub fn began_unix_ms(&self) -> u64 {
        match (self.record.facts.invited_unix_ms, self.record.began_unix) {
            (0, 0) => self.ended_unix_ms,
            (0, began) => began.saturating_mul(1_000),
            (invited, _) => invited,
        }
    }
}

/// What entries are made with.
#[derive(Clone, Debug)]
pub struct Style {
    /// The name of this edge.
    pub node: Arc<str>,
    pub mask: Mask,
}

/// A value in a cell of CSV.
trait Cell {
    fn cell(&self) -> Cow<'_, str>;
}

impl Cell for String {
    fn cell(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

impl Cell for bool {
    fn cell(&self) -> Cow<'_, str> {
        if *self { "true" } else { "false" }.into()
    }
}

macro_rules! number_cells {
    ($($number:ty),*) => {$(
        impl Cell for $number {
            fn cell(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        }
    )*};
}

number_cells!(u8, u16, u64, f64);

impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> Cow<'_, str> {
        self.as_ref().map_or(Cow::Borrowed(""), Cell::cell)
    }
}

macro_rules! entry {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// A record. Texts are empty, and numbers `None`, where nothing is known.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Entry {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl Entry {
            /// The names of all fields, in the order of the columns.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The values of all fields, in the order of the columns.
            pub fn cells(&self) -> Vec<Cow<'_, str>> {
                vec![$(self.$name.cell()),*]
            }
        }
    };
}

entry! {
    /// What the call goes by: sixteen hexadecimal digits, the same in logs and traces.
    call: String,
    /// The name of the edge.
    node: String,
    /// When the INVITE came (RFC 3339, UTC), as the following times.
    invited_at: String,
    answered_at: String,
    ended_at: String,
    tenant: String,
    /// The site of the tenant, by its FQDN.
    site: String,
    /// The tenant's user who called or was called, by their id.
    user: String,
    from_trunk: String,
    /// `teams`, `carrier` or `pbx`.
    from_kind: String,
    to_trunk: String,
    to_kind: String,
    /// The target that answered or was tried last.
    target: String,
    /// Who called, as routing took it.
    caller: String,
    /// What was dialled.
    called: String,
    /// The number as the last target got it.
    sent_to: String,
    emergency: bool,
    /// A word for how it ended.
    outcome: String,
    /// The same in words.
    result: String,
    /// `caller`, `callee` or `edge`; empty where nobody did.
    hung_up_by: String,
    /// The final status of its INVITE.
    status: Option<u16>,
    /// What the peer gave as the reason.
    reason: String,
    /// What Microsoft means by that.
    meaning: String,
    /// The cause of Q.850.
    q850: Option<u8>,
    q850_meaning: String,
    /// From the INVITE to the first sign of ringing.
    ring_ms: Option<u64>,
    /// From the INVITE to its final answer.
    setup_ms: Option<u64>,
    /// How long it was up.
    duration_s: Option<f64>,
    /// Targets that were tried.
    tries: u8,
    /// Of these, those that failed before another was tried.
    failovers: u8,
    transfers: u8,
    /// After transfers: `both`, `caller`, `callee` or `nobody` of those that began it was in it at its end.
    stays: String,
    /// The limit that it was refused at.
    limit: String,
    /// One dialog end to end.
    transparent: bool,
    /// It was up before this process knew of it: times before may be missing.
    relearned: bool,
    /// The Call-ID of the caller's leg.
    call_id: String,
    /// The Call-ID of the callee's leg.
    far_call_id: String,
}

impl Entry {
    /// The entry of a call that is over.
    pub fn of(over: &Over, style: &Style) -> Self {
        let Over { record, ended_unix_ms, lost } = over;
        let CallRecord { facts, .. } = record;
        let text = |text: Option<&Arc<str>>| text.map(|text| clean(text)).unwrap_or_default();
        let number = |text: &str| style.mask.number(&clean(text)).into_owned();
        let peers_words = |words: &str| style.mask.text(&clean(words)).into_owned();
        let answered = match (record.lasted, facts.invited_unix_ms, facts.answered_after) {
            (None, ..) => None,
            (Some(_), 1.., Some(after)) => Some(facts.invited_unix_ms.saturating_add(millis(after))),
            _ => (record.began_unix > 0).then(|| record.began_unix.saturating_mul(1_000)),
        };
        let outcome = if *lost { LOST } else { record.outcome.name() };
        Self {
            call: record.id.to_string(),
            node: clean(&style.node),
            invited_at: (facts.invited_unix_ms > 0).then(|| rfc3339(facts.invited_unix_ms)).unwrap_or_default(),
            answered_at: answered.map(rfc3339).unwrap_or_default(),
            ended_at: if *lost { String::new() } else { rfc3339(*ended_unix_ms) },
            tenant: text(record.tenant.as_ref()),
            site: text(facts.site.as_ref()),
            user: facts.user.as_deref().map(number).unwrap_or_default(),
            from_trunk: clean(&record.from.trunk),
            from_kind: record.from.kind.word().to_owned(),
            to_trunk: text(record.to.as_ref().map(|to| &to.trunk)),
            to_kind: record.to.as_ref().map(|to| to.kind.word().to_owned()).unwrap_or_default(),
            target: clean(&facts.target),
            caller: number(&facts.caller),
            called: number(&facts.called),
            sent_to: number(&facts.sent_to),
            emergency: facts.emergency,
            outcome: outcome.to_owned(),
            result: if *lost { words::LOST.to_owned() } else { words::result(record) },
            hung_up_by: if *lost { "" } else { ended_by(record.outcome) }.to_owned(),
            status: (record.status > 0).then_some(record.status),
            reason: peers_words(&record.reason),
            meaning: record.meaning.unwrap_or_default().to_owned(),
            q850: facts.q850,
            q850_meaning: facts.q850.and_then(words::q850).unwrap_or_default().to_owned(),
            ring_ms: facts.rang_after.map(millis),
            setup_ms: facts.answered_after.map(millis),
            duration_s: record.lasted.filter(|_| !lost).map(|lasted| millis(lasted) as f64 / 1_000.0),
            tries: facts.tries,
            failovers: facts.tries.saturating_sub(1),
            transfers: facts.transfers,
            stays: facts.stays.word().to_owned(),
            limit: facts.limit.as_deref().map(clean).unwrap_or_default(),
            transparent: facts.transparent,
            relearned: record.relearned,
            call_id: peers_words(&record.call_id),
            far_call_id: peers_words(&facts.far_call_id),
        }
    }

    /// Adds it to `out` as a line of JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let length = out.len();
        // Strings, numbers and truth values: there is nothing that JSON cannot say.
        if serde_json::to_writer(&mut *out, self).is_err() {
            out.truncate(length);
            return;
        }
        out.push(b'\n');
    }

    /// Adds it to `out` as a line of CSV (RFC 4180, but for the bare line feed).
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        write_row(out, self.cells().iter().map(|cell| &**cell));
    }
}

/// The line of names above the others of a CSV file.
pub fn csv_head() -> Vec<u8> {
    let mut out = Vec::new();
    write_row(&mut out, Entry::NAMES.iter().copied());
    out
}

fn write_row<'c>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if cell.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r')) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.push(b'\n');
}

/// A time in words of RFC 3339, UTC, with milliseconds.
pub fn rfc3339(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = time.as_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", unix_ms % 1_000)
}

fn ended_by(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::HungUp(End::Caller) | Outcome::Cancelled => "caller",
        Outcome::HungUp(End::Callee) | Outcome::Refused => "callee",
        Outcome::Ended(_) | Outcome::NotPassed => "edge",
        _ => "",
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A text of a peer: on one line, and not longer than a line should be.
fn clean(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT.min(text.len()));
    let shown = text.get(..end).unwrap_or_default();
    shown.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
pub(super) mod tests;
