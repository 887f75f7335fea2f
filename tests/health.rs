//! The daemon between stand-ins of the lab: its OPTIONS over TLS to Teams, which checks them as Microsoft does, and
//! what becomes of a data centre that goes away.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

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
        assert_eq!((target.state, target.reason.as_str(), target.asked), ("up", "answered OPTIONS with 200", true));
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
    let targets = until(&edge, "the first is down", |targets| targets[0].state == "down").await;
    assert_eq!(targets[0].reason, "OPTIONS could not be sent: the connection was refused");
    assert_eq!(targets[1].state, "up");
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
    until(&edge, "the first is back", |targets| targets[0].state == "up").await;
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
    let targets = until(&edge, "it is down", |targets| targets[0].state == "down").await;
    assert_eq!(targets[0].reason, "OPTIONS could not be sent: the TLS handshake failed");
    edge.stop().await;
}
