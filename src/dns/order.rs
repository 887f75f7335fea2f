//! RFC 3263 section 4 as pure functions: which records to ask for, and the order of what they name.
//!
//! Weights (RFC 2782) are drawn at each use of an answer, not once per lookup, so that load spreads even
//! while one answer is in the cache.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::sip::Transport;
use crate::trunk::Target;

/// One place to send a request to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolved {
    pub transport: Transport,
    pub addr: SocketAddr,
    /// The target's host as configured: what a TLS peer must prove (RFC 5922 section 5) and what is sent as SNI.
    pub name: Arc<str>,
}

/// A set of transports: those that the listeners of a trunk can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Transports(u8);

impl Transports {
    /// No transport.
    pub const NONE: Self = Self(0);
    /// Every transport that the edge speaks.
    pub const ALL: Self = Self::NONE.with(Transport::Udp).with(Transport::Tcp).with(Transport::Tls);

    /// The set of one transport.
    pub const fn of(transport: Transport) -> Self {
        Self::NONE.with(transport)
    }

    /// This set and one more transport.
    #[must_use]
    pub const fn with(self, transport: Transport) -> Self {
        Self(self.0 | 1 << transport as u8)
    }

    /// Whether the transport is a member.
    pub const fn contains(self, transport: Transport) -> bool {
        self.0 & (1 << transport as u8) != 0
    }

    /// The members in the order in which services are looked for where DNS states none: the safest first.
    pub fn by_safety(self) -> impl Iterator<Item = Transport> {
        [Transport::Tls, Transport::Tcp, Transport::Udp].into_iter().filter(move |&transport| self.contains(transport))
    }

    /// What is spoken to a bare address or port: UDP if possible (RFC 3263 section 4.1).
    pub fn preset(self) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().find(|&transport| self.contains(transport))
    }
}

impl FromIterator<Transport> for Transports {
    fn from_iter<I: IntoIterator<Item = Transport>>(transports: I) -> Self {
        transports.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut members = self.by_safety();
        match members.next() {
            None => f.write_str("none"),
            Some(first) => {
                write!(f, "{first}")?;
                members.try_for_each(|next| write!(f, ", {next}"))
            }
        }
    }
}

/// What has to be asked about a target (RFC 3263 sections 4.1 and 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The host's addresses: a port is given.
    Addresses { transport: Transport, port: u16 },
    /// The host's NAPTR records; without any that fit, the SRV records of each allowed transport, and
    /// without those the host's addresses.
    Naptr,
    /// Nothing: the host is an address.
    Nothing { transport: Transport, addr: SocketAddr },
    /// The SRV records of the given transport; without any, the host's addresses.
    Srv(Transport),
}

/// The target asks for a transport that is not allowed (`Some`), or none is allowed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllowed(pub Option<Transport>);

/// What has to be asked about a target when these transports are allowed.
pub fn question(target: &Target, allowed: Transports) -> Result<Question, NotAllowed> {
    let preset = match target.transport {
        Some(transport) if allowed.contains(transport) => transport,
        Some(transport) => return Err(NotAllowed(Some(transport))),
        None => allowed.preset().ok_or(NotAllowed(None))?,
    };
    Ok(match (target.literal, target.port, target.transport) {
        (Some(addr), port, _) => Question::Nothing { transport: preset, addr: literal_addr(addr, port, preset) },
        (None, Some(port), _) => Question::Addresses { transport: preset, port },
        (None, None, Some(transport)) => Question::Srv(transport),
        (None, None, None) => Question::Naptr,
    })
}

/// An address literal without a port means the transport's default port.
fn literal_addr(addr: SocketAddr, port: Option<u16>, transport: Transport) -> SocketAddr {
    let port = match (port, addr.port()) {
        (Some(port), _) => port,
        (None, 0) => transport.default_port(),
        (None, port) => port,
    };
    SocketAddr::new(addr.ip(), port)
}

/// A NAPTR record, as far as RFC 3263 uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: Vec<u8>,
    pub services: Vec<u8>,
    pub regexp: Vec<u8>,
    pub replacement: String,
}

/// A name whose SRV records are to be asked, and the transport that is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub transport: Transport,
    pub name: String,
}

/// The services of NAPTR records that the edge can use, best first.
///
/// Only the lowest order with a usable record counts (RFC 3403 section 4.1); within it, preference sorts.
pub fn services_of_naptr(records: &[Naptr], allowed: Transports) -> Vec<Service> {
    let mut usable: Vec<_> = records
        .iter()
        .filter_map(|record| Some((record, transport_of_naptr(record)?)))
        .filter(|&(_, transport)| allowed.contains(transport))
        .collect();
    usable.sort_by_key(|(record, _)| (record.order, record.preference));
    let order = usable.first().map(|(record, _)| record.order);
    usable
        .into_iter()
        .take_while(|(record, _)| Some(record.order) == order)
        .map(|(record, transport)| Service { transport, name: record.replacement.clone() })
        .collect()
}

