//! The edge of the simulation: shards, the configuration, a clock, and names that the test answers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::homes::{call_to_bring, shard_of};
use super::super::requests::{refuse_flawed, refuse_stranger};
use super::super::{Budget, Incoming, Shard, branch_of};
use super::wire::{Answer, Request, Sent};
use crate::call::branch::ContextId;
use crate::call::dialog_token::SealKey;
use crate::call::live::{Homes, LiveCall, LiveId};
use crate::call::progress::Turn;
use crate::call::seal::{Key, KeyRing};
use crate::call::stored::{CallStore, Room, StoreKey};
use crate::call::{CallRecord, Command, Counts, Edge, Env, Heard, Names, Output, Secrets, Tools};
use crate::sip::{Essentials, Framing, Message, Transport};
use crate::transaction::{HashKey, Moment, Timing};
use crate::trunk::{ConnectionId, Flow, Hop, ListenerId, Target, TrunkId};

pub(super) const ALICE: &str = "192.0.2.10:5060";
pub(super) const BOB: &str = "192.0.2.20:5060";
pub(super) const CARL: &str = "192.0.2.30:5060";

/// Listeners and trunks for all scenarios. The called number's first digits pick the trunk.
const CONFIG: &str = r#"
[node]
name = "simulation"
[[listen]]
name = "udp"
bind = "udp:192.0.2.1:5060"
[[listen]]
name = "tcp"
bind = "tcp:192.0.2.1:5060"
[[listen]]
name = "six"
bind = "udp:[2001:db8::1]:5060"
[trunk.six-a]
kind = "pbx"
listen = "six"
targets = ["udp:[2001:db8::a]:5060"]
[trunk.six-b]
kind = "carrier"
listen = "six"
targets = ["udp:[2001:db8::b]:5060"]
[trunk.alice]
kind = "pbx"
listen = "udp"
targets = ["udp:192.0.2.10:5060"]
[trunk.bob]
kind = "carrier"
listen = "udp"
targets = ["udp:192.0.2.20:5060"]
[trunk.carl]
kind = "pbx"
listen = "tcp"
targets = ["tcp:192.0.2.30:5060"]
[trunk.dora]
kind = "carrier"
listen = "tcp"
targets = ["tcp:192.0.2.31:5060"]
[trunk.serial]
kind = "carrier"
listen = "udp"
targets = ["udp:192.0.2.41:5060", "udp:192.0.2.42:5060", "udp:192.0.2.43:5060"]
failover_codes = [480, 503]
no_answer_ms = 4000
[trunk.parallel]
kind = "carrier"
listen = "udp"
targets = ["udp:192.0.2.51:5060", "udp:192.0.2.52:5060", "udp:192.0.2.53:5060"]
fork = "parallel"
[trunk.named]
kind = "carrier"
listen = "udp"
targets = ["gone.example", "sip.example"]
allow_from = ["192.0.2.61/32", "192.0.2.62/32"]
[trunk.open]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.70"]
[trunk.open-parallel]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.75", "192.0.2.76"]
fork = "parallel"
[trunk.echo]
kind = "carrier"
listen = "udp"
targets = ["udp:192.0.2.80:5060"]
[[route]]
prefix = "2"
to = ["bob"]
[[route]]
prefix = "96"
to = ["six-b"]
[[route]]
prefix = "1"
to = ["alice"]
[[route]]
prefix = "3"
to = ["carl"]
[[route]]
prefix = "31"
to = ["dora"]
[[route]]
prefix = "4"
to = ["serial"]
[[route]]
prefix = "5"
to = ["parallel"]
[[route]]
prefix = "55"
to = ["parallel", "bob"]
[[route]]
prefix = "25"
to = ["bob", "parallel"]
[[route]]
prefix = "6"
to = ["named"]
[[route]]
prefix = "7"
to = ["open"]
[[route]]
prefix = "75"
to = ["open-parallel"]
[[route]]
prefix = "8"
to = ["echo"]
[[route]]
from = "echo"
prefix = "8"
to = ["echo"]
hairpin = true
[timers]
timer_c_s = 200
"#;

/// What the calendar says when the world's clock stands at nought: a Monday, 00:00 UTC.
pub(super) const EPOCH: u64 = 1_795_996_800;

