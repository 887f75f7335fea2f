//! Who has diverted a call: History-Info (RFC 7044) and Diversion (RFC 5806), one made of the other as RFC 7544 says.
//!
//! ```text
//! cause   302            408        486        480, 487    503          404 and all others
//! reason  unconditional  no-answer  user-busy  deflection  unavailable  unknown
//! ```
//! Diversion begins with the last who has diverted, History-Info with the first. In History-Info the edge says the cause
//! twice: with Reason in the entry of whom the call left, as Teams and RFC 4244 do, and in the `cause` of whom it came
//! to. A counter above one stands for parties that nobody knows: entries of `unknown.invalid`.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::entry::{Entry, cause_of, write_display, write_escaped};
use super::{Ends, Passing, Privacy, Seen, lines_of, remove_lines, written};
use crate::call::owned::hosts::{is_nobodys, is_telephone};
use crate::sip::edit::{Edits, write_decimal};
use crate::sip::scan::Values;
use crate::sip::{Line, Message, NameAddr, Scheme, Span, Uri, scan};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::identity::Diverted;

/// Parties that are read of one message, and entries that are written.
const MOST: usize = 32;

/// Stands for a party that nobody knows (RFC 7544 section 7).
const UNKNOWN: &[u8] = b"unknown.invalid";

/// Why a call was diverted (RFC 5806 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Unconditional,
    NoAnswer,
    UserBusy,
    Deflection,
    Unavailable,
    Unknown,
}

impl Reason {
    const ALL: [(Self, u16, &'static str, &'static str); 6] = [
        (Self::Unconditional, 302, "unconditional", "Moved Temporarily"),
        (Self::NoAnswer, 408, "no-answer", "Request Timeout"),
        (Self::UserBusy, 486, "user-busy", "Busy Here"),
        (Self::Deflection, 480, "deflection", "Temporarily Unavailable"),
        (Self::Unavailable, 503, "unavailable", "Service Unavailable"),
        (Self::Unknown, 404, "unknown", "Not Found"),
    ];

    /// By a cause of SIP.
    const fn of_cause(cause: u16) -> Self {
        match cause {
            300..=399 => Self::Unconditional,
            408 => Self::NoAnswer,
            486 | 600 => Self::UserBusy,
            480 | 487 => Self::Deflection,
            503 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// By a cause of Q.850.
    const fn of_q850(cause: u16) -> Self {
        match cause {
            17 => Self::UserBusy,
            18 | 19 => Self::NoAnswer,
            20 | 27 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// By the word of a Diversion value; those that History-Info has no cause for are unknown.
    fn of_word(word: &[u8]) -> Self {
        let known = Self::ALL.iter().find(|(_, _, known, _)| word.eq_ignore_ascii_case(known.as_bytes()));
        known.map_or(Self::Unknown, |(reason, ..)| *reason)
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        let row = Self::ALL.iter().find(|(reason, ..)| *reason == self);
        row.map_or((404, "unknown", "Not Found"), |&(_, cause, word, text)| (cause, word, text))
    }

    /// The cause of SIP.
    pub fn cause(self) -> u16 {
        self.row().0
    }

    /// The word of Diversion.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    fn text(self) -> &'static str {
        self.row().2
    }
}

/// A party that has diverted the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    pub display: &'a [u8],
    /// Empty where the URI has none.
    pub user: Cow<'a, [u8]>,
    /// The host says that nothing is said.
    pub nobody: bool,
    pub private: bool,
    pub reason: Reason,
    /// Diversions up to this one, since the one before.
    pub counter: u16,
}

/// Those who have diverted a call, the first of them first.
pub type Chain<'a> = SmallVec<[Step<'a>; 4]>;

/// How often a request says that its call was diverted.
pub fn count(request: &Message) -> u32 {
    let sum = |chain: Chain<'_>| chain.iter().map(|step| u32::from(step.counter)).sum::<u32>();
    let (history, diversion) = (of_history(request), of_diversion(request));
    sum(history).max(sum(diversion))
}

/// Reads Diversion.
pub fn of_diversion(message: &Message) -> Chain<'_> {
    let lines = lines_of(message, "Diversion");
    let values = lines.flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok);
    let mut chain: Chain<'_> = values.filter_map(step_of_diversion).take(MOST).collect();
    chain.reverse();
    chain
}

