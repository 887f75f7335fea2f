//! Which sockets are open, as the system tells: a look does not disturb the program that is about to open one.

use std::net::{IpAddr, SocketAddr, UdpSocket};

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

/// Whether a program could bind the address now. TCP's table is asked, since a bound try would stay in it.
pub fn can_be_bound(kind: Kind, addr: SocketAddr) -> bool {
    match kind {
        Kind::Udp => UdpSocket::bind(addr).is_ok(),
        Kind::Stream => !is_open(kind, addr),
    }
}

/// The rows of the system's table that have the address's port, whatever their address.
pub fn holders(kind: Kind, addr: SocketAddr) -> String {
    let table = if kind == Kind::Udp { "/proc/net/udp" } else { "/proc/net/tcp" };
    let port = format!(":{:04X}", addr.port());
    let has_port = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
    rows(table).lines().filter(has_port).collect::<Vec<_>>().join("\n")
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
