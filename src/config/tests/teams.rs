//! `cloud` of Teams trunks: what stands for keys that are left out, and what wins over it.

use std::fs;
use std::net::IpAddr;

use super::super::*;
use super::faults::{faults_in, told};
use crate::trunk::{ListenerId, TrunkId};

/// A TLS listener and a Teams trunk with the given keys; line 17 is the first of them.
fn edge(keys: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["edge.pem", "edge.key", "roots.pem"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let text = "\
[node]
name = 'edge-1'
seal_key_file = 'seal.key'
[[listen]]
name = 'teams'
bind = 'tls:127.0.0.1:5061'
advertise = 'sbc.example.net'
certificate = 'edge.pem'
key = 'edge.key'
client_ca = 'roots.pem'
[tls_client]
ca = 'roots.pem'
[dialplan.main]
rules = [{ prefix = '+44', tag = 'teams' }]
[trunk.teams]
listen = 'teams'
";
    (directory, format!("{text}{keys}"))
}

/// Targets, names and networks of the trunk.
fn values(keys: &str) -> (String, String, String) {
    let (directory, text) = edge(keys);
    let loaded = load_str("edge.toml", &text, directory.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let trunk = &loaded.trunks.0[0];
    let join = |parts: Vec<String>| parts.join(" ");
    let port = |port: Option<u16>| port.map_or(String::new(), |port| format!(":{port}"));
    (
        join(trunk.targets.iter().map(|target| format!("{}{}", target.host, port(target.port))).collect()),
        join(trunk.peer_names.iter().map(ToString::to_string).collect()),
        join(trunk.allow_from.iter().map(ToString::to_string).collect()),
    )
}

const PUBLIC: (&str, &str, &str) = (
    "sip.pstnhub.microsoft.com:5061 sip2.pstnhub.microsoft.com:5061 sip3.pstnhub.microsoft.com:5061",
    "sip.pstnhub.microsoft.com sip2.pstnhub.microsoft.com sip3.pstnhub.microsoft.com",
    "52.112.0.0/14 52.122.0.0/15",
);
const GCC_HIGH: (&str, &str, &str) =
    ("sip.pstnhub.gov.teams.microsoft.us:5061", "sip.pstnhub.gov.teams.microsoft.us", "52.127.88.0/21");
const DOD: (&str, &str, &str) =
    ("sip.pstnhub.dod.teams.microsoft.us:5061", "sip.pstnhub.dod.teams.microsoft.us", "52.127.64.0/21");

#[test]
fn cloud_stands_for_keys_that_are_left_out_and_written_ones_win() {
    let own = "targets = ['tls:teams.example.net:5071', '127.0.0.9']\n";
    let own_targets = "teams.example.net:5071 127.0.0.9";
    let bare = "targets = ['teams.example.net']\n";
    for (keys, expected) in [
        ("", PUBLIC),
        ("cloud = 'public'\n", PUBLIC),
        ("cloud = 'gcc-high'\n", GCC_HIGH),
        ("cloud = 'dod'\n", DOD),
        // Targets alone say where the trunk is: nothing is taken from a cloud.
        (own, (own_targets, "teams.example.net", "")),
        ("targets = ['127.0.0.9']\nallow_from = ['127.0.0.9']\n", ("127.0.0.9", "", "127.0.0.9/32")),
        // A name has the usual port: SRV is not asked.
        (bare, ("teams.example.net:5061", "teams.example.net", "")),
        // With a cloud each key wins for itself.
        (&format!("cloud = 'dod'\n{own}"), (own_targets, DOD.1, DOD.2)),
        ("cloud = 'dod'\npeer_names = ['*.example.net']\n", (DOD.0, "*.example.net", DOD.2)),
        ("peer_names = []\n", (PUBLIC.0, "", PUBLIC.2)),
        ("allow_from = ['10.0.0.0/8']\n", (PUBLIC.0, PUBLIC.1, "10.0.0.0/8")),
        ("allow_from = []\n", (PUBLIC.0, PUBLIC.1, "")),
    ] {
        let expected = (expected.0.to_owned(), expected.1.to_owned(), expected.2.to_owned());
        assert_eq!(values(&format!("kind = 'teams'\n{keys}")), expected, "{keys}");
    }
}

#[test]
fn cloud_of_something_else_is_a_fault() {
    for (keys, expected) in [
        (
            "kind = 'teams'\ncloud = 'gcchigh'\n",
            &[
                "18:9 trunk `teams`: `cloud`: `gcchigh` is none of `public`, `gcc-high`, `dod` | did you mean `gcc-high`?",
            ][..],
        ),
        ("kind = 'teams'\ntargets = []\n", &["18:11 trunk `teams`: `targets` is empty"]),
        (
            "kind = 'carrier'\ncloud = 'public'\n",
            &["15:1 trunk `teams` has no `targets`", "18:9 trunk `teams`: `cloud` is for kind teams only"],
        ),
    ] {
        let (directory, text) = edge(keys);
        assert_eq!(told(&faults_in(&text, directory.path())), expected, "{keys}");
    }
}

#[test]
fn connections_come_in_from_any_address_of_the_cloud_and_by_certificate_only() {
    let (directory, text) = edge("kind = 'teams'\n");
    let loaded = load_str("edge.toml", &text, directory.path()).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let teams = TrunkId(0);
    let from = |remote: &str, proven: &[TrunkId]| {
        loaded.identify.trunk(ListenerId(0), remote.parse::<IpAddr>().unwrap(), proven)
    };
    for remote in ["52.112.0.0", "52.115.255.255", "52.122.0.1", "52.123.255.255"] {
        assert_eq!(from(remote, &[teams]), Some(teams), "{remote}");
        assert_eq!(from(remote, &[]), None, "{remote}: an address proves nothing");
    }
    for remote in ["52.111.255.255", "52.116.0.0", "52.121.255.255", "52.124.0.0", "127.0.0.1"] {
        assert_eq!(from(remote, &[teams]), None, "{remote}");
    }
}

#[test]
fn trunk_known_by_address_alone_has_those_of_its_cloud() {
    let (directory, text) = edge("kind = 'teams'\npeer_names = []\n");
    assert_eq!(told(&faults_in(&text, directory.path())), [""; 0], "no word of requests that are refused");
}

#[test]
fn legs_towards_teams_are_the_edges_own_and_outlive_it_by_a_key() {
    for (keys, transparent, warned) in [
        ("", false, &[][..]),
        ("transparent = false\n", false, &[]),
        (
            "transparent = true\n",
            true,
            &["18:15 trunk `teams`: Teams refuses calls whose Contact is not of the edge \
               | leave `transparent` out: of kind teams it is false"],
        ),
    ] {
        let (directory, text) = edge(&format!("kind = 'teams'\n{keys}"));
        let loaded = load_str("edge.toml", &text, directory.path()).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(loaded.trunks.0[0].transparent, transparent, "{keys}");
        assert_eq!(told(&loaded.warnings), warned, "{keys}");
    }
    let (directory, text) = edge("kind = 'teams'\n");
    let warned = "14:1 trunk `teams`: calls of a trunk that is not transparent end with the process \
                  | give `seal_key_file` in [node]: calls then go on after a restart";
    assert_eq!(told(&faults_in(&text.replace("seal_key_file = 'seal.key'\n", ""), directory.path())), [warned]);
}
