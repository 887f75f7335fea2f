//! Reliable provisional responses (RFC 3262): the side that sends them and the side that acknowledges them, one machine
//! for each early dialog.

use super::time::{Deadline, Moment};
use super::timing::{Interval, Timing};

/// The largest first RSeq (RFC 3262 section 3).
const RSEQ_TOP: u32 = (1 << 31) - 1;

/// The side that sends reliable provisional responses of one early dialog.
///
/// ```text
///          send: RSeq + 1, set resend and expire
///  +------+ ------------------------------> +---------+ <-+
///  | Idle |                                 | Waiting |---+ resend due: send again, interval doubled
///  +------+ <------------------------------ +---------+
///      ^          PRACK with its RSeq         |     |
///      |                                      |     +-- expire: report, the INVITE is to be refused
///      +---------- final response ------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReliableServer {
    /// Of the response that was sent last; of none yet, one less than the first will have.
    rseq: u32,
    /// RSeq and CSeq of the PRACK that was taken last: its copies are answered alike.
    taken: Option<(u32, u32)>,
    resend: Deadline,
    expire: Deadline,
    interval: Interval,
    waiting: bool,
}

/// What a PRACK is to a [`ReliableServer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prack {
    /// It acknowledges what waits for it: 200, and the next response may go.
    Acknowledges,
    /// A copy of one that did: 200 again.
    Copy,
    /// It acknowledges nothing (RFC 3262 section 3): 481.
    Unmatched,
}

/// What is due at a [`ReliableServer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReliableDue {
    Nothing,
    /// Send the response again.
    Resend,
    /// Nobody acknowledged it in 64 times T1: refuse the INVITE with a 5xx.
    GiveUp,
}

impl ReliableServer {
    /// Nothing has been sent yet. `draw` is a random number, from which the first RSeq comes.
    pub fn new(draw: u32, timing: &Timing) -> Self {
        Self {
            // A first RSeq of at most 2^30 leaves room for all that a call may send.
            rseq: draw & (RSEQ_TOP >> 1),
            taken: None,
            resend: Deadline::UNSET,
            expire: Deadline::UNSET,
            interval: timing.first_interval(),
            waiting: false,
        }
    }

    /// Whether a response waits to be acknowledged: no other may be sent before.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Begins with a response; gives its RSeq.
    pub fn send(&mut self, now: Moment, timing: &Timing) -> u32 {
        self.rseq += 1;
        self.waiting = true;
        self.interval = timing.first_interval();
        self.resend = Deadline::after(now, self.interval.duration());
        self.expire = Deadline::after(now, timing.timer_h());
        self.rseq
    }

    /// Takes a PRACK by the RSeq in its RAck and its own CSeq.
    pub fn handle_prack(&mut self, rseq: u32, cseq: u32) -> Prack {
        if self.taken == Some((rseq, cseq)) {
            return Prack::Copy;
        }
        if rseq != self.rseq || !self.waiting {
            return Prack::Unmatched;
        }
        self.stop();
        self.taken = Some((rseq, cseq));
        Prack::Acknowledges
    }

    /// A final response was sent: nothing is sent again, but a late PRACK still counts (RFC 3262 section 3).
    pub fn handle_final(&mut self) {
        self.resend = Deadline::UNSET;
        self.expire = Deadline::UNSET;
    }

    /// When [`ReliableServer::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.resend.earlier(self.expire).moment()
    }

    /// Fires what is due; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment) -> ReliableDue {
        if self.expire.is_due(now) {
            self.stop();
            return ReliableDue::GiveUp;
        }
        if self.resend.is_due(now) {
            // RFC 3262 section 3: the interval doubles and has no cap of T2.
            self.interval = self.interval.doubled();
            self.resend = Deadline::after(now, self.interval.duration());
            return ReliableDue::Resend;
        }
        ReliableDue::Nothing
    }

    fn stop(&mut self) {
        self.waiting = false;
        self.handle_final();
    }
}

/// The side that acknowledges reliable provisional responses of one early dialog.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReliableClient {
    /// Of the last response in order.
    rseq: Option<u32>,
}

/// What a reliable provisional response is to a [`ReliableClient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisional {
    /// A copy of one that was taken: its PRACK may have been lost.
    Copy,
    /// The next one: acknowledge it and pass it on.
    Next,
    /// One before it is missing: it counts as not received, and will be sent again (RFC 3262 section 4).
    TooEarly,
}

impl ReliableClient {
    /// Takes a response by its RSeq; whichever comes first begins the count.
    pub fn handle(&mut self, rseq: u32) -> Provisional {
        match self.rseq {
            Some(last) if rseq <= last => Provisional::Copy,
            Some(last) if rseq - last > 1 => Provisional::TooEarly,
            _ => {
                self.rseq = Some(rseq);
                Provisional::Next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIMING: Timing = Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        timer_c: Duration::from_secs(181),
    };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn a_response_is_sent_again_at_doubling_intervals_until_64_t1() {
        let mut server = ReliableServer::new(9, &TIMING);
        assert_eq!(server.next_timeout(), None);
        assert_eq!(server.send(at(0), &TIMING), 10);
        let mut sent = Vec::new();
        loop {
            let now = server.next_timeout().expect("a timer runs");
            assert_eq!(server.handle_timeout(now - Duration::from_millis(1)), ReliableDue::Nothing);
            match server.handle_timeout(now) {
                ReliableDue::Resend => sent.push(now.as_millis()),
                ReliableDue::GiveUp => {
                    assert_eq!(now, at(32_000));
                    break;
                }
                ReliableDue::Nothing => panic!("what is due happens"),
            }
        }
        // The intervals are not capped by T2.
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!((server.next_timeout(), server.is_waiting()), (None, false));
    }

    #[test]
    fn every_prack_is_told_from_the_others() {
        use Prack::{Acknowledges, Copy, Unmatched};
        let mut server = ReliableServer::new(u32::MAX, &TIMING);
        let first = server.send(at(0), &TIMING);
        assert!((1..=RSEQ_TOP).contains(&first));
        for (rseq, cseq, wanted) in [
            (first + 1, 2, Unmatched),
            (0, 2, Unmatched),
            (first, 2, Acknowledges),
            (first, 2, Copy),
            // Another PRACK for what was acknowledged already.
            (first, 3, Unmatched),
        ] {
            assert_eq!(server.handle_prack(rseq, cseq), wanted, "{rseq} {cseq}");
        }
        assert_eq!(server.next_timeout(), None);
        assert_eq!(server.send(at(100), &TIMING), first + 1);
        assert_eq!(server.handle_prack(first, 2), Copy, "of the one before");
        assert!(server.is_waiting());
        server.handle_final();
        assert_eq!(server.next_timeout(), None);
        assert_eq!(server.handle_prack(first + 1, 4), Acknowledges, "late, after the final response");
    }

    #[test]
    fn responses_are_taken_in_order_only() {
        use Provisional::{Copy, Next, TooEarly};
        for (rseqs, wanted) in [
            (&[7, 8, 9][..], &[Next, Next, Next][..]),
            (&[7, 7, 8, 7, 8], &[Next, Copy, Next, Copy, Copy]),
            (&[7, 9, 8, 9], &[Next, TooEarly, Next, Next]),
            (&[4_294_967_295, 1], &[Next, Copy]),
        ] {
            let mut client = ReliableClient::default();
            let found: Vec<_> = rseqs.iter().map(|&rseq| client.handle(rseq)).collect();
            assert_eq!(found, wanted, "{rseqs:?}");
        }
    }
}
