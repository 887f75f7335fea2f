//! Connections and certificates as an operator sees them, with OpenSSL's own client as the peer.

mod capture;
mod peer;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use self::capture::Capture;
use self::peer::Peer;
use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Sipp, scenario};
use crate::support::{SOON, certificates, until};

/// The host number of the PBX in a place; the edge is 1.
const PBX: u8 = 2;
/// Of the callee, by UDP.
const CARRIER: u8 = 3;

/// An edge with a TLS listener for a PBX that proves its name and a UDP listener for a carrier, which has all numbers.
fn edge(place: &Place, more: &str) -> Edge {
    let [outside, pbx] = [1, PBX].map(|host| place.tls_at(host));
    let [inside, carrier] = [1, CARRIER].map(|host| place.at(host));
    let config = format!(
        r#"
[[listen]]
name = "outside"
bind = "tls:{outside}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"
client_certificate = "require"

[[listen]]
name = "inside"
bind = "udp:{inside}"

[tls_client]
ca = "certs/ca.pem"
certificate = "certs/edge.pem"
key = "certs/edge.key"

[trunk.pbx]
kind = "pbx"
listen = "outside"
targets = ["tls:{pbx}"]
peer_names = ["pbx.example.net"]

[trunk.carrier]
kind = "pbx"
listen = "inside"
targets = ["udp:{carrier}"]

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "carrier" }}]

[control]
socket = "control.sock"

{more}
"#
    );
    Edge::start(place, &config)
}

/// A subcommand that talks to the edge.
fn tell(place: &Place, arguments: &[&str]) -> std::process::Output {
    let mut command = trunkway(arguments[0]);
    command.args(&arguments[1..]).arg("--config").arg(place.folder().join("edge.toml"));
    command.output().expect("trunkway can be started")
}

/// What a subcommand answers as JSON.
fn ask(place: &Place, arguments: &[&str]) -> Value {
    let output = tell(place, &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text}: {output:?}"))
}

fn connections(place: &Place) -> Vec<Value> {
    ask(place, &["connections", "list"])["connections"].as_array().expect("a list").clone()
}

/// The serial number of a certificate, as openssl reads it.
fn serial(file: &Path) -> String {
    let output = Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file).output();
    let text = String::from_utf8(output.expect("openssl is there").stdout).expect("text");
    text.trim().trim_start_matches("serial=").to_owned()
}

/// Puts a new certificate into the edge's file, which is its own authority and good for so many days.
fn renew(certs: &Path, days: &str) {
    let own = |file: &str| certs.join(file).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-new", "-key", &own("edge.key"), "-subj", "/CN=edge.example.net", "-x509", "-days", days])
        .args(["-addext", "subjectAltName=DNS:edge.example.net", "-out", &own("edge.pem")])
        .output()
        .expect("openssl is there");
    assert!(made.status.success(), "{made:?}");
}

/// A connection's field, or one of its TLS side.
fn tls<'v>(connection: &'v Value, key: &str) -> &'v str {
    connection["tls"][key].as_str().unwrap_or_else(|| panic!("no {key} in {connection}"))
}

