//! One user towards Graph: what is wanted, what Graph has, what is under way, and when it is his turn.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Queue;
use super::{Order, Written};
use crate::presence::{Session, TenantKey, UserKey};
use crate::transaction::{Alarm, Moment};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// What Graph has of the edge's session of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    Sure(Session),
    /// A request may or may not have been done.
    Unsure,
}

impl Held {
    /// What a request leaves behind that was done.
    pub fn of(session: Option<Session>) -> Self {
        session.map_or(Self::Nothing, Self::Sure)
    }
}

/// Why a user is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bar {
    None,
    /// Graph does not know the object id: until the user changes.
    NoMatch,
    /// Graph refused the session: until [`Slot::not_before`].
    Refused,
}

/// When it is a user's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now(Queue),
    At(Moment),
    /// Not before something happens.
    Never,
}

/// What a user waits for, for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Graph has what is wanted.
    Settled,
    /// There is a difference to be sent.
    Waiting,
    /// A request is under way.
    Sending,
    /// Graph has no such user, or the object id is not known.
    Unmatched,
    /// Graph refused the session; it is tried again in a while.
    Refused,
}

impl State {
    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Unmatched => "unmatched",
            Self::Refused => "refused",
        }
    }
}

/// How a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserStanding {
    pub wanted: Option<Session>,
    /// What Graph has for sure.
    pub written: Option<Session>,
    pub state: State,
    /// When the wanted state came to differ from what was sent.
    pub waits_since: Option<Moment>,
}

/// See the head of this module.
#[derive(Debug)]
pub(super) struct Slot {
    pub user: Option<UserKey>,
    pub tenant: TenantKey,
    pub graph_id: Option<Arc<str>>,
    pub wanted: Option<Session>,
    pub held: Held,
    /// When what Graph has is gone by itself.
    pub until: Moment,
    /// What is under way.
    pub sending: Option<Option<Session>>,
    /// A queue of the tenant has an entry for this slot.
    pub queued: Option<Queue>,
    pub bar: Bar,
    /// A session of before a restart, of whose user nothing is known yet.
    pub settling: bool,
    /// Stands among those that wait, under `since`.
    pub counted: bool,
    /// Faults in a row that were this user's own.
    pub attempts: u8,
    pub since: Moment,
    pub not_before: Moment,
    pub refresh_at: Moment,
    pub alarm: Alarm,
    pub generation: u32,
}

impl Slot {
    pub fn new(tenant: TenantKey, graph_id: Option<Arc<str>>) -> Self {
        Self {
            user: None,
            tenant,
            graph_id,
            wanted: None,
            held: Held::Nothing,
            until: Moment::START,
            sending: None,
            queued: None,
            bar: Bar::None,
            settling: false,
            counted: false,
            attempts: 0,
            since: Moment::START,
            not_before: Moment::START,
            refresh_at: Moment::START,
            alarm: Alarm::default(),
            generation: 0,
        }
    }

    /// Takes what is wanted from now on. After a restart nothing is known of anybody for a while, so that no session does
    /// not yet mean that there shall be none.
    pub fn want(&mut self, now: Moment, session: Option<Session>) {
        if session.is_some() {
            self.end_settling(now);
        }
        if self.wanted != session {
            self.wanted = session;
            if !self.counted {
                self.since = now;
            }
        }
    }

    /// What is wanted is known.
    pub fn end_settling(&mut self, now: Moment) {
        if self.settling {
            self.settling = false;
            self.not_before = now;
        }
    }

