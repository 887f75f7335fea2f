//! What became of a call, in the classes of Microsoft's formula: NER = (answered + busy + ring no answer + terminal
//! reject) / all. Statuses are sorted as RFC 6076 section 4.7 does for its effectiveness ratio, with what the edge knows
//! besides: whether it rang, and the cause of Q.850.

use crate::call::CallRecord;
use crate::call::record::Outcome;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    Answered,
    Busy,
    /// It rang, or nobody was there to answer; the caller may have given up meanwhile.
    NoAnswer,
    /// The callee declined.
    Rejected,
    /// The caller gave up before it rang.
    Cancelled,
    /// There is no such number.
    Unallocated,
    /// The edge did not let it pass: no route, a limit, a drain.
    NotPassed,
    /// The network or the peer failed.
    Failed,
}

impl CallResult {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All, in the order of the counters.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Answered,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::Cancelled,
        Self::Unallocated,
        Self::NotPassed,
        Self::Failed,
    ];

    /// The value of the label `result`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Unallocated => "unallocated",
            Self::NotPassed => "not-passed",
            Self::Failed => "failed",
        }
    }

    /// Whether the network has done its part: the numerator of NER.
    pub const fn is_effective(self) -> bool {
        matches!(self, Self::Answered | Self::Busy | Self::NoAnswer | Self::Rejected)
    }

    /// What became of a call; `None` where the caller is to ask again, elsewhere (3xx) or with a password (401, 407).
    pub fn of(record: &CallRecord) -> Option<Self> {
        if record.lasted.is_some() {
            return Some(Self::Answered);
        }
        let rang = record.facts.rang_after.is_some();
        match record.outcome {
            Outcome::HungUp(_) | Outcome::Ended(_) | Outcome::Forgotten => Some(Self::Answered),
            Outcome::Cancelled if rang => Some(Self::NoAnswer),
            Outcome::Cancelled => Some(Self::Cancelled),
            Outcome::NotPassed => Some(Self::NotPassed),
            Outcome::Unreachable if rang => Some(Self::NoAnswer),
            Outcome::Unreachable => Some(Self::Failed),
            Outcome::Refused => Self::of_refusal(record.status, record.facts.q850, rang),
        }
    }

    fn of_refusal(status: u16, q850: Option<u8>, rang: bool) -> Option<Self> {
        let by_cause = q850.and_then(|cause| match cause {
            17 => Some(Self::Busy),
            // No user responding, no answer, subscriber absent.
            18..=20 => Some(Self::NoAnswer),
            21 => Some(Self::Rejected),
            // Unallocated, number changed, invalid format.
            1 | 22 | 28 => Some(Self::Unallocated),
            _ => None,
        });
        by_cause.map_or_else(|| Self::of_status(status, rang), Some)
    }

    fn of_status(status: u16, rang: bool) -> Option<Self> {
        match status {
            300..=399 | 401 | 407 => None,
            486 | 600 => Some(Self::Busy),
            480 => Some(Self::NoAnswer),
            408 if rang => Some(Self::NoAnswer),
            487 if rang => Some(Self::NoAnswer),
            487 => Some(Self::Cancelled),
            // Anonymity disallowed, decline, unwanted: a person's will, or that of their device.
            433 | 603 | 607 => Some(Self::Rejected),
            404 | 410 | 484 | 485 | 604 => Some(Self::Unallocated),
            _ => Some(Self::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::CallResult::{Answered, Busy, Cancelled, Failed, NoAnswer, NotPassed, Rejected, Unallocated};
    use super::*;
    use crate::call::live::End;
    use std::time::Duration;

    #[test]
    fn statuses_and_causes_have_their_class() {
        for (status, q850, rang, wanted) in [
            (486, None, true, Some(Busy)),
            (600, None, false, Some(Busy)),
            (480, None, false, Some(NoAnswer)),
            (408, None, true, Some(NoAnswer)),
            (408, None, false, Some(Failed)),
            (487, None, true, Some(NoAnswer)),
            (487, None, false, Some(Cancelled)),
            (603, None, true, Some(Rejected)),
            (607, None, false, Some(Rejected)),
            (433, None, false, Some(Rejected)),
            (404, None, false, Some(Unallocated)),
            (410, None, false, Some(Unallocated)),
            (484, None, false, Some(Unallocated)),
            (604, None, false, Some(Unallocated)),
            (403, None, false, Some(Failed)),
            (488, None, false, Some(Failed)),
            (500, None, false, Some(Failed)),
            (503, None, false, Some(Failed)),
            (504, None, true, Some(Failed)),
            (608, None, false, Some(Failed)),
            (302, None, false, None),
            (401, None, false, None),
            (407, None, false, None),
            // The cause says more than the status that a gateway made of it.
            (480, Some(17), false, Some(Busy)),
            (500, Some(19), true, Some(NoAnswer)),
            (480, Some(21), false, Some(Rejected)),
            (500, Some(1), false, Some(Unallocated)),
            (503, Some(34), false, Some(Failed)),
            (486, Some(16), false, Some(Busy)),
        ] {
            let found = CallResult::of_refusal(status, q850, rang);
            assert_eq!(found, wanted, "{status}, cause {q850:?}, rang: {rang}");
        }
    }

    #[test]
    fn outcomes_have_their_class() {
        let up = Some(Duration::from_secs(1));
        for (outcome, lasted, rang, wanted) in [
            (Outcome::HungUp(End::Caller), up, true, Answered),
            (Outcome::Forgotten, up, false, Answered),
            (Outcome::Cancelled, None, true, NoAnswer),
            (Outcome::Cancelled, None, false, Cancelled),
            (Outcome::NotPassed, None, false, NotPassed),
            (Outcome::Unreachable, None, false, Failed),
            (Outcome::Unreachable, None, true, NoAnswer),
            (Outcome::Refused, None, true, Failed),
        ] {
            let mut record = record("a", Some("b"), None);
            (record.outcome, record.lasted, record.status) = (outcome, lasted, 503);
            record.facts.rang_after = rang.then(|| Duration::from_secs(1));
            assert_eq!(CallResult::of(&record), Some(wanted), "{outcome:?}, rang: {rang}");
        }
    }

    #[test]
    fn the_numerator_is_microsofts() {
        let effective: Vec<_> = CallResult::ALL.into_iter().filter(|it| it.is_effective()).collect();
        assert_eq!(effective, [Answered, Busy, NoAnswer, Rejected]);
        let words: std::collections::BTreeSet<_> = CallResult::ALL.into_iter().map(CallResult::word).collect();
        assert_eq!(words.len(), CallResult::COUNT);
    }
}