/// RFC 3263 section 4.1: flag `s`, no regular expression, and a service that names a transport.
fn transport_of_naptr(record: &Naptr) -> Option<Transport> {
    if !record.flags.eq_ignore_ascii_case(b"s") || !record.regexp.is_empty() {
        return None;
    }
    let is = |service: &[u8]| record.services.eq_ignore_ascii_case(service);
    if is(b"SIP+D2U") {
        Some(Transport::Udp)
    } else if is(b"SIP+D2T") {
        Some(Transport::Tcp)
    } else if is(b"SIPS+D2T") {
        Some(Transport::Tls)
    } else {
        None
    }
}

/// The service under which a host publishes SRV records for a transport (RFC 3263 section 4.1).
pub fn service_of_host(host: &str, transport: Transport) -> Service {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    Service { transport, name: format!("{prefix}.{host}") }
}

/// One target of an SRV record with its addresses; a host without SRV is one of priority and weight zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// In the order in which they are tried.
    pub addrs: Vec<IpAddr>,
}

/// The destinations of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    pub transport: Transport,
    pub targets: Vec<Destination>,
}

/// All that DNS said about a target; [`Answer::draw`] makes the list for one use.
#[derive(Clone, Debug)]
pub struct Answer {
    name: Arc<str>,
    services: Vec<Destinations>,
    limit: usize,
    /// The list itself where no weight leaves a choice.
    fixed: Option<Arc<[Resolved]>>,
}

impl Answer {
    /// Services in the order in which they are tried; lists will hold at most `limit` places.
    pub fn new(name: Arc<str>, mut services: Vec<Destinations>, limit: usize) -> Self {
        for service in &mut services {
            service.targets.sort_by_key(|target| target.priority);
        }
        let mut answer = Self { name, services, limit, fixed: None };
        if !answer.has_choice() {
            answer.fixed = Some(answer.draw(0));
        }
        answer
    }

    /// Whether there is no place in it at all.
    pub fn is_empty(&self) -> bool {
        let mut targets = self.services.iter().flat_map(|service| &service.targets);
        targets.all(|target| target.addrs.is_empty())
    }

    /// The places in the order in which they are tried, each once; the seed decides between weights.
    pub fn draw(&self, seed: u64) -> Arc<[Resolved]> {
        if let Some(fixed) = &self.fixed {
            return fixed.clone();
        }
        let mut random = SplitMix(seed);
        let mut list: SmallVec<[Resolved; 16]> = SmallVec::new();
        for service in &self.services {
            for equals in service.targets.chunk_by(|a, b| a.priority == b.priority) {
                for target in by_weight(equals, &mut random) {
                    self.append(&mut list, service.transport, target);
                    if list.len() >= self.limit {
                        return Arc::from(list.as_slice());
                    }
                }
            }
        }
        Arc::from(list.as_slice())
    }

    fn append(&self, list: &mut SmallVec<[Resolved; 16]>, transport: Transport, target: &Destination) {
        for &ip in &target.addrs {
            let addr = SocketAddr::new(ip, target.port);
            let listed = |place: &Resolved| place.addr == addr && place.transport == transport;
            if list.len() < self.limit && !list.iter().any(listed) {
                list.push(Resolved { transport, addr, name: self.name.clone() });
            }
        }
    }

    fn has_choice(&self) -> bool {
        let groups = |service: &Destinations| {
            service
                .targets
                .chunk_by(|a, b| a.priority == b.priority)
                .any(|equals| equals.len() > 1 && equals.iter().any(|target| target.weight > 0))
        };
        self.services.iter().any(groups)
    }
}

/// Targets of one priority in the drawn order of RFC 2782: those of weight zero stand first in the sum,
/// so that they have a small chance while others are left.
fn by_weight<'a>(equals: &'a [Destination], random: &mut SplitMix) -> SmallVec<[&'a Destination; 8]> {
    let mut left: SmallVec<[&Destination; 8]> = equals.iter().collect();
    left.sort_by_key(|target| target.weight > 0);
    let mut drawn = SmallVec::new();
    while !left.is_empty() {
        let sum: u64 = left.iter().map(|target| u64::from(target.weight)).sum();
        let mark = random.up_to(sum);
        let mut running = 0;
        let chosen = left
            .iter()
            .position(|target| {
                running += u64::from(target.weight);
                running >= mark
            })
            // The running sum ends at `sum`, which no mark exceeds.
            .unwrap_or(0);
        drawn.push(left.remove(chosen));
    }
    drawn
}

/// The generator of Steele, Lea and Flood (2014): one multiplication chain per number, any seed is good.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from zero to `top` inclusive; the bias is below `top` in 2^64.
    fn up_to(&mut self, top: u64) -> u64 {
        let wide = u128::from(self.next()) * (u128::from(top) + 1);
        (wide >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
