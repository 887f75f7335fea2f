//! A stream in any pieces gives the same frames as in one, and no frame is read otherwise than it was cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first line says how the rest is cut: each of its bytes is the size of a piece.
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (sizes, stream) = bytes.split_at(end);
    trunkway_fuzz::frames::check(sizes, stream.get(1..).unwrap_or_default());
});
