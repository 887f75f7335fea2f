//! One subscription: what is under way, what waits, and when it may go.

use std::time::Duration;

use super::dialog::Dialog;
use super::wish::{Package, Wish};
use crate::presence::UserKey;
use crate::presence::agent::{Outcome, Reply};
use crate::transaction::Moment;

/// A watcher's subscription to a user.
#[derive(Debug)]
pub(super) struct Subscription {
    pub user: UserKey,
    pub package: Package,
    /// The user's URI as the watcher knows it.
    pub entity: Box<str>,
    pub event_id: Option<Box<str>>,
    pub dialog: Dialog,
    pub expires_at: Moment,
    /// What the watcher asked for (RFC 6446); zero: nothing.
    pub min_interval: Duration,
    /// CSeq of the last NOTIFY.
    pub cseq: u32,
    /// The version of the next dialog-info document.
    pub version: u32,
    under_way: bool,
    waiting: Option<Urge>,
    /// Changes wait until then; [`Urge::AtOnce`] does not.
    paced_until: Moment,
    /// Everything waits until then: the watcher or the agent has asked for it.
    held_until: Moment,
    /// The outstanding wheel entry for a NOTIFY that waits.
    armed: Option<Moment>,
}

/// How much a NOTIFY is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urge {
    /// The state has changed.
    Changed,
    /// A SUBSCRIBE must be followed by the state at once (RFC 6665 section 4.2.1.2), whatever the interval.
    AtOnce,
}

/// What becomes of a subscription after a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// It was not taken: once more later.
    Again,
    /// The watcher is not there any more.
    Gone,
}

impl Subscription {
    pub(super) fn new(now: Moment, user: UserKey, entity: Box<str>, dialog: Dialog, wish: Wish) -> Self {
        Self {
            user,
            package: wish.event.package,
            entity,
            event_id: wish.event.id,
            dialog,
            expires_at: now + wish.expires,
            min_interval: wish.event.min_interval.unwrap_or_default().min(wish.expires),
            cseq: 0,
            version: 0,
            under_way: false,
            waiting: Some(Urge::AtOnce),
            paced_until: now,
            held_until: now,
            armed: None,
        }
    }

    /// Whether a SUBSCRIBE inside the dialog is for this subscription (RFC 6665 section 4.5.2).
    pub(super) fn is_about(&self, wish: &Wish) -> bool {
        wish.event.package == self.package && wish.event.id == self.event_id
    }

    /// A further SUBSCRIBE has come.
    pub(super) fn refresh(&mut self, now: Moment, wish: &Wish) {
        self.expires_at = now + wish.expires;
        self.min_interval = wish.event.min_interval.unwrap_or_default().min(wish.expires);
        self.waiting = Some(Urge::AtOnce);
    }

    /// A NOTIFY is wanted; `true`: one was waiting already, whose state is overtaken.
    pub(super) fn urge(&mut self, urge: Urge) -> bool {
        self.waiting.replace(self.waiting.map_or(urge, |waiting| waiting.max(urge))).is_some()
    }

    /// When a NOTIFY may go; `None`: none waits, or an answer is awaited first.
    pub(super) fn ready_at(&self) -> Option<Moment> {
        if self.under_way {
            return None;
        }
        Some(match self.waiting? {
            Urge::Changed => self.paced_until.max(self.held_until),
            Urge::AtOnce => self.held_until,
        })
    }

    /// When the wheel is to be armed so that `at` is not missed.
    pub(super) fn cover(&mut self, at: Moment) -> Option<Moment> {
        if self.armed.is_some_and(|armed| armed <= at) {
            return None;
        }
        self.armed = Some(at);
        Some(at)
    }

    /// The wheel's entry has come due.
    pub(super) fn handle_alarm(&mut self, now: Moment) {
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
    }

    /// A NOTIFY goes out, with the state of now.
    pub(super) fn sent(&mut self, now: Moment, floor: Duration) {
        self.under_way = true;
        self.waiting = None;
        self.paced_until = now + floor.max(self.min_interval);
    }

    /// The number of the next NOTIFY.
    pub(super) fn next_cseq(&mut self) -> u32 {
        // Where one is still under way, a challenge may have made the agent take the number after it.
        self.cseq += if self.under_way { 2 } else { 1 };
        self.cseq
    }

    /// Takes what came of the NOTIFY.
    pub(super) fn handle_reply(&mut self, now: Moment, reply: &Reply) -> Next {
        self.under_way = false;
        self.cseq = self.cseq.max(reply.cseq);
        let wait = match &reply.outcome {
            Outcome::Answered(answer) if (200..300).contains(&answer.status()) => return Next::GoOn,
            Outcome::Answered(answer) if ENDS_USAGE.contains(&answer.status()) => return Next::Gone,
            Outcome::Answered(answer) => answer
                .retry_after()
                .map_or(REFUSED_WAIT, |seconds| Duration::from_secs(seconds.into()).clamp(FULL_WAIT, MOST_WAIT)),
            Outcome::Timeout | Outcome::Unreachable => return Next::Gone,
            Outcome::Full => FULL_WAIT,
        };
        self.urge(Urge::Changed);
        self.held_until = now + wait;
        Next::Again
    }
}

/// Answers that end a subscription (RFC 5057 section 5.1), 401, 403, 407 and 603 with them: the watcher does not want it.
const ENDS_USAGE: [u16; 18] =
    [401, 403, 404, 405, 407, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 603, 604];
/// How long a NOTIFY waits that was refused without a word of when to come again.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
/// How long a NOTIFY waits when the agent has too much to do.
const FULL_WAIT: Duration = Duration::from_secs(1);
/// The longest Retry-After that is heeded.
const MOST_WAIT: Duration = Duration::from_secs(300);
