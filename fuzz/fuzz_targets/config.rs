//! Any text as a configuration: faults, never a panic, and every fault can be shown.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A configuration may name files: none outside of a directory that is not there are to be opened.
    if text.contains("..") || text.contains("\"/") || text.contains("'/") || text.contains('\\') {
        return;
    }
    match trunkway::config::load_str("fuzz.toml", text, Path::new("/nonexistent")) {
        Ok(loaded) => assert_eq!(loaded.config.trunk_tls.len(), loaded.trunks.0.len()),
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
});
