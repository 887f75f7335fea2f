//! Timer C: how long a proxy lets a forwarded INVITE ring (RFC 3261 sections 16.6 step 11, 16.7, 16.8).

use super::time::{Deadline, Moment};
use super::timing::Timing;

/// What a proxy does when timer C fires (RFC 3261 section 16.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerCExpiry {
    /// A provisional response has come: send a CANCEL for the branch.
    Cancel,
    /// Nothing has come: go on as if the branch had answered 408.
    TimedOut,
}

/// Timer C of one branch of a proxied INVITE; 16 bytes that stand beside the client machine.
#[derive(Clone, Copy, Debug)]
pub struct ProxyTimerC {
    deadline: Deadline,
    provisional: bool,
}

impl ProxyTimerC {
    /// Sets the timer as the INVITE is forwarded.
    pub fn start(now: Moment, timing: &Timing) -> Self {
        Self {
            deadline: Deadline::after(now, timing.timer_c),
            provisional: false,
        }
    }

    /// Takes a response of the branch: 101-199 begin the wait anew, 200-699 end it.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) {
        if self.deadline == Deadline::UNSET {
            return;
        }
        match status {
            // A 100 comes from the next hop only and says nothing of a phone that rings.
            100 => self.provisional = true,
            101..=199 => {
                self.provisional = true;
                self.deadline = Deadline::after(now, timing.timer_c);
            }
            200..=699 => self.deadline = Deadline::UNSET,
            _ => {}
        }
    }

    /// Stops the timer, as when the branch is cancelled or gave up for another reason.
    pub fn stop(&mut self) {
        self.deadline = Deadline::UNSET;
    }

    /// Fires when due, once; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment) -> Option<TimerCExpiry> {
        if !self.deadline.is_due(now) {
            return None;
        }
        self.deadline = Deadline::UNSET;
        Some(if self.provisional {
            TimerCExpiry::Cancel
        } else {
            TimerCExpiry::TimedOut
        })
    }

    /// When `handle_timeout` is wanted next; `None` once stopped or fired.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadline.moment()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T0: Moment = Moment::from_millis(1_000);

    fn after(seconds: u64) -> Moment {
        T0 + Duration::from_secs(seconds)
    }

    #[test]
    fn fires_once_after_more_than_three_minutes() {
        let mut timer = ProxyTimerC::start(T0, &Timing::default());
        assert_eq!(timer.handle_timeout(after(180)), None);
        assert_eq!(
            timer.handle_timeout(after(181)),
            Some(TimerCExpiry::TimedOut)
        );
        assert_eq!(timer.handle_timeout(after(999)), None);
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn a_100_makes_it_cancel_but_does_not_begin_it_anew() {
        let mut timer = ProxyTimerC::start(T0, &Timing::default());
        timer.handle_response(after(10), 100, &Timing::default());
        assert_eq!(timer.next_timeout(), Some(after(181)));
        assert_eq!(timer.handle_timeout(after(181)), Some(TimerCExpiry::Cancel));
    }

    #[test]
    fn ringing_begins_it_anew() {
        let mut timer = ProxyTimerC::start(T0, &Timing::default());
        timer.handle_response(after(100), 180, &Timing::default());
        assert_eq!(timer.handle_timeout(after(181)), None);
        assert_eq!(timer.next_timeout(), Some(after(281)));
    }

    #[test]
    fn a_final_response_ends_it_for_good() {
        let mut timer = ProxyTimerC::start(T0, &Timing::default());
        timer.handle_response(after(1), 486, &Timing::default());
        timer.handle_response(after(2), 180, &Timing::default());
        assert_eq!(timer.next_timeout(), None);
    }

    #[test]
    fn is_small() {
        assert!(size_of::<ProxyTimerC>() <= 16);
    }
}
