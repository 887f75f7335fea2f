//! Transfers by REFER that sipp asks for: the edge calls the target and connects the callee with it.

use std::time::Duration;

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};

const CALLER: u8 = 2;
const CALLEE: u8 = 3;
const TARGET: u8 = 4;
const CALLS: u32 = 5;

fn config(place: &Place) -> String {
    let mut text = format!("[[listen]]\nname = \"udp\"\nbind = \"udp:{}\"\n\n", place.at(1));
    for (name, host) in [("caller", CALLER), ("callee", CALLEE), ("target", TARGET)] {
        text += &format!(
            "[trunk.{name}]\nkind = \"pbx\"\nlisten = \"udp\"\ntargets = [\"udp:{}\"]\ntransparent = false\n\n",
            place.at(host)
        );
    }
    text + "[dialplan.numbers]\nrules = [\n    { prefix = \"2\", tag = \"callee\" },\n    { prefix = \"4\", tag = \"target\" },\n]\n"
}

fn referring(status: &str) -> Scenario {
    Scenario::File("caller-refers", vec![("target", "4001".to_owned()), ("final", status.to_owned())])
}

fn refusing() -> Scenario {
    Scenario::File("callee-refuses", vec![("status", "486".to_owned())])
}

/// The whole of it, and once more with an edge that is killed when callee and target talk: the target's BYE finds the
/// callee all the same.
#[test]
fn whom_sipp_refers_to_is_called_and_hangs_up_on_the_callee() {
    for killed in [false, true] {
        let place = Place::new();
        let mut edge = Edge::start(&place, &config(&place));
        let callee = Sipp::callee(&place, CALLEE, scenario("callee")).calls(CALLS, CALLS).start(&place);
        let pause = Duration::from_secs(if killed { 6 } else { 1 });
        let target = Sipp::callee(&place, TARGET, scenario("target")).calls(CALLS, CALLS).pause(pause).start(&place);
        Sipp::caller(&place, CALLER, referring("200"), "2001").calls(CALLS, CALLS).run(&place);
        until("all are connected", SOON, || {
            (edge.metric("trunkway_transfers_joined_total") == f64::from(CALLS)).then_some(())
        });
        if killed {
            edge.kill();
            edge = Edge::start(&place, &config(&place));
        }
        target.finish();
        callee.finish();
        until("all that came is counted", SOON, || {
            (edge.metric("trunkway_requests_forwarded_total") >= f64::from(CALLS)).then_some(())
        });
        assert_eq!(edge.metric("trunkway_tokens_refused_total"), 0.0);
        edge.stop();
    }
}

#[test]
fn the_first_call_goes_on_when_the_target_refuses() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place));
    let callee = Sipp::callee(&place, CALLEE, Scenario::Own("uas")).calls(CALLS, CALLS).start(&place);
    let target = Sipp::callee(&place, TARGET, refusing()).calls(CALLS, CALLS).start(&place);
    Sipp::caller(&place, CALLER, referring("486"), "2001").calls(CALLS, CALLS).run(&place);
    target.finish();
    callee.finish();
    until("all are counted", SOON, || (edge.metric("trunkway_transfers_total") == f64::from(CALLS)).then_some(()));
    assert_eq!(edge.metric("trunkway_transfers_joined_total"), 0.0);
    edge.stop();
}
