//! What has to be done so that a tenant's users are those of its directory. Pure.
//!
//! Whose a user is: of the configuration, when it has one of this id or mail address; else of the directory, when the
//! directory has put it; else of whoever did. Only what the directory has put is changed or removed, and of that only
//! the fields that nobody else has changed since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::deal::Deal;
use super::settings::GroupRule;
use super::{Entry, Mirror, Settings};
use crate::routing::number::{Digits, MAX_EXTENSION, Number};
use crate::routing::people::UserRecord;
use crate::routing::{Edit, Sites, Tenant, User, compile};

/// What was done before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// By user id: the records that the directory has put, as it wanted them.
    pub put: BTreeMap<String, UserRecord>,
    /// By object id: extensions that were dealt out.
    pub dealt: BTreeMap<Box<str>, Box<str>>,
}

/// The tenant as it is.
#[derive(Clone, Copy, Debug)]
pub struct Office<'a> {
    pub tenant: &'a Tenant,
    pub sites: &'a Sites,
    /// The tenant as the configuration alone has it.
    pub configured: &'a Tenant,
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub new: Vec<UserRecord>,
    pub update: Vec<Replaced>,
    /// As they are in force.
    pub delete: Vec<UserRecord>,
    /// Ids of users that the directory had put and gives back: others have the user under another id.
    pub yielded: Vec<String>,
    /// Users of the directory who stay as they are since something of them makes no sense.
    pub unreadable: Vec<Unreadable>,
    /// Ids of users of the directory that the configuration or somebody else has.
    pub held: Vec<String>,
    /// Users of the directory who have neither a number nor an extension.
    pub without_number: usize,
    /// Users of the directory who are provisioned after all, entries of one user counted once each.
    pub wanted: usize,
    /// Extensions that are dealt out now, by object id.
    pub dealt: Vec<(Box<str>, Box<str>)>,
    /// What the directory wants to have put, where nothing has to be changed: notes that were missing.
    pub noted: Vec<UserRecord>,
    /// Ids of users that were put and are no more, whoever has removed them.
    pub forgotten: Vec<String>,
    /// How many users the directory had put.
    pub known: usize,
}

/// A user that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// As it is in force.
    pub old: UserRecord,
    /// As it will be.
    pub new: UserRecord,
    /// As the directory wants it, without what others have changed.
    pub wanted: UserRecord,
}

/// A user of the directory who is not provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// User principal name or mail; where there is neither, the object id.
    pub user: String,
    /// In words.
    pub why: String,
}

impl Plan {
    /// Whether more than this share of the users that the directory has put would be removed.
    pub fn deletes_more_than(&self, percent: u8) -> bool {
        self.delete.len().saturating_mul(100) > self.known.saturating_mul(usize::from(percent))
    }

    /// The changes of routing.
    pub fn edits(&self, tenant: &str) -> Vec<Edit> {
        let put = |user: &UserRecord| Edit::PutUser { tenant: tenant.to_owned(), user: user.clone() };
        let remove = |user: &str| Edit::RemoveUser { tenant: tenant.to_owned(), user: user.to_owned() };
        // Who goes makes room first.
        let mut edits: Vec<Edit> = self.delete.iter().map(|user| remove(&user.id)).collect();
        edits.extend(self.yielded.iter().map(|id| remove(id)));
        edits.extend(self.update.iter().map(|replaced| put(&replaced.new)));
        edits.extend(self.new.iter().map(put));
        edits
    }
}

/// Compares a tenant with its directory.
pub fn plan(settings: &Settings, mirror: &Mirror, kept: &Kept, office: Office<'_>) -> Plan {
    let mut plan = Plan { known: kept.put.len(), ..Plan::default() };
    if settings.ids_only {
        return plan;
    }
    let wanted = Draft::new(settings, mirror, kept, office).wanted(&mut plan);
    compare(settings, &wanted, kept, office, &mut plan);
    plan.held.sort();
    plan.held.dedup();
    plan
}

/// What the directory wants.
#[derive(Debug, Default)]
struct Wanted {
    records: BTreeMap<String, UserRecord>,
    /// Ids that stay as they are, whatever that is.
    untouched: HashSet<String>,
    /// Ids that the directory leaves to others.
    held: HashSet<String>,
}

