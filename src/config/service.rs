//! `[service]`: life as a service: stop, drain, watching of files.

use super::reader::Table;

/// Life as a service: stop, drain, watching of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {}

pub(super) fn read(table: Table<'_>) -> Service {
    table.finish();
    Service {}
}
