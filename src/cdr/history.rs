//! The history: records of calls that are over, in a store of this process's own that can be asked.
//!
//! One thread writes, a commit for all records of a second; whoever asks reads beside it and waits for nobody. A store
//! that is damaged is moved aside, and a new one begun: a history is no reason not to start.

mod index;
mod query;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redb::{
    Database, DatabaseError, ReadableTable, ReadableTableMetadata, StorageError, Table, TableDefinition,
    WriteTransaction,
};

use super::entry::{Entry, Over, Style, rfc3339};
use super::file::Clock;
use super::sink::Place;

pub use query::{Ask, HistoryError, Page, Who};

/// The store's file in the state directory.
const FILE: &str = "history.redb";

/// Entries as JSON by their serials.
const CALLS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("calls-1");

/// Which entries a key of [`index`] has.
const INDEX: TableDefinition<'static, (&str, u64), ()> = TableDefinition::new("index-1");

/// Bits of a serial below the time: calls that begin in one millisecond.
const SERIAL_BITS: u32 = 20;

/// Memory for pages of the store, in bytes.
const CACHE_BYTES: usize = 32 << 20;

/// How long records are gathered for a commit.
const GATHER: Duration = Duration::from_secs(1);

/// How often old entries are looked for.
const EXPIRE: Duration = Duration::from_secs(30);

/// Entries that are removed in one commit.
const EXPIRE_BATCH: usize = 2_000;

/// What is kept, and how it is written.
#[derive(Clone, Debug)]
pub struct HistorySettings {
    pub max_age: Duration,
    pub max_records: u64,
    pub style: Style,
}

/// The history as others see it.
#[derive(Debug)]
pub struct History {
    store: ArcSwapOption<Database>,
    settings: Mutex<Arc<HistorySettings>>,
    records: AtomicU64,
    damaged: AtomicBool,
}

impl History {
    /// A history that nobody writes yet.
    pub fn new(settings: HistorySettings) -> Arc<Self> {
        Arc::new(Self {
            store: ArcSwapOption::empty(),
            settings: Mutex::new(Arc::new(settings)),
            records: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
        })
    }

