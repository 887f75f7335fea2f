//! `[trace]`: the ring of messages and their export.

use super::reader::Table;

/// The ring of messages and their export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {}

pub(super) fn read(table: Table<'_>) -> Trace {
    table.finish();
    Trace {}
}
