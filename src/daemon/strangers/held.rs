//! The bans that hold, as the workers see them: read without a lock that anybody else has.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::trunk::{Network, address_bits, masked};

/// How long a banned address waits between two tries to prove that it is a peer, in milliseconds.
const TRY: u64 = 10_000;

/// Bans by network.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_network: DashMap<(u128, u8), Entry, foldhash::fast::RandomState>,
    /// The lengths of prefixes that there are, or were.
    lengths: ArcSwap<Vec<u8>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// In milliseconds since 1970 UTC.
    until: u64,
    tried: AtomicU64,
}

impl Held {
    /// Whether nobody is banned.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Puts a ban in force. One at a time: the caller has the guard's lock.
    pub(super) fn insert(&self, network: Network, until: Option<u64>) {
        let key = network.prefix();
        if !self.lengths.load().contains(&key.1) {
            let mut lengths = Vec::clone(&self.lengths.load());
            lengths.push(key.1);
            self.lengths.store(lengths.into());
        }
        let entry = Entry { until: until.unwrap_or(u64::MAX), tried: AtomicU64::new(0) };
        if self.by_network.insert(key, entry).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, network: Network) {
        if self.by_network.remove(&network.prefix()).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether an address is banned at `now`.
    pub(super) fn holds(&self, remote: IpAddr, now: u64) -> bool {
        self.find(remote, now, |_| ()).is_some()
    }

    /// Whether a banned address may try to prove who it is.
    pub(super) fn may_try(&self, remote: IpAddr, now: u64) -> bool {
        let due = |entry: &Entry| {
            let next = |tried: u64| (tried.abs_diff(now) >= TRY).then_some(now);
            entry.tried.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
        };
        self.find(remote, now, due).unwrap_or(true)
    }

    fn find<T>(&self, remote: IpAddr, now: u64, of: impl Fn(&Entry) -> T) -> Option<T> {
        let address = address_bits(remote);
        self.lengths.load().iter().find_map(|&bits| {
            let entry = self.by_network.get(&(masked(address, bits), bits))?;
            (now < entry.until).then(|| of(&entry))
        })
    }

    /// Lets bans go that are over. The caller has the guard's lock.
    pub(super) fn forget_ended(&self, now: u64) {
        if self.is_empty() {
            return;
        }
        self.by_network.retain(|_, entry| now < entry.until);
        self.count.store(self.by_network.len() as u64, Ordering::Relaxed);
    }
}
