//! Whose request is this: the trunk behind a listener, a source address and the names of a TLS certificate.
//!
//! Pure and compiled once for a configuration. A lookup allocates nothing. Where several trunks could be meant the most
//! specific network decides; a trunk that asks for certificate names on a TLS listener is never found by address alone.

use std::net::IpAddr;
use std::sync::Arc;

use super::{ConnectionId, Listener, ListenerId, Network, Trunk, TrunkId, Trunks, address_bits, masked};
use crate::sip::Transport;

/// How many earlier ways of knowing trunks are kept over reloads; the oldest go first.
const MAX_FORMER: usize = 4_096;

/// The first of the mapped IPv4 addresses.
const WORLD_OF_IPV4: u128 = 0xffff << 32;

/// The compiled table that tells the trunk of a request.
#[derive(Clone, Debug, Default)]
pub struct Identify {
    /// By [`ListenerId`].
    listeners: Vec<Peers>,
    /// Where peers are, whatever the listener: the networks and the literal targets of all trunks.
    peers: Networks,
    /// By [`ListenerId`]: how trunks were known before a reload, and how those are known that leave. What comes so is in
    /// a call that is up, or a stranger's.
    former: Vec<Peers>,
    has_former: bool,
    /// What `former` is made of, without the trunks that leave now.
    ways: Arc<[Former]>,
    /// Trunks of which older connections prove nothing any more, since the names of their certificates have changed.
    unproved: Vec<(TrunkId, ConnectionId)>,
}

/// How a trunk was known before a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Former {
    trunk: TrunkId,
    listener: ListenerId,
    networks: Vec<Network>,
    named: bool,
}

/// The trunks of one listener.
#[derive(Clone, Debug, Default)]
struct Peers {
    /// Trunks that are known by source address only.
    by_address: Networks,
    /// Trunks that a certificate name must prove first, by their networks.
    by_name: Networks,
    /// Trunks that a certificate name proves wherever they come from; in order of the configuration.
    by_name_anywhere: Vec<TrunkId>,
    /// Some trunk is proved by certificate from any address.
    anywhere: bool,
}

impl Former {
    fn of(trunk: &Trunk) -> Self {
        let (trunk, listener, named) = (trunk, trunk.listener, !trunk.peer_names.is_empty());
        Self { trunk: trunk.id, listener, networks: trunk.allow_from.clone(), named }
    }
}

impl Peers {
    fn add(&mut self, tls: bool, way: &Former) {
        let named = tls && way.named;
        let world = |network: &Network| network.bits == 0;
        self.anywhere |= named && (way.networks.is_empty() || way.networks.iter().any(world));
        if named && way.networks.is_empty() {
            self.by_name_anywhere.push(way.trunk);
        }
        let networks = if named { &mut self.by_name } else { &mut self.by_address };
        for network in &way.networks {
            let (first, bits) = network.prefix();
            networks.add(first, bits, way.trunk);
        }
    }
}

impl Identify {
    /// Compiles the table; trunks on a listener that is not among `listeners` are left out.
    pub fn new(listeners: &[Listener], trunks: &Trunks) -> Self {
        let ways: Vec<Former> = trunks.staying().map(Former::of).collect();
        let leaving: Vec<Former> = trunks.0.iter().filter(|trunk| trunk.leaving).map(Former::of).collect();
        let mut peers = Networks::default();
        for trunk in &trunks.0 {
            let literal = trunk.targets.iter().filter_map(|target| target.literal).map(|at| Network::host(at.ip()));
            for network in trunk.allow_from.iter().copied().chain(literal) {
                let (first, bits) = network.prefix();
                // The whole world is nobody's address.
                if bits == 0 || first == WORLD_OF_IPV4 && bits == 96 {
                    continue;
                }
                peers.add(first, bits, trunk.id);
            }
        }
        peers.sort();
        Self {
            listeners: compiled(listeners, &ways),
            peers,
            former: compiled(listeners, &leaving),
            has_former: !leaving.is_empty(),
            ways: Arc::default(),
            unproved: Vec::new(),
        }
    }

