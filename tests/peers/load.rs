//! Many calls: over a network that loses packets, and at a steady rate without a loss. Each test has the machine to
//! itself, as far as the other tests go.

use std::time::Duration;

use crate::support::SOON;
use crate::support::edge::Edge;
use crate::support::machine::{Disturbance, Watch};
use crate::support::place::Place;
use crate::support::relay::{End, Relay};
use crate::support::sipp::{Scenario, Sipp, Stats, scenario};

/// Between a caller and a callee over UDP.
fn config(place: &Place, caller: u8, callee: u8) -> String {
    let (edge, caller, callee) = (place.at(1), place.at(caller), place.at(callee));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]

[trunk.callee]
kind = "pbx"
listen = "inside"
targets = ["udp:{callee}"]

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "callee" }}]
"#
    )
}

/// Three of a hundred packets are lost on each of the four ways: retransmissions must bring every call through.
#[test]
fn calls_survive_a_network_that_loses_packets() {
    const CALLS: u32 = 400;
    let place = Place::alone();
    // caller 2 - 20 relay 21 - edge - 30 relay 31 - callee 3
    let [caller, callee] = [2, 3].map(|host| place.at(host));
    let edge = place.at(1);
    let near = Relay::start(End { at: place.at(20), party: caller }, End { at: place.at(21), party: edge }, 30, 0x5eed);
    let far = Relay::start(End { at: place.at(30), party: edge }, End { at: place.at(31), party: callee }, 30, 0xfeed);
    let edge = Edge::start(&place, &config(&place, 21, 30));

    // A lost ACK is made good when the 200 comes again: the pauses leave time for that to happen four times.
    let limit = Duration::from_secs(150);
    let answering =
        Scenario::File("callee", vec![("contact", place.at(30).to_string()), ("linger", "9000".to_owned())]);
    let callee = Sipp::callee(&place, 3, answering).calls(CALLS, 50).limit(limit).start(&place);
    let caller = Sipp::caller(&place, 2, scenario("caller"), "2001").to(place.at(20)).calls(CALLS, 50);
    let caller = caller.pause(Duration::from_secs(16)).limit(limit).run(&place);
    let callee = callee.finish();

    for passage in near.end().into_iter().chain(far.end()) {
        let share = passage.lost as f64 / (passage.lost + passage.passed) as f64;
        assert!(passage.passed > 3 * u64::from(CALLS), "{passage:?}");
        assert!((0.02..0.04).contains(&share), "{passage:?} is not a loss of three in a hundred");
    }
    assert!(caller.retransmissions > 0 && callee.retransmissions > 0, "{caller:?} {callee:?}");
    std::thread::sleep(Duration::from_millis(1_100)); // The edge publishes once a second.
    assert!(edge.metric("trunkway_retransmissions_total") > 0.0 && edge.metric("trunkway_copies_absorbed_total") > 0.0);
    edge.stop();
}

/// Calls of one round.
const ROUND: u32 = 10_000;
/// Calls a second.
const RATE: u32 = 300;

#[test]
fn ten_thousand_calls_at_a_steady_rate_lose_nothing_and_repeat_nothing() {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let place = Place::alone();
        let edge = Edge::start(&place, &config(&place, 2, 3));
        let (stats, disturbance) = round(&place, &edge);
        let all = Stats { successful: u64::from(ROUND), ..Stats::default() };
        let flawless = stats == [all, all];
        // What a machine does that is busy with something else says nothing about the edge: that round is played again.
        if !flawless && attempts < 4 && disturbance.is_grave(&[place.at(2), place.at(3)]) {
            eprintln!("round {attempts} again, since the machine was busy: {disturbance:?} {stats:?}");
            continue;
        }
        assert!(flawless, "{stats:?} {disturbance:?}");
        // INVITEs are remembered for 64 times T1, which is 32 seconds.
        edge.forgets_all(Duration::from_secs(32) + SOON);
        // An INVITE, a re-INVITE and a BYE make a transaction each.
        assert_eq!(edge.metric("trunkway_transactions_total"), 3.0 * f64::from(ROUND));
        for zero in
            ["trunkway_retransmissions_total", "trunkway_copies_absorbed_total", "trunkway_messages_dropped_total"]
        {
            assert_eq!(edge.metric(zero), 0.0, "{zero}");
        }
        edge.stop();
        return;
    }
}

/// What the process may grow by while twenty thousand calls pass, in KiB. It is the noise of the allocator, and less
/// than it would be if each call left 210 bytes behind: a third of its INVITE.
const GROWTH_KIB: u64 = 4_096;

#[test]
fn calls_leave_no_memory_behind() {
    let place = Place::alone();
    let peers = [place.at(2), place.at(3)];
    // Timers that are short let the edge forget a round within seconds.
    let edge = Edge::start(&place, &format!("{}\n[timers]\nt1_ms = 100\n", config(&place, 2, 3)));
    let mut resident = Vec::new();
    for _ in 0..12 {
        let (stats, disturbance) = round(&place, &edge);
        let failed = stats.iter().any(|stats| stats.failed > 0);
        edge.forgets_all(SOON);
        resident.push(edge.resident_kib());
        if disturbance.is_grave(&peers) {
            // Calls that piled up have brought the process to another size.
            eprintln!("the count begins anew, since the machine was busy: {disturbance:?} {stats:?}");
            resident.clear();
        } else {
            assert!(!failed, "{stats:?} {disturbance:?}");
        }
        // The first rounds bring the process to its size, the others show that it stays there.
        if let [first, second, third, fourth] = resident[..] {
            let [early, late] = [first.min(second), third.min(fourth)];
            assert!(late <= early + GROWTH_KIB, "the process has grown: {resident:?} KiB after the rounds");
            edge.stop();
            return;
        }
    }
    panic!("the machine was too busy: no four rounds without a disturbance");
}

/// Calls at a steady rate, with a re-INVITE each.
fn round(place: &Place, edge: &Edge) -> ([Stats; 2], Disturbance) {
    let limit = Duration::from_secs(150);
    let callee = Sipp::callee(place, 3, scenario("callee")).calls(ROUND, 0).limit(limit).start(place);
    let caller = Sipp::caller(place, 2, scenario("caller"), "2001").calls(ROUND, RATE).limit(limit).start(place);
    let watch = Watch::start(vec![edge.id(), caller.id(), callee.id()], vec![place.at(1), place.at(2), place.at(3)]);
    ([caller.end(), callee.end()], watch.end())
}
