//! Requests of the bridge: each is tried at one place after another until something answers, and proves who it is when
//! it is asked.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;

use super::compose::{self, Marks, Try};
use super::number::{AskId, Draws};
use super::{Ask, Outcome, Path, Place, Reply, Settings, Todo, Turn, Ways};
use crate::presence::digest::{Challenge, Proof};
use crate::sip::{HeaderName, Message};
use crate::transaction::{Alarm, ClientActions, ClientReport, ClientSend, Due, Moment, NonInviteClient, Wheel};
use crate::trunk::{Flow, Hop, TrunkId};

/// How long a name may be looked up.
const LOOK_UP: Duration = Duration::from_secs(32);

/// Challenges that one request answers: two of either kind, since a nonce may have become stale meanwhile.
const MAX_ROUNDS: u8 = 4;

/// A place to try, with what `{target}` stands for there.
#[derive(Debug)]
struct Next {
    to: To,
    authority: Box<str>,
}

#[derive(Debug)]
enum To {
    Connection(Flow),
    Hop(Hop),
    Name(crate::trunk::Target),
}

impl From<Place> for To {
    fn from(place: Place) -> Self {
        match place {
            Place::Hop(hop) => Self::Hop(hop),
            Place::Name(target) => Self::Name(target),
        }
    }
}

/// A request on its way.
#[derive(Debug)]
struct Client {
    ask: Ask,
    /// The try that is under way.
    id: AskId,
    generation: u32,
    cseq: u32,
    alarm: Alarm,
    stage: Stage,
    /// Further places, the next one last.
    rest: SmallVec<[Next; 2]>,
    rounds: u8,
    /// By [`Kind`]: a challenge was answered with its own nonce.
    proved: [bool; 2],
    /// What came of the last place.
    failed: Failed,
}

#[derive(Debug)]
enum Stage {
    Resolving { authority: Box<str>, until: Moment },
    Asking(Box<Asking>),
}

#[derive(Debug)]
struct Asking {
    path: Path,
    authority: Box<str>,
    bytes: Bytes,
    machine: NonInviteClient,
    /// When the next place is tried, while nothing was heard from this one.
    give_up: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    Unreachable,
    TimedOut,
}

impl Client {
    fn next_timeout(&self) -> Option<Moment> {
        match &self.stage {
            Stage::Resolving { until, .. } => Some(*until),
            Stage::Asking(asking) => [asking.machine.next_timeout(), asking.give_up].into_iter().flatten().min(),
        }
    }
}

