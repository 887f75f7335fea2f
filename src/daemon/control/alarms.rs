//! Alarms: causes that came and went, with their times. No more of them are remembered than was said.

use std::collections::{BTreeMap, VecDeque};

use crate::admin::{Alarm, Cause, Level, Report};

/// Causes that a report has one by one.
const REPORTED: usize = 100;

/// What a cause is known by: it is the same cause while its words change.
type Key = (&'static str, String);

/// What came or went with the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Raised(Cause),
    /// After so many seconds.
    Cleared(Cause, u64),
}

/// The causes that there are, and the last of those that have gone.
#[derive(Debug)]
pub struct Alarms {
    max: usize,
    next_id: u64,
    current: BTreeMap<Key, Alarm>,
    /// The last to go stands last.
    cleared: VecDeque<Alarm>,
    /// Causes that found no room.
    beyond: usize,
    /// As bad as the worst of all, those without room included.
    level: Level,
}

impl Alarms {
    /// Remembers so many current ones, and so many cleared ones.
    pub fn new(max: usize) -> Self {
        Self { max, next_id: 1, current: BTreeMap::new(), cleared: VecDeque::new(), beyond: 0, level: Level::Ok }
    }

    /// Takes all causes that there are at a time, in milliseconds since 1970; gives what is new and what has gone.
    pub fn look(&mut self, now: u64, causes: Vec<Cause>) -> Vec<News> {
        self.level = causes.iter().map(|cause| cause.severity.into()).max().unwrap_or_default();
        self.beyond = 0;
        let mut news = Vec::new();
        let mut before = std::mem::take(&mut self.current);
        for cause in causes {
            let key = (cause.name, cause.source.clone());
            if self.current.contains_key(&key) {
                // Told twice in one look: the first stands.
            } else if let Some(known) = before.remove(&key) {
                self.current.insert(key, Alarm { cause, ..known });
            } else if self.current.len() >= self.max {
                self.beyond += 1;
            } else {
                news.push(News::Raised(cause.clone()));
                self.current.insert(key, Alarm { id: self.next_id, cause, since: now, until: None });
                self.next_id += 1;
            }
        }
        for alarm in before.into_values() {
            news.push(News::Cleared(alarm.cause.clone(), now.saturating_sub(alarm.since) / 1_000));
            if self.cleared.len() >= self.max {
                self.cleared.pop_front();
            }
            self.cleared.push_back(Alarm { until: Some(now), ..alarm });
        }
        news
    }

    /// How the edge is doing.
    pub fn report(&self) -> Report {
        let mut causes: Vec<&Alarm> = self.current.values().collect();
        causes.sort_by_key(|alarm| (std::cmp::Reverse(alarm.cause.severity), alarm.id));
        let more = causes.len().saturating_sub(REPORTED) + self.beyond;
        let causes = causes.into_iter().take(REPORTED).map(|alarm| alarm.cause.clone()).collect();
        Report { health: self.level, causes, more }
    }

    /// All that are remembered.
    pub fn all(&self) -> Vec<Alarm> {
        self.current.values().chain(&self.cleared).cloned().collect()
    }

    /// How many there are now: warnings and errors.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.current.values().filter(|alarm| Level::from(alarm.cause.severity) == Level::Error).count();
        (self.current.len() - errors, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Severity;

    fn cause(name: &'static str, source: &str, severity: Severity) -> Cause {
        Cause { severity, name, source: source.to_owned(), text: "text".to_owned(), advice: String::new() }
    }

    #[test]
    fn alarm_is_raised_once_and_cleared_once_whatever_its_words_say() {
        let mut alarms = Alarms::new(10);
        let down = |text: &str| Cause { text: text.to_owned(), ..cause("target-down", "a", Severity::Error) };
        assert!(matches!(&alarms.look(1_000, vec![down("1 s")])[..], [News::Raised(_)]));
        assert_eq!(alarms.look(2_000, vec![down("2 s")]), []);
        assert_eq!(alarms.all()[0].cause.text, "2 s", "words follow");
        assert_eq!(alarms.look(9_500, vec![]), [News::Cleared(down("2 s"), 8)]);
        assert_eq!(alarms.look(9_600, vec![]), []);
        let [alarm] = &alarms.all()[..] else { panic!("one") };
        assert_eq!((alarm.since, alarm.until), (1_000, Some(9_500)));
        assert!(matches!(&alarms.look(9_700, vec![down("again")])[..], [News::Raised(_)]));
        assert_eq!(alarms.all().iter().map(|alarm| alarm.id).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn health_is_as_bad_as_the_worst_cause() {
        let mut alarms = Alarms::new(10);
        assert_eq!(alarms.report(), Report::default());
        let (bad, odd) = (cause("b", "", Severity::Error), cause("a", "", Severity::Warning));
        alarms.look(1, vec![odd.clone()]);
        assert_eq!(alarms.report().health, Level::Warning);
        alarms.look(2, vec![odd.clone(), bad.clone()]);
        assert_eq!(alarms.report(), Report { health: Level::Error, causes: vec![bad, odd], more: 0 });
        assert_eq!(alarms.counts(), (1, 1));
    }

    #[test]
    fn more_causes_than_there_is_room_for_are_counted() {
        let mut alarms = Alarms::new(10);
        let many = |count: usize| (0..count).map(|it| cause("n", &it.to_string(), Severity::Warning));
        let worst = cause("worst", "", Severity::Error);
        assert_eq!(alarms.look(1, many(25).chain([worst]).collect()).len(), 10);
        let report = alarms.report();
        assert_eq!((report.health, report.causes.len(), report.more), (Level::Error, 10, 16));
        for turn in 0..100 {
            alarms.look(turn, if turn % 2 == 0 { Vec::new() } else { many(10).collect() });
        }
        assert!(alarms.all().len() <= 20, "memory is bounded: {}", alarms.all().len());
    }
}