    /// The table over an earlier one, which was that of `old`: what is in a call that began then is still known.
    pub fn following(listeners: &[Listener], trunks: &Trunks, (identify, old): (&Self, &Trunks)) -> Self {
        let mut ways = identify.ways.to_vec();
        let before = old.0.iter().filter(|trunk| !trunk.leaving).map(Former::of);
        let changed = before.filter(|way| trunks.get(way.trunk).is_none_or(|now| Former::of(now) != *way));
        ways.extend(changed);
        ways.reverse();
        let mut kept: Vec<Former> = Vec::new();
        for way in ways.into_iter().filter(|way| trunks.get(way.trunk).is_some()) {
            // The newest ones are kept; one that is in force again is no former one.
            let is_known = || trunks.get(way.trunk).is_some_and(|now| !now.leaving && Former::of(now) == way);
            if kept.len() < MAX_FORMER && !kept.contains(&way) && !is_known() {
                kept.push(way);
            }
        }
        kept.reverse();
        let new = Self::new(listeners, trunks);
        let leaving = trunks.0.iter().filter(|trunk| trunk.leaving).map(Former::of);
        let all: Vec<Former> = leaving.chain(kept.iter().cloned()).collect();
        let unproved = identify.unproved.clone();
        let former = compiled(listeners, &all);
        Self { former, has_former: !all.is_empty(), ways: kept.into(), unproved, ..new }
    }

    /// The same table, to which connections up to `last` prove nothing of these trunks; what is in a call that is up
    /// passes over them all the same.
    #[must_use]
    pub fn doubting(&self, trunks: &[TrunkId], last: ConnectionId) -> Self {
        let mut table = self.clone();
        table.unproved.retain(|(trunk, _)| !trunks.contains(trunk));
        table.unproved.extend(trunks.iter().map(|trunk| (*trunk, last)));
        table
    }

    /// Whether an address is one that some trunk's peers have: it may be wrong at this listener, but it is no stranger.
    pub fn knows(&self, remote: IpAddr) -> bool {
        self.peers.find(address_bits(remote), |_| true).is_some()
    }

    /// Whether any peer's address is in a network.
    pub fn knows_any_of(&self, network: Network) -> bool {
        let (first, bits) = network.prefix();
        self.peers.groups.iter().any(|(length, entries)| {
            let short = bits.min(*length);
            entries.iter().any(|(peer, _)| masked(*peer, short) == masked(first, short))
        })
    }

    /// Whether peers of a listener prove who they are by their certificates wherever they come from, so that no address
    /// can be told to be a stranger's before the handshake.
    pub fn has_peers_anywhere(&self, listener: ListenerId) -> bool {
        let of = |table: &[Peers]| table.get(usize::from(listener.0)).is_some_and(|peers| peers.anywhere);
        of(&self.listeners) || of(&self.former)
    }

    /// The trunk of a request that came in at `listener` from `remote`, if any.
    ///
    /// `authenticated` are the trunks whose `peer_names` the peer's verified certificate carries; empty without TLS.
    pub fn trunk(&self, listener: ListenerId, remote: IpAddr, authenticated: &[TrunkId]) -> Option<TrunkId> {
        self.trunk_over(listener, remote, authenticated, None)
    }

    /// The same of a request that came over this connection.
    pub fn trunk_over(
        &self,
        listener: ListenerId,
        remote: IpAddr,
        authenticated: &[TrunkId],
        connection: Option<ConnectionId>,
    ) -> Option<TrunkId> {
        let peers = self.listeners.get(usize::from(listener.0))?;
        let address = address_bits(remote);
        if !authenticated.is_empty() {
            let is_proved = |trunk| authenticated.contains(&trunk) && self.believes(trunk, connection);
            let proved = peers
                .by_name
                .find(address, is_proved)
                .or_else(|| peers.by_name_anywhere.iter().copied().find(|trunk| is_proved(*trunk)));
            if proved.is_some() {
                return proved;
            }
        }
        peers.by_address.find(address, |_| true)
    }

    fn believes(&self, trunk: TrunkId, connection: Option<ConnectionId>) -> bool {
        let doubt = self.unproved.iter().find(|(doubted, _)| *doubted == trunk);
        doubt.is_none_or(|(_, last)| connection.is_none_or(|connection| connection > *last))
    }

    /// Whether any trunk may be known as it was known before.
    pub const fn has_former(&self) -> bool {
        self.has_former
    }

