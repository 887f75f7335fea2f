//! A whole call through a shard, and what a ringing call holds in memory. No sockets: what a peer sends is prepared, but
//! for the branch of the edge, which is written into its answers as it comes.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/cases.rs"]
mod cases;
#[path = "support/edge.rs"]
mod edge;
#[path = "support/messages.rs"]
mod messages;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cases::Case;
use trunkway::call::branch::BRANCH_BYTES;
use trunkway::call::stored::NoStore;
use trunkway::call::{Command, Edge, Env, Names, Output, Secrets};
use trunkway::shard::{Incoming, SHARDS, Shard, branch_of};
use trunkway::sip::build::{Answer, answer};
use trunkway::sip::{Essentials, Framing, HeaderName, Message};
use trunkway::transaction::Moment;
use trunkway::trunk::{Hop, Target, TrunkId};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Different calls; one of each after the other, so that a shard always remembers some hundreds of them.
const CALLS: u32 = 1_000;
/// From one call to the next: a call's transactions are over (32 s) before its number comes again (40 s).
const PACE: Duration = Duration::from_millis(40);
/// Where the called trunk listens.
const CALLED: &str = "192.0.2.80:5080";
/// Calls that ring at once where memory is measured.
const RINGING: u32 = 10_000;
/// The most that a ringing call may hold, in bytes.
const MOST_BYTES: i64 = 4_096;

fn main() {
    let held = held_by_a_ringing_call(&edge::edge(true));
    let owned = held_by_a_ringing_call(&edge::edge(false));
    println!("shard: {held} bytes of heap for each of {RINGING} ringing calls, {owned} with owned legs");
    assert!(held <= MOST_BYTES, "a ringing call holds {held} bytes");

    let mut calls = Calls::new();
    let mut inside = 0;
    for _ in 0..2 * CALLS {
        inside = calls.whole_call();
    }
    println!("shard: {inside} allocations of the edge's in a whole call of 7 messages, {} contexts kept", calls.len());
    let mut owned = Calls::of(edge::edge(false));
    for _ in 0..2 * CALLS {
        inside = owned.whole_call();
    }
    println!("shard: {inside} allocations of the edge's in such a call with owned legs");
    let mut peers = Calls::new();
    cases::measure(
        "shard",
        vec![
            Case::new("whole_call", move || calls.whole_call()),
            Case::new("whole_owned_call", move || owned.whole_call()),
            Case::new("peers_alone", move || peers.peers_alone()),
        ],
    );
}

/// A shard, the way it is driven, and the time.
struct Drive {
    shard: Shard,
    edge: Arc<Edge>,
    secrets: Secrets,
    now: Moment,
    out: Output,
}

/// Who sends.
#[derive(Clone, Copy)]
enum Side {
    Caller,
    Called,
}

impl Drive {
    fn of(max_contexts: usize, edge: Arc<Edge>) -> Self {
        let now = Moment::from_millis(1_000);
        let shard = Shard::new(0, now, max_contexts);
        Self { shard, edge, secrets: edge::secrets(), now, out: Output::default() }
    }

    /// Does with a datagram what the daemon does, and gives what is to be sent.
    fn deliver(&mut self, side: Side, bytes: Bytes) -> Option<Bytes> {
        let (from, flow) = edge::peer(&self.edge, if let Side::Caller = side { "caller" } else { "called" });
        let limits = self.edge.limits;
        let message = Message::parse(bytes, Framing::Datagram, &limits).expect("a whole message");
        let env = Env {
            now: self.now,
            unix: 0,
            unix_ms: 0,
            edge: &self.edge,
            secrets: &self.secrets,
            names: &NoNames,
            store: &NoStore,
            shelf: &RefCell::default(),
        };
        if message.is_request() {
            let from = self.edge.identify.trunk(flow.listener, flow.remote.ip(), &[]).unwrap_or(from);
            let essentials = Essentials::of_request(&message, &limits).expect("a whole request");
            std::hint::black_box(self.secrets.shard_of(essentials.call_id, SHARDS));
            let incoming = Incoming { flow, from, request: &message, essentials: &essentials, former: false };
            self.shard.handle_request(&env, &mut self.out, &incoming);
        } else {
            let id = branch_of(&message).expect("a branch of the edge");
            self.shard.handle_answer(&env, &mut self.out, id, &message);
        }
        let mut sent = None;
        for command in self.out.commands.drain(..) {
            sent = Some(match command {
                Command::Answer { bytes, .. } | Command::Request { bytes, .. } => bytes,
                Command::Resolve { .. } | Command::Alias { .. } | Command::Drop { .. } => {
                    unreachable!("neither names nor streams")
                }
                Command::Store { .. } | Command::CallUp { .. } | Command::CallOver { .. } => {
                    unreachable!("nothing is kept")
                }
            });
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let env = Env {
            now: self.now,
            unix: 0,
            unix_ms: 0,
            edge: &self.edge,
            secrets: &self.secrets,
            names: &NoNames,
            store: &NoStore,
            shelf: &RefCell::default(),
        };
        self.shard.handle_time(&env, &mut self.out);
        self.out.commands.clear();
    }
}

/// An answer with a place for the branch of the edge.
struct Template {
    text: Vec<u8>,
    branch_at: usize,
}

impl Template {
    fn new(text: Vec<u8>) -> Self {
        let branch_at = find_branch(&text);
        Self { text, branch_at }
    }

