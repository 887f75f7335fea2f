//! Who calls, on the way from one leg to the other: what the caller hides, what the other side is trusted with, and how
//! it wants to be told (RFC 3323, RFC 3325). `owned::hosts` has renamed the hosts by then.
//!
//! A call for help tells who calls in any case: neither a wish for privacy nor doubts of the sender hold there.

pub mod diverted;
mod entry;
mod privacy;
mod teams;

use crate::call::caller::is_anonymous;
use crate::call::dialect::Passing;
use crate::call::leg::Leg;
use crate::call::numbers::translated;
use crate::call::owned::hosts::is_telephone;
use crate::routing::number::Form;
use crate::routing::translate::Translation;
use crate::sip::edit::Edits;
use crate::sip::scan::Values;
use crate::sip::{HeaderName, Line, Message, NameAddr, Span};
use crate::trunk::Trunk;
use crate::trunk::dialect::identity::{From, Told};

pub use self::privacy::Privacy;
pub(in crate::call) use self::teams::write_numbers;

/// Who hides, in From (RFC 3323 section 4.1.1.3).
const NOBODY: &[u8] = b"\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Headers of a message that tell of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u8);

impl Seen {
    pub const PRIVACY: Self = Self(1);
    pub const ASSERTED: Self = Self(2);
    pub const PREFERRED: Self = Self(4);
    pub const REMOTE_PARTY: Self = Self(8);
    pub const DIVERSION: Self = Self(16);
    pub const HISTORY: Self = Self(32);
    /// Any other by which a caller who hides would be known.
    pub const REVEALING: Self = Self(64);

    pub(in crate::call) const fn add(&mut self, more: Self) {
        self.0 |= more.0;
    }

    const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }
}

/// What is known of the two ends beyond the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends<'a> {
    /// What routing asked for, of a request that begins a dialog.
    pub leg: Option<&'a Leg>,
    /// The sender has hidden when the dialog began.
    pub hidden: bool,
}

/// Headers that would tell who hides, beside those with a policy of their own.
const REVEALING: [&str; 10] = [
    "Identity",
    "y",
    "Identity-Info",
    "n",
    "Reply-To",
    "Referred-By",
    "b",
    "P-Served-User",
    "P-Associated-URI",
    "P-Preferred-Identity",
];

/// Why a call does not go to a trunk for what its request says of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTold {
    /// It was diverted too often.
    Diverted,
    /// It asks for more privacy than the edge can give, or for none at all (RFC 3323 section 4.2, `critical`).
    Critical,
}

impl NotTold {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 2] = [Self::Diverted, Self::Critical];

    /// A short name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diverted => "diverted",
            Self::Critical => "critical",
        }
    }
}

/// Whether a request that begins a dialog may not go to a trunk, and the status that it gets then.
pub(in crate::call) fn refusal(request: &Message, to: &Trunk) -> Option<(u16, NotTold)> {
    let mut others = request.lines().iter().filter(|line| line.name == HeaderName::Other);
    if !others.any(|line| matches!(request.name_at(line).len(), 7 | 9 | 12)) {
        return None;
    }
    if Privacy::of(request).cannot_be_kept() {
        return Some((500, NotTold::Critical));
    }
    let too_often = diverted::count(request) > u32::from(to.dialect.identity.max_diversions);
    too_often.then_some((482, NotTold::Diverted))
}

/// Whether the sender of a request hides who calls.
pub(in crate::call) fn hides(request: &Message) -> bool {
    let mut others = request.lines().iter().filter(|line| line.name == HeaderName::Other);
    others.any(|line| matches!(request.name_at(line).len(), 7 | 15))
        && (Privacy::of(request).hides() || privacy::remote_party_hides(request))
}

