//! A HEP version 3 packet: `HEP3`, its length, and chunks of vendor, type, length and value, all in network order.

use std::net::{IpAddr, SocketAddr};

use crate::sip::Transport;
use crate::telemetry::trace::{Direction, Entry};

/// Vendor of the chunks that the protocol itself defines.
const GENERIC: u16 = 0;

/// Bytes of a chunk before its value.
const CHUNK_HEAD: usize = 6;

/// SIP, as a type of payload.
const SIP: u8 = 1;

/// Who sends packets.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub capture_id: u32,
    pub password: Option<&'a [u8]>,
}

/// Appends the packet of a message.
pub(super) fn write(out: &mut Vec<u8>, sender: &Sender<'_>, entry: &Entry, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(b"HEP3\0\0");
    let (source, target) = match entry.direction {
        Direction::In => (entry.remote, entry.local),
        Direction::Out => (entry.local, entry.remote),
    };
    let protocol = if entry.transport == Transport::Udp { 17 } else { 6 };
    addresses(out, source, target);
    chunk(out, 0x0002, &[protocol]);
    chunk(out, 0x0007, &source.port().to_be_bytes());
    chunk(out, 0x0008, &target.port().to_be_bytes());
    chunk(out, 0x0009, &u32::try_from(entry.unix_us / 1_000_000).unwrap_or(u32::MAX).to_be_bytes());
    chunk(out, 0x000a, &((entry.unix_us % 1_000_000) as u32).to_be_bytes());
    chunk(out, 0x000b, &[SIP]);
    chunk(out, 0x000c, &sender.capture_id.to_be_bytes());
    if let Some(password) = sender.password {
        chunk(out, 0x000e, password);
    }
    chunk(out, 0x0011, entry.call.to_string().as_bytes());
    // The length of a packet has 16 bits: a message that is as long as that is cut.
    let room = usize::from(u16::MAX).saturating_sub(out.len() - start + CHUNK_HEAD);
    chunk(out, 0x000f, payload.get(..room).unwrap_or(payload));
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start + 4..start + 6) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn addresses(out: &mut Vec<u8>, source: SocketAddr, target: SocketAddr) {
    match (source.ip().to_canonical(), target.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            chunk(out, 0x0001, &[2]);
            chunk(out, 0x0003, &source.octets());
            chunk(out, 0x0004, &target.octets());
        }
        (source, target) => {
            let wide = |addr: IpAddr| match addr {
                IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
                IpAddr::V6(addr) => addr.octets(),
            };
            chunk(out, 0x0001, &[10]);
            chunk(out, 0x0005, &wide(source));
            chunk(out, 0x0006, &wide(target));
        }
    }
}

fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&GENERIC.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    // No value is longer than a message.
    let length = u16::try_from(CHUNK_HEAD + value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallId;

    #[test]
    fn a_packet_has_its_chunks_and_their_lengths() {
        let entry = Entry {
            call: CallId(0x0123_4567_89ab_cdef),
            direction: Direction::Out,
            transport: Transport::Tls,
            local: "192.0.2.1:5061".parse().unwrap(),
            remote: "[::ffff:198.51.100.7]:40000".parse().unwrap(),
            unix_us: 1_800_000_000_000_007,
            ..Entry::default()
        };
        let mut out = Vec::new();
        write(&mut out, &Sender { capture_id: 2_001, password: Some(b"pw") }, &entry, b"BYE");
        let mut expected = b"HEP3\0\x84".to_vec();
        for (kind, value) in [
            (1, &[2][..]),
            (3, &[192, 0, 2, 1]),
            (4, &[198, 51, 100, 7]),
            (2, &[6]),
            (7, &[0x13, 0xc5]),
            (8, &[0x9c, 0x40]),
            (9, &[0x6b, 0x49, 0xd2, 0x00]),
            (10, &[0, 0, 0, 7]),
            (11, &[1]),
            (12, &[0, 0, 7, 0xd1]),
            (14, b"pw"),
            (17, b"0123456789abcdef"),
            (15, b"BYE"),
        ] {
            expected.extend_from_slice(&[0, 0, 0, kind, 0, 6 + value.len() as u8]);
            expected.extend_from_slice(value);
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn a_packet_is_never_longer_than_its_length_can_say() {
        let entry = Entry { local: "[2001:db8::1]:5060".parse().unwrap(), ..Entry::default() };
        let mut out = Vec::new();
        write(&mut out, &Sender { capture_id: 1, password: None }, &entry, &[b'x'; 70_000]);
        assert_eq!((out.len(), &out[4..6]), (65_535, &[0xff, 0xff][..]));
    }
}
