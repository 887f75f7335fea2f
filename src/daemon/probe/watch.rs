//! All targets and the OPTIONS that are under way to them: time, answers and news in, what is to be done out.
//!
//! A round asks the places behind one target, one after the other, until one shows that the target is there. There is
//! at most one round for a target and one request for a round.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::call::probe::{self, ProbeAnswer, ProbeId, Random};
use crate::call::{Edge, Heard, Names, Secrets};
use crate::transaction::{ClientReport, ClientSend, Moment, NonInviteClient};
use crate::transport::Token;
use crate::trunk::health::{By, Change, Event, Health, LinkFault, Outcome};
use crate::trunk::{Hop, Target, Trunk, TrunkId};

/// Places of one name that a round asks.
const PLACES: usize = 4;

/// The least time over which the first questions of a configuration are spread, and what each target adds to it.
const SPREAD: Duration = Duration::from_secs(1);
const SPREAD_EACH: Duration = Duration::from_millis(5);

/// Marks the tokens of OPTIONS: those of calls have a shard, which is below 256, in their upper bits.
const TOKEN_MARK: u32 = 1 << 31;

/// What random numbers are drawn for (`Secrets::number`).
const DRAWS: u8 = b'p';

/// Something to be done.
#[derive(Debug)]
pub(super) enum Do {
    Send {
        hop: Hop,
        bytes: Bytes,
        token: Token,
    },
    /// Look up a target's name for [`Watch::handle_resolved`].
    Resolve {
        id: ProbeId,
        trunk: TrunkId,
        target: Target,
    },
    /// A target has come into another state.
    Change {
        trunk: TrunkId,
        index: u16,
        change: Change,
    },
    /// An answer took so long.
    Took {
        trunk: TrunkId,
        time: Duration,
    },
}

/// All targets of one configuration.
#[derive(Debug)]
pub(super) struct Watch {
    edge: Arc<Edge>,
    /// By [`TrunkId`]: where its targets begin.
    first: Vec<usize>,
    targets: Vec<Watched>,
    draws: Draws,
}

#[derive(Debug)]
pub(super) struct Watched {
    pub trunk: TrunkId,
    /// Among the trunk's targets.
    pub index: u16,
    pub health: Health,
    round: Round,
    /// When it last answered OPTIONS, and how long that took.
    pub answered: Option<(Moment, Duration)>,
}

#[derive(Debug)]
enum Round {
    None,
    Resolving(ProbeId),
    Asking(Box<Asking>),
}

#[derive(Debug)]
struct Asking {
    id: ProbeId,
    hop: Hop,
    bytes: Bytes,
    client: NonInviteClient,
    /// Since the start of the clock.
    begun: Duration,
    /// When the next place is asked.
    until: Moment,
    /// Further places, the next one last.
    rest: Vec<Hop>,
}

/// Random numbers that only this process can compute.
#[derive(Debug)]
struct Draws {
    secrets: Secrets,
    drawn: u64,
}

impl Draws {
    fn number(&mut self) -> u64 {
        self.drawn += 1;
        self.secrets.number(DRAWS, &[&self.drawn.to_le_bytes()])
    }

    fn jitter(&mut self) -> u32 {
        self.number() as u32
    }
}