fn step_of_diversion(value: &[u8]) -> Option<Step<'_>> {
    let address = NameAddr::parse(value).ok()?;
    let uri = address.uri().ok()?;
    let param = |name: &[u8]| address.param(name).and_then(|param| param.value).map(unquoted);
    let counter = param(b"counter").and_then(scan::decimal).unwrap_or(1);
    Some(Step {
        private: param(b"privacy").is_some_and(|word| !word.eq_ignore_ascii_case(b"off")),
        reason: param(b"reason").map_or(Reason::Unknown, Reason::of_word),
        counter: u16::try_from(counter).unwrap_or(u16::MAX).max(1),
        ..step(address.display, &uri)
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn step<'a>(display: &'a [u8], uri: &Uri<'a>) -> Step<'a> {
    let user = uri.user.unwrap_or_default();
    let user = match uri.scheme {
        Scheme::Tel if !uri.params.is_empty() => Cow::Owned([user, uri.params].concat()),
        _ => Cow::Borrowed(user),
    };
    let nobody = is_nobodys(uri.host);
    Step { display, user, nobody, private: false, reason: Reason::Unknown, counter: 1 }
}

fn entries(message: &Message) -> SmallVec<[Entry<'_>; 4]> {
    let lines = lines_of(message, "History-Info");
    let values = lines.flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok);
    values.filter_map(Entry::read).take(MOST).collect()
}

/// Reads History-Info: of its entries those from which the call went on for a reason that is given.
pub fn of_history(message: &Message) -> Chain<'_> {
    let entries = entries(message);
    let target = message.uri().ok();
    let mut chain = Chain::new();
    let mut unknown = 0_u16;
    for (index, entry) in entries.iter().enumerate() {
        if entry.uri.host.eq_ignore_ascii_case(UNKNOWN) {
            unknown += 1;
            continue;
        }
        let said = entry.reason().map(|(protocol, cause)| match &*protocol {
            b"Q.850" => Reason::of_q850(cause),
            _ => Reason::of_cause(cause),
        });
        let next = || match entries.get(index + 1) {
            Some(next) => next.cause(),
            None => target.as_ref().filter(|target| target.user != entry.uri.user).and_then(cause_of),
        };
        let Some(reason) = said.or_else(|| next().map(Reason::of_cause)) else { continue };
        let counter = 1 + std::mem::take(&mut unknown);
        let private = entry.is_private();
        chain.push(Step { private, reason, counter, ..step(entry.display, &entry.uri) });
    }
    chain
}

/// How parties are written.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// The edge's own name.
    pub host: &'a [u8],
    /// Who is private is not named.
    pub redacts: bool,
}

impl Writing<'_> {
    /// Writes `<sip:user@host;user=phone`, open at its end.
    fn write_party(&self, step: &Step<'_>, out: &mut Vec<u8>) {
        if step.nobody || step.private && self.redacts {
            return out.extend_from_slice(b"<sip:anonymous@anonymous.invalid");
        }
        write_display(step.display, out);
        out.extend_from_slice(b"<sip:");
        if !step.user.is_empty() {
            out.extend_from_slice(&step.user);
            out.push(b'@');
        }
        out.extend_from_slice(self.host);
        out.extend_from_slice(if is_telephone(&step.user) { b";user=phone" } else { b"" });
    }

    /// Writes Diversion, a line for each who has diverted, the last of them first.
    pub fn write_diversion(&self, chain: &[Step<'_>], out: &mut Vec<u8>) {
        for step in chain.iter().rev() {
            out.extend_from_slice(b"Diversion: ");
            self.write_party(step, out);
            out.extend_from_slice(b">;reason=");
            out.extend_from_slice(step.reason.word().as_bytes());
            out.extend_from_slice(b";counter=");
            write_decimal(out, u64::from(step.counter));
            out.extend_from_slice(if step.private { b";privacy=full\r\n" } else { b";privacy=off\r\n" });
        }
    }

    /// Writes History-Info, one line: those who have diverted, and behind them who is called now.
    pub fn write_history(&self, chain: &[Step<'_>], called: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"History-Info: ");
        let mut depth = 0;
        let mut cause = None;
        for (index, step) in chain.iter().enumerate() {
            // Room is left for those who are named.
            let room = MOST.saturating_sub(depth + chain.len() - index + 1);
            for _ in 0..usize::from(step.counter - step.counter.min(1)).min(room) {
                begin_entry(depth, out);
                out.extend_from_slice(b"<sip:unknown@");
                out.extend_from_slice(UNKNOWN);
                end_entry(cause, None, false, &mut depth, out);
                cause = Some(Reason::Unknown);
            }
            begin_entry(depth, out);
            self.write_party(step, out);
            end_entry(cause, Some(step.reason), step.private, &mut depth, out);
            cause = Some(step.reason);
        }
        begin_entry(depth, out);
        let target = Step { user: Cow::Borrowed(called), ..step(b"", &NO_URI) };
        self.write_party(&target, out);
        end_entry(cause, None, false, &mut depth, out);
        out.extend_from_slice(b"\r\n");
    }
}

const NO_URI: Uri<'static> =
    Uri { raw: b"", scheme: Scheme::Sip, user: None, password: None, host: b"", port: None, params: b"", headers: b"" };

fn begin_entry(depth: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(if depth > 0 { b", " } else { b"" });
}

/// Ends an entry: why the call came here, why it went on, whether that is private, and how deep it is.
fn end_entry(came: Option<Reason>, left: Option<Reason>, private: bool, depth: &mut usize, out: &mut Vec<u8>) {
    if let Some(reason) = came {
        out.extend_from_slice(b";cause=");
        write_decimal(out, u64::from(reason.cause()));
    }
    if private {
        out.extend_from_slice(b"?Privacy=history");
    }
    if let Some(reason) = left {
        out.extend_from_slice(if private { b"&Reason=" } else { b"?Reason=" });
        write_escaped(format!("SIP;cause={};text=\"{}\"", reason.cause(), reason.text()).as_bytes(), out);
    }
    out.extend_from_slice(b">;index=1");
    for _ in 0..*depth {
        out.extend_from_slice(b".1");
    }
    *depth += 1;
}

/// Makes the edits: `privacy` is that of the request; with `redacts` the side that gets it is not told of who is private.
pub(super) fn edit(
    passing: &Passing<'_>,
    ends: &Ends<'_>,
    seen: Seen,
    (privacy, redacts): (Privacy, bool),
    edits: &mut Edits,
) {
    let Passing { message, to, initial, host, .. } = *passing;
    let wanted = to.dialect.identity.diverted;
    let writing = Writing { host, redacts };
    let (history, diversion) = (seen.has(Seen::HISTORY), seen.has(Seen::DIVERSION));
    let begins = message.is_request() && initial;
    let private = privacy.hides_history();
    let made = |mut chain: Chain<'_>, write: &dyn Fn(&Chain<'_>, &mut Vec<u8>), source: &str, edits: &mut Edits| {
        let Some(line) = lines_of(message, source).next().filter(|_| !chain.is_empty()) else { return };
        for step in &mut chain {
            step.private |= private;
            step.user = Cow::Owned(written(passing, ends, &step.user));
        }
        edits.insert_with(line.start, |out| write(&chain, out));
    };
    if begins && history && !diversion && matches!(wanted, Diverted::Diversion | Diverted::Both) {
        made(of_history(message), &|chain, out| writing.write_diversion(chain, out), "History-Info", edits);
    }
    if begins && diversion && !history && matches!(wanted, Diverted::HistoryInfo | Diverted::Both) {
        let called = called(message, edits);
        made(of_diversion(message), &|chain, out| writing.write_history(chain, &called, out), "Diversion", edits);
    }
    if history && !wanted.has_history() {
        remove_lines(message, "History-Info", edits);
    } else if history {
        tidy_history(passing, private, redacts, edits);
    }
    if diversion && !wanted.has_diversion() {
        remove_lines(message, "Diversion", edits);
    } else if diversion && redacts {
        redact_diversion(message, private, edits);
    }
}

