//! Any bytes as the body of a request to the webhook.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::graph::notification(bytes));
