//! Presence never slows a call: while a PBX floods the bridge with NOTIFYs and Graph answers nothing, no call fails, and
//! what the edge adds to the way of an INVITE stays what it is without.
//!
//! Rounds without and with the flood take turns, and the medians of their 99th percentiles are compared, so that what
//! else the machine does falls on both. With `TRUNKWAY_FULL=1` in the environment a hundred thousand NOTIFYs come; else
//! the rounds are short, and the bound is one that a busy machine with two processors keeps.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trunkway::lab::graph::{Fault, Trouble};

use crate::bridge::Bridge;
use crate::lines::BRANCH;
use crate::peer::{Heard, Peer};
use crate::support::place::Place;
use crate::support::sipp::{Sipp, scenario};
use crate::support::{SOON, until};

/// A PBX that tells of lines, and a peer that is called for measuring.
const TABLES: &str = r#"
[trunk.lines]
kind = "pbx"
listen = "inside"
targets = ["udp:{lines}"]
tenant = "contoso"

[trunk.far]
kind = "pbx"
listen = "inside"
targets = ["udp:{far}"]

[[route]]
prefix = "+1"
to = ["far"]
"#;

const USERS: usize = 50;

/// Calls a second.
const CALLS: u32 = 25;

/// INVITEs a second that are measured.
const PROBES: u32 = 100;

/// How much is played.
struct Extent {
    /// Rounds of each kind.
    rounds: usize,
    round: Duration,
    /// NOTIFYs in each round with the flood.
    notifies: u32,
    /// By how much the flood may raise the 99th percentile: so many percent, and so much for the machine.
    percent: u32,
    grace: Duration,
}

impl Extent {
    fn chosen() -> Self {
        match std::env::var_os("TRUNKWAY_FULL").is_some() {
            true => Self {
                rounds: 5,
                round: Duration::from_secs(10),
                notifies: 20_000,
                percent: 10,
                grace: Duration::from_micros(100),
            },
            false => Self {
                rounds: 2,
                round: Duration::from_secs(3),
                notifies: 3_000,
                percent: 200,
                grace: Duration::from_millis(50),
            },
        }
    }
}

#[test]
fn a_flood_of_presence_and_a_graph_that_hangs_delay_no_call() {
    let Extent { rounds, round, notifies, percent, grace } = Extent::chosen();
    let tables = format!("{BRANCH}{TABLES}");
    let bridge = Bridge::start_alone(USERS, "line_trunk = \"lines\"\nsubscribe_lines = true", &tables);
    let lines = Lines::start(&bridge.place);
    until("all lines are subscribed to", SOON, || (lines.count() == USERS).then_some(()));

    let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        quiet.push(percentile_99(play(&bridge.place, round, || ())));
        let hang = bridge.graph.fault(Fault::new(Trouble::Hang));
        flooded.push(percentile_99(play(&bridge.place, round, || lines.flood(notifies, round))));
        bridge.graph.clear_fault(hang);
    }
    let (sent, answered) = (lines.sent.load(Relaxed), lines.answered.load(Relaxed));
    let (before, under) = (median(quiet.clone()), median(flooded.clone()));
    eprintln!("99th percentile without {quiet:?}, with {flooded:?}; {answered} of {sent} NOTIFYs answered");
    assert!(answered * 2 > sent, "the flood has not reached the bridge: {answered} of {sent}");
    let bound = before + before * percent / 100 + grace;
    assert!(under <= bound, "{under:?} under the flood, {before:?} without: {flooded:?} {quiet:?}");
    lines.end();
    bridge.stop();
}

/// A round of calls, all of which succeed; gives how long the measured INVITEs took from peer to peer.
fn play(place: &Place, round: Duration, beside: impl FnOnce()) -> Vec<Duration> {
    let calls = CALLS * u32::try_from(round.as_secs()).unwrap();
    let limit = round + Duration::from_secs(60);
    let callee = Sipp::callee(place, 2, scenario("callee")).calls(calls, 0).limit(limit).start(place);
    let caller = Sipp::caller(place, 3, scenario("caller"), "1001").calls(calls, CALLS).limit(limit).start(place);
    let measuring = Measuring::start(place, round);
    beside();
    let delays = measuring.end();
    caller.finish();
    callee.finish();
    delays
}

