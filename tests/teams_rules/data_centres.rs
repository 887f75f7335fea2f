//! The daemon between stand-ins of the lab: its OPTIONS over TLS to Teams, which checks them as Microsoft does, and
//! what becomes of a data centre that goes away.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkway::config;
use trunkway::daemon::{Daemon, TargetStatus};
use trunkway::lab::certificates::Authority;
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::{Agent, CallPlan, Destination, Endpoint, Ladder, Names, TlsSettings, Transport};

const EDGE_NAME: &str = "sbc.example.net";
const LIMIT: Duration = Duration::from_secs(30);
const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn free_port() -> SocketAddr {
    TcpListener::bind((HOME, 0)).unwrap().local_addr().unwrap()
}

/// Certificates, ports, and the edge's files.
struct Stage {
    authority: Authority,
    folder: TempDir,
    teams_tls: TlsSettings,
    teams: [SocketAddr; 2],
    edge_tls: SocketAddr,
    inside: SocketAddr,
    ladder: Ladder,
}

impl Stage {
    fn new() -> Self {
        let authority = Authority::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let edge = authority.edge(&[EDGE_NAME]).unwrap();
        let microsoft = authority.teams(&["sip.pstnhub.microsoft.com", "127.0.0.1"]).unwrap();
        for (name, text) in [("ca.pem", authority.pem()), ("edge.pem", &edge.certificate), ("edge.key", &edge.key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let teams_tls =
            TlsSettings { ca: authority.pem().to_owned(), certificate: microsoft.certificate, key: microsoft.key };
        Self {
            authority,
            folder,
            teams_tls,
            teams: [free_port(), free_port()],
            edge_tls: free_port(),
            inside: free_port(),
            ladder: Ladder::new(1_000),
        }
    }

    /// A data centre of Teams, which sends OPTIONS of its own once the edge's have come.
    async fn data_centre(&self, index: usize) -> Agent {
        let listen = Endpoint { transport: Transport::Tls, addr: self.teams[index] };
        let names = Names::default().with(EDGE_NAME, HOME.into());
        let mut settings = TeamsSettings::new(listen, self.teams_tls.clone(), names);
        settings.options_every = Some(Duration::from_millis(500));
        settings.name = format!("Teams {index}");
        teams::start(settings, &self.ladder).await.unwrap()
    }

    /// The edge, which shows itself to Teams by the name `fqdn`.
    async fn edge(&self, fqdn: &str, pbx: SocketAddr) -> Daemon {
        let [first, second] = self.teams;
        let (inside, edge_tls) = (self.inside, self.edge_tls);
        let text = format!(
            r#"
[node]
name = "edge"
fqdn = "{fqdn}"
[[listen]]
name = "inside"
bind = "udp:{inside}"
[[listen]]
name = "teams"
bind = "tls:{edge_tls}"
certificate = "edge.pem"
key = "edge.key"
client_ca = "ca.pem"
[tls_client]
ca = "ca.pem"
certificate = "edge.pem"
key = "edge.key"
[trunk.teams]
kind = "teams"
listen = "teams"
targets = ["tls:{first}", "tls:{second}"]
peer_names = ["sip.pstnhub.microsoft.com"]
options_interval_s = 1
no_answer_ms = 60000
[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{pbx}"]
[[route]]
from = "pbx"
to = ["teams"]
[limits]
tls_handshake_timeout_ms = 60000
"#
        );
        let loaded = config::load_str("t.toml", &text, self.folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
        let mut daemon = Daemon::bind(loaded).await.unwrap();
        daemon.run();
        daemon
    }
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

async fn phone(stage: &Stage) -> (Agent, SocketAddr) {
    let listen = Endpoint { transport: Transport::Udp, addr: SocketAddr::from((HOME, 0)) };
    let agent = pbx::start(PbxSettings::new("PBX", vec![listen]), &stage.ladder).await.unwrap();
    let at = agent.endpoint(Transport::Udp).unwrap().addr;
    (agent, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e08_e09_options_go_to_each_data_centre_and_its_own_are_answered() {
    let stage = Stage::new();
    let centres = [stage.data_centre(0).await, stage.data_centre(1).await];
    let (pbx, at) = phone(&stage).await;
    let edge = stage.edge(EDGE_NAME, at).await;
    for centre in &centres {
        let answered = centre.journal().wait(LIMIT, |journal| {
            let count = journal.options();
            // Ours came more than once, and its own, which follow them, were answered.
            (count.received >= 3 && count.answered >= 2).then_some(())
        });
        assert!(answered.await.is_some(), "{:?}", centre.journal().options());
        assert_eq!(centre.journal().complaints(), []);
    }
    let targets = edge.targets();
    let teams: Vec<_> = targets.iter().filter(|target| target.trunk == "teams").collect();
    assert_eq!(teams.len(), 2);
    for target in teams {
        assert_eq!(
            (target.state.word(), target.reason.as_str(), target.asked),
            ("up", "answered OPTIONS with 200", true)
        );
        assert!(target.round_trip_ms.is_some() && target.answered_s.is_some());
    }
    let pbx_status = targets.iter().find(|target| target.trunk == "pbx").unwrap();
    assert_eq!((pbx_status.asked, pbx_status.reason.as_str()), (false, "nothing heard of it yet"));
    edge.stop().await;
    pbx.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_e22_a_data_centre_that_goes_away_is_down_with_a_reason_and_calls_go_to_the_next_at_once() {
    let stage = Stage::new();
    let first = stage.data_centre(0).await;
    let second = stage.data_centre(1).await;
    let (pbx, at) = phone(&stage).await;
    let edge = stage.edge(EDGE_NAME, at).await;
    until(&edge, "both are up", |targets| {
        targets.iter().filter(|target| target.reason == "answered OPTIONS with 200").count() == 2
    })
    .await;
    first.stop().await;
    let targets = until(&edge, "the first is down", |targets| targets[0].state.word() == "down").await;
    assert_eq!(targets[0].reason, "OPTIONS could not be sent: the connection was refused");
    assert_eq!(targets[1].state.word(), "up");
    // Whoever tries the first now waits for longer than the call may take.
    let mute = TcpListener::bind(stage.teams[0]).unwrap();
    let to = Destination { endpoint: Endpoint { transport: Transport::Udp, addr: stage.inside }, name: None };
    let host = stage.inside.to_string();
    let plan = CallPlan {
        hang_up_after: Some(Duration::from_millis(100)),
        ..CallPlan::new("+441632960001", "+441632960002", &host, to)
    };
    let call = pbx.call(plan).await;
    assert!(call.finished && call.error.is_none(), "{call:?}");
    assert_eq!(second.journal().calls().len(), 1);
    drop(mute);
    let _first = stage.data_centre(0).await;
    until(&edge, "the first is back", |targets| targets[0].state.word() == "up").await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_shows_a_name_outside_its_certificate_learns_what_teams_says_of_it() {
    let stage = Stage::new();
    let centre = stage.data_centre(0).await;
    let (_pbx, at) = phone(&stage).await;
    let edge = stage.edge("other.example.org", at).await;
    until(&edge, "it says 403", |targets| targets[0].reason == "answered OPTIONS with 403").await;
    assert_eq!(centre.journal().options().sent, 0, "Teams asks nobody whom it does not know");
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_centre_with_a_wrong_certificate_is_down_and_the_reason_says_so() {
    let mut stage = Stage::new();
    let wrong = stage.authority.teams(&["elsewhere.example"]).unwrap();
    stage.teams_tls.certificate = wrong.certificate;
    stage.teams_tls.key = wrong.key;
    let _centre = stage.data_centre(0).await;
    let (_pbx, at) = phone(&stage).await;
    let edge = stage.edge(EDGE_NAME, at).await;
    let targets = until(&edge, "it is down", |targets| targets[0].state.word() == "down").await;
    assert_eq!(targets[0].reason, "OPTIONS could not be sent: the TLS handshake failed");
    edge.stop().await;
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
    let stage = Stage::new();
    let listen = Endpoint { transport: Transport::Tcp, addr: SocketAddr::from((HOME, 0)) };
    let pbx = pbx::start(PbxSettings::new("PBX", vec![listen]), &stage.ladder).await.unwrap();
    let alive = pbx.endpoint(Transport::Tcp).unwrap().addr;
    let (dead, inside) = (free_port(), stage.inside);
    let text = format!(
        r#"
[node]
name = "edge"
fqdn = "{EDGE_NAME}"
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
    let loaded = config::load_str("t.toml", &text, stage.folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut edge = Daemon::bind(loaded).await.unwrap();
    edge.run();
    let socket = stage.folder.path().join("control.sock");
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
