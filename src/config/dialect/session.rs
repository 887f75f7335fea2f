//! Session timers with a peer (RFC 4028). The keys of `[trunk.NAME]` for it.

use crate::config::log::Draft;
use crate::config::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Session;
use crate::trunk::dialect::session::{LEAST, MOST, Offerless, Timer};

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Session {
    let default = Session::of_kind(kind);
    let timers = [("edge", Timer::Edge), ("pass", Timer::Pass), ("off", Timer::Off)];
    let timer = table.choice("session_timer", &timers).map_or(default.timer, |at| at.value);
    let words = [("insert", Offerless::Insert), ("pass", Offerless::Pass), ("refuse", Offerless::Refuse)];
    let offerless = table.choice("offerless", &words).map_or(default.offerless, |at| at.value);
    let expires = seconds(table, "session_expires_s", default.expires);
    let mut min = seconds(table, "min_session_expires_s", default.min);
    if min > expires {
        let message = format!("{}: `min_session_expires_s` is {min}, more than the edge itself asks for", table.title);
        table.log().add(
            Draft::error(table.place_of("min_session_expires_s"), message)
                .label("the fewest seconds that are taken")
                .also(table.place_of("session_expires_s"), format!("`session_expires_s` is {expires}"))
                .help("let `session_expires_s` be the same or more"),
        );
        min = expires;
    }
    Session { timer, expires, min, offerless }
}

fn seconds(table: &mut Table<'_>, key: &'static str, default: u32) -> u32 {
    let given = table.number(key, u64::from(LEAST)..=u64::from(MOST));
    given.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(default)
}
