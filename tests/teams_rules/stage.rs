//! The stage: a daemon as a process, three data centres of Teams under their own names (dnsmasq says where they are), and
//! a PBX for each of two tenants, in a network of its own on loopback.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trunkway::lab::direct_routing::Tenant;
use trunkway::lab::message::Message;
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::{
    Agent, CallPlan, CallRecord, Captured, Destination, Endpoint, Ladder, Names, Profile, Role, TlsSettings, Transport,
};

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sockets::{self, Kind};
use crate::support::{SOON, certificates};

/// The edge's own name towards Teams, that of the carrier trunk.
pub const EDGE: &str = "edge.example.net";
/// The names of the two tenants' sites.
pub const SITES: [&str; 2] = ["contoso.customers.example.net", "fabrikam.customers.example.net"];
/// A number in Teams that both tenants have.
pub const SHARED: &str = "+441632768402";
/// Numbers in Teams that only one of them has.
pub const OWN: [&str; 2] = ["+441632768410", "+441632768420"];
/// The three names that an SBC dials.
pub const NAMES: [&str; 3] = ["sip.pstnhub.microsoft.com", "sip2.pstnhub.microsoft.com", "sip3.pstnhub.microsoft.com"];
/// The machines that Record-Route of each names.
const MACHINES: [&str; 3] =
    ["sip-du-a-eu.pstnhub.microsoft.com", "sip-du-a-us.pstnhub.microsoft.com", "sip-du-a-as.pstnhub.microsoft.com"];

/// Host numbers in the place; the edge is 1.
pub const PBXS: [u8; 2] = [2, 3];
/// Where tests that have a carrier put it.
pub const CARRIER: u8 = 4;
const DNS: u8 = 5;
/// The first of the three data centres.
pub const CENTRE: u8 = 11;
/// From here on Teams connects for later requests.
pub const ELSEWHERE: [u8; 3] = [21, 22, 23];

/// What differs from test to test.
pub struct Plan {
    pub profile: Profile,
    /// Data centres that are there; all three have names.
    pub centres: usize,
    /// How long names may be remembered, in seconds.
    pub ttl: u32,
    /// More keys of `[trunk.teams]`.
    pub teams_keys: String,
    /// More keys of both PBXs' trunks.
    pub pbx_keys: String,
    /// More tables; the word CARRIER in them is the place of a carrier.
    pub more: String,
    /// Changes the data centres.
    pub teams: fn(&mut TeamsSettings),
    /// Changes the PBXs.
    pub pbx: fn(&mut PbxSettings),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            profile: Profile::Strict,
            centres: 1,
            ttl: 300,
            teams_keys: String::new(),
            pbx_keys: String::new(),
            more: String::new(),
            teams: |_| {},
            pbx: |_| {},
        }
    }
}

/// Everything that plays; the files go last.
pub struct Stage {
    pub edge: Edge,
    dns: Process,
    pub teams: Vec<Agent>,
    pub pbxs: Vec<Agent>,
    config: String,
    plan: Plan,
    ladder: Ladder,
    pub place: Place,
}

impl Stage {
    /// All of it, running.
    pub async fn new(plan: Plan) -> Self {
        let place = Place::new();
        certificates::make(&place);
        let ladder = Ladder::new(20_000);
        let hosts: Vec<IpAddr> = (0..3).map(|index| place.ip(CENTRE + index)).collect();
        let dns = name_server(&place, &hosts, plan.ttl);
        let mut teams = Vec::new();
        for index in 0..plan.centres {
            teams.push(centre(&place, &plan, index, &ladder).await);
        }
        let mut pbxs = Vec::new();
        for (index, host) in PBXS.into_iter().enumerate() {
            let at = Endpoint { transport: Transport::Udp, addr: place.at(host) };
            let mut settings = PbxSettings::new(&format!("PBX {index}"), vec![at]);
            (plan.pbx)(&mut settings);
            pbxs.push(pbx::start(settings, &ladder).await.unwrap());
        }
        let config = config(&place, &plan);
        let edge = start(&place, &config);
        Self { place, teams, pbxs, edge, dns, config, plan, ladder }
    }

    /// The same with nothing out of the ordinary.
    pub async fn usual() -> Self {
        Self::new(Plan::default()).await
    }

    /// Ends the edge at once, as a loss of power does, and starts it again, with a configuration that differs in what
    /// `change` does.
    pub fn kill_and_start(self, change: impl FnOnce(String) -> String) -> Self {
        self.kill_and_start_with(|_, config| change(config))
    }

    /// The same, with a look at the folder while nothing runs there.
    pub fn kill_and_start_with(self, change: impl FnOnce(&Path, String) -> String) -> Self {
        let Self { edge, config, place, .. } = self;
        let (config, edge) = tokio::task::block_in_place(|| {
            edge.kill();
            let config = change(place.folder(), config);
            let edge = start(&place, &config);
            (config, edge)
        });
        Self { place, edge, config, ..self }
    }

