//! Who takes part in the bridge: the users of the tenants that want it, as routing has them now, with the object ids
//! that the directory found for them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::TenantPresence;
use crate::directory::Matches;
use crate::presence::{Direction, Line, People, Person, TenantKey, UserKey};
use crate::routing::number::Number;
use crate::routing::{Routing, Tenant, User};

/// What is to be done with a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    Put(Person),
    Take(UserKey),
}

/// What the people were made of last time.
#[derive(Debug, Default)]
pub struct Roll {
    made_of: BTreeMap<TenantKey, MadeOf>,
}

#[derive(Debug)]
struct MadeOf {
    tenant: Arc<Tenant>,
    wishes: TenantPresence,
    /// `None`: the directory has told nothing yet.
    matches: Option<Arc<Matches>>,
    /// Users who take part, and those for whom there was no room.
    taken: usize,
    beyond: usize,
}

/// What a tenant's people are to be made of.
struct Wanted<'a> {
    tenant: &'a Arc<Tenant>,
    wishes: &'a TenantPresence,
    matches: Option<&'a Arc<Matches>>,
}

impl Wanted<'_> {
    fn is(&self, old: &MadeOf) -> bool {
        let same_matches = match (self.matches, &old.matches) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(self.tenant, &old.tenant) && same_matches && *self.wishes == old.wishes
    }
}

