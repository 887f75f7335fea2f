//! Lines E8 to E10: OPTIONS both ways, what is known of each data centre, and what becomes of one that goes away.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkway::config;
use trunkway::daemon::{Daemon, TargetStatus};
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::{Endpoint, Ladder, Profile, Script, Transport, TrunkStatus};

use crate::stage::{CENTRE, EDGE, NAMES, OWN, Plan, SHARED, Stage, message};
use crate::support::process::Process;
use crate::support::{SOON, until as until_blocking};

const LIMIT: Duration = SOON;
const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn free_port() -> SocketAddr {
    TcpListener::bind((HOME, 0)).unwrap().local_addr().unwrap()
}

/// Waits until the targets of the Teams trunk are as wanted.
fn until_targets(stage: &Stage, what: &str, ready: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    tokio::task::block_in_place(|| {
        until_blocking(what, LIMIT, || {
            let (targets, _) = stage.trunk();
            ready(&targets).then_some(targets)
        })
    })
}

const GOOD: &str = "answered OPTIONS with 200";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e08_options_go_to_each_name_with_all_that_teams_asks_of_them() {
    let stage = Stage::new(Plan { centres: 3, ..Plan::default() }).await;
    for (teams, name) in stage.teams.iter().zip(NAMES) {
        let active = teams.journal().wait(LIMIT, |journal| {
            journal.trunk(EDGE).filter(|trunk| trunk.status == TrunkStatus::Active && trunk.received >= 3)
        });
        assert!(active.await.is_some(), "{:?}", teams.journal().trunk(EDGE));
        let captured = teams.journal().captured();
        let times: Vec<Duration> =
            captured.iter().filter(|one| !one.sent && one.text.starts_with("OPTIONS")).map(|one| one.at).collect();
        let gaps: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        // Once a second in this configuration, somewhat sooner or later by chance, and as late as a busy machine makes it.
        assert!(gaps.iter().all(|gap| *gap > 600), "{gaps:?}");
        for one in captured.iter().filter(|one| !one.sent && one.text.starts_with("OPTIONS")) {
            let options = message(one);
            let port = stage.place.tls_at(1).port();
            assert_eq!(options.uri(), Some(&*format!("sip:{name}:{port};transport=tls")));
            assert_eq!(options.list("Contact"), [format!("<sip:{EDGE}:{port};transport=tls>")]);
            for method in ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY"] {
                assert!(options.list("Allow").iter().any(|listed| listed == method), "{}", one.text);
            }
            assert!(options.value("X-MS-SBC").is_some_and(|value| value.split('/').count() == 3), "{}", one.text);
        }
        // The answers that made it "up" have neither a To tag nor a Contact.
        let answers: Vec<_> =
            captured.iter().filter(|one| one.sent && one.text.starts_with("SIP/2.0 200")).map(message).collect();
        assert!(answers.len() >= 3 && answers.iter().all(|answer| answer.tag("To").is_none()));
        assert!(answers.iter().all(|answer| answer.list("Contact").is_empty()));
    }
    let targets = until_targets(&stage, "all are up", |targets| targets.iter().all(|one| one["reason"] == GOOD));
    assert_eq!(targets.len(), 3);
    // Names of tenants inherit the carrier's health: nobody asks for them.
    let names: Vec<String> =
        stage.teams.iter().flat_map(|teams| teams.journal().trunks()).map(|trunk| trunk.fqdn).collect();
    assert_eq!(names, [EDGE; 3]);
    stage.finish();
}

