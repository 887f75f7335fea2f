//! What others see of the daemon while it runs: the page of metrics, the log, the last messages of calls, captures of
//! them, and their export to collectors.
//!
//! A driver: it has threads and sockets of its own and never keeps a worker that carries calls waiting.

pub mod hep;
pub mod logs;
pub mod metrics;
pub mod pcap;
pub mod trace;
