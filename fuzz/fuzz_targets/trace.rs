//! Any bytes as a message that is kept: what is looked at, hidden and written of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::trace::check(bytes));
