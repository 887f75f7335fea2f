//! Session timers with a peer (RFC 4028). The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Session;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Session {
    Session::of_kind(kind)
}