    /// Starts a data centre at the usual place of one, or in front of another.
    pub async fn start_centre(&self, index: usize) -> Agent {
        centre(&self.place, &self.plan, index, &self.ladder).await
    }

    /// From now on the names of the data centres lead to these hosts.
    pub fn move_names(&mut self, hosts: [u8; 3]) {
        let hosts = hosts.map(|host| self.place.ip(host));
        tokio::task::block_in_place(|| {
            self.dns.kill();
            self.dns = name_server(&self.place, &hosts, self.plan.ttl);
        });
    }

    /// Where a PBX sends its requests.
    pub fn inside(&self) -> Destination {
        Destination { endpoint: Endpoint { transport: Transport::Udp, addr: self.place.at(1) }, name: None }
    }

    /// Where Teams sends those of a site.
    pub fn outside(&self, site: &str) -> Destination {
        let endpoint = Endpoint { transport: Transport::Tls, addr: self.place.tls_at(1) };
        Destination { endpoint, name: Some(site.into()) }
    }

    /// A call by a tenant's PBX; it hangs up after a while.
    pub fn to_teams(&self, number: &str) -> CallPlan {
        let mut plan = CallPlan::new(number, "+441632960100", &self.place.at(1).to_string(), self.inside());
        plan.limit = SOON;
        plan.hang_up_after = Some(Duration::from_millis(300));
        plan
    }

    /// A call by Teams to a number of a tenant's PBX; Teams hangs up after a while.
    pub fn to_pbx(&self, tenant: usize, number: &str) -> CallPlan {
        let site = SITES[tenant];
        let host = format!("{site}:{}", self.place.tls_at(1).port());
        let mut plan = CallPlan::new(number, OWN[tenant], &host, self.outside(site));
        plan.limit = SOON;
        plan.hang_up_after = Some(Duration::from_millis(300));
        plan
    }

    /// What the called side has noted of a call to a number.
    pub async fn called(agent: &Agent, number: &str) -> CallRecord {
        let record = agent.journal().wait_call(Role::Callee, number, SOON).await;
        let record = record.unwrap_or_else(|| panic!("{number} was not called"));
        assert_eq!(record.error, None, "{number}");
        record
    }

    /// What all parties complain about, each in a line; that their OPTIONS find no edge while it is being started is none.
    pub fn complaints(&self) -> Vec<String> {
        let all = self.teams.iter().chain(&self.pbxs).flat_map(|agent| agent.journal().complaints());
        let all = all.filter(|complaint| !complaint.text.starts_with("our OPTIONS failed"));
        all.map(|complaint| format!("{:?} {} on {}", complaint.rule, complaint.text, complaint.about)).collect()
    }

    /// Nobody complains of anything, the edge has sealed all and thrown nothing away, and ends in order.
    pub fn finish(self) {
        assert_eq!(self.complaints(), [""; 0]);
        tokio::task::block_in_place(|| {
            for name in ["trunkway_tokens_refused_total", "trunkway_not_sealed_total"] {
                assert_eq!(self.edge.metric(name), 0.0, "{name}");
            }
            self.edge.stop();
        });
    }

