//! The methods and extensions that a peer knows. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Methods;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Methods {
    Methods::of_kind(kind)
}
