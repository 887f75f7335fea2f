//! Who is not listened to, until when and why.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::{Offence, millis};
use crate::trunk::Network;

/// A network that is not listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub network: Network,
    /// In milliseconds since 1970 UTC.
    pub since: u64,
    /// When it ends; `None`: when somebody ends it.
    pub until: Option<u64>,
    /// The number of this ban among those of the network that count.
    pub times: u32,
    pub cause: Cause,
}

/// Why it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The guard has seen too much of this.
    Offence(Offence),
    /// Somebody wants it so, for this reason.
    Operator(Box<str>),
}

/// Why there is no such ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// Only those that last longer are there.
    #[error("there are as many bans as `guard.max_bans` allows, and none that ends sooner")]
    Full,
}

impl Ban {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// All bans, and those of before that count for the length of the next.
#[derive(Debug)]
pub struct Bans {
    by_network: HashMap<Network, Ban, foldhash::fast::RandomState>,
    /// By their ends, those without an end last.
    by_end: BTreeSet<(u64, u128, u8)>,
    room: usize,
}

impl Bans {
    pub(super) fn new(room: usize) -> Self {
        Self { by_network: HashMap::default(), by_end: BTreeSet::new(), room: room.max(1) }
    }

    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room.max(1);
        while self.by_network.len() > self.room && self.evict().is_some() {}
    }

    /// How many there are, those that are over included.
    pub fn len(&self) -> usize {
        self.by_network.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_network.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.by_network.values()
    }

    /// The ban of exactly this network.
    pub fn get(&self, network: Network) -> Option<&Ban> {
        self.by_network.get(&canonical(network))
    }

    /// Puts a ban in the place of the network's last one; where there is no room, in the place of the one that ends
    /// first. Gives what had to go.
    pub fn insert(&mut self, now: u64, ban: Ban) -> Option<Ban> {
        let ban = Ban { network: canonical(ban.network), ..ban };
        let before = self.remove(ban.network);
        let gone = (self.by_network.len() >= self.room).then(|| self.evict()).flatten();
        self.by_end.insert(end_of(&ban));
        self.by_network.insert(ban.network, ban);
        before.or(gone).filter(|gone| gone.holds(now))
    }

    /// Puts a ban of an operator in, if that takes no place of one that an operator made.
    ///
    /// # Errors
    /// [`BanError::Full`].
    pub fn order(&mut self, now: u64, ban: Ban) -> Result<Option<Ban>, BanError> {
        let known = self.get(ban.network).is_some();
        let last = self.by_end.first().is_some_and(|&(end, ..)| end == u64::MAX);
        if !known && self.by_network.len() >= self.room && last {
            return Err(BanError::Full);
        }
        Ok(self.insert(now, ban))
    }

    /// Takes the ban of a network out, its past included.
    pub fn remove(&mut self, network: Network) -> Option<Ban> {
        let ban = self.by_network.remove(&canonical(network))?;
        self.by_end.remove(&end_of(&ban));
        Some(ban)
    }

    /// How often the network has been banned so far, as far as that counts at `now`.
    pub(super) fn times(&self, now: u64, network: Network, forgive: Duration) -> u32 {
        let counts = |ban: &&Ban| ban.until.is_none_or(|until| now < until.saturating_add(millis(forgive)));
        self.get(network).filter(counts).map_or(0, |ban| ban.times)
    }

    /// Forgets bans that have been over for so long that they do not count any more.
    pub fn forgive(&mut self, now: u64, forgive: Duration) -> usize {
        let mut forgotten = 0;
        while let Some(&(end, ..)) = self.by_end.first()
            && end != u64::MAX
            && end.saturating_add(millis(forgive)) <= now
            && self.evict().is_some()
        {
            forgotten += 1;
        }
        forgotten
    }

    fn evict(&mut self) -> Option<Ban> {
        let (_, first, bits) = self.by_end.pop_first()?;
        self.by_network.remove(&network_of(first, bits))
    }
}

/// The network with its first address, IPv4 as IPv4.
fn canonical(network: Network) -> Network {
    let (first, bits) = network.prefix();
    network_of(first, bits)
}

/// The network of a prefix of 128 bits.
fn network_of(first: u128, bits: u8) -> Network {
    let address = std::net::Ipv6Addr::from(first);
    match address.to_ipv4_mapped() {
        Some(address) if bits >= 96 => Network { addr: address.into(), bits: bits - 96 },
        _ => Network { addr: address.into(), bits },
    }
}

fn end_of(ban: &Ban) -> (u64, u128, u8) {
    let (first, bits) = ban.network.prefix();
    (ban.until.unwrap_or(u64::MAX), first, bits)
}