    /// The answer to a request whose branch stands at `at`.
    fn fill(&mut self, request: &[u8], at: usize) -> Bytes {
        let branch = &request[at..at + BRANCH_BYTES];
        self.text[self.branch_at..self.branch_at + BRANCH_BYTES].copy_from_slice(branch);
        Bytes::copy_from_slice(&self.text)
    }
}

fn find_branch(text: &[u8]) -> usize {
    memchr::memmem::find(text, b"z9hG4bKtw").expect("the branch of the edge")
}

/// The messages of one call.
struct Script {
    invite: Vec<u8>,
    ringing: Template,
    answered: Template,
    ack: Vec<u8>,
    bye: Vec<u8>,
    bye_answered: Template,
    /// Where the branch of the edge stands in the INVITE and in the BYE that it sends on.
    invite_branch: usize,
    bye_branch: usize,
}

impl Script {
    /// Plays a call once to learn what the edge makes of it.
    fn learn(drive: &mut Drive, call: u32) -> Self {
        let invite = messages::teams_invite(call, edge::CALLER).into_bytes();
        let sent = drive.deliver(Side::Caller, Bytes::from(invite.clone())).expect("the INVITE is sent on");
        let invite_branch = find_branch(&sent);
        let request = parse(&sent);
        let routes = lines(&request, HeaderName::RecordRoute);
        let contact = format!("Contact: <sip:201@{}>\r\n", CALLED);
        let text_of = |request: &Message, status, reason, headers: &[u8]| {
            let own = Answer { status, reason, to_tag: b"7f31", headers, own_vias: 0 };
            Template::new(answer(request, CALLED.parse().expect("an address"), &own).to_vec())
        };
        let headers = [routes.as_slice(), contact.as_bytes()].concat();
        let mut ringing = text_of(&request, 180, "Ringing", &headers);
        let mut answered = text_of(&request, 200, "OK", &headers);
        drive.deliver(Side::Called, ringing.fill(&sent, invite_branch)).expect("the 180 is passed back");
        let ok = drive.deliver(Side::Called, answered.fill(&sent, invite_branch)).expect("the 200 is passed back");
        let ok = parse(&ok);
        let target = ok.contacts().next().expect("a Contact").expect("a readable one").uri;
        let target = std::str::from_utf8(target).expect("text");
        let follow = |method: &str, cseq: u32| {
            let routes: Vec<&[u8]> = ok.values(HeaderName::RecordRoute).map(|route| route.expect("a route")).collect();
            let mut text = format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{call:08x};rport\r\n",
                edge::CALLER
            )
            .into_bytes();
            for route in routes.iter().rev().filter(|route| {
                memchr::memmem::find(route, b"sbc.example.net").is_some()
                    || memchr::memmem::find(route, b"192.0.2.10").is_some()
            }) {
                text.extend_from_slice(b"Route: ");
                text.extend_from_slice(route);
                text.extend_from_slice(b"\r\n");
            }
            for (name, header) in [("From", HeaderName::From), ("To", HeaderName::To), ("Call-ID", HeaderName::CallId)]
            {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(b": ");
                text.extend_from_slice(ok.value(header).expect("a header of the answer"));
                text.extend_from_slice(b"\r\n");
            }
            let rest = format!("CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n");
            text.extend_from_slice(rest.as_bytes());
            text
        };
        let (ack, bye) = (follow("ACK", 1), follow("BYE", 2));
        drive.deliver(Side::Caller, Bytes::from(ack.clone())).expect("the ACK is sent on");
        let sent = drive.deliver(Side::Caller, Bytes::from(bye.clone())).expect("the BYE is sent on");
        let bye_branch = find_branch(&sent);
        let mut bye_answered = text_of(&parse(&sent), 200, "OK", b"");
        drive.deliver(Side::Called, bye_answered.fill(&sent, bye_branch)).expect("the BYE's 200 is passed back");
        Self { invite, ringing, answered, ack, bye, bye_answered, invite_branch, bye_branch }
    }
}