/// Who challenges: a user agent with 401, a proxy with 407.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Agent = 0,
    Proxy = 1,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Agent, Self::Proxy];

    const fn of(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::Agent),
            407 => Some(Self::Proxy),
            _ => None,
        }
    }

    const fn asks(self) -> HeaderName {
        match self {
            Self::Agent => HeaderName::WwwAuthenticate,
            Self::Proxy => HeaderName::ProxyAuthenticate,
        }
    }

    const fn proves(self) -> &'static str {
        match self {
            Self::Agent => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// A challenge that was met, and how often: the next request answers it unasked.
#[derive(Debug)]
struct Session {
    challenge: Challenge,
    count: u32,
}

/// All client transactions of the bridge.
#[derive(Debug)]
pub(super) struct Clients {
    slots: Slab<Box<Client>>,
    wheel: Wheel,
    due: Vec<Due>,
    draws: Draws,
    begun: u32,
    /// One for each trunk and kind at the most.
    sessions: HashMap<(TrunkId, Kind), Session, foldhash::fast::RandomState>,
}

impl Clients {
    pub fn new(now: Moment, settings: &Settings, secret: [u8; 16]) -> Self {
        Self {
            slots: Slab::new(),
            wheel: Wheel::new(now, settings.max_transactions),
            due: Vec::new(),
            draws: Draws::new(secret, 1),
            begun: 0,
            sessions: HashMap::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    pub fn ask(&mut self, turn: &mut Turn<'_>, ask: Ask) {
        turn.counts.asked += 1;
        if self.slots.len() >= turn.settings.max_transactions {
            turn.counts.over_limit += 1;
            let reply = Reply { ticket: ask.ticket, cseq: ask.cseq, outcome: Outcome::Full };
            return turn.out.push(Todo::Reply(reply));
        }
        self.begun = self.begun.wrapping_add(1);
        let client = Client {
            id: AskId { slot: 0, number: 0 },
            generation: self.begun,
            cseq: ask.cseq,
            alarm: Alarm::default(),
            stage: Stage::Resolving { authority: Box::default(), until: turn.now },
            rest: places(turn.ways, &ask),
            rounds: 0,
            proved: [false; 2],
            failed: Failed::Unreachable,
            ask,
        };
        // Slabs do not grow past `max_transactions`, which is far below the largest index.
        let slot = self.slots.insert(Box::new(client)) as u32;
        self.try_next(turn, slot);
    }

    pub fn handle_resolved(&mut self, turn: &mut Turn<'_>, id: AskId, hops: Vec<Hop>) {
        let Some(client) = self.of(id) else { return };
        let Stage::Resolving { authority, .. } = &client.stage else { return };
        let authority = authority.clone();
        let next = |hop| Next { to: To::Hop(hop), authority: authority.clone() };
        client.rest.extend(hops.into_iter().rev().map(next));
        self.try_next(turn, id.slot);
    }

    pub fn handle_answer(&mut self, turn: &mut Turn<'_>, answer: Message) {
        let id = AskId::of_answer(&answer).filter(|_| answer.flaw().is_none());
        let found = id.and_then(|id| Some((id, self.of(id)?)));
        let Some((id, client)) = found.filter(|(_, client)| is_answer_to(client, &answer)) else {
            turn.counts.stray_answers += 1;
            return;
        };
        let Stage::Asking(asking) = &mut client.stage else { return };
        asking.give_up = None;
        let status = answer.status();
        let actions = asking.machine.handle_response(turn.now, status, &turn.settings.timing);
        if actions.report != Some(ClientReport::Response) || status < 200 {
            return self.arm(turn.now, id.slot);
        }
        if let Some(kind) = Kind::of(status)
            && self.prove(turn, id.slot, kind, &answer)
        {
            return;
        }
        let may_fail_over = status == 503 && self.of(id).is_some_and(|client| !client.rest.is_empty());
        match may_fail_over {
            true => self.try_next(turn, id.slot),
            false => {
                turn.counts.answered += 1;
                self.end(turn, id.slot, Outcome::Answered(answer));
            }
        }
    }

    pub fn handle_not_sent(&mut self, turn: &mut Turn<'_>, id: AskId) {
        let Some(client) = self.of(id) else { return };
        let Stage::Asking(asking) = &mut client.stage else { return };
        let actions = asking.machine.handle_transport_error(turn.now);
        self.obey(turn, id.slot, actions);
    }

    pub fn handle_time(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id: slot, generation } in due.drain(..) {
            let client = self.slots.get_mut(slot as usize).filter(|client| client.generation == generation);
            let Some(client) = client else { continue };
            client.alarm.handle_due(now);
            let is_over = |at: Option<Moment>| at.is_some_and(|at| at <= now);
            match &mut client.stage {
                Stage::Resolving { until, .. } if *until <= now => self.try_next(turn, slot),
                Stage::Asking(asking) if is_over(asking.give_up) => {
                    client.failed = Failed::TimedOut;
                    self.try_next(turn, slot);
                }
                Stage::Asking(asking) => {
                    let actions = asking.machine.handle_timeout(now, &turn.settings.timing);
                    self.obey(turn, slot, actions);
                }
                Stage::Resolving { .. } => self.arm(now, slot),
            }
        }
        self.due = due;
    }

    /// Does what the machine of a request says.
    fn obey(&mut self, turn: &mut Turn<'_>, slot: u32, actions: ClientActions) {
        let Some(client) = self.slots.get_mut(slot as usize) else { return };
        if actions.send == Some(ClientSend::Request)
            && let Stage::Asking(asking) = &client.stage
        {
            turn.counts.retransmitted += 1;
            let (path, bytes) = (asking.path.clone(), asking.bytes.clone());
            turn.out.push(Todo::Send { path, bytes, id: client.id });
        }
        match actions.report {
            Some(ClientReport::TimedOut) => client.failed = Failed::TimedOut,
            Some(ClientReport::TransportError) => client.failed = Failed::Unreachable,
            Some(ClientReport::Response) | None => return self.arm(turn.now, slot),
        }
        self.try_next(turn, slot);
    }

    /// Goes to the next place; where there is none, the request has failed.
    fn try_next(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let number = self.draws.number();
        let Some(client) = self.slots.get_mut(slot as usize) else { return };
        let was_sent = client.id.number != 0 && matches!(client.stage, Stage::Asking(_));
        let Some(Next { to, authority }) = client.rest.pop() else {
            let (count, outcome) = match client.failed {
                Failed::TimedOut => (&mut turn.counts.timed_out, Outcome::Timeout),
                Failed::Unreachable => (&mut turn.counts.unreachable, Outcome::Unreachable),
            };
            *count += 1;
            return self.end(turn, slot, outcome);
        };
        turn.counts.failovers += u64::from(was_sent);
        client.id = AskId { slot, number };
        let trunk = client.ask.trunk;
        match to {
            To::Connection(flow) => self.send(turn, slot, (Path::Connection(flow, trunk), authority)),
            To::Hop(hop) => self.send(turn, slot, (Path::Hop(hop), authority)),
            To::Name(target) => {
                client.stage = Stage::Resolving { authority, until: turn.now + LOOK_UP };
                turn.out.push(Todo::Resolve { id: client.id, trunk, target });
                self.arm(turn.now, slot);
            }
        }
    }

    /// Sends the request, with what proves it as far as the challenges are known.
    fn send(&mut self, turn: &mut Turn<'_>, slot: u32, (path, authority): (Path, Box<str>)) {
        let Some(client) = self.slots.get_mut(slot as usize) else { return };
        let hop = hop_of(&path);
        let marks = Marks::new(turn.ways, client.ask.trunk, authority.clone());
        let mut proofs: SmallVec<[(&'static str, String); 2]> = SmallVec::new();
        if let Some(credentials) = turn.ways.credentials(client.ask.trunk) {
            for kind in Kind::BOTH {
                let Some(session) = self.sessions.get_mut(&(client.ask.trunk, kind)) else { continue };
                session.count = session.count.saturating_add(1);
                let proof = Proof {
                    method: client.ask.verb.method(),
                    uri: &marks.fill(&client.ask.uri),
                    body: client.ask.body.as_ref().map_or(b"", |(_, body)| body),
                    count: session.count,
                    cnonce: &format!("{:016x}", self.draws.number()),
                };
                proofs.push((kind.proves(), session.challenge.authorization(&credentials, &proof)));
            }
        }
        let branch = client.id.branch();
        let tried =
            Try { ask: &client.ask, hop: &hop, branch: &branch, cseq: client.cseq, marks: &marks, proofs: &proofs };
        let bytes = compose::request(turn.ways, tried);
        let reliable = hop.transport.is_reliable();
        let (machine, _) = NonInviteClient::start(turn.now, reliable, &turn.settings.timing);
        let give_up = (!client.rest.is_empty()).then(|| turn.now + turn.ways.no_answer(client.ask.trunk));
        turn.out.push(Todo::Send { path: path.clone(), bytes: bytes.clone(), id: client.id });
        client.stage = Stage::Asking(Box::new(Asking { path, authority, bytes, machine, give_up }));
        self.arm(turn.now, slot);
    }

    /// Sends the request again with an answer to this challenge; false: it cannot be met, or was met in vain.
    fn prove(&mut self, turn: &mut Turn<'_>, slot: u32, kind: Kind, answer: &Message) -> bool {
        let number = self.draws.number();
        let Some(client) = self.slots.get_mut(slot as usize) else { return false };
        let lines = answer.lines_of(kind.asks()).map(|line| answer.value_at(line));
        let challenge = Challenge::strongest(lines);
        let is_new =
            |challenge: &Challenge| challenge.stale || !client.proved.get(kind as usize).copied().unwrap_or(true);
        let met = challenge.filter(|challenge| client.rounds < MAX_ROUNDS && is_new(challenge));
        let met = met.filter(|_| turn.ways.credentials(client.ask.trunk).is_some());
        let Some(challenge) = met else {
            turn.counts.challenges_refused += 1;
            self.sessions.remove(&(client.ask.trunk, kind));
            return false;
        };
        let Stage::Asking(asking) = &client.stage else { return false };
        let again = (asking.path.clone(), asking.authority.clone());
        turn.counts.challenges_met += 1;
        client.rounds += 1;
        if let Some(proved) = client.proved.get_mut(kind as usize) {
            *proved = true;
        }
        client.cseq = client.cseq.saturating_add(1);
        client.id = AskId { slot, number };
        self.sessions.insert((client.ask.trunk, kind), Session { challenge, count: 0 });
        self.send(turn, slot, again);
        true
    }

    fn end(&mut self, turn: &mut Turn<'_>, slot: u32, outcome: Outcome) {
        if let Some(client) = self.slots.try_remove(slot as usize) {
            let reply = Reply { ticket: client.ask.ticket, cseq: client.cseq, outcome };
            turn.out.push(Todo::Reply(reply));
        }
    }

    fn of(&mut self, id: AskId) -> Option<&mut Client> {
        self.slots.get_mut(id.slot as usize).map(|client| &mut **client).filter(|client| client.id == id)
    }

    fn arm(&mut self, now: Moment, slot: u32) {
        let Some(client) = self.slots.get_mut(slot as usize) else { return };
        let next = client.next_timeout();
        if let Some(at) = client.alarm.cover(now, next) {
            self.wheel.arm(slot, client.generation, at);
        }
    }
}

/// Whether an answer with the right branch is to this request (RFC 3261 section 17.1.3).
fn is_answer_to(client: &Client, answer: &Message) -> bool {
    let cseq = answer.cseq();
    cseq.is_ok_and(|cseq| cseq.number == client.cseq && cseq.method == client.ask.verb.method().as_bytes())
}

/// Where a request may go, the first one last: over its own connection; then to its route or its URI, or, where the URI
/// leaves that open, to the targets of the trunk.
fn places(ways: &dyn Ways, ask: &Ask) -> SmallVec<[Next; 2]> {
    let next = |place: Place, authority: Box<str>| Next { to: place.into(), authority };
    let mut places: SmallVec<[Next; 2]> = match ask.route.first() {
        Some(route) => {
            ways.place(ask.trunk, in_brackets(route)).map(|place| next(place, Box::default())).into_iter().collect()
        }
        None if ask.uri.contains("{target}") => {
            ways.targets(ask.trunk).into_iter().rev().map(|way| next(way.place, way.authority)).collect()
        }
        None => ways.place(ask.trunk, &ask.uri).map(|place| next(place, Box::default())).into_iter().collect(),
    };
    if let Some(flow) = ask.flow.filter(|flow| flow.transport.is_reliable()) {
        places.push(Next { to: To::Connection(flow), authority: Box::default() });
    }
    places
}

/// The URI of a Route value.
fn in_brackets(value: &str) -> &str {
    let inner = value.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(value.trim(), |(uri, _)| uri)
}

/// A connection as a hop, as far as Via and Contact are concerned.
fn hop_of(path: &Path) -> Hop {
    match path {
        Path::Hop(hop) => hop.clone(),
        Path::Connection(flow, trunk) => {
            Hop { listener: flow.listener, transport: flow.transport, addr: flow.remote, name: None, trunk: *trunk }
        }
    }
}