/// Makes the edits; `seen` is what `owned::hosts` came across.
pub(in crate::call) fn edit(passing: &Passing<'_>, ends: &Ends<'_>, seen: Seen, edits: &mut Edits) {
    let Passing { message, from, to, initial, emergency, .. } = *passing;
    let policy = &to.dialect.identity;
    let makes = |told| matches!(told, Told::Add | Told::Number);
    let begins = message.is_request() && initial;
    let idle =
        policy.from == From::Pass && !makes(policy.asserted) && !makes(policy.preferred) && !makes(policy.remote_party);
    if seen == Seen::default() && !ends.hidden && (idle || !begins) {
        return;
    }
    let privacy = if seen.has(Seen::PRIVACY) { Privacy::of(message) } else { Privacy::default() };
    let hidden = ends.hidden || privacy.hides() || seen.has(Seen::REMOTE_PARTY) && privacy::remote_party_hides(message);
    let withheld = hidden && !policy.trusted && !emergency;
    let caller = Caller {
        passing,
        believed: from.dialect.identity.believed || emergency,
        hidden,
        withheld,
        // What is made anew is made when a dialog begins.
        begins: begins && !withheld,
    };
    caller.edit(seen, edits);
    if withheld && !privacy.is_asked() && begins {
        edits.append_header(message, "Privacy", b"id");
    }
    if seen.has(Seen::DIVERSION) || seen.has(Seen::HISTORY) {
        let redacts = !policy.trusted && !emergency;
        diverted::edit(passing, ends, seen, (privacy, redacts), edits);
    }
}

/// The caller of a request, or the callee of an answer.
struct Caller<'a> {
    passing: &'a Passing<'a>,
    /// What the sender's headers assert counts.
    believed: bool,
    hidden: bool,
    withheld: bool,
    begins: bool,
}

