//! What becomes of a peer's REFER. The keys of `[trunk.NAME]` for it.

use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Transfer;
use crate::trunk::dialect::transfer::Refer;

/// The words of `refer`.
const REFER: [(&str, Refer); 3] = [("handle", Refer::Handle), ("pass", Refer::Pass), ("off", Refer::Off)];

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Transfer {
    let usual = Transfer::of_kind(kind);
    let refer = table.choice("refer", &REFER).map_or(usual.refer, |refer| refer.value);
    let max = table.count("max_transfers", 1..=u64::from(u8::MAX), usize::from(usual.max_transfers));
    Transfer { refer, max_transfers: u8::try_from(max).unwrap_or(u8::MAX) }
}
