//! A Content-Type, then any bytes as a body: parts lie within and in order, and what is stripped is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::multipart::check(bytes));
