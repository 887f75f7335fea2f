//! Requests to the bridge: each goes to its part once, and copies are answered from memory.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use slab::Slab;

use super::compose;
use super::number::Draws;
use super::{Answer, Arrived, Counts, Handle, Settings, Todo, Turn};
use crate::sip::{Message, Transport};
use crate::transaction::{Alarm, Due, HashKey, Key, KeyParts, Moment, NonInviteServer, ServerSend, Wheel};
use crate::trunk::{Flow, Hop, TrunkId};

/// How long a part may take for its answer; the peer does not wait longer (RFC 3261 timer F).
const PATIENCE: Duration = Duration::from_secs(32);

/// Seconds that a peer is asked to wait when there is no room for its request.
const RETRY_AFTER: &str = "5";

/// A server transaction.
#[derive(Debug)]
struct Server {
    key: Key,
    generation: u32,
    machine: NonInviteServer,
    alarm: Alarm,
    /// Where answers go.
    way: (Flow, Option<Hop>),
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Waiting { request: Box<Message>, trunk: TrunkId, remote: SocketAddr, until: Moment },
    Answered(Bytes),
}

impl Server {
    fn next_timeout(&self) -> Option<Moment> {
        match self.stage {
            Stage::Waiting { until, .. } => Some(until),
            Stage::Answered(_) => self.machine.next_timeout(),
        }
    }
}

/// All server transactions of the bridge.
#[derive(Debug)]
pub(super) struct Servers {
    slots: Slab<Server>,
    by_key: HashMap<Key, u32, foldhash::fast::RandomState>,
    /// Those that are answered, the oldest first; some of them are gone.
    answered: VecDeque<(u32, u32)>,
    wheel: Wheel,
    due: Vec<Due>,
    hash_key: HashKey,
    draws: Draws,
    begun: u32,
}

