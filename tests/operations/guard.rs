//! The flood guard and shedding.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp};
use crate::support::{SOON, certificates, until};

/// Long enough for an answer on loopback, short enough to be waited for in vain.
const SILENCE: Duration = Duration::from_millis(700);

const STRANGER: u8 = 9;

fn config(place: &Place, more: &str) -> String {
    let [edge, caller, callee] = [1, 2, 3].map(|host| place.at(host));
    format!(
        "[control]\nsocket = \"control.sock\"\n[state]\ndir = \"state\"\n\
         [[listen]]\nname = \"inside\"\nbind = \"udp:{edge}\"\n\
         [trunk.caller]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:{caller}\"]\n\
         [trunk.callee]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:{callee}\"]\n\
         [dialplan.numbers]\nrules = [{{ prefix = \"2\", tag = \"callee\" }}]\n{more}\n"
    )
}

fn options(from: SocketAddr, to: SocketAddr, agent: &str, id: u32) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{from}>;tag=t{id}\r\nTo: <sip:{to}>\r\nCall-ID: o{id}@{from}\r\nCSeq: 1 OPTIONS\r\n\
         User-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Sends one datagram; what comes back within a while.
fn ask(socket: &UdpSocket, to: SocketAddr, text: &str) -> Option<String> {
    socket.send_to(text.as_bytes(), to).expect("loopback takes it");
    socket.set_read_timeout(Some(SILENCE)).expect("a socket");
    let mut room = [0; 65_535];
    let length = socket.recv(&mut room).ok()?;
    Some(String::from_utf8_lossy(&room[..length]).into_owned())
}

fn command(place: &Place, words: &[&str]) -> (i32, Value) {
    let mut command = trunkway(words[0]);
    command.args(&words[1..]).arg("--json").arg("--socket").arg(place.folder().join("control.sock"));
    let output = command.output().expect("trunkway can be started");
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().expect("it ends by itself"), answer)
}

fn banned(place: &Place) -> Vec<String> {
    let (code, page) = command(place, &["bans", "list"]);
    assert_eq!(code, 0, "{page}");
    let bans = page["bans"].as_array().expect("a list");
    bans.iter().map(|ban| format!("{} {}", ban["network"].as_str().unwrap(), ban["cause"].as_str().unwrap())).collect()
}

/// Calls of a known trunk, by a program that knows nothing of this.
fn calls_pass(place: &Place) {
    let callee = Sipp::callee(place, 3, Scenario::Own("uas")).calls(10, 10).start(place);
    let stats = Sipp::caller(place, 2, Scenario::Own("uac"), "2001").calls(10, 10).run(place);
    assert_eq!((stats.successful, stats.failed), (10, 0));
    callee.finish();
}

#[test]
fn scanners_are_banned_across_a_restart_and_trunks_never_are() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, ""));
    let to = place.at(1);
    let stranger = UdpSocket::bind((place.ip(STRANGER), 0)).expect("an address");
    let from = stranger.local_addr().expect("bound");
    let answer = ask(&stranger, to, &options(from, to, "phone", 1)).expect("strangers are told that they are");
    assert!(answer.starts_with("SIP/2.0 403 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("trunkway") && !answer.contains("Server:"), "{answer}");
    assert_eq!(ask(&stranger, to, &options(from, to, "friendly-scanner", 2)), None);
    assert_eq!(ask(&stranger, to, &options(from, to, "phone", 3)), None);
    let network = format!("{}/32", from.ip());
    assert_eq!(banned(&place), [format!("{network} scanner")]);

    // A peer that sends as much nonsense as it likes goes on calling.
    let peer = UdpSocket::bind((place.ip(2), 0)).expect("an address");
    for _ in 0..500 {
        peer.send_to(b"nonsense\r\n\r\n", to).expect("loopback takes it");
    }
    calls_pass(&place);
    assert_eq!(banned(&place).len(), 1);
    let page = edge.page();
    assert!(page.contains("trunkway_guard_offences_total{offence=\"scanner\"} 1"), "{page}");

    let kept = place.folder().join("state/bans.json");
    until("the ban is on the disk", SOON, || std::fs::read_to_string(&kept).ok()?.contains(&network).then_some(()));
    edge.kill();
    let edge = Edge::start(&place, &config(&place, ""));
    assert_eq!(ask(&stranger, to, &options(from, to, "phone", 4)), None, "still banned");
    assert_eq!(command(&place, &["bans", "remove", &network]).0, 0);
    assert!(ask(&stranger, to, &options(from, to, "phone", 5)).is_some(), "and heard again");
    assert_eq!(command(&place, &["bans", "remove", &network]).0, 1, "there is no such ban any more");
    edge.stop();
}

#[test]
fn operators_ban_networks_and_no_peer() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, "[guard]\noffences = 0\n"));
    let to = place.at(1);
    let stranger = UdpSocket::bind((place.ip(STRANGER), 0)).expect("an address");
    let from = stranger.local_addr().expect("bound");
    for id in 0..5 {
        stranger.send_to(options(from, to, "friendly-scanner", id).as_bytes(), to).expect("loopback takes it");
    }
    assert_eq!(banned(&place), Vec::<String>::new(), "nobody is banned by itself");
    let (code, answer) = command(&place, &["bans", "add", &place.ip(2).to_string()]);
    assert_eq!((code, &answer["error"]), (1, &"not_banned".into()), "{answer}");
    let network = format!("{}/32", from.ip());
    let (code, ban) = command(&place, &["bans", "add", &network, "--for", "2h", "--reason", "scans"]);
    assert_eq!((code, &ban["reason"]), (0, &"scans".into()), "{ban}");
    until("it is not heard", SOON, || ask(&stranger, to, &options(from, to, "phone", 9)).is_none().then_some(()));
    calls_pass(&place);
    edge.stop();
}

