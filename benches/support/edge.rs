//! An edge between two trunks on UDP, and the secrets of a process, the same in each run.

use std::path::Path;
use std::sync::Arc;

use trunkway::call::dialog_token::SealKey;
use trunkway::call::seal::{Key, KeyRing};
use trunkway::call::{Edge, Secrets};
use trunkway::sip::{Limits, Transport};
use trunkway::transaction::{HashKey, Timing};
use trunkway::trunk::{ConnectionId, Flow, TrunkId};

/// Where the caller's trunk sends from.
pub const CALLER: &str = "192.0.2.1:5060";

const CONFIG: &str = r#"
[node]
name = "bench"
fqdn = "sbc.example.net"
[[listen]]
name = "outside"
bind = "udp:198.51.100.10:5060"
advertise = "sbc.example.net:5060"
[[listen]]
name = "inside"
bind = "udp:192.0.2.10:5060"
[trunk.caller]
kind = "carrier"
listen = "outside"
targets = ["udp:192.0.2.1:5060"]
[trunk.called]
kind = "pbx"
listen = "inside"
targets = ["udp:192.0.2.80:5080"]
[dialplan.numbers]
rules = [{ prefix = "+44163276", tag = "called" }]
"#;

/// The compiled configuration, with transparent trunks or with legs of the edge's own.
pub fn edge(transparent: bool) -> Arc<Edge> {
    let mut loaded = trunkway::config::load_str("bench.toml", CONFIG, Path::new("")).expect("the configuration holds");
    loaded.trunks.0.iter_mut().for_each(|trunk| trunk.transparent = transparent);
    let listeners = loaded.config.listeners.iter().map(|listen| listen.listener.clone()).collect();
    Arc::new(Edge::new(listeners, loaded.trunks, loaded.routing, Timing::default(), Limits::default()))
}

/// Fixed keys.
pub fn secrets() -> Secrets {
    Secrets { hash: HashKey::new([1; 16]), tags: [2; 16], seal: SealKey::new([3; 16]), ring: ring() }
}

fn ring() -> KeyRing {
    KeyRing::new(Key::derive(&[4; 32]).expect("a key"), None).expect("one key")
}

/// The trunk of a name and the flow of what it sends.
pub fn peer(edge: &Edge, name: &str) -> (TrunkId, Flow) {
    let trunk = edge.trunks.named(name).expect("a trunk of the configuration");
    let remote = trunk.targets.first().and_then(|target| target.literal).expect("an address");
    let flow = Flow {
        listener: trunk.listener,
        transport: Transport::Udp,
        connection: ConnectionId::DATAGRAM,
        remote,
        local: None,
    };
    (trunk.id, flow)
}
