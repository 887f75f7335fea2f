//! What others see of the daemon while it runs: the page of metrics, the log.
//!
//! A driver: it knows lines and where they go, and nothing of calls.

pub mod logs;
pub mod metrics;