#[test]
fn e08_a_minute_is_what_teams_wants() {
    let folder = tempfile::tempdir().unwrap();
    let load = |keys: &str| {
        let text = format!(
            "[node]\nname = 'edge'\nseal_key_file = 'k'\n[[listen]]\nname = 'teams'\nbind = 'udp:127.0.0.1:5060'\n\
             [trunk.teams]\nkind = 'teams'\nlisten = 'teams'\nfqdn = 'sbc.example.net'\ntargets = ['127.0.0.9']\n{keys}\
             [emergency]\nnumbers = ['112']\n"
        );
        let loaded = config::load_str("edge.toml", &text, folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
        (loaded.config.trunk_health[0].interval, loaded.warnings.to_string())
    };
    let (usual, said) = load("");
    assert_eq!(usual, Some(Duration::from_secs(60)));
    assert!(!said.contains("once a minute"), "{said}");
    let (other, said) = load("options_interval_s = 300\n");
    assert_eq!(other, Some(Duration::from_secs(300)));
    assert!(said.contains("Teams wants to be asked once a minute"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e09_options_of_teams_are_answered_at_once_however_full_the_edge_is() {
    let stage = Stage::new(Plan {
        more: "[limits]\nmax_transactions = 100\n".into(),
        pbx: |pbx| pbx.scripts = std::mem::take(&mut pbx.scripts).with_other(Script::ring()),
        ..Plan::default()
    })
    .await;
    let teams = &stage.teams[0];
    // More calls than the edge takes: they ring until they are taken back.
    let calls = (0..130).map(|index| {
        let mut plan = stage.to_pbx(0, &format!("+4416329601{index:02}"));
        plan.cancel_after = Some(Duration::from_secs(3));
        teams.call(plan)
    });
    let calls = futures_join(calls);
    let options = async {
        // Once it is full.
        let full = teams
            .journal()
            .wait(LIMIT, |journal| journal.calls().iter().any(|call| call.code == Some(503)).then_some(()));
        assert!(full.await.is_some(), "the edge never was full");
        let host = format!("{EDGE}:{}", stage.place.tls_at(1).port());
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let began = Instant::now();
            let answer = teams.options(stage.outside(EDGE), &host, Duration::from_secs(4)).await;
            assert_eq!(answer, Ok(200));
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (records, slowest) = tokio::join!(calls, options);
    assert!(
        records.iter().any(|record| record.code == Some(487)) && records.iter().any(|record| record.code == Some(503))
    );
    assert!(slowest < Duration::from_secs(2), "the slowest took {slowest:?}");
    // Contact, Allow and the product in them are judged by the stand-in, which has nothing to say of them.
    let complaints: Vec<String> = stage.complaints().into_iter().filter(|text| text.contains("OPTIONS")).collect();
    assert_eq!(complaints, [""; 0]);
    tokio::task::block_in_place(|| stage.edge.stop());
}

/// All of them at once.
async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        match waiting.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(waiting.iter_mut().filter_map(|(_, done)| done.take()).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_each_data_centre_has_a_state_of_its_own_with_a_reason_and_times() {
    let mut stage =
        Stage::new(Plan { centres: 2, teams_keys: "options_timeout_ms = 700\n".into(), ..Plan::default() }).await;
    // The third takes the connection and says nothing.
    let mut command = Command::new("openssl");
    let at = stage.place.tls_at(CENTRE + 2).to_string();
    command.args(["s_server", "-accept", &at, "-Verify", "3", "-CAfile", "certs/ca.pem", "-quiet"]);
    command.args(["-cert", "certs/teams.pem", "-key", "certs/teams.key"]);
    let mute = Process::start_with("s_server", stage.place.folder(), command.stdin(Stdio::piped()));
    let targets = until_targets(&stage, "two are up and one is down", |targets| {
        targets[0]["reason"] == GOOD
            && targets[1]["reason"] == GOOD
            && targets[2]["reason"].as_str().unwrap().contains("without an answer")
            && targets[2]["state"] == "down"
    });
    assert_eq!((&targets[0]["state"], &targets[1]["state"]), (&json!("up"), &json!("up")));
    assert!(targets[0]["answered_s"].is_u64() && targets[2]["answered_s"].is_null(), "{targets:?}");
    let log = std::fs::read_to_string(stage.place.folder().join("edge.log")).unwrap();
    let alarm = log
        .lines()
        .find(|line| line.contains("target is down") && line.contains(NAMES[2]) && line.contains("2 times in a row"));
    assert!(alarm.is_some(), "the alarm comes after two: {log}");
    drop(mute);
    // Its own OPTIONS, which is all that Teams goes by, are counted and dated.
    let (_, trunk) = stage.trunk();
    assert!(
        trunk["options_received"].as_u64().unwrap() >= 1 && trunk["options_received_s"].as_u64().unwrap() < 30,
        "{trunk}"
    );
    tokio::task::block_in_place(|| {
        let page = stage.edge.page();
        for series in [
            format!(
                "trunkway_target_up{{trunk=\"teams\",target=\"tls:{}:{}\"}} 1",
                NAMES[0],
                stage.place.tls_at(1).port()
            ),
            "trunkway_options_received_total{trunk=\"teams\"}".to_owned(),
            "trunkway_options_received_timestamp_seconds{trunk=\"teams\"} 1".to_owned(),
            "trunkway_certificate_expiry_seconds{".to_owned(),
        ] {
            assert!(page.contains(&series), "no {series} in {page}");
        }
    });
    // A data centre that goes away is known at once by its connection, and its calls go to the next.
    stage.teams.remove(0).stop().await;
    let targets = until_targets(&stage, "the first is down", |targets| targets[0]["state"] == "down");
    let reason = targets[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("OPTIONS could not be sent: the connection was refused"), "{reason}");
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    assert_eq!(stage.teams[0].journal().calls().len(), 1);
    let back = stage.start_centre(0).await;
    until_targets(&stage, "the first is back", |targets| targets[0]["state"] == "up");
    stage.teams.push(back);
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_an_edge_that_shows_a_name_outside_its_certificate_learns_what_teams_says_of_it() {
    let stage = Stage::new(Plan { profile: Profile::Lenient, ..Plan::default() }).await;
    let stage =
        stage.kill_and_start(|config| config.replace(&format!("fqdn = \"{EDGE}\""), "fqdn = \"other.example.org\""));
    until_targets(&stage, "it says 403", |targets| targets[0]["reason"] == "answered OPTIONS with 403");
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e02_a_data_centre_with_a_wrong_certificate_is_down_and_the_reason_says_so() {
    let stage = Stage::new(Plan { centres: 0, ..Plan::default() }).await;
    for name in ["pem", "key"] {
        let certs = stage.place.folder().join("certs");
        std::fs::copy(certs.join(format!("wrong-name.{name}")), certs.join(format!("teams.{name}"))).unwrap();
    }
    let _wrong = stage.start_centre(0).await;
    let targets = until_targets(&stage, "it is down by TLS", |targets| {
        targets[0]["reason"].as_str().unwrap().starts_with("OPTIONS could not be sent: the TLS handshake failed")
    });
    assert_eq!(targets[0]["state"], "down");
    let record = stage.pbxs[0].call(stage.to_teams(OWN[0])).await;
    assert_ne!(record.code, Some(200), "nor are calls sent there");

    tokio::task::block_in_place(|| stage.edge.stop());
}

/// Waits until the targets are as wanted.
async fn until(edge: &Daemon, what: &str, ready: impl Fn(&[TargetStatus]) -> bool) -> Vec<TargetStatus> {
    let search = async {
        loop {
            let targets = edge.targets();
            if ready(&targets) {
                return targets;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(LIMIT, search).await {
        Ok(targets) => targets,
        Err(_) => panic!("{what}: {:#?}", edge.targets()),
    }
}

/// What a command to a running edge prints.
async fn command(line: &[&str], socket: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkway"));
    command.args(line).arg("--socket").arg(socket);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same as JSON.
async fn said(line: &[&str], socket: &Path) -> Value {
    serde_json::from_str(&command(&[line, &["--json"]].concat(), socket).await).unwrap()
}

/// The status that the control socket tells.
async fn status(socket: &Path) -> Value {
    let socket = socket.to_owned();
    let ask = move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_by_the_control_socket_which_target_is_down_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let listen = Endpoint { transport: Transport::Tcp, addr: SocketAddr::from((HOME, 0)) };
    let pbx = pbx::start(PbxSettings::new("PBX", vec![listen]), &Ladder::new(100)).await.unwrap();
    let alive = pbx.endpoint(Transport::Tcp).unwrap().addr;
    let (dead, inside) = (free_port(), free_port());
    let text = format!(
        r#"
[node]
name = "edge"
fqdn = "{EDGE}"
[control]
socket = "control.sock"
[[listen]]
name = "inside"
bind = "tcp:{inside}"
[trunk.caller]
kind = "carrier"
listen = "inside"
targets = ["tcp:127.0.0.2:9"]
[trunk.pair]
kind = "pbx"
listen = "inside"
targets = ["tcp:{dead}", "tcp:{alive}"]
options_interval_s = 1
[dialplan.main]
rules = [{{ prefix = "1", tag = "caller" }}]
"#
    );
    let loaded = config::load_str("t.toml", &text, folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut edge = Daemon::bind(loaded).await.unwrap();
    edge.run();
    let socket = folder.path().join("control.sock");
    until(&edge, "one is up and one is down", |targets| {
        let of = |target: &str| targets.iter().find(|it| it.target == target).unwrap();
        let (alive, dead) = (of(&format!("tcp:{alive}")), of(&format!("tcp:{dead}")));
        alive.reason == "answered OPTIONS with 200" && dead.state.word() == "down"
    })
    .await;
    // The edge of after the change goes on with what was known before it.
    said(&["rules", "add", "main", "2", "pair"], &socket).await;
    let route = ["route", "--from-trunk", "caller", "--called", "200"];
    let told = said(&route, &socket).await;
    let health: Vec<&Value> = told["targets"].as_array().unwrap().iter().map(|target| &target["health"]).collect();
    let refused = "OPTIONS could not be sent: the connection was refused";
    assert_eq!(health.len(), 2, "{told}");
    assert_eq!((&health[0]["state"], &health[0]["reason"]), (&json!("up"), &json!("answered OPTIONS with 200")));
    assert_eq!(health[1]["state"], "down", "it is tried last: {told}");
    assert_eq!(told["targets"][1]["target"], format!("tcp:{dead}"));
    assert!(health[1]["reason"].as_str().unwrap().starts_with(refused), "{told}");
    assert!(health[1]["for_s"].as_u64().unwrap() < LIMIT.as_secs(), "{told}");
    let words = command(&route, &socket).await;
    let line = |target: SocketAddr| {
        words.lines().find(|line| line.contains(&target.to_string())).unwrap_or_else(|| panic!("{target}: {words}"))
    };
    assert!(line(dead).contains("down for ") && line(dead).contains(refused), "{words}");
    assert!(line(alive).contains("up for "), "{words}");
    let quiet = said(&["route", "--from-trunk", "pair", "--called", "100"], &socket).await;
    assert_eq!(quiet["targets"][0].get("health"), None, "nothing is known of who was never asked: {quiet}");

    let page = said(&["trunks"], &socket).await;
    let names: Vec<&Value> = page["trunks"].as_array().unwrap().iter().map(|trunk| &trunk["name"]).collect();
    assert_eq!(names, ["caller", "pair"]);
    assert_eq!(page["next"], Value::Null);
    let pair = &page["trunks"][1];
    let (first, second) = (&pair["targets"][0], &pair["targets"][1]);
    assert_eq!((&pair["kind"], &first["target"]), (&json!("pbx"), &json!(format!("tcp:{dead}"))));
    assert_eq!(
        (&first["state"], &first["asked"], &first["round_trip_ms"]),
        (&json!("down"), &json!(true), &Value::Null)
    );
    assert!(second["round_trip_ms"].is_u64() && second["answered_s"].is_u64(), "{page}");
    assert!(first["since"].as_u64().unwrap() > 1_600_000_000_000, "{page}");
    let table = command(&["trunks"], &socket).await;
    assert!(table.lines().any(|line| line.contains(&format!("tcp:{dead}")) && line.contains(refused)), "{table}");
    let targets = &status(&socket).await["targets"];
    assert_eq!((&targets["up"], &targets["suspect"], &targets["down"]), (&json!(2), &json!(0), &json!(1)));
    assert_eq!(targets["not_up"][0]["target"], format!("tcp:{dead}"));
    edge.stop().await;
    pbx.stop().await;
}
