//! Which sockets are open, as the system tells: a look does not disturb the program that is about to open one.

use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Udp,
    /// TCP, TLS.
    Stream,
}

/// Whether some process listens on the address.
pub fn is_open(kind: Kind, addr: SocketAddr) -> bool {
    let (table, listening) = match kind {
        Kind::Udp => ("/proc/net/udp", "07"),
        Kind::Stream => ("/proc/net/tcp", "0A"),
    };
    let IpAddr::V4(ip) = addr.ip() else { panic!("{addr} is not an IPv4 address") };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port());
    let sockets = std::fs::read_to_string(table).expect("the system does not list its sockets");
    sockets.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some(&wanted) && fields.nth(1) == Some(listening)
    })
}
