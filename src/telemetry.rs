//! What the edge tells of what passes: a ring of the last messages, captures of them, and their export to collectors.
//!
//! A driver: it has threads and sockets of its own and never keeps a worker that carries calls waiting.

pub mod hep;
pub mod pcap;
pub mod trace;
