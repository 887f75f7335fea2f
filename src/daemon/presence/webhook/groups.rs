//! Which users stand in which subscription, and what is to be done for it next. It asks nobody and knows no clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits after a failure: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// All users of a tenant in groups, each with a subscription of its own.
#[derive(Debug)]
pub struct Groups {
    list: Vec<Group>,
    /// Users of one group.
    max: usize,
}

#[derive(Debug)]
struct Group {
    users: BTreeSet<Arc<str>>,
    live: Option<Live>,
    /// The subscription is about others than the users.
    stale: bool,
    again: Instant,
    failures: u32,
}

#[derive(Debug)]
struct Live {
    subscription: String,
    renew: Instant,
}

/// What is to be done; `group` tells which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Give a subscription up, since there may be one a user only.
    Drop {
        group: usize,
        subscription: String,
    },
    Make {
        group: usize,
        users: Vec<Arc<str>>,
    },
    Renew {
        group: usize,
        subscription: String,
    },
}

impl Groups {
    /// Nobody, in groups of so many.
    pub const fn new(max: usize) -> Self {
        Self { list: Vec::new(), max }
    }

    /// Takes the users that there are now: those who stay keep their group.
    pub fn follow(&mut self, now: Instant, users: &BTreeSet<Arc<str>>) {
        for group in &mut self.list {
            let before = group.users.len();
            group.users.retain(|user| users.contains(user));
            group.stale |= group.users.len() != before;
        }
        let known: BTreeSet<Arc<str>> = self.list.iter().flat_map(|group| &group.users).cloned().collect();
        let mut new = users.difference(&known).cloned().peekable();
        for group in &mut self.list {
            while group.users.len() < self.max
                && let Some(user) = new.next()
            {
                group.users.insert(user);
                group.stale = true;
            }
        }
        while new.peek().is_some() {
            let users = new.by_ref().take(self.max).collect();
            self.list.push(Group { users, live: None, stale: true, again: now, failures: 0 });
        }
        self.list.retain(|group| !group.users.is_empty() || group.live.is_some());
    }

    /// What is to be done now; [`Groups::done`] or [`Groups::failed`] must follow.
    pub fn next(&self, now: Instant) -> Option<Todo> {
        self.list.iter().enumerate().filter(|(_, group)| group.again <= now).find_map(|(index, group)| {
            match &group.live {
                Some(live) if group.stale => Some(Todo::Drop { group: index, subscription: live.subscription.clone() }),
                Some(live) if live.renew <= now => {
                    Some(Todo::Renew { group: index, subscription: live.subscription.clone() })
                }
                Some(_) => None,
                None if group.users.is_empty() => None,
                None => Some(Todo::Make { group: index, users: group.users.iter().cloned().collect() }),
            }
        })
    }

    /// It was done; a subscription that was made or renewed, by its id, lasts so long.
    pub fn done(&mut self, now: Instant, todo: &Todo, made: Option<(String, Duration)>) {
        let Some(group) = self.list.get_mut(todo.group()) else { return };
        group.failures = 0;
        group.again = now;
        match (todo, made) {
            (Todo::Drop { .. }, _) => group.live = None,
            (Todo::Make { .. }, Some((subscription, lasts))) => {
                group.live = Some(Live { subscription, renew: now + lasts / 2 });
                group.stale = false;
            }
            (Todo::Renew { .. }, Some((subscription, lasts))) => {
                group.live = Some(Live { subscription, renew: now + lasts / 2 });
            }
            (_, None) => {}
        }
    }

