//! `[trace]`: the ring of messages and their export.

use std::path::PathBuf;

use super::reader::Table;

/// The ring of messages and their export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The file that the secrets of TLS sessions are written to, so that captures can be decrypted.
    pub key_log: Option<PathBuf>,
}

pub(super) fn read(mut table: Table<'_>) -> Trace {
    let trace = Trace { key_log: table.path("key_log").map(|path| path.value) };
    table.finish();
    trace
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::load_str;

    #[test]
    fn a_key_log_is_named_relative_to_the_file_and_off_by_default() {
        let load = |keys: &str| {
            let listen = "[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"";
            let text = format!("[node]\nname = \"n\"\n{listen}\n[trace]\n{keys}\n");
            let loaded = load_str("t", &text, Path::new("/etc/x")).map(|loaded| loaded.config.trace.key_log);
            loaded.map_err(|faults| faults.to_string())
        };
        assert_eq!(load(""), Ok(None));
        assert_eq!(load("key_log = \"keys.log\""), Ok(Some(Path::new("/etc/x/keys.log").to_owned())));
        for bad in ["key_log = true", "key_logs = \"keys.log\""] {
            let faults = load(bad).unwrap_err();
            assert!(faults.contains("key_log"), "{bad}: {faults}");
        }
    }
}
