//! What passes over one connection, and what is still under way over it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counts of one connection.
#[derive(Default)]
pub(super) struct Meter {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    /// The last message in either direction, in milliseconds of the transports' clock.
    last: AtomicU64,
    /// Requests of the peer that have no final answer yet.
    asked: AtomicU32,
    /// Requests to the peer that have no final answer yet.
    asking: AtomicU32,
}

/// What a message does to the transactions over a connection. A final answer that is sent again, as a 2xx to an INVITE
/// may be, makes the count too small by one; so nothing may hang on it but how soon a quiet connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begins,
    Ends,
    Neither,
}

impl Step {
    /// By the start line of a message.
    pub(super) fn of(message: &[u8]) -> Self {
        match message.strip_prefix(b"SIP/2.0 ") {
            Some(status) if status.first().is_some_and(|digit| *digit >= b'2') => Self::Ends,
            Some(_) => Self::Neither,
            // An ACK is never answered, and a keep-alive is no message.
            None if message.starts_with(b"ACK ") || message.first().is_none_or(u8::is_ascii_whitespace) => {
                Self::Neither
            }
            None => Self::Begins,
        }
    }
}

/// A moment's view of a connection's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub received: u64,
    pub received_bytes: u64,
    pub sent: u64,
    pub sent_bytes: u64,
    /// Requests in both directions without a final answer.
    pub under_way: u32,
}

impl Meter {
    /// A message has come.
    pub(super) fn received(&self, message: &[u8], now: u64) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.received_bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        match Step::of(message) {
            Step::Begins => _ = self.asked.fetch_add(1, Ordering::Relaxed),
            Step::Ends => less(&self.asking),
            Step::Neither => {}
        }
    }

    /// A message is about to be sent: counted before its answer can come.
    pub(super) fn sending(&self, step: Step) {
        if step == Step::Begins {
            self.asking.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It was not taken.
    pub(super) fn not_sent(&self, step: Step) {
        if step == Step::Begins {
            less(&self.asking);
        }
    }

    /// It was taken.
    pub(super) fn sent(&self, step: Step, bytes: usize, now: u64) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        if step == Step::Ends {
            less(&self.asked);
        }
    }

    /// Whether a request is without a final answer.
    pub(super) fn is_busy(&self) -> bool {
        self.asked.load(Ordering::Relaxed) > 0 || self.asking.load(Ordering::Relaxed) > 0
    }

    /// When the last message passed, in milliseconds of the transports' clock; zero: none yet.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    pub(super) fn passed(&self) -> Passed {
        let asked = self.asked.load(Ordering::Relaxed);
        Passed {
            received: self.received.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            under_way: asked.saturating_add(self.asking.load(Ordering::Relaxed)),
        }
    }
}

fn less(count: &AtomicU32) {
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_under_way_until_its_final_answer_in_either_direction() {
        let meter = Meter::default();
        meter.received(b"INVITE sip:a SIP/2.0\r\n", 5);
        assert!(meter.is_busy());
        for provisional in [b"SIP/2.0 100 Trying\r\n".as_slice(), b"SIP/2.0 183 Working"] {
            meter.sent(Step::of(provisional), 20, 6);
        }
        assert!(meter.is_busy());
        meter.sent(Step::of(b"SIP/2.0 486 Busy Here\r\n"), 20, 7);
        meter.received(b"ACK sip:a SIP/2.0\r\n", 8);
        assert!(!meter.is_busy());

        let options = Step::of(b"OPTIONS sip:b SIP/2.0\r\n");
        meter.sending(options);
        meter.sent(options, 100, 9);
        assert!(meter.is_busy());
        meter.received(b"SIP/2.0 200 OK\r\n", 10);
        assert!(!meter.is_busy());
        // Sent again: it ends nothing that is not there.
        meter.received(b"SIP/2.0 200 OK\r\n", 11);
        assert!(!meter.is_busy());
        let passed = meter.passed();
        assert_eq!((passed.received, passed.sent, passed.sent_bytes, passed.under_way), (4, 4, 160, 0));
        assert_eq!(meter.last(), 11);
    }

    #[test]
    fn what_is_not_taken_is_not_under_way_and_a_keep_alive_never_is() {
        let meter = Meter::default();
        let bye = Step::of(b"BYE sip:b SIP/2.0\r\n");
        meter.sending(bye);
        meter.not_sent(bye);
        assert!(!meter.is_busy());
        assert_eq!((Step::of(b"\r\n"), Step::of(b"")), (Step::Neither, Step::Neither));
    }
}
