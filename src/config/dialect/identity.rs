//! Who calls: what a peer is told of it, and which headers it gets. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Identity;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Identity {
    Identity::of_kind(kind)
}
