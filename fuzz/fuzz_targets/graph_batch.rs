//! A count, then any bytes as the answer to a batch.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::graph::batch(bytes));
