//! A call from its INVITE to its end: what is learned of it on its way, and what it holds of limits.
//!
//! One [`Progress`] is made for each INVITE that begins a call and is given away by value, so that no call is told of
//! twice: from the context that sets the call up (`Work`) to what is kept of a call that is up, a `LiveCall` between owned
//! legs or [`Through`] between transparent trunks, and from there to its record.

pub mod through;
pub mod turn;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::admission::Ticket;
use super::live::End;
use super::record::Stays;
use crate::transaction::Moment;
use crate::trunk::TrunkId;

pub use through::{Passing, Through};
pub use turn::Turn;

/// Bytes of texts that need no block of memory of their own: a Call-ID, two numbers and the number as it was sent.
const TEXTS: usize = 128;

/// Most bytes of one text.
const MAX_TEXT: usize = 256;

/// What is known of a call.
#[derive(Debug)]
pub struct Progress {
    /// The trunk that called.
    pub from: TrunkId,
    /// The trunk that was tried last, or has answered, and the index of its target.
    pub to: Option<(TrunkId, Option<u16>)>,
    pub tenant: Option<Arc<str>>,
    /// The site, by its FQDN.
    pub site: Option<Arc<str>>,
    /// It is a call for help.
    pub emergency: bool,
    /// A side of it has said that it is the focus of a conference.
    pub conference: bool,
    /// The edge owns both legs.
    pub owned: bool,
    /// When the INVITE came.
    pub invited: Moment,
    /// The same in milliseconds since 1970 UTC; zero: this process did not see it.
    pub invited_unix_ms: u64,
    /// When the first provisional answer other than 100 went to the caller.
    pub rang: Option<Moment>,
    /// When its final answer went to the caller.
    pub answered: Option<Moment>,
    /// Targets that were tried.
    pub tries: u8,
    /// Q.850 cause of a CANCEL.
    pub q850: Option<u8>,
    /// By [`End`] of the call as it is: who it was when the call began. `None`: somebody that a transfer has brought.
    sides: [Option<End>; 2],
    /// The limit of a trunk that kept it from there.
    pub limit: Option<Box<str>>,
    /// An operator has ended it before it was answered.
    pub ended_by_operator: bool,
    /// What it holds of limits.
    pub ticket: Ticket,
    texts: SmallVec<[u8; TEXTS]>,
    /// Where each text but the last ends: Call-ID, caller, called.
    ends: [u16; 3],
}

/// What a call is begun with.
#[derive(Debug)]
pub struct BeginProgress<'a> {
    pub from: TrunkId,
    pub tenant: Option<Arc<str>>,
    pub site: Option<Arc<str>>,
    pub emergency: bool,
    pub now: Moment,
    pub unix_ms: u64,
    pub call_id: &'a [u8],
    /// The user part of who calls.
    pub caller: &'a [u8],
    /// The user part as it was dialled.
    pub called: &'a [u8],
    pub ticket: Ticket,
}

impl Progress {
    /// Of an INVITE that has come now.
    pub fn begin(begin: BeginProgress<'_>) -> Self {
        let BeginProgress { from, tenant, site, emergency, now, unix_ms, call_id, caller, called, ticket } = begin;
        let mut texts = SmallVec::new();
        let ends = [call_id, caller, called].map(|text| {
            texts.extend_from_slice(shortened(text));
            texts.len() as u16 // three times `MAX_TEXT` at the most
        });
        Self {
            from,
            to: None,
            tenant,
            site,
            emergency,
            conference: false,
            owned: false,
            invited: now,
            invited_unix_ms: unix_ms,
            rang: None,
            answered: None,
            tries: 0,
            q850: None,
            sides: End::BOTH.map(Some),
            limit: None,
            ended_by_operator: false,
            ticket,
            texts,
            ends,
        }
    }

    /// The INVITE was sent to a target with this user part.
    pub fn note_sent(&mut self, trunk: TrunkId, target: Option<u16>, user: &[u8], owned: bool) {
        self.to = Some((trunk, target));
        self.owned = owned;
        self.tries = self.tries.saturating_add(1);
        let [.., end] = self.ends;
        self.texts.truncate(usize::from(end));
        self.texts.extend_from_slice(shortened(user));
    }

