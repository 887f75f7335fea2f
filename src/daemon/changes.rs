//! Changes at run time: made one after the other, kept on disk, then put in the place of what was there.
//!
//! A call takes the edge that it finds and keeps it; the lock here is for those who change, and no call ever waits for
//! it. What many changes leave behind is folded into the packed rules, and the journal made short, by a thread beside.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::admin::{Made, Refusal, Summary};
use crate::call::Edge;
use crate::config::Limits;
use crate::routing::people::UserRecord;
use crate::routing::table::FOLD_PENDING;
use crate::routing::{Batch, BatchError, Bounds, Edit, Ledger, Outcome, Record, Routing, Tenants};
use crate::store::{Journal, StoreError};

/// The journal's name in the state directory.
const JOURNAL: &str = "changes.journal";

/// From how many lines on, for each record that is remembered, a journal is made short.
const LINES_PER_RECORD: usize = 2;

/// A journal of fewer lines is never made short for them.
const MIN_LINES: usize = 100;

/// A journal below this is never made short for its bytes.
const COMPACT_BYTES: u64 = 64 << 20;

/// How often, and after which pause, is looked whether calls still have the edge of before.
const RETIRE_TURNS: u32 = 5;
const RETIRE_TURN: Duration = Duration::from_millis(1);

/// How many faults of a replay are told one by one.
const TOLD: usize = 20;

/// Why changes that were made before cannot be had again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    #[error("cannot make the state directory {dir}: {error}", dir = dir.display())]
    Directory { dir: PathBuf, error: std::io::Error },
    #[error(
        "{error}; it has the changes that were made at run time: put a copy back that is whole, or move the file away \
         to start with the configuration alone"
    )]
    Damaged { error: StoreError },
    #[error("{0}: is another edge running with this state directory?")]
    InUse(StoreError),
    #[error("the changes that were made at run time cannot be read: {0}")]
    Store(StoreError),
}

/// What happened to changes, counted since the start.
#[derive(Debug, Default)]
pub struct ChangeCounts {
    pub made: AtomicU64,
    pub reverted: AtomicU64,
    pub refused: AtomicU64,
    /// Changes of the journal that the configuration does not allow.
    pub not_replayed: AtomicU64,
    pub folds: AtomicU64,
    pub compactions: AtomicU64,
}

/// All that changes while the edge runs.
#[derive(Debug)]
pub struct Changes {
    edge: Arc<ArcSwap<Edge>>,
    inner: Mutex<Inner>,
    pub counts: ChangeCounts,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    /// `None`: a restart forgets all changes.
    journal: Option<Journal>,
    /// Bytes of the journal when it was last made short.
    compacted_bytes: u64,
    /// Whether the thread beside is at work.
    tidying: bool,
    /// The tenants as the configuration alone has them.
    configured: Tenants,
    lender: Option<Arc<dyn Lender>>,
}

/// Who puts users of its own by batches, and leaves them to the configuration where that has them too.
pub trait Lender: Send + Sync + std::fmt::Debug {
    /// Which records it has put of a tenant's users under these ids.
    fn put_among(&self, tenant: &str, ids: &[&str]) -> Vec<UserRecord>;
}

/// How much there may be.
pub fn bounds(limits: &Limits) -> Bounds {
    Bounds { records: limits.max_dialplan_changes, rules: limits.max_dialplan_prefixes, users: limits.max_users }
}

impl Changes {
    /// Takes up what the journal in `dir` has, over the routing of the edge.
    ///
    /// Changes that the configuration no longer allows are told in the log and counted.
    ///
    /// # Errors
    /// [`StateError`] when the journal cannot be read.
    pub fn open(edge: Arc<ArcSwap<Edge>>, dir: Option<&Path>, bounds: Bounds) -> Result<Arc<Self>, StateError> {
        let mut ledger = Ledger::new(bounds);
        let counts = ChangeCounts::default();
        let mut journal = None;
        let configured = edge.load().routing.tenants().clone();
        if let Some(dir) = dir {
            journal = Some(take_up(&edge, dir, &mut ledger, &counts)?);
        }
        let compacted_bytes = journal.as_ref().map_or(0, Journal::bytes);
        let inner = Mutex::new(Inner { ledger, journal, compacted_bytes, tidying: false, configured, lender: None });
        let changes = Arc::new(Self { edge, inner, counts });
        changes.tidy(changes.lock());
        Ok(changes)
    }

