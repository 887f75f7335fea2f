//! `[overload]`: when the edge sheds new calls.

use super::reader::Table;

/// When the edge sheds new calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overload {}

pub(super) fn read(table: Table<'_>) -> Overload {
    table.finish();
    Overload {}
}
