//! The core without sockets: real SIP text goes in from scripted peers, under a clock of the test's own.

mod calls;
mod wire;
mod world;
