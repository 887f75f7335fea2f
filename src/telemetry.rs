//! What others see of the daemon: the page of metrics.

pub mod metrics;
