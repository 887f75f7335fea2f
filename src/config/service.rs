//! `[service]`: life as a service: stop, drain, watching of files.

use std::time::Duration;

use super::reader::Table;

/// Life as a service: stop, drain, watching of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// How long a stop waits at the most.
    pub drain_timeout: Duration,
    pub stop_waits_for: StopWaits,
    /// Whether a change of the files is a reload.
    pub watch: bool,
    /// How long a connection made with an older certificate may go on with what is under way.
    pub connection_drain: Duration,
}

/// What a stop waits for before it ends the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopWaits {
    /// For nothing: calls that ring are lost, calls that are up go on in the next process.
    Nothing,
    /// For requests without a final answer, so for calls that ring.
    #[default]
    Transactions,
    /// For calls that are up too.
    Calls,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(60),
            stop_waits_for: StopWaits::default(),
            watch: false,
            connection_drain: Duration::from_secs(300),
        }
    }
}

pub(super) fn read(mut table: Table<'_>) -> Service {
    let default = Service::default();
    let words =
        [("nothing", StopWaits::Nothing), ("transactions", StopWaits::Transactions), ("calls", StopWaits::Calls)];
    let service = Service {
        drain_timeout: table.seconds("drain_timeout_s", 0..=86_400, default.drain_timeout),
        stop_waits_for: table.choice("stop_waits_for", &words).map_or(default.stop_waits_for, |word| word.value),
        watch: table.boolean("watch").is_some_and(|flag| flag.value),
        connection_drain: table.seconds("connection_drain_s", 10..=86_400, default.connection_drain),
    };
    table.finish();
    service
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn load(keys: &str) -> Result<Service, String> {
        let text = format!("[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n{keys}\n");
        load_str("t", &text, Path::new(".")).map(|loaded| loaded.config.service).map_err(|faults| faults.to_string())
    }

    #[test]
    fn stop_waits_for_what_the_file_says() {
        assert_eq!(load("").unwrap(), Service::default());
        let wanted = Service {
            drain_timeout: Duration::from_secs(7_200),
            stop_waits_for: StopWaits::Calls,
            connection_drain: Duration::from_secs(30),
            watch: true,
        };
        let text =
            "[service]\ndrain_timeout_s = 7200\nstop_waits_for = \"calls\"\nconnection_drain_s = 30\nwatch = true";
        assert_eq!(load(text).unwrap(), wanted);
        for (keys, fault) in [
            ("drain_timeout_s = 86401", "drain_timeout_s"),
            ("drain_timeout_s = \"60\"", "drain_timeout_s"),
            ("stop_waits_for = \"call\"", "calls"),
            ("watch = 1", "watch"),
            ("connection_drain_s = 9", "connection_drain_s"),
            ("drain_timeout = 60", "drain_timeout_s"),
        ] {
            let faults = load(&format!("[service]\n{keys}")).unwrap_err();
            assert!(faults.contains(fault), "{keys}: {faults}");
        }
    }
}
