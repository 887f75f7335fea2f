//! The directory, read to its end: what has changed since the last time, or all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::pages::{Fault, Page, Pages};
use super::{Entry, Settings};

/// Pages of one walk; a directory of a million users has a tenth of them.
const MAX_PAGES: usize = 100_000;

/// How often a page is asked for that the directory does not want to give now.
const ATTEMPTS: usize = 6;

/// The longest that is waited for one page.
const LONGEST: Duration = Duration::from_secs(300);

/// What the directory had when it was last read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// By object id.
    pub users: BTreeMap<Box<str>, Entry>,
    /// What gives the changes of users since.
    pub link: Option<Box<str>>,
    /// The properties that were asked for: others need everything again.
    pub shape: Box<str>,
    /// By object id.
    pub groups: BTreeMap<Arc<str>, Group>,
}

/// A group whose members are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub link: Option<Box<str>>,
    /// Object ids.
    pub members: BTreeSet<Box<str>>,
}

/// What came of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub mirror: Mirror,
    /// Object ids of the users that may have changed; `None`: everything was read.
    pub touched: Option<BTreeSet<Box<str>>>,
    pub pages: usize,
}

/// Reads what has changed since `known`, or everything where that is not possible. Nothing of a directory that could not
/// be read to its end comes back.
///
/// # Errors
/// [`Fault`]; then what was known stays true.
pub async fn read<P: Pages>(pages: &P, settings: &Settings, known: Mirror) -> Result<Reading, Fault> {
    let mut walk = Walk { pages, settings, fields: settings.fields(), select: settings.select(), read: 0 };
    let shape: Box<str> = walk.select.join(",").into();
    let mut groups = known.groups.clone();
    let before = match known.link.clone().filter(|_| known.shape == shape) {
        Some(link) => walk.changes(known, &link).await?,
        None => None,
    };
    let (mut mirror, mut touched) = match before {
        Some((mirror, touched)) => (mirror, Some(touched)),
        None => (walk.everything().await?, None),
    };
    mirror.shape = shape;
    mirror.groups.clear();
    for group in settings.groups() {
        let read = walk.group(&group, groups.remove(&group).unwrap_or_default()).await?;
        mirror.groups.insert(group, read);
    }
    if settings.teams_numbers {
        let assigned = walk.assignments().await?;
        for (id, entry) in &mut mirror.users {
            let number = assigned.get(id).cloned();
            if entry.teams_number != number {
                entry.teams_number = number;
                touched.as_mut().map(|touched| touched.insert(id.clone()));
            }
        }
    }
    Ok(Reading { mirror, touched, pages: walk.read })
}

/// Tries what reading needs, one page of each: what was tried, and what was wrong with it.
pub async fn trial<P: Pages>(pages: &P, settings: &Settings) -> Vec<(String, Option<Fault>)> {
    let users = pages.users(&settings.select(), None).await.err();
    let mut tried = vec![("users".to_owned(), users)];
    // Who cannot sign in cannot read anything.
    if tried.iter().any(|(_, fault)| fault.is_some()) {
        return tried;
    }
    for group in settings.groups() {
        let fault = pages.members(&group, None).await.err();
        tried.push((format!("group {group}"), fault));
    }
    if settings.teams_numbers {
        tried.push(("numbers assigned by Teams".to_owned(), pages.assignments(None).await.err()));
    }
    tried
}

/// A reading that is under way.
struct Walk<'a, P> {
    pages: &'a P,
    settings: &'a Settings,
    fields: Vec<Arc<str>>,
    select: Vec<Arc<str>>,
    /// Pages so far.
    read: usize,
}

