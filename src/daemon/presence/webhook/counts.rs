//! What became of a tenant's notifications.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of a notification, or of a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// The bridge was told.
    Told,
    /// It has no secret of ours, or is of a subscription that there is not.
    NotOurs,
    /// Microsoft has not signed it.
    NotSigned,
    /// It cannot be decrypted, or read.
    NotRead,
    /// It is of nobody whom the bridge knows, or has no presence in it.
    Nothing,
    /// There was no room in the queue; Graph sends it again.
    NoRoom,
}

const WORDS: [(Became, &str); 6] = [
    (Became::Told, "told"),
    (Became::NotOurs, "not-ours"),
    (Became::NotSigned, "not-signed"),
    (Became::NotRead, "not-read"),
    (Became::Nothing, "nothing"),
    (Became::NoRoom, "no-room"),
];

/// What became of a tenant's notifications since the start, and how many subscriptions there are.
#[derive(Debug, Default)]
pub struct Counts {
    outcomes: [AtomicU64; WORDS.len()],
    subscriptions: AtomicU64,
}

impl Counts {
    /// Counts so many.
    pub fn add(&self, became: Became, count: usize) {
        let place = WORDS.iter().position(|(known, _)| *known == became);
        if let Some(counter) = place.and_then(|place| self.outcomes.get(place)) {
            counter.fetch_add(count as u64, Relaxed);
        }
    }

    /// Each outcome with its word.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WORDS.iter().zip(&self.outcomes).map(|((_, word), count)| (*word, count.load(Relaxed)))
    }

    /// Says how many subscriptions there are now.
    pub fn set_subscriptions(&self, count: usize) {
        self.subscriptions.store(count as u64, Relaxed);
    }

    /// How many subscriptions there are now.
    pub fn subscriptions(&self) -> u64 {
        self.subscriptions.load(Relaxed)
    }
}
