//! Calls in progress and the limits that they count against.

use std::time::Duration;

use serde_json::Value;

use crate::party::{Party, invite};
use crate::support::SOON;
use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::until;

/// A caller, a callee, somebody who is never there, and a number for help, which goes to the callee.
fn config(place: &Place, caller: &str, callee: &str) -> String {
    let [edge, from, to, nobody] = [1, 2, 3, 4].map(|host| place.at(host));
    format!(
        r#"
[control]
socket = "control.sock"

[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["udp:{from}"]
{caller}

[trunk.callee]
kind = "pbx"
listen = "inside"
targets = ["udp:{to}"]
{callee}

[trunk.nobody]
kind = "pbx"
listen = "inside"
targets = ["udp:{nobody}"]
no_answer_ms = 500

[emergency]
numbers = ["112"]
to = ["callee"]

[[route]]
prefix = "2"
to = ["callee"]

[[route]]
prefix = "3"
to = ["nobody"]

[[route]]
prefix = "32"
to = ["callee", "nobody"]

[timers]
t1_ms = 100
"#
    )
}

/// The exit code and the answer of a subcommand.
fn ask(place: &Place, words: &[&str]) -> (i32, Value) {
    let mut command = trunkway(words[0]);
    command.args(&words[1..]).arg("--json").arg("--socket").arg(place.folder().join("control.sock"));
    let output = command.output().expect("trunkway can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit code"), serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// The calls in progress, as `trunkway calls list` shows them.
fn calls(place: &Place, filter: &[&str]) -> Vec<Value> {
    let (code, page) = ask(place, &[&["calls", "list"], filter].concat());
    assert_eq!(code, 0, "{page}");
    page["calls"].as_array().expect("a list of calls").clone()
}

/// What `trunkway limits` says of a trunk.
fn limit(place: &Place, trunk: &str) -> Value {
    let (code, page) = ask(place, &["limits", "--scope", "trunk"]);
    assert_eq!(code, 0, "{page}");
    let limits = page["limits"].as_array().expect("a list of limits");
    limits.iter().find(|limit| limit["name"] == trunk).unwrap_or_else(|| panic!("no {trunk} in {page}")).clone()
}

/// Waits until no trunk has a call.
fn all_over(edge: &Edge) {
    until("no call is counted", SOON, || (edge.metric("trunkway_trunk_calls") == 0.0).then_some(()));
    // Published once a second, apart from the other.
    until("no call is up", SOON, || (edge.metric("trunkway_calls") == 0.0).then_some(()));
}

#[test]
fn trunk_takes_as_many_calls_as_it_may_and_help_is_let_through() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, "", "max_calls = 2\nretry_after_s = 9"));
    let at = place.at(1);
    let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
    let first = caller.call(&callee, at, "201");
    let second = caller.call(&callee, at, "202");
    let (status, answer) = caller.ask_whole(at, &invite(&place, 2, "203"));
    assert_eq!(status, 503);
    assert!(answer.contains("Retry-After: 9\r\n"), "{answer}");
    let shown = limit(&place, "callee");
    assert_eq!((&shown["calls_out"], &shown["max_calls"], &shown["refused"]), (&2.into(), &2.into(), &1.into()));
    assert_eq!(shown["soft"], true);
    // Somebody needs help: no limit holds that up, and it counts.
    let help = caller.call(&callee, at, "112");
    assert_eq!(limit(&place, "callee")["calls_out"], 3);
    for call in [help, first] {
        assert_eq!(call.hang_up(&caller, &callee), 200);
    }
    let third = caller.call(&callee, at, "204");
    for call in [second, third] {
        assert_eq!(call.hang_up(&caller, &callee), 200);
    }
    all_over(&edge);
    assert_eq!(edge.metric("trunkway_limit_refused_total"), 1.0);
    edge.stop();
}

