//! The daemon as a process, on loopback addresses that no other test uses.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// T1 of the daemon: what it remembers of a request is forgotten after 64 times this.
pub const T1: Duration = Duration::from_millis(100);

/// How long a message that has begun on a stream may stay unfinished.
pub const PARTIAL: Duration = Duration::from_millis(3_000);

/// The addresses of one edge and its peers: the messages name no ports, so that all must have 5060.
#[derive(Clone, Copy, Debug)]
pub struct Net {
    pub edge: SocketAddr,
    pub sender: Ipv4Addr,
    pub sink: SocketAddr,
}

impl Net {
    /// Addresses of this process and of this call alone.
    pub fn new() -> Self {
        static CALLS: AtomicU8 = AtomicU8::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let [low, high, ..] = std::process::id().to_le_bytes();
        let host = |last: u8| Ipv4Addr::new(127, 16 + high % 64, low, call * 8 + last);
        Self { edge: (host(1), 5060).into(), sender: host(3), sink: (host(4), 5060).into() }
    }

    fn config(&self) -> String {
        let Self { edge, sender, sink } = self;
        let mut text = format!(
            "[node]\nname = \"torture\"\nworkers = 1\n\
             [timers]\nt1_ms = {}\nt2_ms = 1000\nt4_ms = 500\n\
             [limits]\npartial_message_timeout_ms = {}\n\
             [trace]\nring_bytes = 4194304\n\
             [trunk.sink]\nkind = \"carrier\"\nlisten = \"udp\"\ntargets = [\"udp:{sink}\"]\n\
             [[route]]\nprefix = \"\"\nto = [\"sink\"]\n",
            T1.as_millis(),
            PARTIAL.as_millis(),
        );
        for (transport, more) in [("udp", "sockets = 1\n"), ("tcp", "")] {
            let _ = write!(
                text,
                "[[listen]]\nname = \"{transport}\"\nbind = \"{transport}:{edge}\"\n{more}\
                 [trunk.sender-{transport}]\nkind = \"pbx\"\nlisten = \"{transport}\"\n\
                 targets = [\"{transport}:{sender}:5060\"]\n"
            );
        }
        text
    }
}

/// A running `trunkway run`.
pub struct Daemon {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Daemon {
    pub fn start(net: &Net) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("edge.toml");
        fs::write(&config, net.config()).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_trunkway"))
            .args(["run", "--log", "error", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .spawn()
            .expect("the daemon");
        Self { child, _directory: directory }
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Memory in use, in KiB (VmRSS).
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a live process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of test data that lies beside the project; `None`, and a note, where it does not.
pub fn data(folder: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}