    /// Keeps more or less from now on.
    pub fn set(&self, settings: HistorySettings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// How many entries there are.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Whether a damaged store was moved aside since the start.
    pub fn was_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    fn settings(&self) -> Arc<HistorySettings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writing side of a history, for its thread.
pub struct HistoryPlace {
    path: PathBuf,
    history: Arc<History>,
    clock: Clock,
    expired: Option<Instant>,
}

/// Why an entry is not kept.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Transaction(#[from] redb::TransactionError),
    #[error(transparent)]
    Table(#[from] redb::TableError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Commit(#[from] redb::CommitError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the store cannot be read: {0}")]
    Panicked(String),
}

impl WriteError {
    /// Whether the file is no store, or a broken one, so that asking again is of no use.
    fn is_damage(&self) -> bool {
        let storage = |error: &StorageError| match error {
            StorageError::Corrupted(_) => true,
            StorageError::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        };
        match self {
            Self::Panicked(_) => true,
            Self::Database(DatabaseError::Storage(error)) | Self::Storage(error) => storage(error),
            Self::Database(DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted) => true,
            Self::Table(redb::TableError::Storage(error)) => storage(error),
            Self::Table(_) => true,
            Self::Transaction(redb::TransactionError::Storage(error)) => storage(error),
            Self::Commit(redb::CommitError::Storage(error)) => storage(error),
            _ => false,
        }
    }
}

impl Place for HistoryPlace {
    type Item = Arc<Over>;

    fn keep(&mut self, records: &[Arc<Over>], kept: &mut usize) -> Result<(), String> {
        self.whole(|place| place.insert(records))?;
        *kept = records.len();
        Ok(())
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    fn tend(&mut self) -> Result<(), String> {
        if self.expired.is_some_and(|at| at.elapsed() < EXPIRE) {
            return Ok(());
        }
        let more = self.whole(Self::expire)?;
        // What is left is removed at once, but others get their turn in between.
        self.expired = (!more).then(Instant::now);
        Ok(())
    }
}

impl HistoryPlace {
    /// The store of a state directory; it is opened with the first thing to do.
    pub fn new(directory: &Path, history: Arc<History>, clock: Clock) -> Self {
        Self { path: directory.join(FILE), history, clock, expired: None }
    }

    /// Does something with the store; where that shows that it is damaged, with a new one.
    fn whole<T>(&mut self, work: impl Fn(&Self) -> Result<T, WriteError>) -> Result<T, String> {
        let told = |error: WriteError| format!("{}: {error}", self.path.display());
        match guarded(|| work(self)) {
            Err(error) if error.is_damage() => {
                self.put_aside(&error).map_err(told)?;
                guarded(|| work(self)).map_err(told)
            }
            done => done.map_err(told),
        }
    }

    fn store(&self) -> Result<Arc<Database>, WriteError> {
        if let Some(store) = self.history.store.load_full() {
            return Ok(store);
        }
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let store = Database::builder().set_cache_size(CACHE_BYTES).create(&self.path)?;
        let write = store.begin_write()?;
        let records = write.open_table(CALLS)?.len()?;
        write.open_table(INDEX)?;
        write.commit()?;
        let store = Arc::new(store);
        self.history.records.store(records, Ordering::Relaxed);
        self.history.store.store(Some(Arc::clone(&store)));
        Ok(store)
    }

    fn put_aside(&self, why: &WriteError) -> Result<(), WriteError> {
        self.history.store.store(None);
        let stamp = rfc3339((self.clock)()).replace(':', "");
        let aside = self.path.with_file_name(format!("{FILE}.damaged-{stamp}"));
        std::fs::rename(&self.path, &aside)?;
        self.history.damaged.store(true, Ordering::Relaxed);
        tracing::warn!(error = %why, aside = %aside.display(), "the history of calls is damaged: a new one is begun");
        Ok(())
    }

    fn begin(&self) -> Result<WriteTransaction, WriteError> {
        let mut write = self.store()?.begin_write()?;
        // After a crash it is opened at once, however large it is.
        write.set_quick_repair(true);
        Ok(write)
    }

    fn insert(&self, records: &[Arc<Over>]) -> Result<(), WriteError> {
        let settings = self.history.settings();
        let write = self.begin()?;
        {
            let mut calls = write.open_table(CALLS)?;
            let mut index = write.open_table(INDEX)?;
            for over in records {
                let entry = Entry::of(over, &settings.style);
                let serial = free_serial(&calls, over.began_unix_ms())?;
                let mut json = Vec::new();
                entry.write_json(&mut json);
                calls.insert(serial, json.as_slice())?;
                for key in index::keys(&entry) {
                    index.insert((key.as_str(), serial), ())?;
                }
            }
            self.history.records.store(calls.len()?, Ordering::Relaxed);
        }
        Ok(write.commit()?)
    }

    /// Removes entries that are too old or too many; whether there are more.
    fn expire(&self) -> Result<bool, WriteError> {
        let settings = self.history.settings();
        let oldest = (self.clock)().saturating_sub(u64::try_from(settings.max_age.as_millis()).unwrap_or(u64::MAX));
        let write = self.begin()?;
        let removed = {
            let mut calls = write.open_table(CALLS)?;
            let mut index = write.open_table(INDEX)?;
            let too_many = calls.len()?.saturating_sub(settings.max_records);
            let removed = remove_oldest(&mut calls, &mut index, first_serial(oldest), too_many)?;
            self.history.records.store(calls.len()?, Ordering::Relaxed);
            removed
        };
        if removed == 0 {
            write.abort()?;
        } else {
            write.commit()?;
        }
        Ok(removed == EXPIRE_BATCH)
    }
}

/// Removes the first entries: those before a serial, and as many as are too many.
fn remove_oldest(
    calls: &mut Table<'_, u64, &'static [u8]>,
    index: &mut Table<'_, (&'static str, u64), ()>,
    before: u64,
    too_many: u64,
) -> Result<usize, WriteError> {
    let mut old: Vec<(u64, Entry)> = Vec::new();
    for found in calls.iter()?.take(EXPIRE_BATCH) {
        let (serial, json) = found?;
        let serial = serial.value();
        if serial >= before && old.len() as u64 >= too_many {
            break;
        }
        old.push((serial, serde_json::from_slice(json.value()).unwrap_or_default()));
    }
    for (serial, entry) in &old {
        calls.remove(serial)?;
        for key in index::keys(entry) {
            index.remove((key.as_str(), *serial))?;
        }
    }
    Ok(old.len())
}

/// The first serial of calls that began at this time, in milliseconds since 1970 UTC.
const fn first_serial(unix_ms: u64) -> u64 {
    let most = u64::MAX >> SERIAL_BITS;
    (if unix_ms < most { unix_ms } else { most }) << SERIAL_BITS
}

fn free_serial(calls: &Table<'_, u64, &'static [u8]>, unix_ms: u64) -> Result<u64, WriteError> {
    let first = first_serial(unix_ms);
    let last = first | ((1 << SERIAL_BITS) - 1);
    Ok(match calls.range(first..=last)?.next_back() {
        Some(found) => found?.0.value().saturating_add(1),
        None => first,
    })
}

/// A store of somebody else's bytes may make its reader panic: that is damage, and no more.
fn guarded<T>(work: impl FnOnce() -> Result<T, WriteError>) -> Result<T, WriteError> {
    let work = std::panic::AssertUnwindSafe(work);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err(WriteError::Panicked("it makes no sense".to_owned())))
}

#[cfg(test)]
mod tests;
