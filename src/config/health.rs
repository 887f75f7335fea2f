//! How the targets of a trunk are watched: the keys of `[trunk.NAME]` that begin with OPTIONS and end with codes.

use std::time::Duration;

use super::log::Draft;
use super::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::health::{Alive, Settings};

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Settings {
    let default = Settings::of_kind(kind);
    let interval = match table.number("options_interval_s", 0..=3_600).map(|seconds| seconds.value) {
        None => default.interval,
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
    };
    if kind == TrunkKind::Teams && interval.is_none_or(|interval| interval > Settings::TEAMS_INTERVAL) {
        let message = format!("{}: Teams wants to be asked once a minute", table.title);
        table.log().add(
            Draft::warning(table.place_of("options_interval_s"), message)
                .help("it sends calls last to an edge whose OPTIONS it has not seen for three minutes"),
        );
    }
    let settings = Settings {
        interval,
        timeout: table.millis("options_timeout_ms", 100..=32_000, default.timeout),
        down_after: times(table, "down_after", default.down_after),
        up_after: times(table, "up_after", default.up_after),
        alive: match table.numbers("alive_codes", 200..=699) {
            Some(codes) => Alive::Listed(codes.into_iter().filter_map(|code| u16::try_from(code.value).ok()).collect()),
            None => default.alive,
        },
    };
    if settings.alive == Alive::Listed(Vec::new()) {
        let message = format!("{}: `alive_codes` is empty", table.title);
        let help = "no answer would ever show a target to be there; leave the key out for all but 408 and 503";
        table.log().add(Draft::error(table.place_of("alive_codes"), message).help(help));
    }
    settings
}

fn times(table: &mut Table<'_>, key: &'static str, default: u8) -> u8 {
    table.number(key, 1..=100).and_then(|times| u8::try_from(times.value).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn load(kind: &str, keys: &str) -> Result<(Settings, String), String> {
        let text = format!(
            "[node]\nname = \"n\"\nfqdn = \"sbc.example.net\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
             [trunk.a]\nkind = \"{kind}\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.2:5060\"]\n{keys}\n"
        );
        match load_str("t", &text, Path::new(".")) {
            Ok(loaded) => Ok((loaded.config.trunk_health[0].clone(), loaded.warnings.to_string())),
            Err(faults) => Err(faults.to_string()),
        }
    }

    #[test]
    fn teams_is_asked_once_a_minute_and_others_are_not_until_somebody_says_so() {
        let minute = Some(Duration::from_secs(60));
        for (kind, keys, interval, warns) in [
            ("teams", "", minute, false),
            ("teams", "options_interval_s = 30", Some(Duration::from_secs(30)), false),
            ("teams", "options_interval_s = 61", Some(Duration::from_secs(61)), true),
            ("teams", "options_interval_s = 0", None, true),
            ("carrier", "", None, false),
            ("pbx", "", None, false),
            ("pbx", "options_interval_s = 60", minute, false),
        ] {
            let (settings, warnings) = load(kind, keys).unwrap();
            assert_eq!(settings.interval, interval, "{kind} {keys}");
            assert_eq!(warnings.contains("once a minute"), warns, "{kind} {keys}: {warnings}");
        }
    }

    #[test]
    fn thresholds_are_read_and_what_makes_no_sense_is_refused() {
        let keys =
            "options_interval_s = 10\noptions_timeout_ms = 900\ndown_after = 3\nup_after = 2\nalive_codes = [200, 404]";
        let wanted = Settings {
            interval: Some(Duration::from_secs(10)),
            timeout: Duration::from_millis(900),
            down_after: 3,
            up_after: 2,
            alive: Alive::Listed(vec![200, 404]),
        };
        assert_eq!(load("pbx", keys).unwrap().0, wanted);
        for (keys, fault) in [
            ("alive_codes = []", "`alive_codes` is empty"),
            ("down_after = 0", "down_after"),
            ("up_after = 101", "up_after"),
            ("alive_codes = [100]", "alive_codes"),
            ("options_interval_s = 3601", "options_interval_s"),
            ("options_timeout_ms = 99", "options_timeout_ms"),
        ] {
            let faults = load("pbx", keys).unwrap_err();
            assert!(faults.contains(fault), "{keys}: {faults}");
        }
    }
}
