//! The built daemon between peers that nobody here wrote: each test starts `trunkway run` as a process with a
//! configuration of its own, and others' software calls through it on loopback.

mod support;

mod calls;
mod changes;
mod early;
mod handshakes;
mod health;
mod kamailio;
mod legs;
mod load;
mod names;
mod options;
mod phones;
mod programs;
mod tenants;
mod transfers;
