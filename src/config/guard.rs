//! `[guard]`: the flood guard.

use std::time::Duration;

use super::address::network;
use super::reader::{Complaint, Table};
use crate::trunk::{Network, guard};

/// What strangers may do, and how much trunks may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub strangers: guard::Settings,
    /// Networks that are never banned, beside those of trunks.
    pub never_ban: Vec<Network>,
    /// Requests a second that a trunk may begin, unless it has a number of its own; zero: as many as come.
    pub trunk_requests_per_second: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self { strangers: guard::Settings::default(), never_ban: Vec::new(), trunk_requests_per_second: 5_000 }
    }
}

const DAY_S: u64 = 86_400;

pub(super) fn read(mut table: Table<'_>) -> Guard {
    let d = Guard::default();
    let t = &mut table;
    let ban = t.seconds("ban_s", 1..=30 * DAY_S, d.strangers.ban);
    let longest: Duration = t.seconds("longest_ban_s", 1..=365 * DAY_S, d.strangers.longest_ban);
    let never_ban = t.parsed_list("never_ban", network);
    let scanners = t.parsed_list("scanners", |text| {
        let fits = (3..=64).contains(&text.len());
        fits.then(|| text.to_ascii_lowercase().into_boxed_str())
            .ok_or_else(|| Complaint::new("what scanners are known by has 3 to 64 letters"))
    });
    let guard = Guard {
        strangers: guard::Settings {
            offences: number(t, "offences", 1_000_000, d.strangers.offences),
            window: t.seconds("window_s", 1..=DAY_S, d.strangers.window),
            ban,
            longest_ban: longest.max(ban),
            growth: number(t, "growth", 1_000, d.strangers.growth).max(1),
            forgive: t.seconds("forgive_s", 0..=365 * DAY_S, d.strangers.forgive),
            messages_per_second: number(t, "stranger_messages_per_second", 1_000_000, d.strangers.messages_per_second),
            max_sources: t.count("max_sources", 100..=10_000_000, d.strangers.max_sources),
            max_bans: t.count("max_bans", 100..=10_000_000, d.strangers.max_bans),
            scanners: scanners.map_or(d.strangers.scanners, |all| all.into_iter().map(|one| one.value).collect()),
        },
        never_ban: never_ban.map_or(d.never_ban, |all| all.into_iter().map(|one| one.value).collect()),
        trunk_requests_per_second: number(t, "trunk_requests_per_second", 10_000_000, d.trunk_requests_per_second),
    };
    table.finish();
    guard
}

/// The key of a trunk that says how many requests a second it may begin.
pub(super) fn of_trunk(table: &mut Table<'_>) -> Option<u32> {
    table.number("max_requests_per_second", 0..=10_000_000).and_then(|number| u32::try_from(number.value).ok())
}

fn number(table: &mut Table<'_>, key: &'static str, most: u64, default: u32) -> u32 {
    table.number(key, 0..=most).and_then(|number| u32::try_from(number.value).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn load(keys: &str) -> Result<Guard, String> {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n[guard]\n{keys}\n\
             [trunk.a]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.2:5060\"]\nmax_requests_per_second = 7\n"
        );
        load_str("t", &text, Path::new(".")).map(|loaded| loaded.config.guard).map_err(|faults| faults.to_string())
    }

    #[test]
    fn keys_are_read_and_wrong_ones_told() {
        assert_eq!(load(""), Ok(Guard::default()));
        let guard = load(
            "offences = 3\nban_s = 9\nlongest_ban_s = 5\nnever_ban = [\"192.0.2.0/24\"]\nscanners = [\"EvilScan\"]\n\
             trunk_requests_per_second = 0",
        )
        .unwrap();
        assert_eq!((guard.strangers.offences, guard.strangers.longest_ban), (3, Duration::from_secs(9)));
        assert_eq!(&*guard.strangers.scanners, [Box::from("evilscan")]);
        assert_eq!(guard.never_ban.len(), 1);
        for wrong in ["offences = -1", "never_ban = [\"192.0.2.0/33\"]", "scanners = [\"a\"]", "bans = 1"] {
            assert!(load(wrong).unwrap_err().contains("[guard]") || load(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_trunk_may_have_a_number_of_its_own() {
        let text = "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
                    [trunk.a]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.2:5060\"]\nmax_requests_per_second = 7\n\
                    [trunk.b]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.3:5060\"]\n";
        let loaded = load_str("t", text, Path::new(".")).unwrap();
        assert_eq!(loaded.config.trunk_requests_per_second, [7, 5_000]);
    }
}
