//! What becomes of a peer's REFER. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Transfer;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Transfer {
    Transfer::of_kind(kind)
}
