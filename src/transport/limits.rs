//! How many connections may be open, in all and from one address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::counters::{Counters, DropReason};
use crate::sip::Transport;

/// One in so many connections is kept for dialling and for welcome peers, where there are any.
const RESERVE: usize = 10;

/// The doorkeeper of connections.
pub(super) struct Doors {
    max_connections: AtomicUsize,
    /// What of `max_connections` strangers cannot have.
    reserved: AtomicUsize,
    max_per_address: AtomicUsize,
    /// Accepted connections by address; addresses without any are not kept.
    addresses: DashMap<IpAddr, usize>,
    counters: Arc<Counters>,
}

/// The right to keep one connection open, given back when dropped.
pub(super) struct Permit {
    doors: Arc<Doors>,
    transport: Transport,
    /// Set for accepted connections of peers that are not welcome in any number.
    address: Option<IpAddr>,
}

impl Doors {
    /// `welcoming`: some listener has peers that nobody may crowd out.
    pub(super) fn new(
        max_connections: usize,
        max_per_address: usize,
        welcoming: bool,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let doors = Self {
            max_connections: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            max_per_address: AtomicUsize::new(0),
            addresses: DashMap::new(),
            counters,
        };
        doors.set(max_connections, max_per_address, welcoming);
        Arc::new(doors)
    }

    /// Takes other limits; connections that are open stay.
    pub(super) fn set(&self, max_connections: usize, max_per_address: usize, welcoming: bool) {
        let reserved = if welcoming { max_connections / RESERVE } else { 0 };
        self.max_connections.store(max_connections, Ordering::Relaxed);
        self.reserved.store(reserved, Ordering::Relaxed);
        self.max_per_address.store(max_per_address, Ordering::Relaxed);
    }

    /// Lets in a connection that a peer opened.
    pub(super) fn accept(self: &Arc<Self>, transport: Transport, peer: IpAddr) -> Result<Permit, DropReason> {
        let mut permit = self.take(transport, self.all().saturating_sub(self.reserved.load(Ordering::Relaxed)))?;
        let address = counted_as(peer);
        let mut count = self.addresses.entry(address).or_insert(0);
        if *count >= self.max_per_address.load(Ordering::Relaxed) {
            return Err(DropReason::TooManyPerAddress);
        }
        *count += 1;
        permit.address = Some(address);
        Ok(permit)
    }

    /// Lets in a connection of a welcome peer, of which one address may have any number.
    pub(super) fn welcome(self: &Arc<Self>, transport: Transport) -> Result<Permit, DropReason> {
        self.take(transport, self.all())
    }

    /// Lets out a connection that the edge opens.
    pub(super) fn dial(self: &Arc<Self>, transport: Transport) -> Result<Permit, DropReason> {
        self.take(transport, self.all())
    }

    fn all(&self) -> usize {
        self.max_connections.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, transport: Transport, limit: usize) -> Result<Permit, DropReason> {
        let open = &self.counters.connections;
        if open.fetch_add(1, Ordering::Relaxed) >= limit {
            open.fetch_sub(1, Ordering::Relaxed);
            return Err(DropReason::TooManyConnections);
        }
        self.counters.traffic(transport).opened();
        Ok(Permit { doors: self.clone(), transport, address: None })
    }
}

impl Permit {
    pub(super) fn counters(&self) -> &Counters {
        &self.doors.counters
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let counters = &self.doors.counters;
        counters.connections.fetch_sub(1, Ordering::Relaxed);
        counters.traffic(self.transport).closed();
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut entry) = self.doors.addresses.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// An IPv6 peer owns at least a /64 and may use any address in it.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(all: usize, per_address: usize) -> Arc<Doors> {
        Doors::new(all, per_address, false, Arc::new(Counters::register()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_peer_has_its_own_limit_and_permits_come_back() {
        let doors = doors(10, 1);
        let first = doors.accept(Transport::Tcp, ip("192.0.2.1"));
        assert!(first.is_ok());
        let again = doors.accept(Transport::Tcp, ip("192.0.2.1"));
        assert_eq!(again.err(), Some(DropReason::TooManyPerAddress));
        assert!(doors.accept(Transport::Tcp, ip("192.0.2.2")).is_ok());
        drop(first);
        assert!(doors.accept(Transport::Tcp, ip("192.0.2.1")).is_ok());
        assert!(doors.addresses.is_empty());
        assert_eq!(doors.counters.counts().connections, 0);
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        let doors = doors(10, 1);
        let first = doors.accept(Transport::Tls, ip("2001:db8::1"));
        assert!(first.is_ok());
        assert!(doors.accept(Transport::Tls, ip("2001:db8::ffff:2")).is_err());
        assert!(doors.accept(Transport::Tls, ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn welcome_peers_are_not_counted_by_address_and_strangers_leave_them_room() {
        let doors = Doors::new(20, 100, true, Arc::new(Counters::register()));
        let strangers: Vec<_> = (0..18).map(|_| doors.accept(Transport::Tls, ip("192.0.2.1"))).collect();
        assert!(strangers.iter().all(Result::is_ok));
        let one_more = doors.accept(Transport::Tls, ip("192.0.2.2"));
        assert_eq!(one_more.err(), Some(DropReason::TooManyConnections));
        let welcome = [doors.welcome(Transport::Tls), doors.dial(Transport::Tls)];
        assert!(welcome.iter().all(Result::is_ok));
        assert_eq!(doors.welcome(Transport::Tls).err(), Some(DropReason::TooManyConnections));
        drop((strangers, welcome));
        assert!(doors.addresses.is_empty());
        assert_eq!(doors.counters.counts().connections, 0);
    }

    #[test]
    fn the_limit_of_all_holds_for_both_directions() {
        let doors = doors(1, 10);
        let dialled = doors.dial(Transport::Tcp);
        assert!(dialled.is_ok());
        let accepted = doors.accept(Transport::Tcp, ip("192.0.2.1"));
        assert_eq!(accepted.err(), Some(DropReason::TooManyConnections));
        assert!(doors.addresses.is_empty());
    }
}
