//! Any bytes as a URI, as a name-addr, and as a Via: parts lie within and in order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::address::check(bytes));
