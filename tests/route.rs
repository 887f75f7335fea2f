//! `trunkway route`, as operators and their scripts run it: the built program, a configuration, what it prints and how it
//! ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const CONFIG: &str = r#"
[node]
name = "edge-1"
fqdn = "sbc.example.net"

[emergency]
to = ["carrier"]

[[listen]]
name = "inside"
bind = "udp:192.0.2.1:5060"
[[listen]]
name = "teams"
bind = "tls:192.0.2.1:5061"
certificate = "edge.pem"
key = "edge.key"
client_ca = "roots.pem"
[tls_client]
ca = "roots.pem"

[trunk.teams]
kind = "teams"
listen = "teams"
targets = ["sip.pstnhub.microsoft.com", "sip2.pstnhub.microsoft.com"]
allow_from = ["52.112.0.0/14"]
dialplan = "numbers"
[trunk.pbx1]
kind = "pbx"
listen = "inside"
targets = ["udp:192.0.2.80:5080"]
called_form = "extension"
[trunk.carrier]
kind = "carrier"
listen = "inside"
targets = ["udp:192.0.2.90:5060", "udp:192.0.2.91:5060"]
dialplan = "numbers"
[[trunk.carrier.translate]]
direction = "out"
number = "called"
name = "NoPlus"
pattern = '^\+(\d+)$'
replacement = "$1"
[[trunk.carrier.translate]]
direction = "in"
number = "called"
name = "National"
pattern = '^0(\d+)$'
replacement = "+44$1"

[tenant.contoso]
country = "GB"
numbers = ["+4416327684[00-99]"]
numbering.extension_ranges = ["400-499"]
[[tenant.contoso.site]]
fqdn = "sbc.contoso.example"
teams = "teams"
trunk = "carrier"
pbx = "pbx1"
[[tenant.contoso.user]]
id = "anna"
number = "+441632768401"
extension = "401"
lives = "both"
coverage_delay_s = 7
[[tenant.contoso.user]]
id = "cleo"
number = "+441632768403"
extension = "403"

[tenant.fabrikam]
country = "DE"
anonymous = "refuse"
[[tenant.fabrikam.site]]
fqdn = "sbc.fabrikam.example"
teams = "teams"
trunk = "carrier"

[dialplan.numbers]
files = ["numbers.csv"]

[[route]]
prefix = "+33"
to = ["carrier"]
open = [{ days = "mon-fri", from = "08:00", to = "18:00", zone = "Europe/Paris" }]
"#;

const NUMBERS: &str = "dialPlanName,prefix,tag\nnumbers,+4930[00-99],sbc.fabrikam.example\n";

struct Edge(tempfile::TempDir);

impl Edge {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in
            [("edge.toml", CONFIG), ("numbers.csv", NUMBERS), ("edge.pem", ""), ("edge.key", ""), ("roots.pem", "")]
        {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkway"));
        command.arg("route").arg("--config").arg(self.file("edge.toml")).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What is said of one call, and how the program ends.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.run(&[arguments, &["--json"]].concat());
        let value = serde_json::from_slice(&output.stdout);
        (value.unwrap_or_else(|error| panic!("{error}: {output:?}")), output.status.code().unwrap())
    }

