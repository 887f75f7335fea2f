//! Calls that are up, as far as the edge remembers them.

pub mod timer;
