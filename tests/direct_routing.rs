//! Owned legs before a Teams that takes nothing but what Microsoft's does: two tenants with the same number on one
//! listener, calls both ways, and not a word of complaint.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use trunkway::config;
use trunkway::daemon::Daemon;
use trunkway::lab::certificates::Authority;
use trunkway::lab::direct_routing::{Profile, Tenant};
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::{Agent, CallPlan, Destination, Endpoint, Ladder, Names, Role, TlsSettings, Transport};

const EDGE: &str = "sbc.customers.example.net";
const TENANTS: [&str; 2] = ["contoso.customers.example.net", "fabrikam.customers.example.net"];
/// A number that both tenants have.
const NUMBER: &str = "+441632768402";
const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PBXS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
const SOON: Duration = Duration::from_secs(20);

fn free_port() -> SocketAddr {
    TcpListener::bind((HOME, 0)).unwrap().local_addr().unwrap()
}

struct Stage {
    _folder: tempfile::TempDir,
    teams: Agent,
    pbxs: Vec<Agent>,
    edge: Daemon,
    edge_tls: SocketAddr,
    inside: SocketAddr,
}

impl Stage {
    async fn new(profile: Profile) -> Self {
        let authority = Authority::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = authority.edge(&["*.customers.example.net"]).unwrap();
        let microsoft = authority.teams(&["sip.pstnhub.microsoft.com", "127.0.0.1"]).unwrap();
        for (name, text) in [("ca.pem", authority.pem()), ("edge.pem", &own.certificate), ("edge.key", &own.key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let tls =
            TlsSettings { ca: authority.pem().to_owned(), certificate: microsoft.certificate, key: microsoft.key };
        let (teams_at, edge_tls, inside) = (free_port(), free_port(), free_port());
        let ladder = Ladder::new(2_000);
        let names = Names::default().with("*.customers.example.net", HOME.into());
        let mut settings = TeamsSettings::new(Endpoint { transport: Transport::Tls, addr: teams_at }, tls, names);
        settings.profile = profile;
        let customers = TENANTS.map(|name| Tenant::new(name, Some(&[NUMBER])));
        settings.tenants = customers.into_iter().chain([Tenant::new(EDGE, Some(&[]))]).collect();
        let teams = teams::start(settings, &ladder).await.unwrap();
        let mut pbxs = Vec::new();
        for (index, ip) in PBXS.into_iter().enumerate() {
            let at = Endpoint { transport: Transport::Udp, addr: SocketAddr::from((ip, 0)) };
            pbxs.push(pbx::start(PbxSettings::new(&format!("PBX {index}"), vec![at]), &ladder).await.unwrap());
        }
        let text = config_text(teams_at, edge_tls, inside, &pbxs);
        let loaded = config::load_str("edge.toml", &text, folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
        let mut edge = Daemon::bind(loaded).await.unwrap();
        edge.run();
        Self { _folder: folder, teams, pbxs, edge, edge_tls, inside }
    }
}

fn config_text(teams: SocketAddr, edge_tls: SocketAddr, inside: SocketAddr, pbxs: &[Agent]) -> String {
    let mut text = format!(
        r#"
[node]
name = "edge"
fqdn = "{EDGE}"
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
targets = ["tls:{teams}"]
peer_names = ["sip.pstnhub.microsoft.com"]
transparent = false
"#
    );
    for (index, (pbx, fqdn)) in pbxs.iter().zip(TENANTS).enumerate() {
        let at = pbx.endpoint(Transport::Udp).unwrap().addr;
        let tenant = fqdn.split('.').next().unwrap();
        text += &format!(
            "[trunk.pbx{index}]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:{at}\"]\ntransparent = false\n\
             [tenant.{tenant}]\ncountry = \"GB\"\n[[tenant.{tenant}.site]]\nfqdn = \"{fqdn}\"\nteams = \"teams\"\n\
             trunk = \"pbx{index}\"\n[[tenant.{tenant}.user]]\nid = \"anna\"\nnumber = \"{NUMBER}\"\nlives = \"teams\"\n"
        );
    }
    text
}

/// Places a call by each PBX to the number that both tenants have, and one by Teams to each PBX.
async fn call_both_ways(stage: &Stage) {
    for (index, fqdn) in TENANTS.into_iter().enumerate() {
        let to = Destination { endpoint: Endpoint { transport: Transport::Udp, addr: stage.inside }, name: None };
        let mut plan = CallPlan::new(NUMBER, "+441632960100", &stage.inside.to_string(), to);
        plan.hang_up_after = Some(Duration::from_millis(900));
        // The PBX holds by `a=sendonly`, of which Teams would complain.
        plan.hold_after = Some(Duration::from_millis(100));
        let record = stage.pbxs[index].call(plan).await;
        assert_eq!(
            (record.error, record.code),
            (None, Some(200)),
            "{fqdn} to Teams: {:#?}",
            stage.teams.journal().complaints()
        );

        let endpoint = Endpoint { transport: Transport::Tls, addr: stage.edge_tls };
        let to = Destination { endpoint, name: Some(fqdn.into()) };
        let number = format!("+44163296010{index}");
        let mut plan = CallPlan::new(&number, NUMBER, &format!("{fqdn}:{}", stage.edge_tls.port()), to);
        plan.hang_up_after = Some(Duration::from_millis(900));
        plan.hold_after = Some(Duration::from_millis(100));
        let record = stage.teams.call(plan).await;
        assert_eq!((record.error, record.code), (None, Some(200)), "{fqdn} from Teams");
        let seen =
            stage.pbxs[index].journal().wait_call(Role::Callee, &number, SOON).await.expect("the PBX was called");
        assert_eq!(seen.error, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_with_the_same_number_pass_a_teams_that_checks_everything() {
    let stage = Stage::new(Profile::Strict).await;
    call_both_ways(&stage).await;
    let complaints: Vec<_> = [&stage.teams, &stage.pbxs[0], &stage.pbxs[1]]
        .iter()
        .flat_map(|agent| agent.journal().complaints())
        .map(|complaint| format!("{:?} {} on {}", complaint.rule, complaint.text, complaint.about))
        .collect();
    assert_eq!(complaints, Vec::<String>::new());
    stage.edge.stop().await;
}
