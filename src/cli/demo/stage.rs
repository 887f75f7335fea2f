//! What the demo is played on: files, certificates, ports, stand-ins, and the edge's configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{DemoError, presence};
use crate::lab::certificates::{Authority, Identity};
use crate::lab::graph::GraphStandIn;
use crate::lab::pbx::{self, PbxSettings};
use crate::lab::teams::{self, TeamsSettings};
use crate::lab::{Agent, Complaint, Destination, Endpoint, Ladder, Names, Scripts, TlsSettings, Transport};

/// Columns of a ladder from left to right.
pub const COLUMNS: [&str; 5] = ["PBX 1", "PBX 2", "PBX 3", "edge", "Teams"];
/// The edge's own name.
pub const EDGE_NAME: &str = "sbc.example.net";
/// Messages that the ladder keeps.
const RUNGS: usize = 20_000;

/// The loopback address of each party: the edge tells PBXs apart by it.
const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const PBX1: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const PBX2: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PBX3: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Scripts of the called sides, by number.
pub struct Parts {
    pub pbx1: Scripts,
    pub pbx2: Scripts,
    pub pbx3: Scripts,
    pub teams: Scripts,
}

/// Everything but the edge.
pub struct Stage {
    pub ladder: Ladder,
    pub pbx1: Agent,
    pub pbx2: Agent,
    pub pbx3: Agent,
    pub teams: Agent,
    pub graph: GraphStandIn,
    /// A target that takes datagrams and never answers.
    dead: UdpSocket,
    inside_udp: SocketAddr,
    inside_tcp: SocketAddr,
    edge_tls: SocketAddr,
    folder: Folder,
}

impl Stage {
    /// Makes certificates, takes ports and starts the stand-ins.
    pub async fn set_up() -> Result<Self, DemoError> {
        let folder = Folder::new()?;
        let authority = Authority::new()?;
        let edge = authority.edge(&[EDGE_NAME, "*.customers.example.net"])?;
        // Besides its name the literal, since there is no DNS to dial it by.
        let microsoft = authority.teams(&["sip.pstnhub.microsoft.com", "127.0.0.1"])?;
        folder.write("ca.pem", authority.pem())?;
        folder.write("edge.pem", &edge.certificate)?;
        folder.write("edge.key", &edge.key)?;
        let graph = presence::graph()?;
        folder.write("graph-ca.pem", graph.ca())?;
        folder.write("graph.secret", presence::SECRET)?;
        let parts = super::scenes::parts();
        let ladder = Ladder::new(RUNGS);
        let names = Names::default().with(EDGE_NAME, EDGE.into()).with("*.customers.example.net", EDGE.into());
        let dead = UdpSocket::bind((PBX2, 0))?;
        dead.set_nonblocking(true)?;
        Ok(Self {
            pbx1: start_pbx("PBX 1", PBX1, Transport::Udp, parts.pbx1, &ladder).await?,
            pbx2: start_pbx("PBX 2", PBX2, Transport::Udp, parts.pbx2, &ladder).await?,
            pbx3: start_pbx("PBX 3", PBX3, Transport::Tcp, parts.pbx3, &ladder).await?,
            teams: start_teams(&authority, microsoft, names, parts.teams, &ladder).await?,
            graph,
            dead,
            inside_udp: free_udp(EDGE)?,
            inside_tcp: free_tcp(EDGE)?,
            edge_tls: free_tcp(EDGE)?,
            ladder,
            folder,
        })
    }

    /// The folder of the edge's files.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Where a PBX sends its calls over UDP.
    pub fn edge_udp(&self) -> Destination {
        Destination { endpoint: Endpoint { transport: Transport::Udp, addr: self.inside_udp }, name: None }
    }

    /// Where a PBX sends its calls over TCP.
    pub fn edge_tcp(&self) -> Destination {
        Destination { endpoint: Endpoint { transport: Transport::Tcp, addr: self.inside_tcp }, name: None }
    }

    /// Where Teams sends the calls of a site, and the host that it writes into the Request-URI.
    pub fn edge_tls(&self, site: &str) -> (Destination, String) {
        let endpoint = Endpoint { transport: Transport::Tls, addr: self.edge_tls };
        (Destination { endpoint, name: Some(site.into()) }, format!("{site}:{}", self.edge_tls.port()))
    }

    /// Whether anything was sent to the target that never answers.
    pub fn dead_target_was_tried(&self) -> bool {
        let mut byte = [0; 1];
        // A datagram longer than the buffer is cut, not refused, so any datagram counts.
        self.dead.recv_from(&mut byte).is_ok()
    }

    /// What all stand-ins complain about.
    pub fn complaints(&self) -> Vec<Complaint> {
        [&self.pbx1, &self.pbx2, &self.pbx3, &self.teams]
            .iter()
            .flat_map(|agent| agent.journal().complaints())
            .collect()
    }

