//! A relay that writes what passes it into a capture, as a sniffer on the wire would: without rights to sniff, and
//! without keys.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};

/// Raw IP packets (`LINKTYPE_RAW`).
const LINK_TYPE: u32 = 101;

/// The relay; what passed so far is in the file at any time.
pub struct Capture {
    pub path: PathBuf,
    pub addr: SocketAddr,
}

impl Capture {
    /// Relays one connection to `to`, and comes there from the address `from`.
    pub fn start(path: PathBuf, at: IpAddr, from: IpAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind((at, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let file = path.clone();
        std::thread::spawn(move || {
            let (near, _) = listener.accept().expect("somebody connects");
            let far = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
            far.bind(&SocketAddr::new(from, 0).into()).expect("an address of the place");
            far.connect(&to.into()).expect("the edge listens");
            let far = TcpStream::from(far);
            relay(&file, near, far, to);
        });
        Self { path, addr }
    }
}

fn relay(path: &Path, near: TcpStream, far: TcpStream, to: SocketAddr) {
    let from = near.peer_addr().expect("it is connected");
    let wire = Arc::new(Mutex::new(Wire::new(path, from, to)));
    wire.lock().unwrap().open();
    let ends = [(near.try_clone().unwrap(), far.try_clone().unwrap(), 0), (far, near, 1)];
    let threads = ends.map(|(mut from, mut to, direction)| {
        let wire = Arc::clone(&wire);
        std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                // Written down first: who has seen the answer finds it in the file.
                wire.lock().unwrap().data(direction, &buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        })
    });
    for thread in threads {
        let _ = thread.join();
    }
}

/// A TCP connection as packets.
struct Wire {
    file: std::fs::File,
    ends: [SocketAddr; 2],
    /// The next sequence number of each end.
    next: [u32; 2],
}

impl Wire {
    fn new(path: &Path, from: SocketAddr, to: SocketAddr) -> Self {
        let mut file = std::fs::File::create(path).expect("the folder takes files");
        let mut head = Vec::new();
        head.extend(0xa1b2_c3d4_u32.to_le_bytes());
        head.extend(2_u16.to_le_bytes());
        head.extend(4_u16.to_le_bytes());
        head.extend([0; 8]);
        head.extend(65_535_u32.to_le_bytes());
        head.extend(LINK_TYPE.to_le_bytes());
        file.write_all(&head).expect("the disk takes it");
        Self { file, ends: [from, to], next: [1_000, 5_000] }
    }

    /// The three packets with which TCP begins.
    fn open(&mut self) {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        self.packet(0, SYN, &[]);
        self.next[0] += 1;
        self.packet(1, SYN | ACK, &[]);
        self.next[1] += 1;
        self.packet(0, ACK, &[]);
    }

    fn data(&mut self, direction: usize, bytes: &[u8]) {
        const PUSH_ACK: u8 = 0x18;
        for part in bytes.chunks(1_400) {
            self.packet(direction, PUSH_ACK, part);
            self.next[direction] = self.next[direction].wrapping_add(part.len() as u32);
        }
    }

    fn packet(&mut self, direction: usize, flags: u8, payload: &[u8]) {
        let (source, destination) = (self.ends[direction], self.ends[1 - direction]);
        let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) else { panic!("IPv4 only") };
        let length = 40 + payload.len();
        let mut packet = vec![0x45, 0];
        packet.extend((length as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(source.port().to_be_bytes());
        packet.extend(destination.port().to_be_bytes());
        packet.extend(self.next[direction].to_be_bytes());
        packet.extend(self.next[1 - direction].to_be_bytes());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(payload);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let mut record = Vec::new();
        record.extend((now.as_secs() as u32).to_le_bytes());
        record.extend(now.subsec_micros().to_le_bytes());
        record.extend((length as u32).to_le_bytes());
        record.extend((length as u32).to_le_bytes());
        record.extend(packet);
        self.file.write_all(&record).expect("the disk takes it");
    }
}
