//! The INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 sections 7.2 and 8.4).

use super::action::{ClientActions, ClientReport, ClientSend};
use super::time::{Deadline, Moment};
use super::timing::{Interval, Timing};

/// The states of an INVITE client transaction (RFC 6026 section 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InviteClientState {
    /// A 2xx has come: further 2xx are passed up until timer M.
    Accepted,
    /// The INVITE is out, nothing has come back.
    Calling,
    /// A 300-699 has come and was acknowledged: its copies are absorbed until timer D.
    Completed,
    /// A provisional response has come.
    Proceeding,
    /// Over; the owner drops the machine.
    Terminated,
}

/// An INVITE client transaction: state and timers only.
///
/// ```text
///             start: send INVITE, set A (unreliable) and B
///                 |
///                 v        A: send INVITE, A doubles
///            +---------+ <-+
///     +------| Calling |---+                 B or transport error: report
///     |      +---------+-------------------------------------------------+
///     |         | 1xx: report, stop A and B                              |
///     |         v                                                        |
///     |   +------------+ <-+ 1xx: report                                 |
///     |   | Proceeding |---+                                             |
///     |   +------------+                                                 |
///     | 2xx: |      | 300-699: send ACK, report, set D                   |
///     | report      v          (both also from Calling)                  |
///     | set M  +-----------+ <-+ 300-699: send ACK                       |
///     |      | | Completed |---+                                         |
///     v      v +-----------+-------- D, transport error: report -------->|
///   +----------+ <-+ 2xx: report                                         v
///   | Accepted |---+                                              +------------+
///   +----------+------------------- M --------------------------->| Terminated |
///                                                                 +------------+
/// ```
///
/// | State      | 1xx        | 2xx        | 300-699     | A      | B           | D, M | transport error |
/// |------------|------------|------------|-------------|--------|-------------|------|-----------------|
/// | Calling    | Proceeding | Accepted   | Completed   | resend | report, end | -    | report, end     |
/// | Proceeding | report     | Accepted   | Completed   | -      | -           | -    | ignored         |
/// | Completed  | absorbed   | absorbed   | ACK again   | -      | -           | end  | report, end     |
/// | Accepted   | absorbed   | report     | absorbed    | -      | -           | end  | ignored         |
///
/// On reliable transports A is not set and D is zero: a 300-699 ends the machine at once. Once a
/// provisional response is in, only Timer C bounds the wait ([`super::ProxyTimerC`]). A transport
/// error in Proceeding or Accepted is not an answer to anything this machine sent and is ignored.
#[derive(Clone, Copy, Debug)]
pub struct InviteClient {
    /// Timer A.
    retransmit: Deadline,
    /// Timer B, D or M, by state.
    expire: Deadline,
    interval: Interval,
    state: InviteClientState,
    reliable: bool,
}

impl InviteClient {
    /// Begins a transaction: the returned actions say to send the INVITE.
    pub fn start(now: Moment, reliable: bool, timing: &Timing) -> (Self, ClientActions) {
        let interval = timing.first_interval();
        let machine = Self {
            retransmit: if reliable { Deadline::UNSET } else { Deadline::after(now, interval.duration()) },
            expire: Deadline::after(now, timing.timer_b()),
            interval,
            state: InviteClientState::Calling,
            reliable,
        };
        (machine, ClientActions::send(ClientSend::Request))
    }

    /// Takes a response that matched this transaction.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> ClientActions {
        use InviteClientState::{Accepted, Calling, Completed, Proceeding, Terminated};
        match (self.state, status) {
            (Calling | Proceeding, 100..=199) => {
                self.enter(Proceeding, Deadline::UNSET);
                ClientActions::report(ClientReport::Response)
            }
            (Calling | Proceeding, 200..=299) => {
                self.enter(Accepted, Deadline::after(now, timing.timer_m()));
                ClientActions::report(ClientReport::Response)
            }
            (Calling | Proceeding, 300..=699) => {
                let actions =
                    ClientActions { send: Some(ClientSend::Ack), ..ClientActions::report(ClientReport::Response) };
                if self.reliable {
                    self.enter(Terminated, Deadline::UNSET);
                    return actions.ended();
                }
                self.enter(Completed, Deadline::after(now, timing.timer_d(false)));
                actions
            }
            (Accepted, 200..=299) => ClientActions::report(ClientReport::Response),
            (Completed, 300..=699) => ClientActions::send(ClientSend::Ack),
            (Accepted | Calling | Completed | Proceeding | Terminated, _) => ClientActions::NONE,
        }
    }

    /// Fires what is due at `now`; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment, _timing: &Timing) -> ClientActions {
        // B before A: when both are due the INVITE is not sent once more just to be given up.
        if self.expire.is_due(now) {
            let was_calling = self.state == InviteClientState::Calling;
            self.enter(InviteClientState::Terminated, Deadline::UNSET);
            return if was_calling {
                ClientActions::report(ClientReport::TimedOut).ended()
            } else {
                ClientActions::NONE.ended()
            };
        }
        if self.retransmit.is_due(now) {
            self.interval = self.interval.doubled();
            self.retransmit = Deadline::after(now, self.interval.duration());
            return ClientActions::send(ClientSend::Request);
        }
        ClientActions::NONE
    }

    /// Takes the news that the INVITE or the ACK could not be sent (RFC 3261 section 17.1.4).
    pub fn handle_transport_error(&mut self, _now: Moment) -> ClientActions {
        match self.state {
            InviteClientState::Calling | InviteClientState::Completed => {
                self.enter(InviteClientState::Terminated, Deadline::UNSET);
                ClientActions::report(ClientReport::TransportError).ended()
            }
            InviteClientState::Accepted | InviteClientState::Proceeding | InviteClientState::Terminated => {
                ClientActions::NONE
            }
        }
    }

    /// When `handle_timeout` is wanted next; `None` when no timer is set.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.retransmit.earlier(self.expire).moment()
    }

    /// Whether the INVITE (Calling) or the ACK (Completed) may have to be sent again.
    pub fn needs_buffer(&self) -> bool {
        matches!(self.state, InviteClientState::Calling | InviteClientState::Completed)
    }

    /// The state of the machine.
    pub fn state(&self) -> InviteClientState {
        self.state
    }

    fn enter(&mut self, state: InviteClientState, expire: Deadline) {
        self.state = state;
        self.expire = expire;
        // Timer A runs in Calling only, and no transition leads back there.
        self.retransmit = Deadline::UNSET;
    }
}
