//! Any bytes as a datagram and as a frame: indexing, every reader, edits, and the answers that come of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::message::check(bytes));
