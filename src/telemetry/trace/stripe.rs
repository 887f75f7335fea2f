//! A part of the ring behind a lock of its own: all messages of a call are in one.

use std::collections::{HashSet, VecDeque};

use super::lane::Lane;
use super::{Entry, Kept};
use crate::call::CallId;

/// A stripe keeps a fourth of its bytes for calls that are worth more than others.
const SPARED_PART: usize = 4;

/// Calls that a stripe keeps longer than others.
const MOST_SPARED: usize = 1_024;

/// Entries that are copied while a stripe is locked; a writer waits for no more than this.
const COPIED_AT_ONCE: usize = 32;

/// Entries that are looked at while a stripe is locked.
const SEEN_AT_ONCE: usize = 512;

/// A part of the ring. What has to go of calls that are spared goes to a room beside.
#[derive(Debug)]
pub(super) struct Stripe {
    recent: Lane,
    spared: Lane,
    calls: Spared,
    /// Of the next entry.
    order: u64,
}

/// The calls whose messages are kept longer, the oldest first.
#[derive(Debug, Default)]
struct Spared {
    known: HashSet<CallId>,
    order: VecDeque<CallId>,
}

impl Stripe {
    /// A stripe of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let spared = bytes / SPARED_PART;
        Self { recent: Lane::new(bytes - spared), spared: Lane::new(spared), calls: Spared::default(), order: 0 }
    }

    /// Takes an entry; false when it is larger than there is room at all.
    pub(super) fn push(&mut self, entry: &Entry, bytes: &[u8]) -> bool {
        let Self { recent, spared, calls, order } = self;
        *order += 1;
        let entry = Entry { order: *order, ..*entry };
        recent.push(&entry, [bytes, b""], |old, pieces| {
            if calls.known.contains(&old.call) {
                spared.push(old, pieces, |_, _| {});
            }
        })
    }

    /// Keeps the messages of a call longer than others.
    pub(super) fn spare(&mut self, call: CallId) {
        let Spared { known, order } = &mut self.calls;
        if known.insert(call) {
            order.push_back(call);
            if order.len() > MOST_SPARED
                && let Some(oldest) = order.pop_front()
            {
                known.remove(&oldest);
            }
        }
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.recent.used() + self.spared.used()
    }

    /// Entries in it.
    pub(super) fn len(&self) -> usize {
        self.recent.entries().len() + self.spared.entries().len()
    }

    /// Bytes of messages that fit in, those of spared calls left out.
    pub(super) const fn room(&self) -> usize {
        self.recent.room()
    }

    /// Whether something had to go already.
    pub(super) const fn has_lost(&self) -> bool {
        self.recent.has_lost()
    }

    /// When the oldest entry came that was not spared, in microseconds of the ring.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.recent.entries().front().map(|entry| entry.at_us)
    }

    /// Copies entries behind number `from` that are `wanted`, with as many of their bytes as is said; gives the number
    /// to go on from. `None`: there are no more.
    pub(super) fn read(
        &self,
        from: u64,
        mut wanted: impl FnMut(&Entry) -> Option<usize>,
        out: &mut Vec<Kept>,
    ) -> Option<u64> {
        let (mut seen, mut copied) = (0, 0);
        for lane in [&self.spared, &self.recent] {
            let first = lane.entries().partition_point(|entry| entry.order <= from);
            for entry in lane.entries().range(first..) {
                if seen == SEEN_AT_ONCE || copied == COPIED_AT_ONCE {
                    return Some(entry.order - 1);
                }
                seen += 1;
                if let Some(most) = wanted(entry) {
                    copied += 1;
                    let mut bytes = lane.pieces(entry).concat();
                    bytes.truncate(most);
                    out.push(Kept { entry: *entry, bytes: bytes.into() });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(call: u64) -> Entry {
        Entry { call: CallId(call), ..Entry::default() }
    }

    /// All entries of a call.
    fn of(stripe: &Stripe, call: u64) -> Vec<Kept> {
        let (mut out, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            from = stripe.read(at, |entry| (entry.call == CallId(call)).then_some(usize::MAX), &mut out);
        }
        out
    }

    #[test]
    fn a_spared_call_stays_when_others_go() {
        let mut stripe = Stripe::new(256 * 1024);
        for number in 0..5_u8 {
            stripe.push(&entry(7), &[number; 900]);
            stripe.push(&entry(8), &[number; 900]);
        }
        stripe.spare(CallId(7));
        for number in 0..2_000 {
            stripe.push(&entry(100 + number), &[0; 900]);
            assert!(stripe.used() <= 256 * 1024);
        }
        // What comes late of it is in its place too.
        stripe.push(&entry(7), &[5; 900]);
        let kept: Vec<u8> = of(&stripe, 7).iter().map(|kept| kept.bytes[0]).collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 5]);
        assert!(of(&stripe, 8).is_empty());
    }

    #[test]
    fn the_calls_to_be_spared_are_bounded() {
        let mut stripe = Stripe::new(256 * 1024);
        for call in 0..=MOST_SPARED as u64 {
            stripe.spare(CallId(call));
            stripe.spare(CallId(call));
        }
        let spared = |call| stripe.calls.known.contains(&CallId(call));
        assert!(!spared(0) && spared(1) && spared(MOST_SPARED as u64));
        assert_eq!(stripe.calls.order.len(), MOST_SPARED);
    }

    #[test]
    fn a_long_call_is_read_piece_by_piece() {
        let mut stripe = Stripe::new(512 * 1024);
        for number in 0..200_u8 {
            stripe.push(&entry(1), &[number; 10]);
        }
        let mut out = Vec::new();
        assert_eq!(stripe.read(0, |_| Some(4), &mut out), Some(COPIED_AT_ONCE as u64));
        assert_eq!((out.len(), out[0].bytes.len()), (COPIED_AT_ONCE, 4));
        let numbers: Vec<u8> = of(&stripe, 1).iter().map(|kept| kept.bytes[0]).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
}
