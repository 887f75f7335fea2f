//! Rounds of OPTIONS under a clock of the test's own, without sockets.

use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::call::dialog_token::SealKey;
use crate::call::seal::{Key, KeyRing};
use crate::sip::{Framing, Limits, Message, Transport};
use crate::transaction::{HashKey, Timing};
use crate::trunk::health::{State, Table};

const CONFIG: &str = r#"
[node]
name = "n"
[[listen]]
name = "udp"
bind = "udp:127.0.0.1:5060"
[[listen]]
name = "tcp"
bind = "tcp:127.0.0.1:5060"
[trunk.pair]
kind = "carrier"
listen = "udp"
targets = ["udp:127.0.0.2:5060", "udp:127.0.0.3:5060"]
options_interval_s = 60
[trunk.name]
kind = "carrier"
listen = "tcp"
targets = ["pbx.example"]
allow_from = ["127.0.0.4/32"]
options_interval_s = 60
[trunk.quiet]
kind = "pbx"
listen = "udp"
targets = ["udp:127.0.0.9:5060"]
"#;

/// Answers for literals and for what is known.
#[derive(Default)]
struct Known(Vec<SocketAddr>);

impl Names for Known {
    fn cached(&self, edge: &Edge, trunk: TrunkId, target: &Target) -> Option<Vec<Hop>> {
        let trunk = edge.trunk(trunk)?;
        let places = match target.literal {
            Some(addr) => vec![addr],
            None if self.0.is_empty() => return None,
            None => self.0.clone(),
        };
        Some(places.into_iter().map(|addr| hop(edge, trunk, addr)).collect())
    }
}

fn hop(edge: &Edge, trunk: &Trunk, addr: SocketAddr) -> Hop {
    let transport = edge.listener(trunk.listener).map_or(Transport::Udp, |listener| listener.transport);
    Hop { listener: trunk.listener, transport, addr, name: None, trunk: trunk.id }
}

fn edge(config: &str) -> Arc<Edge> {
    let loaded = crate::config::load_str("t", config, Path::new(".")).unwrap();
    let listeners = loaded.config.listeners.iter().map(|listen| listen.listener.clone()).collect();
    let mut edge = Edge::new(listeners, loaded.trunks, loaded.routing, Timing::default(), Limits::default());
    edge.health = Arc::new(Table::new(&edge.trunks, &loaded.config.trunk_health));
    Arc::new(edge)
}

struct Run {
    watch: Watch,
    names: Known,
    now: Duration,
    out: Vec<Do>,
}

/// One OPTIONS on its way.
#[derive(Clone, Debug)]
struct Asked {
    to: SocketAddr,
    at: Duration,
    bytes: Bytes,
    id: ProbeId,
}

