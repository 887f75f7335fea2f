//! Who takes part in the bridge: the users of the tenants that want it, as routing has them now, with the object ids
//! that the directory found for them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::TenantPresence;
use crate::presence::{Direction, Line, People, Person, TenantKey, UserKey};
use crate::routing::number::Number;
use crate::routing::{Routing, Tenant, User};

/// Object ids in Entra by user id in lower case.
pub type Matches = HashMap<Arc<str>, Arc<str>, foldhash::fast::RandomState>;

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
    matches: Arc<Matches>,
}

impl Roll {
    /// What has to be done so that the people are those of routing; `max_users` bounds them, and the number of users
    /// beyond it comes back too. A tenant that has not changed costs a comparison.
    pub fn follow(
        &mut self,
        people: &mut People,
        tenants: &BTreeMap<Arc<str>, TenantPresence>,
        routing: &Routing,
        matches: &BTreeMap<Arc<str>, Arc<Matches>>,
        max_users: usize,
    ) -> (Vec<Move>, usize) {
        let mut moves = Vec::new();
        let mut wanted = BTreeMap::new();
        for (name, wishes) in tenants {
            let found = routing.tenants().find(name).and_then(|id| routing.tenants().get(id));
            let Some(tenant) = found.filter(|tenant| !tenant.removed) else { continue };
            let Some(key) = people.tenant(name) else { continue };
            let matches = matches.get(name).cloned().unwrap_or_default();
            wanted.insert(key, MadeOf { tenant: Arc::clone(tenant), wishes: wishes.clone(), matches });
        }
        let changed = |key: &TenantKey, new: &MadeOf| {
            self.made_of.get(key).is_none_or(|old| {
                !Arc::ptr_eq(&old.tenant, &new.tenant)
                    || old.wishes != new.wishes
                    || !Arc::ptr_eq(&old.matches, &new.matches)
            })
        };
        let touched: HashSet<TenantKey> = wanted
            .iter()
            .filter(|(key, new)| changed(key, new))
            .map(|(&key, _)| key)
            .chain(self.made_of.keys().copied().filter(|key| !wanted.contains_key(key)))
            .collect();
        if touched.is_empty() {
            return (moves, 0);
        }
        let mut staying = HashSet::with_capacity(people.len());
        let (mut room, mut beyond) = (max_users, 0);
        for (&key, made_of) in &wanted {
            if !touched.contains(&key) {
                room = room.saturating_sub(made_of.tenant.users().len());
                continue;
            }
            for user in made_of.tenant.users() {
                let Some(person) = person(key, made_of, user) else { continue };
                if room == 0 {
                    beyond += 1;
                    continue;
                }
                room -= 1;
                let known = people.by_id(key, &person.id);
                staying.extend(known);
                if known.and_then(|known| people.get(known)) != Some(&person) {
                    moves.push(Move::Put(person));
                }
            }
        }
        let gone = people.iter().filter(|(key, person)| touched.contains(&person.tenant) && !staying.contains(key));
        moves.extend(gone.map(|(key, _)| Move::Take(key)));
        // Who goes makes room first: a number may have moved to somebody else.
        moves.sort_by_key(|step| matches!(step, Move::Put(_)));
        self.made_of = wanted;
        (moves, beyond)
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
    let graph_id = matches.get(&id).cloned();
    Some(Person { tenant, id, direction, graph_id, lines: line.into_iter().collect(), numbers })
}
