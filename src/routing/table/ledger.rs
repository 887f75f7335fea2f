//! Who changed what and when: batches are made once, and can be taken back.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::batch::{Batch, BatchError, Record};
use super::{Resolve, Table};

/// The changes that are remembered.
#[derive(Clone, Debug)]
pub struct Ledger {
    records: VecDeque<Record>,
    /// By id, the number of its record, counted from the first ever.
    ids: HashMap<String, u64, RandomState>,
    /// The number of the oldest record that is still there.
    first: u64,
    max_records: usize,
    max_rules: usize,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The table with the changes, and the record, which must be kept before the table is used.
    Made(Table, Record),
    /// A batch of this id was made before: nothing changes.
    Known(Record),
}

impl Ledger {
    /// An empty one that remembers the last `max_records` batches and lets a table grow to `max_rules` rules.
    pub fn new(max_records: usize, max_rules: usize) -> Self {
        let ids = HashMap::with_hasher(RandomState::default());
        Self { records: VecDeque::new(), ids, first: 0, max_records: max_records.max(1), max_rules }
    }

    /// Makes a batch; the caller calls [`Ledger::remember`] when the record is safe.
    pub fn apply(&self, table: &Table, batch: &Batch, resolve: Resolve<'_>) -> Result<Outcome, BatchError> {
        if let Some(record) = self.get(&batch.id) {
            return Ok(Outcome::Known(record.clone()));
        }
        let (table, record) = table.apply(batch, self.max_rules, resolve)?;
        Ok(Outcome::Made(table, record))
    }

    /// Takes a batch back by its id; `by` says who wants it, and its own id is that of the new record.
    pub fn revert(&self, table: &Table, id: &str, by: &Batch, resolve: Resolve<'_>) -> Result<Outcome, BatchError> {
        if let Some(record) = self.get(&by.id) {
            return Ok(Outcome::Known(record.clone()));
        }
        let record = self.get(id).ok_or_else(|| BatchError::UnknownChange(id.to_owned()))?;
        let (table, record) = table.revert(record, by, resolve)?;
        Ok(Outcome::Made(table, record))
    }

    /// Remembers a record that was kept; the oldest is forgotten when there are too many.
    pub fn remember(&mut self, record: Record) {
        self.ids.insert(record.id.clone(), self.first + self.records.len() as u64);
        self.records.push_back(record);
        while self.records.len() > self.max_records {
            if let Some(old) = self.records.pop_front() {
                // The id may have been used again meanwhile.
                if self.ids.get(&old.id) == Some(&self.first) {
                    self.ids.remove(&old.id);
                }
                self.first += 1;
            }
        }
    }

    /// The record of a batch.
    pub fn get(&self, id: &str) -> Option<&Record> {
        let number = self.ids.get(id)?.checked_sub(self.first)?;
        self.records.get(usize::try_from(number).ok()?)
    }

    /// All records that are remembered, the oldest first.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }
}