    /// It could not be done; `gone`: there is no such subscription any more.
    pub fn failed(&mut self, now: Instant, todo: &Todo, gone: bool) {
        let Some(group) = self.list.get_mut(todo.group()) else { return };
        if gone {
            group.live = None;
            return;
        }
        let factor = 1_u32.checked_shl(group.failures).unwrap_or(u32::MAX);
        group.again = now + FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT);
        group.failures = group.failures.saturating_add(1);
    }

    /// Graph says that a subscription is gone.
    pub fn lost(&mut self, subscription: &str) {
        for group in &mut self.list {
            group.live.take_if(|live| live.subscription == subscription);
        }
    }

    /// When something is to be done next.
    pub fn next_wake(&self) -> Option<Instant> {
        let wake = |group: &Group| match &group.live {
            Some(live) if !group.stale => live.renew.max(group.again),
            _ => group.again,
        };
        self.list.iter().map(wake).min()
    }

    /// The subscriptions that there are.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|group| group.live.as_ref()).map(|live| &*live.subscription)
    }
}

impl Todo {
    const fn group(&self) -> usize {
        match self {
            Self::Drop { group, .. } | Self::Make { group, .. } | Self::Renew { group, .. } => *group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn users(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn make(group: usize, names: &[&str]) -> Todo {
        Todo::Make { group, users: users(names).into_iter().collect() }
    }

    /// Does what is to be done until nothing is; gives it.
    fn work(groups: &mut Groups, now: Instant) -> Vec<Todo> {
        let mut done = Vec::new();
        while let Some(todo) = groups.next(now) {
            let made = match &todo {
                Todo::Make { .. } => Some((format!("s-{}", done.len()), HOUR)),
                Todo::Renew { subscription, .. } => Some((subscription.clone(), HOUR)),
                Todo::Drop { .. } => None,
            };
            groups.done(now, &todo, made);
            done.push(todo);
        }
        done
    }

    #[test]
    fn users_are_in_one_group_each_and_stay_there() {
        let (mut groups, now) = (Groups::new(2), Instant::now());
        groups.follow(now, &users(&["a", "b", "c"]));
        assert_eq!(work(&mut groups, now), [make(0, &["a", "b"]), make(1, &["c"])]);
        groups.follow(now, &users(&["a", "b", "c"]));
        assert_eq!(groups.next(now), None);
        // One goes, one comes: only their group is made anew, and the old one is given up before.
        groups.follow(now, &users(&["b", "c", "d"]));
        let gone = Todo::Drop { group: 0, subscription: "s-0".to_owned() };
        assert_eq!(work(&mut groups, now), [gone, make(0, &["b", "d"])]);
        groups.follow(now, &users(&[]));
        assert_eq!(work(&mut groups, now).len(), 2, "both are given up");
        groups.follow(now, &users(&[]));
        assert_eq!((groups.list.len(), groups.next_wake()), (0, None));
    }

    #[test]
    fn subscriptions_are_renewed_at_half_of_their_life_and_made_anew_when_they_are_gone() {
        let (mut groups, now) = (Groups::new(650), Instant::now());
        groups.follow(now, &users(&["a"]));
        work(&mut groups, now);
        assert_eq!(groups.next_wake(), Some(now + HOUR / 2));
        assert_eq!(groups.next(now + HOUR / 2 - Duration::from_secs(1)), None);
        let renew = groups.next(now + HOUR / 2).unwrap();
        assert_eq!(renew, Todo::Renew { group: 0, subscription: "s-0".to_owned() });
        groups.failed(now + HOUR / 2, &renew, true);
        assert_eq!(groups.next(now + HOUR / 2), Some(make(0, &["a"])));
        work(&mut groups, now + HOUR / 2);
        groups.lost("s-0");
        assert_eq!(groups.subscriptions().count(), 0);
        assert_eq!(groups.next(now + HOUR / 2), Some(make(0, &["a"])));
    }

    #[test]
    fn failures_are_tried_again_later_and_later() {
        let (mut groups, mut now) = (Groups::new(650), Instant::now());
        groups.follow(now, &users(&["a"]));
        let mut waits = Vec::new();
        for _ in 0..7 {
            let todo = groups.next(now).unwrap();
            groups.failed(now, &todo, false);
            assert_eq!(groups.next(now), None);
            let again = groups.next_wake().unwrap();
            waits.push((again - now).as_secs());
            now = again;
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    }
}
