//! Who changed what and when: batches are made once, and can be taken back.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::super::Routing;
use super::batch::Record;

/// How many single changes are remembered for each record that may be, all records together.
const CHANGES_PER_RECORD: usize = 16;

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Batches that are remembered, the last ones.
    pub records: usize,
    /// Rules of all plans, a range counted once.
    pub rules: usize,
    /// Users of all tenants.
    pub users: usize,
}

/// The changes that are remembered.
#[derive(Clone, Debug)]
pub struct Ledger {
    records: VecDeque<Record>,
    /// By id, the number of its record, counted from the first ever.
    ids: HashMap<String, u64, RandomState>,
    /// The number of the oldest record that is still there.
    first: u64,
    /// Single changes of all records.
    changes: usize,
    revision: u64,
    bounds: Bounds,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The routing with the changes, and the record, which must be kept before the routing is used.
    Made(Box<Routing>, Record),
    /// A batch of this id was made before: nothing changes.
    Known(Record),
}

impl Ledger {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        let ids = HashMap::with_hasher(RandomState::default());
        let bounds = Bounds { records: bounds.records.max(1), ..bounds };
        Self { records: VecDeque::new(), ids, first: 0, changes: 0, revision: 0, bounds }
    }

    /// How much there may be from now on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = Bounds { records: bounds.records.max(1), ..bounds };
    }

    /// How much there may be.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The number of the last batch, from one; zero: there was none.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Remembers a record that was kept; the oldest is forgotten when there are too many.
    pub fn remember(&mut self, record: Record) {
        self.revision = self.revision.max(record.revision);
        self.changes += record.len();
        self.ids.insert(record.id.clone(), self.first + self.records.len() as u64);
        self.records.push_back(record);
        while self.is_over() {
            if let Some(old) = self.records.pop_front() {
                self.changes -= old.len();
                // The id may have been used again meanwhile.
                if self.ids.get(&old.id) == Some(&self.first) {
                    self.ids.remove(&old.id);
                }
                self.first += 1;
            }
        }
    }

    /// Whether the oldest record has to go; the last one stays, however large it is.
    fn is_over(&self) -> bool {
        let Bounds { records, .. } = self.bounds;
        let large = self.changes > records.saturating_mul(CHANGES_PER_RECORD) && self.records.len() > 1;
        self.records.len() > records || large
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