/// Names that the test answers: what is not in the map has to be looked up.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Vec<SocketAddr>>);

impl Names for Known {
    fn cached(&self, edge: &Edge, trunk: TrunkId, target: &Target) -> Option<Vec<Hop>> {
        let listener = edge.trunk(trunk)?.listener;
        let transport = target.transport.unwrap_or(Transport::Udp);
        let hop =
            |addr| Hop { listener: edge.listener_for(transport, listener)?, transport, addr, name: None, trunk }.into();
        let hop = |addr: &SocketAddr| -> Option<Hop> { hop(*addr) };
        match target.literal {
            Some(addr) => Some(hop(&addr).into_iter().collect()),
            None => Some(self.0.get(&*target.host)?.iter().filter_map(hop).collect()),
        }
    }
}

/// A call store that outlives the process: what the daemon's one does, less the disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub states: HashMap<StoreKey, Bytes>,
    /// Calls that were answered, and those that are over.
    pub up: Vec<u64>,
    pub over: Vec<u64>,
    pub room: Room,
}

impl Default for Kept {
    fn default() -> Self {
        Self { states: HashMap::new(), up: Vec::new(), over: Vec::new(), room: Room::Ample }
    }
}

impl CallStore for Kept {
    fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    fn state(&self, key: StoreKey) -> Option<Bytes> {
        self.states.get(&key).cloned()
    }

    fn room(&self) -> Room {
        self.room
    }
}

/// Keys of owned legs, made of one byte.
pub(super) fn ring(byte: u8) -> KeyRing {
    KeyRing::new(Key::derive(&[byte; 32]).expect("a key"), None).expect("one key")
}

/// No trunk is transparent any more.
pub(super) fn own_all_legs(edge: &mut Edge) {
    for trunk in &mut Arc::make_mut(&mut edge.trunks).0 {
        trunk.transparent = false;
    }
}

/// A name that the edge wants to be looked up.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub context: ContextId,
    pub lane: u8,
    pub trunk: TrunkId,
    pub target: Target,
}

