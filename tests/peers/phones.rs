//! baresip phones that register nowhere call each other, and sipp, through the edge.

use crate::support::baresip::Baresip;
use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::sipp::{Sipp, scenario};
use crate::support::{SOON, until};

/// Host numbers in a place; the edge is 1.
const FIRST: u8 = 2;
const SECOND: u8 = 3;

fn edge(place: &Place) -> Edge {
    let [edge, first, second] = [1, FIRST, SECOND].map(|host| place.at(host));
    let config = format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.first]
kind = "pbx"
listen = "inside"
targets = ["udp:{first}"]

[trunk.second]
kind = "pbx"
listen = "inside"
targets = ["udp:{second}"]

[dialplan.numbers]
rules = [{{ prefix = "1", tag = "first" }}, {{ prefix = "2", tag = "second" }}]
"#
    );
    Edge::start(place, &config)
}

#[test]
fn phones_talk_hold_and_either_one_hangs_up() {
    let place = Place::new();
    let edge = edge(&place);
    let mut first = Baresip::start(&place, FIRST, "1000");
    let mut second = Baresip::start(&place, SECOND, "2001");
    for (earlier, first_hangs_up) in [true, false].into_iter().enumerate() {
        first.command("dial", &format!("sip:2001@{}", place.at(1)));
        for phone in [&mut first, &mut second] {
            phone.event("CALL_ESTABLISHED");
        }
        // Sound comes in: the caller has learnt the callee's address from a body that the edge left alone.
        let heard = |trace: &str| trace.matches("incoming rtp for 'audio' established").count();
        until("the caller hears the callee", SOON, || (heard(&first.trace()) > earlier).then_some(()));
        let held = |trace: &str| trace.matches("a=sendonly").count();
        let before = held(&second.trace());
        first.command("hold", "");
        until("the hold arrives", SOON, || (held(&second.trace()) > before).then_some(()));
        first.command("resume", "");
        let [leaver, stayer] = if first_hangs_up { [&mut first, &mut second] } else { [&mut second, &mut first] };
        leaver.command("hangup", "");
        for phone in [leaver, stayer] {
            phone.event("CALL_CLOSED");
        }
    }
    edge.stop();
}

#[test]
fn phone_calls_sipp() {
    let place = Place::new();
    let edge = edge(&place);
    let mut phone = Baresip::start(&place, FIRST, "1000");
    let callee = Sipp::callee(&place, SECOND, scenario("callee-hangs-up")).start(&place);
    phone.command("dial", &format!("sip:2001@{}", place.at(1)));
    phone.event("CALL_ESTABLISHED");
    phone.event("CALL_CLOSED");
    callee.finish();
    edge.stop();
}

#[test]
fn sipp_calls_a_phone() {
    let place = Place::new();
    let edge = edge(&place);
    let mut phone = Baresip::start(&place, FIRST, "1000");
    Sipp::caller(&place, SECOND, scenario("caller"), "1000").run(&place);
    phone.event("CALL_CLOSED");
    edge.stop();
}