struct Calls {
    drive: Drive,
    scripts: Vec<Script>,
    next: usize,
}

impl Calls {
    fn new() -> Self {
        Self::of(edge::edge(true))
    }

    fn of(edge: Arc<Edge>) -> Self {
        let mut drive = Drive::of(1 << 20, edge);
        let scripts = (0..CALLS).map(|call| Script::learn(&mut drive, call)).collect();
        // What was learnt is forgotten before the first call comes again.
        for _ in 0..100 {
            drive.pass(Duration::from_secs(1));
        }
        assert!(drive.shard.is_empty());
        Self { drive, scripts, next: 0 }
    }

    fn len(&self) -> usize {
        self.drive.shard.len()
    }

    /// INVITE, 180, 200, ACK, BYE, 200, and the timers of a call that is over; gives the edge's allocations.
    fn whole_call(&mut self) -> u64 {
        let Self { drive, scripts, next } = self;
        let script = &mut scripts[*next];
        *next = (*next + 1) % CALLS as usize;
        let before = allocations::count().allocations;
        drive.pass(PACE);
        let invite = drive.deliver(Side::Caller, Bytes::copy_from_slice(&script.invite)).expect("sent on");
        drive.deliver(Side::Called, script.ringing.fill(&invite, script.invite_branch)).expect("passed back");
        drive.deliver(Side::Called, script.answered.fill(&invite, script.invite_branch)).expect("passed back");
        drive.deliver(Side::Caller, Bytes::copy_from_slice(&script.ack)).expect("sent on");
        let bye = drive.deliver(Side::Caller, Bytes::copy_from_slice(&script.bye)).expect("sent on");
        drive.deliver(Side::Called, script.bye_answered.fill(&bye, script.bye_branch)).expect("passed back");
        // The copy of each of the six messages is the socket's, and stands in for the one that the daemon makes.
        allocations::count().allocations - before
    }

    /// What of a call is not the edge's: the copies of what arrives.
    fn peers_alone(&mut self) -> usize {
        let script = &mut self.scripts[self.next];
        self.next = (self.next + 1) % CALLS as usize;
        let (ringing, answered) = (script.ringing.branch_at, script.answered.branch_at);
        let bye = script.bye_answered.branch_at;
        let own = script.ringing.text.clone();
        let messages = [
            Bytes::copy_from_slice(&script.invite),
            script.ringing.fill(&own, ringing),
            script.answered.fill(&own, answered.min(ringing)),
            Bytes::copy_from_slice(&script.ack),
            Bytes::copy_from_slice(&script.bye),
            script.bye_answered.fill(&own, bye.min(ringing)),
        ];
        messages.iter().map(Bytes::len).sum()
    }
}

/// Heap in use by a shard full of ringing calls, for each of them: INVITE of 1.2 KB, 180, nothing more yet.
fn held_by_a_ringing_call(edge: &Arc<Edge>) -> i64 {
    let mut drive = Drive::of(1 << 20, Arc::clone(edge));
    let mut template = {
        let mut other = Drive::of(16, Arc::clone(edge));
        Script::learn(&mut other, 0).ringing
    };
    let before = allocations::count().live_bytes;
    for call in 0..RINGING {
        let invite = Bytes::copy_from_slice(messages::teams_invite(call, edge::CALLER).as_bytes());
        let sent = drive.deliver(Side::Caller, invite).expect("sent on");
        let at = find_branch(&sent);
        // The caller's Via is that of call 0: the edge does not look at it, and its length is the same.
        drive.deliver(Side::Called, template.fill(&sent, at)).expect("passed back");
        if call % 100 == 0 {
            drive.pass(Duration::from_millis(10));
        }
    }
    assert_eq!(drive.shard.len(), RINGING as usize);
    (allocations::count().live_bytes - before) / i64::from(RINGING)
}

/// No name is asked for here.
struct NoNames;

impl Names for NoNames {
    fn cached(&self, _: &Edge, _: TrunkId, _: &Target) -> Option<Vec<Hop>> {
        None
    }
}

fn parse(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone(), Framing::Datagram, &trunkway::sip::Limits::default()).expect("a whole message")
}

fn lines(message: &Message, name: HeaderName) -> Vec<u8> {
    let mut out = Vec::new();
    for line in message.lines_of(name) {
        out.extend_from_slice(&message.bytes()[usize::from(line.start)..usize::from(line.next)]);
    }
    out
}
