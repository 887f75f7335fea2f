//! Directions, then any bytes as a session description: changes are made once and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::sdp::check(bytes));
