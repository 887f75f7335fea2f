//! Many calls at once over a bad network: every INVITE is answered, nothing stays behind, chance can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::network::{Event, Network, Timer, Weather};
use super::office::{SITE, office};
use super::wire::{Request, headers, param, what};
use super::world::{ALICE, World, own_all_legs};
use crate::call::admission::Scope;
use crate::call::live::hang_up::{Cause, hang_up};
use crate::call::live::{Ack, End, Errand, Order, Purpose, compose};
use crate::call::record::Outcome as How;
use crate::call::{CallRecord, Tools};
use crate::sip::Transport;

const T1_MILLIS: u64 = 500;
const PATIENCE_MILLIS: u64 = 64 * T1_MILLIS;

/// What the timers of the peers are for.
const START: u32 = 0;
const REPEAT: u32 = 1;
const GIVE_UP: u32 = 2;
const HANG_UP: u32 = 3;
const RING: u32 = 4;
const FINAL: u32 = 5;

/// A call that `alice` makes.
struct Caller {
    invite: Request,
    /// The final answers that came.
    finals: BTreeSet<u16>,
    /// Tags of phones that answered.
    answered: BTreeMap<String, Peer>,
    rings: bool,
    cancelled: bool,
    /// A request that is repeated until it is answered: INVITE, CANCEL or BYE.
    pending: Option<Request>,
}

impl Caller {
    /// The status of an answer to its INVITE, when that is what the edge has sent.
    fn answered_by(&self, entry: &str) -> Option<u16> {
        let text = entry.splitn(3, ' ').nth(2).unwrap_or_default();
        let ours = headers(text, "Call-ID").concat() == self.invite.call_id
            && headers(text, "CSeq").concat().ends_with(" INVITE")
            && entry.contains(&format!(" {ALICE} "));
        what(text).parse().ok().filter(|_| ours)
    }
}

/// Where a phone that answered is found.
#[derive(Clone)]
struct Peer {
    contact: String,
    routes: Vec<String>,
}

/// A phone that got an INVITE.
struct Callee {
    transport: Transport,
    addr: SocketAddr,
    request: String,
    tag: String,
    /// 0: it says nothing at all.
    status: u16,
    rings: bool,
    last: Option<String>,
    finished: bool,
    acknowledged: bool,
}

struct Play {
    network: Network,
    callers: Vec<Caller>,
    callees: Vec<Callee>,
}

/// What came of a run.
struct Outcome {
    log: Vec<String>,
    calls: usize,
    /// Calls whose caller heard a final answer.
    heard: usize,
    /// Phones whose 200 reached the caller, and those of them that got an ACK.
    accepted: usize,
    acknowledged: usize,
    /// Calls that the edge hung up on.
    ended: usize,
}

fn run(seed: u64, weather: Weather) -> Outcome {
    let numbers = ["200", "300", "400", "500", "600", "701", "550", "250"];
    run_in(World::new(), &numbers, "192.0.2.1", seed, weather, 0)
}

/// Calls to users who live in the PBX and in Teams, with and without a delay between the two.
fn run_beside(seed: u64, weather: Weather) -> Outcome {
    run_in(office(1_000), &["+441632768401", "+441632768402"], SITE, seed, weather, 0)
}

/// With `ends` the edge interferes at every so many events: it hangs up on a call, or sends a side a request of its own.
fn run_in(world: World, numbers: &[&str], host: &str, seed: u64, weather: Weather, ends: u64) -> Outcome {
    let mut play = Play { network: Network::new(world, seed, weather), callers: Vec::new(), callees: Vec::new() };
    for index in 0..6 {
        let called = numbers[play.network.below(numbers.len() as u64) as usize];
        let invite = Request::new("INVITE", &format!("sip:{called}@{host}"), &format!("{seed:x}-{index}"))
            .extra("Contact: <sip:a@192.0.2.10:5060>");
        let caller = Caller {
            invite,
            finals: BTreeSet::new(),
            answered: BTreeMap::new(),
            rings: false,
            cancelled: false,
            pending: None,
        };
        play.callers.push(caller);
        let start = play.network.below(3_000);
        play.network.set(start, Timer { peer: index, what: START, interval_millis: 0 });
        if play.network.below(3) == 0 {
            let after = start + play.network.below(9_000);
            play.network.set(after, Timer { peer: index, what: HANG_UP, interval_millis: 0 });
        }
    }
    play.network.world.know("gone.example", &[]);
    play.network.world.know("sip.example", &["192.0.2.61:5060", "192.0.2.62:5060"]);
    while let Some(event) = play.network.next() {
        if ends > 0 && play.network.below(ends) == 0 {
            play.interfere();
        }
        match event {
            Event::Timer(timer) if timer.peer < play.callers.len() => play.caller_timer(timer),
            Event::Timer(timer) => play.callee_timer(timer),
            Event::ToPeer { peer, text, .. } if peer == ALICE.parse().unwrap() => play.at_caller(&text),
            Event::ToPeer { transport, peer, text } => play.at_callee(transport, peer, &text),
            Event::ToEdge { .. } => unreachable!("the network hands those over itself"),
        }
    }
    play.network.world.assert_empty();
    play.told_of_each();
    play.outcome()
}

