//! The core without sockets: real SIP text goes in from scripted peers, under a clock of the test's own.

mod beside;
mod calls;
mod cancel;
mod chaos;
mod decisions;
mod dialogs;
mod edits;
mod failover;
mod forks;
mod gate;
mod health;
mod hostile;
mod legacy;
mod legs;
mod network;
mod numbers;
mod office;
mod refusals;
mod routes;
mod transports;
mod turns;
mod wire;
mod world;