/// A connection from an address, and how it ends: the bytes that came.
fn connect(from: IpAddr, to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("an address");
    socket.connect(&to.into()).expect("somebody listens");
    let mut stream: std::net::TcpStream = socket.into();
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let mut came = Vec::new();
    // The peer may have closed already.
    let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut came));
    came
}

#[test]
fn who_fails_handshakes_is_not_let_in_any_more() {
    let place = Place::new();
    let certificates = certificates::make(&place);
    let at = |name: &str| certificates.join(name).display().to_string();
    let tls = place.tls_at(1);
    let more = format!(
        "[[listen]]\nname = \"outside\"\nbind = \"tls:{tls}\"\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n\
         [guard]\noffences = 3\n",
        at("edge.pem"),
        at("edge.key"),
        at("ca.pem")
    );
    let edge = Edge::start(&place, &config(&place, &more));
    let from = place.ip(STRANGER);
    let alert = connect(from, tls, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(alert.first(), Some(&21), "a TLS alert: {alert:?}");
    until("it is banned", SOON, || {
        connect(from, tls, b"GET / HTTP/1.0\r\n\r\n");
        (!banned(&place).is_empty()).then_some(())
    });
    assert_eq!(connect(from, tls, b"GET / HTTP/1.0\r\n\r\n"), b"", "closed before a byte of TLS");
    assert!(connect(place.ip(2), tls, b"GET / HTTP/1.0\r\n\r\n").len() > 1, "an address of a peer is let in");
    assert!(edge.metric("trunkway_guard_connections_refused_total") >= 1.0);
    edge.stop();
}

#[test]
fn too_much_to_do_refuses_new_calls_and_goes_on_with_those_that_are_up() {
    let place = Place::new();
    let more = "[limits]\nmax_transactions = 100\n[overload]\ncpu_percent = 0\nlag_ms = 0\ntransactions_percent = 5\n";
    let edge = Edge::start(&place, &config(&place, more));
    let to = place.at(1);
    let callee = UdpSocket::bind(place.at(3)).expect("an address");
    let caller = UdpSocket::bind(place.at(2)).expect("an address");
    let invite = |id: u32| {
        let from = place.at(2);
        format!(
            "INVITE sip:2001@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKi{id}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{from}>;tag=f{id}\r\nTo: <sip:2001@{to}>\r\nCall-ID: i{id}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:1@{from}>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    // They ring, since the callee says nothing.
    for id in 0..10 {
        caller.send_to(invite(id).as_bytes(), to).expect("loopback takes it");
    }
    let shed = || edge.metric("trunkway_overload_shed_ratio");
    until("all new calls are shed", SOON, || (shed() >= 1.0).then_some(()));
    let other = UdpSocket::bind((place.ip(2), 0)).expect("an address");
    let refused = invite(77).replace(&format!("UDP {}", place.at(2)), &format!("UDP {}", other.local_addr().unwrap()));
    let answer = ask(&other, to, &refused).expect("an answer");
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("Retry-After: "), "{answer}");
    // Everybody is refused by the callee: there is nothing to do any more.
    callee.set_read_timeout(Some(SOON)).expect("a socket");
    let mut room = [0; 65_535];
    let mut ended = std::collections::HashSet::new();
    while ended.len() < 10 {
        let length = callee.recv(&mut room).expect("the INVITEs come");
        let request = String::from_utf8_lossy(&room[..length]).into_owned();
        if !request.starts_with("INVITE ") {
            continue;
        }
        let line = |name: &str| {
            let lines = request.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
            lines.join("\r\n")
        };
        let to_line = line("To: ");
        let answer = format!(
            "SIP/2.0 486 Busy Here\r\n{}\r\n{}\r\n{to_line};tag=b\r\n{}\r\n{}\r\nContent-Length: 0\r\n\r\n",
            line("Via: "),
            line("From: "),
            line("Call-ID: "),
            line("CSeq: ")
        );
        callee.send_to(answer.as_bytes(), to).expect("loopback takes it");
        ended.insert(line("Call-ID: "));
    }
    until("new calls are taken again", Duration::from_secs(90), || (shed() == 0.0).then_some(()));
    edge.stop();
}
