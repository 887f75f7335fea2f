//! Entries and their bytes in the order in which they came, in so much memory and no more: what comes pushes the oldest
//! out.

use std::collections::VecDeque;

use super::Entry;

/// Bytes of room for which there is one place in the index.
const BYTES_AN_ENTRY: usize = 768;

/// Fewest places of an index.
const LEAST_ENTRIES: usize = 16;

/// A queue of entries whose bytes lie in a circle.
#[derive(Debug)]
pub(super) struct Lane {
    /// Never grows: what fits is reserved at the start.
    entries: VecDeque<Entry>,
    places: usize,
    circle: Box<[u8]>,
    /// Where the next byte goes, counted from the start of all times.
    head: u64,
    /// The first byte that is still there.
    tail: u64,
}

impl Lane {
    /// A lane of so many bytes, the index included. The system gives the memory when it is first written to.
    pub(super) fn new(bytes: usize) -> Self {
        let places = (bytes / BYTES_AN_ENTRY).max(LEAST_ENTRIES);
        let circle = bytes.saturating_sub(places * size_of::<Entry>());
        Self {
            entries: VecDeque::with_capacity(places),
            places,
            circle: vec![0; circle].into_boxed_slice(),
            head: 0,
            tail: 0,
        }
    }

    /// Bytes of entries that the lane can hold.
    pub(super) const fn room(&self) -> usize {
        self.circle.len()
    }

    /// Whether something was pushed out already.
    pub(super) const fn has_lost(&self) -> bool {
        self.tail > 0
    }

    /// Bytes in use, those of the index included.
    pub(super) fn used(&self) -> usize {
        // The difference is never more than the circle has.
        (self.head - self.tail) as usize + self.entries.len() * size_of::<Entry>()
    }

    /// Entries, the oldest first.
    pub(super) const fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Takes an entry with its bytes, which may come in two pieces; those that have to go for it are shown to `leave`.
    /// False: it is larger than the lane.
    pub(super) fn push(&mut self, entry: &Entry, bytes: [&[u8]; 2], mut leave: impl FnMut(&Entry, [&[u8]; 2])) -> bool {
        let len = bytes[0].len() + bytes[1].len();
        if len > self.circle.len() {
            return false;
        }
        while self.entries.len() >= self.places || (self.head - self.tail) as usize + len > self.circle.len() {
            let Some(oldest) = self.entries.pop_front() else { break };
            leave(&oldest, self.pieces(&oldest));
            self.tail = oldest.start + u64::from(oldest.len);
        }
        let start = self.head;
        for piece in bytes {
            self.write(piece);
        }
        self.entries.push_back(Entry { start, len: len as u32, ..*entry });
        true
    }

    fn write(&mut self, piece: &[u8]) {
        let size = self.circle.len();
        if size == 0 {
            return;
        }
        let at = (self.head % size as u64) as usize;
        let (first, rest) = piece.split_at(piece.len().min(size - at));
        if let Some(room) = self.circle.get_mut(at..at + first.len()) {
            room.copy_from_slice(first);
        }
        if let Some(room) = self.circle.get_mut(..rest.len()) {
            room.copy_from_slice(rest);
        }
        self.head += piece.len() as u64;
    }

    /// The bytes of an entry that is still there.
    pub(super) fn pieces(&self, entry: &Entry) -> [&[u8]; 2] {
        let size = self.circle.len().max(1);
        let at = (entry.start % size as u64) as usize;
        let len = entry.len as usize;
        let first = len.min(size - at);
        [self.circle.get(at..at + first).unwrap_or_default(), self.circle.get(..len - first).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(lane: &Lane, entry: &Entry) -> Vec<u8> {
        lane.pieces(entry).concat()
    }

    #[test]
    fn what_comes_pushes_the_oldest_out() {
        let mut lane = Lane::new(LEAST_ENTRIES * size_of::<Entry>() + 100);
        let mut left = Vec::new();
        for letter in b'a'..=b'e' {
            let text = [letter; 30];
            assert!(lane.push(&Entry::default(), [&text, b""], |_, pieces| left.push(pieces.concat())));
        }
        assert_eq!(left, [vec![b'a'; 30], vec![b'b'; 30]]);
        let kept: Vec<_> = lane.entries().iter().map(|entry| bytes_of(&lane, entry)).collect();
        assert_eq!(kept, [vec![b'c'; 30], vec![b'd'; 30], vec![b'e'; 30]], "one of them lies over the end");
        assert!(!lane.push(&Entry::default(), [&[0; 101], b""], |_, _| panic!("nothing goes for what does not fit")));
    }

    #[test]
    fn small_entries_are_bounded_by_the_index() {
        let mut lane = Lane::new(64 * 1024);
        for _ in 0..1_000 {
            assert!(lane.push(&Entry::default(), [b"x", b""], |_, _| {}));
        }
        assert_eq!(lane.entries().len(), 64 * 1024 / BYTES_AN_ENTRY);
        assert!(lane.used() <= 64 * 1024);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_came_and_never_more_than_the_room(
            room in 5_000_usize..20_000,
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 1..60),
        ) {
            let mut lane = Lane::new(room);
            let capacity = lane.entries.capacity();
            for (order, message) in messages.iter().enumerate() {
                let (one, two) = message.split_at(message.len() / 3);
                let entry = Entry { order: order as u64, ..Entry::default() };
                let pushed = lane.push(&entry, [one, two], |_, _| {});
                prop_assert!(pushed);
                prop_assert!(lane.used() <= room);
                prop_assert_eq!(lane.entries.capacity(), capacity, "the index does not grow");
                for entry in lane.entries() {
                    prop_assert_eq!(&bytes_of(&lane, entry), &messages[entry.order as usize]);
                }
                prop_assert_eq!(lane.entries().back().map(|entry| entry.order), Some(order as u64));
            }
        }
    }
}
