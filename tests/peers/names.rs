//! A trunk that is a name: dnsmasq says which machines are behind it, and calls go on past one that is dead.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Carrier, Sipp, scenario};
use crate::support::sockets::{self, Kind};

/// Host numbers in a place; the edge is 1.
const CALLER: u8 = 2;
const ALIVE: u8 = 3;
const DEAD: u8 = 4;
const DNS: u8 = 5;

const CALLS: u32 = 10;

/// Where Debian and others put the server, which may be outside the search path of a user.
const PROGRAMS: [&str; 2] = ["/usr/sbin/dnsmasq", "dnsmasq"];

/// A name server that has `pbx.test` on two machines, the dead one first.
fn name_server(place: &Place) -> (Process, SocketAddr) {
    let at = SocketAddr::new(place.ip(DNS), place.port + 2);
    let mut command = Command::new(PROGRAMS.into_iter().find(|path| Path::new(path).exists()).unwrap_or(PROGRAMS[1]));
    command.args(["--no-daemon", "--conf-file=/dev/null", "--bind-interfaces", "--no-resolv", "--no-hosts"]);
    command.args(["--local=/test/", &format!("--listen-address={}", at.ip()), &format!("--port={}", at.port())]);
    for (host, name, priority) in [(DEAD, "dead.test", 10), (ALIVE, "alive.test", 20)] {
        command.arg(format!("--host-record={name},{}", place.ip(host)));
        for service in ["_sip._udp", "_sip._tcp"] {
            command.arg(format!("--srv-host={service}.pbx.test,{name},{},{priority}", place.port));
        }
    }
    let mut process = Process::start("dnsmasq", place.folder(), &mut command);
    process.ready("it listens", |_| sockets::is_open(Kind::Udp, at).then_some(()));
    (process, at)
}

fn config(place: &Place, scheme: &str, server: SocketAddr) -> String {
    let [edge, caller, alive] = [1, CALLER, ALIVE].map(|host| place.at(host));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "{scheme}:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["{scheme}:{caller}"]

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["pbx.test"]
allow_from = ["{}/32"]
no_answer_ms = 1000

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "pbx" }}]

[dns]
servers = ["{server}"]
"#,
        alive.ip()
    )
}

#[test]
fn calls_go_on_to_the_next_machine_of_a_name() {
    for (carrier, scheme) in [(Carrier::Udp, "udp"), (Carrier::Tcp, "tcp")] {
        let place = Place::new();
        let (_server, server) = name_server(&place);
        let edge = Edge::start(&place, &config(&place, scheme, server));
        let callee = Sipp::callee(&place, ALIVE, scenario("callee")).by(carrier).calls(CALLS, 0).start(&place);
        Sipp::caller(&place, CALLER, scenario("caller"), "2001").by(carrier).calls(CALLS, 10).run(&place);
        callee.finish();
        crate::support::until("the edge counts", crate::support::SOON, || {
            (edge.metric("trunkway_failovers_total") >= 1.0).then_some(())
        });
        edge.stop();
    }
}
