//! The parts of the bridge, put together: what one says goes to the others.

use super::people::{People, Person, UserKey};
use crate::transaction::Moment;

/// All parts of the bridge.
#[derive(Debug, Default)]
pub struct Bridge {
    people: People,
}

impl Bridge {
    /// A bridge without anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who takes part.
    pub const fn people(&self) -> &People {
        &self.people
    }

    /// Who takes part; users come and go by [`Bridge::put`] and [`Bridge::take`].
    pub const fn people_mut(&mut self) -> &mut People {
        &mut self.people
    }

    /// Puts a user.
    pub fn put(&mut self, _now: Moment, person: Person) {
        self.people.put(person);
    }

    /// Takes a user out.
    pub fn take(&mut self, _now: Moment, user: UserKey) {
        self.people.take(user);
    }

    /// When time has something to do next.
    pub fn next_wake(&self) -> Option<Moment> {
        None
    }
}