    /// What a command to the running edge prints as JSON.
    pub fn said(&self, line: &[&str]) -> Value {
        let (first, rest) = line.split_first().unwrap();
        let mut command = trunkway(first);
        command.args(rest).arg("--json").arg("--socket").arg(self.place.folder().join("control.sock"));
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit status of `trunkway route` for a call; not zero when it goes nowhere.
    pub fn status_of(&self, trunk: &str, number: &str) -> i32 {
        let mut command = trunkway("route");
        command.args(["--from-trunk", trunk, "--called", number]);
        command.arg("--socket").arg(self.place.folder().join("control.sock"));
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        output.status.code().unwrap()
    }

    /// The targets of the Teams trunk, and the trunk itself.
    pub fn trunk(&self) -> (Vec<Value>, Value) {
        let page = self.said(&["trunks"]);
        let trunk = page["trunks"].as_array().unwrap().iter().find(|trunk| trunk["name"] == "teams").unwrap().clone();
        (trunk["targets"].as_array().unwrap().clone(), trunk)
    }
}

fn start(place: &Place, config: &str) -> Edge {
    tokio::task::block_in_place(|| Edge::start(place, config))
}

/// dnsmasq with the names of Microsoft at these hosts, and no others.
fn name_server(place: &Place, hosts: &[IpAddr], ttl: u32) -> Process {
    let at = SocketAddr::new(place.ip(DNS), place.port + 2);
    let program = ["/usr/sbin/dnsmasq", "dnsmasq"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.unwrap_or("dnsmasq"));
    command.args(["--no-daemon", "--conf-file=/dev/null", "--bind-interfaces", "--no-resolv", "--no-hosts"]);
    command.args([&format!("--listen-address={}", at.ip()), &format!("--port={}", at.port())]);
    command.args(["--local=/microsoft.com/", "--local=/example.net/", "--log-queries", "--log-facility=-"]);
    for ((host, name), machine) in hosts.iter().zip(NAMES).zip(MACHINES) {
        command.arg(format!("--host-record={name},{host},{ttl}"));
        command.arg(format!("--host-record={machine},{host},{ttl}"));
    }
    tokio::task::block_in_place(|| {
        let mut process = Process::start("dnsmasq", place.folder(), &mut command);
        process.ready("it listens", |_| sockets::is_open(Kind::Udp, at).then_some(()));
        process
    })
}

async fn centre(place: &Place, plan: &Plan, index: usize, ladder: &Ladder) -> Agent {
    let read = |name: &str| std::fs::read_to_string(place.folder().join("certs").join(name)).unwrap();
    let tls = TlsSettings { ca: read("ca.pem"), certificate: read("teams.pem"), key: read("teams.key") };
    let here = place.ip(1);
    let names = Names::default().with(EDGE, here).with("*.customers.example.net", here);
    let host = CENTRE + u8::try_from(index).unwrap();
    let at = Endpoint { transport: Transport::Tls, addr: place.tls_at(host) };
    let names = MACHINES.iter().zip(0..).fold(names, |names, (name, index)| names.with(name, place.ip(CENTRE + index)));
    let mut settings = TeamsSettings::new(at, tls, names);
    settings.name = format!("Teams {index}");
    settings.profile = plan.profile;
    settings.route_host = Some(MACHINES.get(index).unwrap_or(&MACHINES[0]).to_string());
    let customers = SITES.iter().zip(OWN).map(|(site, own)| Tenant::new(site, Some(&[SHARED, own])));
    settings.tenants = customers.chain([Tenant::new(EDGE, Some(&[]))]).collect();
    settings.options_every = Some(Duration::from_millis(500));
    settings.other_addresses = ELSEWHERE.map(|host| place.ip(host)).to_vec();
    settings.capture_limit = 20_000;
    (plan.teams)(&mut settings);
    teams::start(settings, ladder).await.unwrap()
}

fn config(place: &Place, plan: &Plan) -> String {
    let (inside, secure, dns) = (place.at(1), place.tls_at(1), SocketAddr::new(place.ip(DNS), place.port + 2));
    let network = SocketAddr::new(place.ip(0), 0).ip();
    let targets = NAMES.map(|name| format!("\"{name}:{}\"", secure.port())).join(", ");
    let names = NAMES.map(|name| format!("\"{name}\"")).join(", ");
    let Plan { teams_keys, pbx_keys, more, .. } = plan;
    let mut text = format!(
        r#"
[control]
socket = "control.sock"
[dns]
servers = ["{dns}"]
stale_s = 0
[[listen]]
name = "inside"
bind = "udp:{inside}"
[[listen]]
name = "teams"
bind = "tls:{secure}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"
[tls_client]
ca = "certs/ca.pem"
certificate = "certs/edge.pem"
key = "certs/edge.key"
[trunk.teams]
kind = "teams"
listen = "teams"
fqdn = "{EDGE}"
targets = [{targets}]
peer_names = [{names}]
allow_from = ["{network}/24"]
options_interval_s = 1
{teams_keys}
"#
    );
    for (index, (host, site)) in PBXS.into_iter().zip(SITES).enumerate() {
        let tenant = site.split('.').next().unwrap();
        let (at, own) = (place.at(host), OWN[index]);
        text += &format!(
            r#"
[trunk.{tenant}-pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{at}"]
{pbx_keys}
[tenant.{tenant}]
country = "GB"
[[tenant.{tenant}.site]]
fqdn = "{site}"
teams = "teams"
trunk = "{tenant}-pbx"
[[tenant.{tenant}.user]]
id = "anna"
number = "{SHARED}"
lives = "teams"
[[tenant.{tenant}.user]]
id = "bert"
number = "{own}"
lives = "teams"
"#
        );
    }
    text + &more.replace("CARRIER", &place.at(CARRIER).to_string())
}

/// The message of a capture.
pub fn message(captured: &Captured) -> Message {
    Message::parse(captured.text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", captured.text)).message
}

/// What an agent has received, as messages.
pub fn received(agent: &Agent) -> Vec<Message> {
    assert_eq!(agent.journal().captured_dropped(), 0, "the capture is whole");
    agent.journal().captured().iter().filter(|one| !one.sent).map(message).collect()
}