fn moment(now: Duration) -> Moment {
    Moment::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

impl Watch {
    /// All targets of a configuration; `now` is the time since the start of the clock.
    pub fn new(edge: Arc<Edge>, secrets: Secrets, now: Duration) -> Self {
        let mut watch =
            Self { edge: Arc::default(), first: Vec::new(), targets: Vec::new(), draws: Draws { secrets, drawn: 0 } };
        watch.follow(edge, now);
        watch
    }

    /// Goes on with another configuration: targets of the same name and trunk keep what is known of them.
    pub fn follow(&mut self, edge: Arc<Edge>, now: Duration) {
        let old_edge = std::mem::replace(&mut self.edge, Arc::clone(&edge));
        let mut known: HashMap<(Arc<str>, Target), Watched> = HashMap::new();
        for watched in self.targets.drain(..) {
            let trunk = old_edge.trunk(watched.trunk);
            let target = trunk.and_then(|trunk| trunk.targets.get(usize::from(watched.index)));
            if let (Some(trunk), Some(target)) = (trunk, target) {
                known.insert((Arc::clone(&trunk.name), target.clone()), watched);
            }
        }
        self.first.clear();
        let count: usize = edge.trunks.staying().map(|trunk| trunk.targets.len()).sum();
        let spread = SPREAD.max(SPREAD_EACH.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
        for trunk in &edge.trunks.0 {
            self.first.push(self.targets.len());
            // Nobody calls one that leaves.
            if trunk.leaving {
                continue;
            }
            self.add_trunk(&edge, trunk, &mut known, spread, now);
        }
    }

    fn add_trunk(
        &mut self,
        edge: &Edge,
        trunk: &Trunk,
        known: &mut HashMap<(Arc<str>, Target), Watched>,
        spread: Duration,
        now: Duration,
    ) {
        let Some(settings) = edge.health.settings(trunk.id) else { return };
        let spread = spread.min(settings.interval.unwrap_or(spread));
        for (index, target) in (0u16..).zip(&trunk.targets) {
            let draw = self.draws.jitter();
            let watched = match known.remove(&(Arc::clone(&trunk.name), target.clone())) {
                Some(mut watched) => {
                    watched.health.follow(moment(now), settings, draw);
                    edge.health.set(trunk.id, index, watched.health.state());
                    Watched { trunk: trunk.id, index, round: Round::None, ..watched }
                }
                None => Watched {
                    trunk: trunk.id,
                    index,
                    health: Health::new(settings, moment(now), spread, draw),
                    round: Round::None,
                    answered: None,
                },
            };
            self.targets.push(watched);
        }
    }

    /// The configuration that is watched.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// When [`Watch::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        let of = |watched: &Watched| match &watched.round {
            Round::None => watched.health.next_wake(),
            Round::Resolving(_) => None,
            Round::Asking(asking) => asking.client.next_timeout().map(|at| at.min(asking.until)).or(Some(asking.until)),
        };
        self.targets.iter().filter_map(of).min()
    }

    /// Begins the rounds that are due, repeats requests over UDP, gives up on places that are silent.
    pub fn handle_time(&mut self, now: Duration, names: &dyn Names, out: &mut Vec<Do>) {
        for slot in 0..self.targets.len() {
            self.turn_round(slot, now, out);
            let Some(watched) = self.targets.get_mut(slot) else { continue };
            let Some(settings) = self.edge.health.settings(watched.trunk) else { continue };
            let due = watched.health.handle_time(moment(now), settings);
            self.publish(slot, due.change, out);
            if due.ask {
                self.begin_round(slot, now, names, out);
            }
        }
    }

    /// Takes an answer; false when nobody waits for it.
    pub fn handle_answer(&mut self, now: Duration, answer: ProbeAnswer, out: &mut Vec<Do>) -> bool {
        let ProbeAnswer { id, status, retry_after } = answer;
        let Some((watched, edge)) = self.asked(id) else { return false };
        let Round::Asking(asking) = &mut watched.round else { return false };
        asking.client.handle_response(moment(now), status, &edge.timing);
        if status < 200 {
            return true;
        }
        let time = now.saturating_sub(asking.begun);
        watched.answered = Some((moment(now), time));
        let trunk = watched.trunk;
        out.push(Do::Took { trunk, time });
        let what = Outcome::Answered { status, retry_after };
        if edge.health.settings(trunk).is_some_and(|settings| settings.takes_for_alive(status)) {
            self.end_round(id.target as usize, now, what, out);
        } else {
            self.next_place(id.target as usize, now, what, out);
        }
        true
    }

    /// Takes the news that a request did not leave.
    pub fn handle_not_sent(&mut self, now: Duration, id: ProbeId, fault: LinkFault, out: &mut Vec<Do>) {
        if self.asked(id).is_some() {
            self.next_place(id.target as usize, now, Outcome::NotSent(fault), out);
        }
    }

    /// Takes the places behind a name.
    pub fn handle_resolved(&mut self, now: Duration, id: ProbeId, hops: Vec<Hop>, out: &mut Vec<Do>) {
        let slot = id.target as usize;
        if self.targets.get(slot).is_some_and(|watched| matches!(watched.round, Round::Resolving(of) if of == id)) {
            self.ask_places(slot, now, hops, out);
        }
    }

    /// Takes what a call met with.
    pub fn handle_heard(&mut self, now: Duration, heard: Heard, out: &mut Vec<Do>) {
        // A call that began under another configuration may mean a target that is none any more.
        if let Some(slot) = self.slot(heard.trunk, heard.target) {
            self.tell(slot, now, Event { by: By::Call, what: heard.what }, out);
        }
    }

    /// A trunk's target, by its index there.
    pub fn target(&self, trunk: TrunkId, index: u16) -> Option<&Watched> {
        self.targets.get(self.slot(trunk, index)?)
    }

    fn slot(&self, trunk: TrunkId, index: u16) -> Option<usize> {
        let slot = self.first.get(usize::from(trunk.0))? + usize::from(index);
        self.targets.get(slot).is_some_and(|it| (it.trunk, it.index) == (trunk, index)).then_some(slot)
    }

    /// The target that a request is under way to.
    fn asked(&mut self, id: ProbeId) -> Option<(&mut Watched, &Edge)> {
        let watched = self.targets.get_mut(id.target as usize)?;
        let waits = matches!(&watched.round, Round::Asking(asking) if asking.id == id);
        waits.then_some((watched, &*self.edge))
    }

    fn turn_round(&mut self, slot: usize, now: Duration, out: &mut Vec<Do>) {
        let Some(Watched { round: Round::Asking(asking), .. }) = self.targets.get_mut(slot) else { return };
        let actions = asking.client.handle_timeout(moment(now), &self.edge.timing);
        if actions.report == Some(ClientReport::TimedOut) || asking.until <= moment(now) {
            return self.next_place(slot, now, Outcome::Silent, out);
        }
        if actions.send == Some(ClientSend::Request) {
            out.push(Do::Send { hop: asking.hop.clone(), bytes: asking.bytes.clone(), token: token_of(asking.id) });
        }
    }

    fn begin_round(&mut self, slot: usize, now: Duration, names: &dyn Names, out: &mut Vec<Do>) {
        let id = self.fresh_id(slot);
        let edge = Arc::clone(&self.edge);
        let Some(watched) = self.targets.get_mut(slot) else { return };
        let Some(target) = target_of(&edge, watched) else { return };
        match names.cached(&edge, watched.trunk, target) {
            Some(hops) => self.ask_places(slot, now, hops, out),
            None => {
                watched.round = Round::Resolving(id);
                out.push(Do::Resolve { id, trunk: watched.trunk, target: target.clone() });
            }
        }
    }

    fn ask_places(&mut self, slot: usize, now: Duration, mut hops: Vec<Hop>, out: &mut Vec<Do>) {
        hops.truncate(PLACES);
        hops.reverse();
        match hops.pop() {
            Some(hop) => self.ask(slot, now, hop, hops, out),
            None => self.end_round(slot, now, Outcome::Unresolved, out),
        }
    }

    /// Asks the next place of the round, or ends it with what the last one met with.
    fn next_place(&mut self, slot: usize, now: Duration, what: Outcome, out: &mut Vec<Do>) {
        let Some(watched) = self.targets.get_mut(slot) else { return };
        let next = match &mut watched.round {
            Round::Asking(asking) => asking.rest.pop().map(|hop| (hop, std::mem::take(&mut asking.rest))),
            Round::None | Round::Resolving(_) => None,
        };
        match next {
            Some((hop, rest)) => self.ask(slot, now, hop, rest, out),
            None => self.end_round(slot, now, what, out),
        }
    }

    fn ask(&mut self, slot: usize, now: Duration, hop: Hop, rest: Vec<Hop>, out: &mut Vec<Do>) {
        let id = self.fresh_id(slot);
        let random = Random { call_id: self.draws.number(), tag: self.draws.number() };
        let Some(watched) = self.targets.get_mut(slot) else { return };
        let settings = self.edge.health.settings(watched.trunk);
        let (Some(target), Some(settings)) = (target_of(&self.edge, watched), settings) else { return };
        let bytes = probe::request(&self.edge, &hop, target, id, random);
        let (client, _) = NonInviteClient::start(moment(now), hop.transport.is_reliable(), &self.edge.timing);
        out.push(Do::Send { hop: hop.clone(), bytes: bytes.clone(), token: token_of(id) });
        let until = moment(now) + settings.timeout;
        watched.round = Round::Asking(Box::new(Asking { id, hop, bytes, client, begun: now, until, rest }));
    }

    fn end_round(&mut self, slot: usize, now: Duration, what: Outcome, out: &mut Vec<Do>) {
        if let Some(watched) = self.targets.get_mut(slot) {
            watched.round = Round::None;
        }
        self.tell(slot, now, Event { by: By::Options, what }, out);
    }

    fn tell(&mut self, slot: usize, now: Duration, event: Event, out: &mut Vec<Do>) {
        let draw = self.draws.jitter();
        let Some(watched) = self.targets.get_mut(slot) else { return };
        let Some(settings) = self.edge.health.settings(watched.trunk) else { return };
        let change = watched.health.handle(moment(now), event, settings, draw);
        self.publish(slot, change, out);
    }

    /// Lets calls know of a change.
    fn publish(&self, slot: usize, change: Option<Change>, out: &mut Vec<Do>) {
        let (Some(change), Some(&Watched { trunk, index, .. })) = (change, self.targets.get(slot)) else { return };
        self.edge.health.set(trunk, index, change.to);
        out.push(Do::Change { trunk, index, change });
    }

    fn fresh_id(&mut self, slot: usize) -> ProbeId {
        // Trunks are fewer than 65,536, and so many targets do not fit into a configuration file.
        ProbeId { target: slot as u32 & !TOKEN_MARK, number: self.draws.number() }
    }
}

/// The target of the configuration that is watched.
pub(super) fn target_of<'e>(edge: &'e Edge, watched: &Watched) -> Option<&'e Target> {
    edge.trunk(watched.trunk)?.targets.get(usize::from(watched.index))
}

/// OPTIONS as the transports' token.
fn token_of(id: ProbeId) -> Token {
    Token(id.number, TOKEN_MARK | id.target)
}

/// The OPTIONS of a token; `None` for tokens of calls.
pub(super) fn id_of(token: Token) -> Option<ProbeId> {
    let Token(number, target) = token;
    (token != Token::NONE && target & TOKEN_MARK != 0).then_some(ProbeId { target: target & !TOKEN_MARK, number })
}

#[cfg(test)]
mod tests;
