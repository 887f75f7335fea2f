//! What must survive a restart and is no configuration: the journal of changes to dial plans, users and tenants, what of
//! calls does not fit into the edge's own URIs, and what was written into Teams.
//!
//! A driver: it reads and writes files, and decides nothing.

mod calls;
mod journal;
mod sessions;

pub use calls::{CallCounts, CallSettings, Calls, Found};
pub use journal::{Contents, Journal, StoreError};
pub use sessions::{FoundSessions, Place, SessionCounts, Sessions, Stored};
