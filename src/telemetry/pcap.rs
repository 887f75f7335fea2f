//! Messages as a capture file that Wireshark and sngrep read: pcapng (draft-ietf-opsawg-pcapng) with made-up Ethernet,
//! IP and UDP around each message, whatever carried it, so that TLS needs no key. What really carried it stands in the
//! comment of each packet.

use std::net::{IpAddr, SocketAddr};

use super::trace::{Direction, Entry};

/// Ethernet in pcapng (LINKTYPE_ETHERNET).
const ETHERNET: u16 = 1;

/// Longest payload of a UDP datagram over IPv4; what is longer is cut.
const MOST_PAYLOAD: usize = 65_535 - 20 - 8;

/// Option codes of pcapng.
const COMMENT: u16 = 1;
const HARDWARE_APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// A message and what is said of it.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    pub entry: &'a Entry,
    pub bytes: &'a [u8],
    /// What stands beside it in the file.
    pub comment: &'a str,
}

/// Writes a file; `node` is what the edge goes by.
pub fn write<'a>(node: &str, packets: impl IntoIterator<Item = Packet<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    section(&mut out);
    interface(&mut out, node);
    for packet in packets {
        enhanced_packet(&mut out, &packet);
    }
    out
}

/// Writes a block: its type, its length before and behind, its body padded to 32 bits.
fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let padded = body.len().next_multiple_of(4);
    // A body has at most a message and its comment.
    let length = (padded + 12) as u32;
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
    out.resize(out.len() + padded - body.len(), 0);
    out.extend_from_slice(&length.to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn end_of_options(out: &mut Vec<u8>) {
    option(out, 0, b"");
}

fn section(out: &mut Vec<u8>) {
    let mut body = Vec::new();
    body.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.extend_from_slice(&0_u16.to_le_bytes());
    body.extend_from_slice(&(-1_i64).to_le_bytes());
    option(&mut body, HARDWARE_APPLICATION, concat!("trunkway ", env!("CARGO_PKG_VERSION")).as_bytes());
    end_of_options(&mut body);
    block(out, 0x0a0d_0d0a, &body);
}

fn interface(out: &mut Vec<u8>, node: &str) {
    let mut body = Vec::new();
    body.extend_from_slice(&ETHERNET.to_le_bytes());
    body.extend_from_slice(&0_u16.to_le_bytes());
    body.extend_from_slice(&0_u32.to_le_bytes());
    option(&mut body, IF_NAME, node.as_bytes());
    option(&mut body, IF_TSRESOL, &[6]);
    end_of_options(&mut body);
    block(out, 1, &body);
}

fn enhanced_packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    let frame = frame(packet.entry, packet.bytes);
    let time = packet.entry.unix_us;
    let length = frame.len() as u32;
    let mut body = Vec::with_capacity(frame.len() + packet.comment.len() + 40);
    body.extend_from_slice(&0_u32.to_le_bytes());
    body.extend_from_slice(&((time >> 32) as u32).to_le_bytes());
    body.extend_from_slice(&(time as u32).to_le_bytes());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&frame);
    body.resize(body.len().next_multiple_of(4), 0);
    if !packet.comment.is_empty() {
        option(&mut body, COMMENT, packet.comment.as_bytes());
        end_of_options(&mut body);
    }
    block(out, 6, &body);
}

/// A message as an Ethernet frame.
fn frame(entry: &Entry, bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.get(..MOST_PAYLOAD).unwrap_or(bytes);
    let (from, to) = match entry.direction {
        Direction::In => (entry.remote, entry.local),
        Direction::Out => (entry.local, entry.remote),
    };
    // Where one side is not known, it is of the family of the other.
    let (source, target) = of_one_family(from, to);
    let mut frame = Vec::with_capacity(bytes.len() + 64);
    for addr in [to, from] {
        frame.extend_from_slice(&hardware_address(addr.ip()));
    }
    let udp = udp(source, target, (from.port(), to.port()), bytes);
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            frame.extend_from_slice(&[0x08, 0x00]);
            let mut header = [0_u8; 20];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&((udp.len() + 20) as u16).to_be_bytes());
            header[8] = 64;
            header[9] = 17;
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&target.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend_from_slice(&header);
        }
        (source, target) => {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend_from_slice(&(udp.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[17, 64]);
            for addr in [source, target] {
                frame.extend_from_slice(&octets(addr));
            }
        }
    }
    frame.extend_from_slice(&udp);
    frame
}

fn of_one_family(from: SocketAddr, to: SocketAddr) -> (IpAddr, IpAddr) {
    let (from, to) = (from.ip().to_canonical(), to.ip().to_canonical());
    let mapped = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => IpAddr::V6(addr.to_ipv6_mapped()),
        addr => addr,
    };
    if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (mapped(from), mapped(to)) }
}

