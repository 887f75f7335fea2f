//! A bridge between the feed, SIP peers and the stand-in for Graph: the built daemon with one tenant `contoso`, whose
//! users are `user-0@contoso.example`, `user-1@contoso.example` and so on, with extensions from 1000.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trunkway::lab::graph::{EntraTenant, GraphApp, GraphStandIn, GraphStandInSettings, GraphUser};

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::until;

/// The Entra tenant of the stand-in.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// The application.
pub const CLIENT: &str = "99999999-8888-7777-6666-555555555555";

/// Its secret.
pub const SECRET: &str = "a secret that no log may show";

/// How long something may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a test of the bridge needs.
pub struct Bridge {
    pub graph: GraphStandIn,
    pub edge: Edge,
    pub place: Place,
    config: String,
}

impl Bridge {
    /// A bridge that has found its users in Entra. `more` comes into `[tenant.contoso.presence]`.
    pub fn start(users: usize, more: &str) -> Self {
        Self::start_with(users, more, "")
    }

    /// The same with more tables, in which `{edge}` stands for the edge's address for PBXs, `{pbx}` for that of the PBX,
    /// whose trunk is `pbx`, and `{branch}`, `{lines}` and `{far}` for those of more peers (hosts 3 to 5).
    pub fn start_with(users: usize, more: &str, tables: &str) -> Self {
        Self::start_prepared(users, more, |_, _| tables.to_owned())
    }

    /// The same for a test that measures: no other one runs meanwhile.
    pub fn start_alone(users: usize, more: &str, tables: &str) -> Self {
        Self::start_at(Place::alone(), users, more, |_, _| tables.to_owned())
    }

    /// The same with tables of one who has prepared files and the stand-in first.
    pub fn start_prepared(users: usize, more: &str, prepare: impl FnOnce(&Place, &GraphStandIn) -> String) -> Self {
        Self::start_at(Place::new(), users, more, prepare)
    }

    fn start_at(place: Place, users: usize, more: &str, prepare: impl FnOnce(&Place, &GraphStandIn) -> String) -> Self {
        let people = (0..users).map(|number| GraphUser::new(&user(number), &format!("User {number}"))).collect();
        let tenant = EntraTenant {
            id: TENANT.to_owned(),
            domains: vec!["contoso.example".to_owned()],
            apps: vec![GraphApp::new(CLIENT, SECRET)],
            users: people,
        };
        let listen = SocketAddr::new(place.ip(7), 0);
        let settings = GraphStandInSettings { listen, ..GraphStandInSettings::with_tenant(tenant) };
        let graph = GraphStandIn::start(settings).unwrap();
        place.write("graph-ca.pem", graph.ca());
        place.write("graph-secret", SECRET);
        let tables = prepare(&place, &graph);
        let config = config(&place, &graph, users, more, &tables);
        let edge = Edge::start(&place, &config);
        let bridge = Self { graph, edge, place, config };
        until("the users are found in Entra", PATIENCE, || {
            let summary = bridge.ask("/v1/presence/summary")?;
            let tenant = &summary["tenants"]["contoso"];
            (tenant["users"] == users && tenant["unmatched"] == 0).then_some(())
        });
        bridge
    }

    /// A user by number.
    pub fn user(&self, number: usize) -> String {
        user(number)
    }

    /// A line of the feed.
    pub fn line(&self, number: usize, state: &str) -> Value {
        json!({ "user": user(number), "device": "desk", "state": state })
    }

    /// Gives lines to the feed; all must be taken.
    pub fn feed(&self, lines: &[Value]) {
        for part in lines.chunks(10_000) {
            let path = self.place.write("feed.json", &Value::Array(part.to_vec()).to_string());
            let answer =
                self.curl(&["--data-binary", &format!("@{}", path.display())], "/v1/tenants/contoso/line-state");
            let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
            assert_eq!(answer["taken"], part.len(), "{answer}");
        }
    }

    /// What the control door says; `None`: nothing that is JSON.
    pub fn ask(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.curl(&[], path)).ok()
    }

    /// The session of a user in the stand-in, `Busy/InACall`; `None`: there is none.
    pub fn session(&self, number: usize) -> Option<String> {
        self.graph.session(TENANT, &user(number)).map(|session| session.pair.to_string())
    }

    /// Waits until the session of a user is that.
    pub fn wait_for(&self, number: usize, wanted: Option<&str>) {
        until(&format!("user {number} has the session {wanted:?}"), PATIENCE, || {
            (self.session(number).as_deref() == wanted).then_some(())
        });
    }

    /// Ends the edge with SIGKILL and starts it again; what it kept on disk is there.
    pub fn crash_and_start(self) -> Self {
        let Self { graph, edge, place, config } = self;
        edge.kill();
        let edge = Edge::start(&place, &config);
        Self { graph, edge, place, config }
    }

    /// Ends the edge in good order; the stand-in lives on.
    pub fn stop(self) -> GraphStandIn {
        self.edge.stop();
        self.graph
    }

    fn curl(&self, arguments: &[&str], path: &str) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--unix-socket"]).arg(socket(&self.place)).args(arguments);
        let output = command.arg(format!("http://edge{path}")).output().expect("curl is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A user's id.
pub fn user(number: usize) -> String {
    format!("user-{number}@contoso.example")
}

/// Where the edge is asked.
pub fn socket(place: &Place) -> PathBuf {
    place.folder().join("control.sock")
}

fn config(place: &Place, graph: &GraphStandIn, users: usize, more: &str, tables: &str) -> String {
    let (inside, pbx) = (place.at(1), place.at(2));
    let mut text = format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{inside}"

[state]
dir = "state"

[control]
socket = "{socket}"

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{pbx}"]
allow_from = ["{pbx_ip}/32"]
options_interval_s = 0

[tenant.contoso]
country = "GB"

[tenant.contoso.numbering]
extension_ranges = ["1000-9999"]

[tenant.contoso.graph]
directory = "{TENANT}"
client = "{CLIENT}"
secret_file = "graph-secret"
login_url = "{url}"
graph_url = "{url}"
ca = "graph-ca.pem"

[tenant.contoso.presence]
{more}
"#,
        socket = socket(place).display(),
        pbx_ip = pbx.ip(),
        url = graph.url(),
    );
    // Where the tenant has a site, its users are on the PBX.
    let lives = if tables.contains("[[tenant.contoso.site]]") { "lives = \"pbx\"" } else { "" };
    for number in 0..users {
        let (user, extension) = (user(number), 1_000 + number);
        let _ = writeln!(text, "[[tenant.contoso.user]]\nid = \"{user}\"\nextension = \"{extension}\"\n{lives}");
    }
    let places = [
        ("{edge}", inside),
        ("{pbx}", pbx),
        ("{branch}", place.at(3)),
        ("{lines}", place.at(4)),
        ("{far}", place.at(5)),
    ];
    let filled = |tables: String, (mark, at): &(&str, SocketAddr)| tables.replace(mark, &at.to_string());
    text + &places.iter().fold(tables.to_owned(), filled)
}
