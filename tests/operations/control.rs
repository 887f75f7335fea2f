//! The doors for operators: TLS and tokens as curl and openssl see them, health and alarms, and all endpoints as a
//! foreign test tool reads their description.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::{SOON, certificates, until};

const OPERATORS: &str = "operators-0123456789abcdef0123456789";
const WATCHER: &str = "watcher-0123456789abcdef0123456789";
const PORTAL: &str = "contoso-0123456789abcdef0123456789";

/// How long the foreign test tool may take, and how much it tries of each endpoint.
const JUDGE_TIME: Duration = Duration::from_secs(75);
const JUDGE_EXAMPLES: u32 = 12;

/// An edge with both doors.
struct Node {
    edge: Edge,
    http: SocketAddr,
    // Behind the edge: a failed test shows a log that lies here.
    place: Place,
}

/// A port at the address that the certificate names: of this place alone, and none that the system deals out.
fn free_port(place: &Place) -> SocketAddr {
    let IpAddr::V4(ip) = place.ip(1) else { panic!("places are networks of IPv4") };
    let [_, second, third, _] = ip.octets();
    let first = 21_000 + (u16::from(second - 64) * 256 + u16::from(third)) % 10_000;
    let ports = (first..31_000).chain(21_000..first).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    ports.into_iter().find(|addr| TcpListener::bind(addr).is_ok()).expect("a free port")
}

fn config(place: &Place, http: SocketAddr) -> String {
    for (name, secret) in [("operators", OPERATORS), ("watcher", WATCHER), ("contoso", PORTAL)] {
        place.write(&format!("{name}.token"), &format!("{secret}\n"));
    }
    let (edge, pbx, carrier) = (place.at(1), place.at(2), place.at(3));
    let (tls, teams) = (place.tls_at(1), place.tls_at(4));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[[listen]]
name = "outside"
bind = "tls:{tls}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"

[tls_client]
ca = "certs/ca.pem"

[trunk.teams]
kind = "teams"
listen = "outside"
targets = ["tls:{teams}"]
peer_names = ["sip.pstnhub.microsoft.com"]
options_interval_s = 0
fqdn = "edge.example.net"

[trunk.pbx1]
kind = "pbx"
listen = "inside"
targets = ["udp:{pbx}"]
options_interval_s = 1
options_timeout_ms = 400
down_after = 2
up_after = 1

[trunk.carrier]
kind = "carrier"
listen = "inside"
targets = ["udp:{carrier}"]

[tenant.contoso]
country = "GB"
[[tenant.contoso.site]]
fqdn = "contoso.customers.example.net"
trunk = "pbx1"
teams = "teams"

[tenant.fabrikam]
country = "GB"

[dialplan.main]
rules = [
    {{ prefix = "+44163276", tag = "contoso.customers.example.net", owner = "contoso" }},
    {{ prefix = "+441632", tag = "carrier" }},
]

[state]
dir = "state"

[control]
socket = "control.sock"

[control.http]
bind = "{http}"
certificate = "certs/edge.pem"
key = "certs/edge.key"

[[control.token]]
name = "operators"
file = "operators.token"
scope = "admin"

[[control.token]]
name = "watcher"
file = "watcher.token"
scope = "read"

[[control.token]]
name = "portal"
file = "contoso.token"
scope = "change"
tenants = ["contoso"]
"#
    )
}

impl Node {
    fn start() -> Self {
        let place = Place::new();
        certificates::make(&place);
        let http = free_port(&place);
        let edge = Edge::start(&place, &config(&place, http));
        Self { edge, http, place }
    }

    fn ca(&self) -> PathBuf {
        self.place.folder().join("certs/ca.pem")
    }