impl Play {
    /// The edge does something with one of the calls that are up.
    fn interfere(&mut self) {
        let calls = self.network.world.calls().len() as u64;
        if calls == 0 {
            return;
        }
        let (index, what) = (self.network.below(calls) as usize, self.network.below(4));
        self.network.world.with_call_at(index, |env, tools, out, id| {
            let Tools { lives, edits, orders, .. } = tools;
            let Some(call) = lives.get_mut(id) else { return };
            let end = if what % 2 == 0 { End::Caller } else { End::Callee };
            if what < 2 {
                return hang_up(env, tools, out, id, Cause::Operator);
            }
            let Some(request) = compose::re_invite(env, edits, call, end, b"v=0\r\n") else { return };
            let errand = Errand { call: id, end, purpose: Purpose::Refresh };
            orders.push(Order::Ask { errand, request, ack: Ack::AtOnce });
        });
    }

    /// Each call that the edge took on is told of once, unless its caller was only asked who he is, and nothing of it is
    /// counted any more.
    fn told_of_each(&self) {
        let world = &self.network.world;
        let ids: Vec<_> = world.records.iter().map(|record| (&record.call_id, record.outcome)).collect();
        for caller in &self.callers {
            let answers: BTreeSet<u16> =
                self.network.log.iter().filter_map(|entry| caller.answered_by(entry)).collect();
            let challenged = answers.contains(&401) || answers.contains(&407);
            let wanted = usize::from(!answers.is_empty() && !challenged);
            let told = world.records.iter().filter(|record| *record.call_id == *caller.invite.call_id).count();
            assert_eq!(told, wanted, "{}: {answers:?} {ids:?}", caller.invite.call_id);
        }
        for meter in world.edge.gate.meters().all(Scope::Trunk) {
            assert_eq!(meter.used(), (0, 0), "{}", meter.name);
        }
    }

    /// The edge has answered each INVITE that reached it; what the peers saw of it is counted.
    fn outcome(self) -> Outcome {
        let log = self.network.log;
        let (mut reached, mut answered) = (BTreeSet::new(), BTreeSet::new());
        for entry in &log {
            let text = entry.splitn(3, ' ').nth(2).unwrap_or_default();
            let id = headers(text, "Call-ID").concat();
            let ours = headers(text, "CSeq").concat().ends_with(" INVITE") && entry.contains(&format!(" {ALICE} "));
            match what(text).parse::<u16>() {
                Ok(100..=199) if ours => drop(reached.insert(id)),
                Ok(200..) if ours => drop(answered.insert(id)),
                _ => {}
            }
        }
        assert_eq!(reached, answered, "calls that the edge took on, and calls that it gave an answer to");
        let tags: BTreeSet<_> = self.callers.iter().flat_map(|caller| caller.answered.keys().cloned()).collect();
        let accepted: Vec<_> = self.callees.iter().filter(|callee| tags.contains(&callee.tag)).collect();
        let ended = |record: &&CallRecord| matches!(record.outcome, How::Ended(_));
        Outcome {
            ended: self.network.world.records.iter().filter(ended).count(),
            log,
            calls: self.callers.len(),
            heard: self.callers.iter().filter(|caller| !caller.finals.is_empty()).count(),
            accepted: accepted.len(),
            acknowledged: accepted.iter().filter(|callee| callee.acknowledged).count(),
        }
    }

    fn caller_sends(&mut self, text: String) {
        self.network.send(Transport::Udp, ALICE.parse().unwrap(), text);
    }

