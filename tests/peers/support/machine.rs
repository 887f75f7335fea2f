//! What the machine did to a measurement: on a busy one a process waits for a processor, or the kernel throws
//! datagrams away that a peer has not read in time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::sockets;

const STEP: Duration = Duration::from_millis(50);

/// Watches the machine until it is asked what it saw.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Disturbance>,
}

/// The worst that was seen.
#[derive(Clone, Debug, Default)]
pub struct Disturbance {
    /// How much too late the watch itself woke up.
    pub overslept: Duration,
    /// How long a thread of a watched process waited for a processor between two looks.
    pub waited: Duration,
    /// Datagrams that were thrown away since a socket did not read them in time.
    pub dropped: BTreeMap<SocketAddr, u64>,
}

impl Disturbance {
    /// Whether it may have made a peer send again or lose a message: half of T1 and more was lost, or the kernel threw
    /// away what one of the `peers` had not read.
    pub fn is_grave(&self, peers: &[SocketAddr]) -> bool {
        let lost = Duration::from_millis(250);
        self.overslept > lost || self.waited > lost || peers.iter().any(|peer| self.dropped.contains_key(peer))
    }
}

impl Watch {
    /// Watches processes and the UDP sockets of addresses.
    pub fn start(processes: Vec<u32>, addrs: Vec<SocketAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&processes, &addrs, &stopped));
        Self { stop, thread }
    }

    pub fn end(self) -> Disturbance {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("the watch has not failed")
    }
}

fn watch(processes: &[u32], addrs: &[SocketAddr], stop: &AtomicBool) -> Disturbance {
    let mut seen = Disturbance::default();
    let mut waits: BTreeMap<String, Duration> = BTreeMap::new();
    while !stop.load(Relaxed) {
        let before = Instant::now();
        std::thread::sleep(STEP);
        seen.overslept = seen.overslept.max(before.elapsed().saturating_sub(STEP));
        for (thread, waited) in processes.iter().flat_map(|&process| waits_of(process)) {
            if let Some(last) = waits.insert(thread, waited) {
                seen.waited = seen.waited.max(waited.saturating_sub(last));
            }
        }
        for &addr in addrs {
            // The socket may have gone already: what it told last stands.
            let dropped = sockets::dropped(addr);
            if dropped > 0 {
                seen.dropped.insert(addr, dropped);
            }
        }
    }
    seen
}

/// How long each thread of a process has waited for a processor so far.
fn waits_of(process: u32) -> Vec<(String, Duration)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let waits = tasks.filter_map(|task| {
        let path = task.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).ok()?;
        let nanos = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((path.display().to_string(), Duration::from_nanos(nanos)))
    });
    waits.collect()
}
