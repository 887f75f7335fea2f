//! Any bytes as a document of an event package: what is read stays the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::documents::check(bytes));