#[test]
fn full_trunk_gives_way_to_the_next_and_the_code_is_that_of_the_limit() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, "", "max_calls = 0\nover_limit_code = 486"));
    let at = place.at(1);
    let caller = Party::new(place.at(2));
    assert_eq!(caller.ask(at, &invite(&place, 2, "201")), 486);
    // Nobody is there where it goes on to.
    let nobody = std::net::UdpSocket::bind(place.at(4)).expect("the address is free");
    nobody.set_read_timeout(Some(SOON)).expect("a socket takes a limit");
    let asking = std::thread::spawn({
        let text = invite(&place, 2, "321");
        move || caller.ask(at, &text)
    });
    let mut buffer = [0; 4_096];
    let (length, _) = nobody.recv_from(&mut buffer).expect("the INVITE goes on to the next trunk");
    assert!(buffer[..length].starts_with(b"INVITE sip:321@"));
    // The limit's 486 says more to the caller than that nobody has answered.
    assert_eq!(asking.join().expect("the caller has its answer"), 486);
    all_over(&edge);
    edge.stop();
}

#[test]
fn calls_are_listed_shown_and_ended() {
    for transparent in [true, false] {
        let place = Place::new();
        let legs = format!("transparent = {transparent}");
        let edge = Edge::start(&place, &config(&place, &legs, &legs));
        let at = place.at(1);
        let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
        assert!(calls(&place, &[]).is_empty());
        let up = caller.call(&callee, at, "201");
        let ringing = caller.ring(&callee, at, "202");
        let listed = calls(&place, &[]);
        assert_eq!(listed.len(), 2, "{listed:?}");
        let of = |state: &str| calls(&place, &["--state", state, "--trunk", "callee", "--number", "20"]);
        let ([is_up], [rings]) = (&of("up")[..], &of("ringing")[..]) else { panic!("{listed:?}") };
        assert_eq!(
            (&is_up["called"], &rings["called"], &is_up["caller"]),
            (&"201".into(), &"202".into(), &"1001".into())
        );
        assert_eq!(
            (&is_up["from"], &is_up["to"], &is_up["transparent"]),
            (&"caller".into(), &"callee".into(), &transparent.into())
        );
        assert!(calls(&place, &["--number", "999"]).is_empty() && calls(&place, &["--trunk", "nobody"]).is_empty());

        let id = |call: &Value| call["id"].as_str().expect("an id").to_owned();
        let (code, shown) = ask(&place, &["calls", "show", &id(is_up)]);
        assert_eq!(
            (code, shown["legs"].as_array().map(Vec::len)),
            (0, Some(if transparent { 0 } else { 2 })),
            "{shown}"
        );
        assert_eq!(shown["target"], format!("udp:{}", place.at(3)), "{shown}");
        let counts_at = shown["counts_at"].as_array().expect("a list").len();
        assert_eq!(counts_at, 2, "{shown}");

        // The one that rings: its caller hears 480, and who rings a CANCEL.
        assert_eq!(ask(&place, &["calls", "hangup", &id(rings)]).0, 0);
        assert_eq!(ringing.refused(&caller, &callee), 480);
        let (code, _) = ask(&place, &["calls", "hangup", &id(is_up)]);
        if transparent {
            assert_eq!(code, 1, "the edge has no say in a dialog that is not its own");
            assert_eq!(up.hang_up(&caller, &callee), 200);
        } else {
            assert_eq!(code, 0);
            up.is_hung_up(&caller, &callee);
        }
        all_over(&edge);
        assert!(calls(&place, &[]).is_empty());
        assert_eq!(ask(&place, &["calls", "show", &id(is_up)]).0, 1);
        edge.stop();
    }
}

#[test]
fn load_with_failures_leaves_no_call_counted() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, "max_calls_per_second = 8\nmax_calls_burst = 8", "max_calls = 100"));
    let status = |code: &str| vec![("status", code.to_owned())];
    // As many as may begin: all of them pass.
    let callee = Sipp::callee(&place, 3, scenario("callee")).calls(20, 1).start(&place);
    let caller = Sipp::caller(&place, 2, scenario("caller"), "201").calls(20, 5).pause(Duration::from_millis(200));
    caller.run(&place);
    callee.finish();
    // Far more: most are refused, and nothing of them is counted.
    let refused = Scenario::File("caller-is-refused", status("503"));
    let stats = Sipp::caller(&place, 2, refused, "301").calls(60, 60).start(&place).end();
    assert!(stats.failed < 60, "{stats:?}");
    until("calls are refused", SOON, || (edge.metric("trunkway_limit_refused_total") > 20.0).then_some(()));
    all_over(&edge);
    edge.forgets_all(Duration::from_secs(60));
    assert_eq!(calls(&place, &[]).len(), 0);
    edge.stop();
}
