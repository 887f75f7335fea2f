//! The torture messages of RFC 4475 and messages as Teams sends them, through the daemon itself.

#[path = "torture/daemon.rs"]
mod daemon;
#[path = "torture/expect.rs"]
mod expect;
#[path = "torture/memory.rs"]
mod memory;
#[path = "torture/peers.rs"]
mod peers;
#[path = "torture/rfc4475.rs"]
mod rfc4475;
#[path = "torture/teams.rs"]
mod teams;