pub(super) struct World {
    pub edge: Arc<Edge>,
    pub names: Known,
    pub now: Moment,
    pub lookups: Vec<Lookup>,
    /// Connections that no request takes any more.
    pub dropped: Vec<SocketAddr>,
    /// Connections offered for requests: which, and the address that it stands for.
    pub aliases: Vec<(ConnectionId, SocketAddr)>,
    pub counts: Counts,
    /// What calls told of targets.
    pub heard: Vec<Heard>,
    pub kept: Kept,
    /// What was told of calls that are over.
    pub records: Vec<CallRecord>,
    /// What was told of who is in calls.
    pub turns: Vec<Turn>,
    secrets: Secrets,
    shards: Vec<Shard>,
    homes: Arc<Homes>,
    sent: Vec<Sent>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {}, 1_000)
    }

    /// A world whose edge `change` has altered and whose shards take `max_contexts` requests each.
    pub(super) fn with(change: impl FnOnce(&mut Edge), max_contexts: usize) -> Self {
        let loaded = crate::config::load_str("simulation", CONFIG, Path::new(".")).expect("a sound configuration");
        let listeners = loaded.config.listeners.iter().map(|listen| listen.listener.clone()).collect();
        let timers = loaded.config.timers;
        let timing = Timing { t1: timers.t1, t2: timers.t2, t4: timers.t4, timer_c: timers.timer_c };
        let limits = crate::sip::Limits::default();
        let mut edge = Edge::new(listeners, loaded.trunks, loaded.routing, timing, limits);
        change(&mut edge);
        let now = Moment::from_millis(1_000_000);
        let homes = Arc::new(Homes::new(1_000));
        Self {
            edge: Arc::new(edge),
            names: Known::default(),
            now,
            lookups: Vec::new(),
            dropped: Vec::new(),
            aliases: Vec::new(),
            counts: Counts::default(),
            heard: Vec::new(),
            kept: Kept::default(),
            records: Vec::new(),
            turns: Vec::new(),
            secrets: Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring: ring(4) },
            shards: (0..4).map(|index| Shard::new(index, now, max_contexts).with_homes(Arc::clone(&homes))).collect(),
            homes,
            sent: Vec::new(),
        }
    }

    /// The process is killed and another one begins, with the same seal keys and call store and nothing else.
    pub(super) fn restart(&mut self) {
        self.secrets = Secrets { hash: HashKey::new([7; 16]), tags: [8; 16], ..self.secrets.clone() };
        self.homes = Arc::new(Homes::new(1_000));
        let shard = |index| Shard::new(index, self.now, 1_000).with_homes(Arc::clone(&self.homes));
        self.shards = (0..4).map(shard).collect();
        self.sent.clear();
    }

    /// The shard of a Call-ID.
    pub(super) fn shard_of(&self, call_id: &str) -> usize {
        self.secrets.shard_of(call_id.as_bytes(), 64)
    }

    /// Other keys of what rides in Record-Route.
    pub(super) fn set_seal(&mut self, seal: SealKey) {
        self.secrets.seal = seal;
    }

    /// The shards begin anew and share room for so many calls.
    pub(super) fn remember_at_most(&mut self, calls: usize) {
        let budget = Budget::with_calls(1_000, calls);
        let shard = |index| Shard::sharing(index, self.now, Arc::clone(&budget));
        self.shards = (0..4).map(shard).collect();
    }

    /// The keys of the process.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Other keys of owned legs.
    pub(super) fn set_ring(&mut self, ring: KeyRing) {
        self.secrets.ring = ring;
    }

    pub(super) fn know(&mut self, name: &str, places: &[&str]) {
        self.names.0.insert(name.to_owned(), places.iter().map(|place| place.parse().expect("an address")).collect());
    }

    pub(super) fn flow(transport: Transport, remote: SocketAddr) -> Flow {
        let (listener, connection) = match transport {
            Transport::Udp => (ListenerId(if remote.is_ipv6() { 2 } else { 0 }), ConnectionId::DATAGRAM),
            _ => (ListenerId(1), ConnectionId(u64::from(remote.port()))),
        };
        Flow { listener, transport, connection, remote, local: None }
    }

    /// A message arrives: what the daemon does with it, less the sockets.
    pub(super) fn arrive(&mut self, transport: Transport, from: SocketAddr, bytes: &[u8]) {
        let framing = if transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes), framing, &self.edge.limits) else { return };
        let flow = Self::flow(transport, from);
        let edge = Arc::clone(&self.edge);
        let homes = Arc::clone(&self.homes);
        self.with_env(|env, shards, out| {
            if !message.is_request() {
                let id = branch_of(&message).filter(|_| message.flaw().is_none());
                if let Some((id, shard)) = id.and_then(|id| Some((id, shards.get_mut(usize::from(id.context.shard))?)))
                {
                    shard.handle_answer(env, out, id, &message);
                } else {
                    out.counts.dropped += 1;
                }
                return;
            }
            let essentials = Essentials::of_request(&message, &edge.limits);
            match (edge.identify.trunk(flow.listener, from.ip(), &[]), essentials) {
                (None, Ok(essentials)) => refuse_stranger(env, out, flow, &message, &essentials),
                (None, Err(_)) => out.counts.dropped += 1,
                (Some(from), Err(what)) => refuse_flawed(env, out, flow, from, &message, what),
                (Some(from), Ok(essentials)) => {
                    let index = shard_of(env.secrets, &homes, &message, &essentials, shards.len());
                    if let Some((other, replaces)) = call_to_bring(env.secrets, &homes, &message, shards.len())
                        && other != index
                        && let Some(call) = shards[other].give_away(env, from, &replaces)
                    {
                        shards[index].take_in(env, call);
                    }
                    let incoming = Incoming { flow, from, former: false, request: &message, essentials: &essentials };
                    shards[index].handle_request(env, out, &incoming);
                }
            }
        });
    }

    fn with_env(&mut self, event: impl FnOnce(&Env<'_>, &mut [Shard], &mut Output)) {
        let mut out = Output { wants_turns: true, ..Output::default() };
        let (now, unix) = (self.now, EPOCH + self.now.as_millis() / 1_000);
        let env = Env {
            now,
            unix,
            unix_ms: EPOCH * 1_000 + now.as_millis(),
            edge: &self.edge,
            secrets: &self.secrets,
            names: &self.names,
            store: &self.kept,
            shelf: &RefCell::default(),
        };
        event(&env, &mut self.shards, &mut out);
        self.counts.add(&out.counts);
        self.heard.append(&mut out.heard);
        self.records.append(&mut out.records);
        self.turns.append(&mut out.turns);
        for command in out.commands {
            match command {
                Command::Answer { flow, fallback, bytes } => self.sent.push(Sent {
                    to: flow.remote,
                    transport: flow.transport,
                    bytes: bytes.to_vec(),
                    branch: None,
                    hop: fallback,
                }),
                Command::Request { hop, bytes, branch } => self.sent.push(Sent {
                    to: hop.addr,
                    transport: hop.transport,
                    bytes: bytes.to_vec(),
                    branch,
                    hop: Some(hop),
                }),
                Command::Resolve { context, lane, trunk, target } => {
                    self.lookups.push(Lookup { context, lane, trunk, target });
                }
                Command::Drop { hop } => self.dropped.push(hop.addr),
                Command::Store { key, bytes } => {
                    self.kept.states.insert(key, bytes);
                }
                Command::CallUp { call } => self.kept.up.push(call),
                Command::CallOver { call } => self.kept.over.push(call),
                Command::Alias { connection, addr, .. } => self.aliases.push((connection, addr)),
            }
        }
    }

    /// A datagram arrives.
    pub(super) fn udp(&mut self, from: &str, text: &str) {
        self.arrive(Transport::Udp, from.parse().expect("an address"), text.as_bytes());
    }

    /// A message of a stream arrives.
    pub(super) fn tcp(&mut self, from: &str, text: &str) {
        self.arrive(Transport::Tcp, from.parse().expect("an address"), text.as_bytes());
    }

    /// `from` sends a request by datagram.
    pub(super) fn request(&mut self, from: &str, request: &Request) {
        self.udp(from, &request.text());
    }

    /// The peer to which `request` went answers, the way it came.
    pub(super) fn answers(&mut self, request: &Sent, answer: &Answer) {
        self.arrive(request.transport, request.to, answer.text().as_bytes());
    }

    /// What was sent since the last look.
    pub(super) fn take(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// What was sent, as words: `INVITE 192.0.2.20:5060`.
    #[track_caller]
    pub(super) fn expect(&mut self, wanted: &[&str]) -> Vec<Sent> {
        let sent = self.take();
        let words: Vec<_> = sent.iter().map(|sent| format!("{} {}", sent.what(), sent.to)).collect();
        assert_eq!(words, wanted, "{}", sent.iter().map(Sent::text).collect::<Vec<_>>().join("\n"));
        sent
    }

    /// Exactly one message was sent.
    #[track_caller]
    pub(super) fn expect_one(&mut self, wanted: &str) -> Sent {
        self.expect(&[wanted]).remove(0)
    }

    /// The trunk `alice` calls: the 100 is taken off, the INVITEs sent on come back.
    #[track_caller]
    pub(super) fn call(&mut self, invite: &Request) -> Vec<Sent> {
        self.request(ALICE, invite);
        let mut sent = self.take();
        assert!(!sent.is_empty() && sent[0].status() == 100, "{sent:?}");
        sent.remove(0);
        sent
    }

    /// What was sent for a branch did not leave.
    pub(super) fn fails(&mut self, sent: &Sent) {
        let id = sent.branch.expect("a request of a branch");
        self.with_env(|env, shards, out| {
            shards[usize::from(id.context.shard)].handle_send_failed(env, out, id);
        });
    }

    /// The oldest lookup comes back with these places.
    pub(super) fn resolve(&mut self, places: &[&str]) {
        let Lookup { context, lane, trunk, .. } = self.lookups.remove(0);
        let listener = self.edge.trunk(trunk).expect("a trunk").listener;
        let addr = |place: &&str| place.parse().expect("an address");
        let hops: Vec<Hop> = places
            .iter()
            .map(|place| Hop { listener, transport: Transport::Udp, addr: addr(place), name: None, trunk })
            .collect();
        self.with_env(|env, shards, out| {
            shards[usize::from(context.shard)].handle_resolved(env, out, context, lane, hops);
        });
    }

    /// When any shard wants its timers turned.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        self.shards.iter().filter_map(Shard::next_wake).min()
    }

    /// Turns all timers that are due now.
    pub(super) fn turn(&mut self) {
        self.with_env(|env, shards, out| {
            for shard in shards {
                shard.handle_time(env, out);
            }
        });
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.next_wake().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = end;
    }

    /// How many requests are in progress or remembered.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// The calls that are up.
    pub(super) fn calls(&self) -> Vec<&LiveCall> {
        self.shards.iter().flat_map(Shard::live_calls).collect()
    }

    /// Calls that are up between transparent trunks.
    pub(super) fn calls_through(&self) -> usize {
        self.shards.iter().map(Shard::calls_through).sum()
    }

    /// Calls that are being set up.
    pub(super) fn calls_begun(&self) -> usize {
        let contexts = self.shards.iter().flat_map(|shard| &shard.contexts);
        contexts.filter(|(_, (context, _))| context.progress().is_some()).count()
    }

    /// The only call that is up.
    #[track_caller]
    pub(super) fn live(&self) -> &LiveCall {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0]
    }

    /// A machine of the only call that is up does something.
    #[track_caller]
    pub(super) fn with_call(&mut self, act: impl FnOnce(&Env<'_>, &mut Tools, &mut Output, LiveId)) {
        self.live();
        self.with_call_at(0, act);
    }

    /// A machine of one of the calls that are up does something.
    pub(super) fn with_call_at(&mut self, index: usize, act: impl FnOnce(&Env<'_>, &mut Tools, &mut Output, LiveId)) {
        let mut left = index;
        self.with_env(|env, shards, out| {
            for shard in shards {
                let id = shard.live_calls().nth(left).map(|call| call.id);
                match id {
                    Some(id) => {
                        act(env, &mut shard.tools, out, id);
                        return shard.work_off(env, out);
                    }
                    None => left -= shard.calls(),
                }
            }
        });
    }

    /// The shard of a Call-ID, and what it needs.
    pub(super) fn with_shard(&mut self, call_id: &str, act: impl FnOnce(&Env<'_>, &mut Shard, &mut Output)) {
        self.with_env(|env, shards, out| {
            let index = env.secrets.shard_of(call_id.as_bytes(), shards.len());
            act(env, &mut shards[index], out);
        });
    }

    /// The only request in progress.
    #[track_caller]
    pub(super) fn only_context(&self) -> ContextId {
        let ids: Vec<_> =
            self.shards.iter().flat_map(|shard| &shard.contexts).map(|(_, (context, _))| context.id).collect();
        *ids.last().expect("a request")
    }

    /// No request is in progress or remembered.
    #[track_caller]
    pub(super) fn assert_idle(&self) {
        for shard in &self.shards {
            let keys = shard.by_key.len() + shard.pracks.len();
            let left = (shard.len(), keys, shard.legacy.len(), shard.awaiting_ack.len());
            assert_eq!(left, (0, 0, 0, 0), "contexts, keys, legacy keys, ACKs are left: {:?}", shard.contexts);
            let left = (shard.tools.news.len(), shard.tools.orders.len());
            assert_eq!(left, (0, 0), "news, orders: {:?}", shard.tools);
        }
    }

    /// Nothing is left in any table.
    #[track_caller]
    pub(super) fn assert_empty(&self) {
        self.assert_idle();
        for shard in &self.shards {
            let left = (shard.timers(), shard.calls() + shard.calls_through(), shard.tools.lives.is_blank());
            assert_eq!(left, (0, 0, true), "timers, calls are left, all legs are forgotten");
        }
    }

    /// Lets all timers run out, with no name known any more, and wants everything to be forgotten then, calls that
    /// nobody has ended after the longest time that they may take.
    #[track_caller]
    pub(super) fn finish(mut self) {
        self.pass(700_000);
        while !self.lookups.is_empty() {
            self.resolve(&[]);
            self.pass(700_000);
        }
        self.assert_idle();
        if !self.calls().is_empty() || self.calls_through() > 0 {
            self.pass(self.edge.seal_max_age.as_millis() as u64);
        }
        self.pass(1_300_000);
        self.assert_empty();
    }

    /// As [`World::finish`], and no call may be left that had to be forgotten.
    #[track_caller]
    pub(super) fn finish_without_calls(self) {
        assert_eq!(self.calls().len(), 0, "{:?}", self.calls());
        self.finish();
    }
}