    /// The trunks whose request it may be if it is in a call that is up: those that were known so before a reload. Calls
    /// back until it is told that one is the right one.
    pub fn former(
        &self,
        listener: ListenerId,
        remote: IpAddr,
        authenticated: &[TrunkId],
        mut is_right: impl FnMut(TrunkId) -> bool,
    ) -> Option<TrunkId> {
        let peers = self.former.get(usize::from(listener.0))?;
        let address = address_bits(remote);
        let mut proved = |trunk| authenticated.contains(&trunk) && is_right(trunk);
        let by_name = peers.by_name.find(address, &mut proved);
        let by_name = by_name.or_else(|| peers.by_name_anywhere.iter().copied().find(|trunk| proved(*trunk)));
        by_name.or_else(|| peers.by_address.find(address, is_right))
    }
}

fn compiled(listeners: &[Listener], ways: &[Former]) -> Vec<Peers> {
    let mut table: Vec<Peers> = Vec::new();
    for listener in listeners {
        let index = usize::from(listener.id.0);
        if table.len() <= index {
            table.resize_with(index + 1, Peers::default);
        }
        let Some(peers) = table.get_mut(index) else {
            continue;
        };
        for way in ways.iter().filter(|way| way.listener == listener.id) {
            peers.add(listener.transport == Transport::Tls, way);
        }
        peers.by_address.sort();
        peers.by_name.sort();
    }
    table
}

/// Networks and their trunks, grouped by prefix length, longest first; within a group in order of address.
#[derive(Clone, Debug, Default)]
struct Networks {
    groups: Vec<(u8, Vec<(u128, TrunkId)>)>,
}

impl Networks {
    fn add(&mut self, first: u128, bits: u8, trunk: TrunkId) {
        match self.groups.iter_mut().find(|(length, _)| *length == bits) {
            Some((_, entries)) => entries.push((first, trunk)),
            None => self.groups.push((bits, vec![(first, trunk)])),
        }
    }

    fn sort(&mut self) {
        self.groups.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        for (_, entries) in &mut self.groups {
            entries.sort_unstable();
        }
    }

