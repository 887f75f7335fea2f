//! Targets that go away and come back: sipp answers the edge's OPTIONS, or does not.

use std::time::{Duration, Instant};

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::sipp::{Running, Scenario, Sipp, scenario};
use crate::support::{SOON, until};

/// Host numbers in a place; the edge is 1.
const CALLER: u8 = 2;
const FIRST: u8 = 3;
const SECOND: u8 = 4;

/// Longer than any call here takes: who waits for it is found.
const NO_ANSWER: Duration = Duration::from_secs(20);

fn edge(place: &Place) -> Edge {
    let [edge, caller, first, second] = [1, CALLER, FIRST, SECOND].map(|host| place.at(host));
    let no_answer = NO_ANSWER.as_millis();
    let config = format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]

[trunk.pair]
kind = "pbx"
listen = "inside"
targets = ["udp:{first}", "udp:{second}"]
no_answer_ms = {no_answer}
options_interval_s = 1
options_timeout_ms = 700

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "pair" }}]
"#
    );
    Edge::start(place, &config)
}

/// Answers OPTIONS with a status, and calls, until it is dropped.
fn target(place: &Place, host: u8, status: u16) -> Running {
    let scenario = Scenario::File("callee-and-options", vec![("status", status.to_string())]);
    Sipp::callee(place, host, scenario).calls(100_000, 0).limit(Duration::from_secs(600)).start(place)
}

/// Whether a target is in a state, as the metrics say.
fn is(edge: &Edge, place: &Place, host: u8, state: &str) -> bool {
    let target = format!("udp:{}", place.at(host));
    let series = format!("trunkway_target_state{{trunk=\"pair\",target=\"{target}\",state=\"{state}\"}} 1");
    edge.page().lines().any(|line| line == series)
}

fn becomes(edge: &Edge, place: &Place, host: u8, state: &str) {
    until(&format!("target {host} is {state}"), SOON, || is(edge, place, host, state).then_some(()));
}

/// One call, which must not wait for a target that does not answer.
fn call(place: &Place) {
    let begun = Instant::now();
    Sipp::caller(place, CALLER, scenario("caller"), "2001").calls(1, 1).run(place);
    assert!(begun.elapsed() < NO_ANSWER, "it took {:?}", begun.elapsed());
}

#[test]
fn calls_go_to_the_second_target_at_once_while_the_first_is_away_and_to_the_first_when_it_is_back() {
    let place = Place::new();
    let second = target(&place, SECOND, 200);
    let edge = edge(&place);
    becomes(&edge, &place, FIRST, "down");
    assert!(is(&edge, &place, SECOND, "up"));
    call(&place);

    let first = target(&place, FIRST, 200);
    becomes(&edge, &place, FIRST, "up");
    drop(second);
    becomes(&edge, &place, SECOND, "down");
    call(&place);

    // Both were reached at the first try: the order was right, nothing had to fail over.
    drop(first);
    becomes(&edge, &place, FIRST, "down");
    assert_eq!(edge.metric("trunkway_failovers_total"), 0.0);
    let page = edge.page();
    let line = |name: &str| page.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(line("trunkway_target_up{").len(), 3, "{page}");
    assert!(line("trunkway_target_changes_total{").len() >= 9, "{page}");
    let buckets = line("trunkway_options_round_trip_seconds_bucket{trunk=\"pair\"");
    assert!(buckets.len() > 5 && buckets.iter().all(|line| line.contains("le=")), "{page}");
    assert!(edge.metric("trunkway_options_round_trip_seconds_count") >= 2.0);
    edge.stop();
}

#[test]
fn a_target_that_refuses_options_is_there_and_one_that_says_503_is_not() {
    let place = Place::new();
    let _first = target(&place, FIRST, 503);
    let _second = target(&place, SECOND, 405);
    let edge = edge(&place);
    becomes(&edge, &place, FIRST, "down");
    assert!(is(&edge, &place, SECOND, "up"));
    call(&place);
    assert_eq!(edge.metric("trunkway_failovers_total"), 0.0);
    edge.stop();
}
