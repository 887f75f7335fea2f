//! Requests of watchers and publishers: one answer each, and all that began ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| trunkway_fuzz::watchers::check(text));
