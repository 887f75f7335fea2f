//! The call store: what of calls that are up does not fit into the edge's own URIs.
//!
//! All of it is in memory, in shards of their own, and with a state directory in a file as well: each record is there by
//! one system call before the message leaves that needs it, so that a process that is killed loses none. (A machine that
//! loses power may lose the last seconds.) The file only grows; when most of it is dead, a thread beside the calls writes
//! a new one. A record that was being written when the process ended is cut off, a damaged one is left out.

mod file;
mod table;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use self::file::{CallFile, Record};
use self::table::Table;
use super::StoreError;
use crate::call::stored::{Room, StoreKey};

pub use self::table::Lives;

/// The file's name in the state directory.
const FILE: &str = "calls.store";

/// A file below this is never written anew.
const COMPACT_BYTES: u64 = 4 << 20;

/// A file is written anew when it has so many times the bytes of what is alive in it.
const COMPACT_FACTOR: u64 = 2;

/// Bytes that calls have on average when there are as many as there may be: the bound of all of them together.
const BYTES_PER_CALL: usize = 4_096;

/// How much there may be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSettings {
    /// Calls of which something is kept.
    pub max_calls: usize,
    /// How long what is kept of a call that is up may be of use.
    pub max_age: Duration,
}

/// What was found in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes of an unfinished record that were cut off.
    pub torn: u64,
    /// Places with records that could not be read.
    pub damaged: u64,
    /// Calls that are kept.
    pub calls: usize,
}

/// What happened, counted since the start.
#[derive(Debug, Default)]
pub struct CallCounts {
    pub kept: AtomicU64,
    /// Records that could not be written to the file: they do not outlive the process.
    pub not_written: AtomicU64,
    pub damaged: AtomicU64,
    pub expired: AtomicU64,
    pub compactions: AtomicU64,
}

/// What is kept of calls.
#[derive(Debug)]
pub struct Calls {
    table: Table,
    max_calls: usize,
    /// `None`: a restart forgets all.
    file: Option<Mutex<CallFile>>,
    pub counts: CallCounts,
}

impl Calls {
    /// Takes up what the file in `dir` has. `now` is in seconds since 1970 UTC here and below.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be had; what is damaged in it is no error.
    pub fn open(dir: Option<&Path>, settings: CallSettings, now: u64) -> Result<(Self, Found), StoreError> {
        let table = Table::new(Lives::new(settings.max_age));
        let (mut found, mut file) = (Found::default(), None);
        if let Some(dir) = dir {
            std::fs::create_dir_all(dir).map_err(|error| StoreError::Io {
                what: "make",
                path: dir.display().to_string(),
                error,
            })?;
            let (opened, torn, damaged) = CallFile::open(&dir.join(FILE), |record| table.restore(record))?;
            found = Found { torn, damaged, calls: 0 };
            file = Some(Mutex::new(opened));
            table.expire(now);
        }
        found.calls = table.calls();
        let counts = CallCounts::default();
        counts.damaged.store(found.damaged, Ordering::Relaxed);
        Ok((Self { table, max_calls: settings.max_calls, file, counts }, found))
    }

    /// Keeps something of a call; the same again is kept once.
    pub fn keep(&self, key: StoreKey, bytes: Bytes, now: u64) {
        let Some(record) = self.table.put(key, bytes, now) else { return };
        self.counts.kept.fetch_add(1, Ordering::Relaxed);
        self.write(&record);
    }

    /// What was kept.
    pub fn state(&self, key: StoreKey, now: u64) -> Option<Bytes> {
        if self.table.is_empty() {
            return None;
        }
        let (bytes, revived) = self.table.get(key, now)?;
        // A call that was taken for over is not: one of its dialogs goes on.
        if let Some((stage, until)) = revived {
            self.write(&Record::Stage { call: key.call, stage, until });
        }
        Some(bytes)
    }

    /// A call is up: what is kept of it is kept as long as calls may last.
    pub fn mark_up(&self, call: u64, now: u64) {
        self.mark(call, Table::mark_up, now);
    }

    /// A call is over: what is kept of it is let go in a while.
    pub fn mark_over(&self, call: u64, now: u64) {
        self.mark(call, Table::mark_over, now);
    }

    fn mark(&self, call: u64, mark: fn(&Table, u64, u64) -> Option<(table::Stage, u64)>, now: u64) {
        if self.table.is_empty() {
            return;
        }
        if let Some((stage, until)) = mark(&self.table, call, now) {
            self.write(&Record::Stage { call, stage, until });
        }
    }

    /// How much more there may be.
    pub fn room(&self) -> Room {
        let most = self.max_calls;
        let (calls, bytes) = (self.table.calls(), self.table.bytes() / BYTES_PER_CALL);
        match calls.max(bytes) {
            used if used >= most => Room::None,
            used if used >= most / 2 => Room::Little,
            _ => Room::Ample,
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Calls of which something is kept.
    pub fn calls(&self) -> usize {
        self.table.calls()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Bytes of the file, when there is one.
    pub fn file_bytes(&self) -> Option<u64> {
        Some(lock(self.file.as_ref()?).bytes())
    }

    /// Lets go of what is too old, brings the file to the disk, and writes it anew when most of it is dead. May wait for
    /// the disk; calls go on meanwhile. One thread does this.
    ///
    /// # Errors
    /// What the file system says; the next time all is tried again.
    pub fn tend(&self, now: u64) -> Result<(), StoreError> {
        let expired = self.table.expire(now);
        self.counts.expired.fetch_add(expired as u64, Ordering::Relaxed);
        let Some(file) = &self.file else { return Ok(()) };
        let unsynced = lock(file).take_unsynced()?;
        if let Some(unsynced) = unsynced {
            unsynced.sync()?;
        }
        let alive = self.table.bytes() as u64;
        let bytes = lock(file).bytes();
        if bytes > COMPACT_BYTES && bytes > alive.saturating_mul(COMPACT_FACTOR) {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes the file anew with what is alive.
    ///
    /// # Errors
    /// What the file system says; the old file stays then.
    pub fn compact(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        // What comes from here on is both in the table, maybe, and behind this place in the file: twice does no harm.
        let mut fresh = lock(file).begin_anew()?;
        for shard in 0..Table::SHARDS {
            fresh.write(&self.table.records(shard))?;
        }
        fresh.sync()?;
        let done = lock(file).replace(fresh)?;
        done.sync()?;
        self.counts.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, record: &Record) {
        let Some(file) = &self.file else { return };
        let written = lock(file).append(record);
        if let Err(error) = written
            && self.counts.not_written.fetch_add(1, Ordering::Relaxed).is_multiple_of(TOLD_EACH)
        {
            tracing::error!(%error, "what a call needs after a restart is not kept");
        }
    }
}

/// One in so many failures is told; all are counted.
const TOLD_EACH: u64 = 1_000;

fn lock(file: &Mutex<CallFile>) -> MutexGuard<'_, CallFile> {
    // The file's own length says what of it is whole.
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
