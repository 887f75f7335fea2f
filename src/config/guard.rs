//! `[guard]`: the flood guard.

use super::reader::Table;

/// The flood guard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {}

pub(super) fn read(table: Table<'_>) -> Guard {
    table.finish();
    Guard {}
}
