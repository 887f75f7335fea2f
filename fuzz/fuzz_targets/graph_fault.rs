//! A status, then any bytes as what Graph or Entra says of a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkway_fuzz::graph::fault(bytes));
