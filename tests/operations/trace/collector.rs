//! A collector of HEP version 3, written from its specification: it knows the chunks by their numbers and refuses what
//! does not add up. It shares nothing with the edge's own encoder.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Collects packets until the test is over.
pub struct Collector {
    pub at: SocketAddr,
    incoming: Receiver<Packet>,
    taken: Vec<Packet>,
}

/// A packet, read.
#[derive(Clone, Debug)]
pub struct Packet {
    pub protocol: u8,
    pub source: SocketAddr,
    pub target: SocketAddr,
    pub time_us: u64,
    pub payload_type: u8,
    pub capture_id: u32,
    pub password: String,
    pub correlation: String,
    pub payload: String,
}

impl Collector {
    /// Listens over UDP or TCP.
    pub fn start(transport: &str, ip: IpAddr) -> Self {
        let (packets, incoming) = channel();
        let at = match transport {
            "udp" => {
                let socket = UdpSocket::bind((ip, 0)).expect("a port is free");
                let at = socket.local_addr().expect("it has an address");
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 70_000];
                    while let Ok(length) = socket.recv(&mut buffer) {
                        assert_eq!(length_of(&buffer), length, "a datagram is a packet");
                        let _ = packets.send(read(&buffer[..length]));
                    }
                });
                at
            }
            _ => {
                let listener = TcpListener::bind((ip, 0)).expect("a port is free");
                let at = listener.local_addr().expect("it has an address");
                std::thread::spawn(move || {
                    while let Ok((stream, _)) = listener.accept() {
                        take(stream, &packets);
                    }
                });
                at
            }
        };
        Self { at, incoming, taken: Vec::new() }
    }

    /// All that have come.
    pub fn packets(&mut self) -> Vec<Packet> {
        self.taken.extend(self.incoming.try_iter());
        self.taken.clone()
    }
}

/// Reads the packets of a connection, which follow each other without anything between them.
fn take(mut stream: impl Read, packets: &Sender<Packet>) {
    let mut head = [0; 6];
    while stream.read_exact(&mut head).is_ok() {
        let mut packet = head.to_vec();
        packet.resize(length_of(&head), 0);
        stream.read_exact(&mut packet[6..]).expect("a packet comes whole");
        let _ = packets.send(read(&packet));
    }
}

/// The whole length, which stands behind the mark.
fn length_of(packet: &[u8]) -> usize {
    assert_eq!(&packet[..4], b"HEP3", "a packet begins with its mark");
    usize::from(u16::from_be_bytes([packet[4], packet[5]]))
}

fn read(packet: &[u8]) -> Packet {
    let chunks = chunks(&packet[6..]);
    let chunk = |kind: u16| chunks.get(&kind).unwrap_or_else(|| panic!("no chunk {kind:#06x} in {chunks:?}"));
    let number = |kind: u16, bytes: usize| {
        let value = chunk(kind);
        assert_eq!(value.len(), bytes, "the length of chunk {kind:#06x}");
        value.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let text = |kind: u16| String::from_utf8(chunk(kind).clone()).expect("text");
    let addr = |v4: u16, v6: u16| -> IpAddr {
        match number(0x0001, 1) {
            0x02 => Ipv4Addr::from(<[u8; 4]>::try_from(&chunk(v4)[..]).expect("four bytes")).into(),
            0x0a => Ipv6Addr::from(<[u8; 16]>::try_from(&chunk(v6)[..]).expect("sixteen bytes")).into(),
            family => panic!("family {family}"),
        }
    };
    Packet {
        protocol: number(0x0002, 1) as u8,
        source: SocketAddr::new(addr(0x0003, 0x0005), number(0x0007, 2) as u16),
        target: SocketAddr::new(addr(0x0004, 0x0006), number(0x0008, 2) as u16),
        time_us: number(0x0009, 4) * 1_000_000 + number(0x000a, 4),
        payload_type: number(0x000b, 1) as u8,
        capture_id: number(0x000c, 4) as u32,
        password: text(0x000e),
        correlation: text(0x0011),
        payload: text(0x000f),
    }
}

/// The chunks of the generic vendor by their types, each of which stands once.
fn chunks(mut rest: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let mut chunks = BTreeMap::new();
    while !rest.is_empty() {
        let word = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        let (vendor, kind, length) = (word(0), word(2), usize::from(word(4)));
        assert_eq!(vendor, 0, "the generic vendor");
        assert!((6..=rest.len()).contains(&length), "chunk {kind:#06x} has {length} bytes of {}", rest.len());
        assert!(chunks.insert(kind, rest[6..length].to_vec()).is_none(), "chunk {kind:#06x} stands twice");
        rest = &rest[length..];
    }
    chunks
}