impl Run {
    fn new() -> Self {
        let ring = KeyRing::new(Key::derive(&[4; 32]).unwrap(), None).unwrap();
        let secrets = Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring };
        let now = Duration::from_secs(100);
        Self { watch: Watch::new(edge(CONFIG), secrets, now), names: Known::default(), now, out: Vec::new() }
    }

    /// Turns the time as far as `until`; gives the OPTIONS that went out.
    fn pass(&mut self, until: Duration) -> Vec<Asked> {
        let end = self.now + until;
        let mut asked = Vec::new();
        loop {
            self.watch.handle_time(self.now, &self.names, &mut self.out);
            asked.extend(self.asked());
            let next = self.watch.next_wake().map(|at| Duration::from_millis(at.as_millis()));
            match next.filter(|&at| at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = end;
        asked
    }

    /// Turns the time until a place is asked.
    fn until_asked(&mut self, ip: &str) -> Asked {
        for _ in 0..10_000 {
            let at = self.watch.next_wake().expect("something is due");
            self.now = self.now.max(Duration::from_millis(at.as_millis()));
            self.watch.handle_time(self.now, &self.names, &mut self.out);
            if let Some(asked) = to(&self.asked(), ip).pop() {
                return asked;
            }
        }
        panic!("{ip} is never asked");
    }

    /// The OPTIONS among what is to be done.
    fn asked(&mut self) -> Vec<Asked> {
        let (asked, rest) = std::mem::take(&mut self.out).into_iter().partition(|it| matches!(it, Do::Send { .. }));
        self.out = rest;
        let one = |it: Do| match it {
            Do::Send { hop, bytes, token } => Asked { to: hop.addr, at: self.now, bytes, id: id_of(token).unwrap() },
            other => panic!("{other:?}"),
        };
        Vec::into_iter(asked).map(one).collect()
    }

    /// The place that was asked answers.
    fn answers(&mut self, asked: &Asked, status: u16, more: &str) -> bool {
        let request = Message::parse(asked.bytes.clone(), Framing::Datagram, &Limits::default()).unwrap();
        let via = String::from_utf8_lossy(request.top_via().unwrap().raw).into_owned();
        let text = format!(
            "SIP/2.0 {status} x\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n\
             CSeq: 1 OPTIONS\r\n{more}\r\n"
        );
        let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::default()).unwrap();
        let answer = ProbeAnswer::read(&message).unwrap();
        self.watch.handle_answer(self.now, answer, &mut self.out)
    }

    fn state(&self, trunk: &str, target: u16) -> State {
        let edge = self.watch.edge();
        edge.health.state(edge.trunks.named(trunk).unwrap().id, target)
    }

    /// The changes since the last look.
    fn changes(&mut self) -> Vec<String> {
        let edge = Arc::clone(self.watch.edge());
        let words = |it: Do| match it {
            Do::Change { trunk, index, change } => {
                let name = edge.trunk(trunk).unwrap().name.to_string();
                Some(format!("{name} {index} {}: {}", change.to, change.reason))
            }
            _ => None,
        };
        std::mem::take(&mut self.out).into_iter().filter_map(words).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn to(asked: &[Asked], ip: &str) -> Vec<Asked> {
    asked.iter().filter(|asked| asked.to.ip().to_string() == ip).cloned().collect()
}

#[test]
fn every_target_is_asked_soon_and_then_at_its_interval_but_those_that_are_not_to_be() {
    let mut run = Run::new();
    run.names.0 = vec!["127.0.0.4:5060".parse().unwrap()];
    let first = run.pass(SECOND);
    let mut places: Vec<String> = first.iter().map(|asked| asked.to.to_string()).collect();
    places.sort();
    places.dedup();
    assert_eq!(places, ["127.0.0.2:5060", "127.0.0.3:5060", "127.0.0.4:5060"]);
    for asked in &first {
        run.answers(asked, 200, "");
    }
    let mut times: Vec<Duration> = Vec::new();
    for status in [404, 405, 200, 486, 403] {
        let asked = run.until_asked("127.0.0.2");
        times.push(asked.at);
        run.answers(&asked, status, "");
    }
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.clone().all(|gap| gap >= 54 * SECOND && gap <= 60 * SECOND), "{times:?}");
    assert_eq!(run.state("pair", 0), State::Up);
    assert!(run.changes().iter().all(|change| !change.starts_with("pair 0")));
    let status = Run::new().watch.targets.iter().filter(|it| it.health.next_wake().is_none()).count();
    assert_eq!(status, 1, "only the quiet one is not to be asked");
}

#[test]
fn one_that_keeps_silent_is_asked_again_over_udp_then_suspect_then_down_and_up_when_it_answers() {
    let mut run = Run::new();
    let asked = run.pass(Duration::from_secs(4));
    let asked = to(&asked, "127.0.0.2");
    assert!(asked.len() >= 3 && asked.iter().all(|copy| copy.bytes == asked[0].bytes), "copies, by timer E");
    assert_eq!(run.state("pair", 0), State::Up);
    run.pass(Duration::from_secs(3));
    assert_eq!(run.state("pair", 0), State::Suspect);
    run.pass(Duration::from_secs(10));
    assert_eq!(run.state("pair", 0), State::Down);
    assert!(run.changes().contains(&"pair 0 down: left OPTIONS without an answer, 2 times in a row".to_owned()));
    assert!(!run.answers(&asked[0], 200, ""), "an answer of a round that is over is nobody's");
    assert_eq!(run.state("pair", 0), State::Down);
    let again = run.pass(Duration::from_secs(20));
    let again = to(&again, "127.0.0.2");
    assert!(run.answers(again.last().unwrap(), 200, ""));
    assert_eq!(run.state("pair", 0), State::Up);
    assert!(run.changes().contains(&"pair 0 up: answered OPTIONS with 200".to_owned()));
}

#[test]
fn a_name_is_there_when_one_of_its_places_is() {
    let mut run = Run::new();
    run.names.0 = ["127.0.0.4:5060", "127.0.0.5:5060", "127.0.0.6:5060"].map(|at| at.parse().unwrap()).to_vec();
    let asked = to(&run.pass(SECOND), "127.0.0.4");
    assert_eq!(asked.len(), 1, "no copies over TCP");
    run.watch.handle_not_sent(run.now, asked[0].id, LinkFault::Refused, &mut run.out);
    let second = to(&run.asked(), "127.0.0.5");
    run.answers(&second[0], 503, "Retry-After: 10\r\n");
    let third = to(&run.asked(), "127.0.0.6");
    assert!(run.answers(&third[0], 100, "") && run.answers(&third[0], 486, ""));
    assert_eq!((run.state("name", 0), run.changes().len()), (State::Up, 0));
    // The last place's word counts when none is there.
    let asked = to(&run.pass(Duration::from_secs(60)), "127.0.0.4");
    run.watch.handle_not_sent(run.now, asked[0].id, LinkFault::Tls, &mut run.out);
    run.watch.handle_not_sent(run.now, asked[0].id, LinkFault::Tls, &mut run.out);
    let second = to(&run.asked(), "127.0.0.5");
    assert_eq!(second.len(), 1, "the news of one request counts once");
    run.watch.handle_not_sent(run.now, second[0].id, LinkFault::Tls, &mut run.out);
    let third = to(&run.asked(), "127.0.0.6");
    run.watch.handle_not_sent(run.now, third[0].id, LinkFault::Refused, &mut run.out);
    let of_name: Vec<String> = run.changes().into_iter().filter(|line| line.starts_with("name")).collect();
    assert_eq!(of_name, ["name 0 down: OPTIONS could not be sent: the connection was refused"]);
}

#[test]
fn names_are_looked_up_and_those_without_a_place_are_suspect() {
    let mut run = Run::new();
    run.pass(SECOND);
    let id = run.out.iter().find_map(|it| match it {
        Do::Resolve { id, target, .. } => Some((*id, target.host.to_string())),
        _ => None,
    });
    let (id, host) = id.expect("a lookup");
    assert_eq!(host, "pbx.example");
    let stale = ProbeId { number: id.number ^ 1, ..id };
    run.watch.handle_resolved(run.now, stale, Vec::new(), &mut run.out);
    assert_eq!(run.state("name", 0), State::Up, "not the lookup that is waited for");
    run.watch.handle_resolved(run.now, id, Vec::new(), &mut run.out);
    assert_eq!(run.state("name", 0), State::Suspect);
    assert!(run.changes().contains(&"name 0 suspect: its name leads to no address".to_owned()));
}

#[test]
fn what_calls_met_with_counts_for_their_target_alone() {
    let mut run = Run::new();
    let trunk = |run: &Run, name: &str| run.watch.edge().trunks.named(name).unwrap().id;
    for asked in run.pass(SECOND) {
        run.answers(&asked, 200, "");
    }
    run.changes();
    let (pair, quiet) = (trunk(&run, "pair"), trunk(&run, "quiet"));
    for (trunk, target, what) in [
        (pair, 1, Outcome::Silent),
        (quiet, 0, Outcome::NotSent(LinkFault::Unknown)),
        (pair, 2, Outcome::Silent),
        (TrunkId(77), 0, Outcome::Silent),
    ] {
        run.watch.handle_heard(run.now, Heard { trunk, target, what }, &mut run.out);
    }
    assert_eq!(
        run.changes(),
        [
            "pair 1 suspect: left a call without an answer",
            "quiet 0 down: a call could not be sent: the transport failed"
        ]
    );
    let asked = run.pass(SECOND);
    assert!(!to(&asked, "127.0.0.3").is_empty(), "the suspect is asked at once");
    assert!(to(&asked, "127.0.0.2").is_empty() && to(&asked, "127.0.0.9").is_empty());
    run.pass(Duration::from_secs(5));
    assert_eq!(run.state("quiet", 0), State::Suspect, "nobody asks it: it is tried again");
}

#[test]
fn another_configuration_keeps_what_is_known_of_targets_that_stay() {
    let mut run = Run::new();
    let old = to(&run.pass(SECOND), "127.0.0.3");
    run.pass(Duration::from_secs(30));
    assert_eq!(run.state("pair", 1), State::Down);
    // The first target goes, so that the second has its index, and another trunk stands in front.
    let changed = CONFIG.replace("\"udp:127.0.0.2:5060\", ", "").replace(
        "[trunk.pair]",
        "[trunk.new]\nkind = \"pbx\"\nlisten = \"udp\"\ntargets = [\"udp:127.0.0.8:5060\"]\n[trunk.pair]",
    );
    run.watch.follow(edge(&changed), run.now);
    assert_eq!((run.state("pair", 0), run.state("new", 0)), (State::Down, State::Up));
    assert!(!run.answers(&old[0], 200, ""), "rounds of the old configuration are over");
    run.changes();
    let asked = run.until_asked("127.0.0.3");
    assert!(run.answers(&asked, 200, ""));
    assert_eq!(run.state("pair", 0), State::Up);
    assert!(run.changes().contains(&"pair 0 up: answered OPTIONS with 200".to_owned()));
}

#[test]
fn tokens_of_options_are_none_of_calls() {
    let id = ProbeId { target: 7, number: u64::MAX };
    assert_eq!(id_of(token_of(id)), Some(id));
    assert_eq!(id_of(Token::NONE), None);
    assert_eq!(id_of(Token(5, 63 << 16 | 0xffff)), None, "the last branch of the last shard");
}
