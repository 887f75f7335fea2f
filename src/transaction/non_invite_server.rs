//! The non-INVITE server transaction (RFC 3261 section 17.2.2).

use super::action::{ServerActions, ServerReport, ServerSend};
use super::time::{Deadline, Moment};
use super::timing::Timing;

/// The states of a non-INVITE server transaction (RFC 3261 figure 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonInviteServerState {
    /// The user will not answer (RFC 4320): copies of the request are absorbed until timer J.
    Abandoned,
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
///   +-------+----------------------------------+
///           | 200-699 from user: send, set J   | the user abandons it: set J
///           v                                  v
///     +-----------+ <-+ request: send    +-----------+ <-+ request: absorbed
///     | Completed |---+ last response    | Abandoned |---+
///     +-----------+                      +-----------+
///           | J                                | J
///           v                                  |
///     +------------+                           |
///     | Terminated |<--------------------------+
///     +------------+
/// ```
///
/// | State      | request   | user 1xx   | user 200-699 | abandon   | J   | transport error |
/// |------------|-----------|------------|--------------|-----------|-----|-----------------|
/// | Trying     | absorbed  | Proceeding | Completed    | Abandoned | -   | ignored         |
/// | Proceeding | send last | send       | Completed    | Abandoned | -   | report          |
/// | Completed  | send last | discarded  | discarded    | ignored   | end | report          |
/// | Abandoned  | absorbed  | discarded  | discarded    | ignored   | end | ignored         |
///
/// On reliable transports J is zero: the final response (or abandoning) ends the machine at once.
/// Abandoned is our own: RFC 4320 forbids a 408 to a non-INVITE request, so a proxy whose next hop ran
/// out of time stays silent; a machine dropped at that moment would take a late copy for a new request
/// and forward it once more. A transport error
/// leaves the state alone: RFC 6026 section 8.8 rewrites RFC 3261 section 17.2.4, which both server
/// machines share, and a machine that stays keeps absorbing copies instead of running them anew.
/// In Trying and Proceeding no timer runs: the user must answer or abandon in the end.
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
        Self { expire: Deadline::UNSET, state: NonInviteServerState::Trying, reliable }
    }

    /// Takes a copy of the request: the last response goes out again, or nothing does.
    pub fn handle_request(&mut self, _now: Moment) -> ServerActions {
        match self.state {
            NonInviteServerState::Completed | NonInviteServerState::Proceeding => ServerActions::send(ServerSend::Last),
            NonInviteServerState::Abandoned | NonInviteServerState::Terminated | NonInviteServerState::Trying => {
                ServerActions::NONE
            }
        }
    }

    /// Takes a response from the user; without `send` in the result it is discarded.
    pub fn handle_response(&mut self, now: Moment, status: u16, timing: &Timing) -> ServerActions {
        use NonInviteServerState::{Abandoned, Completed, Proceeding, Terminated, Trying};
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
            (Abandoned | Completed | Proceeding | Terminated | Trying, _) => ServerActions::NONE,
        }
    }

    /// Takes the user's word that it will not answer, as when the next hop ran out of time (RFC 4320).
    pub fn abandon(&mut self, now: Moment, timing: &Timing) -> ServerActions {
        match self.state {
            NonInviteServerState::Proceeding | NonInviteServerState::Trying if self.reliable => {
                self.state = NonInviteServerState::Terminated;
                ServerActions::NONE.ended()
            }
            NonInviteServerState::Proceeding | NonInviteServerState::Trying => {
                self.state = NonInviteServerState::Abandoned;
                self.expire = Deadline::after(now, timing.timer_j(false));
                ServerActions::NONE
            }
            NonInviteServerState::Abandoned | NonInviteServerState::Completed | NonInviteServerState::Terminated => {
                ServerActions::NONE
            }
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
            NonInviteServerState::Abandoned | NonInviteServerState::Terminated | NonInviteServerState::Trying => {
                ServerActions::NONE
            }
        }
    }

    /// When `handle_timeout` is wanted next; `None` when no timer is set.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.expire.moment()
    }

    /// Whether the last response may have to be sent again.
    pub fn needs_buffer(&self) -> bool {
        matches!(
            self.state,
            NonInviteServerState::Completed | NonInviteServerState::Proceeding | NonInviteServerState::Trying
        )
    }

    /// The state of the machine.
    pub fn state(&self) -> NonInviteServerState {
        self.state
    }
}
