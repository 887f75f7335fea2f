//! Start, drain, stop; the unit and the package.

#[path = "service/manager.rs"]
mod manager;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::manager::Manager;
use crate::party::{Party, invite, options};
use crate::support::SOON;
use crate::support::edge::trunkway;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Sipp, scenario};
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
rules = [{{ prefix = "2", tag = "callee" }}{far}]

{more}
"#,
        metrics = place.metrics(),
        far = if more.contains("[trunk.far]") { ", { prefix = \"3\", tag = \"far\" }" } else { "" },
    )
}

/// The edge under a service manager that is the test.
fn start(place: &Place, manager: &Manager, more: &str) -> Process {
    let path = place.write("edge.toml", &config(place, more));
    let mut command = trunkway("run");
    manager.watch(command.arg("--config").arg(path));
    let mut edge = Process::start("edge", place.folder(), &mut command);
    edge.ready("it listens", is_ready);
    edge
}

fn is_ready(edge: &Process) -> Option<()> {
    edge.output().lines().any(|line| line.ends_with(" ready")).then_some(())
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
fn manager_hears_when_a_reload_begins_and_when_it_is_over_whatever_came_of_it() {
    let place = Place::new();
    let mut manager = Manager::new(&place);
    let mut edge = start(&place, &manager, "");
    manager.wait("READY=1");
    for (text, failed) in [(config(&place, ""), false), ("[nonsense".to_owned(), true), (config(&place, ""), false)] {
        place.write("edge.toml", &text);
        edge.signal(Signal::HUP);
        manager.wait("RELOADING=1");
        let time = manager.wait_for(|line| line.starts_with("MONOTONIC_USEC="));
        assert!(time["MONOTONIC_USEC=".len()..].parse::<u64>().expect("a number") > 0);
        manager.wait("READY=1");
        if failed {
            manager.wait_for(|line| line.starts_with("STATUS=0 calls, ") && line.contains("the last reload failed"));
        }
    }
    manager.wait("STATUS=0 calls, 2 of 2 targets up");
    assert_eq!(Party::new(place.at(2)).ask(place.at(1), &options(&place, 2)), 200);
    assert!(edge.terminate(SOON).success());
}

#[test]
fn keys_are_read_from_the_credentials_that_the_manager_hands_over() {
    let place = Place::new();
    let handed = place.folder().join("handed");
    std::fs::create_dir(&handed).expect("a folder can be made");
    let key = handed.join("trunkway_seal.key");
    std::fs::write(&key, format!("{} 2026-01-01T00:00:00Z\n", "0a".repeat(32))).expect("a file can be written");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o400)).expect("it is ours");
    let text = config(&place, "").replace("\"seal.key\"", "\"credential:seal.key\"");
    let path = place.write("edge.toml", &text);
    let mut command = trunkway("run");
    command.arg("--config").arg(path).env("CREDENTIALS_DIRECTORY", &handed);
    let mut edge = Process::start("edge", place.folder(), &mut command);
    edge.ready("it listens", is_ready);
    let listed = ask(&place, &["keys", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("2026-01-01T00:00:00Z  new calls"), "{listed:?}");
    assert!(!place.folder().join("seal.key").exists() && !place.folder().join("credentials").exists());
    assert!(edge.terminate(SOON).success());
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

/// Calls a second while the edge is started anew.
const RATE: u32 = 40;

#[test]
fn calls_that_are_up_outlive_a_restart_and_new_ones_are_refused_for_less_than_a_second() {
    let place = Place::alone();
    let mut manager = Manager::new(&place);
    let mut edge = start(&place, &manager, &parties(&place));
    let (caller, callee) = (Party::new(place.at(4)), Party::new(place.at(5)));
    let up: Vec<_> = (0..5).map(|_| caller.call(&callee, place.at(1), "3001")).collect();
    let answering = Sipp::callee(&place, 3, scenario("callee")).calls(10 * RATE, 0).start(&place);
    let calling = Sipp::caller(&place, 2, scenario("caller"), "2001").calls(10 * RATE, RATE);
    let calling = calling.pause(Duration::from_secs(2)).start(&place);
    until("calls are up and others are on their way", SOON, || {
        let page = page(&place)?;
        let begun = page.lines().find_map(|line| line.strip_prefix("trunkway_transactions_total "))?;
        (begun.parse::<f64>().ok()? > f64::from(5 * RATE)).then_some(())
    });
    let began = Instant::now();
    edge.signal(Signal::TERM);
    manager.wait("STOPPING=1");
    assert!(edge.wait(SOON).success());
    // What it has left with its manager is closed by this one.
    manager.heard();
    let stopped = began.elapsed();
    let mut edge = start(&place, &manager, &parties(&place));
    let restarted = began.elapsed();
    let stats = calling.end();
    // Every call that was up is there and ends as it should; what failed was refused at its beginning.
    assert_eq!(up.iter().map(|call| call.reinvite(&caller, &callee)).collect::<Vec<_>>(), [200; 5]);
    assert_eq!(up.iter().map(|call| call.hang_up(&caller, &callee)).collect::<Vec<_>>(), [200; 5]);
    let refused = stats.failed as f64 / f64::from(RATE);
    println!(
        "restart: stopped after {stopped:?}, ready after {restarted:?}, new calls refused for {refused:.2} s: {stats:?}"
    );
    assert!(refused < 1.0, "refused for {refused} s; stopped after {stopped:?}, ready after {restarted:?}: {stats:?}");
    assert!(stats.successful + stats.failed == u64::from(10 * RATE), "{stats:?}");
    drop(answering);
    assert!(edge.terminate(SOON).success());
}

/// Two more trunks, for calls that the test itself makes.
fn parties(place: &Place) -> String {
    let [caller, callee] = [4, 5].map(|host| place.at(host));
    format!(
        r#"
[trunk.near]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]
transparent = false

[trunk.far]
kind = "pbx"
listen = "inside"
targets = ["udp:{callee}"]
"#
    )
}

