//! What must survive a restart and is no configuration: the journal of changes to the dial plans.
//!
//! A driver: it reads and writes files, and decides nothing.

mod journal;

pub use journal::{Contents, Journal, StoreError};