/// Wishes in the making.
struct Draft<'a> {
    settings: &'a Settings,
    mirror: &'a Mirror,
    kept: &'a Kept,
    office: Office<'a>,
    /// Ids of users of the configuration, in lower case.
    configured: HashSet<String>,
    /// Ids of all users that are not the directory's, in lower case.
    others: HashSet<String>,
    /// Whose each number is.
    numbers: HashMap<Number, String>,
    deal: Deal,
}

impl<'a> Draft<'a> {
    fn new(settings: &'a Settings, mirror: &'a Mirror, kept: &'a Kept, office: Office<'a>) -> Self {
        let configured: HashSet<String> =
            office.configured.users().iter().map(|user| user.record.id.to_lowercase()).collect();
        let mut draft = Self {
            settings,
            mirror,
            kept,
            office,
            others: configured.clone(),
            configured,
            numbers: HashMap::new(),
            deal: Deal::default(),
        };
        for user in office.tenant.users() {
            if kept.put.contains_key(&user.record.id) && !draft.others.contains(&user.record.id.to_lowercase()) {
                continue;
            }
            draft.others.insert(user.record.id.to_lowercase());
            draft.note(user);
        }
        kept.dealt.values().filter_map(|text| extension(text)).for_each(|digits| draft.deal.note(digits));
        draft
    }

    fn note(&mut self, user: &User) {
        for number in &user.numbers {
            self.numbers.entry(number.clone()).or_insert_with(|| user.record.id.clone());
            number.extension().into_iter().for_each(|digits| self.deal.note(digits));
        }
    }

    /// The records of all users in scope.
    fn wanted(mut self, plan: &mut Plan) -> Wanted {
        let mut users = self.users(plan);
        // Who has been here keeps a number that another claims as well.
        users.sort_by_key(|(object, _, id)| (!self.kept.put.contains_key(id), id.clone(), *object));
        for (object, entry, _) in &users {
            let field = self.rule(object).and_then(|rule| entry.value(rule.extension_field.as_deref()?));
            field.and_then(extension).into_iter().for_each(|digits| self.deal.note(digits));
        }
        let mut wanted = Wanted::default();
        let mut seen = HashSet::new();
        for (object, entry, id) in users {
            if !seen.insert(id.clone()) {
                let why = "another user of the directory has this user principal name or mail address".to_owned();
                plan.unreadable.push(Unreadable { user: id, why });
            } else if self.is_of_others(object, entry, &id) {
                wanted.held.extend(ids_of(self.settings, &id));
                plan.held.push(id);
            } else if self.settings.name_of(entry).is_none() {
                self.leave(&id, &mut wanted);
                let why = format!("the name is empty: `{}`", self.settings.name);
                plan.unreadable.push(Unreadable { user: id, why });
            } else {
                let extension = self.extension(object, entry, plan);
                let records = self.records(object, entry, &id, extension);
                if records.is_empty() {
                    plan.without_number += 1;
                }
                records.into_iter().for_each(|record| self.take(record, &id, &mut wanted, plan));
            }
        }
        plan.wanted = wanted.records.len();
        wanted
    }

    /// The users in scope, with their ids.
    fn users(&self, plan: &mut Plan) -> Vec<(&'a str, &'a Entry, String)> {
        let members = self.settings.group.as_ref().map(|group| self.mirror.groups.get(group));
        let in_scope = |object: &str| match members {
            Some(group) => group.is_some_and(|group| group.members.contains(object)),
            None => true,
        };
        let mut users = Vec::new();
        for (object, entry) in self.mirror.users.iter().filter(|(object, entry)| entry.is_enabled() && in_scope(object))
        {
            match entry.id() {
                Some(id) => users.push((&**object, entry, id.to_owned())),
                None => {
                    let why = "there is neither a user principal name nor a mail address".to_owned();
                    plan.unreadable.push(Unreadable { user: object.to_string(), why });
                }
            }
        }
        users
    }

