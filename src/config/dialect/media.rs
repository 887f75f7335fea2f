//! How a peer describes sessions and what bodies it takes. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Media;

pub(super) fn read(_table: &mut Table<'_>, kind: TrunkKind) -> Media {
    Media::of_kind(kind)
}
