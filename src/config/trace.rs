//! `[trace]`: the ring of messages and their export.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address::socket;
use super::log::Draft;
use super::reader::{Complaint, Table};

const MIB: u64 = 1 << 20;

/// Fewer bytes than this are no ring: a single large message would empty a part of it.
const LEAST_RING: u64 = 4 * MIB;

/// The port that Homer's collectors listen on.
const HEP_PORT: u16 = 9_060;

/// The ring of messages and their export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Bytes that messages and what is noted beside them may take; zero: nothing is kept.
    pub ring_bytes: usize,
    /// Bytes that are kept of one message.
    pub max_message_bytes: usize,
    /// Calls of a hundred that are kept, at most.
    pub sample_percent: u32,
    /// Seconds of traffic that the ring shall hold: fewer calls are kept when it would hold less.
    pub hold_s: u64,
    /// OPTIONS and their answers are kept as well, in a small room of their own.
    pub options: bool,
    /// How many may follow calls at once.
    pub max_followers: usize,
    /// Messages that wait for one of them; more are dropped and counted.
    pub follower_queue: usize,
    /// Where messages are sent to.
    pub hep: Option<Hep>,
    /// The file that the secrets of TLS sessions are written to, so that captures can be decrypted.
    pub key_log: Option<PathBuf>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            ring_bytes: 32 << 20,
            max_message_bytes: 16_384,
            sample_percent: 100,
            hold_s: 30,
            options: false,
            max_followers: 8,
            follower_queue: 1_024,
            hep: None,
            key_log: None,
        }
    }
}

/// A collector of messages in the Homer Encapsulation Protocol, version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hep {
    pub collector: Collector,
    /// What the edge goes by at the collector.
    pub capture_id: u32,
    /// The file with the collector's password.
    pub password_file: Option<PathBuf>,
    /// Every call, whatever the ring keeps.
    pub all: bool,
    /// Secrets and bodies other than SDP do not leave.
    pub redact: bool,
    /// Bytes that wait to be sent; more are dropped and counted.
    pub queue_bytes: usize,
}

/// Where a collector listens, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

pub(super) fn read(mut table: Table<'_>) -> Trace {
    let default = Trace::default();
    let ring_bytes = table.count("ring_bytes", 0..=16 << 30, default.ring_bytes);
    if ring_bytes > 0 && (ring_bytes as u64) < LEAST_RING {
        let message = format!("{}: `ring_bytes` must be 0 or at least {LEAST_RING}", table.title);
        table.log().add(Draft::error(table.place_of("ring_bytes"), message).help("0 keeps no messages"));
    }
    let hep = table.table("hep", "trace.hep").and_then(hep);
    let trace = Trace {
        ring_bytes,
        max_message_bytes: table.count("max_message_bytes", 512..=65_535, default.max_message_bytes),
        sample_percent: table
            .number("sample_percent", 1..=100)
            .and_then(|percent| u32::try_from(percent.value).ok())
            .unwrap_or(default.sample_percent),
        hold_s: table.number("hold_s", 0..=86_400).map_or(default.hold_s, |seconds| seconds.value),
        options: table.boolean("options").map_or(default.options, |flag| flag.value),
        max_followers: table.count("max_followers", 0..=64, default.max_followers),
        follower_queue: table.count("follower_queue", 16..=65_536, default.follower_queue),
        hep,
        key_log: table.path("key_log").map(|path| path.value),
    };
    table.finish();
    trace
}

fn hep(mut table: Table<'_>) -> Option<Hep> {
    table.must_have("collector");
    let collector = table.parsed("collector", collector);
    let capture_id = table.number("capture_id", 0..=u64::from(u32::MAX));
    let hep = Hep {
        collector: collector.map_or(Collector::Udp(SocketAddr::from(([0, 0, 0, 0], 0))), |collector| collector.value),
        capture_id: capture_id.and_then(|id| u32::try_from(id.value).ok()).unwrap_or(1),
        password_file: table.existing("password_file").map(|path| path.value),
        all: table.boolean("all").is_some_and(|flag| flag.value),
        redact: table.boolean("redact").is_none_or(|flag| flag.value),
        queue_bytes: table.count("queue_bytes", 65_536..=1 << 30, 4 << 20),
    };
    table.finish();
    Some(hep)
}

