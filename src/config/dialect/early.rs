//! What a peer is shown of provisional answers. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Early;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Early {
    Early::of_kind(kind)
}
