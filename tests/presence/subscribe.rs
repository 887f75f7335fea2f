//! The edge's subscriptions on PBXs: what Kamailio and sipp say of lines is in Teams.

mod pbx;

use std::time::Duration;

use self::pbx::Pbx;
use crate::bridge::{Bridge, PATIENCE, SECRET};
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
    let mut pbx = None;
    let bridge = Bridge::start_prepared(3, WISHES, |place, _| {
        pbx = Some(Pbx::start(place, PBX, CALLEE, SECRET));
        LINES.to_owned()
    });
    let place = &bridge.place;
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
    pbx.expect("it was started").stop();
    let graph = bridge.stop();
    assert!(graph.complaints().is_empty(), "{:?}", graph.complaints());
}

#[test]
fn oddities_of_notifiers_end_in_the_right_state() {
    let mut notifier = None;
    let bridge = Bridge::start_prepared(5, WISHES, |place, _| {
        let blanks = vec![("password", SECRET.to_owned())];
        // Lines 1000 and 1002 are asked for twice.
        let oddities = Sipp::callee(place, PBX, Scenario::File("notifier-oddities", blanks)).calls(7, 0);
        notifier = Some(oddities.start(place));
        LINES.to_owned()
    });
    for number in 0..5 {
        bridge.wait_for(number, BUSY);
    }
    notifier.expect("it was started").finish();
    for number in 0..5 {
        assert_eq!(bridge.session(number).as_deref(), BUSY, "user {number}");
    }
    bridge.stop();
}