    /// The first rule that has the user.
    fn rule(&self, object: &str) -> Option<&'a GroupRule> {
        let has =
            |rule: &&GroupRule| self.mirror.groups.get(&rule.group).is_some_and(|group| group.members.contains(object));
        self.settings.rules.iter().find(has)
    }

    /// The records of a user: one of the first number and the extension, and one of each field with a suffix.
    fn records(&self, object: &str, entry: &Entry, id: &str, extension: Option<String>) -> Vec<UserRecord> {
        let lives = self.rule(object).map(|rule| rule.lives).unwrap_or_default();
        let name = self.settings.name_of(entry).unwrap_or_default();
        let plain = self.settings.numbers.iter().find(|number| number.suffix.is_none());
        let teams = entry.teams_number.as_deref().filter(|_| self.settings.teams_numbers);
        let number = teams.or_else(|| entry.value(&plain?.field)).map(str::to_owned);
        let mut records = Vec::new();
        if number.is_some() || extension.is_some() {
            let (id, name) = (id.to_owned(), name.to_owned());
            records.push(UserRecord { id, name, number, extension, lives, ..UserRecord::default() });
        }
        for field in &self.settings.numbers {
            let Some((suffix, number)) = field.suffix.as_ref().zip(entry.value(&field.field)) else { continue };
            records.push(UserRecord {
                id: format!("{id}/{suffix}"),
                name: format!("{name} {suffix}"),
                number: Some(number.to_owned()),
                lives,
                ..UserRecord::default()
            });
        }
        records
    }

    /// The extension of a user: the known one, or the next one that is dealt out.
    fn extension(&mut self, object: &str, entry: &Entry, plan: &mut Plan) -> Option<String> {
        let rule = self.rule(object)?;
        if let Some(known) = self.known_extension(object, entry) {
            let of_field = rule.extension_field.as_ref().is_some_and(|field| entry.value(field).is_some());
            if !of_field && !self.kept.dealt.contains_key(object) {
                plan.dealt.push((object.into(), known.as_str().into()));
            }
            return Some(known);
        }
        let first = rule.first_extension.as_ref()?;
        let Some(dealt) = self.deal.next(first, &self.office.tenant.numbering) else {
            let user = entry.id().unwrap_or(object).to_owned();
            plan.unreadable.push(Unreadable { user, why: format!("no extension is left from {first} on") });
            return None;
        };
        plan.dealt.push((object.into(), dealt.clone()));
        Some(dealt.into())
    }

    /// The extension that stands in the user's field, or was dealt out before.
    fn known_extension(&self, object: &str, entry: &Entry) -> Option<String> {
        let rule = self.rule(object)?;
        let dealt = || rule.first_extension.as_ref().and_then(|_| self.kept.dealt.get(object)).map(|text| &**text);
        // A store that was lost does not take anybody's extension away.
        let in_force = || rule.first_extension.as_ref().and_then(|_| self.extension_in_force(entry.id()?));
        let field = rule.extension_field.as_ref().and_then(|field| entry.value(field));
        field.or_else(dealt).or_else(in_force).map(str::to_owned)
    }

    /// The extension of a user of this id that is not the configuration's.
    fn extension_in_force(&self, id: &str) -> Option<&'a str> {
        let user = self.office.tenant.named(id).filter(|_| self.office.configured.named(id).is_none())?;
        user.record.extension.as_deref()
    }

    /// Whether somebody else has the user, under any of the names.
    fn is_of_others(&self, object: &str, entry: &Entry, id: &str) -> bool {
        let is_in = |ids: &HashSet<String>| entry.names().any(|name| ids.contains(name));
        is_in(&self.configured) || is_in(&self.others) && !self.is_adopted(object, entry, id)
    }

    /// Whether a user's very records are in force, though nobody has noted that the directory has put them.
    fn is_adopted(&self, object: &str, entry: &Entry, id: &str) -> bool {
        let here =
            |record: &UserRecord| self.office.tenant.named(&record.id).is_some_and(|user| user.record == *record);
        let records = self.records(object, entry, id, self.known_extension(object, entry));
        !records.is_empty() && records.iter().all(here)
    }

    /// Lets all entries of a user be as they are.
    fn leave(&mut self, user: &str, wanted: &mut Wanted) {
        for id in ids_of(self.settings, user) {
            if let Some(current) = self.office.tenant.named(&id).filter(|_| self.kept.put.contains_key(&id)) {
                self.note(current);
            }
            wanted.untouched.insert(id);
        }
    }

    /// Takes a record that can be read and whose number nobody else has.
    fn take(&mut self, record: UserRecord, user: &str, wanted: &mut Wanted, plan: &mut Plan) {
        let compiled = match compile(record, self.office.tenant, self.office.sites) {
            Ok(compiled) => compiled,
            Err(error) => {
                self.leave(user, wanted);
                plan.unreadable.push(Unreadable { user: user.to_owned(), why: error.to_string() });
                return;
            }
        };
        let id = compiled.record.id.clone();
        let taken = compiled.numbers.iter().find_map(|number| {
            let owner = self.numbers.get(number).filter(|owner| **owner != id)?;
            Some((number.clone(), owner.clone()))
        });
        if let Some((number, owner)) = taken {
            wanted.untouched.insert(id);
            let why = format!("user `{owner}` has {number} already");
            plan.unreadable.push(Unreadable { user: user.to_owned(), why });
            return;
        }
        self.note(&compiled);
        wanted.records.insert(id, compiled.record);
    }
}

