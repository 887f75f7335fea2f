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
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    pub told: Told,
    /// In milliseconds since 1970 UTC.
    pub ended_unix_ms: u64,
}

/// What is known of a call that is over.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the larger one")]
pub enum Told {
    /// Its end was seen. A process before this one may have seen its beginning.
    Ended(CallRecord, Option<Box<Opened>>),
    /// A process before this one saw its beginning; nobody saw its end.
    Lost(Box<Opened>),
}

/// A call that was answered, as it was noted then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// In milliseconds since 1970 UTC.
    pub answered_unix_ms: u64,
    pub entry: Entry,
}

/// The outcome of a call that was up when the process ended, and was not heard of any more.
pub const LOST: &str = "lost-with-the-process";

impl Over {
    /// When the call began: its INVITE, or what is known next to that; in milliseconds since 1970 UTC.
    pub fn began_unix_ms(&self) -> u64 {
        match &self.told {
            Told::Lost(opened) | Told::Ended(_, Some(opened)) => {
                opened.answered_unix_ms.saturating_sub(opened.entry.setup_ms.unwrap_or(0))
            }
            Told::Ended(record, None) => match (record.facts.invited_unix_ms, record.began_unix) {
                (0, 0) => self.ended_unix_ms,
                (0, began) => began.saturating_mul(1_000),
                (invited, _) => invited,
            },
        }
    }
}

/// What stands for a trunk that the configuration does not have any more.
const GONE: &str = "gone";

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
        match &over.told {
            Told::Ended(record, before) => {
                let entry = Self { ended_at: rfc3339(over.ended_unix_ms), ..Self::of_record(record, style) };
                match before {
                    Some(before) => entry.completed(before, over.ended_unix_ms),
                    None => entry,
                }
            }
            Told::Lost(opened) => Self {
                outcome: LOST.to_owned(),
                result: words::LOST.to_owned(),
                relearned: true,
                ..opened.entry.clone()
            },
        }
    }

    /// What is known of a call that was answered now.
    pub fn of_answered(record: &CallRecord, now_unix_ms: u64, style: &Style) -> Opened {
        let entry = Self::of_record(record, style);
        let at = rfc3339(now_unix_ms);
        let entry = Self {
            answered_at: at,
            outcome: String::new(),
            result: String::new(),
            hung_up_by: String::new(),
            duration_s: None,
            ..entry
        };
        Opened { answered_unix_ms: now_unix_ms, entry }
    }

    /// With what a process before this one knew of the call's beginning.
    fn completed(self, before: &Opened, ended_unix_ms: u64) -> Self {
        let Opened { answered_unix_ms, entry: old } = before;
        let or = |new: String, old: &String| if new.is_empty() || new == GONE { old.clone() } else { new };
        let lasted = ended_unix_ms.saturating_sub(*answered_unix_ms);
        Self {
            invited_at: old.invited_at.clone(),
            answered_at: old.answered_at.clone(),
            tenant: or(self.tenant, &old.tenant),
            site: or(self.site, &old.site),
            user: or(self.user, &old.user),
            from_trunk: or(self.from_trunk, &old.from_trunk),
            to_trunk: or(self.to_trunk, &old.to_trunk),
            to_kind: or(self.to_kind, &old.to_kind),
            target: or(self.target, &old.target),
            caller: or(self.caller, &old.caller),
            called: or(self.called, &old.called),
            sent_to: or(self.sent_to, &old.sent_to),
            ring_ms: old.ring_ms,
            setup_ms: old.setup_ms,
            duration_s: Some(lasted as f64 / 1_000.0),
            tries: old.tries,
            failovers: old.failovers,
            far_call_id: or(self.far_call_id, &old.far_call_id),
            ..self
        }
    }

    fn of_record(record: &CallRecord, style: &Style) -> Self {
        let CallRecord { facts, .. } = record;
        let text = |text: Option<&Arc<str>>| text.map(|text| clean(text)).unwrap_or_default();
        let number = |text: &str| style.mask.number(&clean(text)).into_owned();
        let peers_words = |words: &str| style.mask.text(&clean(words)).into_owned();
        // Of a call whose beginning nobody saw, nothing is said of it.
        let lasted = record.lasted.filter(|lasted| !record.relearned || !lasted.is_zero());
        let answered = match (lasted, facts.invited_unix_ms, facts.answered_after) {
            (None, ..) => None,
            (Some(_), 1.., Some(after)) => Some(facts.invited_unix_ms.saturating_add(millis(after))),
            _ => (record.began_unix > 0 && !record.relearned).then(|| record.began_unix.saturating_mul(1_000)),
        };
        Self {
            call: record.id.to_string(),
            node: clean(&style.node),
            invited_at: match facts.invited_unix_ms {
                0 => String::new(),
                at => rfc3339(at),
            },
            answered_at: answered.map(rfc3339).unwrap_or_default(),
            ended_at: String::new(),
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
            outcome: record.outcome.name().to_owned(),
            result: words::result(record),
            hung_up_by: ended_by(record.outcome).to_owned(),
            status: (record.status > 0).then_some(record.status),
            reason: peers_words(&record.reason),
            meaning: record.meaning.unwrap_or_default().to_owned(),
            q850: facts.q850,
            q850_meaning: facts.q850.and_then(words::q850).unwrap_or_default().to_owned(),
            ring_ms: facts.rang_after.map(millis),
            setup_ms: facts.answered_after.map(millis),
            duration_s: lasted.map(|lasted| millis(lasted) as f64 / 1_000.0),
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