    /// Sends a request and goes on sending it until it is answered.
    fn caller_asks(&mut self, peer: usize, request: Request) {
        self.caller_sends(request.text());
        self.callers[peer].pending = Some(request);
        self.network.set(T1_MILLIS, Timer { peer, what: REPEAT, interval_millis: T1_MILLIS });
        self.network.set(PATIENCE_MILLIS, Timer { peer, what: GIVE_UP, interval_millis: 0 });
    }

    fn caller_timer(&mut self, timer: Timer) {
        let caller = &mut self.callers[timer.peer];
        match timer.what {
            START => {
                let invite = caller.invite.clone();
                self.caller_asks(timer.peer, invite);
            }
            REPEAT => {
                let Some(text) = caller.pending.as_ref().map(Request::text) else { return };
                let interval_millis = timer.interval_millis * 2;
                self.caller_sends(text);
                self.network.set(interval_millis, Timer { interval_millis, ..timer });
            }
            GIVE_UP => caller.pending = None,
            HANG_UP if !caller.answered.is_empty() => {
                let tags: Vec<_> = caller.answered.clone().into_iter().collect();
                for (tag, peer) in tags {
                    let mut bye = self.callers[timer.peer].in_dialog("BYE", &tag, &peer);
                    bye.cseq = 2;
                    bye.via.push_str(&tag);
                    self.caller_asks(timer.peer, bye);
                }
            }
            HANG_UP if caller.finals.is_empty() && !caller.cancelled => {
                caller.cancelled = true;
                if caller.rings {
                    let cancel = caller.invite.following("CANCEL");
                    self.caller_asks(timer.peer, cancel);
                }
            }
            _ => {}
        }
    }

    fn at_caller(&mut self, text: &str) {
        let id = headers(text, "Call-ID").concat();
        let Some(peer) = self.callers.iter().position(|caller| caller.invite.call_id == id) else { return };
        let (cseq, status) = (headers(text, "CSeq").concat(), what(text).parse::<u16>().unwrap_or(0));
        let caller = &mut self.callers[peer];
        let method = cseq.split(' ').nth(1).unwrap_or_default();
        if caller.pending.as_ref().is_some_and(|pending| pending.method == method) {
            caller.pending = None;
        }
        if status == 0 && !method.starts_with("ACK") {
            // A phone of few words: it takes what it is asked, inside its calls.
            let contact = "Contact: <sip:a@192.0.2.10:5060>";
            let tag = param(&headers(text, "To").concat(), "tag").unwrap_or_default();
            return self.caller_sends(super::wire::Answer::to(text, 200, &tag).extra(contact).text());
        }
        if method != "INVITE" || status == 0 {
            return;
        }
        match status {
            100..=199 => {
                if caller.cancelled && !caller.rings {
                    caller.rings = true;
                    let cancel = caller.invite.following("CANCEL");
                    self.caller_asks(peer, cancel);
                } else {
                    caller.rings = true;
                }
            }
            200..=299 => {
                let tag = param(&headers(text, "To").concat(), "tag").expect("a tag");
                let routes: Vec<_> = headers(text, "Record-Route").into_iter().rev().collect();
                let contact = headers(text, "Contact").concat().trim_matches(['<', '>']).to_owned();
                let phone = Peer { contact, routes };
                caller.finals.insert(status);
                let ack = caller.in_dialog("ACK", &tag, &phone).text();
                let first = caller.answered.insert(tag, phone).is_none();
                self.caller_sends(ack);
                if first {
                    let after = 1_000 + self.network.below(2_000);
                    self.network.set(after, Timer { peer, what: HANG_UP, interval_millis: 0 });
                }
            }
            _ => {
                caller.finals.insert(status);
                let tag = param(&headers(text, "To").concat(), "tag").expect("a tag");
                let ack = caller.invite.following("ACK").tagged(&tag).text();
                self.caller_sends(ack);
            }
        }
    }

    fn callee_sends(&mut self, index: usize, text: String) {
        let Callee { transport, addr, .. } = self.callees[index];
        self.network.send(transport, addr, text);
    }