/// A locally administered address that goes with an IP address.
fn hardware_address(addr: IpAddr) -> [u8; 6] {
    let octets = octets(addr);
    let [.., a, b, c, d] = octets.as_slice() else { return [0x02; 6] };
    [0x02, 0, *a, *b, *c, *d]
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

fn udp(source: IpAddr, target: IpAddr, ports: (u16, u16), bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() + 8) as u16;
    let mut datagram = Vec::with_capacity(bytes.len() + 8);
    datagram.extend_from_slice(&ports.0.to_be_bytes());
    datagram.extend_from_slice(&ports.1.to_be_bytes());
    datagram.extend_from_slice(&length.to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(bytes);
    // The pseudo header of RFC 768 and RFC 8200 section 8.1: its 32-bit fields add up like 16-bit ones.
    let sum = checksum(&[&octets(source), &octets(target), &17_u16.to_be_bytes(), &length.to_be_bytes(), &datagram]);
    let sum = if sum == 0 { 0xffff } else { sum };
    if let Some(field) = datagram.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    datagram
}

/// The Internet checksum (RFC 1071) over parts, all but the last of an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        };
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(direction: Direction, local: &str, remote: &str) -> Entry {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        Entry { direction, local, remote, unix_us: 0x0001_0002_0003_0004, ..Entry::default() }
    }

    fn be16(bytes: &[u8], at: usize) -> u16 {
        u16::from_be_bytes([bytes[at], bytes[at + 1]])
    }

    #[test]
    fn a_frame_goes_from_the_sender_to_the_edge_or_back() {
        let frame = frame(&entry(Direction::In, "127.0.0.1:5061", "192.0.2.7:40000"), b"hello");
        assert_eq!(frame.len(), 14 + 20 + 8 + 5);
        assert_eq!(frame[..14], [2, 0, 127, 0, 0, 1, 2, 0, 192, 0, 2, 7, 8, 0]);
        assert_eq!((be16(&frame, 16), frame[23]), (33, 17), "length and protocol");
        assert_eq!(frame[26..34], [192, 0, 2, 7, 127, 0, 0, 1]);
        assert_eq!((be16(&frame, 34), be16(&frame, 36), be16(&frame, 38)), (40_000, 5_061, 13));
        assert_eq!(&frame[42..], b"hello");
        assert_eq!(checksum(&[&frame[14..34]]), 0, "a header with its checksum adds up to nothing");
        let back = super::frame(&entry(Direction::Out, "127.0.0.1:5061", "192.0.2.7:40000"), b"hello");
        assert_eq!(back[26..34], [127, 0, 0, 1, 192, 0, 2, 7]);
    }

    #[test]
    fn checksums_of_datagrams_add_up() {
        for (local, remote) in [("10.1.2.3:1", "10.4.5.6:2"), ("[2001:db8::1]:1", "[2001:db8::2]:2")] {
            let entry = entry(Direction::In, local, remote);
            let (source, target) = (entry.remote.ip(), entry.local.ip());
            for payload in [&b""[..], b"x", b"xy", &[0xff; 301]] {
                let datagram = udp(source, target, (2, 1), payload);
                let length = (datagram.len() as u16).to_be_bytes();
                assert_eq!(checksum(&[&octets(source), &octets(target), &[0, 17], &length, &datagram]), 0);
            }
        }
    }

    #[test]
    fn families_are_never_mixed() {
        let mixed = entry(Direction::Out, "[::]:5060", "192.0.2.7:5060");
        let frame = frame(&mixed, b"x");
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        assert_eq!(frame[38 + 10..38 + 16], [0xff, 0xff, 192, 0, 2, 7]);
        let mapped = entry(Direction::Out, "192.0.2.1:5060", "[::ffff:192.0.2.7]:5060");
        assert_eq!(super::frame(&mapped, b"x")[12..14], [0x08, 0x00]);
    }

    #[test]
    fn blocks_have_their_lengths_at_both_ends() {
        let entry = entry(Direction::In, "127.0.0.1:5061", "192.0.2.7:40000");
        let packet = |bytes| Packet { entry: &entry, bytes, comment: "tls" };
        let file = write("edge-1", [packet(b"one"), packet(b"three"), packet(&[b'x'; 70_000])]);
        let (mut at, mut kinds) = (0, Vec::new());
        while at < file.len() {
            let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            let length = word(at + 4) as usize;
            assert_eq!((length % 4, word(at + length - 4) as usize), (0, length));
            kinds.push(word(at));
            if word(at) == 6 {
                assert_eq!((word(at + 12), word(at + 16)), (0x0001_0002, 0x0003_0004), "time in microseconds");
                assert!(word(at + 20) <= 65_535 + 14 && word(at + 20) == word(at + 24));
            }
            at += length;
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6, 6]);
    }
}
