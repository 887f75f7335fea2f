//! The non-INVITE client transaction (RFC 3261 section 17.1.2).

use super::action::{ClientActions, ClientReport, ClientSend};
use super::time::{Deadline, Moment};
use super::timing::{Interval, Timing};

/// The states of a non-INVITE client transaction (RFC 3261 figure 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonInviteClientState {
    /// A final response has come: its copies are absorbed until timer K.
    Completed,
    /// A provisional response has come.
    Proceeding,
    /// Over; the owner drops the machine.
    Terminated,
    /// The request is out, nothing has come back.
    Trying,
}

/// A non-INVITE client transaction: state and timers only.
///
/// ```text
///        start: send request, set E (unreliable) and F
///            |
///            v        E: send request, E = min(2E, T2)
///       +--------+ <-+
///    +--| Trying |---+----------- F or transport error: report -----+
///    |  +--------+                                                  |
///    |       | 1xx: report                                          |
///    |       v                                                      |
///    |  +------------+ <-+ 1xx: report                              |
///    |  | Proceeding |---+ E: send request, E = T2                  |
///    |  +------------+------- F or transport error: report -------->|
///    |       |                                                      |
///    +-------+ 200-699: report, set K                               |
///            v                                                      v
///      +-----------+                                          +------------+
///      | Completed |------------------- K ------------------->| Terminated |
///      +-----------+                                          +------------+
/// ```
///
/// | State      | 1xx        | 200-699   | E                | F           | K   | transport error |
/// |------------|------------|-----------|------------------|-------------|-----|-----------------|
/// | Trying     | Proceeding | Completed | resend, doubling | report, end | -   | report, end     |
/// | Proceeding | report     | Completed | resend, T2       | report, end | -   | report, end     |
/// | Completed  | absorbed   | absorbed  | -                | -           | end | ignored         |
///
/// On reliable transports E is not set and K is zero: the final response ends the machine at once.
#[derive(Clone, Copy, Debug)]
pub struct NonInviteClient {
    /// Timer E.
    retransmit: Deadline,
    /// Timer F or K, by state.
    expire: Deadline,
    interval: Interval,
    state: NonInviteClientState,
    reliable: bool,
}

impl NonInviteClient {
    /// Begins a transaction: the returned actions say to send the request.
    pub fn start(now: Moment, reliable: bool, timing: &Timing) -> (Self, ClientActions) {
        let interval = timing.first_interval();
        let machine = Self {
            retransmit: if reliable { Deadline::UNSET } else { Deadline::after(now, interval.duration()) },
            expire: Deadline::after(now, timing.timer_f()),
            interval,
            state: NonInviteClientState::Trying,
            reliable,
        };
        (machine, ClientActions::send(ClientSend::Request))
    }

    /// Takes a response that matched this transaction.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> ClientActions {
        use NonInviteClientState::{Completed, Proceeding, Terminated, Trying};
        match (self.state, status) {
            (Trying | Proceeding, 100..=199) => {
                // E keeps its time; its next interval is T2 (RFC 3261 section 17.1.2.2).
                self.state = Proceeding;
                ClientActions::report(ClientReport::Response)
            }
            (Trying | Proceeding, 200..=699) => {
                let actions = ClientActions::report(ClientReport::Response);
                if self.reliable {
                    self.enter(Terminated, Deadline::UNSET);
                    return actions.ended();
                }
                self.enter(Completed, Deadline::after(now, timing.timer_k(false)));
                actions
            }
            (Completed | Proceeding | Terminated | Trying, _) => ClientActions::NONE,
        }
    }

    /// Fires what is due at `now`; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment, timing: &Timing) -> ClientActions {
        // F before E: when both are due the request is not sent once more just to be given up.
        if self.expire.is_due(now) {
            let was_completed = self.state == NonInviteClientState::Completed;
            self.enter(NonInviteClientState::Terminated, Deadline::UNSET);
            return if was_completed {
                ClientActions::NONE.ended()
            } else {
                ClientActions::report(ClientReport::TimedOut).ended()
            };
        }
        if self.retransmit.is_due(now) {
            self.interval = if self.state == NonInviteClientState::Proceeding {
                timing.slow_interval()
            } else {
                self.interval.doubled_up_to_t2(timing)
            };
            self.retransmit = Deadline::after(now, self.interval.duration());
            return ClientActions::send(ClientSend::Request);
        }
        ClientActions::NONE
    }

    /// Takes the news that the request could not be sent (RFC 3261 section 17.1.4).
    pub fn handle_transport_error(&mut self, _now: Moment) -> ClientActions {
        match self.state {
            NonInviteClientState::Proceeding | NonInviteClientState::Trying => {
                self.enter(NonInviteClientState::Terminated, Deadline::UNSET);
                ClientActions::report(ClientReport::TransportError).ended()
            }
            NonInviteClientState::Completed | NonInviteClientState::Terminated => ClientActions::NONE,
        }
    }

    /// When `handle_timeout` is wanted next; `None` when no timer is set.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.retransmit.earlier(self.expire).moment()
    }

    /// Whether the request may have to be sent again.
    pub fn needs_buffer(&self) -> bool {
        self.retransmit != Deadline::UNSET
    }

    /// The state of the machine.
    pub fn state(&self) -> NonInviteClientState {
        self.state
    }

    fn enter(&mut self, state: NonInviteClientState, expire: Deadline) {
        self.state = state;
        self.expire = expire;
        self.retransmit = Deadline::UNSET;
    }
}
