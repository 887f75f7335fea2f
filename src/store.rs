//! What must survive a restart and is no configuration: the journal of changes to dial plans,
//! users and tenants.
//!
//! A driver: it reads and writes files, and decides nothing.

mod journal;

pub use journal::{Contents, Journal, StoreError};
