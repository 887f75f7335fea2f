//! The transport driver over real sockets on loopback.

#[path = "transport/support.rs"]
mod support;

#[path = "transport/stream.rs"]
mod stream;
#[path = "transport/tls.rs"]
mod tls;
#[path = "transport/udp.rs"]
mod udp;
