//! Messages, links and chance.

use std::time::Duration;

use crate::transaction::Moment;

/// Methods that the actors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    Ack,
    Cancel,
    Invite,
    Options,
}

/// A request (`status` is `None`) or a response; `branch` stands for the topmost Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) call: u32,
    pub(super) method: Method,
    pub(super) branch: u32,
    pub(super) status: Option<u16>,
}

/// How the two links behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    /// Whether the hop is a stream: no loss, no copies, in order.
    pub(super) reliable: [bool; 2],
    /// Chance that a datagram is lost.
    pub(super) loss: f64,
    /// Chance that a datagram comes twice.
    pub(super) duplicate: f64,
    /// Chance that a stream breaks under a message, of which its sender hears.
    pub(super) broken: f64,
    pub(super) delay_millis: u64,
    /// Datagrams take up to this much longer, each its own time: they overtake each other.
    pub(super) jitter_millis: u64,
}

impl Links {
    pub(super) const SOUND: Self =
        Self { reliable: [false, false], loss: 0.0, duplicate: 0.0, broken: 0.0, delay_millis: 10, jitter_millis: 0 };

    /// When copies of a message sent now arrive; `None` when the sender hears that it cannot be sent.
    pub(super) fn carry(&self, hop: usize, now: Moment, chance: &mut Chance) -> Option<Vec<Moment>> {
        let delay = Duration::from_millis(self.delay_millis);
        if self.reliable[hop] {
            return (!chance.happens(self.broken)).then(|| vec![now + delay]);
        }
        if chance.happens(self.loss) {
            return Some(Vec::new());
        }
        let copies = 1 + usize::from(chance.happens(self.duplicate));
        let arrival = |_| now + delay + Duration::from_millis(chance.below(self.jitter_millis + 1));
        Some((0..copies).map(arrival).collect())
    }
}

/// Seeded chance (the SplitMix64 generator).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}
