//! A place for one test: a network of its own on loopback, and a folder.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tempfile::TempDir;

/// Tests that measure run alone.
static TURN: RwLock<()> = RwLock::new(());

/// Whoever holds this port of a network's last address has the network; below the ports that the system deals out.
const CLAIM_PORT: u16 = 20_005;

/// One of the networks 127.64.0.0/24 to 127.127.255.0/24, which nobody else has while this lives, and a temporary folder.
pub struct Place {
    network: [u8; 2],
    /// The port of SIP by UDP and TCP at every address; TLS has the next one, metrics the one after it.
    pub port: u16,
    folder: TempDir,
    _claim: UdpSocket,
    _turn: Turn,
}

enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl Place {
    /// A place for a test beside others.
    pub fn new() -> Self {
        Self::claim(Turn::Shared { _guard: TURN.read().unwrap_or_else(PoisonError::into_inner) })
    }

    /// A place for a test that must not be disturbed: no other one runs meanwhile.
    pub fn alone() -> Self {
        Self::claim(Turn::Alone { _guard: TURN.write().unwrap_or_else(PoisonError::into_inner) })
    }

    fn claim(turn: Turn) -> Self {
        let first = std::process::id().wrapping_mul(101);
        let candidates = (0..1 << 14).map(|step| (first.wrapping_add(step) & 0x3fff) as u16);
        for number in candidates {
            let network = [64 + (number >> 8) as u8, number as u8];
            // The claim: a socket that every process which uses such networks asks for.
            let Ok(claim) = UdpSocket::bind((address(network, 254), CLAIM_PORT)) else { continue };
            // Somebody may have the usual port on all addresses of the machine.
            let free = |port: u16| {
                let addr = (address(network, 253), port);
                UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok()
            };
            let port = (5060..6000).step_by(10).find(|&port| (port..port + 3).all(free)).expect("no free port");
            let folder = TempDir::new().expect("no temporary folder");
            return Self { network, port, folder, _claim: claim, _turn: turn };
        }
        panic!("all networks are taken");
    }

    pub fn ip(&self, host: u8) -> IpAddr {
        address(self.network, host)
    }

    /// A host's address with the port of SIP.
    pub fn at(&self, host: u8) -> SocketAddr {
        SocketAddr::new(self.ip(host), self.port)
    }

    /// A host's address with the port of SIP over TLS.
    pub fn tls_at(&self, host: u8) -> SocketAddr {
        SocketAddr::new(self.ip(host), self.port + 1)
    }

    /// Where the edge shows its metrics.
    pub fn metrics(&self) -> SocketAddr {
        SocketAddr::new(self.ip(1), self.port + 2)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("the temporary folder takes no file");
        path
    }
}

fn address([second, third]: [u8; 2], host: u8) -> IpAddr {
    Ipv4Addr::new(127, second, third, host).into()
}