impl Caller<'_> {
    fn edit(&self, seen: Seen, edits: &mut Edits) {
        let Passing { message, to, .. } = *self.passing;
        let policy = &to.dialect.identity;
        // Read before anything of it goes.
        let asserted =
            (self.begins && self.believed && seen.has(Seen::ASSERTED)).then(|| self.asserted(edits)).flatten();
        let own = self.begins.then(|| self.own(edits)).flatten();
        if message.is_request() {
            self.edit_from(asserted.as_deref(), edits);
        }
        let known = asserted.or(own);
        let headers = [
            ("P-Asserted-Identity", Seen::ASSERTED, policy.asserted, self.believed),
            ("P-Preferred-Identity", Seen::PREFERRED, policy.preferred, true),
            ("Remote-Party-ID", Seen::REMOTE_PARTY, policy.remote_party, self.believed),
        ];
        for (name, flag, told, believed) in headers {
            let there = seen.has(flag);
            let kept = there && believed && !self.withheld && matches!(told, Told::Pass | Told::Add);
            if there && !kept {
                remove_lines(message, name, edits);
            }
            let number = policy.number.as_deref().filter(|_| told == Told::Number).map(str::as_bytes);
            let made = match told {
                Told::Add if !kept && self.begins => known.as_deref(),
                Told::Number if (self.begins || there && !self.withheld) => number,
                _ => None,
            };
            if let Some(user) = made {
                let remote_party = flag == Seen::REMOTE_PARTY;
                edits.insert_with(message.header_block().end, |out| self.write(name, user, remote_party, out));
            }
        }
        if self.withheld && seen.has(Seen::REVEALING) {
            REVEALING.iter().for_each(|name| remove_lines(message, name, edits));
        }
    }

    /// The user part that the sender asserts, as the other side gets it.
    fn asserted(&self, edits: &Edits) -> Option<Vec<u8>> {
        let message = self.passing.message;
        let lines = lines_of(message, "P-Asserted-Identity");
        let values = lines.flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok);
        let mut users = values.filter_map(|value| {
            let address = NameAddr::parse(value).ok()?;
            let uri = address.uri().ok().filter(|uri| !is_anonymous(&address, uri))?;
            uri.user
        });
        rendered(message, users.next()?, edits)
    }

    /// The user part in From, unless that says nothing.
    fn own(&self, edits: &Edits) -> Option<Vec<u8>> {
        let message = self.passing.message;
        let address = message.from().ok()?;
        let uri = address.uri().ok().filter(|uri| !is_anonymous(&address, uri))?;
        rendered(message, uri.user?, edits)
    }

    fn edit_from(&self, asserted: Option<&[u8]>, edits: &mut Edits) {
        let Passing { message, to, .. } = *self.passing;
        let Some(line) = message.line(HeaderName::From) else { return };
        let Ok(address) = NameAddr::parse(message.value_at(line)) else { return };
        let whole = Span { start: line.value, end: line.value_end };
        // The tag may be another one on this leg.
        let params = || match address.params {
            [] => Some(Vec::new()),
            params => rendered(message, params, edits),
        };
        if self.withheld {
            let params = params().unwrap_or_default();
            edits.retract(whole);
            return edits.replace_with(whole, |out| {
                out.extend_from_slice(NOBODY);
                out.extend_from_slice(&params);
            });
        }
        let policy = &to.dialect.identity;
        let user = match policy.from {
            From::Pass => None,
            From::Asserted => asserted,
            From::Number => policy.number.as_deref().map(str::as_bytes),
        };
        let anonymous = address.uri().is_ok_and(|uri| is_anonymous(&address, &uri));
        let Some(user) = user.filter(|_| self.begins && !self.hidden && !anonymous) else { return };
        let params = params().unwrap_or_default();
        edits.retract(whole);
        edits.replace_with(whole, |out| {
            if !address.display.is_empty() {
                out.extend_from_slice(address.display);
                out.push(b' ');
            }
            self.write_address(user, out);
            out.extend_from_slice(&params);
        });
    }

    /// Writes a line that says who calls.
    fn write(&self, name: &str, user: &[u8], remote_party: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        self.write_address(user, out);
        if remote_party {
            out.extend_from_slice(b";party=calling;screen=yes;privacy=");
            out.extend_from_slice(if self.hidden { b"full" } else { b"off" });
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_address(&self, user: &[u8], out: &mut Vec<u8>) {
        write_address(user, self.passing.host, out);
    }
}

/// Writes `<sip:user@host;user=phone>`.
fn write_address(user: &[u8], host: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<sip:");
    out.extend_from_slice(user);
    out.push(b'@');
    out.extend_from_slice(host);
    out.extend_from_slice(if is_telephone(user) { b";user=phone>" } else { b">" });
}

/// A user part as the edits made so far leave it.
fn rendered(message: &Message, user: &[u8], edits: &Edits) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(user.len() + 8);
    edits.render(message, message.span_of(user), &mut out);
    (!out.is_empty()).then_some(out)
}

/// The user part of somebody else than the caller, in the form that the other side wants of callers.
fn written(passing: &Passing<'_>, ends: &Ends<'_>, user: &[u8]) -> Vec<u8> {
    let none = Translation::default();
    let rules = |trunk| passing.edge.translations(trunk);
    let inbound = rules(passing.from.id).map_or(&none, |rules| &rules.inbound.calling);
    let outbound = rules(passing.to.id).map_or(&none, |rules| &rules.outbound.calling);
    let inside = translated(inbound, user);
    let leg = ends.leg.filter(|leg| leg.calling != Form::AsIs);
    let formed = leg.map_or(std::borrow::Cow::Borrowed(&*inside), |leg| leg.calling(&inside));
    translated(outbound, &formed).into_owned()
}

/// The lines of a name that the message layer does not know.
fn lines_of<'m>(message: &'m Message, name: &str) -> impl Iterator<Item = &'m Line> {
    message.lines().iter().filter(move |line| {
        line.name == HeaderName::Other && message.name_at(line).eq_ignore_ascii_case(name.as_bytes())
    })
}

/// Takes all lines of a name away, with what was to become of them.
fn remove_lines(message: &Message, name: &str, edits: &mut Edits) {
    for line in lines_of(message, name) {
        edits.retract(Span { start: line.start, end: line.next });
        edits.remove_line(line);
    }
}

#[cfg(test)]
mod tests;
