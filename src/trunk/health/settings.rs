//! How the targets of a trunk are watched.

use std::time::Duration;

use super::{By, Event, Outcome};
use crate::trunk::TrunkKind;

/// How the targets of a trunk are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one OPTIONS to the next while a target is up; `None`: none are sent, calls alone tell.
    pub interval: Option<Duration>,
    /// How long each place behind a target has to answer OPTIONS.
    pub timeout: Duration,
    /// Failures in a row, at least one, that make a target down.
    pub down_after: u8,
    /// Good answers in a row, at least one, that make a target up which was down.
    pub up_after: u8,
    /// Answers to OPTIONS that show a target to be there.
    pub alive: Alive,
}

/// Answers to OPTIONS that show a target to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Alive {
    /// All but 408 and 503: who refuses OPTIONS is there too.
    #[default]
    Usual,
    /// Those listed.
    Listed(Vec<u16>),
}

impl Settings {
    /// Where Teams wants to see an SBC (`options_interval_s` of kind teams): once a minute.
    pub const TEAMS_INTERVAL: Duration = Duration::from_secs(60);

    /// The defaults of a kind of trunk: Teams is asked, since it takes no calls from an edge that never asks; others are
    /// known by their calls until the operator wants them to be asked.
    pub fn of_kind(kind: TrunkKind) -> Self {
        Self {
            interval: (kind == TrunkKind::Teams).then_some(Self::TEAMS_INTERVAL),
            timeout: Duration::from_secs(5),
            down_after: 2,
            up_after: 1,
            alive: Alive::Usual,
        }
    }

    /// What an event says about a target.
    pub(super) fn verdict(&self, event: Event) -> Verdict {
        match event.what {
            Outcome::Answered { status, retry_after } => match (self.is_alive(event.by, status), retry_after) {
                (true, _) => Verdict::Alive,
                (false, Some(wait)) if status == 503 && !wait.is_zero() => Verdict::Wait(wait.min(LONGEST_WAIT)),
                (false, _) => Verdict::Missed,
            },
            Outcome::Silent | Outcome::Unresolved => Verdict::Missed,
            Outcome::NotSent(fault) if fault.counts_at_once() => Verdict::Gone,
            Outcome::NotSent(_) => Verdict::Missed,
        }
    }

    /// A 408 that answers a call comes from farther on: the target has passed the call there.
    fn is_alive(&self, by: By, status: u16) -> bool {
        match (by, &self.alive) {
            (By::Call, _) => status != 503,
            (By::Options, Alive::Usual) => !matches!(status, 408 | 503),
            (By::Options, Alive::Listed(codes)) => codes.contains(&status),
        }
    }

    /// Whether an answer to OPTIONS shows the target to be there.
    pub fn takes_for_alive(&self, status: u16) -> bool {
        self.is_alive(By::Options, status)
    }
}

/// The longest that a Retry-After takes a target out: a peer may mean the one call that it refused by it.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What an event says about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Alive,
    /// Counts together with others in a row.
    Missed,
    /// Counts at once.
    Gone,
    /// It asks to be left alone for so long.
    Wait(Duration),
}
