//! What a peer is shown of provisional answers. The keys of `[trunk.NAME]` for it.

use std::time::Duration;

use crate::config::log::Draft;
use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Early;
use crate::trunk::dialect::early::{Reliable, Ringing};

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Early {
    let default = Early::of_kind(kind);
    let ringing = table.choice("early", &Ringing::WORDS).map_or(default.ringing, |word| word.value);
    let reliable = match table.choice("reliable_early", &Reliable::WORDS) {
        Some(word) if kind == TrunkKind::Teams && word.value != Reliable::Off => {
            let message = format!("{}: Teams knows no reliable provisional answers", table.title);
            let help = "leave `reliable_early` out: the edge acknowledges what the other side wants acknowledged";
            table.log().add(Draft::error(word.place, message).help(help));
            default.reliable
        }
        word => word.map_or(default.reliable, |word| word.value),
    };
    let progress_after = match table.number("progress_after_ms", 0..=180_000).map(|millis| millis.value) {
        None => default.progress_after,
        Some(0) => None,
        Some(millis) => Some(Duration::from_millis(millis)),
    };
    Early { ringing, reliable, progress_after }
}
