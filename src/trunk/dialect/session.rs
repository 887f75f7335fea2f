//! Session timers with a peer (RFC 4028), and what becomes of an INVITE to it without a description.

use crate::trunk::TrunkKind;

/// Who keeps the session timer of a peer's leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timer {
    /// The edge: what one side says of it does not reach the other.
    #[default]
    Edge,
    /// Both sides between them; when the other trunk of a call has another value, as [`Timer::Edge`].
    Pass,
    /// Nobody: neither side hears of one.
    Off,
}

/// What becomes of a re-INVITE to a peer that brings no offer (RFC 3261 section 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offerless {
    /// The edge answers it with the peer's last description, and asks the peer only where the answer differs.
    Insert,
    /// It goes to the peer.
    Pass,
    /// It is answered with 488 (RFC 3261 section 21.4.26).
    Refuse,
}

/// Session timers with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub timer: Timer,
    /// Seconds that the edge asks for as Session-Expires.
    pub expires: u32,
    /// The fewest seconds that the edge takes, its Min-SE; not over `expires`.
    pub min: u32,
    pub offerless: Offerless,
}

/// The fewest seconds that a session may last without a refresh (RFC 4028 section 4).
pub const LEAST: u32 = 90;

/// The most seconds that the edge asks for or is talked into.
pub const MOST: u32 = 86_400;

impl Session {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        // Teams refuses an INVITE without an offer.
        let offerless = if kind == TrunkKind::Teams { Offerless::Insert } else { Offerless::Pass };
        Self { timer: Timer::Edge, expires: 1_800, min: LEAST, offerless }
    }

    /// Who keeps the timer of this peer's leg in a call with `other`.
    pub fn timer_beside(&self, other: &Self) -> Timer {
        match (self.timer, other.timer) {
            (Timer::Pass, Timer::Pass) => Timer::Pass,
            (Timer::Pass, _) => Timer::Edge,
            (own, _) => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_passes_between_two_sides_that_both_have_it_pass() {
        let session = |timer| Session { timer, ..Session::of_kind(TrunkKind::Pbx) };
        for (own, other, kept) in [
            (Timer::Edge, Timer::Edge, Timer::Edge),
            (Timer::Edge, Timer::Pass, Timer::Edge),
            (Timer::Pass, Timer::Pass, Timer::Pass),
            (Timer::Pass, Timer::Edge, Timer::Edge),
            (Timer::Pass, Timer::Off, Timer::Edge),
            (Timer::Off, Timer::Pass, Timer::Off),
        ] {
            assert_eq!(session(own).timer_beside(&session(other)), kept, "{own:?} beside {other:?}");
        }
    }
}