fn percentile_99(mut delays: Vec<Duration>) -> Duration {
    delays.sort_unstable();
    delays[delays.len() * 99 / 100]
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

/// INVITEs from a caller to a callee that refuses them, each with the time that it took.
struct Measuring {
    asking: JoinHandle<u32>,
    callee: JoinHandle<Vec<Duration>>,
    over: Arc<AtomicBool>,
}

impl Measuring {
    fn start(place: &Place, round: Duration) -> Self {
        let sent: Arc<Mutex<HashMap<u32, Instant>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let callee = {
            let (peer, sent, over) = (Peer::at(place, 5), Arc::clone(&sent), Arc::clone(&over));
            std::thread::spawn(move || answer_all(&peer, &sent, &over))
        };
        let edge = place.at(1);
        let own = std::net::SocketAddr::new(place.ip(3), place.port + 5);
        let socket = UdpSocket::bind(own).expect("the place is ours");
        let asking = std::thread::spawn(move || {
            socket.set_nonblocking(true).expect("a socket");
            let begun = Instant::now();
            let mut number = 0;
            while begun.elapsed() < round {
                let text = invite(own, edge, number);
                sent.lock().unwrap().insert(number, Instant::now());
                socket.send_to(text.as_bytes(), edge).expect("loopback takes it");
                number += 1;
                std::thread::sleep(Duration::from_secs(1) / PROBES);
                acknowledge_all(&socket, edge);
            }
            // The last answers.
            std::thread::sleep(Duration::from_millis(500));
            acknowledge_all(&socket, edge);
            number
        });
        Self { asking, callee, over }
    }

    fn end(self) -> Vec<Duration> {
        let asked = self.asking.join().expect("the caller has not failed");
        self.over.store(true, Relaxed);
        let delays = self.callee.join().expect("the callee has not failed");
        assert_eq!(delays.len(), asked as usize, "INVITEs that came through");
        delays
    }
}

fn invite(own: std::net::SocketAddr, edge: std::net::SocketAddr, number: u32) -> String {
    // Numbers begin anew with each round, Call-IDs and branches do not.
    let id = format!("{number}-{:?}", Instant::now()).replace([' ', '{', '}', ':', ','], "");
    format!(
        "INVITE sip:+15550100200@{edge} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKm{id};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:probe@{own}>;tag=m{number}\r\nTo: <sip:+15550100200@{edge}>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:probe@{own}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Takes all answers that have come, and acknowledges the final ones.
fn acknowledge_all(socket: &UdpSocket, edge: std::net::SocketAddr) {
    let mut buffer = [0; 4_096];
    while let Ok(length) = socket.recv(&mut buffer) {
        let heard = Heard(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if heard.status() >= 300 {
            let copied: String = ["Via", "From", "To", "Call-ID"].map(|name| heard.lines(name)).concat();
            let uri = format!("sip:+15550100200@{edge}");
            let ack =
                format!("ACK {uri} SIP/2.0\r\n{copied}Max-Forwards: 70\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n");
            socket.send_to(ack.as_bytes(), edge).expect("loopback takes it");
        }
    }
}

/// Refuses all INVITEs until it is over; gives how long each took to come.
fn answer_all(peer: &Peer, sent: &Mutex<HashMap<u32, Instant>>, over: &AtomicBool) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut buffer = [0; 4_096];
    peer.socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
    while !over.load(Relaxed) {
        let Ok(length) = peer.socket.recv(&mut buffer) else { continue };
        let now = Instant::now();
        let heard = Heard(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if heard.method() == "INVITE" {
            let number = heard.value("Call-ID").split('-').next().and_then(|number| number.parse().ok());
            let begun = sent.lock().unwrap().remove(&number.expect("a Call-ID of ours"));
            delays.extend(begun.map(|begun| now - begun));
            peer.answer(&heard, 486, "");
        }
    }
    delays
}

/// A PBX that takes subscriptions to its lines and tells of them as often as it is told to.
struct Lines {
    peer: Arc<Peer>,
    dialogs: Arc<Mutex<Vec<Dialog>>>,
    sent: AtomicU64,
    answered: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// A subscription of the edge's.
struct Dialog {
    contact: String,
    /// Whole lines.
    own: String,
    edge: String,
    call_id: String,
    entity: String,
    told: u32,
}

impl Lines {
    fn start(place: &Place) -> Self {
        let peer = Arc::new(Peer::at(place, 4));
        let (dialogs, answered, over) = (Arc::default(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (peer, dialogs, answered, over) =
                (Arc::clone(&peer), Arc::clone(&dialogs), Arc::clone(&answered), Arc::clone(&over));
            std::thread::spawn(move || take_all(&peer, &dialogs, &answered, &over))
        };
        Self { peer, dialogs, sent: AtomicU64::new(0), answered, over, thread }
    }

    fn count(&self) -> usize {
        self.dialogs.lock().unwrap().len()
    }

    /// Tells of lines that are in a call and not in one, in turn.
    fn flood(&self, notifies: u32, round: Duration) {
        let begun = Instant::now();
        for number in 0..notifies {
            {
                let mut dialogs = self.dialogs.lock().unwrap();
                let count = dialogs.len();
                self.peer.send(&dialogs[number as usize % count].notify(self.peer.address(), number as usize / count));
            }
            self.sent.fetch_add(1, Relaxed);
            let due = round * number / notifies;
            if number % 16 == 0 {
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        }
    }

    fn end(self) {
        self.over.store(true, Relaxed);
        self.thread.join().expect("the PBX has not failed");
    }
}

/// Takes SUBSCRIBEs, and counts what is answered.
fn take_all(peer: &Peer, dialogs: &Mutex<Vec<Dialog>>, answered: &AtomicU64, over: &AtomicBool) {
    let mut buffer = [0; 4_096];
    peer.socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
    while !over.load(Relaxed) {
        let Ok(length) = peer.socket.recv(&mut buffer) else { continue };
        let heard = Heard(String::from_utf8_lossy(&buffer[..length]).into_owned());
        answered.fetch_add(u64::from(heard.status() == 200), Relaxed);
        if heard.method() != "SUBSCRIBE" {
            continue;
        }
        peer.answer(&heard, 200, &format!("Expires: 3600\r\nContact: <sip:{}>\r\n", peer.address()));
        if heard.value("To").contains(";tag=") {
            continue;
        }
        let line = |name: &str, value: &str| format!("{name}: {value}\r\n");
        let mut dialog = Dialog {
            contact: heard.contact(),
            own: line("From", &format!("{};tag=callee", heard.value("To"))),
            edge: line("To", &heard.value("From")),
            call_id: heard.lines("Call-ID"),
            entity: heard.0.split(' ').nth(1).unwrap_or_default().to_owned(),
            told: 0,
        };
        peer.send(&dialog.notify(peer.address(), 1));
        let mut dialogs = dialogs.lock().unwrap();
        // A copy of the SUBSCRIBE.
        if !dialogs.iter().any(|known| known.call_id == dialog.call_id) {
            dialogs.push(dialog);
        }
    }
}

impl Dialog {
    fn notify(&mut self, at: std::net::SocketAddr, turn: usize) -> String {
        self.told += 1;
        let Self { contact, own, edge, call_id, entity, told } = self;
        let state = if turn.is_multiple_of(2) { "confirmed" } else { "terminated" };
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{told}\" \
             state=\"full\" entity=\"{entity}\"><dialog id=\"d\" direction=\"initiator\"><state>{state}</state></dialog>\
             </dialog-info>\r\n"
        );
        let branch = call_id.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect::<String>();
        format!(
            "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKl{branch}-{told};rport\r\nMax-Forwards: 70\r\n\
             {own}{edge}{call_id}CSeq: {told} NOTIFY\r\nContact: <sip:{at}>\r\nEvent: dialog\r\n\
             Subscription-State: active;expires=3000\r\nContent-Type: application/dialog-info+xml\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
