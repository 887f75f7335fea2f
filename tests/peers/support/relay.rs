//! A network that loses packets, between two UDP parties.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// One end of a relay: the address that the party there sends to, and the party's own.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub at: SocketAddr,
    pub party: SocketAddr,
}

/// Passes datagrams from each end's party to the other's, but for those that it loses.
pub struct Relay {
    ways: Vec<(Arc<Way>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
}

/// What one direction has done.
#[derive(Default)]
struct Way {
    passed: AtomicU64,
    lost: AtomicU64,
}

/// Datagrams of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    pub passed: u64,
    pub lost: u64,
}

impl Relay {
    /// Starts a relay that loses `per_mille` of a thousand datagrams in both directions; the same `seed` loses the same.
    pub fn start(left: End, right: End, per_mille: u64, seed: u64) -> Self {
        let sockets = [left, right].map(|end| {
            let socket = UdpSocket::bind(end.at).expect("the relay's address is free");
            socket.set_read_timeout(Some(Duration::from_millis(200))).expect("sockets have timeouts");
            Arc::new(socket)
        });
        let stop = Arc::new(AtomicBool::new(false));
        let [near, far] = &sockets;
        let directions = [(near, far, right.party, seed), (far, near, left.party, seed ^ u64::MAX)];
        let ways = directions.map(|(from, to, party, seed)| {
            let way = Arc::new(Way::default());
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let (counts, stop) = (Arc::clone(&way), Arc::clone(&stop));
            let thread =
                std::thread::spawn(move || carry(&from, &to, party, Loss { per_mille, state: seed }, &counts, &stop));
            (way, thread)
        });
        Self { ways: ways.into(), stop }
    }

    /// Ends the relay: what went from left to right, and from right to left.
    pub fn end(mut self) -> Vec<Passage> {
        self.stop.store(true, Relaxed);
        let ended = self.ways.drain(..).map(|(way, thread)| {
            thread.join().expect("the relay has not failed");
            Passage { passed: way.passed.load(Relaxed), lost: way.lost.load(Relaxed) }
        });
        ended.collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn carry(from: &UdpSocket, to: &UdpSocket, party: SocketAddr, mut loss: Loss, way: &Way, stop: &AtomicBool) {
    let mut datagram = [0; 65_536];
    while !stop.load(Relaxed) {
        let Ok((len, _)) = from.recv_from(&mut datagram) else { continue };
        if loss.loses_next() {
            way.lost.fetch_add(1, Relaxed);
        } else if to.send_to(&datagram[..len], party).is_ok() {
            way.passed.fetch_add(1, Relaxed);
        }
    }
}

/// Which datagrams are lost: SplitMix64, so that a seed says it all.
struct Loss {
    per_mille: u64,
    state: u64,
}

impl Loss {
    fn loses_next(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 1_000 < self.per_mille
    }
}
