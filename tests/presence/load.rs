//! Many users and many changes: nothing is lost or stuck at the end, and what it costs.
//!
//! `TRUNKWAY_PRESENCE_LOAD=tenants,users,changes-a-second,seconds` makes it as large as one likes; what it prints are the
//! figures that are reported. Without it, it is small enough for every run.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use trunkway::lab::graph::{Endpoint, EntraTenant, GraphApp, GraphStandIn, GraphStandInSettings, GraphUser};

use crate::bridge::{CLIENT, SECRET, socket};
use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::until;

/// What a line may do, and the session that Teams must have then (rule 3).
const STATES: [(&str, Option<&str>); 5] = [
    ("busy", Some("Busy/InACall")),
    ("available", None),
    ("do-not-disturb", Some("DoNotDisturb/Presenting")),
    ("away", Some("Away/Away")),
    ("offline", None),
];

struct Size {
    tenants: usize,
    users: usize,
    per_second: usize,
    seconds: usize,
    /// Somebody wants the figures.
    measured: bool,
}

impl Size {
    fn wanted() -> Self {
        let Ok(text) = std::env::var("TRUNKWAY_PRESENCE_LOAD") else {
            return Self { tenants: 4, users: 2_000, per_second: 100, seconds: 10, measured: false };
        };
        let numbers: Vec<usize> = text.split(',').map(|number| number.trim().parse().expect("a number")).collect();
        let [tenants, users, per_second, seconds] = numbers[..] else { panic!("TRUNKWAY_PRESENCE_LOAD={text}") };
        Self { tenants, users, per_second, seconds, measured: true }
    }
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

fn directory(number: usize) -> String {
    format!("11111111-2222-3333-4444-{number:012}")
}

fn user(number: usize) -> String {
    format!("user-{number}@contoso.example")
}

/// The control door, over one connection.
struct Door(BufReader<UnixStream>);

impl Door {
    fn open(place: &Place) -> Self {
        Self(BufReader::new(UnixStream::connect(socket(place)).expect("the control socket is there")))
    }

    fn feed(&mut self, tenant: &str, lines: &str) {
        let stream = self.0.get_mut();
        let length = lines.len();
        write!(
            stream,
            "POST /v1/tenants/{tenant}/line-state HTTP/1.1\r\nHost: edge\r\nContent-Type: application/x-ndjson\r\n\
             Content-Length: {length}\r\n\r\n{lines}"
        )
        .expect("the edge reads");
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status).expect("the edge answers");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("the edge answers");
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the edge answers");
        assert!(status.contains(" 200 "), "{status}{}", String::from_utf8_lossy(&body));
    }
}

/// Seconds of processor time that a process has used.
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(')').expect("the name is in brackets");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

