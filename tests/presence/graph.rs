//! The bridge towards Graph: writes, throttling, faults, crashes.
