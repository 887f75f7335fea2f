//! `trunkway`: a SIP edge proxy and presence bridge.
//!
//! The map of this tree, in the order in which a request passes it:
//!
//! ```text
//! socket -> frame -> Message -> transaction -> classify -> route -> rewrite -> forward -> socket
//!    transport         sip      transaction     trunk      routing   call      call      transport
//! ```
//!
//! Pure modules (`sip`, `sdp`, `transaction`, `trunk`, `routing`, `call`, `shard`, `presence`) take time, randomness and
//! configuration as arguments and do no I/O. Drivers (`transport`, `dns`, `store`, `cdr`, `telemetry`, `graph`,
//! `directory`, `admin`, `lab`) do I/O and do not know each other. `daemon` wires them; `cli` and `config` stand at the
//! door.

#![forbid(unsafe_code)]

pub mod admin;
pub mod call;
pub mod cdr;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod directory;
pub mod dns;
pub mod graph;
pub mod lab;
pub mod presence;
pub mod routing;
pub mod sdp;
pub mod shard;
pub mod sip;
pub mod store;
pub mod telemetry;
pub mod transaction;
pub mod transport;
pub mod trunk;
