//! Any body as a feed of line states: entries are bounded and within their ranges, and faults can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::line_states::check(bytes));
