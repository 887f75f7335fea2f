//! Directory synchronisation against the stand-in: users who come, change and go, with the built daemon and calls to them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use trunkway::lab::graph::{EntraTenant, GraphApp, GraphStandIn, GraphStandInSettings, GraphUser, Removal};

use crate::bridge::{CLIENT, PATIENCE, SECRET, TENANT, socket};
use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::until;

const CALLER: u8 = 2;
const PBX: u8 = 3;

/// The group whose members live on the PBX.
const STAFF: &str = "8e8f2dd4-4a8c-4a4d-8e3c-1f6f5bd1d2a1";

/// Users of the directory at the start: `u00` with +441632768400, and so on.
const USERS: usize = 20;

fn upn(number: usize) -> String {
    format!("u{number:02}@contoso.example")
}

fn telephone(number: usize) -> String {
    format!("+4416327684{number:02}")
}

fn user(number: usize) -> GraphUser {
    let mut user = GraphUser::new(&format!("U{number:02}@Contoso.example"), &format!("User {number}"));
    user.business_phones = vec![format!("01632 7684{number:02}")];
    user
}

/// A stand-in with the users, told in small pages of which some are empty or say things twice.
fn directory(place: &Place) -> GraphStandIn {
    let tenant = EntraTenant {
        id: TENANT.to_owned(),
        domains: vec!["contoso.example".to_owned()],
        apps: vec![GraphApp::new(CLIENT, SECRET)],
        users: (0..USERS).map(user).collect(),
    };
    let listen = SocketAddr::new(place.ip(7), 0);
    let settings = GraphStandInSettings { listen, page: 7, ..GraphStandInSettings::with_tenant(tenant) };
    let graph = GraphStandIn::start(settings).unwrap();
    graph.set_awkward(true);
    for number in 0..USERS {
        graph.set_member(TENANT, STAFF, "Staff", &upn(number), true);
    }
    place.write("graph-ca.pem", graph.ca());
    place.write("graph-secret", SECRET);
    graph
}

fn config(place: &Place, graph: &GraphStandIn) -> String {
    let [edge, caller, pbx, teams] = [1, CALLER, PBX, 4].map(|host| place.at(host));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[state]
dir = "state"

[control]
socket = "{socket}"

[trunk.carrier]
kind = "carrier"
listen = "inside"
targets = ["udp:{caller}"]
options_interval_s = 0

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{pbx}"]
options_interval_s = 0

[trunk.teams]
kind = "teams"
listen = "inside"
fqdn = "sbc.example.net"
targets = ["udp:{teams}"]
options_interval_s = 0

[dialplan.numbers]
rules = [{{ prefix = "+4416327684", tag = "contoso.customers.example.net" }}]

[tenant.contoso]
country = "GB"
numbers = ["+4416327684[00-99]"]

[[tenant.contoso.site]]
fqdn = "contoso.customers.example.net"
teams = "teams"
trunk = "pbx"

[tenant.contoso.graph]
directory = "{TENANT}"
client = "{CLIENT}"
secret_file = "graph-secret"
login_url = "{url}"
graph_url = "{url}"
ca = "graph-ca.pem"

[tenant.contoso.directory]
[[tenant.contoso.directory.rule]]
group = "{STAFF}"
lives = "pbx"

[[tenant.contoso.user]]
id = "Lobby"
extension = "7000"
lives = "pbx"
"#,
        socket = socket(place).display(),
        url = graph.url(),
    )
}