/// Reads `udp:192.0.2.1:9060`.
fn collector(text: &str) -> Result<Collector, Complaint> {
    let complaint = || {
        Complaint::new("a collector is `udp:` or `tcp:`, an address and a port")
            .help("for example `udp:192.0.2.9:9060`; names are not looked up")
    };
    let (transport, address) = text.split_once(':').ok_or_else(complaint)?;
    let address = socket(address, Some(HEP_PORT)).map_err(|_| complaint())?;
    match transport {
        "udp" => Ok(Collector::Udp(address)),
        "tcp" => Ok(Collector::Tcp(address)),
        _ => Err(complaint()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    fn load(keys: &str) -> Result<Trace, String> {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
             [trunk.a]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:127.0.0.2:5060\"]\n{keys}\n"
        );
        load_str("t", &text, Path::new(".")).map(|loaded| loaded.config.trace).map_err(|faults| faults.to_string())
    }

    #[test]
    fn without_a_word_the_ring_has_its_defaults() {
        assert_eq!(load(""), Ok(Trace::default()));
        assert_eq!(load("[trace]\nring_bytes = 0").map(|trace| trace.ring_bytes), Ok(0));
    }

    #[test]
    fn a_collector_has_a_transport_and_an_address() {
        let trace = load("[trace.hep]\ncollector = \"tcp:[::1]:9061\"\ncapture_id = 2001\nall = true").unwrap();
        let hep = Hep {
            collector: Collector::Tcp("[::1]:9061".parse().unwrap()),
            capture_id: 2_001,
            password_file: None,
            all: true,
            redact: true,
            queue_bytes: 4 << 20,
        };
        assert_eq!(trace.hep, Some(hep));
        let trace = load("[trace.hep]\ncollector = \"udp:127.0.0.1\"").unwrap();
        assert_eq!(trace.hep.unwrap().collector, Collector::Udp("127.0.0.1:9060".parse().unwrap()));
    }

    #[test]
    fn faults_say_what_is_wanted() {
        for (keys, fault) in [
            ("[trace]\nring_bytes = 4096", "must be 0 or at least 4194304"),
            ("[trace]\nring = 1", "has no key `ring`"),
            ("[trace]\nsample_percent = 0", "must be from 1 to 100"),
            ("[trace]\noptions = 1", "must be true or false"),
            ("[trace.hep]\ncapture_id = 1", "has no `collector`"),
            ("[trace.hep]\ncollector = \"homer:9060\"", "a collector is `udp:` or `tcp:`"),
            ("[trace.hep]\ncollector = \"tls:127.0.0.1:9060\"", "a collector is `udp:` or `tcp:`"),
            ("[trace.hep]\ncollector = \"udp:127.0.0.1\"\npassword_file = \"none\"", "cannot read"),
        ] {
            let told = load(keys).unwrap_err();
            assert!(told.contains(fault), "{keys}: {told}");
        }
    }

    #[test]
    fn a_key_log_is_named_relative_to_the_file_and_off_by_default() {
        let load = |keys: &str| {
            let listen = "[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"";
            let text = format!("[node]\nname = \"n\"\n{listen}\n[trace]\n{keys}\n");
            let loaded = load_str("t", &text, Path::new("/etc/x")).map(|loaded| loaded.config.trace.key_log);
            loaded.map_err(|faults| faults.to_string())
        };
        assert_eq!(load(""), Ok(None));
        assert_eq!(load("key_log = \"keys.log\""), Ok(Some(Path::new("/etc/x/keys.log").to_owned())));
        for bad in ["key_log = true", "key_logs = \"keys.log\""] {
            let faults = load(bad).unwrap_err();
            assert!(faults.contains("key_log"), "{bad}: {faults}");
        }
    }
}
