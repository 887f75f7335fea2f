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
    let wanted = local(addr);
    rows(table).lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some(&wanted) && fields.nth(1) == Some(listening)
    })
}

/// Datagrams that were thrown away because nobody read them from the sockets of the address in time.
pub fn dropped(addr: SocketAddr) -> u64 {
    let wanted = local(addr);
    let of_addr = |line: &str| {
        let mut fields = line.split_whitespace();
        let dropped = fields.clone().next_back()?.parse::<u64>().ok()?;
        (fields.nth(1)? == wanted).then_some(dropped)
    };
    rows("/proc/net/udp").lines().filter_map(of_addr).sum()
}

fn rows(table: &str) -> String {
    std::fs::read_to_string(table).expect("the system does not list its sockets")
}

/// An address as the tables have it.
fn local(addr: SocketAddr) -> String {
    let IpAddr::V4(ip) = addr.ip() else { panic!("{addr} is not an IPv4 address") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port())
}
