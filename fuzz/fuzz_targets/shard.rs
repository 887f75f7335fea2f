//! A list of events into a shard: requests, answers, copies, failures, silence. See `world` for what must hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkway_fuzz::world::{Op, run};

fuzz_target!(|ops: Vec<Op>| run(&ops));
