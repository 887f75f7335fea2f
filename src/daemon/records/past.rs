//! Calls that were up when the process before ended: what it noted of them waits for their ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::CallId;
use crate::cdr::Opened;

/// What was noted, by call.
#[derive(Debug, Default)]
pub struct Past {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    opened: HashMap<CallId, Opened>,
    /// How long after its answer nothing is to be expected of a call.
    max_age: Duration,
}

impl Past {
    /// Takes in what the process before noted.
    pub fn take_in(&self, opened: Vec<Opened>, max_age: Duration) {
        let mut calls = self.lock();
        calls.max_age = max_age;
        calls.opened.extend(opened.into_iter().filter_map(|opened| Some((opened.entry.call.parse().ok()?, opened))));
    }

    /// What was noted of a call whose end was seen.
    pub fn take(&self, id: CallId) -> Option<Box<Opened>> {
        self.lock().opened.remove(&id).map(Box::new)
    }

    /// Takes out the calls whose ends nobody will see: those between transparent trunks, which only the process knew that
    /// is gone, and those that are too old.
    pub fn given_up(&self, now_unix_ms: u64) -> Vec<(CallId, Opened)> {
        let mut calls = self.lock();
        let max_age = u64::try_from(calls.max_age.as_millis()).unwrap_or(u64::MAX);
        let is_over =
            |opened: &Opened| opened.entry.transparent || now_unix_ms.saturating_sub(opened.answered_unix_ms) > max_age;
        calls.opened.extract_if(|_, opened| is_over(opened)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        // Each change is one step.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
