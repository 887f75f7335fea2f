//! One subscription: what is known of it between events.

use std::sync::Arc;

use super::leg::Leg;
use super::{Package, Standing};
use crate::presence::{Line, Report, TenantKey, UserKey};
use crate::transaction::Moment;
use crate::trunk::TrunkId;

/// Whose state it brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Line {
        user: UserKey,
        index: u8,
        package: Package,
    },
    /// All lines of the tenant, by a resource list.
    List,
}

/// How far the subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits after a failure.
    Resting { until: Moment },
    /// Stands in the trunk's line for its first SUBSCRIBE.
    Queued,
    /// The first SUBSCRIBE is under way.
    Asking,
    /// It was accepted; the first NOTIFY must come until then (RFC 6665 section 4.1.2.4, timer N).
    Accepted { until: Moment },
    /// There is a dialog at least.
    Up,
    /// Nobody wants it any more; it is forgotten then at the latest.
    Leaving { until: Moment },
}

#[derive(Debug)]
pub(super) struct Subscription {
    /// Tells one from another that had the same place.
    pub(super) generation: u32,
    /// Counts the attempts: each has a Call-ID and a tag of its own.
    pub(super) attempt: u32,
    pub(super) tenant: TenantKey,
    pub(super) target: Target,
    pub(super) trunk: TrunkId,
    /// The user part of the line or list on the PBX, or `user@host`.
    pub(super) name: Arc<str>,
    pub(super) stage: Stage,
    /// The number of the first SUBSCRIBE while it is under way; 0: it is not.
    pub(super) ask: u32,
    /// When an answer to it is no longer waited for.
    pub(super) ask_until: Moment,
    /// The CSeq that was used last.
    pub(super) cseq: u32,
    /// Seconds that are asked for.
    pub(super) expires: u32,
    /// Seconds that the first answer granted: what NOTIFYs that do not say otherwise stand for.
    pub(super) granted: u32,
    /// Failures in a row.
    pub(super) failures: u8,
    /// The status of the last refusal; 0: none.
    pub(super) status: u16,
    /// Whether it stands in its trunk's line.
    pub(super) queued: bool,
    /// When it came up last.
    pub(super) up_since: Moment,
    pub(super) legs: Vec<Leg>,
    /// What was told of the line last.
    pub(super) told: Option<Report>,
    /// Until when it holds.
    pub(super) holds: Moment,
    /// The entry of the wheel that comes due first.
    pub(super) armed: Option<Moment>,
}

impl Subscription {
    pub(super) fn new(generation: u32, tenant: TenantKey, at: Line, target: Target, expires: u32) -> Self {
        Self {
            generation,
            attempt: 0,
            tenant,
            target,
            trunk: at.trunk,
            name: at.user,
            stage: Stage::Queued,
            ask: 0,
            ask_until: Moment::START,
            cseq: 0,
            expires,
            granted: expires,
            failures: 0,
            status: 0,
            queued: false,
            up_since: Moment::START,
            legs: Vec::new(),
            told: None,
            holds: Moment::START,
            armed: None,
        }
    }

    pub(super) fn is_at(&self, line: &Line) -> bool {
        self.trunk == line.trunk && self.name == line.user
    }

    pub(super) const fn package(&self) -> Package {
        match self.target {
            Target::Line { package, .. } => package,
            Target::List => Package::Dialog,
        }
    }

    pub(super) const fn is_list(&self) -> bool {
        matches!(self.target, Target::List)
    }

    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving { .. })
    }

    /// The greatest of what the notifiers say (rule 1), and how long it holds without the margin.
    pub(super) fn report(&self) -> Option<(Report, Moment)> {
        let known = self.legs.iter().filter_map(|leg| leg.entity.report().map(|report| (report, leg.ends)));
        known.reduce(|(first, ends), (second, other)| (super::entity::greater(first, second), ends.max(other)))
    }

    /// When time alone changes something.
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let of_stage = match self.stage {
            Stage::Resting { until } | Stage::Accepted { until } | Stage::Leaving { until } => Some(until),
            Stage::Asking => Some(self.ask_until),
            Stage::Queued | Stage::Up => None,
        };
        // What stands in line already, or waits for an answer first, is asked for when that has come.
        let asks = self.stage == Stage::Up && !self.queued;
        let of_legs = self.legs.iter().map(|leg| if asks { leg.ends.min(leg.refresh) } else { leg.ends }).min();
        let of_legs = of_legs.filter(|_| !self.is_leaving());
        let told = self.told.map(|_| self.holds);
        [of_stage, of_legs, told].into_iter().flatten().min()
    }

    pub(super) fn standing(&self) -> Standing {
        let (word, again) = match self.stage {
            Stage::Up => ("up", self.legs.iter().map(|leg| leg.refresh).min()),
            Stage::Queued => ("queued", None),
            Stage::Resting { until } => ("resting", Some(until)),
            Stage::Asking | Stage::Accepted { .. } => ("asking", None),
            Stage::Leaving { .. } => ("leaving", None),
        };
        Standing { word, status: Some(self.status).filter(|&status| status != 0), again }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let legs: usize = self.legs.iter().map(Leg::heap_bytes).sum();
        self.legs.capacity() * size_of::<Leg>() + legs + self.name.len() + 16
    }
}