#[test]
fn connections_and_certificates_are_seen_and_a_connection_is_ended() {
    let place = Place::new();
    let certs = certificates::make(&place);
    let edge = edge(&place, "");
    let mut peer = Peer::connect(&place, "openssl", PBX, place.tls_at(1), &certs, "ca.pem");
    peer.options("first");

    let all = connections(&place);
    let of_peer: Vec<_> = all.iter().filter(|it| it["direction"] == "accepted").collect();
    let [connection] = of_peer[..] else { panic!("{all:?}") };
    assert_eq!(connection["trunks"], serde_json::json!(["pbx"]), "{connection}");
    assert_eq!((&connection["listener"], &connection["transport"]), (&"outside".into(), &"tls".into()));
    assert_eq!((&connection["received"], &connection["sent"]), (&1.into(), &1.into()), "the OPTIONS and its answer");
    assert_eq!((&connection["under_way"], &connection["retired_s"]), (&0.into(), &Value::Null));
    let shown = serial(&certs.join("edge.pem"));
    assert_eq!((tls(connection, "version"), tls(connection, "serial")), ("TLS 1.3", &*shown));
    assert_eq!(tls(connection, "peer_serial"), serial(&certs.join("pbx.pem")));
    let nobody = ask(&place, &["connections", "list", "--trunk", "carrier"]);
    assert_eq!(nobody["connections"], serde_json::json!([]));
    let refused = tell(&place, &["connections", "list", "--trunk", "nobody"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let table = String::from_utf8(tell(&place, &["connections", "list"]).stdout).expect("text");
    assert!(table.starts_with("id ") && table.contains("TLS 1.3") && table.contains(&shown), "{table}");

    let listed = ask(&place, &["certificates"]);
    let [certificate] = &listed["certificates"].as_array().expect("a list")[..] else { panic!("{listed}") };
    assert_eq!(certificate["serial"], *shown);
    assert_eq!(certificate["listeners"], serde_json::json!(["outside"]));
    assert!(certificate["trunks"].as_array().expect("a list").contains(&"pbx".into()), "{certificate}");
    assert!(certificate["names"].as_array().expect("a list").contains(&"edge.example.net".into()), "{certificate}");
    assert!(certificate["days_left"].as_i64().expect("a number") > 0, "{certificate}");
    assert!(certificate["connections"].as_u64().expect("a number") >= 1, "{certificate}");

    let page = edge.page();
    assert!(page.contains(r#"trunkway_tls_connections{trunk="pbx",direction="accepted"} 1"#), "{page}");
    assert!(page.contains(r#"trunkway_tls_handshakes_total{direction="accepted",result="ok"} 1"#), "{page}");
    assert!(edge.metric("trunkway_certificate_expiry_seconds") > 1.7e9);
    assert_eq!(edge.metric("trunkway_tls_connections_old_certificate"), 0.0);

    let id = connection["id"].to_string();
    let closed = tell(&place, &["connections", "close", &id]);
    assert_eq!(closed.status.code(), Some(0), "{closed:?}");
    peer.ends();
    assert_eq!(tell(&place, &["connections", "close", &id]).status.code(), Some(1), "it has gone");
    edge.stop();
}

#[test]
fn a_certificate_near_its_end_is_told_of() {
    let place = Place::new();
    let certs = certificates::make(&place);
    renew(&certs, "10");
    let edge = edge(&place, "");
    let listed = ask(&place, &["certificates"]);
    let days = listed["certificates"][0]["days_left"].as_i64().expect("a number");
    assert!((8..=10).contains(&days), "{listed}");
    let log = place.folder().join("edge.log");
    until("the log has a warning", SOON, || {
        let text = std::fs::read_to_string(&log).expect("a log");
        (text.contains("the certificate ends in") && text.contains("certs/edge.pem")).then_some(())
    });
    edge.stop();
}

#[test]
fn a_capture_is_read_with_the_key_log_and_not_without() {
    let place = Place::new();
    let certs = certificates::make(&place);
    let edge = edge(&place, "[trace]\nkey_log = \"keys.log\"\n");
    let capture = Capture::start(place.folder().join("tls.pcap"), place.ip(4), place.ip(PBX), place.tls_at(1));
    let mut peer = Peer::connect(&place, "openssl", PBX, capture.addr, &certs, "ca.pem");
    peer.options("captured");
    let keys = place.folder().join("keys.log");
    assert_eq!(std::fs::metadata(&keys).expect("the key log").permissions().mode() & 0o777, 0o600);
    until("the secrets are written", SOON, || {
        let text = std::fs::read_to_string(&keys).expect("the key log");
        text.contains("SERVER_TRAFFIC_SECRET_0 ").then_some(())
    });
    let read = |more: &[&str]| {
        let port = place.tls_at(1).port();
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&capture.path).args(["-d", &format!("tcp.port=={port},tls")]);
        command.args(["-d", &format!("tls.port=={port},sip"), "-Y", "sip"]);
        command.args(["-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.Call-ID"]).args(more);
        let output = command.output().expect("tshark is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let option = format!("tls.keylog_file:{}", keys.display());
    let text = read(&["-o", &option]);
    assert!(text.contains("OPTIONS\t\tcaptured") && text.contains("\t200\tcaptured"), "{text}");
    assert_eq!(read(&[]), "", "without the secrets nothing is seen");
    let log = std::fs::read_to_string(place.folder().join("edge.log")).expect("a log");
    assert!(log.contains("secrets of all TLS sessions"), "{log}");

    // Off again: who connects from here on leaves no secrets.
    let config = place.folder().join("edge.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration").replace("key_log = ", "# key_log = ");
    std::fs::write(&config, text).expect("the folder takes files");
    let reload = tell(&place, &["reload"]);
    assert!(reload.status.success(), "{reload:?}");
    let before = std::fs::read(&keys).expect("the key log");
    let mut later = Peer::connect(&place, "openssl-later", PBX, place.tls_at(1), &certs, "ca.pem");
    later.options("later");
    assert_eq!(std::fs::read(&keys).expect("the key log"), before);
    edge.stop();
}

#[test]
fn a_renewed_certificate_moves_a_call_to_a_new_connection() {
    let place = Place::new();
    let certs = certificates::make(&place);
    let edge = edge(&place, "");
    let callee = Sipp::callee(&place, CARRIER, scenario("callee-rings-long")).pause(Duration::from_secs(10));
    let callee = callee.start(&place);
    let mut old = Peer::connect(&place, "openssl-old", PBX, place.tls_at(1), &certs, "ca.pem");
    old.invite("ringing", "2001");
    old.rings("ringing");
    let before = serial(&certs.join("edge.pem"));

    renew(&certs, "90");
    let reload = tell(&place, &["reload"]);
    assert!(reload.status.success(), "{reload:?}");
    let after = serial(&certs.join("edge.pem"));
    assert_ne!(before, after);
    let listed = ask(&place, &["certificates"]);
    assert_eq!(listed["certificates"][0]["serial"], *after, "{listed}");
    assert!(listed["certificates"][0]["older_connections"].as_u64().expect("a number") >= 1, "{listed}");
    assert!(edge.metric("trunkway_tls_connections_old_certificate") >= 1.0);
    assert!(edge.metric("trunkway_certificate_expiry_seconds") > 1.7e9);

    let mut new = Peer::connect(&place, "openssl-new", PBX, place.tls_at(1), &certs, "edge.pem");
    new.options("sign-of-life");
    let accepted = |retired: bool| {
        let all = connections(&place).into_iter().filter(|it| it["direction"] == "accepted");
        all.filter(|it| it["retired_s"].is_number() == retired).map(|it| tls(&it, "serial").to_owned()).collect()
    };
    let [current, retired]: [Vec<String>; 2] = [accepted(false), accepted(true)];
    assert_eq!((current, retired), (vec![after], vec![before]));

    // What rang over the old connection is answered over it; then it ends, and the call goes on over the new one.
    let dialog = old.answered("ringing");
    old.ends();
    assert!(new.is_open());
    new.hang_up(&dialog, "ringing");
    callee.finish();
    until("no old one is left", SOON, || {
        (edge.metric("trunkway_tls_connections_old_certificate") == 0.0).then_some(())
    });
    edge.stop();
}