    /// Makes a batch of changes, visible to the next call.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn apply(self: &Arc<Self>, batch: &Batch) -> Result<Made, Refusal> {
        self.make(&self.counts.made, |routing, ledger| Ok(routing.apply(ledger, batch)?))
    }

    /// Takes a batch back.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn revert(self: &Arc<Self>, id: &str, by: &Batch) -> Result<Made, Refusal> {
        self.make(&self.counts.reverted, |routing, ledger| Ok(routing.revert(ledger, id, by)?))
    }

    /// Makes all changes again over the routing of another configuration, and hands over what came of it and what no
    /// longer fits; nobody makes a change meanwhile. Whoever takes it puts the edge in force, or does not.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn over<T>(
        &self,
        routing: &Routing,
        take: impl FnOnce(Routing, Vec<BatchError>) -> T,
    ) -> Result<T, StoreError> {
        let mut inner = self.lock();
        let (replayed, errors) = match &mut inner.journal {
            Some(journal) => journal.contents()?.replay(routing),
            None => routing.replay(inner.ledger.records()),
        };
        Ok(take(inner.given_back(routing.tenants(), replayed), errors))
    }

    /// From now on users whom this lender has put are the configuration's again where that has them.
    pub fn lend(&self, lender: Arc<dyn Lender>) {
        let mut inner = self.lock();
        inner.lender = Some(lender);
        let edge = self.edge.load_full();
        let routing = inner.given_back(&inner.configured, edge.routing.clone());
        self.edge.store(Arc::new(edge.with_routing(routing)));
    }

    /// The tenants as the configuration alone has them, without changes made at run time.
    pub fn configured(&self) -> Tenants {
        self.lock().configured.clone()
    }

    /// Another configuration has come into force.
    pub fn set_configured(&self, tenants: &Tenants) {
        self.lock().configured = tenants.clone();
    }

    /// Takes other bounds.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.lock().ledger.set_bounds(bounds);
    }

    fn make(
        self: &Arc<Self>,
        count: &AtomicU64,
        change: impl FnOnce(&Routing, &Ledger) -> Result<Outcome, Refusal>,
    ) -> Result<Made, Refusal> {
        let old = self.edge.load_full();
        let mut inner = self.lock();
        let made = self.keep(&mut inner, change);
        match &made {
            Ok(Made { known: false, .. }) => count.fetch_add(1, Ordering::Relaxed),
            Ok(Made { known: true, .. }) => 0,
            Err(_) => self.counts.refused.fetch_add(1, Ordering::Relaxed),
        };
        self.tidy(inner);
        if matches!(made, Ok(Made { known: false, .. })) {
            retire(old);
        }
        made
    }

    fn keep(
        &self,
        inner: &mut Inner,
        change: impl FnOnce(&Routing, &Ledger) -> Result<Outcome, Refusal>,
    ) -> Result<Made, Refusal> {
        let edge = self.edge.load_full();
        let (routing, record) = match change(&edge.routing, &inner.ledger)? {
            Outcome::Known(record) => return Ok(Made { record, known: true }),
            Outcome::Made(routing, record) => (routing, record),
        };
        if let Some(journal) = &mut inner.journal {
            journal.append(&record).map_err(|error| Refusal::Store(error.to_string()))?;
        }
        inner.ledger.remember(record.clone());
        self.edge.store(Arc::new(edge.with_routing(*routing)));
        Ok(Made { record, known: false })
    }

    /// The last batches of those that may be seen, the newest first.
    pub fn summaries(&self, limit: usize, seen: &dyn Fn(&Record) -> bool) -> Vec<Summary> {
        self.lock().ledger.records().rev().filter(|record| seen(record)).take(limit).map(Summary::of).collect()
    }

    /// The record of a batch, while it is remembered.
    pub fn record(&self, id: &str) -> Option<Record> {
        self.lock().ledger.get(id).cloned()
    }

    /// The number of the last batch, and the bytes of the journal when there is one.
    pub fn revision_and_bytes(&self) -> (u64, Option<u64>) {
        self.lock().revision_and_bytes()
    }

    /// The same, unless a change is being made.
    pub fn try_revision_and_bytes(&self) -> Option<(u64, Option<u64>)> {
        let inner = self.inner.try_lock().ok()?;
        Some(inner.revision_and_bytes())
    }

    /// Starts the thread that folds and shortens, when there is something to do and it is not at it.
    fn tidy(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        if inner.tidying || !(self.may_fold() || inner.may_compact()) {
            return;
        }
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("changes".to_owned());
        inner.tidying = thread.spawn(move || this.tidy_up()).is_ok();
    }

    fn may_fold(&self) -> bool {
        self.edge.load().routing.table().pending() >= FOLD_PENDING
    }

    fn tidy_up(&self) {
        // What fails is tried again with the next change.
        while self.may_fold() && self.fold() {}
        let mut inner = self.lock();
        if inner.may_compact() && inner.compact() {
            self.counts.compactions.fetch_add(1, Ordering::Relaxed);
        }
        inner.tidying = false;
    }

    /// Packs the rules anew beside the running ones, and takes over what was changed meanwhile.
    fn fold(&self) -> bool {
        let before = self.edge.load_full();
        let folded = before.routing.folded();
        let inner = self.lock();
        let edge = self.edge.load_full();
        // A reload came in between: what was folded is of another configuration.
        if !Arc::ptr_eq(&edge.trunks, &before.trunks) {
            return true;
        }
        let rebased =
            edge.routing.rebased(&folded).map(|routing| self.edge.store(Arc::new(edge.with_routing(routing))));
        drop(inner);
        retire(before);
        retire(edge);
        match rebased {
            Ok(()) => {
                self.counts.folds.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                tracing::error!(%error, "changes cannot be folded in");
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is half done when a thread panics is neither in the ledger nor in force.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn revision_and_bytes(&self) -> (u64, Option<u64>) {
        (self.ledger.revision(), self.journal.as_ref().map(Journal::bytes))
    }

    /// A routing in which users of the configuration are as it has them, and not as the lender had put them before.
    fn given_back(&self, configured: &Tenants, routing: Routing) -> Routing {
        let Some(lender) = &self.lender else { return routing };
        let mut edits = Vec::new();
        for own in configured.iter() {
            let Some(tenant) = routing.tenants().find(&own.id).and_then(|id| routing.tenants().get(id)) else {
                continue;
            };
            let current = |id: &str| tenant.named(id).map(|user| &user.record);
            let differs = |record: &UserRecord| current(&record.id).is_some_and(|current| current != record);
            let differing: Vec<&UserRecord> =
                own.users().iter().map(|user| &user.record).filter(|record| differs(record)).collect();
            if tenant.removed || differing.is_empty() {
                continue;
            }
            let ids: Vec<&str> = differing.iter().map(|record| &*record.id).collect();
            for lent in lender.put_among(&own.id, &ids) {
                let record = differing.iter().find(|record| record.id == lent.id);
                if let Some(record) = record.filter(|record| current(&record.id) == Some(&lent)) {
                    edits.push(Edit::PutUser { tenant: own.id.to_string(), user: (*record).clone() });
                }
            }
        }
        if edits.is_empty() {
            return routing;
        }
        let batch = Batch { id: "configuration".to_owned(), edits, ..Batch::default() };
        match routing.apply(&Ledger::new(self.ledger.bounds()), &batch) {
            Ok(Outcome::Made(routing, _)) => *routing,
            Ok(Outcome::Known(_)) => routing,
            Err(error) => {
                tracing::warn!(%error, "users of the configuration stay as the directory has them");
                routing
            }
        }
    }

    /// Whether the journal has become so long that making it short is worth the work.
    fn may_compact(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        let lines = self.ledger.bounds().records.saturating_mul(LINES_PER_RECORD);
        let bytes = COMPACT_BYTES.max(self.compacted_bytes.saturating_mul(2));
        journal.lines() > lines.max(MIN_LINES) || journal.bytes() > bytes
    }

    fn compact(&mut self) -> bool {
        let keep = self.ledger.records().count();
        let Some(journal) = &mut self.journal else { return false };
        let done = journal.compact(keep);
        self.compacted_bytes = journal.bytes();
        if let Err(error) = &done {
            tracing::error!(%error, "the journal cannot be made short");
        }
        done.is_ok()
    }
}

/// Drops an edge that is no longer in force where nobody waits: whoever has it last frees it, and that should be no
/// call. A name that is looked up may have it for seconds; that long is not waited.
fn retire(edge: Arc<Edge>) {
    for _ in 0..RETIRE_TURNS {
        if Arc::strong_count(&edge) == 1 {
            break;
        }
        std::thread::sleep(RETIRE_TURN);
    }
    drop(edge);
}

/// Opens the journal and makes its changes again.
fn take_up(
    edge: &ArcSwap<Edge>,
    dir: &Path,
    ledger: &mut Ledger,
    counts: &ChangeCounts,
) -> Result<Journal, StateError> {
    std::fs::create_dir_all(dir).map_err(|error| StateError::Directory { dir: dir.to_owned(), error })?;
    let (journal, contents) = Journal::open(&dir.join(JOURNAL)).map_err(|error| match error {
        error @ StoreError::Damaged { .. } => StateError::Damaged { error },
        error @ StoreError::InUse(_) => StateError::InUse(error),
        error => StateError::Store(error),
    })?;
    if contents.torn > 0 {
        tracing::warn!(
            bytes = contents.torn,
            "the journal had an unfinished change at its end: it was never confirmed"
        );
    }
    let before = edge.load_full();
    let (routing, errors) = contents.replay(&before.routing);
    counts.not_replayed.store(errors.len() as u64, Ordering::Relaxed);
    for error in errors.iter().take(TOLD) {
        tracing::warn!(%error, "a change of before does not fit the configuration");
    }
    if errors.len() > TOLD {
        tracing::warn!("and {} more that do not fit", errors.len() - TOLD);
    }
    for tenant in routing.tenants().iter().filter(|tenant| tenant.removed) {
        tracing::warn!(tenant = %tenant.id, "the configuration has a tenant that was removed at run time: it stays so");
    }
    for record in contents.past.into_iter().chain(contents.records) {
        ledger.remember(record);
    }
    edge.store(Arc::new(before.with_routing(routing)));
    Ok(journal)
}

#[cfg(test)]
mod tests;