    /// The trunk of the most specific network that holds the address and whose trunk is `wanted`.
    fn find(&self, address: u128, mut wanted: impl FnMut(TrunkId) -> bool) -> Option<TrunkId> {
        self.groups.iter().find_map(|(bits, entries)| {
            let network = masked(address, *bits);
            let start = entries.partition_point(|(first, _)| *first < network);
            entries
                .iter()
                .skip(start)
                .take_while(|(first, _)| *first == network)
                .map(|(_, trunk)| *trunk)
                .find(|trunk| wanted(*trunk))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trunk::{Fork, Network, Trunk, TrunkKind};

    fn network(text: &str) -> Network {
        let (addr, bits) = text.split_once('/').unwrap();
        Network { addr: addr.parse().unwrap(), bits: bits.parse().unwrap() }
    }

    fn trunk(id: u16, listener: u16, allow_from: &[&str], peer_names: &[&str]) -> Trunk {
        Trunk {
            id: TrunkId(id),
            name: format!("trunk{id}").into(),
            kind: TrunkKind::Carrier,
            listener: ListenerId(listener),
            targets: Vec::new(),
            allow_from: allow_from.iter().map(|text| network(text)).collect(),
            peer_names: peer_names.iter().map(|name| Arc::from(*name)).collect(),
            fqdn: None,
            fork: Fork::Serial,
            failover_codes: Vec::new(),
            no_answer: Duration::ZERO,
            stream_when_large: true,
            connection_reuse: true,
            transparent: true,
            limits: None,
            dialect: Arc::new(crate::trunk::Dialect::of_kind(TrunkKind::Pbx)),
            leaving: false,
        }
    }

    fn listener(id: u16, transport: Transport) -> Listener {
        Listener {
            id: ListenerId(id),
            name: format!("listener{id}").into(),
            transport,
            bind: ([127, 0, 0, 1], 5060).into(),
            host: "127.0.0.1".into(),
            port: 5060,
            leaving: false,
        }
    }

    /// Listener 0 is UDP, listener 1 is TLS, listener 2 is TLS with one nameless trunk.
    fn table() -> Identify {
        let trunks = Trunks(vec![
            trunk(0, 0, &["10.0.0.0/8"], &[]),
            trunk(1, 0, &["10.1.0.0/16", "10.2.3.4/32"], &[]),
            trunk(2, 0, &["2001:db8::/32"], &["named-but-on-udp.example"]),
            trunk(3, 1, &["52.112.0.0/14"], &["sip.pstnhub.microsoft.com"]),
            trunk(4, 1, &[], &["pbx.example.net"]),
            trunk(5, 1, &["192.0.2.0/24"], &[]),
            trunk(6, 1, &["192.0.2.0/24"], &["carrier.example.net"]),
            trunk(7, 1, &["0.0.0.0/0"], &["carrier.example.net"]),
            trunk(8, 2, &["0.0.0.0/0"], &[]),
        ]);
        let listeners = [listener(0, Transport::Udp), listener(1, Transport::Tls), listener(2, Transport::Tls)];
        Identify::new(&listeners, &trunks)
    }

    /// What the row is about, listener, remote address, authenticated trunks, trunk found.
    type Row<'a> = (&'a str, u16, &'a str, &'a [u16], Option<u16>);

    #[test]
    fn peers_are_known_at_any_listener() {
        let table = table();
        for (address, known) in [("10.9.9.9", true), ("52.114.75.24", true), ("192.0.2.9", true)] {
            assert_eq!(table.knows(address.parse().unwrap()), known, "{address}");
        }
        let mut lone = trunk(0, 0, &["10.0.0.0/8"], &[]);
        let at = "198.51.100.5:5060".parse().unwrap();
        lone.targets.push(crate::trunk::Target {
            transport: None,
            host: "198.51.100.5".into(),
            port: None,
            literal: Some(at),
        });
        let table = Identify::new(&[listener(0, Transport::Udp)], &Trunks(vec![lone]));
        let known = |text: &str| table.knows(text.parse().unwrap());
        assert!(known("198.51.100.5") && known("10.1.1.1") && !known("198.51.100.6") && !known("2001:db8::1"));
        assert!(self::table().has_peers_anywhere(ListenerId(1)));
        assert!(!self::table().has_peers_anywhere(ListenerId(0)));
    }

    #[test]
    fn trunk_is_told_by_listener_address_and_name() {
        let table = table();
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            ("widest network",                       0, "10.9.9.9",            &[],     Some(0)),
            ("more specific network wins",           0, "10.1.9.9",            &[],     Some(1)),
            ("single address wins",                  0, "10.2.3.4",            &[],     Some(1)),
            ("its neighbour does not",               0, "10.2.3.5",            &[],     Some(0)),
            ("mapped address is the IPv4 address",   0, "::ffff:10.1.9.9",     &[],     Some(1)),
            ("unknown address",                      0, "192.0.2.1",           &[],     None),
            ("names do not matter on UDP",           0, "2001:db8::7",         &[],     Some(2)),
            ("IPv6 outside",                         0, "2001:db9::7",         &[],     None),
            ("other listener",                       1, "10.1.9.9",            &[],     None),
            ("address alone is not enough on TLS",   1, "52.114.75.24",        &[],     None),
            ("name and address",                     1, "52.114.75.24",        &[3],    Some(3)),
            ("name without the address",             1, "198.51.100.1",        &[3],    None),
            ("name of a trunk of another listener",  1, "10.1.9.9",            &[1],    None),
            ("name alone where no network is given", 1, "198.51.100.1",        &[4],    Some(4)),
            ("nameless trunk by address",            1, "192.0.2.9",           &[],     Some(5)),
            ("named trunk before the nameless",      1, "192.0.2.9",           &[6],    Some(6)),
            ("two proved: narrower network",         1, "192.0.2.9",           &[7, 6], Some(6)),
            ("two proved: the one that allows",      1, "198.51.100.1",        &[6, 7], Some(7)),
            ("network before anywhere",              1, "192.0.2.9",           &[4, 6], Some(6)),
            ("all IPv4 is not IPv6",                 2, "2001:db8::1",         &[],     None),
            ("all IPv4",                             2, "203.0.113.200",       &[],     Some(8)),
            ("unknown listener",                     9, "10.1.9.9",            &[],     None),
        ];
        for (what, listener, remote, authenticated, expected) in rows {
            let authenticated: Vec<TrunkId> = authenticated.iter().copied().map(TrunkId).collect();
            let found = table.trunk(ListenerId(*listener), remote.parse().unwrap(), &authenticated);
            assert_eq!(found, expected.map(TrunkId), "{what}");
        }
    }

    #[test]
    fn host_bits_of_a_network_do_not_matter() {
        assert!(network("10.1.2.3/8").contains("10.255.0.1".parse().unwrap()));
        assert!(!network("10.1.2.3/8").contains("11.0.0.1".parse().unwrap()));
        assert!(network("::/0").contains("192.0.2.1".parse().unwrap()));
    }

    fn first_former(table: &Identify, listener: u16, remote: &str, authenticated: &[u16]) -> Option<u16> {
        let authenticated: Vec<TrunkId> = authenticated.iter().map(|id| TrunkId(*id)).collect();
        table.former(ListenerId(listener), remote.parse().unwrap(), &authenticated, |_| true).map(|id| id.0)
    }

    #[test]
    fn who_was_known_before_a_reload_is_a_former_one() {
        let listeners = [listener(0, Transport::Udp), listener(1, Transport::Tls)];
        let old = Trunks(vec![
            trunk(0, 0, &["10.0.0.0/8"], &[]),
            trunk(1, 0, &["192.0.2.1/32"], &[]),
            trunk(2, 1, &[], &["pbx.example.net"]),
        ]);
        let first = Identify::new(&listeners, &old);
        assert!(!first.has_former());
        // The first trunk leaves, the second sends from elsewhere, the third is as it was, a fourth has come.
        let mut new = old.clone();
        new.0[0].leaving = true;
        new.0[1] = trunk(1, 0, &["192.0.2.2/32"], &[]);
        new.0.push(trunk(3, 0, &["10.1.0.0/16"], &[]));
        let second = Identify::following(&listeners, &new, (&first, &old));
        let now =
            |table: &Identify, remote: &str| table.trunk(ListenerId(0), remote.parse().unwrap(), &[]).map(|id| id.0);
        assert!(second.has_former());
        assert_eq!(
            ["10.9.9.9", "10.1.0.1", "192.0.2.1", "192.0.2.2"].map(|at| now(&second, at)),
            [None, Some(3), None, Some(1)]
        );
        // One that has the address of another now may still be in its calls.
        let former = ["10.9.9.9", "10.1.0.1", "192.0.2.1", "192.0.2.2"].map(|at| first_former(&second, 0, at, &[]));
        assert_eq!(former, [Some(0), Some(0), Some(1), None]);
        assert_eq!(first_former(&second, 1, "198.51.100.1", &[2]), None);
        // All is as it was: nobody is a former one but the trunk that leaves now, and what the second one had meanwhile.
        let third = Identify::following(&listeners, &old, (&second, &new));
        assert_eq!(["10.9.9.9", "192.0.2.1", "192.0.2.2"].map(|at| now(&third, at)), [Some(0), Some(1), None]);
        assert_eq!(first_former(&third, 0, "192.0.2.2", &[]), Some(1));
        assert_eq!(first_former(&third, 0, "192.0.2.1", &[]), None);
    }

    #[test]
    fn older_connections_prove_nothing_of_a_doubted_trunk() {
        let listeners = [listener(1, Transport::Tls)];
        let trunks = Trunks(vec![trunk(0, 1, &[], &["new.example.net"]), trunk(1, 1, &[], &["other.example.net"])]);
        let table = Identify::new(&listeners, &trunks).doubting(&[TrunkId(0)], ConnectionId(7));
        let found = |connection: u64, proved: u16| {
            let remote = "198.51.100.1".parse().unwrap();
            table.trunk_over(ListenerId(1), remote, &[TrunkId(proved)], Some(ConnectionId(connection))).map(|id| id.0)
        };
        assert_eq!([found(6, 0), found(7, 0), found(8, 0), found(6, 1)], [None, None, Some(0), Some(1)]);
        // In a call that is up it is believed.
        let mut renamed = trunks.clone();
        renamed.0[0].peer_names = vec!["newer.example.net".into()];
        renamed.0[0].leaving = true;
        let next = Identify::following(&listeners, &renamed, (&table, &trunks));
        assert_eq!(first_former(&next, 1, "198.51.100.1", &[0]), Some(0));
    }

    #[test]
    fn ways_of_before_are_bounded() {
        let listeners = [listener(0, Transport::Udp)];
        let mut trunks = Trunks(vec![trunk(0, 0, &["10.0.0.0/32"], &[])]);
        let mut table = Identify::new(&listeners, &trunks);
        for number in 1..=300_u32 {
            let [.., high, low] = number.to_be_bytes();
            let next = Trunks(vec![trunk(0, 0, &[&format!("10.0.{high}.{low}/32")], &[])]);
            table = Identify::following(&listeners, &next, (&table, &trunks));
            trunks = next;
        }
        assert_eq!(table.ways.len(), 300.min(MAX_FORMER));
        assert_eq!(first_former(&table, 0, "10.0.0.0", &[]), Some(0));
        assert_eq!(first_former(&table, 0, "10.0.1.44", &[]), None, "that is how it is known now");
    }
}
