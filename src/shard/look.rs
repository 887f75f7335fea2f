//! Calls in progress, for an operator to look at and to end: a few at a time, so that no call waits long.

use super::Shard;
use crate::call::branch::ContextId;
use crate::call::context::Event;
use crate::call::live::hang_up::Cause;
use crate::call::live::{LiveCall, LiveId};
use crate::call::progress::Progress;
use crate::call::{Env, Output};

/// Where a look goes on: which table of the shard, and where in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// 0: calls that are being set up; 1: up, between owned legs; 2: up, between transparent trunks.
    pub table: u8,
    pub at: u64,
}

/// A call as its shard finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPlace {
    SetUp(ContextId),
    Up(LiveId),
    Through(u64),
}

/// A call in progress.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub place: CallPlace,
    /// `None`: another call that the same INVITE made has it.
    pub progress: Option<&'a Progress>,
    /// Present when it is up between owned legs.
    pub live: Option<&'a LiveCall>,
}

/// Why a call does not end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnded {
    #[error("there is no such call, or it has ended")]
    Gone,
    #[error("both sides are in one dialog, in which a transparent edge has no say: only a side can hang up")]
    Transparent,
}

impl Shard {
    /// Shows at most so many entries of the tables from a place on; gives where to go on, `None` at the end.
    pub fn look(&self, from: Cursor, most: usize, mut show: impl FnMut(Cursor, Seen<'_>)) -> Option<Cursor> {
        let mut left = most;
        if from.table == 0 {
            let start = usize::try_from(from.at).unwrap_or(usize::MAX);
            for slot in start..self.contexts.capacity() {
                let at = slot as u64;
                if left == 0 {
                    return Some(Cursor { table: 0, at });
                }
                let Some((context, _)) = self.contexts.get(slot) else { continue };
                left -= 1;
                if let Some(progress) = context.progress() {
                    let place = CallPlace::SetUp(context.id);
                    show(Cursor { table: 0, at }, Seen { place, progress: Some(progress), live: None });
                }
            }
        }
        if from.table <= 1 {
            let start = if from.table == 1 { usize::try_from(from.at).unwrap_or(usize::MAX) } else { 0 };
            for (slot, call) in self.tools.lives.from_slot(start) {
                let cursor = Cursor { table: 1, at: slot as u64 };
                if left == 0 {
                    return Some(cursor);
                }
                left -= 1;
                let seen = Seen { place: CallPlace::Up(call.id), progress: call.progress.as_deref(), live: Some(call) };
                show(cursor, seen);
            }
        }
        let start = if from.table == 2 { from.at } else { 0 };
        let mut through: Vec<_> = self.tools.through.iter().filter(|(key, _)| *key >= start).collect();
        through.sort_unstable_by_key(|(key, _)| *key);
        for (key, call) in through {
            let cursor = Cursor { table: 2, at: key };
            if left == 0 {
                return Some(cursor);
            }
            left -= 1;
            show(cursor, Seen { place: CallPlace::Through(key), progress: Some(&call.progress), live: None });
        }
        None
    }

    /// Ends a call as an operator wants it.
    ///
    /// # Errors
    /// [`NotEnded`].
    pub fn end_call(&mut self, env: &Env<'_>, out: &mut Output, place: CallPlace) -> Result<(), NotEnded> {
        match place {
            CallPlace::SetUp(id) => self.hang_up_ringing(env, out, id).then_some(()).ok_or(NotEnded::Gone),
            CallPlace::Up(id) if self.tools.lives.get(id).is_some() => {
                self.hang_up(env, out, id, Cause::Operator);
                Ok(())
            }
            CallPlace::Up(_) => Err(NotEnded::Gone),
            CallPlace::Through(_) => Err(NotEnded::Transparent),
        }
    }

    /// Ends a call that is being set up: 480 for the caller, CANCEL for who rings; whether it was there.
    pub fn hang_up_ringing(&mut self, env: &Env<'_>, out: &mut Output, id: ContextId) -> bool {
        let context = self.contexts.get(id.slot as usize).filter(|(context, _)| context.id == id);
        let begun = context.is_some_and(|(context, _)| context.progress().is_some());
        if begun {
            self.with_shelf(env, out, |shard, out| {
                shard.feed(env, out, id, Event::HangUp);
            });
        }
        begun
    }
}
