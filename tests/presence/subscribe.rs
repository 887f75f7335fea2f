//! The edge's subscriptions on PBXs: what Kamailio and sipp say of lines is in Teams.

mod pbx;

use std::time::Duration;

use self::pbx::Pbx;
use crate::bridge::{Bridge, PATIENCE, SECRET};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::until;

/// The PBX with the lines, which wants a password. The one of the application serves: its file is there.
const LINES: &str = r#"
[trunk.lines]
kind = "pbx"
listen = "inside"
targets = ["udp:{lines}"]
options_interval_s = 0
username = "edge"
password_file = "graph-secret"
"#;

const WISHES: &str = "line_trunk = \"lines\"\nown_calls = false";

const BUSY: Option<&str> = Some("Busy/InACall");

/// Hosts of the place: the PBX with the lines, and two phones on it.
const PBX: u8 = 4;
const CALLER: u8 = 8;
const CALLEE: u8 = 9;

/// What the PBX side says of a user.
fn pbx_state(bridge: &Bridge, number: usize) -> Option<String> {
    let found = bridge.ask(&format!("/v1/presence/contoso/{}", bridge.user(number)))?;
    found["pbx"].as_str().map(str::to_owned)
}

#[test]
fn calls_between_phones_of_kamailio_show_in_teams() {
    let bridge = Bridge::start_with(3, WISHES, LINES);
    let place: &Place = &bridge.place;
    // The edge asks again until the PBX is there.
    let pbx = Pbx::start(place, PBX, CALLEE, SECRET);
    for number in 0..3 {
        until(&format!("line {number} is known"), PATIENCE, || {
            (pbx_state(&bridge, number).as_deref() == Some("available")).then_some(())
        });
    }
    let limit = Duration::from_secs(60);
    let callee = Sipp::callee(place, CALLEE, scenario("callee")).limit(limit).start(place);
    let caller = Sipp::caller(place, CALLER, scenario("caller"), "1001").to(place.at(PBX));
    let caller = caller.pause(Duration::from_secs(3)).limit(limit).start(place);
    bridge.wait_for(0, BUSY);
    bridge.wait_for(1, BUSY);
    assert_eq!(bridge.session(2), None, "who is in no call");
    caller.finish();
    callee.finish();
    bridge.wait_for(0, None);
    bridge.wait_for(1, None);
    pbx.stop();
    let graph = bridge.stop();
    assert!(graph.complaints().is_empty(), "{:?}", graph.complaints());
}

#[test]
fn oddities_of_notifiers_end_in_the_right_state() {
    let bridge = Bridge::start_with(5, WISHES, LINES);
    let blanks = vec![("password", SECRET.to_owned())];
    // Lines 1000 and 1002 are asked for twice.
    let notifier = Sipp::callee(&bridge.place, PBX, Scenario::File("notifier-oddities", blanks)).calls(7, 0);
    let notifier = notifier.start(&bridge.place);
    for number in 0..5 {
        bridge.wait_for(number, BUSY);
    }
    notifier.finish();
    for number in 0..5 {
        assert_eq!(bridge.session(number).as_deref(), BUSY, "user {number}");
    }
    bridge.stop();
}
