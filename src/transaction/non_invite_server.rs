//! The non-INVITE server transaction (RFC 3261 section 17.2.2).

use super::action::{ServerActions, ServerReport, ServerSend};
use super::time::{Deadline, Moment};
use super::timing::Timing;

/// The states of a non-INVITE server transaction (RFC 3261 figure 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonInviteServerState {
    /// The final response was sent: it goes out again for copies of the request until timer J.
    Completed,
    /// A provisional response was sent.
    Proceeding,
    /// Over; the owner drops the machine.
    Terminated,
    /// The user has the request and has sent nothing.
    Trying,
}

/// A non-INVITE server transaction: state and one timer only.
///
/// ```text
///       start: the user has the request
///           |
///           v
///      +--------+ <-+ request: absorbed
///   +--| Trying |---+
///   |  +--------+
///   |       | 1xx from user: send
///   |       v
///   |  +------------+ <-+ request: send last response
///   |  | Proceeding |---+ 1xx from user: send
///   |  +------------+
///   |       |
///   +-------+ 200-699 from user: send, set J
///           v
///     +-----------+ <-+ request: send last response
///     | Completed |---+
///     +-----------+
///           | J
///           v
///     +------------+
///     | Terminated |
///     +------------+
/// ```
///
/// | State      | request   | user 1xx   | user 200-699 | J   | transport error |
/// |------------|-----------|------------|--------------|-----|-----------------|
/// | Trying     | absorbed  | Proceeding | Completed    | -   | ignored         |
/// | Proceeding | send last | send       | Completed    | -   | report          |
/// | Completed  | send last | discarded  | discarded    | end | report          |
///
/// On reliable transports J is zero: the final response ends the machine at once. A transport error
/// leaves the state alone: RFC 6026 section 8.8 rewrites RFC 3261 section 17.2.4, which both server
/// machines share, and a machine that stays keeps absorbing copies instead of running them anew.
/// In Trying and Proceeding no timer runs: the user must answer in the end.
#[derive(Clone, Copy, Debug)]
pub struct NonInviteServer {
    /// Timer J.
    expire: Deadline,
    state: NonInviteServerState,
    reliable: bool,
}

impl NonInviteServer {
    /// Begins a transaction for a new request, which the owner passes up.
    pub fn start(_now: Moment, reliable: bool, _timing: &Timing) -> Self {
        Self {
            expire: Deadline::UNSET,
            state: NonInviteServerState::Trying,
            reliable,
        }
    }

    /// Takes a copy of the request: the last response goes out again, or nothing does.
    pub fn handle_request(&mut self, _now: Moment) -> ServerActions {
        match self.state {
            NonInviteServerState::Completed | NonInviteServerState::Proceeding => {
                ServerActions::send(ServerSend::Last)
            }
            NonInviteServerState::Terminated | NonInviteServerState::Trying => ServerActions::NONE,
        }
    }

    /// Takes a response from the user; without `send` in the result it is discarded.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> ServerActions {
        use NonInviteServerState::{Completed, Proceeding, Terminated, Trying};
        match (self.state, status) {
            (Trying | Proceeding, 100..=199) => {
                self.state = Proceeding;
                ServerActions::send(ServerSend::Response)
            }
            (Trying | Proceeding, 200..=699) if self.reliable => {
                self.state = Terminated;
                ServerActions::send(ServerSend::Response).ended()
            }
            (Trying | Proceeding, 200..=699) => {
                self.state = Completed;
                self.expire = Deadline::after(now, timing.timer_j(false));
                ServerActions::send(ServerSend::Response)
            }
            (Completed | Proceeding | Terminated | Trying, _) => ServerActions::NONE,
        }
    }

    /// Fires what is due at `now`; harmless when called early.
    pub fn handle_timeout(&mut self, now: Moment, _timing: &Timing) -> ServerActions {
        if !self.expire.is_due(now) {
            return ServerActions::NONE;
        }
        self.state = NonInviteServerState::Terminated;
        self.expire = Deadline::UNSET;
        ServerActions::NONE.ended()
    }

    /// Takes the news that a response could not be sent (RFC 3261 section 17.2.4, RFC 6026 section 8.8).
    pub fn handle_transport_error(&mut self, _now: Moment) -> ServerActions {
        match self.state {
            NonInviteServerState::Completed | NonInviteServerState::Proceeding => {
                ServerActions::report(ServerReport::TransportError)
            }
            NonInviteServerState::Terminated | NonInviteServerState::Trying => ServerActions::NONE,
        }
    }

    /// When `handle_timeout` is wanted next; `None` when no timer is set.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.expire.moment()
    }

    /// Whether the last response may have to be sent again.
    pub fn needs_buffer(&self) -> bool {
        self.state != NonInviteServerState::Terminated
    }

    /// The state of the machine.
    pub fn state(&self) -> NonInviteServerState {
        self.state
    }
}
