//! The core without sockets: real SIP text goes in from scripted peers, under a clock of the test's own.

mod calls;
mod cancel;
mod dialogs;
mod failover;
mod forks;
mod legacy;
mod refusals;
mod routes;
mod transports;
mod wire;
mod world;
