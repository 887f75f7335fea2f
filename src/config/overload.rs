//! `[overload]`: when the edge refuses new calls since there is too much to do.

use std::time::Duration;

use super::reader::Table;

/// The marks above which new calls are shed; a mark of zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Percent of the processor time that the workers could have.
    pub cpu_percent: u8,
    /// How late timers may be.
    pub lag: Duration,
    /// Percent of `limits.max_transactions`.
    pub transactions_percent: u8,
}

impl Default for Overload {
    fn default() -> Self {
        Self { cpu_percent: 95, lag: Duration::from_millis(250), transactions_percent: 90 }
    }
}

pub(super) fn read(mut table: Table<'_>) -> Overload {
    let d = Overload::default();
    let overload = Overload {
        cpu_percent: percent(&mut table, "cpu_percent", d.cpu_percent),
        lag: table.millis("lag_ms", 0..=60_000, d.lag),
        transactions_percent: percent(&mut table, "transactions_percent", d.transactions_percent),
    };
    table.finish();
    overload
}

fn percent(table: &mut Table<'_>, key: &'static str, default: u8) -> u8 {
    table.number(key, 0..=100).and_then(|number| u8::try_from(number.value).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn load(keys: &str) -> Result<Overload, String> {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n[overload]\n{keys}\n"
        );
        load_str("t", &text, Path::new(".")).map(|loaded| loaded.config.overload).map_err(|faults| faults.to_string())
    }

    #[test]
    fn marks_are_read_and_can_be_taken_away() {
        assert_eq!(load(""), Ok(Overload::default()));
        let none = load("cpu_percent = 0\nlag_ms = 0\ntransactions_percent = 0").unwrap();
        assert_eq!((none.cpu_percent, none.lag, none.transactions_percent), (0, Duration::ZERO, 0));
        assert!(load("cpu_percent = 101").is_err());
    }
}
