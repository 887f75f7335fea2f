//! `[log]`: what is logged, and how.

use super::reader::Table;

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {}

pub(super) fn read(table: Table<'_>) -> Logging {
    table.finish();
    Logging {}
}
