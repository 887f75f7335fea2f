//! Records of calls and their history, logs.

#[path = "records/place.rs"]
mod place;

use std::io::Read;
use std::net::UdpSocket;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use self::place::{Desk, counts, python};
use crate::support::edge::trunkway;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};

/// Counts the outcomes of a file of JSON lines.
const COUNT_JSON: &str = "\
import collections, json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps(collections.Counter(row['outcome'] + ' ' + str(row['status']) for row in rows)))";

/// The rows of a CSV file as objects.
const READ_CSV: &str = "\
import csv, json, sys
print(json.dumps(list(csv.DictReader(open(sys.argv[1], newline='')))))";

#[test]
fn a_file_and_the_history_tell_what_happened() {
    let place = Place::new();
    let file = place.folder().join("calls.jsonl");
    let more = "[records]\nfile = \"calls.jsonl\"\n[state]\ndir = \"state\"\n";
    let mut desk = Desk::start(&place, more, "run");
    calls(&place, "caller", "callee", 4, &[]);
    calls(&place, "caller-listens", "callee-hangs-up", 3, &[]);
    calls(&place, "caller-cancels", "callee-is-cancelled", 2, &[]);
    calls(&place, "caller-is-refused", "callee-refuses", 1, &[("status", "486")]);
    let refused = Scenario::File("caller-is-refused", vec![("status", "404".to_owned())]);
    Sipp::caller(&place, 2, refused, "900").calls(2, 10).run(&place);
    let lines = || std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    until("all records are written", SOON, || (lines() == 12).then_some(()));

    let wanted = json!({
        "caller-hung-up 200": 4, "callee-hung-up 200": 3, "cancelled 487": 2, "refused 486": 1, "not-passed 404": 2,
    });
    assert_eq!(python(COUNT_JSON, &file), wanted);
    let text = std::fs::read_to_string(&file).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for record in &records {
        assert_eq!(record["from_trunk"], "caller", "{record}");
        assert_eq!(record["call"].as_str().unwrap().len(), 16, "{record}");
        assert!(!record["result"].as_str().unwrap().is_empty() && !record["ended_at"].as_str().unwrap().is_empty());
        assert_eq!(record["duration_s"].is_null(), record["status"] != 200, "{record}");
    }

    // The same from the history, also after a restart.
    let history = |words: &[&str]| answer(&place, &[&["history"], words].concat());
    until("the history has all", SOON, || (counts(&history(&["--all"])) == wanted).then_some(()));
    desk.stop();
    let desk = Desk::start(&place, more, "again");
    until("the history is open", SOON, || ask(&place, &["history"]).status.success().then_some(()));
    assert_eq!(counts(&history(&["--all", "--since", "1h"])), wanted);
    assert_eq!(
        counts(&history(&["--outcome", "answered", "--trunk", "callee"])),
        json!({
            "caller-hung-up 200": 4, "callee-hung-up 200": 3,
        })
    );
    assert_eq!(history(&["--until", "1h"])["records"], json!([]));
    let one = &records[0];
    assert_eq!(history(&[one["call"].as_str().unwrap()])["records"][0], *one, "file and history say the same");
    let table = ask(&place, &["history", "--outcome", "refused"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.lines().count() == 2 && table.contains("refused: busy"), "{table}");
    let unknown = ask(&place, &["history", "00000000000000ff"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    desk.finish();
}

#[test]
fn a_csv_file_is_read_by_others() {
    let place = Place::new();
    let file = place.folder().join("log").join("calls.csv");
    let desk = Desk::start(&place, "[records]\nfile = \"log/calls.csv\"\nformat = \"csv\"\n", "run");
    calls(&place, "caller", "callee", 3, &[]);
    let lines = || std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    until("all records are written", SOON, || (lines() == 4).then_some(()));
    let rows = python(READ_CSV, &file);
    for row in rows.as_array().unwrap() {
        assert_eq!(
            (&row["outcome"], &row["status"], &row["transparent"]),
            (&json!("caller-hung-up"), &json!("200"), &json!("false"))
        );
        assert!(row["duration_s"].as_str().unwrap().parse::<f64>().unwrap() < 60.0, "{row}");
    }
    let refused = ask(&place, &["history"]);
    assert_eq!(refused.status.code(), Some(1), "there is no state directory: {refused:?}");
    desk.finish();
}

/// Calls a second under which the edge is killed.
const RATE: u32 = 50;

#[test]
fn a_kill_under_load_loses_the_last_second_at_most() {
    let place = Place::new();
    let file = place.folder().join("calls.jsonl");
    let more = "[records]\nfile = \"calls.jsonl\"\n[state]\ndir = \"state\"\n";
    let mut desk = Desk::start(&place, more, "run");
    let limit = Duration::from_secs(20);
    let callee = Sipp::callee(&place, 3, scenario("callee")).calls(1_000, 0).limit(limit).start(&place);
    let caller = Sipp::caller(&place, 2, scenario("caller"), "2001").calls(1_000, RATE).limit(limit).start(&place);
    let lines = || std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    until("calls are over", SOON, || (lines() >= 150).then_some(()));
    desk.kill();
    // What sipp saw end well has ended before the kill: a call that has not cannot any more.
    let ended = caller.end().successful;
    drop(callee);
    let written = lines() as u64;
    assert!(ended >= 150 && written + u64::from(RATE) >= ended, "{written} of {ended} calls are in the file");
    // The next process goes on behind the last whole line, and the history is as it was a second before.
    let desk = Desk::start(&place, more, "again");
    calls(&place, "caller", "callee", 1, &[]);
    until("the call is written", SOON, || (lines() as u64 > written).then_some(()));
    let outcomes = python(COUNT_JSON, &file);
    assert!(outcomes["caller-hung-up 200"].as_u64().unwrap() > written, "{outcomes}");
    let kept = until("the history has the last call", SOON, || {
        let page = desk.get("/v1/history?limit=10000");
        let records = page["records"].as_array()?.len() as u64;
        (records + 2 * u64::from(RATE) > written).then_some(records)
    });
    assert!(kept <= ended + 1, "{kept} of {ended}");
    desk.finish();
}

#[test]
fn a_file_that_takes_nothing_delays_no_call_and_is_written_when_it_does() {
    const CALLS: u32 = 200;
    let place = Place::new();
    let pipe = place.folder().join("calls.jsonl");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let more = "[records]\nfile = \"calls.jsonl\"\nqueue = 50\n[state]\ndir = \"state\"\n";
    let desk = Desk::start(&place, more, "run");
    calls(&place, "caller", "callee", CALLS, &[]);
    let lost = until("losses are counted", SOON, || {
        let lost = desk.labelled("trunkway_records_dropped_total", "file");
        (lost + desk.labelled("trunkway_records_waiting", "file") == f64::from(CALLS)).then_some(lost)
    });
    assert!(lost > 0.0 && lost <= f64::from(CALLS - 50), "{lost}");
    until("the history does not wait for the file", SOON, || {
        (desk.labelled("trunkway_records_written_total", "history") == f64::from(CALLS)).then_some(())
    });
    // Somebody reads: what waited comes.
    let mut reader = std::fs::File::open(&pipe).unwrap();
    until("what waited is written", SOON, || {
        (desk.labelled("trunkway_records_written_total", "file") == f64::from(CALLS) - lost).then_some(())
    });
    desk.terminate();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count() as f64, f64::from(CALLS) - lost);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
}

#[test]
fn levels_change_while_the_edge_runs_and_fall_back() {
    let place = Place::new();
    let more =
        "[log]\nlevel = \"info\"\nlevels = { \"trunkway::calls\" = \"off\" }\nformat = \"json\"\nmask_numbers = 2\n";
    let desk = Desk::start(&place, more, "run");
    calls(&place, "caller", "callee", 1, &[]);
    let shown = || answer(&place, &["log", "show"]);
    assert_eq!((&shown()["filter"], &shown()["format"]), (&json!("info,trunkway::calls=off"), &json!("json")));
    let told = answer(&place, &["log", "set", "info,trunkway::calls=info", "--for", "1h"]);
    assert_eq!((&told["configured"], told["until"].is_string()), (&json!("info,trunkway::calls=off"), true));
    calls(&place, "caller", "callee", 1, &[]);
    let line = until("the call is logged", SOON, || {
        let log = desk.log();
        let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["target"] == "trunkway::calls")
    });
    assert_eq!((&line["message"], &line["outcome"]), (&json!("call over"), &json!("caller-hung-up")));
    assert_eq!(line["call"].as_str().unwrap().len(), 16, "{line}");
    assert!(!desk.log().contains("2001"), "numbers are masked");
    answer(&place, &["log", "set", "debug", "--for", "1s"]);
    until("the configured levels are back", SOON, || {
        let now = shown();
        (now["filter"] == "info,trunkway::calls=off" && now["until"].is_null()).then_some(())
    });
    let refused = ask(&place, &["log", "set", "trunkway=loud"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    desk.finish();
}

/// Ended with the test.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_delays_no_call() {
    let place = Place::new();
    let path = place.write("edge.toml", &place::config(&place, "[log]\nlevel = \"debug\"\nqueue = 100\n"));
    let mut command = trunkway("run");
    command.arg("--config").arg(path).current_dir(place.folder()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut edge = Unread(command.spawn().unwrap());
    until("the edge answers", SOON, || ask(&place, &["log", "show"]).status.success().then_some(()));
    // A line for each. Bursts are too much for the queue alone at first: when so many are lost, the pipe has long been full.
    let socket = UdpSocket::bind((place.ip(2), 0)).unwrap();
    let dropped = || answer(&place, &["log", "show"])["dropped"].as_u64().unwrap();
    until("the pipe is full", SOON, || {
        (0..200).for_each(|_| drop(socket.send_to(b"this is not SIP\r\n\r\n", place.at(1))));
        (dropped() > 5_000).then_some(())
    });
    let before = dropped();
    calls(&place, "caller", "callee", 20, &[]);
    assert!(dropped() > before, "the calls had nothing to say");
    rustix::process::kill_process(rustix::process::Pid::from_child(&edge.0), Signal::TERM).unwrap();
    until("the edge ends", SOON, || edge.0.try_wait().unwrap());
}

#[test]
fn the_journal_is_spoken_to_where_standard_error_leads_there() {
    for (leads_there, format) in [(true, "journald"), (false, "text")] {
        let place = Place::new();
        let path = place.write("edge.toml", &place::config(&place, ""));
        // The log is made before the process, so that its numbers are known.
        let log = place.folder().join("edge.log");
        let mut command = Command::new("sh");
        let stream = if leads_there { "$(stat -Lc %d:%i /proc/self/fd/2)" } else { "1:2" };
        let program = env!("CARGO_BIN_EXE_trunkway");
        let script = format!("JOURNAL_STREAM={stream} exec {program} run --config {}", path.display());
        let mut edge = Process::start("edge", place.folder(), command.args(["-c", &script]));
        let status = until("the edge answers", SOON, || {
            let output = ask(&place, &["log", "show", "--json"]);
            serde_json::from_slice::<Value>(&output.stdout).ok()
        });
        assert_eq!(status["format"], format);
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.contains("listening on"), !leads_there, "{text}");
        assert!(edge.terminate(SOON).success());
    }
}

/// Calls between two scenarios with these blanks.
fn calls(place: &Place, caller: &'static str, callee: &'static str, count: u32, blanks: &[(&'static str, &str)]) {
    let filled = |name| Scenario::File(name, blanks.iter().map(|(key, value)| (*key, (*value).to_owned())).collect());
    let callee = Sipp::callee(place, 3, filled(callee)).calls(count, 0).start(place);
    Sipp::caller(place, 2, filled(caller), "2001").calls(count, 25).run(place);
    callee.finish();
}

/// A subcommand of the control socket's; the socket comes behind what it is asked.
fn ask(place: &Place, words: &[&str]) -> Output {
    let mut command = trunkway(words[0]);
    command.args(&words[1..]).arg("--socket").arg(place.folder().join("control.sock"));
    command.output().expect("trunkway can be started")
}

/// The same, and its answer as JSON.
fn answer(place: &Place, words: &[&str]) -> Value {
    let output = ask(place, &[words, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
