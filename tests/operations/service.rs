//! Start, drain, stop; the unit and the package.

#[path = "service/manager.rs"]
mod manager;
#[path = "service/party.rs"]
mod party;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::manager::Manager;
use self::party::{Party, invite, options};
use crate::support::SOON;
use crate::support::edge::trunkway;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::until;

/// A caller and a callee over UDP, a number for help, and the control socket.
fn config(place: &Place, more: &str) -> String {
    let [edge, caller, callee] = [1, 2, 3].map(|host| place.at(host));
    format!(
        r#"
[node]
name = "edge"
seal_key_file = "seal.key"

[metrics]
bind = "{metrics}"

[control]
socket = "control.sock"

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

[emergency]
numbers = ["112"]
to = ["callee"]

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "callee" }}]

{more}
"#,
        metrics = place.metrics()
    )
}

/// The edge under a service manager that is the test.
fn start(place: &Place, manager: &Manager, more: &str) -> Process {
    let path = place.write("edge.toml", &config(place, more));
    let mut command = trunkway("run");
    manager.watch(command.arg("--config").arg(path));
    let mut edge = Process::start("edge", place.folder(), &mut command);
    edge.ready("it listens", |process| process.output().contains("ready").then_some(()));
    edge
}

fn ask(place: &Place, words: &[&str]) -> std::process::Output {
    let mut command = trunkway(words[0]);
    command.args(&words[1..]).arg("--socket").arg(place.folder().join("control.sock"));
    command.output().expect("trunkway can be started")
}

#[test]
fn manager_hears_ready_after_the_listeners_are_open_then_status_and_the_end() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let path = place.write("edge.toml", &config(&place, ""));
    let mut command = trunkway("run");
    let mut edge = Process::start("edge", place.folder(), manager.watch(command.arg("--config").arg(path)));
    manager.wait("READY=1");
    // Somebody has the address now, and answers.
    assert!(UdpSocket::bind(place.at(1)).is_err(), "READY came before the listener was open");
    assert_eq!(Party::new(place.at(2)).ask(place.at(1), &options(&place, 2)), 200);
    manager.wait("STATUS=0 calls, 2 of 2 targets up");
    edge.signal(Signal::TERM);
    manager.wait("STOPPING=1");
    assert!(edge.wait(SOON).success());
    let heard = manager.heard();
    let at = |word: &str| heard.iter().position(|line| line == word);
    assert!(at("READY=1") < at("STOPPING=1"), "{heard:?}");
}

#[test]
fn watchdog_is_fed_while_the_edge_turns_and_not_while_it_stands_still() {
    let place = Place::new();
    let mut manager = Manager::new(&place).with_watchdog(Duration::from_secs(2));
    let mut edge = start(&place, &manager, "");
    for _ in 0..3 {
        manager.wait("WATCHDOG=1");
    }
    edge.signal(Signal::STOP);
    manager.drain();
    // Twice the time after which the manager would end it.
    assert_eq!(manager.next_within("WATCHDOG=1", Duration::from_secs(4)), None);
    edge.signal(Signal::CONT);
    manager.wait("WATCHDOG=1");
    assert!(edge.terminate(SOON).success());
}

#[test]
fn drain_refuses_what_begins_a_dialog_and_lets_calls_and_calls_for_help_pass() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let mut edge = start(&place, &manager, "");
    let callee = Party::new(place.at(3));
    let caller = Party::new(place.at(2));
    let up = caller.call(&callee, place.at(1), "2001");

    let drained = ask(&place, &["drain", "--json"]);
    assert!(drained.status.success(), "{drained:?}");
    let life: serde_json::Value = serde_json::from_slice(&drained.stdout).expect("JSON");
    assert_eq!(life["state"], "draining");
    manager.wait_for(|line| line.starts_with("STATUS=draining"));

    let (status, answer) = caller.ask_whole(place.at(1), &invite(&place, 2, "2002"));
    assert_eq!(status, 503);
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    let (status, answer) = caller.ask_whole(place.at(1), &options(&place, 2));
    assert_eq!(status, 503);
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    // Inside the call, and for help.
    assert_eq!(up.reinvite(&caller, &callee), 200);
    caller.call(&callee, place.at(1), "112").hang_up(&caller, &callee);
    assert_eq!(up.hang_up(&caller, &callee), 200);

    let undrained = ask(&place, &["undrain"]);
    assert!(undrained.status.success(), "{undrained:?}");
    assert!(String::from_utf8_lossy(&undrained.stdout).starts_with("serving"));
    assert_eq!(caller.ask(place.at(1), &options(&place, 2)), 200);
    caller.call(&callee, place.at(1), "2003").hang_up(&caller, &callee);
    assert!(edge.terminate(SOON).success());
}