    /// The caller has given up with a CANCEL that has these Reason lines.
    pub fn note_cancel(&mut self, reason_lines: &[u8]) {
        let values = reason_lines.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            q850_of(line.get(colon + 1..)?)
        });
        self.q850 = values.into_iter().next();
    }

    /// The Call-ID of the caller's leg.
    pub fn call_id(&self) -> &[u8] {
        let [call_id, ..] = self.ends;
        self.text(0, call_id)
    }

    /// The user part of who calls.
    pub fn caller(&self) -> &[u8] {
        let [call_id, caller, _] = self.ends;
        self.text(call_id, caller)
    }

    /// The user part as it was dialled.
    pub fn called(&self) -> &[u8] {
        let [_, caller, called] = self.ends;
        self.text(caller, called)
    }

    /// The user part as the last target got it.
    pub fn sent_to(&self) -> &[u8] {
        let [.., called] = self.ends;
        self.texts.get(usize::from(called)..).unwrap_or_default()
    }

    /// A transfer has connected the side `keep`, which is the caller from now on, with somebody else.
    pub const fn connect(&mut self, keep: End) {
        let [caller, callee] = self.sides;
        self.sides = match keep {
            End::Caller => [caller, None],
            End::Callee => [callee, None],
        };
    }

    /// Who of those that began the call is still in it.
    pub fn stays(&self) -> Stays {
        match (self.sides.contains(&Some(End::Caller)), self.sides.contains(&Some(End::Callee))) {
            (true, true) => Stays::Both,
            (true, false) => Stays::Caller,
            (false, true) => Stays::Callee,
            (false, false) => Stays::Nobody,
        }
    }

    /// From the INVITE to a moment.
    pub fn after(&self, moment: Moment) -> Duration {
        moment.since(self.invited)
    }

    fn text(&self, start: u16, end: u16) -> &[u8] {
        self.texts.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }
}

fn shortened(text: &[u8]) -> &[u8] {
    text.get(..MAX_TEXT).unwrap_or(text)
}

/// The progress of a call that is up, in the call. A copy of the call has none: there is one record for each call.
#[derive(Debug, Default)]
pub struct Kept(pub Option<Box<Progress>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Deref for Kept {
    type Target = Option<Box<Progress>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// The cause of the first Q.850 value in Reason values (RFC 3326).
pub fn q850_of(values: &[u8]) -> Option<u8> {
    let is_q850 = |value: &&[u8]| value.trim_ascii().get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"Q.850"));
    let value = crate::sip::scan::Values::new(values).filter_map(Result::ok).find(is_q850)?;
    let cause = value.split(|&byte| byte == b';').find_map(|part| {
        let (name, number) = part.split_at_checked(part.iter().position(|&byte| byte == b'=')?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"cause").then_some(number)
    })?;
    std::str::from_utf8(cause.get(1..)?.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(called: &[u8]) -> Progress {
        Progress::begin(BeginProgress {
            from: TrunkId(3),
            tenant: None,
            site: None,
            emergency: false,
            now: Moment::from_millis(1_000),
            unix_ms: 7,
            call_id: b"a84b4c76e66710@pc33.example.com",
            caller: b"+441632768401",
            called,
            ticket: Ticket::default(),
        })
    }

    #[test]
    fn texts_are_kept_in_one_place_and_the_last_target_counts() {
        let mut call = progress(b"201");
        assert_eq!((call.call_id(), call.caller()), (&b"a84b4c76e66710@pc33.example.com"[..], &b"+441632768401"[..]));
        assert_eq!((call.called(), call.sent_to(), call.tries), (&b"201"[..], &b""[..], 0));
        for (user, tries) in [(&b"+441632768201"[..], 1), (b"201", 2), (b"", 3)] {
            call.note_sent(TrunkId(1), Some(0), user, false);
            assert_eq!((call.called(), call.sent_to(), call.tries), (&b"201"[..], user, tries));
        }
        let long = progress(&[b'1'; 900]);
        assert_eq!((long.called().len(), long.sent_to().len()), (MAX_TEXT, 0));
    }

    #[test]
    fn the_progress_of_a_usual_call_is_one_block() {
        let call = progress(b"+441632768201");
        assert!(!call.texts.spilled());
        assert!(size_of::<Progress>() <= 384, "{}", size_of::<Progress>());
    }

    #[test]
    fn transfers_leave_who_they_leave() {
        let mut call = progress(b"201");
        assert_eq!(call.stays(), Stays::Both);
        for (keep, wanted) in [(End::Callee, Stays::Callee), (End::Caller, Stays::Callee), (End::Callee, Stays::Nobody)]
        {
            call.connect(keep);
            assert_eq!(call.stays(), wanted);
        }
    }

    #[test]
    fn causes_are_read_from_reasons() {
        for (reason, wanted) in [
            ("Q.850;cause=16;text=\"Terminated\"", Some(16)),
            ("SIP;cause=480;text=\"a, b\", q.850 ; text=\"x\" ; Cause = 17", Some(17)),
            ("SIP;cause=200", None),
            ("Q.850", None),
            ("Q.850;cause=1000", None),
            ("", None),
        ] {
            assert_eq!(q850_of(reason.as_bytes()), wanted, "{reason}");
        }
    }
}
