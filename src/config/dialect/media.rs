//! How a peer describes sessions and what bodies it takes. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Media;
use crate::trunk::dialect::media::{Holding, Location};

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Media {
    let usual = Media::of_kind(kind);
    Media {
        hold: table.choice("hold", &Holding::WORDS).map_or(usual.hold, |hold| hold.value),
        slim: table.boolean("slim").map_or(usual.slim, |slim| slim.value),
        location: table.choice("location", &Location::WORDS).map_or(usual.location, |location| location.value),
    }
}
