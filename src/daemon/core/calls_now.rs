//! The call store as an event finds it.

use std::cell::RefCell;

use bytes::Bytes;

use crate::call::stored::{CallStore, Room, Shelf, StoreKey};
use crate::store::Calls;

/// The call store as an event finds it.
pub struct CallsNow<'a> {
    pub calls: &'a Calls,
    pub unix_ms: u64,
    pub shelf: RefCell<Shelf>,
}

impl CallStore for CallsNow<'_> {
    fn state(&self, key: StoreKey) -> Option<Bytes> {
        self.calls.state(key, self.unix_ms / 1_000)
    }

    fn room(&self) -> Room {
        self.calls.room()
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}
