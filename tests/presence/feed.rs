//! What PBXs tell by HTTP, and how operators see the users of the bridge: by curl and by the command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trunkway::lab::graph::{ClientState, Device};

use crate::bridge::{Bridge, PATIENCE, TENANT, socket};
use crate::support::until;

/// What the command line says, and its exit code.
fn told(bridge: Option<&Bridge>, line: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkway"));
    command.arg("presence").args(line);
    if let Some(bridge) = bridge {
        command.arg("--socket").arg(socket(&bridge.place));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code().unwrap())
}

/// The same as JSON.
fn json_of(bridge: &Bridge, line: &[&str]) -> Value {
    let (text, code) = told(Some(bridge), &[line, &["--json"]].concat());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Posts a body as it is; status and answer.
fn post(bridge: &Bridge, body: &str) -> (String, Value) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--unix-socket"]);
    command.arg(socket(&bridge.place)).args(["--data-binary", body, "http://edge/v1/tenants/contoso/line-state"]);
    let output = command.output().expect("curl is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn pbx(bridge: &Bridge, number: usize) -> Value {
    bridge.ask(&format!("/v1/presence/contoso/{}", bridge.user(number))).unwrap()["pbx"].clone()
}

fn wait_for_pbx(bridge: &Bridge, number: usize, wanted: &str) {
    until(&format!("user {number} is {wanted}"), PATIENCE, || (pbx(bridge, number) == wanted).then_some(()));
}

#[test]
fn explain_answers_without_an_edge() {
    let line = ["explain", "--line", "busy", "--teams-client", "focus-or-presenting", "--json"];
    let (text, code) = told(None, &line);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0);
    assert_eq!(
        [&value["pbx"], &value["session"]["activity"], &value["shown"]],
        [&json!("busy"), &json!("InACall"), &json!("do-not-disturb")]
    );
    let (text, code) = told(None, &["explain", "--line", "ringing"]);
    assert!(code == 2 && text.contains("`ringing` is no such state"), "{code}: {text}");
    let (text, code) = told(None, &["explain", "--user", "fishing"]);
    assert!(code == 64 && text.contains("`fishing` is no such state"), "{code}: {text}");
}

#[test]
fn explain_says_what_every_row_of_the_golden_table_says() {
    // The table is not part of the project.
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/presence-golden.csv");
    let Ok(table) = std::fs::read_to_string(table) else { return };
    let rows: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    for row in rows {
        let [line, user, pbx, client, shown] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (text, code) = told(None, &["explain", "--line", line, "--user", user, "--teams-client", client, "--json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &value["pbx"], &value["shown"]), (0, &json!(pbx), &json!(shown)), "{row}");
        assert_eq!(value["session"].is_null(), pbx == "available", "{row}");
    }
}

#[test]
fn lines_that_are_told_by_http_reach_teams_and_end_by_themselves() {
    let bridge = Bridge::start(4, "aliases = { 'zu Tisch' = 'absent' }");
    let id = |number| bridge.user(number);

    // An object for a device; JSON lines with an extension, a name of the tenant's own, and two that are wrong.
    let (status, answer) = post(&bridge, &json!({ "user": id(0).to_uppercase(), "state": "busy" }).to_string());
    assert_eq!((status.as_str(), &answer), ("200", &json!({ "taken": 1, "faults": [] })));
    let lines = [
        json!({ "number": "1001", "device": "desk", "state": "busy", "conference": true }),
        json!({ "user": "nobody@contoso.example", "state": "busy" }),
        json!({ "user": id(2), "user_state": "Zu Tisch" }),
        json!({ "user": id(3), "user_state": "fishing" }),
    ];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (status, answer) = post(&bridge, &body);
    assert_eq!((status.as_str(), &answer["taken"]), ("200", &json!(2)), "{answer}");
    assert_eq!(answer["faults"][0]["detail"], "the bridge has no user `nobody@contoso.example`");
    let wrong = answer["faults"][1]["detail"].as_str().unwrap();
    assert!(wrong.contains("`fishing` is no such state") && wrong.contains("zu tisch"), "{wrong}");
    bridge.wait_for(0, Some("Busy/InACall"));
    bridge.wait_for(1, Some("Busy/InAConferenceCall"));
    bridge.wait_for(2, Some("Away/Away"));

    // Devices add up, and one that is gone leaves the others.
    post(&bridge, &json!([{ "user": id(1), "device": "dect", "state": "do-not-disturb" }]).to_string());
    bridge.wait_for(1, Some("DoNotDisturb/Presenting"));
    post(&bridge, &json!({ "user": id(1), "device": "dect", "state": null }).to_string());
    bridge.wait_for(1, Some("Busy/InAConferenceCall"));
    post(&bridge, &json!({ "user": id(2), "user_state": null }).to_string());
    bridge.wait_for(2, None);

    // What is not told again in time is unknown, and Teams is free of it.
    post(&bridge, &json!({ "user": id(0), "state": "busy", "expires_s": 1 }).to_string());
    bridge.wait_for(0, None);
    wait_for_pbx(&bridge, 0, "unknown");
    let shown = json_of(&bridge, &["show", &id(0)]);
    let source = &shown["sources"][0];
    assert_eq!([&source["source"], &source["says"]], [&json!("feed line"), &Value::Null], "{shown}");

    // Operators see it in words too.
    let (text, code) = told(Some(&bridge), &["show", &id(1), "--tenant", "contoso"]);
    assert!(code == 0 && text.contains("busy (conference)") && text.contains("feed desk"), "{text}");
    let (text, code) = told(Some(&bridge), &["show", "nobody@contoso.example"]);
    assert!(code == 1 && text.contains("the bridge has no user"), "{code}: {text}");
    bridge.stop();
}

#[test]
fn users_without_a_match_and_users_with_a_choice_are_told_by_name() {
    let bridge = Bridge::start_with(2, "", "[presence]\npoll_interval_s = 1\npoll_interval_watched_s = 1\n");
    let put = ["users", "put", "contoso", "ghost@contoso.example", "--extension", "9000", "--lives", "pbx", "--socket"];
    let put = Command::new(env!("CARGO_BIN_EXE_trunkway")).args(put).arg(socket(&bridge.place)).output().unwrap();
    assert!(put.status.success(), "{put:?}");
    until("a user who is in no directory is known", PATIENCE, || {
        (bridge.ask("/v1/presence/summary")?["tenants"]["contoso"]["unmatched"] == 1).then_some(())
    });
    let (text, _) = told(Some(&bridge), &["unmatched"]);
    assert!(text.contains("ghost@contoso.example") && !text.contains(&bridge.user(0)), "{text}");

    // The user chose to be available: the session of the edge is there, and Teams shows something else.
    bridge.graph.set_client(TENANT, &bridge.user(1), Device::Desktop, ClientState::ConnectedActive);
    assert!(bridge.graph.prefer(TENANT, &bridge.user(1), Some(("Available", "Available"))));
    bridge.feed(&[bridge.line(0, "busy"), bridge.line(1, "busy")]);
    bridge.wait_for(1, Some("Busy/InACall"));
    let overruled = until("the choice is seen", Duration::from_secs(30), || {
        let page = json_of(&bridge, &["overruled"]);
        (page["users"].as_array().is_some_and(|users| users.len() == 1)).then_some(page)
    });
    assert_eq!(overruled["users"][0]["user"], bridge.user(1));
    bridge.stop();
}
