//! Where calls are whose Call-IDs do not say so: two legs that were joined by a Replaces have nothing in common, and one of
//! them would fall to another shard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::call::Secrets;
use crate::transaction::Moment;

/// Fewest entries between two looks for those that are not needed any more.
const FEWEST: usize = 64;

/// The shards of such Call-IDs, for all shards.
#[derive(Debug, Default)]
pub struct Homes {
    /// Entries; while there are none nobody has to look.
    count: AtomicUsize,
    limit: usize,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_call_id: HashMap<u64, Home>,
    /// At so many entries the old ones go.
    next_look: usize,
}

#[derive(Clone, Copy, Debug)]
struct Home {
    shard: u8,
    /// When it is not needed any more; `None`: its call is up.
    until: Option<Moment>,
}

impl Homes {
    /// Room for the Call-IDs of so many legs; calls beyond that are found by routing alone.
    pub fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit, table: RwLock::default() }
    }

    /// The shard of a Call-ID, where it is another than the Call-ID says.
    pub fn find(&self, secrets: &Secrets, call_id: &[u8]) -> Option<u8> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.by_call_id.get(&key(secrets, call_id)).map(|home| home.shard)
    }

    /// Notes that a Call-ID belongs to a call of this shard: for some time, or until it is released.
    pub fn adopt(&self, secrets: &Secrets, (now, until): (Moment, Option<Moment>), call_id: &[u8], shard: u8) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.by_call_id.len() >= table.next_look.max(FEWEST) {
            table.by_call_id.retain(|_, home| home.until.is_none_or(|until| until > now));
            table.next_look = table.by_call_id.len() * 2;
        }
        if table.by_call_id.len() < self.limit {
            table.by_call_id.insert(key(secrets, call_id), Home { shard, until });
        }
        self.count.store(table.by_call_id.len(), Ordering::Relaxed);
    }

    /// Notes that a Call-ID belongs to a call that is up now.
    pub fn keep(&self, secrets: &Secrets, call_id: &[u8]) {
        self.set_until(secrets, call_id, None);
    }

    /// Notes that the call of a Call-ID is over: what comes late still finds it until then.
    pub fn release(&self, secrets: &Secrets, call_id: &[u8], until: Moment) {
        self.set_until(secrets, call_id, Some(until));
    }

    fn set_until(&self, secrets: &Secrets, call_id: &[u8], until: Option<Moment>) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = table.by_call_id.get_mut(&key(secrets, call_id)) {
            home.until = until;
        }
    }
}

fn key(secrets: &Secrets, call_id: &[u8]) -> u64 {
    secrets.number(9, &[call_id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::dialog_token::SealKey;
    use crate::call::seal::{Key, KeyRing};
    use crate::transaction::HashKey;

    #[test]
    fn homes_are_found_until_their_calls_are_long_over() {
        let ring = KeyRing::new(Key::derive(&[1; 32]).unwrap(), None).unwrap();
        let secrets = Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring };
        let homes = Homes::new(FEWEST + 2);
        assert_eq!(homes.find(&secrets, b"0"), None);
        let at = Moment::from_millis;
        for index in 0..FEWEST {
            homes.adopt(&secrets, (at(0), None), index.to_string().as_bytes(), index as u8);
        }
        homes.release(&secrets, b"7", at(500));
        assert_eq!(homes.find(&secrets, b"7"), Some(7));
        homes.adopt(&secrets, (at(600), None), b"new", 3);
        assert_eq!((homes.find(&secrets, b"7"), homes.find(&secrets, b"new")), (None, Some(3)));
        for index in 100..110 {
            homes.adopt(&secrets, (at(600), None), index.to_string().as_bytes(), 1);
        }
        assert_eq!(homes.count.load(Ordering::Relaxed), FEWEST + 2, "there is a limit");
    }
}