impl Roll {
    /// What has to be done so that the people are those of routing; `max_users` bounds them, see [`Roll::beyond`]. Tenants
    /// that have no key among the people take no part. A tenant that has not changed costs a comparison.
    pub fn follow(
        &mut self,
        people: &People,
        tenants: &BTreeMap<Arc<str>, TenantPresence>,
        routing: &Routing,
        matches: &BTreeMap<Arc<str>, Arc<Matches>>,
        max_users: usize,
    ) -> Vec<Move> {
        let wanted = tenants.iter().filter_map(|(name, wishes)| {
            let tenant = routing.tenants().get(routing.tenants().find(name)?)?;
            let key = people.find_tenant(name).filter(|_| !tenant.removed)?;
            Some((key, Wanted { tenant, wishes, matches: matches.get(name) }))
        });
        let wanted: BTreeMap<TenantKey, Wanted<'_>> = wanted.collect();
        let changed = |(key, new): (&TenantKey, &Wanted<'_>)| !self.made_of.get(key).is_some_and(|old| new.is(old));
        let gone = self.made_of.keys().filter(|key| !wanted.contains_key(key)).copied();
        let mut touched: HashSet<TenantKey> =
            wanted.iter().filter(|&entry| changed(entry)).map(|(&key, _)| key).chain(gone).collect();
        if touched.is_empty() {
            return Vec::new();
        }
        // Others may have left room for those who had none.
        touched.extend(self.made_of.iter().filter(|(_, made_of)| made_of.beyond > 0).map(|(&key, _)| key));
        self.made_of.retain(|key, _| !touched.contains(key));
        let mut room = max_users.saturating_sub(self.made_of.values().map(|made_of| made_of.taken).sum());
        let (mut moves, mut staying) = (Vec::new(), HashSet::with_capacity(people.len()));
        for (key, Wanted { tenant, wishes, matches }) in wanted {
            if !touched.contains(&key) {
                continue;
            }
            let (tenant, wishes, matches) = (Arc::clone(tenant), wishes.clone(), matches.cloned());
            let users = Arc::clone(&tenant);
            let mut made_of = MadeOf { tenant, wishes, matches, taken: 0, beyond: 0 };
            for user in users.users() {
                let Some(person) = person(key, &made_of, user) else { continue };
                if made_of.taken == room {
                    made_of.beyond += 1;
                    continue;
                }
                made_of.taken += 1;
                let known = people.by_id(key, &person.id);
                staying.extend(known);
                if known.and_then(|known| people.get(known)) != Some(&person) {
                    moves.push(Move::Put(person));
                }
            }
            room -= made_of.taken;
            self.made_of.insert(key, made_of);
        }
        let gone = people.iter().filter(|(key, person)| touched.contains(&person.tenant) && !staying.contains(key));
        moves.extend(gone.map(|(key, _)| Move::Take(key)));
        // Who goes makes room first: a number may have moved to somebody else.
        moves.sort_by_key(|step| matches!(step, Move::Put(_)));
        moves
    }

    /// Users who would take part if there were room for them.
    pub fn beyond(&self) -> usize {
        self.made_of.values().map(|made_of| made_of.beyond).sum()
    }
}

/// The user as the bridge knows him; `None`: he takes no part.
fn person(tenant: TenantKey, made_of: &MadeOf, user: &User) -> Option<Person> {
    let MadeOf { wishes, matches, .. } = made_of;
    let id: Arc<str> = user.record.id.to_lowercase().into();
    let own = wishes.users.get(&id);
    let direction = own.and_then(|own| own.direction).unwrap_or(wishes.direction);
    if direction == Direction::Off {
        return None;
    }
    let mut numbers: SmallVec<[Arc<str>; 2]> = SmallVec::new();
    let (mut extension, mut telephone) = (None, None);
    for number in &user.numbers {
        match number {
            Number::Telephone { e164, extension: behind } => {
                telephone.get_or_insert_with(|| format!("+{e164}"));
                extension = extension.or_else(|| behind.map(|digits| digits.to_string()));
            }
            Number::Extension(digits) => extension = extension.or_else(|| Some(digits.to_string())),
            Number::Service(_) | Number::Opaque(_) => {}
        }
    }
    // A number that several share belongs to none of them; the extension behind it does.
    let alone =
        |text: &str| made_of.tenant.user_of(text.as_bytes()).is_some_and(|found| found.record.id == user.record.id);
    numbers.extend(telephone.iter().filter(|text| alone(text)).map(|text| Arc::from(text.as_str())));
    numbers.extend(extension.iter().map(|text| Arc::from(text.as_str())));
    let line_user = own
        .and_then(|own| own.line.clone())
        .or_else(|| extension.as_deref().map(Arc::from))
        .or_else(|| telephone.as_deref().map(Arc::from));
    let line = wishes.line_trunk.zip(line_user).map(|(trunk, user)| Line { trunk, user });
    let graph_id = matches.as_ref().and_then(|matches| matches.get(&id)).cloned();
    Some(Person { tenant, id, direction, graph_id, lines: line.into_iter().collect(), numbers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_str;

    const NAMES: [&str; 2] = ["contoso", "fabrikam"];

    /// Two tenants with three users each, and who of them takes part.
    struct World {
        routing: Routing,
        wishes: BTreeMap<Arc<str>, TenantPresence>,
        people: People,
        roll: Roll,
    }

    impl World {
        fn new() -> Self {
            let mut text =
                String::from("[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n");
            for tenant in NAMES {
                text += &format!("[tenant.{tenant}]\ncountry = \"GB\"\n[tenant.{tenant}.presence]\n");
                for number in 1..=3 {
                    text +=
                        &format!("[[tenant.{tenant}.user]]\nid = \"u{number}@{tenant}\"\nextension = \"40{number}\"\n");
                }
            }
            let loaded = load_str("t", &text, std::path::Path::new(".")).unwrap();
            let mut people = People::default();
            NAMES.iter().for_each(|name| assert!(people.tenant(name).is_some()));
            Self { routing: loaded.routing, wishes: loaded.config.presence.tenants, people, roll: Roll::default() }
        }

        /// How many users were put and taken.
        fn follow(&mut self, matches: &BTreeMap<Arc<str>, Arc<Matches>>, max_users: usize) -> (usize, usize) {
            let moves = self.roll.follow(&self.people, &self.wishes, &self.routing, matches, max_users);
            let mut counts = (0, 0);
            for step in moves {
                match step {
                    Move::Put(person) => {
                        self.people.put(person).unwrap();
                        counts.0 += 1;
                    }
                    Move::Take(user) => {
                        self.people.take(user).unwrap();
                        counts.1 += 1;
                    }
                }
            }
            counts
        }
    }

    #[test]
    fn tenants_that_have_not_changed_are_left_alone() {
        let mut world = World::new();
        let mut matches = BTreeMap::new();
        assert_eq!(world.follow(&matches, 100), (6, 0));
        let kept = |world: &World| world.roll.made_of.values().map(std::ptr::from_ref).collect::<Vec<_>>();
        let before = kept(&world);
        assert_eq!(world.follow(&matches, 100), (0, 0));
        assert_eq!(kept(&world), before, "without object ids there is nothing new either");
        let found = Matches::from_iter([("u1@contoso".into(), "object".into())]);
        matches.insert("contoso".into(), Arc::new(found));
        assert_eq!(world.follow(&matches, 100), (1, 0));
        assert_eq!(world.follow(&matches, 100), (0, 0));
        world.wishes.remove("contoso");
        assert_eq!(world.follow(&matches, 100), (0, 3));
    }

    #[test]
    fn who_has_no_room_is_counted_until_there_is_some() {
        let (mut world, matches) = (World::new(), BTreeMap::new());
        assert_eq!(world.follow(&matches, 4), (4, 0));
        assert_eq!(world.roll.beyond(), 2);
        assert_eq!(world.follow(&matches, 4), (0, 0));
        assert_eq!(world.roll.beyond(), 2, "a look at what has not changed forgets nobody");
        world.wishes.remove("contoso");
        assert_eq!(world.follow(&matches, 4), (2, 3));
        assert_eq!((world.roll.beyond(), world.people.len()), (0, 3));
    }
}