    fn at_callee(&mut self, transport: Transport, addr: SocketAddr, text: &str) {
        let via = headers(text, "Via").remove(0);
        let same = |callee: &Callee| callee.addr == addr && headers(&callee.request, "Via")[0] == via;
        let index = self.callees.iter().position(same);
        match (what(text).as_str(), index) {
            ("INVITE", Some(index)) => {
                if let Some(last) = self.callees[index].last.clone() {
                    self.callee_sends(index, last);
                }
            }
            ("INVITE", None) => self.rings(transport, addr, text),
            ("CANCEL", index) => {
                self.network.send(transport, addr, answer(text, if index.is_some() { 200 } else { 481 }, "x"));
                if let Some(index) = index {
                    self.finishes(index, 487);
                }
            }
            ("ACK", index) => {
                let tag = param(&headers(text, "To").concat(), "tag").unwrap_or_default();
                let index = index.or_else(|| self.callees.iter().position(|callee| callee.tag == tag));
                if let Some(index) = index {
                    self.callees[index].acknowledged = true;
                }
            }
            (_, _) => self.network.send(transport, addr, answer(text, 200, "x")),
        }
    }

    /// A phone gets a new INVITE and makes up its mind.
    fn rings(&mut self, transport: Transport, addr: SocketAddr, text: &str) {
        let statuses = [200, 200, 200, 200, 486, 503, 480, 603, 401, 0];
        let status = statuses[self.network.below(10) as usize];
        let peer = self.callers.len() + self.callees.len();
        self.callees.push(Callee {
            transport,
            addr,
            request: text.to_owned(),
            tag: format!("callee{peer}"),
            status,
            rings: self.network.below(4) > 0,
            last: None,
            finished: false,
            acknowledged: false,
        });
        if status == 0 {
            return;
        }
        let ring = self.network.below(1_500);
        self.network.set(ring, Timer { peer, what: RING, interval_millis: 0 });
        let answer = ring + self.network.below(12_000);
        self.network.set(answer, Timer { peer, what: FINAL, interval_millis: 0 });
    }

    /// A final answer, once, and again until it is acknowledged.
    fn finishes(&mut self, index: usize, status: u16) {
        let callee = &mut self.callees[index];
        if callee.finished {
            return;
        }
        callee.finished = true;
        let text = callee.answer(status);
        callee.last = Some(text.clone());
        self.callee_sends(index, text);
        let peer = self.callers.len() + index;
        self.network.set(T1_MILLIS, Timer { peer, what: REPEAT, interval_millis: T1_MILLIS });
        self.network.set(PATIENCE_MILLIS, Timer { peer, what: GIVE_UP, interval_millis: 0 });
    }

    fn callee_timer(&mut self, timer: Timer) {
        let index = timer.peer - self.callers.len();
        let callee = &mut self.callees[index];
        match timer.what {
            RING if !callee.finished && callee.rings => {
                let text = callee.answer(180);
                callee.last = Some(text.clone());
                self.callee_sends(index, text);
            }
            FINAL => {
                let status = callee.status;
                self.finishes(index, status);
            }
            REPEAT if !callee.acknowledged => {
                let Some(text) = callee.last.clone() else { return };
                let interval_millis = (timer.interval_millis * 2).min(4_000);
                self.callee_sends(index, text);
                self.network.set(interval_millis, Timer { interval_millis, ..timer });
            }
            GIVE_UP => callee.last = None,
            _ => {}
        }
    }
}

impl Callee {
    fn answer(&self, status: u16) -> String {
        let transport = if self.transport.is_reliable() { ";transport=tcp" } else { "" };
        let contact = format!("Contact: <sip:{}@{}{transport}>", self.tag, self.addr);
        super::wire::Answer::to(&self.request, status, &self.tag).extra(&contact).text()
    }
}

impl Caller {
    fn in_dialog(&self, method: &str, tag: &str, peer: &Peer) -> Request {
        let mut request = self.invite.following(method).tagged(tag);
        request.via.push_str(method);
        request.uri = peer.contact.clone();
        request.extra = peer.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        request
    }
}

fn answer(request: &str, status: u16, tag: &str) -> String {
    super::wire::Answer::to(request, status, tag).text()
}

/// The same calls, with legs of the edge's own.
fn run_owned(seed: u64, weather: Weather) -> Outcome {
    let numbers = ["200", "300", "400", "500", "600", "701", "550", "250"];
    run_in(World::with(own_all_legs, 1_000), &numbers, "192.0.2.1", seed, weather, 0)
}

