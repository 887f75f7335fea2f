//! Users that are gone through in turn, again and again.

use crate::presence::UserKey;

/// Where a user stands in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// In no ring.
    pub const NONE: Self = Self(u32::MAX);
}

/// See the head of this module.
#[derive(Debug, Default)]
pub(super) struct Ring {
    keys: Vec<UserKey>,
    next: usize,
}

impl Ring {
    /// Puts a user; the place is his until [`Ring::remove`] gives it to another.
    pub fn push(&mut self, key: UserKey) -> Place {
        // Keys have 32 bits, and no key stands here twice.
        let place = Place(self.keys.len() as u32);
        self.keys.push(key);
        place
    }

    /// Takes the user of a place out, and gives who has the place now.
    pub fn remove(&mut self, place: Place) -> Option<UserKey> {
        let index = place.0 as usize;
        if index >= self.keys.len() {
            return None;
        }
        self.keys.swap_remove(index);
        self.keys.get(index).copied()
    }

    /// Whose turn it is, and then the next one's.
    pub fn turn(&mut self) -> Option<UserKey> {
        if self.next >= self.keys.len() {
            self.next = 0;
        }
        let key = self.keys.get(self.next).copied();
        self.next += 1;
        key
    }

    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Into how many parts of `size` users it falls, at least one.
    pub fn parts(&self, size: usize) -> u32 {
        u32::try_from(self.keys.len().div_ceil(size)).unwrap_or(u32::MAX).max(1)
    }

    pub const fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<UserKey>()
    }
}
