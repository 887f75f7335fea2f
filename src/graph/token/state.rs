//! What is known of a token, and when another one is asked for.
//!
//! ```text
//!            fetch                granted
//!   nothing -------> in flight ------------> held --(renew)--> held, in flight --(end)--> nothing
//!      ^                | refused                                   | refused: kept to its end
//!      +---- again -----+ (failing: everybody is refused until then)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::fault::{Permission, TokenFault};
use super::super::settings::Secret;

/// A token is renewed so long before its end.
const EARLY: Duration = Duration::from_secs(300);

/// And not used any more so long before: a request with it is still under way.
const MARGIN: Duration = Duration::from_secs(10);

/// How long a token holds at the least and at the most, whatever its issuer says: nobody asks Entra without end.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Waits after a fault that lasts until somebody does something, and after others: the first, and the longest.
const FOR_PEOPLE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));
const FOR_THE_NETWORK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A token.
#[derive(Debug)]
pub struct Bearer {
    pub token: Secret,
    /// The roles or scopes that it carries; `None`: it cannot be looked into.
    pub roles: Option<Vec<String>>,
    /// Tells it from those before and after.
    pub number: u64,
}

impl Bearer {
    /// Whether it allows something; a token that cannot be looked into may.
    pub fn allows(&self, permission: Permission) -> bool {
        let has = |wanted: &&str| self.roles.iter().flatten().any(|role| role.eq_ignore_ascii_case(wanted));
        self.roles.is_none() || permission.roles().iter().any(has)
    }
}

/// What a request is to do.
#[derive(Debug)]
pub enum Step {
    /// Use this token.
    Use(Arc<Bearer>),
    /// Use this token, and begin to fetch the next one.
    Renew(Arc<Bearer>),
    /// Begin to fetch one, and wait.
    Fetch,
    /// Wait for the one that is being fetched.
    Wait,
    /// There is none.
    Refuse(TokenFault),
}

/// What is known of a tenant's token.
#[derive(Debug, Default)]
pub struct State {
    held: Option<Held>,
    failing: Option<Failing>,
    /// Permissions that Graph missed in the token, with when it is tried again.
    denied: BTreeMap<Permission, Denied>,
    in_flight: bool,
    /// How many tokens there have been.
    count: u64,
}

#[derive(Debug)]
struct Held {
    bearer: Arc<Bearer>,
    taken: Instant,
    renew: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Failing {
    fault: TokenFault,
    since: Instant,
    again: Instant,
    times: u32,
    /// Of what the application proves itself with, when it was refused.
    stamp: u64,
}

#[derive(Debug)]
struct Denied {
    again: Instant,
    times: u32,
}

impl State {
    /// What a request is to do now; after [`Step::Fetch`] and [`Step::Renew`], [`State::landed`] must follow.
    pub fn step(&mut self, now: Instant) -> Step {
        self.held.take_if(|held| held.end <= now);
        let waiting = self.failing.as_ref().is_some_and(|failing| now < failing.again);
        match (&self.held, &self.failing) {
            (Some(held), _) => {
                let bearer = Arc::clone(&held.bearer);
                if now < held.renew || self.in_flight || waiting {
                    return Step::Use(bearer);
                }
                self.in_flight = true;
                Step::Renew(bearer)
            }
            (None, Some(failing)) if waiting => Step::Refuse(failing.fault.clone()),
            (None, _) if self.in_flight => Step::Wait,
            (None, _) => {
                self.in_flight = true;
                Step::Fetch
            }
        }
    }

    /// A token has come, good for so long.
    pub fn granted(&mut self, now: Instant, token: Secret, roles: Option<Vec<String>>, good: Duration) {
        let good = good.clamp(SHORTEST, LONGEST);
        self.count += 1;
        let bearer = Arc::new(Bearer { token, roles, number: self.count });
        // Of tokens that are good for minutes only, half of the time is left for the renewal.
        let renew = now + good.saturating_sub(EARLY.min(good / 2));
        let end = now + good.saturating_sub(MARGIN.min(good / 10));
        self.held = Some(Held { bearer, taken: now, renew, end });
        (self.failing, self.in_flight) = (None, false);
    }

