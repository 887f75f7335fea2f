//! The agent's timers, ordered by time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::servers::ServerKey;

/// Round-trip estimate (RFC 3261 section 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest pause between retransmissions (RFC 3261 section 17.1.2.1).
pub const T2: Duration = Duration::from_secs(4);
/// When a transaction is given up: timers B, F and H (RFC 3261 table 4).
pub const GIVE_UP: Duration = Duration::from_secs(32);
/// How long ended transactions and calls are remembered, to know repetitions.
pub const MEMORY: Duration = Duration::from_secs(40);

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    Call(u64, Step),
    Client(String, Due),
    /// Own OPTIONS to a name of an SBC.
    Heartbeat(String),
    Options,
    Server(ServerKey, Due),
}

/// What is due in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Forget,
    GiveUp,
    Retransmit,
}

/// What is due in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Cancel,
    Decide,
    /// The other side should have said more than 100.
    Failover,
    Forget,
    HangUp,
    Hold,
    Limit,
    /// The final NOTIFY of a transfer should be here.
    NotifyDue,
    Refer,
    Refresh,
    /// The 2xx with this CSeq has no ACK yet (RFC 3261 section 13.3.1.4).
    RepeatAnswer(u32),
    Resume,
    Ring,
    /// One of several provisional answers, by its place in the script.
    RingOf(usize),
}

/// Timers in order; those that no longer matter are found out when they fire.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<(Instant, u64), Timer>,
    next: u64,
}

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, after: Duration, timer: Timer) {
        self.next += 1;
        self.due.insert((Instant::now() + after, self.next), timer);
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