/// `trunkway directory` or another subcommand that asks the running edge: the exit code, and what it says as JSON.
fn ask(place: &Place, subcommand: &str, arguments: &[&str]) -> (i32, Value) {
    let mut command = trunkway(subcommand);
    let output = command.args(arguments).args(["--json", "--socket"]).arg(socket(place)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{subcommand} {arguments:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().unwrap(), said)
}

fn of_directory(place: &Place, what: &[&str]) -> (i32, Value) {
    ask(place, "directory", &[&what[..1], &["--tenant", "contoso"], &what[1..]].concat())
}

/// The users of the tenant in force: ids and numbers.
fn users(place: &Place) -> Vec<(String, String)> {
    let (code, said) = ask(place, "users", &["list", "contoso", "--all"]);
    assert_eq!(code, 0, "{said}");
    let text = |user: &Value, key: &str| user[key].as_str().unwrap_or_default().to_owned();
    said["users"].as_array().unwrap().iter().map(|user| (text(user, "id"), text(user, "number"))).collect()
}

fn number_of(place: &Place, id: &str) -> Option<String> {
    users(place).into_iter().find(|(known, _)| known == id).map(|(_, number)| number)
}

/// Waits until the last run has come to this.
fn last_run(place: &Place, result: &str) -> Value {
    until(&format!("the directory is {result}"), PATIENCE, || {
        let (_, status) = of_directory(place, &["status"]);
        (status["last"]["result"] == result).then_some(status)
    })
}

fn counts(run: &Value) -> [u64; 3] {
    ["new", "update", "delete"].map(|key| run[key].as_u64().unwrap_or_else(|| panic!("{run}")))
}

/// A call of the carrier to a number, which the PBX answers.
fn reaches(place: &Place, number: &str) {
    let callee = Sipp::callee(place, PBX, scenario("callee")).start(place);
    Sipp::caller(place, CALLER, scenario("caller"), number).pause(Duration::from_millis(50)).run(place);
    callee.finish();
}

fn reaches_nobody(place: &Place, number: &str) {
    let refused = Scenario::File("caller-is-refused", vec![("status", "404".to_owned())]);
    Sipp::caller(place, CALLER, refused, number).run(place);
}

fn file(place: &Place) -> PathBuf {
    place.folder().join("edge.toml")
}

#[test]
fn users_of_the_directory_are_called_and_go_with_it() {
    let place = Place::new();
    let graph = directory(&place);
    let edge = Edge::start(&place, &config(&place, &graph));
    let status = last_run(&place, "changed");
    assert_eq!((&status["users"], &status["provisioned"]), (&Value::from(USERS), &Value::from(USERS)), "{status}");
    assert_eq!(status["unmatched_users"], Value::from(vec!["Lobby"]), "{status}");
    assert_eq!(users(&place).len(), USERS + 1);
    reaches(&place, &telephone(1));

    // One goes, one gets another number, and Teams knows better than the field.
    graph.remove_user(TENANT, &upn(1), Removal::Soft);
    graph.change_user(TENANT, &upn(2), |user| user.business_phones = vec![telephone(52)]);
    graph.change_user(TENANT, &upn(3), |user| user.teams_numbers = vec![telephone(53)]);
    graph.change_user(TENANT, &upn(4), |user| user.business_phones = vec!["ask the lobby".to_owned()]);
    let (code, preview) = of_directory(&place, &["preview"]);
    assert_eq!((code, counts(&preview), &preview["unreadable"]), (0, [0, 2, 1], &Value::from(1)), "{preview}");
    assert_eq!(users(&place).len(), USERS + 1, "nothing has changed");
    let (code, run) = of_directory(&place, &["sync"]);
    assert_eq!((code, counts(&run), &run["whole"]), (0, [0, 2, 1], &Value::Bool(false)), "{run}");
    assert_eq!(run["unread"][0]["user"], Value::from(upn(4)), "{run}");
    assert_eq!(number_of(&place, &upn(4)).as_deref(), Some("01632 768404"), "it stays as it was");
    reaches_nobody(&place, &telephone(1));
    reaches(&place, &telephone(52));
    reaches(&place, &telephone(53));

    // The directory has forgotten what was read before.
    graph.expire_links(TENANT);
    graph.add_user(TENANT, user(60)).unwrap();
    let (code, run) = of_directory(&place, &["sync"]);
    assert_eq!((code, counts(&run), &run["whole"]), (0, [1, 0, 0], &Value::Bool(true)), "{run}");

    // Too many go at once.
    for number in 10..15 {
        graph.remove_user(TENANT, &upn(number), Removal::Hard);
    }
    let (code, refused) = of_directory(&place, &["sync"]);
    assert_eq!((code, &refused["error"]), (1, &Value::from("too_many_deletions")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains(&upn(10)), "{refused}");
    assert_eq!(users(&place).len(), USERS + 1);
    let alarm = until("there is an alarm", PATIENCE, || {
        let (_, report) = ask(&place, "health", &[]);
        report["causes"].as_array()?.iter().find(|cause| cause["name"] == "directory-stopped").cloned()
    });
    assert_eq!(alarm["source"], "contoso");
    let (code, preview) = of_directory(&place, &["preview"]);
    assert_eq!((code, counts(&preview), &preview["stopped"]), (0, [0, 0, 5], &Value::Bool(true)), "{preview}");
    let (code, run) = of_directory(&place, &["sync", "--force"]);
    assert_eq!((code, counts(&run)), (0, [0, 0, 5]), "{run}");
    assert_eq!(users(&place).len(), USERS - 4);
    assert_eq!(graph.complaints(), []);
    edge.stop();
}

#[test]
fn start_without_graph_has_all_users_and_the_configuration_wins() {
    let place = Place::new();
    let graph = directory(&place);
    let text = config(&place, &graph);
    let edge = Edge::start(&place, &text);
    last_run(&place, "changed");
    let before = users(&place);
    let (code, test) = of_directory(&place, &["test"]);
    assert_eq!((code, &test["ok"]), (0, &Value::Bool(true)), "{test}");

    // The configuration takes a user over, and gives it back.
    let with = std::fs::read_to_string(file(&place)).unwrap();
    let own =
        format!("[[tenant.contoso.user]]\nid = \"{}\"\nnumber = \"{}\"\nlives = \"pbx\"\n", upn(5), telephone(99));
    std::fs::write(file(&place), format!("{with}\n{own}")).unwrap();
    let (code, said) = ask(&place, "reload", &[]);
    assert_eq!((code, number_of(&place, &upn(5))), (0, Some(telephone(99))), "{said}");
    let (_, run) = of_directory(&place, &["sync"]);
    assert_eq!((counts(&run), &run["held"]), ([0, 0, 0], &Value::from(1)), "{run}");
    std::fs::write(file(&place), &with).unwrap();
    let (code, said) = ask(&place, "reload", &[]);
    assert_eq!((code, users(&place)), (0, before.clone()), "{said}");

    // The edge dies, and Graph is not there when it comes again.
    edge.kill();
    drop(graph);
    let edge = Edge::start(&place, &text);
    assert_eq!(users(&place), before);
    reaches(&place, &telephone(7));
    let status = last_run(&place, "failed");
    assert_eq!(status["provisioned"], Value::from(USERS), "{status}");
    assert_eq!(users(&place), before, "a reading that fails changes nothing");
    let (code, test) = of_directory(&place, &["test"]);
    assert_eq!((code, &test["ok"]), (1, &Value::Bool(false)), "{test}");
    edge.stop();
}
