//! Calls by sipp over UDP and TCP: both ends hold and hang up, callers give up, callees refuse.

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::sipp::{Carrier, Scenario, Sipp, Stats, scenario};
use crate::support::{SOON, until};

/// Host numbers of the parties in a place; the edge is 1.
const CALLER: u8 = 2;
const CALLEE: u8 = 3;

/// An edge with a listener for each of UDP and TCP, and on each a caller and a callee. Numbers with 2 go to the
/// callee by UDP, with 3 to the one by TCP.
fn edge(place: &Place) -> Edge {
    let (edge, caller, callee) = (place.at(1), place.at(CALLER), place.at(CALLEE));
    let config = format!(
        r#"
[[listen]]
name = "udp"
bind = "udp:{edge}"

[[listen]]
name = "tcp"
bind = "tcp:{edge}"

[trunk.udp-caller]
kind = "pbx"
listen = "udp"
targets = ["udp:{caller}"]

[trunk.udp-callee]
kind = "pbx"
listen = "udp"
targets = ["udp:{callee}"]

[trunk.tcp-caller]
kind = "pbx"
listen = "tcp"
targets = ["tcp:{caller}"]

[trunk.tcp-callee]
kind = "pbx"
listen = "tcp"
targets = ["tcp:{callee}"]

[dialplan.numbers]
rules = [
    {{ prefix = "2", tag = "udp-callee" }},
    {{ prefix = "3", tag = "tcp-callee" }},
]
"#
    );
    Edge::start(place, &config)
}

fn number(carrier: Carrier) -> &'static str {
    if carrier == Carrier::Udp { "2001" } else { "3001" }
}

/// Twenty calls between two scenarios, from one carrier to another; counts of caller and callee.
fn calls(caller: Scenario, by: Carrier, callee: Scenario, to: Carrier) -> [Stats; 2] {
    let place = Place::new();
    let edge = edge(&place);
    let callee = Sipp::callee(&place, CALLEE, callee).by(to).calls(20, 20).start(&place);
    let caller = Sipp::caller(&place, CALLER, caller, number(to)).by(by).calls(20, 20).run(&place);
    let stats = [caller, callee.finish()];
    assert_eq!(edge.metric("trunkway_failovers_total"), 0.0);
    edge.stop();
    stats
}

#[test]
fn caller_holds_and_hangs_up_over_udp() {
    calls(scenario("caller"), Carrier::Udp, scenario("callee"), Carrier::Udp);
}

#[test]
fn callee_holds_and_hangs_up_over_udp() {
    calls(scenario("caller-listens"), Carrier::Udp, scenario("callee-hangs-up"), Carrier::Udp);
}

#[test]
fn caller_holds_and_hangs_up_over_tcp() {
    calls(scenario("caller"), Carrier::Tcp, scenario("callee"), Carrier::Tcp);
}

#[test]
fn callee_holds_and_hangs_up_over_tcp() {
    calls(scenario("caller-listens"), Carrier::Tcp, scenario("callee-hangs-up"), Carrier::Tcp);
}

#[test]
fn each_call_may_have_a_connection_of_its_own() {
    calls(scenario("caller"), Carrier::TcpForEach, scenario("callee"), Carrier::Tcp);
}

#[test]
fn calls_go_from_udp_to_tcp_and_requests_find_their_way_back() {
    calls(scenario("caller-listens"), Carrier::Udp, scenario("callee-hangs-up"), Carrier::Tcp);
}

#[test]
fn calls_go_from_tcp_to_udp_and_requests_find_their_way_back() {
    calls(scenario("caller-listens"), Carrier::Tcp, scenario("callee-hangs-up"), Carrier::Udp);
}

#[test]
fn scenarios_that_are_built_into_sipp_get_through() {
    // These two keep no route set: requests inside the dialog find their way by the dial plan.
    calls(Scenario::Own("uac"), Carrier::Udp, Scenario::Own("uas"), Carrier::Udp);
    calls(Scenario::Own("uac"), Carrier::Tcp, Scenario::Own("uas"), Carrier::Tcp);
}

#[test]
fn cancel_ends_the_ringing() {
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        calls(scenario("caller-cancels"), carrier, scenario("callee-is-cancelled"), carrier);
    }
}

#[test]
fn refusals_of_the_callee_reach_the_caller() {
    for (carrier, status) in [(Carrier::Udp, "486"), (Carrier::Tcp, "486"), (Carrier::Udp, "603")] {
        let status = || vec![("status", status.to_owned())];
        let caller = Scenario::File("caller-is-refused", status());
        calls(caller, carrier, Scenario::File("callee-refuses", status()), carrier);
    }
}

#[test]
fn number_without_a_route_is_not_found() {
    let place = Place::new();
    let edge = edge(&place);
    let refused = Scenario::File("caller-is-refused", vec![("status", "404".to_owned())]);
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        Sipp::caller(&place, CALLER, refused.clone(), "9001").by(carrier).calls(5, 20).run(&place);
    }
    edge.stop();
}

#[test]
fn strangers_are_refused_and_never_routed() {
    let place = Place::new();
    let edge = edge(&place);
    let refused = Scenario::File("caller-is-refused", vec![("status", "403".to_owned())]);
    // Host 99 belongs to no trunk; five calls are within what strangers are answered in a second.
    Sipp::caller(&place, 99, refused, "2001").calls(5, 5).run(&place);
    // A caller that has waited too long may have asked again.
    until("the edge has counted", SOON, || (edge.metric("trunkway_requests_refused_total") >= 5.0).then_some(()));
    assert_eq!(edge.metric("trunkway_requests_forwarded_total"), 0.0);
    edge.stop();
}
