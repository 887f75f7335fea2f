//! A directory that is told what to have, and what to do wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::directory::{Assignment, Fault, Member, Page, Pages, UserChange};

type Fields = BTreeMap<String, Vec<String>>;

/// Fields of properties that are texts, lists of texts, or nothing.
fn fields(properties: Value) -> Fields {
    let Value::Object(properties) = properties else { panic!("an object") };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = |value: &Value| match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().map(text).collect(),
        one => vec![text(one)],
    };
    properties.iter().map(|(name, value)| (name.clone(), values(value))).collect()
}

/// What the directory has, and the history that its links lead into.
#[derive(Debug, Default)]
pub struct Source {
    inner: Mutex<Inner>,
    /// Items of a page.
    pub page: usize,
}

#[derive(Debug, Default)]
struct Inner {
    users: BTreeMap<Box<str>, Fields>,
    members: BTreeMap<Box<str>, Vec<Member>>,
    numbers: Vec<Assignment>,
    /// All changes of users ever.
    log: Vec<UserChange>,
    /// Links into the log before this are too old.
    oldest: usize,
    faults: VecDeque<Option<Fault>>,
    asked: usize,
}

impl Source {
    pub fn new(page: usize) -> Self {
        Self { page: page.max(1), ..Self::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap())
    }

    /// Puts a user, or changes these properties of one.
    pub fn put(&self, id: &str, properties: Value) {
        let fields = fields(properties);
        self.with(|inner| {
            // One that was not there is told whole, others as far as they change.
            inner.users.entry(id.into()).or_default().extend(fields.clone());
            inner.log.push(UserChange { id: id.into(), gone: false, fields });
        });
    }

    pub fn remove(&self, id: &str) {
        self.with(|inner| {
            inner.users.remove(id);
            inner.log.push(UserChange { id: id.into(), gone: true, fields: Fields::new() });
        });
    }

    pub fn has(&self, id: &str) -> bool {
        self.with(|inner| inner.users.contains_key(id))
    }

    /// Tells the last changes once more.
    pub fn replay(&self, count: usize) {
        self.with(|inner| {
            let from = inner.log.len().saturating_sub(count);
            let again: Vec<UserChange> = inner.log[from..].iter().map(|change| now(&inner.users, change)).collect();
            inner.log.extend(again);
        });
    }

    /// Old links are good for nothing any more.
    pub fn forget(&self) {
        self.with(|inner| inner.oldest = inner.log.len() + 1);
    }

    /// Old links are good for something again.
    pub fn with_oldest(&self, oldest: usize) {
        self.with(|inner| inner.oldest = oldest);
    }

    pub fn set_members(&self, group: &str, members: &[&str]) {
        let member = |id: &&str| Member { id: (*id).into(), gone: false };
        self.with(|inner| inner.members.insert(group.into(), members.iter().map(member).collect()));
    }

    pub fn assign(&self, user: &str, number: &str) {
        self.with(|inner| inner.numbers.push(Assignment { user: user.into(), number: number.into() }));
    }

    /// What the next pages come to; `None`: a page.
    pub fn fail(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.with(|inner| inner.faults = faults.into_iter().collect());
    }

    /// How many pages were asked for.
    pub fn asked(&self) -> usize {
        self.with(|inner| inner.asked)
    }

    fn turn<T>(&self, make: impl FnOnce(&mut Inner) -> Result<Page<T>, Fault>) -> Result<Page<T>, Fault> {
        self.with(|inner| {
            inner.asked += 1;
            match inner.faults.pop_front().flatten() {
                Some(fault) => Err(fault),
                None => make(inner),
            }
        })
    }
}

/// A change as it would be told now.
fn now(users: &BTreeMap<Box<str>, Fields>, change: &UserChange) -> UserChange {
    match users.get(&change.id) {
        Some(fields) => UserChange { gone: false, fields: fields.clone(), ..change.clone() },
        None => UserChange { gone: true, fields: Fields::new(), ..change.clone() },
    }
}

/// A page of a list, and the place of the next one.
fn cut<T: Clone>(list: &[T], at: usize, page: usize) -> (Vec<T>, Option<usize>) {
    let items: Vec<T> = list.iter().skip(at).take(page).cloned().collect();
    let next = at + items.len();
    (items, Some(next).filter(|next| *next < list.len()))
}

/// `all:AT:SINCE` leads into the list of users, `log:AT` into the log.
impl Pages for Source {
    async fn users(&self, _: &[Arc<str>], link: Option<&str>) -> Result<Page<UserChange>, Fault> {
        let page = self.page;
        self.turn(|inner| {
            let parts: Vec<&str> = link.unwrap_or("all:0:").split(':').collect();
            let number = |index: usize| parts[index].parse::<usize>().unwrap_or(inner.log.len());
            if parts[0] == "all" {
                let all: Vec<UserChange> = inner
                    .users
                    .iter()
                    .map(|(id, fields)| UserChange { id: id.clone(), gone: false, fields: fields.clone() })
                    .collect();
                let since = number(2);
                let (items, next) = cut(&all, number(1), page);
                let next = next.map(|next| format!("all:{next}:{since}").into());
                let since = next.is_none().then(|| format!("log:{since}").into());
                return Ok(Page { items, next, since });
            }
            if number(1) < inner.oldest {
                return Err(Fault::Stale);
            }
            let (items, next) = cut(&inner.log, number(1), page);
            let end = format!("log:{}", inner.log.len()).into();
            let next: Option<Box<str>> = next.map(|next| format!("log:{next}").into());
            let since = next.is_none().then_some(end);
            Ok(Page { items, next, since })
        })
    }

    async fn members(&self, group: &str, link: Option<&str>) -> Result<Page<Member>, Fault> {
        let page = self.page;
        self.turn(|inner| {
            let members =
                inner.members.get(group).ok_or_else(|| Fault::Failed(format!("there is no group {group}")))?;
            let at = link.map_or(0, |link| link.parse().unwrap());
            let (items, next) = cut(members, at, page);
            Ok(Page { items, next: next.map(|next| next.to_string().into()), since: None })
        })
    }

    async fn assignments(&self, link: Option<&str>) -> Result<Page<Assignment>, Fault> {
        let page = self.page;
        self.turn(|inner| {
            let (items, next) = cut(&inner.numbers, link.map_or(0, |link| link.parse().unwrap()), page);
            Ok(Page { items, next: next.map(|next| next.to_string().into()), since: None })
        })
    }
}

/// The usual properties of a user.
pub fn user(name: &str, number: &str) -> Value {
    json!({
        "userPrincipalName": format!("{}@contoso.example", name.to_lowercase()), "mail": null, "displayName": name,
        "businessPhones": [number], "accountEnabled": true,
    })
}

pub fn throttled() -> Option<Fault> {
    Some(Fault::Throttled { after: Duration::from_millis(1) })
}

pub fn failed() -> Option<Fault> {
    Some(Fault::Failed("the connection was lost".to_owned()))
}