    /// None has come.
    pub fn refused(&mut self, now: Instant, fault: TokenFault, stamp: u64) {
        self.in_flight = false;
        let (since, times) = match &self.failing {
            Some(before) => (before.since, before.times.saturating_add(1)),
            None => (now, 0),
        };
        let asked = match &fault {
            TokenFault::Busy { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = wait(if fault.needs_person() { FOR_PEOPLE } else { FOR_THE_NETWORK }, times);
        let again = now + wait.max(asked.unwrap_or_default());
        self.failing = Some(Failing { fault, since, again, times, stamp });
    }

    /// Nothing has come of what was begun, for no reason of the other side's.
    pub fn abandoned(&mut self) {
        self.in_flight = false;
    }

    /// Graph does not take a token (401): it is not used again.
    pub fn discard(&mut self, number: u64) {
        self.held.take_if(|held| held.bearer.number == number);
    }

    /// Graph does not take a token that was just issued; the next ones wait.
    pub fn rejected(&mut self, now: Instant, number: u64, fault: TokenFault, stamp: u64) {
        if self.held.take_if(|held| held.bearer.number == number).is_some() {
            let flying = self.in_flight;
            self.refused(now, fault, stamp);
            self.in_flight = flying;
        }
    }

    /// Graph misses a permission in a token: what needs it waits, the rest goes on.
    pub fn deny(&mut self, now: Instant, permission: Permission, number: u64) {
        let times = self.denied.get(&permission).map_or(0, |denied| denied.times.saturating_add(1));
        self.denied.insert(permission, Denied { again: now + wait(FOR_PEOPLE, times), times });
        // A permission that is granted is in the next token.
        self.discard(number);
    }

    /// Graph has taken what needs a permission.
    pub fn allow(&mut self, permission: Permission) {
        self.denied.remove(&permission);
    }

    /// Whether what needs a permission is to wait.
    pub fn is_denied(&self, now: Instant, permission: Permission) -> bool {
        self.denied.get(&permission).is_some_and(|denied| now < denied.again)
    }

    /// The stamp of what was refused, while it waits for somebody.
    pub fn refused_stamp(&self) -> Option<u64> {
        self.failing.as_ref().filter(|failing| failing.fault.needs_person()).map(|failing| failing.stamp)
    }

    /// Forgets what failed.
    pub fn try_again(&mut self) {
        self.failing = None;
        self.denied.clear();
    }

    /// Why none has come the last time, since when, and how long until it is tried again.
    pub fn failing(&self, now: Instant) -> Option<(&TokenFault, Duration, Duration)> {
        let failing = self.failing.as_ref()?;
        let (since, left) =
            (now.saturating_duration_since(failing.since), failing.again.saturating_duration_since(now));
        Some((&failing.fault, since, left))
    }

    /// How old the token is, and how long it is still good.
    pub fn age(&self, now: Instant) -> Option<(Duration, Duration)> {
        let held = self.held.as_ref()?;
        Some((now.saturating_duration_since(held.taken), held.end.saturating_duration_since(now)))
    }

    /// What the token lacks.
    pub fn lacking(&self) -> Vec<Permission> {
        self.denied.keys().copied().collect()
    }
}

fn wait((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn granted(state: &mut State, now: Instant, good: Duration) {
        state.granted(now, Secret::new("token"), Some(vec!["Presence.Read.All".to_owned()]), good);
    }

    #[test]
    fn one_token_is_fetched_at_a_time_and_renewed_early() {
        let (mut state, begin) = (State::default(), Instant::now());
        assert!(matches!(state.step(begin), Step::Fetch));
        assert!(matches!(state.step(begin), Step::Wait));
        granted(&mut state, begin, HOUR);
        let renew = begin + HOUR - EARLY;
        assert!(matches!(state.step(renew - Duration::from_secs(1)), Step::Use(bearer) if bearer.number == 1));
        assert!(matches!(state.step(renew), Step::Renew(bearer) if bearer.number == 1));
        assert!(matches!(state.step(renew), Step::Use(_)), "it is being renewed already");
        granted(&mut state, renew, HOUR);
        assert!(matches!(state.step(renew), Step::Use(bearer) if bearer.number == 2));
        assert!(matches!(state.step(renew + HOUR), Step::Fetch), "the second one is over");
    }

    #[test]
    fn a_token_that_never_was_good_is_used_for_a_moment() {
        let (mut state, begin) = (State::default(), Instant::now());
        state.step(begin);
        granted(&mut state, begin, Duration::ZERO);
        assert!(matches!(state.step(begin), Step::Use(_)));
        assert!(matches!(state.step(begin + SHORTEST), Step::Fetch));
    }

    #[test]
    fn a_token_is_used_to_its_end_when_none_follows() {
        let (mut state, begin) = (State::default(), Instant::now());
        state.step(begin);
        granted(&mut state, begin, HOUR);
        let renew = begin + HOUR - EARLY;
        assert!(matches!(state.step(renew), Step::Renew(_)));
        state.refused(renew, TokenFault::ExpiredSecret, 0);
        assert!(matches!(state.step(renew), Step::Use(_)));
        assert!(matches!(state.step(renew + Duration::from_secs(59)), Step::Use(_)));
        assert!(matches!(state.step(renew + Duration::from_secs(60)), Step::Renew(_)));
        state.refused(renew + Duration::from_secs(60), TokenFault::ExpiredSecret, 0);
        let end = begin + HOUR;
        assert!(matches!(state.step(end), Step::Fetch));
        state.refused(end, TokenFault::ExpiredSecret, 0);
        assert!(matches!(state.step(end), Step::Refuse(TokenFault::ExpiredSecret)));
        let (_, since, _) = state.failing(end).unwrap();
        assert_eq!(since, EARLY);
    }

    #[test]
    fn nobody_hammers_where_a_person_is_needed() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert!(matches!(state.step(now), Step::Fetch));
            state.refused(now, TokenFault::WrongSecret, 0);
            assert!(matches!(state.step(now), Step::Refuse(TokenFault::WrongSecret)));
            let (_, _, left) = state.failing(now).unwrap();
            waits.push(left.as_secs());
            now += left;
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        state.try_again();
        assert!(matches!(state.step(now), Step::Fetch));
    }

    #[test]
    fn the_network_is_tried_again_soon_and_a_wait_that_is_asked_for_is_kept() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            state.step(now);
            state.refused(now, TokenFault::Timeout, 0);
            let (_, _, left) = state.failing(now).unwrap();
            waits.push(left.as_secs());
            now += left;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        state.step(now);
        let asked = Duration::from_secs(600);
        state.refused(now, TokenFault::Busy { status: 429, retry_after: Some(asked) }, 0);
        assert_eq!(state.failing(now).unwrap().2, asked);
    }

    #[test]
    fn a_permission_that_is_missing_holds_up_only_what_needs_it() {
        let (mut state, now) = (State::default(), Instant::now());
        state.step(now);
        granted(&mut state, now, HOUR);
        let Step::Use(bearer) = state.step(now) else { panic!() };
        assert!(bearer.allows(Permission::ReadPresence) && !bearer.allows(Permission::WritePresence));
        state.deny(now, Permission::WritePresence, bearer.number);
        assert!(state.is_denied(now, Permission::WritePresence) && !state.is_denied(now, Permission::ReadPresence));
        assert!(matches!(state.step(now), Step::Fetch), "what was granted meanwhile is in the next token");
        assert!(!state.is_denied(now + Duration::from_secs(60), Permission::WritePresence));
        state.deny(now, Permission::WritePresence, bearer.number);
        assert!(state.is_denied(now + Duration::from_secs(119), Permission::WritePresence));
        assert_eq!(state.lacking(), [Permission::WritePresence]);
        state.allow(Permission::WritePresence);
        assert!(state.lacking().is_empty());
    }
}