    fn batch(&self, input: &[u8]) -> (Vec<Value>, i32) {
        let mut child = self.command(&["--batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code().unwrap())
    }
}

fn trunks(value: &Value) -> Vec<&str> {
    value["targets"].as_array().unwrap().iter().map(|target| target["trunk"].as_str().unwrap()).collect()
}

/// Without a Request-URI a call is taken to name the edge as its listener has it, port included.
#[test]
fn targets_host_stands_in_the_uri_whatever_port_the_edge_has() {
    let edge = Edge::new();
    std::fs::write(edge.file("edge.toml"), CONFIG.replace("udp:192.0.2.1:5060", "udp:192.0.2.1:5090")).unwrap();
    let (value, _) = edge.json(&["--from-trunk", "pbx1", "--called", "+442079460000"]);
    assert_eq!(value["targets"][0]["uri"], "sip:442079460000@192.0.2.90:5060", "{value}");
}

const MONDAY: &[&str] = &["--at", "2026-11-23T10:00:00Z"];

#[test]
fn keys_are_those_that_scripts_rely_on() {
    let edge = Edge::new();
    let (value, code) = edge.json(&["--from-trunk", "carrier", "--called", "+493012345", "--caller", "+441632960000"]);
    assert_eq!(code, 0);
    assert_eq!(
        value.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["code", "decision", "matched", "near", "reason", "rule", "site", "steps", "targets", "tenant"]
    );
    assert_eq!((&value["decision"], &value["code"]), (&"forward".into(), &Value::Null));
    assert_eq!((&value["tenant"], &value["site"]), (&"fabrikam".into(), &"sbc.fabrikam.example".into()));
    let rule = &value["rule"];
    assert_eq!((&rule["plan"], &rule["prefix"]), (&"numbers".into(), &"+4930[00-99]".into()));
    assert_eq!((&rule["tag"], &rule["line"]), (&"sbc.fabrikam.example".into(), &2.into()));
    assert!(rule["file"].as_str().is_some_and(|file| Path::new(file).ends_with("numbers.csv")), "{rule}");
    assert_eq!(rule["owner"], Value::Null);
    assert_eq!(
        value["targets"][0],
        json!({
            "trunk": "teams",
            "target": "tls:sip.pstnhub.microsoft.com:5061",
            "uri": "sip:+493012345@sip.pstnhub.microsoft.com:5061;transport=tls",
            "caller": "+441632960000",
            "pai": null,
            "beside": null,
        })
    );
    assert_eq!(trunks(&value), ["teams", "teams"]);
}

#[test]
fn numbers_are_told_before_and_after_each_step() {
    let edge = Edge::new();
    let ask = ["--from-trunk", "carrier", "--request-uri", "sip:01632768401@sbc.contoso.example"];
    let (value, code) = edge.json(&[&ask[..], &["--caller", "01632960000"]].concat());
    assert_eq!(code, 0);
    assert_eq!((&value["rule"], &value["matched"]), (&Value::Null, &"user `anna`".into()));
    let steps: Vec<&str> = value["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
    let position = |wanted: &str| {
        steps.iter().position(|step| step == &wanted).unwrap_or_else(|| panic!("{wanted} in {steps:#?}"))
    };
    let inbound = position(
        "translation rule `National` for called numbers from `carrier`: `01632768401` becomes `+441632768401`",
    );
    let form = position("written for `pbx1`: `+441632768401` becomes `401`");
    assert!(inbound == 0 && form > inbound, "{steps:#?}");
    let targets = value["targets"].as_array().unwrap();
    assert_eq!(targets[0]["uri"], "sip:401@192.0.2.80:5080");
    assert_eq!(targets[0]["caller"], "01632960000");
    // Teams beside it, and its next target after the first.
    assert_eq!(targets[1]["uri"], "sip:+441632768401@sip.pstnhub.microsoft.com:5061;transport=tls");
    assert_eq!(targets[1]["caller"], "+441632960000");
    assert_eq!(trunks(&value), ["pbx1", "teams", "teams"]);
    let beside: Vec<&Value> = targets.iter().map(|target| &target["beside"]).collect();
    assert_eq!(beside, [&Value::Null, &7.into(), &7.into()]);
    // Without From the asserted number is not taken for it.
    let (value, _) = edge.json(&[&ask[..], &["--pai", "01632960001"]].concat());
    assert_eq!((&value["targets"][1]["caller"], &value["targets"][1]["pai"]), (&Value::Null, &"+441632960001".into()));
    // Rules of the trunk that the call goes to.
    let (value, _) =
        edge.json(&["--from-trunk", "teams", "--called", "+15005550100", "--request-uri", "sip:sbc.contoso.example"]);
    assert_eq!(value["targets"][0]["uri"], "sip:15005550100@192.0.2.90:5060");
    let last = value["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(last, "translation rule `NoPlus` for called numbers to `carrier`: `+15005550100` becomes `15005550100`");
}

#[test]
fn refusals_have_their_code_and_end_with_1() {
    let edge = Edge::new();
    let teams = ["--from-trunk", "teams", "--request-uri"];
    for (arguments, wanted) in [
        (&["--from-trunk", "carrier", "--request-uri", "sip:+441632768499@sbc.contoso.example"][..], 404),
        (&[&teams[..], &["sip:1@evil.example"]].concat(), 404),
        (&[&teams[..], &["sip:+441632768403@sbc.contoso.example"]].concat(), 482),
        (&[&teams[..], &["sip:+4420@sbc.fabrikam.example", "--caller", "anonymous"]].concat(), 433),
        (&["--from-trunk", "carrier", "--called", "+4930"], 484),
    ] {
        let (value, code) = edge.json(arguments);
        assert_eq!((&value["decision"], &value["code"], code), (&"reject".into(), &wanted.into(), 1), "{arguments:?}");
        assert_eq!(value["targets"], json!([]));
        assert!(value["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let (value, _) = edge.json(&["--from-trunk", "carrier", "--called", "+4930"]);
    assert_eq!(value["near"][0]["prefix"], "+4930[00-99]");
    assert_eq!(value["near"][0]["why"], "the number is too short");
    let output = edge.run(&["--from-trunk", "carrier", "--called", "+4930"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("\nreject   484: "), "{text}");
    assert!(text.contains("\nnear     `+4930[00-99]` of `numbers`"), "{text}");
}

#[test]
fn time_of_the_call_can_be_told() {
    let edge = Edge::new();
    let ask = ["--from-trunk", "pbx1", "--called", "+33123456789"];
    let (value, _) = edge.json(&[&ask[..], MONDAY].concat());
    assert_eq!(value["matched"], "route, prefix `+33`");
    let (value, _) = edge.json(&[&ask[..], &["--at", "2026-11-22T10:00:00Z"]].concat());
    assert_eq!(value["matched"], "the site's own trunk");
    let (value, _) = edge.json(&[&ask[..], &["--at", "1795428000"]].concat());
    assert_eq!(value["matched"], "route, prefix `+33`");
    let output = edge.run(&[&ask[..], &["--at", "noon"]].concat());
    assert_eq!(output.status.code(), Some(2), "as any argument that cannot be read");
}

#[test]
fn faults_end_with_64() {
    let edge = Edge::new();
    for (arguments, wanted) in [
        (&["--from-trunk", "nowhere", "--called", "1"][..], "there is no trunk `nowhere`; known: "),
        (&["--from-trunk", "carrier"], "neither a called number"),
        (&["--from-trunk", "carrier", "--request-uri", "mailto:a@b"], "cannot be read"),
        (&["--batch", "/nonexistent/calls"], "/nonexistent/calls: "),
    ] {
        let output = edge.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(text.contains(wanted), "{text}");
        assert!(output.stdout.is_empty());
    }
    std::fs::write(edge.file("edge.toml"), "nonsense").unwrap();
    assert_eq!(edge.run(&["--from-trunk", "carrier", "--called", "1"]).status.code(), Some(64));
}

#[test]
fn batch_says_what_single_calls_say_in_the_same_order() {
    let edge = Edge::new();
    let asks = [
        json!({"from_trunk": "carrier", "called": "+493012345"}),
        json!({"from_trunk": "carrier", "request_uri": "sip:01632768401@sbc.contoso.example", "caller": "0163", "pai": "+44"}),
        json!({"from_trunk": "teams", "called": "+33123456789", "request_uri": "sip:sbc.fabrikam.example", "caller": "+4930123", "now": 1_795_428_000}),
        json!({"from_trunk": "carrier", "called": "+4930"}),
    ];
    let single: Vec<Value> = asks
        .iter()
        .map(|ask| {
            let mut arguments = Vec::new();
            for (key, flag) in [
                ("from_trunk", "--from-trunk"),
                ("called", "--called"),
                ("caller", "--caller"),
                ("pai", "--pai"),
                ("request_uri", "--request-uri"),
            ] {
                arguments.extend(ask[key].as_str().map(|value| [flag, value]).into_iter().flatten());
            }
            let now = ask["now"].as_u64().map(|now| now.to_string());
            arguments.extend(now.iter().flat_map(|now| ["--at", now]));
            edge.json(&arguments).0
        })
        .collect();
    let input: String = (0..1_500).flat_map(|_| asks.iter().map(|ask| format!("{ask}\n"))).collect();
    let (answers, code) = edge.batch(input.as_bytes());
    assert_eq!((answers.len(), code), (6_000, 0));
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &single[index % asks.len()], "line {}", index + 1);
    }
    // Lines that are no questions are answered too.
    let (answers, code) = edge.batch(
        b"{\"from_trunk\": \"carrier\", \"called\": \"1\"}\n{\"from\": 1}\n{\"from_trunk\": \"x\", \"called\": \"1\"}",
    );
    assert_eq!((answers.len(), code), (3, 64));
    assert_eq!(answers[0]["decision"], "reject");
    assert_eq!((&answers[1]["line"], &answers[2]["line"]), (&2.into(), &3.into()));
    assert!(answers[2]["error"].as_str().unwrap().starts_with("there is no trunk `x`"));
}
