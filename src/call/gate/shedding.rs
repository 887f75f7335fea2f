//! How many new calls are refused when there is too much to do. Pure: it is told the load again and again.
//!
//! It takes away quickly and gives back slowly, so that the load swings little around the marks.

use std::time::Duration;

/// What the edge carries at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Processor time that the process used, of that which its workers could have had: 0 to 1.
    pub processors: f64,
    /// How late its timers are.
    pub lag: Duration,
    /// Transactions, of those that there may be: 0 to 1.
    pub transactions: f64,
}

/// Where it becomes too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    pub processors: f64,
    pub lag: Duration,
    pub transactions: f64,
}

/// The share of new calls that is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shedding {
    percent: f64,
}

/// The most that one look adds, and takes away, in percent.
const UP: f64 = 20.0;
const DOWN: f64 = 4.0;

/// Below this share of a mark the edge takes more calls again.
const EASE: f64 = 0.9;

impl Shedding {
    /// Looks at the load, which should be done several times a second; gives how many of a hundred new calls to refuse.
    pub fn look(&mut self, load: &Load, marks: &Marks) -> u8 {
        let shares = [
            share(load.processors, marks.processors),
            share(load.lag.as_secs_f64(), marks.lag.as_secs_f64()),
            share(load.transactions, marks.transactions),
        ];
        let share = shares.into_iter().fold(0.0, f64::max);
        if share > 1.0 {
            self.percent += ((share - 1.0) * 100.0).clamp(1.0, UP);
        } else if share < EASE {
            self.percent -= DOWN;
        }
        self.percent = self.percent.clamp(0.0, 100.0);
        self.percent.round() as u8
    }
}

/// How much of a mark is reached; a mark of zero is none.
fn share(value: f64, mark: f64) -> f64 {
    if mark > 0.0 { value / mark } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { processors: 0.9, lag: Duration::from_millis(200), transactions: 0.8 };

    fn load(processors: f64, lag: u64, transactions: f64) -> Load {
        Load { processors, lag: Duration::from_millis(lag), transactions }
    }

    #[test]
    fn each_mark_sheds_and_rest_takes_calls_again() {
        for over in [load(0.95, 0, 0.0), load(0.0, 300, 0.0), load(0.0, 0, 0.9)] {
            let mut shedding = Shedding::default();
            assert!(shedding.look(&over, &MARKS) > 0, "{over:?}");
            let before = (0..50).map(|_| shedding.look(&over, &MARKS)).last();
            assert_eq!(before, Some(100), "{over:?}");
            assert_eq!(shedding.look(&load(0.85, 0, 0.0), &MARKS), 100, "near the mark nothing changes");
            let looks = (1..).find(|_| shedding.look(&Load::default(), &MARKS) == 0);
            assert_eq!(looks, Some(25), "slowly back");
        }
    }

    #[test]
    fn below_all_marks_nothing_is_shed() {
        let mut shedding = Shedding::default();
        assert!((0..100).all(|_| shedding.look(&load(0.89, 199, 0.79), &MARKS) == 0));
        let none = Marks { processors: 0.0, lag: Duration::ZERO, transactions: 0.0 };
        assert!((0..100).all(|_| shedding.look(&load(1.0, 9_999, 1.0), &none) == 0));
    }

    /// An edge that does as much as it is let, offered three times of what it can: it settles near the mark.
    #[test]
    fn under_steady_overload_it_settles() {
        let mut shedding = Shedding::default();
        let (mut percent, mut loads) = (0u8, Vec::new());
        for _ in 0..400 {
            let offered = 2.7 * f64::from(100 - percent) / 100.0;
            percent = shedding.look(&load(offered.min(1.0), 0, 0.0), &MARKS);
            loads.push(offered);
        }
        let late = loads.get(200..).unwrap();
        let mean = late.iter().sum::<f64>() / late.len() as f64;
        assert!((0.6..1.05).contains(&mean), "{mean}");
    }
}