    /// What curl gets: status and body.
    fn curl(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"]);
        command.arg("--cacert").arg(self.ca()).args(["--request", method]);
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        if method == "POST" {
            command.args(["--header", "Content-Type: application/json", "--data", body]);
        }
        let output = command.arg(format!("https://{}{path}", self.http)).output().expect("curl can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let (body, code) = text.rsplit_once('\n').expect("a code");
        (code.parse().expect("a number"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// A subcommand with the control socket: exit code and standard output.
    fn ask(&self, words: &[&str]) -> (i32, String) {
        let mut command = trunkway(words[0]);
        command.args(&words[1..]).arg("--socket").arg(self.place.folder().join("control.sock"));
        let output = command.output().expect("trunkway can be started");
        (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.folder().join("edge.log")).expect("the edge logs")
    }
}

/// A PBX that answers OPTIONS while it is told to.
struct Pbx {
    answers: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
}

impl Pbx {
    fn at(addr: SocketAddr) -> Self {
        let (answers, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let socket = UdpSocket::bind(addr).expect("an address");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        let (answering, ending) = (Arc::clone(&answers), Arc::clone(&ends));
        std::thread::spawn(move || {
            let mut room = [0; 4_096];
            while !ending.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
                let text = String::from_utf8_lossy(&room[..length]).into_owned();
                if text.starts_with("OPTIONS ") && answering.load(Ordering::Relaxed) {
                    let headers = text.lines().filter(|line| {
                        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
                    });
                    let lines: Vec<&str> = headers.map(str::trim_end).collect();
                    let answer = format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"));
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            }
        });
        Self { answers, ends }
    }

    fn answers(&self, does: bool) {
        self.answers.store(does, Ordering::Relaxed);
    }
}

impl Drop for Pbx {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

#[test]
fn door_by_tcp_speaks_tls_only_and_asks_for_a_token() {
    let node = Node::start();
    let (status, answer) = node.curl(Some(OPERATORS), "GET", "/v1/status", "");
    assert_eq!((status, &answer["node"]), (200, &json!("edge")));
    for (token, error) in [(None, "no_token"), (Some("wrong"), "wrong_token"), (Some(&OPERATORS[1..]), "wrong_token")] {
        let (status, answer) = node.curl(token, "GET", "/v1/status", "");
        assert_eq!((status, &answer["error"]), (401, &json!(error)), "{token:?}");
    }
    let shaken = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &node.http.to_string(), "-verify_return_error", "-CAfile"]);
        command.arg(node.ca()).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("openssl can be started");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (version, works) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false)] {
        assert_eq!(shaken(&[version]).0, works, "{version}");
    }
    let (_, told) = shaken(&[]);
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let mut plain = Command::new("curl");
    plain.args(["--silent", "--max-time", "10"]).arg(format!("http://{}/v1/status", node.http));
    assert!(!plain.output().expect("curl can be started").status.success(), "no HTTP without TLS");
    let counted = until("refused requests are counted", SOON, || {
        let count = node.edge.metric("trunkway_control_refused_total");
        (count >= 3.0).then_some(count)
    });
    assert!(counted < 10.0, "{counted}");
    assert!(!node.log().contains(OPERATORS), "no secret in the log");
    node.edge.stop();
}

#[test]
fn tokens_do_what_their_scope_and_tenants_allow() {
    let node = Node::start();
    let change = |id: &str, edit: Value| json!({ "id": id, "edits": [edit] }).to_string();
    let put = |prefix: &str, tag: &str, owner: &str| json!({ "put": { "plan": "main", "prefix": prefix, "tag": tag, "owner": owner } });
    let home = "contoso.customers.example.net";
    let user =
        |tenant: &str| json!({ "put_user": { "tenant": tenant, "user": { "id": "anna", "number": "+441632760001" } } });
    let rows: Vec<(&str, &str, &str, String, u16)> = vec![
        (WATCHER, "GET", "/v1/status", String::new(), 200),
        (WATCHER, "GET", "/v1/tenants/contoso/users", String::new(), 200),
        (WATCHER, "POST", "/v1/changes", change("w", put("+44163276", home, "contoso")), 403),
        (WATCHER, "POST", "/v1/drain", String::new(), 403),
        (PORTAL, "GET", "/v1/status", String::new(), 403),
        (PORTAL, "GET", "/v1/trunks", String::new(), 403),
        (PORTAL, "GET", "/v1/health", String::new(), 403),
        (PORTAL, "POST", "/v1/keys/rotate", "{}".to_owned(), 403),
        (PORTAL, "POST", "/v1/undrain", String::new(), 403),
        (PORTAL, "GET", "/v1/tenants/contoso/users", String::new(), 200),
        (PORTAL, "GET", "/v1/tenants/fabrikam/users", String::new(), 403),
        (PORTAL, "POST", "/v1/changes", change("p1", user("contoso")), 201),
        (PORTAL, "POST", "/v1/changes", change("p2", user("fabrikam")), 403),
        // Below a rule of their own, and below one of nobody's that leads to a trunk: theirs to give.
        (PORTAL, "POST", "/v1/changes", change("p3", put("+441632761", home, "contoso")), 201),
        (PORTAL, "POST", "/v1/changes", change("p4", put("+441632770", home, home)), 201),
        (PORTAL, "POST", "/v1/changes", change("p5", put("+441632762", "carrier", "contoso")), 403),
        (PORTAL, "POST", "/v1/changes", change("p6", put("+441632763", home, "")), 403),
        (OPERATORS, "POST", "/v1/changes", change("o1", put("+4416329", "pbx1", "fabrikam")), 201),
        // A longer prefix of the same number would take it away from whose it is.
        (PORTAL, "POST", "/v1/changes", change("p7", put("+44163295[0-9]", home, "contoso")), 403),
        (PORTAL, "GET", "/v1/changes/o1", String::new(), 404),
        (PORTAL, "POST", "/v1/changes/o1/revert", json!({ "id": "p8" }).to_string(), 403),
        (PORTAL, "POST", "/v1/changes/p1/revert", json!({ "id": "p9" }).to_string(), 201),
        (OPERATORS, "GET", "/v1/changes/p1", String::new(), 200),
    ];
    for (token, method, path, body, wanted) in &rows {
        let (status, answer) = node.curl(Some(token), method, path, body);
        assert_eq!(status, *wanted, "{method} {path} {body} by {token}: {answer}");
    }
    let (_, record) = node.curl(Some(OPERATORS), "GET", "/v1/changes/p1", "");
    assert_eq!(record["who"], "token portal");
    let (_, rules) = node.curl(Some(PORTAL), "GET", "/v1/dialplans/main/rules", "");
    let owners: Vec<&str> =
        rules["rules"].as_array().unwrap().iter().map(|rule| rule["owner"].as_str().unwrap()).collect();
    assert_eq!(owners, ["contoso", "contoso", home], "theirs alone: {rules}");
    node.edge.stop();
}

#[test]
fn edge_of_another_machine_is_asked_by_url_and_token() {
    let node = Node::start();
    let folder = node.place.folder();
    let run = |url: &str, token: &str, ca: &Path| {
        let mut command = trunkway("status");
        command.args(["--json", "--url", url, "--token-file"]).arg(folder.join(token)).arg("--ca").arg(ca);
        let output = command.output().expect("trunkway can be started");
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let url = format!("https://{}", node.http);
    let (code, told) = run(&url, "operators.token", &node.ca());
    assert!(code == 0 && told.contains("\"node\": \"edge\""), "{code} {told}");
    let (code, told) = run(&url, "contoso.token", &node.ca());
    assert!(code == 1 && told.contains("not in the tenants of your token"), "{code} {told}");
    place_foreign_ca(folder);
    let (code, told) = run(&url, "operators.token", &folder.join("other/ca.pem"));
    assert_eq!(code, 69, "a certificate of an unknown authority: {told}");
    let (code, told) = run("http://127.0.0.1:1", "operators.token", &node.ca());
    assert!(code == 64 && told.contains("https://HOST:PORT"), "{code} {told}");
    node.edge.stop();
}

/// An authority that nobody here knows.
fn place_foreign_ca(folder: &Path) {
    let made =
        trunkway("certs").args(["dev", "--dir"]).arg(folder.join("other")).output().expect("trunkway can be started");
    assert!(made.status.success());
}

#[test]
fn alarm_comes_when_a_trunk_goes_down_and_goes_when_it_is_back() {
    let place = Place::new();
    certificates::make(&place);
    let http = free_port(&place);
    let pbx = Pbx::at(place.at(2));
    let edge = Edge::start(&place, &config(&place, http));
    let node = Node { edge, http, place };
    until("all is well", SOON, || (node.ask(&["health"]).0 == 0).then_some(()));
    pbx.answers(false);
    let told = until("the trunk is down", SOON, || {
        let (code, told) = node.ask(&["health"]);
        (code == 2).then_some(told)
    });
    assert!(told.starts_with("error\n") && told.contains("all 1 targets of trunk pbx1 are down"), "{told}");
    let (_, alarms) = node.ask(&["alarms", "--json"]);
    let alarms: Value = serde_json::from_str(&alarms).expect("JSON");
    let names: Vec<&str> = alarms["alarms"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{alarms}");
    assert!(names.contains(&"trunk-down") && names.contains(&"target-down"), "{alarms}");
    let (code, screen) = node.ask(&["status"]);
    assert!(code == 0 && screen.contains("error: 2 causes") && screen.contains("1 down"), "{screen}");
    pbx.answers(true);
    until("all is well again", SOON, || (node.ask(&["health"]).0 == 0).then_some(()));
    let (_, cleared) = node.ask(&["alarms", "--state", "cleared"]);
    assert_eq!(cleared.lines().count(), 3, "{cleared}");
    let log = node.log();
    let told = |what: &str| log.lines().filter(|line| line.contains(what) && line.contains("trunk-down")).count();
    assert_eq!((told("alarm: all"), told("alarm is over")), (1, 1), "each is told once:\n{log}");
    assert_eq!(node.edge.metric("trunkway_alarms"), 0.0);
    node.edge.stop();
}

#[test]
fn commands_that_find_nobody_say_so() {
    let place = Place::new();
    for words in [&["status"][..], &["health"], &["alarms"], &["trunks"]] {
        let output = trunkway(words[0]).arg("--socket").arg(place.folder().join("none.sock")).output().unwrap();
        assert_eq!(output.status.code(), Some(69), "{words:?}");
    }
}

/// The program as `tests/run` installs it, or as the machine has it.
fn schemathesis() -> Command {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    Command::new(if own.exists() { own.into_os_string() } else { "schemathesis".into() })
}

#[test]
fn endpoints_are_what_their_description_says_as_schemathesis_judges() {
    let node = Node::start();
    let (status, document) = node.curl(Some(OPERATORS), "GET", "/v1/openapi.json", "");
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let description = node.place.write("openapi.json", &document.to_string());
    // What is right by its form may still be wrong in its meaning: an unknown tag, a prefix that cannot be read.
    node.place.write(
        "schemathesis.toml",
        "[checks]\npositive_data_acceptance.expected-statuses = [\"2xx\", \"400\", \"401\", \"403\", \"404\", \"409\", \"413\"]\n",
    );
    let mut command = schemathesis();
    command
        .arg("run")
        .arg(description)
        .args(["--url", &format!("https://{}", node.http), "--tls-verify"])
        .arg(node.ca());
    command.args(["--header", &format!("Authorization: Bearer {OPERATORS}")]);
    // Wrong tokens are held back on purpose; other tests have them.
    command.args(["--checks", "all", "--exclude-checks", "ignored_auth", "--phases", "examples,coverage,fuzzing"]);
    // It has no end.
    command.args(["--exclude-path", "/v1/traces/follow"]);
    command.args(["--max-examples", &JUDGE_EXAMPLES.to_string(), "--generation-deterministic", "--workers", "1"]);
    command.args(["--max-time", &JUDGE_TIME.as_secs().to_string(), "--request-timeout", "30"]);
    command.args(["--continue-on-failure", "--suppress-health-check", "all", "--no-color"]);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", node.place.folder());
    let mut judge = Process::start("schemathesis", node.place.folder(), &mut command);
    let verdict = judge.wait(JUDGE_TIME * 4);
    let told = judge.output();
    let begin = told.find("=== FAILURES").unwrap_or(0);
    assert!(verdict.success(), "{}", &told[begin..]);
    assert!(told.contains("Tested:"), "{told}");
    node.edge.stop();
}
