//! The users of the bridge: who they are on either side, and which way their presence goes.
//!
//! Keys are dealt out by (tenant, id) and keep their meaning for as long as the process lives: a user who goes and
//! comes again has the same one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::trunk::TrunkId;

/// A tenant of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey(pub u16);

/// A user of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey(pub u32);

/// Which way presence goes (rule 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    Off,
    /// The PBX's state is written to Teams.
    #[default]
    ToTeams,
    /// Watchers at the edge see Teams' state.
    FromTeams,
    /// Both; watchers see only Teams' state.
    Both,
}

impl Direction {
    /// As the configuration writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::ToTeams => "to-teams",
            Self::FromTeams => "from-teams",
            Self::Both => "both",
        }
    }

    /// Whether the PBX's state is written to Teams.
    pub const fn writes(self) -> bool {
        matches!(self, Self::ToTeams | Self::Both)
    }

    /// Whether watchers at the edge see Teams' state.
    pub const fn shows_teams(self) -> bool {
        matches!(self, Self::FromTeams | Self::Both)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A user's line on a PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub trunk: TrunkId,
    /// The user part that the PBX knows the line by: an extension or a number.
    pub user: Arc<str>,
}

/// A user of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub tenant: TenantKey,
    /// User principal name or mail, in lower case (rule 5).
    pub id: Arc<str>,
    pub direction: Direction,
    /// The object id in Entra; `None`: the user has no match there (yet).
    pub graph_id: Option<Arc<str>>,
    /// Lines on PBXs, by their place in [`super::Source::Line`].
    pub lines: SmallVec<[Line; 1]>,
    /// What watchers may call the user by: E.164 with `+`, extensions.
    pub numbers: SmallVec<[Arc<str>; 2]>,
}

/// All users of the bridge.
#[derive(Clone, Debug, Default)]
pub struct People {
    tenants: Vec<Arc<str>>,
    /// By [`UserKey`]; `None`: the user has gone, and the key waits.
    people: Vec<Option<Person>>,
    keys: HashMap<(TenantKey, Arc<str>), UserKey, foldhash::fast::RandomState>,
    numbers: HashMap<(TenantKey, Arc<str>), UserKey, foldhash::fast::RandomState>,
    present: usize,
}

impl People {
    /// The key of a tenant's name, made when there is none; `None`: there are 65,536 names already.
    pub fn tenant(&mut self, name: &str) -> Option<TenantKey> {
        if let Some(known) = self.find_tenant(name) {
            return Some(known);
        }
        let key = TenantKey(u16::try_from(self.tenants.len()).ok()?);
        self.tenants.push(name.into());
        Some(key)
    }

    /// The key of a tenant's name.
    pub fn find_tenant(&self, name: &str) -> Option<TenantKey> {
        let at = self.tenants.iter().position(|known| **known == *name)?;
        u16::try_from(at).ok().map(TenantKey)
    }

    /// The name of a tenant.
    pub fn tenant_name(&self, key: TenantKey) -> Option<&Arc<str>> {
        self.tenants.get(usize::from(key.0))
    }

    /// Puts a user, in the place of one of the same id; the id is kept in lower case. `None`: the keys are used up.
    pub fn put(&mut self, mut person: Person) -> Option<UserKey> {
        if person.id.bytes().any(|byte| byte.is_ascii_uppercase()) {
            person.id = person.id.to_ascii_lowercase().into();
        }
        let name = (person.tenant, Arc::clone(&person.id));
        let key = match self.keys.get(&name) {
            Some(&key) => key,
            None => {
                let key = UserKey(u32::try_from(self.people.len()).ok()?);
                self.people.push(None);
                self.keys.insert(name, key);
                key
            }
        };
        self.take(key);
        for number in &person.numbers {
            self.numbers.insert((person.tenant, Arc::clone(number)), key);
        }
        if let Some(place) = self.people.get_mut(key.0 as usize) {
            *place = Some(person);
            self.present += 1;
        }
        Some(key)
    }

    /// Takes a user out.
    pub fn take(&mut self, key: UserKey) -> Option<Person> {
        let person = self.people.get_mut(key.0 as usize)?.take()?;
        self.present -= 1;
        for number in &person.numbers {
            let name = (person.tenant, Arc::clone(number));
            if self.numbers.get(&name) == Some(&key) {
                self.numbers.remove(&name);
            }
        }
        Some(person)
    }

    /// The user of a key.
    pub fn get(&self, key: UserKey) -> Option<&Person> {
        self.people.get(key.0 as usize)?.as_ref()
    }

    /// The user of an id, compared without case.
    pub fn by_id(&self, tenant: TenantKey, id: &str) -> Option<UserKey> {
        let id: Arc<str> = id.trim().to_ascii_lowercase().into();
        self.keys.get(&(tenant, id)).copied().filter(|&key| self.get(key).is_some())
    }

    /// The user of a number or extension.
    pub fn by_number(&self, tenant: TenantKey, number: &str) -> Option<UserKey> {
        self.numbers.get(&(tenant, Arc::from(number))).copied()
    }

    /// All users, by key.
    pub fn iter(&self) -> impl Iterator<Item = (UserKey, &Person)> {
        (0..).map(UserKey).zip(&self.people).filter_map(|(key, person)| Some((key, person.as_ref()?)))
    }

    /// The users from a key on, by key.
    pub fn iter_from(&self, from: UserKey) -> impl Iterator<Item = (UserKey, &Person)> {
        let left = self.people.get(from.0 as usize..).unwrap_or_default();
        (from.0..).map(UserKey).zip(left).filter_map(|(key, person)| Some((key, person.as_ref()?)))
    }

    /// All tenants that have had a user, with their names.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantKey, &Arc<str>)> {
        (0..).map(TenantKey).zip(&self.tenants)
    }

    /// How many users there are.
    pub const fn len(&self) -> usize {
        self.present
    }

    /// Whether there is nobody.
    pub const fn is_empty(&self) -> bool {
        self.present == 0
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn person(tenant: TenantKey, id: &str, number: &str) -> Person {
        Person {
            tenant,
            id: id.into(),
            direction: Direction::Both,
            graph_id: None,
            lines: smallvec![],
            numbers: smallvec![number.into()],
        }
    }

    #[test]
    fn keys_keep_their_meaning() {
        let mut people = People::default();
        let contoso = people.tenant("contoso").unwrap();
        let fabrikam = people.tenant("fabrikam").unwrap();
        assert_eq!(people.tenant("contoso"), Some(contoso));
        let alice = people.put(person(contoso, "Alice@Contoso.example", "401")).unwrap();
        let other = people.put(person(fabrikam, "alice@contoso.example", "401")).unwrap();
        assert_ne!(alice, other);
        assert_eq!(people.by_id(contoso, "ALICE@contoso.example"), Some(alice));
        assert_eq!(people.by_number(fabrikam, "401"), Some(other));
        assert!(people.take(alice).is_some());
        assert_eq!((people.len(), people.by_id(contoso, "alice@contoso.example")), (1, None));
        assert_eq!(people.by_number(contoso, "401"), None);
        assert_eq!(people.put(person(contoso, "alice@contoso.example", "402")), Some(alice));
        assert_eq!((people.by_number(contoso, "401"), people.by_number(contoso, "402")), (None, Some(alice)));
    }
}