#[test]
fn many_users_and_many_changes_leave_teams_as_the_rules_say() {
    let size = Size::wanted();
    let place = if size.measured { Place::alone() } else { Place::new() };
    let each = size.users / size.tenants;
    let graph = stand_in(&place, size.tenants, each);
    place.write("graph-ca.pem", graph.ca());
    place.write("graph-secret", SECRET);
    let empty = Edge::start(&place, &config(&place, &graph, 0, 0));
    let empty_kib = empty.resident_kib();
    empty.stop();
    let edge = Edge::start(&place, &config(&place, &graph, size.tenants, each));
    let total = each * size.tenants;
    until("all users are matched", Duration::from_secs(120), || {
        let page = edge.page();
        let known = page.lines().filter(|line| line.starts_with("trunkway_presence_users{"));
        let known: f64 = known.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
        let unmatched = page.contains("trunkway_presence_unmatched_users")
            && edge.metric("trunkway_presence_unmatched_users") == 0.0;
        (known == total as f64 && unmatched).then_some(())
    });
    let full_kib = edge.resident_kib();

    let mut door = Door::open(&place);
    let mut wanted = vec![None; total];
    // A step that has no divisor in common with the number of users visits all of them in no order.
    let (mut next, step) = (0, (total * 5 / 8) | 1);
    let before = cpu(edge.id());
    let start = Instant::now();
    let rounds = size.seconds * 10;
    let mut made = 0;
    for round in 0..rounds {
        let mut bodies = vec![String::new(); size.tenants];
        let due = size.per_second * (round + 1) / 10;
        while made < due {
            made += 1;
            next = (next + step) % total;
            // Some flap: they change again and again.
            let which = if made % 10 == 0 { made / 10 % 7 } else { next };
            let (state, session) = STATES[(made / 3 + which) % STATES.len()];
            wanted[which] = session;
            let body = &mut bodies[which % size.tenants];
            let user = user(which / size.tenants);
            let _ =
                writeln!(body, "{{\"user\":\"{user}\",\"device\":\"desk\",\"state\":\"{state}\",\"expires_s\":3600}}");
        }
        for (number, body) in bodies.iter().enumerate().filter(|(_, body)| !body.is_empty()) {
            door.feed(&tenant(number), body);
        }
        std::thread::sleep(
            (start + Duration::from_millis(100) * (round as u32 + 1)).saturating_duration_since(Instant::now()),
        );
    }
    let took = start.elapsed();
    until("all changes are written", Duration::from_secs(180), || {
        let page = edge.page();
        let sum = |name: &str| -> f64 {
            let lines = page.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
        };
        // The page is a second old at the most.
        std::thread::sleep(Duration::from_millis(if size.measured { 1_000 } else { 300 }));
        (sum("trunkway_presence_writes_waiting{") + sum("trunkway_presence_writes_in_flight ") == 0.0).then_some(())
    });
    let used = cpu(edge.id()) - before;
    until("Teams is as the rules say", Duration::from_secs(30), || {
        let all = (0..size.tenants).flat_map(|number| {
            graph.sessions(&directory(number)).into_iter().map(move |(user, pair)| ((number, user), pair.to_string()))
        });
        let sessions: std::collections::HashMap<_, _> = all.collect();
        let right = wanted.iter().enumerate().all(|(which, wanted)| {
            let key = (which % size.tenants, user(which / size.tenants));
            sessions.get(&key).map(String::as_str) == *wanted
        });
        right.then_some(())
    });
    let complaints = graph.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    let page = edge.page();
    let bucket = |bound: &str| -> f64 {
        let series = format!("trunkway_presence_write_delay_seconds_bucket{{le=\"{bound}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
    };
    let requests = graph.total(Endpoint::SetPresence) + graph.total(Endpoint::ClearPresence);
    println!(
        "{total} users of {} tenants, {made} changes in {:.1} s: {} KiB a thousand users, {used:.2} s of processor time \
         ({:.0} us a change), {requests} single writes and {} batches; delay: {:.2} % within 20 ms, {:.2} % within 200 ms, \
         {:.2} % within 1 s",
        size.tenants,
        took.as_secs_f64(),
        full_kib.saturating_sub(empty_kib) * 1_000 / total as u64,
        used * 1e6 / made as f64,
        graph.total(Endpoint::Batch),
        100.0 * bucket("0.02") / bucket("+Inf"),
        100.0 * bucket("0.2") / bucket("+Inf"),
        100.0 * bucket("1") / bucket("+Inf"),
    );
    if !size.measured {
        // Nobody says how busy the machine is; a queue that grows would be far beyond it.
        assert!(bucket("5") / bucket("+Inf") > 0.9, "{page}");
    }
    edge.stop();
}

fn stand_in(place: &Place, tenants: usize, users: usize) -> GraphStandIn {
    let tenant = |number| EntraTenant {
        id: directory(number),
        apps: vec![GraphApp::new(CLIENT, SECRET)],
        users: (0..users).map(|number| GraphUser::new(&user(number), &format!("User {number}"))).collect(),
        ..EntraTenant::default()
    };
    let settings = GraphStandInSettings {
        listen: SocketAddr::new(place.ip(7), 0),
        tenants: (0..tenants).map(tenant).collect(),
        page: 1_000,
        ..GraphStandInSettings::default()
    };
    GraphStandIn::start(settings).expect("the stand-in starts")
}

fn config(place: &Place, graph: &GraphStandIn, tenants: usize, users: usize) -> String {
    let mut text = format!(
        "[state]\ndir = \"state\"\n[control]\nsocket = \"{}\"\n[[listen]]\nname = \"inside\"\nbind = \"udp:{}\"\n\
         [trunk.pbx]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:{}\"]\noptions_interval_s = 0\n",
        socket(place).display(),
        place.at(1),
        place.at(2),
    );
    for number in 0..tenants {
        let (tenant, directory, url) = (tenant(number), directory(number), graph.url());
        let _ = write!(
            text,
            "[tenant.{tenant}]\ncountry = \"GB\"\nusers_files = [\"users.csv\"]\n[tenant.{tenant}.numbering]\n\
             extension_ranges = [\"100000-999999\"]\n[tenant.{tenant}.graph]\ndirectory = \"{directory}\"\n\
             client = \"{CLIENT}\"\nsecret_file = \"graph-secret\"\nlogin_url = \"{url}\"\ngraph_url = \"{url}\"\n\
             ca = \"graph-ca.pem\"\n[tenant.{tenant}.presence]\n"
        );
    }
    let mut rows = String::from("id,extension\n");
    for number in 0..users {
        let _ = writeln!(rows, "{},{}", user(number), 100_000 + number);
    }
    place.write("users.csv", &rows);
    text
}
