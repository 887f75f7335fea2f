//! Reliable provisional answers (RFC 3262) of phones that insist on them, with the edge between.

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};

const CALLER: u8 = 2;
const CALLEE: u8 = 3;
const CALLS: u32 = 10;

/// Calls between two trunks that take part in 100rel in these ways.
fn calls(caller: (Scenario, &str), callee: (Scenario, &str)) -> (Edge, Place) {
    let place = Place::new();
    let mut config = format!("[[listen]]\nname = \"udp\"\nbind = \"udp:{}\"\n\n", place.at(1));
    for (name, host, reliable) in [("caller", CALLER, caller.1), ("callee", CALLEE, callee.1)] {
        config += &format!(
            "[trunk.{name}]\nkind = \"pbx\"\nlisten = \"udp\"\ntargets = [\"udp:{}\"]\ntransparent = false\n\
             reliable_early = \"{reliable}\"\n\n",
            place.at(host)
        );
    }
    config += "[dialplan.numbers]\nrules = [{ prefix = \"2\", tag = \"callee\" }]\n";
    let edge = Edge::start(&place, &config);
    let far = Sipp::callee(&place, CALLEE, callee.0).calls(CALLS, CALLS).start(&place);
    Sipp::caller(&place, CALLER, caller.0, "2001").calls(CALLS, CALLS).run(&place);
    far.finish();
    (edge, place)
}

/// A caller that requires 100rel, and looks for a session description in the 200 or not.
fn requiring(described: &str) -> Scenario {
    Scenario::File("caller-reliable", vec![("described", described.to_owned())])
}

/// How many PRACKs the edge has sent once the counters are up to date.
fn pracks(edge: &Edge) -> f64 {
    // INVITE, ACK, re-INVITE, ACK and BYE of each call.
    until("all that came is counted", SOON, || {
        (edge.metric("trunkway_requests_forwarded_total") >= f64::from(5 * CALLS)).then_some(())
    });
    assert_eq!(edge.metric("trunkway_early_unacknowledged_total"), 0.0);
    edge.metric("trunkway_pracks_total")
}

/// The caller has never heard of 100rel: the edge offers it, acknowledges, and gives the caller the session description
/// that the 200 leaves out.
#[test]
fn the_edge_acknowledges_for_a_caller_that_does_not() {
    let (edge, _place) = calls((scenario("caller"), "off"), (scenario("callee-reliable"), "end"));
    assert!(pracks(&edge) >= f64::from(CALLS));
    edge.stop();
}

#[test]
fn both_sides_have_a_reliable_edge() {
    let (edge, _place) = calls((requiring("true"), "end"), (scenario("callee-reliable"), "end"));
    assert!(pracks(&edge) >= f64::from(CALLS));
    edge.stop();
}

/// PRACK and its answer pass like any other request.
#[test]
fn reliability_passes_between_two_that_pass_it() {
    let (edge, _place) = calls((requiring("false"), "pass"), (scenario("callee-reliable"), "pass"));
    // PRACK is one more request of each call.
    assert_eq!(pracks(&edge), 0.0);
    edge.stop();
}
