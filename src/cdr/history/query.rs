//! Asking the history: the narrowest index leads, the rest is compared.

use redb::{AccessGuard, ReadOnlyTable, ReadableDatabase, StorageError};

use super::{CALLS, Entry, History, INDEX, first_serial, index};

/// Entries that are looked at for one page: whoever asks for something rare goes on with `next`.
const MAX_LOOKED_AT: usize = 20_000;

/// Which entries are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// One of these called or was called.
    pub who: Option<Vec<Who>>,
    /// And one of these.
    pub with: Option<Vec<Who>>,
    pub tenant: Option<String>,
    /// The trunk of either side.
    pub trunk: Option<String>,
    /// The call began then or later, in milliseconds since 1970 UTC.
    pub since: Option<u64>,
    /// The call began before that.
    pub until: Option<u64>,
    /// Its outcome; `answered` and `failed` stand for several.
    pub outcome: Option<String>,
    pub limit: usize,
    /// The [`Page::next`] of the page before.
    pub after: Option<u64>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// A number means nothing without a tenant where it is an extension.
    pub tenant: Option<String>,
    pub number: String,
}

/// Entries, those of calls that began last first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<u64>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Its thread is still opening the store.
    #[error("the history is being opened")]
    Opening,
    #[error(transparent)]
    Transaction(#[from] redb::TransactionError),
    #[error(transparent)]
    Table(#[from] redb::TableError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

type Serials = Box<dyn Iterator<Item = Result<u64, StorageError>>>;

impl History {
    /// Entries that fit.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn find(&self, ask: &Ask) -> Result<Page, HistoryError> {
        let store = self.store.load_full().ok_or(HistoryError::Opening)?;
        let read = store.begin_read()?;
        let (calls, index) = (read.open_table(CALLS)?, read.open_table(INDEX)?);
        let until = ask.until.map_or(u64::MAX, first_serial);
        let end = until.min(ask.after.unwrap_or(u64::MAX));
        let mut serials = Newest::new(sources(ask, &calls, &index, first_serial(ask.since.unwrap_or(0))..end)?);
        let mut page = Page::default();
        let mut looked_at = 0;
        while let Some(serial) = serials.next()? {
            if page.entries.len() >= ask.limit || looked_at >= MAX_LOOKED_AT {
                // The page ends before this one.
                page.next = Some(serial.saturating_add(1));
                break;
            }
            looked_at += 1;
            let entry: Option<Entry> = calls.get(serial)?.and_then(|json| serde_json::from_slice(json.value()).ok());
            page.entries.extend(entry.filter(|entry| ask.fits(entry)));
        }
        Ok(page)
    }

    /// All entries of a call.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn of_call(&self, call: &str) -> Result<Vec<Entry>, HistoryError> {
        let store = self.store.load_full().ok_or(HistoryError::Opening)?;
        let read = store.begin_read()?;
        let (calls, index) = (read.open_table(CALLS)?, read.open_table(INDEX)?);
        let mut entries = Vec::new();
        for serial in of_key(&index, &index::call(call), 0..u64::MAX)?.take(MAX_OF_CALL) {
            entries.extend(calls.get(serial?)?.and_then(|json| serde_json::from_slice(json.value()).ok()));
        }
        Ok(entries)
    }
}

/// Entries of one call that are shown.
const MAX_OF_CALL: usize = 100;

impl Ask {
    fn fits(&self, entry: &Entry) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let who = |who: &Who| {
            let number = index::plain(&who.number);
            let numbers = [&entry.caller, &entry.called, &entry.sent_to, &entry.user];
            same(&who.tenant, &entry.tenant) && numbers.iter().any(|found| index::plain(found) == number)
        };
        let outcome = match self.outcome.as_deref() {
            None => true,
            Some("answered") => entry.status == Some(200),
            Some("failed") => entry.status != Some(200),
            Some(name) => entry.outcome == name,
        };
        outcome
            && same(&self.tenant, &entry.tenant)
            && self.trunk.as_ref().is_none_or(|trunk| *trunk == entry.from_trunk || *trunk == entry.to_trunk)
            && [&self.who, &self.with].into_iter().flatten().all(|several| several.iter().any(who))
    }
}

/// Where serials come from, each source descending.
fn sources(
    ask: &Ask,
    calls: &ReadOnlyTable<u64, &'static [u8]>,
    index: &ReadOnlyTable<(&'static str, u64), ()>,
    range: std::ops::Range<u64>,
) -> Result<Vec<Serials>, StorageError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(several) = ask.who.as_ref().or(ask.with.as_ref()) {
        return several.iter().map(|who| of_key(index, &index::number(&who.number), range.clone())).collect();
    }
    let key = match (&ask.trunk, &ask.tenant) {
        (_, Some(tenant)) => index::tenant(tenant),
        (Some(trunk), None) => index::trunk(trunk),
        (None, None) => {
            let serial = |found: Result<(AccessGuard<'_, u64>, _), _>| found.map(|(serial, _)| serial.value());
            return Ok(vec![Box::new(calls.range(range)?.rev().map(serial))]);
        }
    };
    Ok(vec![of_key(index, &key, range)?])
}

fn of_key(
    index: &ReadOnlyTable<(&'static str, u64), ()>,
    key: &str,
    range: std::ops::Range<u64>,
) -> Result<Serials, StorageError> {
    let found = index.range((key, range.start)..(key, range.end))?;
    Ok(Box::new(found.rev().map(|found| found.map(|(key, _)| key.value().1))))
}

/// Several descending sources as one, each serial once.
struct Newest {
    sources: Vec<(Serials, Option<u64>)>,
}

impl Newest {
    fn new(sources: Vec<Serials>) -> Self {
        Self { sources: sources.into_iter().map(|source| (source, None)).collect() }
    }

    fn next(&mut self) -> Result<Option<u64>, StorageError> {
        for (source, head) in &mut self.sources {
            if head.is_none() {
                *head = source.next().transpose()?;
            }
        }
        let newest = self.sources.iter().filter_map(|(_, head)| *head).max();
        for (_, head) in &mut self.sources {
            if *head == newest {
                *head = None;
            }
        }
        Ok(newest)
    }
}
