use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::sip::Transport;
use crate::trunk::{ConnectionId, Flow, TrunkId};

const CONFIG: &str = "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
    [guard]\noffences = 3\nnever_ban = [\"203.0.113.0/24\"]\n\
    [trunk.a]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:192.0.2.1:5060\"]\nallow_from = [\"198.51.100.0/24\"]\n";

fn edge() -> (Edge, config::Guard) {
    let loaded = config::load_str("t", CONFIG, Path::new(".")).unwrap();
    (super::super::build::edge(loaded.config.limits, &loaded, |_| None), loaded.config.guard)
}

fn from(address: &str) -> Source<'static> {
    let remote = SocketAddr::new(address.parse().unwrap(), 5060);
    let flow = Flow {
        listener: ListenerId(0),
        transport: Transport::Udp,
        remote,
        connection: ConnectionId::DATAGRAM,
        local: None,
    };
    Source { flow, local: "127.0.0.1:5060".parse().unwrap(), authenticated: &[] }
}

fn annoy(strangers: &Strangers, edge: &Edge, address: &str) {
    (0..10).for_each(|_| strangers.handle_malformed(edge, &from(address)));
}

#[test]
fn strangers_are_banned_and_peers_are_not() {
    let (edge, settings) = edge();
    let strangers = Strangers::new(&settings, None, Clock::start());
    for (address, banned) in [
        ("198.51.100.7", false), // allowed from
        ("192.0.2.1", false),    // a target
        ("203.0.113.9", false),  // never
        ("192.0.2.2", true),
    ] {
        annoy(&strangers, &edge, address);
        assert_eq!(strangers.refuses(&edge, &from(address), b"INVITE"), banned, "{address}");
        assert_eq!(strangers.welcomes(&edge, ListenerId(0), address.parse().unwrap()), !banned, "{address}");
    }
    assert!(!strangers.refuses(&edge, &from("192.0.2.2"), b"SIP/2.0 200 OK"), "answers are looked at");
}

#[test]
fn a_banned_address_that_becomes_a_peer_is_heard_and_one_that_proves_itself_is_freed() {
    let (edge, settings) = edge();
    let strangers = Strangers::new(&settings, None, Clock::start());
    annoy(&strangers, &edge, "192.0.2.2");
    let other = config::load_str("t", &CONFIG.replace("192.0.2.1:", "192.0.2.2:"), Path::new(".")).unwrap();
    let other = super::super::build::edge(other.config.limits, &other, |_| None);
    assert!(!strangers.refuses(&other, &from("192.0.2.2"), b"INVITE"));
    assert!(strangers.refuses(&edge, &from("192.0.2.2"), b"INVITE"));
    strangers.lift("192.0.2.2".parse().unwrap());
    assert!(!strangers.refuses(&edge, &from("192.0.2.2"), b"INVITE"));
    let _: TrunkId = edge.trunks.0[0].id;
}

#[test]
fn operators_ban_networks_but_none_of_peers() {
    let (edge, settings) = edge();
    let strangers = Strangers::new(&settings, None, Clock::start());
    let ban = |text: &str| strangers.ban(&edge, text.parse().unwrap(), None, "scans");
    assert!(matches!(ban("198.51.0.0/16"), Err(NotBanned::Peers(_))));
    assert!(matches!(ban("198.51.100.9"), Err(NotBanned::Peers(_))));
    assert!(matches!(ban("203.0.113.1"), Err(NotBanned::Never(_))));
    assert!(ban("192.0.3.0/24").is_ok());
    assert!(strangers.refuses(&edge, &from("192.0.3.200"), b"INVITE"));
    assert_eq!(strangers.bans().len(), 1);
    assert!(strangers.unban("192.0.3.0/25".parse().unwrap()).is_none(), "exactly the network");
    assert!(strangers.unban("192.0.3.0/24".parse().unwrap()).is_some());
    assert!(!strangers.refuses(&edge, &from("192.0.3.200"), b"INVITE"));
}

#[test]
fn bans_survive_a_restart_and_a_damaged_file_does_not_stop_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let (edge, settings) = edge();
    let strangers = Strangers::new(&settings, Some(folder.path()), Clock::start());
    annoy(&strangers, &edge, "192.0.2.2");
    strangers.ban(&edge, "2001:db8::/32".parse().unwrap(), None, "said \"so\"\n").unwrap();
    keep(&strangers);
    let again = Strangers::new(&settings, Some(folder.path()), Clock::start());
    assert_eq!(again.bans(), strangers.bans());
    assert!(again.refuses(&edge, &from("192.0.2.2"), b"INVITE"));
    assert!(again.refuses(&edge, &from("2001:db8:7::1"), b"INVITE"));

    std::fs::write(folder.path().join(kept::FILE), "{").unwrap();
    assert!(Strangers::new(&settings, Some(folder.path()), Clock::start()).bans().is_empty());
    assert!(folder.path().join("bans.json.damaged").exists());
}

#[test]
fn a_banned_address_may_try_a_handshake_now_and_then_where_peers_are_known_by_name() {
    let held = Held::default();
    let address: IpAddr = "192.0.2.2".parse().unwrap();
    held.insert(source(address), Some(1_000_000));
    let tries: Vec<_> = [500_000, 500_001, 509_999, 510_000, 510_001].map(|now| held.may_try(address, now)).to_vec();
    assert_eq!(tries, [true, false, false, true, false]);
    assert!(!held.holds(address, 1_000_000), "over");
    held.forget_ended(1_000_000);
    assert!(held.is_empty());
}