/// The user part of the Request-URI as it leaves.
fn called(message: &Message, edits: &Edits) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    if let Some(span) = message.request_uri_span() {
        edits.render(message, span, &mut out);
    }
    Uri::parse(&out).ok().and_then(|uri| uri.user).unwrap_or_default().to_vec()
}

/// Writes History-Info anew where it is not sound, or tells of who is private; in one line then.
fn tidy_history(passing: &Passing<'_>, private: bool, redacts: bool, edits: &mut Edits) {
    let Passing { message, to, host, .. } = *passing;
    let entries = entries(message);
    let hidden = |entry: &Entry<'_>| redacts && (private || entry.is_private());
    let count =
        lines_of(message, "History-Info").map(|line| Values::new(message.value_at(line)).count()).sum::<usize>();
    if entries.len() == count && entries.iter().all(|entry| entry.sound && !hidden(entry)) {
        return;
    }
    let phone = to.kind == TrunkKind::Teams;
    rewrite(message, "History-Info", edits, |out| {
        for (index, entry) in entries.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b", " } else { b"" });
            entry.write(host, phone, hidden(entry), out);
        }
        !entries.is_empty()
    });
}

/// Takes those out of Diversion who want to stay unknown.
fn redact_diversion(message: &Message, private: bool, edits: &mut Edits) {
    for line in lines_of(message, "Diversion") {
        for value in Values::new(message.value_at(line)).filter_map(Result::ok) {
            let Ok(address) = NameAddr::parse(value) else { continue };
            if private || step_of_diversion(value).is_some_and(|step| step.private) {
                let whole = message.span_of(value);
                let params = message.span_of(address.params);
                let end = if address.params.is_empty() { whole.end } else { params.start };
                let place = Span { start: whole.start, end };
                edits.retract(place);
                edits.replace(place, b"<sip:anonymous@anonymous.invalid>");
            }
        }
    }
}

/// Puts one value in the place of all lines of a name; none when `write` gives false.
fn rewrite(message: &Message, name: &str, edits: &mut Edits, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let mut lines = lines_of(message, name);
    let Some(first) = lines.next() else { return };
    let remove = |line: &Line, edits: &mut Edits| {
        edits.retract(Span { start: line.start, end: line.next });
        edits.remove_line(line);
    };
    lines.for_each(|line| remove(line, edits));
    let value = Span { start: first.value, end: first.value_end };
    edits.retract(value);
    let mut written = false;
    edits.replace_with(value, |out| written = write(out));
    if !written {
        remove(first, edits);
    }
}

#[cfg(test)]
mod tests;
