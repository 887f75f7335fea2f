//! What changed in a directory, for delta queries: a log of changes with numbers, of which links remember one.

use std::collections::VecDeque;

use super::tenant::GraphUser;

/// Changes that are kept; who holds a link from before must read everything again.
const MAX_CHANGES: usize = 200_000;

/// Properties of users, as bits.
pub(super) type Properties = u8;
/// All of them, as when a user is new.
pub(super) const ALL: Properties = 0xff;
/// The properties in the order of their bits.
pub(super) const PROPERTIES: [&str; 6] =
    ["displayName", "userPrincipalName", "mail", "businessPhones", "mobilePhone", "accountEnabled"];

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    User { user: usize, properties: Properties },
    Group { group: usize },
    Member { group: usize, user: usize },
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Changes {
    log: VecDeque<Change>,
    /// The number of the first change in the log.
    first: u64,
}

impl Changes {
    /// A user is new, gone or back.
    pub(super) fn user(&mut self, user: usize) {
        self.push(Change::User { user, properties: ALL });
    }

    /// Some properties of a user changed; none: nothing to tell.
    pub(super) fn user_changed(&mut self, user: usize, properties: Properties) {
        if properties != 0 {
            self.push(Change::User { user, properties });
        }
    }

    pub(super) fn group(&mut self, group: usize) {
        self.push(Change::Group { group });
    }

    /// A user joined or left a group.
    pub(super) fn member(&mut self, group: usize, user: usize) {
        self.push(Change::Member { group, user });
    }

    /// The number of the change that comes next: what a link made now remembers.
    pub(super) fn next(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// The changes from a number on; `None`: they are forgotten in part.
    pub(super) fn since(&self, number: u64) -> Option<impl Iterator<Item = &Change>> {
        let skip = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (skip <= self.log.len()).then(|| self.log.range(skip..))
    }

    /// Forgets all that was, so that every link is too old.
    pub(super) fn forget(&mut self) {
        self.first = self.next() + 1;
        self.log.clear();
    }

    fn push(&mut self, change: Change) {
        if self.log.len() >= MAX_CHANGES {
            self.log.pop_front();
            self.first += 1;
        }
        self.log.push_back(change);
    }
}

/// The properties in which two states of a user differ.
pub(super) fn changed_properties(before: &GraphUser, after: &GraphUser) -> Properties {
    let differ = [
        before.display_name != after.display_name,
        before.upn != after.upn,
        before.mail != after.mail,
        before.business_phones != after.business_phones,
        before.mobile_phone != after.mobile_phone,
        before.disabled != after.disabled,
    ];
    differ.iter().enumerate().filter(|(_, differs)| **differs).fold(0, |bits, (place, _)| bits | 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_sees_what_came_after_it() {
        let mut changes = Changes::default();
        changes.user(0);
        let link = changes.next();
        changes.user_changed(1, 0);
        changes.member(0, 1);
        let seen: Vec<_> = changes.since(link).unwrap().copied().collect();
        assert_eq!(seen, [Change::Member { group: 0, user: 1 }]);
        assert_eq!(changes.since(0).unwrap().count(), 2);
        changes.forget();
        assert!(changes.since(link).is_none());
        assert_eq!(changes.since(changes.next()).unwrap().count(), 0);
    }

    #[test]
    fn differences_are_named_by_property() {
        let before = GraphUser::new("a@contoso.example", "A");
        let after = GraphUser { mobile_phone: Some("+441632960001".into()), ..before.clone() };
        assert_eq!(changed_properties(&before, &after), 1 << 4);
        assert_eq!(PROPERTIES[4], "mobilePhone");
    }
}
