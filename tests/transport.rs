//! The transport driver over real sockets on loopback.

#[path = "transport/support.rs"]
mod support;

#[path = "transport/change.rs"]
mod change;
#[path = "transport/renewal.rs"]
mod renewal;
#[path = "transport/stream.rs"]
mod stream;
#[path = "transport/tls.rs"]
mod tls;
#[path = "transport/udp.rs"]
mod udp;
