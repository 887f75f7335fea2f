//! Timer C: how long a proxy lets a forwarded INVITE ring (RFC 3261 sections 16.6 step 11, 16.7, 16.8).

use super::time::{Deadline, Moment};
use super::timing::Timing;

/// What a proxy does when timer C fires (RFC 3261 section 16.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerCExpiry {
    /// A provisional response has come: send a CANCEL for the branch, and wait on.
    Cancel,
    /// The branch will not answer: drop its client machine and go on as if it had answered 408.
    TimedOut,
}

/// Timer C of one branch of a proxied INVITE; 16 bytes that stand beside the client machine.
///
/// It also bounds the wait after a CANCEL: a branch that gives no final response within 64*T1 counts
/// as cancelled (RFC 3261 section 9.1). Without that bound a client machine could stay in Proceeding
/// for ever, since no timer of its own runs there.
#[derive(Clone, Copy, Debug)]
pub struct ProxyTimerC {
    deadline: Deadline,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A CANCEL was sent.
    Cancelled,
    /// A provisional response has come, so that a CANCEL may be sent.
    Proceeding,
    /// Nothing has come.
    Waiting,
}

impl ProxyTimerC {
    /// Sets the timer as the INVITE is forwarded.
    pub fn start(now: Moment, timing: &Timing) -> Self {
        Self { deadline: Deadline::after(now, timing.timer_c), phase: Phase::Waiting }
    }

    /// Takes a response of the branch: 101-199 begin the wait anew, 200-699 end it.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) {
        if self.deadline == Deadline::UNSET {
            return;
        }
        match (self.phase, status) {
            (_, 200..=699) => self.stop(),
            // A 100 comes from the next hop only and says nothing of a phone that rings.
            (Phase::Waiting, 100) => self.phase = Phase::Proceeding,
            (Phase::Waiting | Phase::Proceeding, 101..=199) => {
                self.phase = Phase::Proceeding;
                self.deadline = Deadline::after(now, timing.timer_c);
            }
            _ => {}
        }
    }

    /// Takes the news that a CANCEL goes out for the branch: a final response is due in 64*T1.
    pub fn handle_cancel(&mut self, now: Moment, timing: &Timing) {
        if self.deadline != Deadline::UNSET && self.phase != Phase::Cancelled {
            self.phase = Phase::Cancelled;
            self.deadline = Deadline::after(now, timing.timer_b());
        }
    }

    /// Stops the timer for good, as when the client machine gave up.
    pub fn stop(&mut self) {
        self.deadline = Deadline::UNSET;
    }

    /// Fires when due; harmless when called early. After `Cancel` it fires once more unless a final
    /// response comes in time.
    pub fn handle_timeout(&mut self, now: Moment, timing: &Timing) -> Option<TimerCExpiry> {
        if !self.deadline.is_due(now) {
            return None;
        }
        if self.phase == Phase::Proceeding {
            self.handle_cancel(now, timing);
            return Some(TimerCExpiry::Cancel);
        }
        self.stop();
        Some(TimerCExpiry::TimedOut)
    }

    /// When `handle_timeout` is wanted next; `None` once stopped or fired for good.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadline.moment()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T0: Moment = Moment::from_millis(1_000);

    const TIMING: Timing = Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        timer_c: Duration::from_secs(181),
    };

    fn after(seconds: u64) -> Moment {
        T0 + Duration::from_secs(seconds)
    }

    #[test]
    fn fires_once_after_more_than_three_minutes() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        assert_eq!(timer.handle_timeout(after(180), &TIMING), None);
        assert_eq!(timer.handle_timeout(after(181), &TIMING), Some(TimerCExpiry::TimedOut));
        assert_eq!(timer.handle_timeout(after(999), &TIMING), None);
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn a_100_makes_it_cancel_but_does_not_begin_it_anew() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        timer.handle_response(after(10), 100, &TIMING);
        assert_eq!(timer.next_timeout(), Some(after(181)));
        assert_eq!(timer.handle_timeout(after(181), &TIMING), Some(TimerCExpiry::Cancel));
    }

    #[test]
    fn ringing_begins_it_anew() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        timer.handle_response(after(100), 180, &TIMING);
        assert_eq!(timer.handle_timeout(after(181), &TIMING), None);
        assert_eq!(timer.next_timeout(), Some(after(281)));
    }

    #[test]
    fn a_final_response_ends_it_for_good() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        timer.handle_response(after(1), 486, &TIMING);
        timer.handle_response(after(2), 180, &TIMING);
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn a_cancelled_branch_has_64_t1_to_answer() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        timer.handle_response(after(1), 180, &TIMING);
        timer.handle_cancel(after(10), &TIMING);
        timer.handle_response(after(11), 180, &TIMING);
        timer.handle_cancel(after(12), &TIMING);
        assert_eq!(timer.next_timeout(), Some(after(42)));
        assert_eq!(timer.handle_timeout(after(42), &TIMING), Some(TimerCExpiry::TimedOut));
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn fires_again_when_its_own_cancel_stays_without_answer() {
        let mut timer = ProxyTimerC::start(T0, &TIMING);
        timer.handle_response(after(1), 100, &TIMING);
        assert_eq!(timer.handle_timeout(after(181), &TIMING), Some(TimerCExpiry::Cancel));
        assert_eq!(timer.handle_timeout(after(212), &TIMING), None);
        assert_eq!(timer.handle_timeout(after(213), &TIMING), Some(TimerCExpiry::TimedOut));
        timer.handle_cancel(after(214), &TIMING);
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn is_small() {
        assert!(size_of::<ProxyTimerC>() <= 16);
    }
}