impl<P: Pages> Walk<'_, P> {
    /// What was known with the changes since; `None`: it cannot be had that way.
    async fn changes(&mut self, mut mirror: Mirror, link: &str) -> Result<Option<(Mirror, BTreeSet<Box<str>>)>, Fault> {
        let mut touched = BTreeSet::new();
        match self.users(Some(link), &mut mirror, &mut touched).await {
            Err(Fault::Stale) => return Ok(None),
            result => result?,
        }
        // A user who is new here must be told whole; one who is not was missed before.
        let whole = touched.iter().all(|id| mirror.users.get(id).is_none_or(Entry::is_known));
        Ok(whole.then_some((mirror, touched)))
    }

    async fn everything(&mut self) -> Result<Mirror, Fault> {
        let mut mirror = Mirror::default();
        self.users(None, &mut mirror, &mut BTreeSet::new()).await?;
        Ok(mirror)
    }

    /// Takes users from a link to the end.
    async fn users(
        &mut self,
        from: Option<&str>,
        mirror: &mut Mirror,
        touched: &mut BTreeSet<Box<str>>,
    ) -> Result<(), Fault> {
        let mut link: Option<Box<str>> = from.map(Box::from);
        loop {
            let page = patiently(|| self.pages.users(&self.select, link.as_deref())).await?;
            let Page { items, next, since } = self.turn(page, link.as_deref())?;
            for change in items {
                if change.gone {
                    mirror.users.remove(&change.id);
                } else {
                    mirror.users.entry(change.id.clone()).or_default().take(&change.fields, &self.fields);
                }
                touched.insert(change.id);
            }
            if mirror.users.len() > self.settings.max_users {
                return Err(Fault::TooMany(self.settings.max_users));
            }
            if next.is_none() {
                mirror.link = since;
                return Ok(());
            }
            link = next;
        }
    }

    /// The members of a group, from where it was read last.
    async fn group(&mut self, id: &str, known: Group) -> Result<Group, Fault> {
        let since = known.link.clone();
        match self.members(id, since.as_deref(), known).await {
            Err(Fault::Stale) if since.is_some() => self.members(id, None, Group::default()).await,
            result => result,
        }
    }

    async fn members(&mut self, id: &str, from: Option<&str>, known: Group) -> Result<Group, Fault> {
        // Without a link everybody is told again.
        let mut group = if from.is_some() { known } else { Group::default() };
        let mut link: Option<Box<str>> = from.map(Box::from);
        loop {
            let page = patiently(|| self.pages.members(id, link.as_deref())).await?;
            let Page { items, next, since } = self.turn(page, link.as_deref())?;
            for member in items {
                if member.gone {
                    group.members.remove(&member.id);
                } else {
                    group.members.insert(member.id);
                }
            }
            // Members may be groups and devices as well.
            if group.members.len() > self.settings.max_users.saturating_mul(2) {
                return Err(Fault::TooMany(self.settings.max_users));
            }
            if next.is_none() {
                group.link = since;
                return Ok(group);
            }
            link = next;
        }
    }

    /// The first number of each user that has one.
    async fn assignments(&mut self) -> Result<BTreeMap<Box<str>, Box<str>>, Fault> {
        let mut assigned = BTreeMap::new();
        let mut link: Option<Box<str>> = None;
        loop {
            let page = patiently(|| self.pages.assignments(link.as_deref())).await?;
            let Page { items, next, since: _ } = self.turn(page, link.as_deref())?;
            for assignment in items {
                assigned.entry(assignment.user).or_insert(assignment.number);
            }
            if assigned.len() > self.settings.max_users {
                return Err(Fault::TooMany(self.settings.max_users));
            }
            if next.is_none() {
                return Ok(assigned);
            }
            link = next;
        }
    }

    /// Counts a page, and sees to it that there is an end.
    fn turn<T>(&mut self, page: Page<T>, link: Option<&str>) -> Result<Page<T>, Fault> {
        self.read += 1;
        if self.read > MAX_PAGES || page.next.as_deref().is_some_and(|next| Some(next) == link) {
            return Err(Fault::Failed("the directory's pages have no end".to_owned()));
        }
        Ok(page)
    }
}

/// Asks until there is an answer, and waits for as long as the directory wants in between.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    for _ in 1..ATTEMPTS {
        match ask().await {
            Err(Fault::Throttled { after }) => tokio::time::sleep(after.min(LONGEST)).await,
            result => return result,
        }
    }
    ask().await
}