impl Servers {
    pub fn new(now: Moment, settings: &Settings, secret: [u8; 16]) -> Self {
        Self {
            slots: Slab::new(),
            by_key: HashMap::default(),
            answered: VecDeque::new(),
            wheel: Wheel::new(now, settings.max_transactions),
            due: Vec::new(),
            hash_key: HashKey::new(secret),
            draws: Draws::new(secret, 2),
            begun: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    pub fn handle_request(&mut self, turn: &mut Turn<'_>, trunk: TrunkId, flow: Flow, message: Message) {
        let key = Key::of_request(&self.hash_key, &key_parts(&message));
        if let Some(server) = self.by_key.get(&key).and_then(|&slot| self.slots.get_mut(slot as usize)) {
            turn.counts.absorbed += 1;
            if let (Some(ServerSend::Last), Stage::Answered(bytes)) =
                (server.machine.handle_request(turn.now).send, &server.stage)
            {
                let (flow, fallback) = server.way.clone();
                turn.out.push(Todo::Answer { flow, fallback, bytes: bytes.clone() });
            }
            return;
        }
        let way = turn.ways.way_back(trunk, &flow, &message);
        if self.slots.len() >= turn.settings.max_transactions && !self.evict(turn.counts) {
            return self.refuse(turn, (trunk, flow), way, &message);
        }
        turn.counts.arrived += 1;
        self.begun = self.begun.wrapping_add(1);
        let reliable = flow.transport.is_reliable();
        let until = turn.now + PATIENCE;
        let server = Server {
            key,
            generation: self.begun,
            machine: NonInviteServer::start(turn.now, reliable, &turn.settings.timing),
            alarm: Alarm::default(),
            way,
            stage: Stage::Waiting { request: Box::new(message.clone()), trunk, remote: flow.remote, until },
        };
        // Slabs do not grow past `max_transactions`, which is far below the largest index.
        let slot = self.slots.insert(server) as u32;
        self.by_key.insert(key, slot);
        self.arm(turn.now, slot);
        let handle = Handle(u64::from(self.begun) << 32 | u64::from(slot));
        turn.out.push(Todo::Arrived(Arrived { handle, trunk, flow, message }));
    }

    pub fn answer(&mut self, turn: &mut Turn<'_>, answer: &Answer) {
        let (slot, generation) = (answer.handle.0 as u32, (answer.handle.0 >> 32) as u32);
        let server = self.slots.get_mut(slot as usize).filter(|server| server.generation == generation);
        let Some(server) = server else { return };
        let Stage::Waiting { request, trunk, remote, .. } = &server.stage else { return };
        let tag = tag_of(&self.draws, request);
        let at = (*trunk, server.way.0.listener);
        let bytes = compose::answer(turn.ways, at, (request, *remote), answer, &tag);
        let actions = server.machine.handle_response(turn.now, answer.status, &turn.settings.timing);
        if actions.send.is_some() {
            let (flow, fallback) = server.way.clone();
            turn.out.push(Todo::Answer { flow, fallback, bytes: bytes.clone() });
        }
        if actions.ended {
            return self.remove(slot);
        }
        if answer.status >= 200 {
            server.stage = Stage::Answered(bytes);
            self.note_answered(slot, generation);
        }
        self.arm(turn.now, slot);
    }

    pub fn handle_time(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id: slot, generation } in due.drain(..) {
            let server = self.slots.get_mut(slot as usize).filter(|server| server.generation == generation);
            let Some(server) = server else { continue };
            server.alarm.handle_due(now);
            let over = match server.stage {
                Stage::Waiting { until, .. } => {
                    turn.counts.unanswered += u64::from(until <= now);
                    until <= now
                }
                Stage::Answered(_) => server.machine.handle_timeout(now, &turn.settings.timing).ended,
            };
            match over {
                true => self.remove(slot),
                false => self.arm(now, slot),
            }
        }
        self.due = due;
    }

    /// There is no room: nothing is kept, and a copy is answered alike.
    fn refuse(&self, turn: &mut Turn<'_>, (trunk, from): (TrunkId, Flow), way: (Flow, Option<Hop>), request: &Message) {
        turn.counts.refused += 1;
        let answer = Answer {
            handle: Handle(0),
            status: 503,
            reason: "Service Unavailable",
            to_tag: None,
            contact_user: None,
            headers: vec![("Retry-After", RETRY_AFTER.to_owned())],
            body: None,
        };
        let tag = tag_of(&self.draws, request);
        let bytes = compose::answer(turn.ways, (trunk, from.listener), (request, from.remote), &answer, &tag);
        let (flow, fallback) = way;
        turn.out.push(Todo::Answer { flow, fallback, bytes });
    }

    /// Forgets the oldest answer: its peer has most likely got it.
    fn evict(&mut self, counts: &mut Counts) -> bool {
        while let Some((slot, generation)) = self.answered.pop_front() {
            if self.is_there(slot, generation) {
                counts.evicted += 1;
                self.remove(slot);
                return true;
            }
        }
        false
    }

    fn note_answered(&mut self, slot: u32, generation: u32) {
        while let Some(&(slot, generation)) = self.answered.front() {
            if self.is_there(slot, generation) {
                break;
            }
            self.answered.pop_front();
        }
        self.answered.push_back((slot, generation));
    }

    fn is_there(&self, slot: u32, generation: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|server| server.generation == generation)
    }

    fn remove(&mut self, slot: u32) {
        if let Some(server) = self.slots.try_remove(slot as usize) {
            self.by_key.remove(&server.key);
        }
    }

    fn arm(&mut self, now: Moment, slot: u32) {
        let Some(server) = self.slots.get_mut(slot as usize) else { return };
        let next = server.next_timeout();
        if let Some(at) = server.alarm.cover(now, next) {
            self.wheel.arm(slot, server.generation, at);
        }
    }
}

/// The edge's own tag for an answer: the same for copies (RFC 3261 section 8.2.7).
fn tag_of(draws: &Draws, request: &Message) -> String {
    let from = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
    format!("{:016x}", draws.of(&[request.call_id().unwrap_or_default(), from]))
}

fn key_parts(message: &Message) -> KeyParts<'_> {
    let via = message.top_via().ok();
    KeyParts {
        method: message.method(),
        branch: via.as_ref().and_then(|via| via.branch).unwrap_or_default(),
        sent_by_host: via.as_ref().map(|via| via.host).unwrap_or_default(),
        sent_by_port: via.as_ref().and_then(|via| via.port),
        transport: via.as_ref().and_then(|via| via.known_transport()).unwrap_or(Transport::Udp),
        request_uri: message.request_uri(),
        from_tag: message.from().ok().and_then(|from| from.tag()).unwrap_or_default(),
        to_tag: message.to_tag().unwrap_or_default(),
        call_id: message.call_id().unwrap_or_default(),
        cseq: message.cseq().map_or(0, |cseq| cseq.number),
        top_via: via.as_ref().map(|via| via.raw).unwrap_or_default(),
    }
}
