//! The INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 sections 7.1 and 8.7).

use super::action::{ServerActions, ServerReport, ServerSend};
use super::time::{Deadline, Moment};
use super::timing::{Interval, Timing};

/// The states of an INVITE server transaction (RFC 6026 section 8.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InviteServerState {
    /// A 2xx was sent: copies of the INVITE are absorbed and the user's 2xx pass until timer L.
    Accepted,
    /// A 300-699 was sent and waits for its ACK.
    Completed,
    /// The ACK has come: its copies are absorbed until timer I.
    Confirmed,
    /// The user has not sent a final response yet.
    Proceeding,
    /// Over; the owner drops the machine.
    Terminated,
}

/// An INVITE server transaction: state and timers only.
///
/// ```text
///         start: the user has the INVITE
///             |
///             v        INVITE: send last response, if any
///      +------------+ <-+ 1xx from user: send
///      | Proceeding |---+
///      +------------+
///        |        | 300-699 from user: send, set G (unreliable) and H
///        |        v
///        |   +-----------+ <-+ INVITE: send last response
///        |   | Completed |---+ G: send last response, G = min(2G, T2)
///        |   +-----------+--------------- H: report NoAck ----------+
///        |        | ACK: set I                                      |
///        |        v                                                 |
///        |   +-----------+ <-+ ACK, INVITE: absorbed                |
///        |   | Confirmed |---+                                      |
///        |   +-----------+------------------ I -------------------->|
///        | 2xx from user: send, set L                               v
///        |   +----------+ <-+ INVITE: absorbed               +------------+
///        +-->| Accepted |---+ 2xx from user: send            | Terminated |
///            +----------+     ACK: report                    +------------+
///                  |                                                ^
///                  +------------------------ L ---------------------+
/// ```
///
/// | State      | INVITE    | user 1xx  | user 2xx  | user 300-699 | ACK       | G      | H             | I, L |
/// |------------|-----------|-----------|-----------|--------------|-----------|--------|---------------|------|
/// | Proceeding | send last | send      | Accepted  | Completed    | absorbed  | -      | -             | -    |
/// | Completed  | send last | discarded | discarded | discarded    | Confirmed | resend | report, end   | -    |
/// | Confirmed  | absorbed  | discarded | discarded | discarded    | absorbed  | -      | -             | end  |
/// | Accepted   | absorbed  | discarded | send      | discarded    | report    | -      | -             | end  |
///
/// On reliable transports G is not set and I is zero: the ACK ends the machine at once. A transport
/// error is reported while a response may be under way (all states but Confirmed) and changes nothing
/// else (RFC 6026 section 8.8). In Proceeding no timer runs: the user must answer in the end.
#[derive(Clone, Copy, Debug)]
pub struct InviteServer {
    /// Timer G.
    retransmit: Deadline,
    /// Timer H, I or L, by state.
    expire: Deadline,
    interval: Interval,
    state: InviteServerState,
    reliable: bool,
    /// A provisional response was sent, so there is something to send again.
    responded: bool,
}

impl InviteServer {
    /// Begins a transaction for a new INVITE, which the owner passes up.
    pub fn start(_now: Moment, reliable: bool, timing: &Timing) -> Self {
        Self {
            retransmit: Deadline::UNSET,
            expire: Deadline::UNSET,
            interval: timing.first_interval(),
            state: InviteServerState::Proceeding,
            reliable,
            responded: false,
        }
    }

    /// Takes a copy of the INVITE: the last response goes out again, or nothing does.
    pub fn handle_request(&mut self, _now: Moment) -> ServerActions {
        match self.state {
            InviteServerState::Proceeding if self.responded => ServerActions::send(ServerSend::Last),
            InviteServerState::Completed => ServerActions::send(ServerSend::Last),
            InviteServerState::Accepted
            | InviteServerState::Confirmed
            | InviteServerState::Proceeding
            | InviteServerState::Terminated => ServerActions::NONE,
        }
    }

    /// Takes a response from the user; without `send` in the result it is discarded.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> ServerActions {
        use InviteServerState::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        match (self.state, status) {
            (Proceeding, 100..=199) => {
                self.responded = true;
                ServerActions::send(ServerSend::Response)
            }
            (Proceeding, 200..=299) => {
                self.enter(Accepted, Deadline::after(now, timing.timer_l()));
                ServerActions::send(ServerSend::Response)
            }
            (Proceeding, 300..=699) => {
                self.enter(Completed, Deadline::after(now, timing.timer_h()));
                if !self.reliable {
                    self.retransmit = Deadline::after(now, self.interval.duration());
                }
                ServerActions::send(ServerSend::Response)
            }
            (Accepted, 200..=299) => ServerActions::send(ServerSend::Response),
            (Accepted | Completed | Confirmed | Proceeding | Terminated, _) => ServerActions::NONE,
        }
    }

    /// Takes an ACK that matched this transaction.
    pub fn handle_ack(&mut self, now: Moment, timing: &Timing) -> ServerActions {
        match self.state {
            InviteServerState::Completed if self.reliable => {
                self.enter(InviteServerState::Terminated, Deadline::UNSET);
                ServerActions::NONE.ended()
            }
            InviteServerState::Completed => {
                self.enter(InviteServerState::Confirmed, Deadline::after(now, timing.timer_i(false)));
                ServerActions::NONE
            }
            InviteServerState::Accepted => ServerActions::report(ServerReport::Ack),
            InviteServerState::Confirmed | InviteServerState::Proceeding | InviteServerState::Terminated => {
                ServerActions::NONE
            }
        }
    }

    /// Fires what is due at `now`; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment, timing: &Timing) -> ServerActions {
        // H before G: when both are due the response is not sent once more just to be given up.
        if self.expire.is_due(now) {
            let was_completed = self.state == InviteServerState::Completed;
            self.enter(InviteServerState::Terminated, Deadline::UNSET);
            return if was_completed {
                ServerActions::report(ServerReport::NoAck).ended()
            } else {
                ServerActions::NONE.ended()
            };
        }
        if self.retransmit.is_due(now) {
            self.interval = self.interval.doubled_up_to_t2(timing);
            self.retransmit = Deadline::after(now, self.interval.duration());
            return ServerActions::send(ServerSend::Last);
        }
        ServerActions::NONE
    }

    /// Takes the news that a response could not be sent (RFC 3261 section 17.2.4, RFC 6026 section 8.8).
    pub fn handle_transport_error(&mut self, _now: Moment) -> ServerActions {
        match self.state {
            InviteServerState::Accepted | InviteServerState::Completed | InviteServerState::Proceeding => {
                ServerActions::report(ServerReport::TransportError)
            }
            InviteServerState::Confirmed | InviteServerState::Terminated => ServerActions::NONE,
        }
    }

    /// When `handle_timeout` is wanted next; `None` when no timer is set.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.retransmit.earlier(self.expire).moment()
    }

    /// Whether the last response may have to be sent again; a 2xx is never asked for twice.
    pub fn needs_buffer(&self) -> bool {
        matches!(self.state, InviteServerState::Completed | InviteServerState::Proceeding)
    }

    /// The state of the machine.
    pub fn state(&self) -> InviteServerState {
        self.state
    }

    fn enter(&mut self, state: InviteServerState, expire: Deadline) {
        self.state = state;
        self.expire = expire;
        self.retransmit = Deadline::UNSET;
    }
}
