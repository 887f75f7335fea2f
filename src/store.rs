//! What must survive a restart and is no configuration: the journal of changes to dial plans, users and tenants, and what
//! of calls does not fit into the edge's own URIs.
//!
//! A driver: it reads and writes files, and decides nothing.

mod calls;
mod journal;

pub use calls::{CallCounts, CallSettings, Calls, Found};
pub use journal::{Contents, Journal, StoreError};
