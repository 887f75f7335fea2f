//! Records of calls that are over: files of them, and a history that can be asked.
//!
//! A driver. Whoever has a record gives it to a [`Sink`], which never waits: a bounded queue, and a thread behind it that
//! may wait for a disk. What does not fit into the queue is counted and lost; nothing else is.

pub mod entry;
pub mod file;
pub mod history;
pub mod open;
pub mod sink;
mod words;

pub use entry::{Entry, Opened, Over, Told};
pub use sink::{Counts, Sink};
