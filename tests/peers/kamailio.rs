//! Kamailio as the next hop and as the far end of TLS, and behind it sipp: calls cross two proxies, with route sets of
//! two entries in both directions, and over TLS each side proves itself to the other.

use std::path::PathBuf;

use crate::support::certificates;
use crate::support::edge::Edge;
use crate::support::kamailio::{Kamailio, Tls};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};

/// Host numbers in a place; the edge is 1.
const CALLER: u8 = 2;
const CALLEE: u8 = 3;
const KAMAILIO: u8 = 4;

const CALLS: u32 = 20;

/// Which side of the edge Kamailio is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

const SIDES: [Side; 2] = [Side::Caller, Side::Callee];

/// An edge between a party that is called directly by UDP, and Kamailio; `2...` is called by way of the right ones.
fn config(place: &Place, side: Side, listener: &str, kamailio: &str) -> String {
    let (edge, own) = (place.at(1), place.at(if side == Side::Caller { CALLEE } else { CALLER }));
    let callee = if side == Side::Caller { "direct" } else { "kamailio" };
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"
{listener}
[trunk.direct]
kind = "pbx"
listen = "inside"
targets = ["udp:{own}"]

[trunk.kamailio]
kind = "carrier"
{kamailio}

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "{callee}" }}]
"#
    )
}

fn udp_config(place: &Place, side: Side) -> String {
    let kamailio = format!("listen = \"inside\"\ntargets = [\"udp:{}\"]", place.at(KAMAILIO));
    config(place, side, "", &kamailio)
}

/// The edge shows `identity` as a client when there is one.
fn tls_config(place: &Place, side: Side, identity: Option<&str>) -> String {
    let [edge, kamailio] = [1, KAMAILIO].map(|host| place.tls_at(host));
    let identity = identity.map(|name| format!("certificate = \"certs/{name}.pem\"\nkey = \"certs/{name}.key\"\n"));
    let listener = format!(
        r#"
[[listen]]
name = "outside"
bind = "tls:{edge}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"

[tls_client]
ca = "certs/ca.pem"
{}
"#,
        identity.unwrap_or_default()
    );
    let kamailio = format!("listen = \"outside\"\ntargets = [\"tls:{kamailio}\"]\npeer_names = [\"pbx.example.net\"]");
    config(place, side, &listener, &kamailio)
}

/// Calls between two scenarios, by way of Kamailio on one side of the edge.
fn calls(place: &Place, side: Side, caller: Scenario, callee: Scenario) {
    let callee = Sipp::callee(place, CALLEE, callee).calls(CALLS, 0).start(place);
    let first = if side == Side::Caller { KAMAILIO } else { 1 };
    Sipp::caller(place, CALLER, caller, "2001").to(place.at(first)).calls(CALLS, 20).run(place);
    callee.finish();
}

fn pairs() -> [(Scenario, Scenario); 3] {
    [
        (scenario("caller"), scenario("callee")),
        (scenario("caller-listens"), scenario("callee-hangs-up")),
        (scenario("caller-cancels"), scenario("callee-is-cancelled")),
    ]
}

#[test]
fn calls_cross_kamailio_over_udp_on_either_side() {
    for side in SIDES {
        let place = Place::new();
        let kamailio = Kamailio::start(&place, KAMAILIO, CALLEE, None);
        let edge = Edge::start(&place, &udp_config(&place, side));
        for (caller, callee) in pairs() {
            calls(&place, side, caller, callee);
        }
        edge.stop();
        kamailio.stop();
    }
}

#[test]
fn calls_cross_kamailio_over_tls_and_both_prove_themselves() {
    let versions = [("TLSv1.2", "TLSv1.2"), ("TLSv1.2+", "TLSv1.3")];
    for (side, (version, spoken)) in SIDES.into_iter().flat_map(|side| versions.map(|version| (side, version))) {
        let place = Place::new();
        let certificates = certificates::make(&place);
        let tls = Tls { certificates: &certificates, identity: "pbx", version };
        let kamailio = Kamailio::start(&place, KAMAILIO, CALLEE, Some(tls));
        let edge = Edge::start(&place, &tls_config(&place, side, Some("edge")));
        for (caller, callee) in pairs() {
            calls(&place, side, caller, callee);
        }
        edge.stop();
        // The edge lets nobody in without a certificate of a trunk's name; what Kamailio has verified it has logged.
        let proof = format!("over {spoken}, verified: 1, from: edge.example.net");
        let log = kamailio.log();
        assert!(log.contains(&proof), "{side:?}: Kamailio has not logged: {proof}");
        kamailio.stop();
    }
}

/// One call by way of Kamailio over TLS that must not get through; gives the edge's count of requests sent on.
fn refused_call(side: Side, kamailio: &str, edge: Option<&str>, status: &str) -> f64 {
    let place = Place::new();
    let certificates: PathBuf = certificates::make(&place);
    let tls = Tls { certificates: &certificates, identity: kamailio, version: "TLSv1.2+" };
    let kamailio = Kamailio::start(&place, KAMAILIO, CALLEE, Some(tls));
    let edge = Edge::start(&place, &tls_config(&place, side, edge));
    let refused = Scenario::File("caller-is-refused", vec![("status", status.to_owned())]);
    let first = if side == Side::Caller { KAMAILIO } else { 1 };
    Sipp::caller(&place, CALLER, refused, "2001").to(place.at(first)).run(&place);
    let log = kamailio.log();
    assert!(!log.contains("verified: 1"), "Kamailio has taken a request from the edge:\n{log}");
    let forwarded = edge.metric("trunkway_requests_forwarded_total");
    edge.stop();
    kamailio.stop();
    forwarded
}

#[test]
fn edge_takes_nothing_from_a_peer_with_a_foreign_or_expired_certificate() {
    for identity in ["wrong-name", "expired"] {
        assert_eq!(refused_call(Side::Caller, identity, Some("edge"), "408"), 0.0, "{identity}");
    }
}

#[test]
fn edge_sends_nothing_to_a_peer_with_a_foreign_or_expired_certificate() {
    for identity in ["wrong-name", "expired"] {
        refused_call(Side::Callee, identity, Some("edge"), "503");
    }
}

#[test]
fn kamailio_lets_no_edge_in_without_a_certificate() {
    refused_call(Side::Callee, "pbx", None, "503");
}