impl Settings {
    fn name_of<'e>(&self, entry: &'e Entry) -> Option<&'e str> {
        entry.value(&self.name)
    }
}

/// All ids that entries of a user may have.
fn ids_of(settings: &Settings, user: &str) -> BTreeSet<String> {
    let suffixes = settings.numbers.iter().filter_map(|number| number.suffix.as_ref());
    suffixes.map(|suffix: &Arc<str>| format!("{user}/{suffix}")).chain([user.to_owned()]).collect()
}

fn extension(text: &str) -> Option<Digits> {
    Digits::new(text.as_bytes()).filter(|digits| digits.is_decimal() && digits.len() <= MAX_EXTENSION)
}

/// What differs between what is wanted and what is in force.
fn compare(settings: &Settings, wanted: &Wanted, kept: &Kept, office: Office<'_>, plan: &mut Plan) {
    for (id, record) in &wanted.records {
        let (put, current) = (kept.put.get(id), office.tenant.named(id).map(|user| &user.record));
        match (put, current) {
            (_, None) if settings.new => plan.new.push(record.clone()),
            (_, None) => {}
            // It is adopted.
            (None, Some(_)) => plan.noted.push(record.clone()),
            (Some(put), Some(current)) => {
                let merged = merged(put, current, record);
                if merged == *current {
                    if put != record {
                        plan.noted.push(record.clone());
                    }
                } else if !settings.update {
                } else if let Err(error) = compile(merged.clone(), office.tenant, office.sites) {
                    // What others have changed contradicts what the directory says now.
                    plan.unreadable.push(Unreadable { user: id.clone(), why: error.to_string() });
                } else {
                    plan.update.push(Replaced { old: current.clone(), new: merged, wanted: record.clone() });
                }
            }
        }
    }
    for id in kept.put.keys() {
        if wanted.records.contains_key(id) || wanted.untouched.contains(id) {
            continue;
        }
        // While the configuration has the user it has it alone; the note waits for the day when it has not.
        if office.configured.named(id).is_some() {
            continue;
        }
        let current = office.tenant.named(id).map(|user| &user.record);
        if wanted.held.contains(id) && current.is_some() {
            plan.yielded.push(id.clone());
        } else if let Some(current) = current {
            if settings.delete {
                plan.delete.push(current.clone());
            }
        } else {
            plan.forgotten.push(id.clone());
        }
    }
}

/// `wanted`, but for the fields in which `current` is no longer what was put.
fn merged(put: &UserRecord, current: &UserRecord, wanted: &UserRecord) -> UserRecord {
    fn field<T: Clone + PartialEq>(put: &T, current: &T, wanted: &T) -> T {
        if put == current { wanted.clone() } else { current.clone() }
    }
    UserRecord {
        id: wanted.id.clone(),
        name: field(&put.name, &current.name, &wanted.name),
        number: field(&put.number, &current.number, &wanted.number),
        extension: field(&put.extension, &current.extension, &wanted.extension),
        lives: field(&put.lives, &current.lives, &wanted.lives),
        kind: field(&put.kind, &current.kind, &wanted.kind),
        site: field(&put.site, &current.site, &wanted.site),
        coverage_delay_s: field(&put.coverage_delay_s, &current.coverage_delay_s, &wanted.coverage_delay_s),
        pbx_identity: field(&put.pbx_identity, &current.pbx_identity, &wanted.pbx_identity),
    }
}
