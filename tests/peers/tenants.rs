//! Two tenants with the same numbers on one edge: sipp calls from carriers and PBXs, the stand-in for Teams from both
//! tenants, and every call lands where `trunkway route` said, with the number that it said.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trunkway::lab::certificates::Authority;
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::{Agent, CallPlan, Destination, Endpoint, Ladder, Names, Role, TlsSettings, Transport};

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp};

const CONTOSO: &str = "contoso.customers.example.net";
const FABRIKAM: &str = "fabrikam.customers.example.net";

/// The hosts from which sipp calls, and those at which the trunks' stand-ins answer.
const TRUNKS: [(&str, u8, u8); 5] =
    [("carrier", 2, 20), ("byoc", 3, 30), ("pbx-c", 4, 40), ("pbx-f", 5, 50), ("ers", 6, 60)];
const TEAMS: u8 = 9;

fn config(place: &Place) -> String {
    let mut text = format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{inside}"

[[listen]]
name = "teams"
bind = "tls:{secure}"
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
fqdn = "sbc.example.net"
dialplan = "CustDialPlan"

[tenant.contoso]
country = "GB"
numbers = ["+4416327684[00-99]"]
emergency_to = ["ers"]
[tenant.contoso.numbering]
extension_ranges = ["400-499"]
main = "+441632768400"
[[tenant.contoso.site]]
fqdn = "{CONTOSO}"
teams = "teams"
trunk = "carrier"
pbx = "pbx-c"
[[tenant.contoso.user]]
id = "reception@contoso.example"
number = "+441632768400"
lives = "pbx"
[[tenant.contoso.user]]
id = "alice@contoso.example"
number = "+441632768401"
extension = "401"
lives = "pbx"
[[tenant.contoso.user]]
id = "bob@contoso.example"
number = "+441632768402"
extension = "402"
lives = "teams"
[[tenant.contoso.user]]
id = "carol@contoso.example"
number = "+441632768403"
extension = "403"
lives = "both"
coverage_delay_s = 60
[[tenant.contoso.user]]
id = "shared-1@contoso.example"
number = "+441632768410"
extension = "411"
[[tenant.contoso.user]]
id = "shared-2@contoso.example"
number = "+441632768410"
extension = "412"

[tenant.fabrikam]
country = "GB"
numbers = ["+4416327684[00-99]"]
unassigned = "+441632768402"
[tenant.fabrikam.numbering]
extension_ranges = ["400-499"]
[[tenant.fabrikam.site]]
fqdn = "{FABRIKAM}"
teams = "teams"
trunk = "byoc"
pbx = "pbx-f"
[[tenant.fabrikam.user]]
id = "dan@fabrikam.example"
number = "+441632768401"
extension = "401"
lives = "teams"
[[tenant.fabrikam.user]]
id = "eve@fabrikam.example"
number = "+441632768402"
extension = "402"
lives = "pbx"

[dialplan.CustDialPlan]
rules = [{{ prefix = "+4416327684", tag = "{CONTOSO}", owner = "contoso" }}]

[dialplan.Fabrikam]
rules = [{{ prefix = "+4416327684", tag = "{FABRIKAM}", owner = "fabrikam" }}]
"#,
        inside = place.at(1),
        secure = place.tls_at(1),
        teams = place.tls_at(TEAMS),
    );
    for (name, calls, answers) in TRUNKS {
        let more = match name {
            "byoc" => "kind = \"carrier\"\ntenant = \"fabrikam\"\ndialplan = \"Fabrikam\"",
            "carrier" | "ers" => "kind = \"carrier\"\ndialplan = \"CustDialPlan\"",
            "pbx-f" => "kind = \"pbx\"\ndialplan = \"Fabrikam\"",
            _ => "kind = \"pbx\"\ndialplan = \"CustDialPlan\"",
        };
        let (from, to) = (place.ip(calls), place.at(answers));
        text += &format!(
            "\n[trunk.{name}]\n{more}\nlisten = \"inside\"\ntargets = [\"udp:{to}\"]\nallow_from = [\"{from}/32\", \"{}/32\"]\n",
            to.ip()
        );
    }
    text
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
enum Caller {
    Trunk(&'static str),
    Teams(&'static str),
}

/// Where a call lands: at a trunk with a number, or with a refusal.
type Lands = Result<(&'static str, &'static str), u16>;

use Caller::{Teams, Trunk};

/// Who calls, the called number, and what becomes of it.
const CALLS: [(Caller, &str, Lands); 22] = [
    // The same number in both tenants: the carrier's plan and the customer's own carrier tell them apart.
    (Trunk("carrier"), "+441632768401", Ok(("pbx-c", "+441632768401"))),
    (Trunk("byoc"), "+441632768401", Ok(("teams", "+441632768401"))),
    (Trunk("carrier"), "+441632768402", Ok(("teams", "+441632768402"))),
    (Trunk("byoc"), "+441632768402", Ok(("pbx-f", "+441632768402"))),
    // The Request-URI's host tells them apart.
    (Teams(CONTOSO), "+441632768401", Ok(("pbx-c", "+441632768401"))),
    (Teams(FABRIKAM), "+441632768402", Ok(("pbx-f", "+441632768402"))),
    (Teams(FABRIKAM), "+402", Ok(("pbx-f", "402"))),
    (Teams(CONTOSO), "+401", Ok(("pbx-c", "401"))),
    // What lives in Teams does not go back there.
    (Teams(FABRIKAM), "+441632768401", Err(482)),
    // A user of both sides: the PBX rings at once, and answers before Teams begins to.
    (Trunk("carrier"), "+441632768403", Ok(("pbx-c", "+441632768403"))),
    (Trunk("pbx-c"), "403", Ok(("teams", "+441632768403;ext=403"))),
    // Several users under one number: the tenant's main destination.
    (Trunk("carrier"), "+441632768410", Ok(("pbx-c", "+441632768400"))),
    (Trunk("carrier"), "+441632768410;ext=412", Ok(("teams", "+441632768410;ext=412"))),
    // Nobody's number.
    (Trunk("carrier"), "+441632768499", Err(404)),
    (Trunk("byoc"), "+441632768499", Ok(("pbx-f", "+441632768402;ext=402"))),
    // Outwards: each by the carrier of its own.
    (Teams(CONTOSO), "+442079460000", Ok(("carrier", "+442079460000"))),
    (Teams(FABRIKAM), "+442079460000", Ok(("byoc", "+442079460000"))),
    (Trunk("pbx-f"), "+442079460000", Ok(("byoc", "+442079460000"))),
    // Help.
    (Teams(CONTOSO), "+999", Ok(("ers", "+999"))),
    (Trunk("pbx-c"), "999", Ok(("ers", "999"))),
    // Nothing falls through.
    (Trunk("carrier"), "+442079460000", Err(404)),
    (Trunk("carrier"), "+44163276", Err(484)),
];

#[test]
fn every_call_of_two_tenants_with_the_same_numbers_lands_where_route_says() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let agents = runtime.block_on(agents(&place));
    let edge = Edge::start(&place, &config(&place));
    for (row, (from, called, lands)) in CALLS.into_iter().enumerate() {
        let what = format!("call {row}: {from:?} to {called}");
        said(&place, from, called, lands, &what);
        let before = landed(&agents);
        match from {
            Trunk(name) => call_by_sipp(&place, name, called, lands),
            Teams(site) => {
                let code = runtime.block_on(call_by_teams(&place, &agents["teams"], site, called));
                assert_eq!(code, lands.err().or(Some(200)), "{what}");
            }
        }
        let mut after = landed(&agents);
        for call in before {
            let at = after.iter().position(|other| *other == call).unwrap();
            after.remove(at);
        }
        // The stand-ins note the number without its parameters; `said` has looked at those.
        let landing = lands.iter().map(|(agent, number)| (*agent, number.split(';').next().unwrap_or_default()));
        let wanted: Vec<(String, String)> = landing.map(|(agent, number)| (agent.into(), number.into())).collect();
        assert_eq!(after, wanted, "{what}");
    }
    std::thread::sleep(Duration::from_millis(1_100)); // The edge publishes once a second.
    assert_eq!(edge.metric("trunkway_ambiguous_total"), 1.0);
    assert_eq!(edge.metric("trunkway_unassigned_total"), 2.0);
    assert_eq!(edge.metric("trunkway_emergency_total"), 2.0);
    edge.stop();
}

/// What `trunkway route` says must be what the table says.
fn said(place: &Place, from: Caller, called: &str, lands: Lands, what: &str) {
    let (trunk, host) = match from {
        Trunk(name) => (name, place.at(1).to_string()),
        Teams(site) => ("teams", site.to_owned()),
    };
    let mut command: Command = trunkway("route");
    command.arg("--config").arg(place.folder().join("edge.toml"));
    command.args(["--from-trunk", trunk, "--called", called, "--caller", "+442079460001", "--json"]);
    command.args(["--request-uri", &format!("sip:{called}@{host}")]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    match lands {
        Ok((trunk, number)) => {
            assert_eq!(said["decision"], "forward", "{what}: {text}");
            assert_eq!(said["targets"][0]["trunk"], trunk, "{what}: {text}");
            let uri = said["targets"][0]["uri"].as_str().unwrap();
            assert!(uri.starts_with(&format!("sip:{number}@")), "{what}: {uri}");
        }
        Err(code) => {
            assert_eq!(said["decision"], "reject", "{what}: {text}");
            assert_eq!(said["code"], code, "{what}: {text}");
        }
    }
}

fn call_by_sipp(place: &Place, name: &str, called: &str, lands: Lands) {
    let (_, host, _) = TRUNKS.into_iter().find(|(trunk, ..)| *trunk == name).unwrap();
    let scenario = match lands {
        Ok(_) => {
            let blanks = vec![("caller", "+442079460001".to_owned()), ("host", place.at(1).to_string())];
            Scenario::File("caller-only", blanks)
        }
        Err(code) => Scenario::File("caller-is-refused", vec![("status", code.to_string())]),
    };
    Sipp::caller(place, host, scenario, called).pause(Duration::from_millis(100)).run(place);
}

async fn call_by_teams(place: &Place, teams: &Agent, site: &str, called: &str) -> Option<u16> {
    let endpoint = Endpoint { transport: Transport::Tls, addr: place.tls_at(1) };
    let to = Destination { endpoint, name: Some(site.into()) };
    let host = format!("{site}:{}", place.tls_at(1).port());
    let mut plan = CallPlan::new(called, "+442079460001", &host, to);
    plan.hang_up_after = Some(Duration::from_millis(100));
    let record = teams.call(plan).await;
    assert_eq!(record.error, None, "{called} from {site}");
    record.code
}

/// All calls that reached a stand-in, with the number that they brought.
fn landed(agents: &BTreeMap<&str, Agent>) -> Vec<(String, String)> {
    let calls = agents.iter().flat_map(|(name, agent)| {
        let calls = agent.journal().calls().into_iter().filter(|call| call.role == Role::Callee);
        calls.map(|call| ((*name).to_owned(), call.number))
    });
    calls.collect()
}

async fn agents(place: &Place) -> BTreeMap<&'static str, Agent> {
    let authority = Authority::new().unwrap();
    let own = authority.edge(&["sbc.example.net", "*.customers.example.net"]).unwrap();
    place.write("ca.pem", authority.pem());
    place.write("edge.pem", &own.certificate);
    place.write("edge.key", &own.key);
    let ladder = Ladder::new(1_000);
    let mut agents = BTreeMap::new();
    for (name, _, host) in TRUNKS {
        let at = Endpoint { transport: Transport::Udp, addr: place.at(host) };
        agents.insert(name, pbx::start(PbxSettings::new(name, vec![at]), &ladder).await.unwrap());
    }
    let address = place.ip(TEAMS).to_string();
    let microsoft = authority.teams(&["sip.pstnhub.microsoft.com", &address]).unwrap();
    let tls = TlsSettings { ca: authority.pem().to_owned(), certificate: microsoft.certificate, key: microsoft.key };
    let names = Names::default().with("sbc.example.net", place.ip(1)).with("*.customers.example.net", place.ip(1));
    let at = Endpoint { transport: Transport::Tls, addr: place.tls_at(TEAMS) };
    agents.insert("teams", teams::start(TeamsSettings::new(at, tls, names), &ladder).await.unwrap());
    agents
}
