//! What stands behind the door.

use serde::Serialize;
use serde_json::Value;

use super::{
    Calls, Connections, Directory, Guard, Health, History, LastReload, Level, Life, Logs, Presence, Reloading, Service,
    Trace,
};
use crate::routing::{Batch, BatchError, Record, Routing};
use crate::trunk::health::State;

/// The edge, as operators see and change it. Calls may block on a disk: they come from threads that may.
pub trait Control:
    Calls
    + Connections
    + Directory
    + Guard
    + Health
    + History
    + Logs
    + Presence
    + Reloading
    + Service
    + Trace
    + Send
    + Sync
    + 'static
{
    /// What is going on.
    fn status(&self) -> Status;

    /// All trunks and what is known of their targets.
    fn trunks(&self) -> Vec<TrunkStatus>;

    /// The routing in force.
    fn routing(&self) -> Routing;

    /// Makes a batch of changes.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    fn apply(&self, batch: &Batch) -> Result<Made, Refusal>;

    /// Takes the batch of an id back; `by` says who wants it, and its own id is that of the new record.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    fn revert(&self, id: &str, by: &Batch) -> Result<Made, Refusal>;

    /// The last batches of those that may be seen, the newest first.
    fn changes(&self, limit: usize, seen: &dyn Fn(&Record) -> bool) -> Vec<Summary>;

    /// The record of a batch, while it is remembered.
    fn change(&self, id: &str) -> Option<Record>;

    /// The keys that seal what the edge writes into its own URIs.
    ///
    /// # Errors
    /// [`KeyRefusal`] when their file cannot be read.
    fn keys(&self) -> Result<KeyList, KeyRefusal>;

    /// Makes a new key for new calls and keeps the one before; `force`: even if calls may be up that need the one before
    /// that.
    ///
    /// # Errors
    /// [`KeyRefusal`]; the keys in use stay then.
    fn rotate_keys(&self, force: bool) -> Result<KeyList, KeyRefusal>;

    /// Takes up the keys that are in the file now.
    ///
    /// # Errors
    /// [`KeyRefusal`]; the keys in use stay then.
    fn reload_keys(&self) -> Result<KeyList, KeyRefusal>;

    /// Where a call would go; question and answer are those of the call path.
    ///
    /// # Errors
    /// What is wrong with the question, in words.
    fn route(&self, ask: Value) -> Result<Value, String>;
}

/// A batch that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub record: Record,
    /// Whether a batch of this id was made before: then nothing has changed now.
    pub known: bool,
}

/// Why a batch is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It cannot be kept on disk.
    #[error("{0}")]
    Store(String),
}

/// Seal keys, the one for new calls first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyList {
    pub keys: Vec<KeyStatus>,
}

/// A seal key, as far as it may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// What tells it from others.
    pub id: String,
    /// Whether the edge takes what was sealed with it.
    pub in_use: bool,
    /// Whether new calls are sealed with it.
    pub current: bool,
    /// When it was made (RFC 3339); `None`: nobody noted that.
    pub made: Option<String>,
    /// Seconds since then.
    pub age_s: Option<u64>,
}

/// Why the keys stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("the configuration has no `seal_key_file`: the key ends with the process")]
    NoFile,
    #[error("{0}")]
    TooSoon(String),
    #[error("{0}")]
    BeingChanged(String),
    #[error("{0}")]
    Failed(String),
}

/// What is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    pub version: String,
    pub node: String,
    pub uptime_s: u64,
    /// Whether new calls are taken.
    pub life: Life,
    /// How the edge is doing, and how many causes there are.
    pub health: Level,
    pub causes: usize,
    /// Requests in progress or remembered.
    pub transactions: usize,
    pub plans: Vec<PlanStatus>,
    pub tenants: usize,
    pub users: usize,
    /// The number of the last batch of changes; zero: there was none.
    pub revision: u64,
    /// Single changes that are not folded in yet.
    pub pending: usize,
    /// Bytes of the journal; `None`: changes are not kept over a restart.
    pub journal_bytes: Option<u64>,
    pub targets: TargetCounts,
    /// The last reload of the configuration; `None`: there was none since the start.
    pub reload: Option<LastReload>,
}

/// The targets of all trunks, by their states.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetCounts {
    pub up: usize,
    pub suspect: usize,
    pub down: usize,
    /// The first ones that are not up.
    pub not_up: Vec<TargetStatus>,
}

/// A trunk and what is known of its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrunkStatus {
    pub name: String,
    /// `teams`, `carrier` or `pbx`.
    pub kind: &'static str,
    /// OPTIONS that it has sent to the edge itself.
    pub options_received: u64,
    /// Seconds since the last of them came.
    pub options_received_s: Option<u64>,
    /// In the order in which they are tried while they are up.
    pub targets: Vec<TargetStatus>,
}

/// What is known of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    pub trunk: String,
    /// As the configuration has it: `tls:sip.example.net:5061`.
    pub target: String,
    pub state: State,
    /// Why, in words.
    pub reason: String,
    /// Seconds in this state.
    pub for_s: u64,
    /// When it came into this state, in milliseconds since 1970 UTC.
    pub since: u64,
    /// Whether OPTIONS are sent to it.
    pub asked: bool,
    /// Seconds since it last answered OPTIONS.
    pub answered_s: Option<u64>,
    /// How long that answer took.
    pub round_trip_ms: Option<u64>,
}

/// A dial plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanStatus {
    pub name: String,
    /// A range counted once.
    pub rules: usize,
}

/// A batch in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub id: String,
    pub revision: u64,
    pub who: String,
    /// In milliseconds since 1970 UTC.
    pub when: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverts: Option<String>,
    /// Rules, users and tenants that it changed.
    pub rules: usize,
    pub users: usize,
    pub tenants: usize,
}

impl Summary {
    /// What a record says in short.
    pub fn of(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            revision: record.revision,
            who: record.who.clone(),
            when: record.when,
            reverts: record.reverts.clone(),
            rules: record.changes.len(),
            users: record.users.len(),
            tenants: record.tenants.len(),
        }
    }
}
