//! Whose number it is.

use super::{Digits, Number};

/// A user, by the caller's own index.
pub type UserId = u32;

/// Whom a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    User(UserId),
    /// Several users, of whom none is meant more than the others: this is for the tenant's main destination.
    Ambiguous,
    Nobody,
}

/// The users of one tenant by their numbers. Several may share an E.164 number and differ by extension.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Sorted, without duplicates.
    by_e164: Vec<(Digits, Option<Digits>, UserId)>,
    /// Sorted, without duplicates; extensions behind E.164 numbers are here as well.
    by_extension: Vec<(Digits, UserId)>,
}

impl Users {
    /// Makes the index; a user may have several numbers. Service numbers and opaque values belong to nobody.
    pub fn new<'n>(numbers: impl IntoIterator<Item = (&'n Number, UserId)>) -> Self {
        let mut users = Self::default();
        for (number, user) in numbers {
            if let Some(e164) = number.e164() {
                users.by_e164.push((e164, number.extension(), user));
            }
            users.by_extension.extend(number.extension().map(|extension| (extension, user)));
        }
        users.by_e164.sort_unstable();
        users.by_e164.dedup();
        users.by_extension.sort_unstable();
        users.by_extension.dedup();
        users
    }

    /// The user of a number. With an extension, those who share the E.164 number are told apart by it; a user who has
    /// number and extension as two entries is found by both together. Allocates nothing.
    pub fn find(&self, number: &Number) -> Lookup {
        match *number {
            Number::Telephone { e164, extension } => {
                let meant = self.with_e164(e164).iter().filter(|(_, own, user)| match (extension, own) {
                    (None, _) => true,
                    (Some(asked), Some(own)) => asked == *own,
                    (Some(asked), None) => self.by_extension.binary_search(&(asked, *user)).is_ok(),
                });
                only(meant.map(|(_, _, user)| *user))
            }
            Number::Extension(extension) => {
                let from = self.by_extension.partition_point(|(known, _)| *known < extension);
                let all = self.by_extension.iter().skip(from);
                only(all.take_while(|(known, _)| *known == extension).map(|(_, user)| *user))
            }
            Number::Service(_) | Number::Opaque(_) => Lookup::Nobody,
        }
    }

    /// How many E.164 numbers more than one user has, counted once each.
    pub fn shared(&self) -> usize {
        let several = |entries: &&[(Digits, Option<Digits>, UserId)]| {
            let mut users = entries.iter().map(|(_, _, user)| user);
            users.next().is_some_and(|first| users.any(|user| user != first))
        };
        self.by_e164.chunk_by(|a, b| a.0 == b.0).filter(several).count()
    }

    fn with_e164(&self, e164: Digits) -> &[(Digits, Option<Digits>, UserId)] {
        let from = self.by_e164.partition_point(|(known, ..)| *known < e164);
        let to = self.by_e164.partition_point(|(known, ..)| *known <= e164);
        self.by_e164.get(from..to).unwrap_or_default()
    }
}

/// The one user there is.
fn only(mut users: impl Iterator<Item = UserId>) -> Lookup {
    match users.next() {
        None => Lookup::Nobody,
        Some(first) if users.all(|user| user == first) => Lookup::User(first),
        Some(_) => Lookup::Ambiguous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::countries::Country;
    use crate::routing::number::{ExtensionRange, NumberingPlan};

    fn number(text: &str) -> Number {
        let mut plan = NumberingPlan::new(Country::find("GB"));
        plan.add_extensions("400-499".parse::<ExtensionRange>().unwrap());
        Number::parse(text, &plan)
    }

    fn users(numbers: &[(&str, UserId)]) -> Users {
        let numbers: Vec<(Number, UserId)> = numbers.iter().map(|(text, user)| (number(text), *user)).collect();
        Users::new(numbers.iter().map(|(number, user)| (number, *user)))
    }

    #[test]
    fn shared_number_without_extension_is_ambiguous() {
        let users = users(&[("+441632768400;ext=401", 1), ("+441632768400;ext=402", 2), ("+441632768403", 3)]);
        for (asked, expected) in [
            ("+441632768400", Lookup::Ambiguous),
            ("441632768400-401", Lookup::User(1)),
            ("01632 768400 x402", Lookup::User(2)),
            ("+441632768400;ext=403", Lookup::Nobody),
            ("401", Lookup::User(1)),
            ("+402", Lookup::User(2)),
            ("403", Lookup::Nobody),
            ("+441632768403", Lookup::User(3)),
            ("+441632768403;ext=403", Lookup::Nobody),
            ("+441632768499", Lookup::Nobody),
            ("999", Lookup::Nobody),
            ("alice@contoso.example", Lookup::Nobody),
        ] {
            assert_eq!(users.find(&number(asked)), expected, "{asked}");
        }
        assert_eq!(users.shared(), 1);
    }

    #[test]
    fn number_and_extension_of_one_user_are_one_user() {
        let users = users(&[("+441632768402", 7), ("402", 7), ("+441632768402;ext=402", 7), ("x403", 8)]);
        for asked in ["+441632768402", "402", "441632768402-402"] {
            assert_eq!(users.find(&number(asked)), Lookup::User(7), "{asked}");
        }
        assert_eq!(users.find(&number("+441632768402;ext=403")), Lookup::Nobody);
        assert_eq!(users.shared(), 0);
    }

    #[test]
    fn extension_of_two_users_is_ambiguous_until_the_number_is_given() {
        let users = users(&[("+441632768400;ext=401", 1), ("+441632768500;ext=401", 2)]);
        assert_eq!(users.find(&number("401")), Lookup::Ambiguous);
        assert_eq!(users.find(&number("+441632768500;ext=401")), Lookup::User(2));
        assert_eq!(users.find(&number("+441632768500")), Lookup::User(2));
    }
}
