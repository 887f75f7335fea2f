//! Changes at run time on the built edge: made by command while calls go on, seen by the next call, and there after the
//! process was killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long something may take that takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(30);

/// An edge with a caller, two PBXs and a Teams side, on loopback addresses that no other test uses.
struct Stage {
    edge: SocketAddr,
    caller: UdpSocket,
    /// By name: where calls may land.
    sides: [(&'static str, UdpSocket); 3],
    directory: tempfile::TempDir,
    process: Option<Child>,
}

impl Stage {
    fn new() -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let stage = STAGES.fetch_add(1, Ordering::Relaxed) as u8;
        let [low, high, ..] = std::process::id().to_le_bytes();
        let host = |last: u8| SocketAddr::from((Ipv4Addr::new(127, 200 + high % 32, low, stage * 8 + last), 5060));
        let socket = |last: u8| UdpSocket::bind(host(last)).expect("an address of this test alone");
        let side = |name, last: u8| {
            let socket = socket(last);
            socket.set_nonblocking(true).expect("a socket");
            (name, socket)
        };
        let (edge, caller) = (host(1), socket(2));
        let sides = [side("pbx1", 3), side("pbx2", 4), side("teams", 5)];
        let directory = tempfile::tempdir().expect("a directory");
        let mut stage = Self { edge, caller, sides, directory, process: None };
        fs::write(stage.path("edge.toml"), stage.config()).expect("a file");
        stage.start();
        stage
    }

    fn config(&self) -> String {
        let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
        let mut text = format!(
            "[node]\nname = \"changes\"\nfqdn = \"edge.example\"\nworkers = 2\n\
             [state]\ndir = \"state\"\n[control]\nsocket = \"control.sock\"\n\
             [[listen]]\nname = \"udp\"\nbind = \"udp:{}\"\nsockets = 1\n\
             [trunk.caller]\nkind = \"carrier\"\nlisten = \"udp\"\ntargets = [\"udp:{}\"]\n",
            self.edge,
            address(&self.caller),
        );
        for (name, socket) in &self.sides {
            let kind = name.trim_end_matches(['1', '2']);
            let address = address(socket);
            text += &format!("[trunk.{name}]\nkind = \"{kind}\"\nlisten = \"udp\"\ntargets = [\"udp:{address}\"]\n");
        }
        text + "[dialplan.main]\nrules = [{ prefix = \"1\", tag = \"pbx1\", owner = \"acme\" }]\n\
                [tenant.acme]\ncountry = \"GB\"\n\
                [[tenant.acme.site]]\nfqdn = \"sbc1.acme.example\"\nteams = \"teams\"\ntrunk = \"pbx1\"\n\
                [[tenant.acme.user]]\nid = \"anna\"\nnumber = \"+441632768402\"\nlives = \"teams\"\n"
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_trunkway"))
            .args(["run", "--log", "warn", "--config"])
            .arg(self.path("edge.toml"))
            .stdin(Stdio::null())
            .spawn()
            .expect("the daemon");
        self.process = Some(child);
        until("the edge answers", || self.command(&["tenants", "list"]).status.success().then_some(()));
    }

    /// Ends the process as a power cut would.
    fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("its end");
        }
    }

    fn command(&self, line: &[&str]) -> Output {
        let config = self.path("edge.toml");
        let config = config.to_str().expect("a path");
        let output = Command::new(env!("CARGO_BIN_EXE_trunkway")).args(line).args(["--config", config]).output();
        output.expect("a command")
    }

    /// What a command says as JSON.
    fn json(&self, line: &[&str]) -> Value {
        let output = self.command(&[line, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).expect("JSON")
    }

    /// The exit code of a command, and what it says on standard error.
    fn refused(&self, line: &[&str]) -> (i32, String) {
        let output = self.command(line);
        (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Calls a number and tells where the call lands; the callee is busy.
    fn call(&self, uri: &str) -> &'static str {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let call = format!("{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
        let own = self.caller.local_addr().expect("an address");
        // Teams takes no call without an offer.
        let offer =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n";
        let invite = format!(
            "INVITE sip:{uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:+441632000000@caller.example>;tag={call}\r\nTo: <sip:{uri}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
            offer.len(),
        );
        let mut sent = Instant::now() - SOON;
        until("the call lands", || {
            // As RFC 3261 has it for UDP: the edge may not have been reading yet.
            if sent.elapsed() > Duration::from_secs(1) {
                self.caller.send_to(invite.as_bytes(), self.edge).expect("sent");
                sent = Instant::now();
            }
            self.sides.iter().find_map(|(name, socket)| landed(socket, &call).then_some(*name))
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads what has come; whether the call is among it, which is then refused as busy.
fn landed(socket: &UdpSocket, call: &str) -> bool {
    let mut buffer = [0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.starts_with("INVITE ") {
            continue;
        }
        let kept = |line: &&str| {
            ["via:", "from:", "to:", "call-id:", "cseq:"].iter().any(|name| line.to_ascii_lowercase().starts_with(name))
        };
        let lines: Vec<&str> = text.lines().filter(kept).collect();
        let answer = format!("SIP/2.0 486 Busy Here\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"));
        socket.send_to(answer.as_bytes(), from).expect("sent");
        if text.contains(call) {
            return true;
        }
    }
    false
}

/// Asks again and again until there is an answer.
fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).expect("a file");
}

#[test]
fn rule_made_by_command_is_seen_by_the_next_call_and_kept_over_a_kill() {
    let mut stage = Stage::new();
    assert_eq!(stage.call("1234@edge.example"), "pbx1");
    let made = stage.json(&["rules", "add", "main", "12", "pbx2", "--owner", "acme", "--id", "move", "--who", "anna"]);
    assert_eq!((&made["revision"], &made["changes"][0]["new"]["tag"]), (&json!(1), &json!("pbx2")));
    assert!(made["who"].as_str().expect("a name").starts_with("anna (uid "), "{made}");
    assert_eq!(stage.call("1234@edge.example"), "pbx2");
    assert_eq!(stage.call("1334@edge.example"), "pbx1");
    let found = stage.json(&["rules", "find", "main", "1234"]);
    assert_eq!((&found["prefix"], &found["change"]), (&json!("12"), &json!("move")));
    let socket = stage.path("control.sock");
    let socket = socket.to_str().expect("a path");
    let route = ["route", "--from-trunk", "caller", "--called", "1234"];
    assert_eq!(stage.json(&[&route[..], &["--socket", socket]].concat())["targets"][0]["trunk"], "pbx2");
    assert_eq!(stage.json(&route)["targets"][0]["trunk"], "pbx1", "the configuration alone has no changes");

    stage.kill();
    assert_eq!(stage.refused(&["rules", "list", "main"]).0, 69, "nobody answers");
    stage.start();
    assert_eq!(stage.call("1234@edge.example"), "pbx2");
    let list = stage.json(&["rules", "list", "main"]);
    let rules: Vec<&Value> = list["rules"].as_array().expect("a list").iter().map(|rule| &rule["tag"]).collect();
    assert_eq!(rules, ["pbx1", "pbx2"]);
    let again = stage.json(&["rules", "add", "main", "12", "pbx1", "--owner", "acme", "--id", "move"]);
    assert_eq!(again, made, "the id is known over the kill");
    stage.json(&["rules", "revert", "move", "--id", "back"]);
    assert_eq!(stage.call("1234@edge.example"), "pbx1");
    let changes = stage.json(&["rules", "changes"]);
    assert_eq!(
        (&changes[0]["id"], &changes[0]["reverts"], &changes[1]["id"]),
        (&json!("back"), &json!("move"), &json!("move"))
    );
    let (code, text) = stage.refused(&["rules", "revert", "move"]);
    assert_eq!((code, text.contains("has changed since")), (1, true), "{text}");
    let (code, text) = stage.refused(&["rules", "add", "main", "12", "nowhere"]);
    assert_eq!((code, text.contains("neither a site's FQDN nor a trunk")), (64, true), "{text}");
}

#[test]
fn users_move_one_by_one_and_a_tenant_goes_in_one_change() {
    let mut stage = Stage::new();
    let anna = "+441632768402@sbc1.acme.example";
    assert_eq!(stage.call(anna), "teams");
    stage.json(&["users", "set-lives", "acme", "anna", "pbx"]);
    assert_eq!(stage.call(anna), "pbx1");
    stage.json(&["users", "put", "acme", "bob", "--number", "+441632768403", "--lives", "pbx"]);
    assert_eq!(stage.call("+441632768403@sbc1.acme.example"), "pbx1");
    let text = String::from_utf8(stage.command(&["users", "list", "acme"]).stdout).expect("text");
    assert!(text.lines().count() == 3 && text.contains("anna") && text.contains("bob"), "{text}");
    let batch = stage.path("batch.json");
    write(
        &batch,
        &json!({ "id": "both", "edits": [
        { "set_lives": { "tenant": "acme", "user": "anna", "lives": "teams" } },
        { "remove_user": { "tenant": "acme", "user": "nobody" } },
    ] }),
    );
    let (code, text) = stage.refused(&["rules", "apply", batch.to_str().expect("a path")]);
    assert_eq!((code, text.contains("has no user `nobody`")), (1, true), "{text}");
    assert_eq!(stage.call(anna), "pbx1", "all of a batch or nothing");

    stage.json(&["tenants", "remove", "acme", "--id", "gone"]);
    assert_eq!(stage.json(&["rules", "list", "main"])["rules"], json!([]));
    assert_eq!(stage.json(&["tenants", "list"])["tenants"][0]["removed"], true);
    assert_eq!(stage.refused(&["users", "list", "acme"]).0, 1);
    stage.kill();
    stage.start();
    assert_eq!(stage.json(&["tenants", "list"])["tenants"][0]["removed"], true);
    stage.json(&["rules", "revert", "gone"]);
    assert_eq!(stage.call(anna), "pbx1");
    assert_eq!(stage.call("1234@edge.example"), "pbx1");
}

#[test]
fn calls_go_on_while_many_clients_change_and_the_process_dies_among_them() {
    let mut stage = Stage::new();
    let (stop, sure) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (stage, stop, sure) = (&stage, &stop, &sure);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (prefix, id) = (format!("9{client}{number:04}"), format!("{client}-{number}"));
                    let made = stage.json(&["rules", "add", "main", &prefix, "pbx2", "--id", &id]);
                    assert_eq!(made["id"], json!(id));
                    sure.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..20 {
            assert_eq!(stage.call("1234@edge.example"), "pbx1");
        }
        until("some changes", || (sure.load(Ordering::Relaxed) >= 12).then_some(()));
        stop.store(true, Ordering::Relaxed);
    });
    let sure = sure.into_inner();
    stage.kill();
    stage.start();
    let list = stage.json(&["rules", "list", "main", "--all", "--tag", "pbx2"]);
    assert_eq!(list["rules"].as_array().expect("a list").len() as u64, sure, "what was confirmed is there");
    assert_eq!(stage.call("9200001@edge.example"), "pbx2");
}
