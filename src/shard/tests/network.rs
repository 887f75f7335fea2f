//! A network between scripted peers and the edge: it loses, doubles and overtakes, by a seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::wire::Sent;
use super::world::World;
use crate::sip::Transport;
use crate::transaction::Moment;

/// How datagrams fare; streams lose nothing and keep their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub loss: f64,
    pub duplicate: f64,
    /// Datagrams take up to this much longer, each its own time.
    pub jitter_millis: u64,
    /// Chance that what the edge sends does not leave, of which it hears.
    pub broken: f64,
}

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) enum Event {
    ToEdge {
        transport: Transport,
        from: SocketAddr,
        text: String,
    },
    ToPeer {
        transport: Transport,
        peer: SocketAddr,
        text: String,
    },
    /// A peer's timer.
    Timer(Timer),
}

/// A timer of the peer with this index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub peer: usize,
    pub what: u32,
    pub interval_millis: u64,
}

/// The world, what is on its way, and a log of all that the edge sent.
pub(super) struct Network {
    pub world: World,
    pub log: Vec<String>,
    weather: Weather,
    waiting: BTreeMap<(Moment, u64), Event>,
    count: u64,
    chance: Chance,
}

const DELAY_MILLIS: u64 = 10;

impl Network {
    pub(super) fn new(world: World, seed: u64, weather: Weather) -> Self {
        let (waiting, log) = (BTreeMap::new(), Vec::new());
        Self { world, log, weather, waiting, count: 0, chance: Chance(seed) }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.chance.next() % bound
    }

    fn happens(&mut self, probability: f64) -> bool {
        ((self.chance.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    fn put(&mut self, after_millis: u64, event: Event) {
        self.count += 1;
        self.waiting.insert((self.world.now + Duration::from_millis(after_millis), self.count), event);
    }

    pub(super) fn set(&mut self, after_millis: u64, timer: Timer) {
        self.put(after_millis, Event::Timer(timer));
    }

    fn carry(&mut self, transport: Transport, event: &Event) {
        if transport.is_reliable() {
            return self.put(DELAY_MILLIS, event.clone());
        }
        if self.happens(self.weather.loss) {
            return;
        }
        let copies = 1 + u64::from(self.happens(self.weather.duplicate));
        for _ in 0..copies {
            let late = self.below(self.weather.jitter_millis + 1);
            self.put(DELAY_MILLIS + late, event.clone());
        }
    }

    /// A peer sends to the edge.
    pub(super) fn send(&mut self, transport: Transport, from: SocketAddr, text: String) {
        self.carry(transport, &Event::ToEdge { transport, from, text });
    }

    /// Carries what the edge has sent.
    fn collect(&mut self) {
        loop {
            let sent = self.world.take();
            if sent.is_empty() {
                return;
            }
            for sent in sent {
                self.log.push(format!("{} {} {}", self.world.now.as_millis(), sent.to, sent.text()));
                self.deliver(&sent);
            }
        }
    }

    fn deliver(&mut self, sent: &Sent) {
        if sent.branch.is_some() && self.happens(self.weather.broken) {
            return self.world.fails(sent);
        }
        let event = Event::ToPeer { transport: sent.transport, peer: sent.to, text: sent.text() };
        self.carry(sent.transport, &event);
    }

    /// The next thing that concerns a peer; what concerns the edge is done on the way. `None`: nothing is left.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            self.collect();
            let next = self.waiting.first_key_value().map(|(key, _)| key.0);
            let wake = self.world.next_wake();
            if let Some(wake) = wake
                && next.is_none_or(|next| wake <= next)
            {
                self.world.now = self.world.now.max(wake);
                self.world.turn();
                continue;
            }
            let (key, event) = self.waiting.pop_first()?;
            self.world.now = self.world.now.max(key.0);
            match event {
                Event::ToEdge { transport, from, text } => self.world.arrive(transport, from, text.as_bytes()),
                event => return Some(event),
            }
        }
    }
}

/// Seeded chance (the SplitMix64 generator).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