    /// Stops the stand-ins; the files go with the folder.
    pub async fn tear_down(self) {
        for agent in [self.pbx1, self.pbx2, self.pbx3, self.teams] {
            agent.stop().await;
        }
        self.graph.stop();
    }

    /// The edge's configuration for this stage.
    pub fn config_toml(&self) -> String {
        let address =
            |agent: &Agent, transport| agent.endpoint(transport).map(|e| e.addr.to_string()).unwrap_or_default();
        let (inside_udp, inside_tcp, edge_tls) = (self.inside_udp, self.inside_tcp, self.edge_tls);
        let dead = self.dead.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
        let teams = address(&self.teams, Transport::Tls);
        let pbx1 = address(&self.pbx1, Transport::Udp);
        let pbx2 = address(&self.pbx2, Transport::Udp);
        let pbx3 = address(&self.pbx3, Transport::Tcp);
        let graph = self.graph.url();
        let (directory, client) = (presence::DIRECTORY, presence::CLIENT);
        let (user, number) = (presence::USER, presence::NUMBER);
        format!(
            r#"# Three customers behind one edge; the addresses are those of the demo's stand-ins.
[node]
name = "demo"
fqdn = "{EDGE_NAME}"
seal_key_file = "seal.key"

[[listen]]
name = "inside"
bind = "udp:{inside_udp}"

[[listen]]
name = "inside-tcp"
bind = "tcp:{inside_tcp}"

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

[trunk.pbx1]
kind = "pbx"
listen = "inside"
targets = ["udp:{pbx1}"]
allow_from = ["{PBX1}/32"]

# The first target takes everything and never answers: calls must go on to the second.
[trunk.pbx2]
kind = "pbx"
listen = "inside"
targets = ["udp:{dead}", "udp:{pbx2}"]
allow_from = ["{PBX2}/32"]
no_answer_ms = 600

[trunk.pbx3]
kind = "pbx"
listen = "inside-tcp"
targets = ["tcp:{pbx3}"]
allow_from = ["{PBX3}/32"]

[tenant.contoso]
[[tenant.contoso.site]]
fqdn = "contoso.customers.example.net"
teams = "teams"
trunk = "pbx1"

[[tenant.contoso.user]]
id = "{user}"
number = "{number}"
lives = "pbx"

# The demo shall not wait long for the first look at Teams.
[presence]
poll_interval_watched_s = 1

# Her calls make her busy in Teams.
[tenant.contoso.presence]

[tenant.contoso.graph]
directory = "{directory}"
client = "{client}"
secret_file = "graph.secret"
login_url = "{graph}"
graph_url = "{graph}"
ca = "graph-ca.pem"

[tenant.fabrikam]
[[tenant.fabrikam.site]]
fqdn = "fabrikam.customers.example.net"
teams = "teams"
trunk = "pbx2"

[tenant.tailspin]
[[tenant.tailspin.site]]
fqdn = "tailspin.customers.example.net"
teams = "teams"
trunk = "pbx3"

[dialplan.CustDialPlan]
rules = [
    {{ prefix = "+44163276", tag = "contoso.customers.example.net" }},
    {{ prefix = "+44207946", tag = "fabrikam.customers.example.net" }},
    {{ prefix = "+44113496", tag = "tailspin.customers.example.net" }},
]
"#
        )
    }
}

async fn start_pbx(
    name: &str,
    ip: Ipv4Addr,
    transport: Transport,
    scripts: Scripts,
    ladder: &Ladder,
) -> Result<Agent, DemoError> {
    let mut settings = PbxSettings::new(name, vec![Endpoint { transport, addr: SocketAddr::from((ip, 0)) }]);
    settings.scripts = scripts;
    let agent = pbx::start(settings, ladder).await?;
    agent.endpoint(transport).ok_or(DemoError::NoAddress(transport.token()))?;
    Ok(agent)
}

async fn start_teams(
    authority: &Authority,
    identity: Identity,
    names: Names,
    scripts: Scripts,
    ladder: &Ladder,
) -> Result<Agent, DemoError> {
    let listen = Endpoint { transport: Transport::Tls, addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0) };
    let tls = TlsSettings { ca: authority.pem().to_owned(), certificate: identity.certificate, key: identity.key };
    let mut settings = TeamsSettings::new(listen, tls, names);
    settings.scripts = scripts;
    // Only when the edge has shown itself by OPTIONS of its own, as in reality.
    settings.options_every = Some(Duration::from_secs(60));
    let agent = teams::start(settings, ladder).await?;
    agent.endpoint(Transport::Tls).ok_or(DemoError::NoAddress("TLS"))?;
    Ok(agent)
}

fn free_udp(ip: Ipv4Addr) -> std::io::Result<SocketAddr> {
    UdpSocket::bind((ip, 0))?.local_addr()
}

fn free_tcp(ip: Ipv4Addr) -> std::io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}

/// A private folder that goes away with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("trunkway-demo-{}-{}", std::process::id(), now.as_nanos());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(self.0.join(name))?.write_all(text.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that someone has removed already is no loss.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