/// The page of metrics, when somebody shows it.
fn page(place: &Place) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(place.metrics()).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

#[test]
fn sockets_that_a_service_manager_has_opened_are_taken_with_what_waits_in_them() {
    let place = Place::new();
    let path = place.write("edge.toml", &config(&place, ""));
    // It opens the socket, waits until something comes, and becomes the edge then.
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--datagram", "--fdname", "inside", "--listen", &place.at(1).to_string(), "--"]);
    command.arg(env!("CARGO_BIN_EXE_trunkway")).arg("run").arg("--config").arg(path);
    let mut edge = Process::start("edge", place.folder(), &mut command);
    edge.ready("it waits", |_| UdpSocket::bind(place.at(1)).is_err().then_some(()));
    // The first request is not sent again: it waits in the socket until the edge is there.
    let caller = Party::new(place.at(2));
    assert_eq!(caller.ask_once(place.at(1), &options(&place, 2)), 200);
    assert!(edge.terminate(SOON).success());
}

#[test]
fn unit_is_sound_and_as_confined_as_its_description_says() {
    let place = Place::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let unit = |name: &str| std::fs::read_to_string(source.join(name)).expect("the unit can be read");
    let service = unit("trunkway.service").replace("/usr/bin/trunkway", env!("CARGO_BIN_EXE_trunkway"));
    // Manual pages are those of the package, which is not installed here.
    let service = service.replace("man:trunkway(1) ", "");
    place.write("trunkway.socket", &unit("trunkway.socket"));
    let analyze = |words: &[&str], text: &str| {
        let path = place.write("trunkway.service", text);
        let mut command = Command::new("systemd-analyze");
        let output = command.args(words).arg(path).output().expect("systemd-analyze can be started");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    // systemd before 253 does not know the type, says so, and takes the one of older-systemd.conf.
    let (_, said) = analyze(&["verify"], &service);
    let unknown = |line: &&str| !line.contains("Failed to parse service type, ignoring: notify-reload");
    assert_eq!(said.lines().filter(unknown).collect::<Vec<_>>(), Vec::<&str>::new());
    let older = unit("older-systemd.conf").replace("[Service]", "");
    let (sound, said) = analyze(&["verify"], &service.replace("Type=notify-reload", &older));
    assert_eq!((sound, said.as_str()), (true, ""));

    let (_, table) = analyze(&["security", "--offline=true", "--no-pager"], &service);
    let overall = table.lines().find_map(|line| line.split_once("Overall exposure level for trunkway.service: "));
    let exposure: f64 =
        overall.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{table}"));
    assert!(exposure <= 1.5, "{table}");
    let readme = unit("README.md").replace('\\', "");
    for line in table.lines().filter(|line| line.contains('\u{2717}')) {
        let name = line.split_whitespace().nth(1).expect("a line has a name");
        assert!(readme.contains(&format!("`{name}`")), "README.md does not explain {name}:\n{table}");
    }
}