/// And the edge interferes with them.
fn run_interfering(seed: u64, weather: Weather) -> Outcome {
    let numbers = ["200", "300", "400", "500", "600", "701", "550", "250"];
    run_in(World::with(own_all_legs, 1_000), &numbers, "192.0.2.1", seed, weather, 12)
}

#[test]
fn nothing_stays_behind_when_the_edge_hangs_up_and_asks_by_itself() {
    let (mut calls, mut heard, mut ended) = (0, 0, 0);
    for seed in 600..680 {
        let loss = f64::from(u32::try_from(seed % 31).expect("a small number")) / 100.0;
        let outcome = run_interfering(seed, Weather { loss, duplicate: 0.2, jitter_millis: 900, broken: 0.03 });
        calls += outcome.calls;
        heard += outcome.heard;
        ended += outcome.ended;
    }
    assert!(ended > 40, "{ended}");
    assert!(heard * 100 >= calls * 97, "{heard} of {calls}");
}

#[test]
fn owned_legs_fare_as_well_in_any_weather() {
    for seed in 500..530 {
        let outcome = run_owned(seed, Weather { duplicate: 0.3, jitter_millis: 300, ..FAIR });
        assert_eq!((outcome.heard, outcome.acknowledged), (outcome.calls, outcome.accepted), "seed {seed}");
    }
    let (mut calls, mut heard) = (0, 0);
    for seed in 530..590 {
        let loss = f64::from(u32::try_from(seed % 31).expect("a small number")) / 100.0;
        let outcome = run_owned(seed, Weather { loss, duplicate: 0.1, jitter_millis: 900, broken: 0.03 });
        calls += outcome.calls;
        heard += outcome.heard;
    }
    assert!(heard * 100 >= calls * 97, "{heard} of {calls}");
}

const FAIR: Weather = Weather { loss: 0.0, duplicate: 0.0, jitter_millis: 0, broken: 0.0 };

#[test]
fn in_fair_weather_every_caller_hears_and_every_phone_is_acknowledged() {
    for seed in 0..40 {
        let outcome = run(seed, FAIR);
        assert_eq!(outcome.heard, outcome.calls, "seed {seed}");
        assert_eq!(outcome.acknowledged, outcome.accepted, "seed {seed}");
    }
}

#[test]
fn copies_and_overtaking_change_nothing_of_that() {
    let weather = Weather { duplicate: 0.3, jitter_millis: 300, ..FAIR };
    for seed in 100..140 {
        let outcome = run(seed, weather);
        assert_eq!(outcome.heard, outcome.calls, "seed {seed}");
        assert_eq!(outcome.acknowledged, outcome.accepted, "seed {seed}");
    }
}

#[test]
fn in_foul_weather_nothing_stays_behind_and_nearly_all_hear() {
    let (mut calls, mut heard) = (0, 0);
    for seed in 200..280 {
        let loss = f64::from(u32::try_from(seed % 31).expect("a small number")) / 100.0;
        let weather = Weather { loss, duplicate: 0.1, jitter_millis: 900, broken: 0.03 };
        let outcome = run(seed, weather);
        calls += outcome.calls;
        heard += outcome.heard;
    }
    assert!(heard * 100 >= calls * 97, "{heard} of {calls}");
}

#[test]
fn phones_beside_each_other_fare_as_well() {
    for seed in 300..340 {
        let outcome = run_beside(seed, Weather { duplicate: 0.2, jitter_millis: 300, ..FAIR });
        assert_eq!((outcome.heard, outcome.acknowledged), (outcome.calls, outcome.accepted), "seed {seed}");
    }
    let (mut calls, mut heard) = (0, 0);
    for seed in 340..400 {
        let loss = f64::from(u32::try_from(seed % 31).expect("a small number")) / 100.0;
        let outcome = run_beside(seed, Weather { loss, duplicate: 0.1, jitter_millis: 900, broken: 0.03 });
        calls += outcome.calls;
        heard += outcome.heard;
    }
    assert!(heard * 100 >= calls * 97, "{heard} of {calls}");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let weather = Weather { loss: 0.2, duplicate: 0.2, jitter_millis: 500, broken: 0.05 };
    for seed in [1, 2, 3] {
        let first = run(seed, weather).log;
        assert!(first.len() > 20);
        assert_eq!(first, run(seed, weather).log);
    }
    assert_ne!(run(1, weather).log, run(2, weather).log);
}
