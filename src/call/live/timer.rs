//! The session timer of one leg (RFC 4028), as a machine: facts and the time go in, what to do comes out.
//!
//! ```text
//!            agree(None)              agree(interval, who refreshes)
//!   Off <------------------- any ----------------------------------> Running
//!
//!   Running, the edge refreshes:  half the interval  -> Refresh -> Refreshing
//!   Running, the side refreshes:  its end is near    -> Expire  -> Off
//!   Refreshing:  2xx -> agree;  408, 481, silence -> Expire -> Off;
//!                491, 422, 500 and others -> Running, with Refresh again while there is time, else Expire
//! ```
//!
//! What a message brings is read by [`agreed_by_uas`] and [`agreed_by_uac`]; what the edge says is in [`offer`] and
//! [`accept`].

mod negotiate;

use std::time::Duration;

pub use negotiate::{Agreed, accept, agreed_by_uac, agreed_by_uas, is_refresh, offer, too_small};

use crate::transaction::Moment;

/// The side that is not to refresh gives up this long before the end at the most (RFC 4028 section 10).
const MARGIN: u32 = 32;

/// A refresh that cannot be sent now is tried again after this long.
pub(super) const POSTPONED: Duration = Duration::from_secs(2);

/// Refreshes that failed are not sent again sooner than after this.
const LEAST_PAUSE: Duration = Duration::from_secs(5);

/// What the machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Refresh the session with this side.
    Refresh,
    /// The side is dead: end the call.
    Expire,
}

/// How a refresh of the edge's own was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 300 to 699; 408 when nothing came, 503 when it could not be sent.
    pub status: u16,
    /// Seconds of Retry-After.
    pub retry_after: Option<u32>,
    /// Min-SE of a 422.
    pub min_se: Option<u32>,
    /// The edge made the Call-ID of the leg (RFC 3261 section 14.1).
    pub owns_call_id: bool,
    /// Any number, for the pause after a 491.
    pub draw: u64,
}

/// The timer of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTimer {
    /// Seconds; 0: off.
    interval: u32,
    /// The least interval that the side has asked for by a 422.
    least: u32,
    /// The edge is to refresh.
    own: bool,
    /// A refresh of the edge's own is under way.
    refreshing: bool,
    /// When the edge refreshes next.
    next: Moment,
    /// When the side counts as dead.
    end: Moment,
}

impl SessionTimer {
    /// A session was set up or refreshed by a 2xx: the timer starts anew, or ends where the 2xx speaks of none
    /// (RFC 4028 section 7.2).
    pub fn agree(&mut self, now: Moment, agreed: Option<Agreed>) {
        let Some(Agreed { interval, own }) = agreed.filter(|agreed| agreed.interval > 0) else {
            *self = Self { least: self.least, ..Self::default() };
            return;
        };
        let seconds = |count| Duration::from_secs(u64::from(count));
        *self = Self {
            interval,
            least: self.least,
            own,
            refreshing: false,
            next: now + seconds(interval) / 2,
            end: now + seconds(interval - MARGIN.min(interval / 3)),
        };
    }

    /// Whether a session timer runs.
    pub const fn is_running(&self) -> bool {
        self.interval > 0
    }

    /// Whether the edge is to refresh.
    pub const fn is_own(&self) -> bool {
        self.own
    }

    /// Whether a refresh of the edge's own is under way.
    pub const fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// The Session-Expires of the edge's next refresh: what was agreed on, the edge to go on as refresher.
    pub const fn interval(&self) -> u32 {
        if self.interval < self.least { self.least } else { self.interval }
    }

    /// The least interval that the side has asked for; 0: none.
    pub const fn least(&self) -> u32 {
        self.least
    }

    /// When [`SessionTimer::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Moment> {
        let next = if self.own && !self.refreshing { self.next.min(self.end) } else { self.end };
        self.is_running().then_some(next)
    }

    /// Handles that time has passed.
    pub fn handle_timeout(&mut self, now: Moment) -> Option<Act> {
        if !self.is_running() {
            None
        } else if self.end <= now {
            *self = Self::default();
            Some(Act::Expire)
        } else if self.own && !self.refreshing && self.next <= now {
            self.refreshing = true;
            Some(Act::Refresh)
        } else {
            None
        }
    }

    /// The refresh that was asked for cannot be sent yet, since another request is under way.
    pub fn postpone(&mut self, now: Moment) {
        self.refreshing = false;
        self.next = now + POSTPONED;
    }

    /// Handles a final answer other than 2xx to the edge's own refresh (RFC 4028 section 7.3).
    pub fn handle_refusal(&mut self, now: Moment, refusal: &Refusal) -> Option<Act> {
        if !self.refreshing {
            return None;
        }
        self.refreshing = false;
        let pause = match refusal.status {
            408 | 481 => {
                *self = Self::default();
                return Some(Act::Expire);
            }
            491 => glare_pause(refusal.owns_call_id, refusal.draw),
            422 if refusal.min_se.is_some_and(|least| least > self.interval()) => {
                self.least = refusal.min_se.unwrap_or_default();
                Duration::ZERO
            }
            _ => {
                let left = self.end.since(now) / 2;
                let wanted = refusal.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)));
                wanted.unwrap_or(left).max(LEAST_PAUSE)
            }
        };
        self.next = now + pause;
        self.handle_timeout(now)
    }
}

/// How long to wait after a 491 (RFC 3261 section 14.1), in steps of 10 ms.
pub fn glare_pause(owns_call_id: bool, draw: u64) -> Duration {
    let (least, steps) = if owns_call_id { (2_100, 191) } else { (0, 201) };
    Duration::from_millis(least + draw % steps * 10)
}

#[cfg(test)]
mod tests;
