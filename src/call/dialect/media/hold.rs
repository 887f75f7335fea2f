//! Hold, from one side's way of saying it to the other's (RFC 3264 section 8.4, RFC 6337 section 5.3).
//!
//! Teams knows `a=inactive` only: whatever else a side says by which nothing flows one way becomes that, and Teams'
//! `inactive` becomes what the side expects by RFC 3264: the counterpart of what it offered. A call that begins on hold
//! would be refused by Teams: its first offer becomes `sendrecv`, its answer what the caller's offer allows.

use super::super::Passing;
use crate::call::seal::Hold;
use crate::sdp::{Direction, Outline, Stream};
use crate::trunk::dialect::media::Holding;

/// What a description is in its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Offer,
    /// An offer that the other side asked for by a request without one.
    Asked,
    /// The answer to this offer, as the side made it that gets the answer.
    Answer(Outline),
    /// An answer to an offer that is not known any more.
    Reply,
}

impl Role {
    /// The role of the description in a message. What comes in an ACK or a PRACK answers an earlier answer.
    pub(super) fn of(passing: &Passing<'_>) -> Self {
        match passing.offer {
            _ if passing.message.is_request() && matches!(passing.method, b"ACK" | b"PRACK") => Self::Reply,
            _ if passing.message.is_request() => Self::Offer,
            offer => Self::answering(offer),
        }
    }

    /// The role of what comes back for a request with this offer or none.
    pub(super) fn answering(offer: Option<Outline>) -> Self {
        offer.map_or(Self::Asked, Self::Answer)
    }
}

/// The two sides between which a description passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parties {
    /// How the sender says that it holds.
    pub from: Holding,
    /// How the other side wants to be told.
    pub to: Holding,
    /// Who holds by now; *near* is the sender.
    pub before: Hold,
    /// The exchange begins the call.
    pub first: bool,
}

impl Parties {
    pub(super) fn of(passing: &Passing<'_>) -> Self {
        Self {
            from: passing.from.dialect.media.hold,
            to: passing.to.dialect.media.hold,
            before: passing.hold,
            first: passing.initial,
        }
    }

    /// Whether nothing is ever changed between the two.
    pub(super) fn agree(&self) -> bool {
        (self.from, self.to) == (Holding::AsIs, Holding::AsIs)
    }

    /// Whether 0.0.0.0 must not reach the side.
    pub(super) fn moves_nowhere(&self) -> bool {
        self.to == Holding::Inactive
    }

    /// The direction in which a stream is shown to the other side.
    pub(super) fn passed(&self, role: Role, stream: Stream) -> Direction {
        let direction = stream.direction;
        match role {
            Role::Offer => self.offered(direction),
            // What was asked for afresh is what the side would do if it were not held.
            Role::Asked => match self.offered(direction) {
                Direction::RecvOnly if direction == Direction::Inactive => Direction::SendRecv,
                offered => offered,
            },
            Role::Answer(offer) => {
                // What is said for all streams is judged by the first of the offer.
                let offer = offer.stream(stream.index.unwrap_or_default());
                offer.map_or_else(|| self.replied(direction), |offer| self.answered(offer, direction))
            }
            Role::Reply => self.replied(direction),
        }
    }

    fn offered(&self, direction: Direction) -> Direction {
        let (sender_holds, other_holds) = sides(self.before);
        match (self.to, direction) {
            (Holding::Inactive, _) if self.first => Direction::SendRecv,
            (Holding::Inactive, Direction::SendRecv) => Direction::SendRecv,
            (Holding::Inactive, _) => Direction::Inactive,
            // The sender only repeats how it was told that the other side holds.
            (_, Direction::Inactive) if self.from == Holding::Inactive && other_holds && !sender_holds => {
                Direction::RecvOnly
            }
            (Holding::SendOnly, Direction::Inactive) => Direction::SendOnly,
            _ => direction,
        }
    }

    fn answered(&self, offer: Direction, direction: Direction) -> Direction {
        let asked = self.turned().offered(offer);
        let (sender_holds, _) = sides(self.before);
        let said = match asked {
            _ if asked == offer => direction,
            // It was left no other answer.
            Direction::Inactive if !sender_holds => offer.turned(),
            _ => direction.within(offer),
        };
        match self.to {
            Holding::Inactive if self.first && said != Direction::Inactive => Direction::SendRecv.within(offer),
            Holding::Inactive if said.within(offer) != Direction::SendRecv => Direction::Inactive,
            Holding::SendOnly if said == Direction::Inactive && asked == offer && offer.receives() => {
                Direction::SendOnly
            }
            _ => said,
        }
    }

    fn replied(&self, direction: Direction) -> Direction {
        match self.to {
            Holding::Inactive if direction != Direction::SendRecv => Direction::Inactive,
            _ => direction,
        }
    }

    /// The same two with the parts of sender and receiver exchanged.
    fn turned(&self) -> Self {
        Self { from: self.to, to: self.from, before: self.before.turned(), first: self.first }
    }

    /// Who holds once a description has passed; *near* is its sender.
    ///
    /// A side holds when it takes nothing. `inactive` says so only where the other side does not hold itself: else it may
    /// be no more than the counterpart.
    pub(super) fn after(&self, role: Role, outline: Option<Outline>) -> Hold {
        let mut before = self.before;
        if let Role::Answer(offer) = role {
            before = self.turned().after(Role::Offer, Some(offer)).turned();
        }
        let Some(direction) = outline.map(|outline| outline.direction()) else { return before };
        let (sender, other) = sides(before);
        let holds = match (role, direction) {
            (_, Direction::SendRecv | Direction::RecvOnly) => false,
            // On its way to a side that takes no such offer it becomes one without hold.
            (Role::Offer | Role::Asked, _) if self.first => false,
            (Role::Offer | Role::Asked, Direction::SendOnly) => true,
            (Role::Offer | Role::Asked, Direction::Inactive) => sender || !other,
            (Role::Answer(_), Direction::SendOnly) if self.first => false,
            (Role::Answer(offer), _) if offer.direction() == Direction::SendRecv => true,
            (Role::Answer(_) | Role::Reply, _) => sender,
        };
        hold_of(holds, other)
    }
}

/// Whether the near and the far side hold.
const fn sides(hold: Hold) -> (bool, bool) {
    match hold {
        Hold::None => (false, false),
        Hold::Near => (true, false),
        Hold::Far => (false, true),
        Hold::Both => (true, true),
    }
}

const fn hold_of(near: bool, far: bool) -> Hold {
    match (near, far) {
        (false, false) => Hold::None,
        (true, false) => Hold::Near,
        (false, true) => Hold::Far,
        (true, true) => Hold::Both,
    }
}