    /// A fault of the user's own: the next request waits.
    pub fn pause(&mut self, until: Moment) {
        self.not_before = self.not_before.max(until);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// What the disk is to know after an answer. It has the session that was sent, unsure, unless a clear was sent.
    pub fn keep(&self, unchanged: bool) -> Option<Order> {
        let graph_id = self.graph_id.clone().filter(|_| !unchanged)?;
        let written = match self.held {
            Held::Nothing => None,
            Held::Sure(session) => Some(Written { session, until: self.until, sure: true }),
            Held::Unsure => return None,
        };
        Some(Order::Keep { tenant: self.tenant, graph_id, written })
    }

    /// The user has gone: what Graph has is to be cleared.
    pub fn abandon(&mut self, now: Moment) {
        self.user = None;
        self.end_settling(now);
        self.want(now, None);
        if self.bar == Bar::NoMatch {
            self.bar = Bar::None;
        }
    }

    /// What Graph has may have run out.
    pub fn lapse(&mut self, now: Moment) {
        if self.held != Held::Nothing && self.until <= now && self.sending.is_none() {
            if !self.is_unlike() {
                self.since = now;
            }
            self.held = Held::Nothing;
        }
    }

    /// Whether a change waits to be sent: the user's own business, which no bar holds up.
    pub fn differs(&self) -> bool {
        if self.graph_id.is_none() || self.bar != Bar::None || self.settling {
            return false;
        }
        match self.sending {
            Some(sending) => sending != self.wanted,
            None => self.is_unlike(),
        }
    }

    /// When it is this slot's turn.
    pub fn due(&self, now: Moment, expires: Duration) -> Due {
        if self.sending.is_some() || self.graph_id.is_none() || self.bar == Bar::NoMatch {
            return Due::Never;
        }
        let queue = if self.is_unlike() {
            Queue::Changes
        } else if self.held == Held::Nothing {
            return Due::Never;
        } else if now < self.refresh_at {
            return Due::At(self.refresh_at);
        } else if now >= self.last_quarter(expires) {
            Queue::Changes
        } else {
            Queue::Refreshes
        };
        if now < self.not_before {
            // What Graph has may run out before.
            let lapse = if self.held == Held::Nothing { self.not_before } else { self.until };
            return Due::At(self.not_before.min(lapse));
        }
        Due::Now(queue)
    }

    /// When a refresh that waits for its turn becomes as urgent as a change.
    pub fn promotion(&self, now: Moment, expires: Duration) -> Option<Moment> {
        (self.queued == Some(Queue::Refreshes)).then(|| self.last_quarter(expires)).filter(|&at| at > now)
    }

    /// Nobody's, and Graph has nothing: the slot can go.
    pub fn is_spent(&self) -> bool {
        self.user.is_none() && self.held == Held::Nothing && self.sending.is_none()
    }

    /// How the user stands.
    pub fn standing(&self) -> UserStanding {
        let state = if self.graph_id.is_none() || self.bar == Bar::NoMatch {
            State::Unmatched
        } else if self.sending.is_some() {
            State::Sending
        } else if self.bar == Bar::Refused {
            State::Refused
        } else if self.is_unlike() {
            State::Waiting
        } else {
            State::Settled
        };
        let written = match self.held {
            Held::Sure(session) => Some(session),
            Held::Nothing | Held::Unsure => None,
        };
        UserStanding { wanted: self.wanted, written, state, waits_since: self.counted.then_some(self.since) }
    }

    fn is_unlike(&self) -> bool {
        match self.held {
            Held::Nothing => self.wanted.is_some(),
            Held::Sure(session) => self.wanted != Some(session),
            Held::Unsure => true,
        }
    }

    fn last_quarter(&self, expires: Duration) -> Moment {
        self.until - expires / 4
    }
}

/// All slots, by index.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
enum Place {
    Used(Slot),
    /// With the generation of the next slot here.
    Free(u32),
}

impl Slots {
    /// Puts a slot, which gets a generation of its own.
    pub fn insert(&mut self, mut slot: Slot) -> u32 {
        if let Some(index) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(index as usize) {
                if let Place::Free(generation) = *place {
                    slot.generation = generation;
                }
                *place = Place::Used(slot);
            }
            return index;
        }
        // As many users as keys have bits would need hundreds of gigabytes: the index always fits.
        let index = self.slots.len() as u32;
        self.slots.push(Place::Used(slot));
        index
    }

    pub fn remove(&mut self, index: u32) {
        if let Some(place) = self.slots.get_mut(index as usize)
            && let Place::Used(slot) = place
        {
            *place = Place::Free(slot.generation.wrapping_add(1));
            self.free.push(index);
        }
    }

    pub fn get(&self, index: u32) -> Option<&Slot> {
        match self.slots.get(index as usize)? {
            Place::Used(slot) => Some(slot),
            Place::Free(_) => None,
        }
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        match self.slots.get_mut(index as usize)? {
            Place::Used(slot) => Some(slot),
            Place::Free(_) => None,
        }
    }

    /// All indices, free ones among them.
    pub fn indices(&self) -> std::ops::Range<u32> {
        0..self.slots.len() as u32
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Place>() + self.free.capacity() * size_of::<u32>()
    }
}
