//! OPTIONS by sipsak, from a trunk and from strangers.

use std::process::Command;

use crate::support::SOON;
use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::process::Process;

const TRUNK: u8 = 2;
const STRANGER: u8 = 99;

fn edge(place: &Place, answers_per_second: u32) -> Edge {
    let (edge, trunk) = (place.at(1), place.at(TRUNK));
    let config = format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{trunk}"]

[limits]
unknown_source_answers_per_second = {answers_per_second}
"#
    );
    Edge::start(place, &config)
}

/// What sipsak prints for an OPTIONS to the edge from a host, and whether it takes that for a success.
fn sipsak(place: &Place, host: u8) -> (String, bool) {
    let mut command = Command::new("sipsak");
    // Retransmissions for a second in all, so that silence is known soon.
    command.args(["-vvv", "-Z", "100", "-D", "5", "-k", &place.ip(host).to_string()]);
    command.args(["-s", &format!("sip:{}", place.at(1))]);
    let mut process = Process::start("sipsak", place.folder(), &mut command);
    let status = process.wait(SOON);
    (process.output(), status.success())
}

#[test]
fn trunk_gets_an_answer() {
    let place = Place::new();
    let edge = edge(&place, 10);
    let (output, success) = sipsak(&place, TRUNK);
    assert!(success && output.contains("SIP/2.0 200 OK") && output.contains("Allow: INVITE"), "{output}");
    edge.stop();
}

#[test]
fn stranger_is_refused() {
    let place = Place::new();
    let edge = edge(&place, 10);
    let (output, _) = sipsak(&place, STRANGER);
    assert!(output.contains("SIP/2.0 403 Forbidden") && !output.contains("SIP/2.0 200"), "{output}");
    edge.stop();
}

#[test]
fn stranger_gets_no_word_from_an_edge_that_keeps_silent() {
    let place = Place::new();
    let edge = edge(&place, 0);
    let (output, success) = sipsak(&place, STRANGER);
    assert!(!success && !output.contains("SIP/2.0 403") && !output.contains("SIP/2.0 200"), "{output}");
    edge.stop();
}
