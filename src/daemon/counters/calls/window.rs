//! The last hour of a trunk's calls, minute by minute.

use super::CallResult;

/// Minutes that are kept.
const MINUTES: usize = 60;

/// Calls of some minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u32,
    pub answered: u32,
    /// Answered, busy, not answered or rejected: the numerator of NER.
    pub effective: u32,
}

/// Calls by the minute in which they were over.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// By minute modulo their number; made with the first call.
    minutes: Box<[(u64, Tally)]>,
}

impl Window {
    /// Counts a call that was over at this minute since 1970.
    pub fn add(&mut self, minute: u64, result: CallResult) {
        if self.minutes.is_empty() {
            self.minutes = vec![(0, Tally::default()); MINUTES].into();
        }
        let Some((at, tally)) = self.minutes.get_mut((minute % MINUTES as u64) as usize) else { return };
        if *at != minute {
            (*at, *tally) = (minute, Tally::default());
        }
        tally.calls += 1;
        tally.answered += u32::from(result == CallResult::Answered);
        tally.effective += u32::from(result.is_effective());
    }

    /// The calls of this minute and those before it, so many in all.
    pub fn last(&self, minutes: u64, now: u64) -> Tally {
        let recent = self.minutes.iter().filter(|(at, _)| *at <= now && now - *at < minutes);
        recent.fold(Tally::default(), |sum, (_, tally)| Tally {
            calls: sum.calls + tally.calls,
            answered: sum.answered + tally.answered,
            effective: sum.effective + tally.effective,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_leave_the_window() {
        let mut window = Window::default();
        assert_eq!(window.last(5, 1_000), Tally::default());
        for (minute, result) in [
            (1_000, CallResult::Failed),
            (1_001, CallResult::Busy),
            (1_004, CallResult::Answered),
            (1_004, CallResult::Answered),
        ] {
            window.add(minute, result);
        }
        let all = Tally { calls: 4, answered: 2, effective: 3 };
        assert_eq!(window.last(5, 1_004), all);
        assert_eq!(window.last(5, 1_005), Tally { calls: 3, answered: 2, effective: 3 });
        assert_eq!(window.last(60, 1_059), all);
        assert_eq!(window.last(60, 1_060).calls, 3);
        // A minute of an hour later takes the old one's place.
        window.add(1_064, CallResult::Failed);
        assert_eq!(window.last(60, 1_064), Tally { calls: 1, answered: 0, effective: 0 });
    }
}
