//! Calls that are up between transparent trunks: in one dialog end to end, of which the edge sees what passes.
//!
//! They are found by the Call-ID and the caller's tag, so that an INVITE that several have answered is one call; it ends
//! with the last of its dialogs.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Progress;
use crate::call::Secrets;
use crate::call::live::{End, Room};
use crate::transaction::Moment;
use crate::trunk::TrunkId;

/// A call between transparent trunks.
#[derive(Debug)]
pub struct Passing {
    pub progress: Box<Progress>,
    /// Hashes of the callees' tags whose dialogs are up.
    dialogs: SmallVec<[u64; 1]>,
}

/// What names a dialog in a message that passes in it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub call_id: &'a [u8],
    pub from_tag: &'a [u8],
    pub to_tag: &'a [u8],
    /// The trunk that the request came from, and the one that it goes to.
    pub from: TrunkId,
    pub to: TrunkId,
}

/// Such calls of one shard. They take up the same room as those between owned legs.
#[derive(Debug, Default)]
pub struct Through {
    calls: HashMap<u64, Passing, foldhash::fast::RandomState>,
    room: Arc<Room>,
}

impl Through {
    /// An empty table that takes calls while there is room in what it shares with others.
    pub fn new(room: Arc<Room>) -> Self {
        Self { calls: HashMap::default(), room }
    }

    /// Calls that are up.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is up.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// All calls that are up, with what they are found by.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Passing)> {
        self.calls.iter().map(|(&key, call)| (key, call))
    }

    /// Takes in a call whose INVITE was answered; gives it back when there is no room, or it is known.
    pub fn insert(
        &mut self,
        secrets: &Secrets,
        named: &Named<'_>,
        progress: Box<Progress>,
    ) -> Result<(), Box<Progress>> {
        let key = key_of(secrets, named, End::Caller);
        if self.calls.contains_key(&key) || !self.room.take() {
            return Err(progress);
        }
        let dialogs = SmallVec::from_buf([tag_mark(secrets, named.to_tag)]);
        self.calls.insert(key, Passing { progress, dialogs });
        Ok(())
    }

    /// Another callee has answered the same INVITE.
    pub fn add(&mut self, secrets: &Secrets, named: &Named<'_>) {
        let mark = tag_mark(secrets, named.to_tag);
        if let Some(call) = self.calls.get_mut(&key_of(secrets, named, End::Caller))
            && !call.dialogs.contains(&mark)
            && call.dialogs.len() < MAX_DIALOGS
        {
            call.dialogs.push(mark);
        }
    }

    /// A dialog has ended; gives the call and the side whose request it was when that was the last dialog of it.
    pub fn end(&mut self, secrets: &Secrets, named: &Named<'_>) -> Option<(Box<Progress>, End)> {
        if self.calls.is_empty() {
            return None;
        }
        for end in End::BOTH {
            let key = key_of(secrets, named, end);
            let callee = if end == End::Caller { named.to_tag } else { named.from_tag };
            let Some(call) = self.calls.get_mut(&key) else { continue };
            let mark = tag_mark(secrets, callee);
            call.dialogs.retain(|other| *other != mark);
            let over = call.dialogs.is_empty();
            return over.then(|| self.remove(key)).flatten().map(|progress| (progress, end));
        }
        None
    }

    /// Takes out a call.
    pub fn remove(&mut self, key: u64) -> Option<Box<Progress>> {
        let call = self.calls.remove(&key)?;
        self.room.give_back(1);
        if self.calls.is_empty() && self.calls.capacity() > 1_024 {
            self.calls = HashMap::default();
        }
        Some(call.progress)
    }

    /// The calls that were answered before a moment.
    pub fn up_since(&self, before: Moment) -> Vec<u64> {
        let old = |call: &Passing| call.progress.answered.is_none_or(|answered| answered < before);
        self.calls.iter().filter(|(_, call)| old(call)).map(|(&key, _)| key).collect()
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.room.give_back(self.calls.len());
    }
}

/// Dialogs of one call that are told apart: as many as a request has branches at the most.
const MAX_DIALOGS: usize = 64;

/// The key of a call when the side `end` of it has sent what names it.
fn key_of(secrets: &Secrets, named: &Named<'_>, end: End) -> u64 {
    let (tag, trunk) = match end {
        End::Caller => (named.from_tag, named.from),
        End::Callee => (named.to_tag, named.to),
    };
    // A call that passes the edge twice has the same Call-ID and tag each time, but another trunk.
    secrets.number(21, &[named.call_id, tag, &trunk.0.to_le_bytes()])
}

fn tag_mark(secrets: &Secrets, tag: &[u8]) -> u64 {
    secrets.number(22, &[tag])
}
