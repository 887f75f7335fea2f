//! What is known of each user: the sources with their lifetimes, and what they come to (rule 1).
//!
//! ```text
//! report -> told --- its time is over, lose --> lost (counts as unknown) -- forget --> gone
//!             ^______________ report _____________|
//! ```
//!
//! A [`Change`] comes out only when the merge of a user changes. Nobody stays busy because a source died: what has a
//! lifetime is lost at its end, and a lost source never changes what the others say.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::merge::{self, Merged};
use super::people::UserKey;
use super::state::{Presence, Report, Source};
use crate::transaction::{Due, Moment, Wheel};

/// Sources that a user may have, lost ones among them.
pub const MAX_SOURCES: usize = 32;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub user: UserKey,
    pub merged: Merged,
}

/// A source as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub source: Source,
    /// What it says; `None`: it is lost, and counts as unknown.
    pub report: Option<Report>,
    /// When it was heard of last, or when it was lost.
    pub since: Moment,
    /// The end of its lifetime; `None`: it has none.
    pub until: Option<Moment>,
}

/// What the board has counted, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub reports: u64,
    pub changes: u64,
    /// Sources whose lifetime ended.
    pub expired: u64,
    /// Reports of users whom nobody knows, and of more sources than a user may have.
    pub refused: u64,
    pub users: usize,
    pub sources: usize,
    /// Users by PBX presence, in the order of [`Presence::ALL`].
    pub by_presence: [usize; 6],
}

/// All users and their sources.
#[derive(Debug)]
pub struct Board {
    users: HashMap<UserKey, User, foldhash::fast::RandomState>,
    wheel: Wheel,
    due: Vec<Due>,
    counts: Counts,
}

/// One user.
#[derive(Debug)]
struct User {
    sources: SmallVec<[Known; 1]>,
    not_available: Presence,
    merged: Merged,
    /// When the wheel comes back to the user.
    armed: Option<Moment>,
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

impl Board {
    /// A board without users.
    pub fn new() -> Self {
        Self {
            users: HashMap::default(),
            // Users are bounded by who puts them, and each has an entry or a few.
            wheel: Wheel::new(Moment::START, usize::MAX),
            due: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Puts a user, or tells what `not-available` comes to now; a new one is unknown, which is no change.
    pub fn set_user(&mut self, _now: Moment, user: UserKey, not_available: Presence, out: &mut Vec<Change>) {
        let counts = &mut self.counts;
        let entry = self.users.entry(user).or_insert_with(|| {
            counts.users += 1;
            counts.add(Presence::Unknown);
            User { sources: SmallVec::new(), not_available, merged: Merged::default(), armed: None }
        });
        entry.not_available = not_available;
        self.settle(user, out);
    }

    /// Takes a user out, with all that was known.
    pub fn remove_user(&mut self, user: UserKey) {
        if let Some(gone) = self.users.remove(&user) {
            self.counts.users -= 1;
            self.counts.sources -= gone.sources.len();
            self.counts.take(gone.merged.presence);
        }
    }

    /// A source says something, until then; `None`: until it says something else, or is lost.
    pub fn report(
        &mut self,
        now: Moment,
        user: UserKey,
        source: Source,
        report: Report,
        until: Option<Moment>,
        out: &mut Vec<Change>,
    ) {
        let Some(entry) = self.users.get_mut(&user) else {
            self.counts.refused += 1;
            return;
        };
        let before = entry.sources.len();
        if !entry.put(Known { source, report: Some(report), since: now, until }) {
            self.counts.refused += 1;
            return;
        }
        self.counts.reports += 1;
        self.counts.sources += entry.sources.len() - before;
        self.counts.expired += entry.expire(now);
        self.arm(user);
        self.settle(user, out);
    }

    /// A source is gone for good: a device was removed, a subscription is no longer wanted.
    pub fn forget(&mut self, _now: Moment, user: UserKey, source: Source, out: &mut Vec<Change>) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let before = entry.sources.len();
        entry.sources.retain(|known| known.source != source);
        self.counts.sources -= before - entry.sources.len();
        self.settle(user, out);
    }

    /// A source failed: it counts as unknown from now on.
    pub fn lose(&mut self, now: Moment, user: UserKey, source: Source, out: &mut Vec<Change>) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        if let Some(known) = entry.sources.iter_mut().find(|known| known.source == source) {
            *known = Known { report: None, since: now, until: None, ..*known };
        }
        self.settle(user, out);
    }

    /// Ends what has lived long enough.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Change>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id, .. } in due.drain(..) {
            let user = UserKey(id);
            let Some(entry) = self.users.get_mut(&user) else { continue };
            if entry.armed.is_some_and(|armed| armed <= now) {
                entry.armed = None;
            }
            self.counts.expired += entry.expire(now);
            self.arm(user);
            self.settle(user, out);
        }
        self.due = due;
    }

    /// When [`Board::handle_time`] has something to do next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    /// What a user's sources come to; `None`: there is no such user.
    pub fn merged(&self, user: UserKey) -> Option<Merged> {
        self.users.get(&user).map(|user| user.merged)
    }

    /// A user's sources.
    pub fn sources(&self, user: UserKey) -> &[Known] {
        self.users.get(&user).map_or(&[], |user| &user.sources)
    }

    /// What was counted, and what is held.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Has the wheel come back to a user at the end of the first lifetime.
    fn arm(&mut self, user: UserKey) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let Some(first) = entry.sources.iter().filter_map(|known| known.until).min() else { return };
        if entry.armed.is_none_or(|armed| armed > first) {
            entry.armed = Some(first);
            self.wheel.arm(user.0, 0, first);
        }
    }

    /// Merges again, and tells when something else comes of it.
    fn settle(&mut self, user: UserKey, out: &mut Vec<Change>) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let reports = entry.sources.iter().filter_map(|known| known.report);
        let merged = merge::merge(reports, entry.not_available);
        let before = std::mem::replace(&mut entry.merged, merged);
        if merged != before {
            self.counts.take(before.presence);
            self.counts.add(merged.presence);
            self.counts.changes += 1;
            out.push(Change { user, merged });
        }
    }
}

impl User {
    /// Puts what a source says in place of what it said; where there is no room for another source, in place of the one
    /// that was lost first. `false`: there is none such.
    fn put(&mut self, known: Known) -> bool {
        if let Some(place) = self.sources.iter_mut().find(|other| other.source == known.source) {
            *place = known;
            return true;
        }
        if self.sources.len() < MAX_SOURCES {
            self.sources.push(known);
            return true;
        }
        let lost = self.sources.iter_mut().filter(|other| other.report.is_none());
        let Some(place) = lost.min_by_key(|other| other.since) else { return false };
        *place = known;
        true
    }

    /// Loses the sources whose time is over; their number.
    fn expire(&mut self, now: Moment) -> u64 {
        let mut expired = 0;
        for known in &mut self.sources {
            if known.until.is_some_and(|until| until <= now) {
                *known = Known { report: None, since: now, until: None, ..*known };
                expired += 1;
            }
        }
        expired
    }
}

impl Counts {
    fn add(&mut self, presence: Presence) {
        if let Some(users) = self.by_presence.get_mut(presence as usize) {
            *users += 1;
        }
    }

    fn take(&mut self, presence: Presence) {
        if let Some(users) = self.by_presence.get_mut(presence as usize) {
            *users -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