#[test]
fn drain_that_waits_ends_with_the_last_request_or_says_that_it_did_not() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let mut edge = start(&place, &manager, "");
    let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
    let ringing = caller.ring(&callee, place.at(1), "2001");
    let waited = ask(&place, &["drain", "--wait", "--timeout-s", "1", "--json"]);
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    let life: serde_json::Value = serde_json::from_slice(&waited.stdout).expect("JSON");
    assert_eq!((&life["state"], &life["requests"]), (&"draining".into(), &1.into()));
    ringing.answer(&caller, &callee).hang_up(&caller, &callee);
    let waited = ask(&place, &["drain", "--wait", "--timeout-s", "30"]);
    assert!(waited.status.success(), "{waited:?}");
    assert!(edge.terminate(SOON).success());
}

#[test]
fn stop_waits_until_nothing_rings_and_takes_no_new_call_meanwhile() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let mut edge = start(&place, &manager, "");
    let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
    let ringing = caller.ring(&callee, place.at(1), "2001");
    edge.signal(Signal::TERM);
    manager.wait("STOPPING=1");
    manager.wait_for(|line| line.starts_with("STATUS=stopping: "));
    // The manager gives more time than its own limit.
    manager.wait_for(|line| line.starts_with("EXTEND_TIMEOUT_USEC="));
    assert_eq!(caller.ask(place.at(1), &invite(&place, 2, "2002")), 503);
    let undrained = ask(&place, &["undrain"]);
    assert_eq!(undrained.status.code(), Some(1), "a stop cannot be taken back: {undrained:?}");
    assert_eq!(edge.ended(), None);
    ringing.answer(&caller, &callee);
    assert!(edge.wait(SOON).success());
}

#[test]
fn stop_ends_at_its_limit_and_at_once_on_a_second_signal_or_when_told_to_wait_for_nothing() {
    for (more, signals, at_most) in [
        ("[service]\ndrain_timeout_s = 2", 1, 10),
        ("[service]\ndrain_timeout_s = 600", 2, 10),
        ("[service]\ndrain_timeout_s = 600\nstop_waits_for = \"nothing\"", 1, 10),
    ] {
        let place = Place::new();
        let mut manager = Manager::new(&place);
        let mut edge = start(&place, &manager, more);
        let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
        let _ringing = caller.ring(&callee, place.at(1), "2001");
        let began = Instant::now();
        edge.signal(Signal::TERM);
        manager.wait("STOPPING=1");
        if signals == 2 {
            edge.signal(Signal::TERM);
        }
        assert!(edge.wait(SOON).success(), "{more}");
        assert!(began.elapsed() < Duration::from_secs(at_most), "{more}: {:?}", began.elapsed());
    }
}

#[test]
fn stop_that_waits_for_calls_ends_when_the_last_one_is_over() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let more = "[service]\nstop_waits_for = \"calls\"\ndrain_timeout_s = 600";
    let owned = config(&place, more).replace("[trunk.callee]", "[trunk.callee]\ntransparent = false");
    let path = place.write("edge.toml", &owned);
    let mut command = trunkway("run");
    let mut edge = Process::start("edge", place.folder(), manager.watch(command.arg("--config").arg(path)));
    manager.wait("READY=1");
    let (caller, callee) = (Party::new(place.at(2)), Party::new(place.at(3)));
    let up = caller.call(&callee, place.at(1), "2001");
    edge.signal(Signal::TERM);
    manager.wait_for(|line| line.starts_with("STATUS=stopping: 1 call and 0 requests"));
    assert_eq!(edge.ended(), None);
    assert_eq!(up.hang_up(&caller, &callee), 200);
    assert!(edge.wait(SOON).success());
}
