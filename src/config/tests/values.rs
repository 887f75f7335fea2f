//! What a good configuration becomes.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use crate::routing::{Decision, NoRoute, Query, Source};
use crate::sip::Transport;
use crate::trunk::{Fork, ListenerId, TrunkId};

/// A directory with files that stand for certificates.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("certs")).unwrap();
    for name in ["edge.pem", "edge.key", "roots.pem", "client.pem", "client.key", "own-ca.pem"] {
        fs::write(directory.path().join("certs").join(name), "").unwrap();
    }
    directory
}

const EDGE: &str = r#"
[node]
name = "edge-1"
fqdn = "SBC.example.net"
seal_key_file = "certs/seal.key"

[[listen]]
name = "inside"
bind = "udp:127.0.0.1:5060"
sockets = 2

[[listen]]
name = "six"
bind = "tcp:[::1]:5070"
advertise = "[2001:db8::1]"

[[listen]]
name = "teams"
bind = "tls:0.0.0.0:5061"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/roots.pem"

[tls_client]
ca = "certs/roots.pem"
certificate = "certs/client.pem"
key = "certs/client.key"

[trunk.teams]
kind = "teams"
listen = "teams"
targets = ["sip.pstnhub.microsoft.com", "sip2.pstnhub.microsoft.com:5062"]
allow_from = ["52.112.0.0/14"]

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:127.0.0.1:5080", "192.0.2.7"]
fork = "parallel"

[trunk.secure]
kind = "carrier"
listen = "teams"
targets = ["tls:carrier.example.net", "198.51.100.7"]
peer_names = ["*.carrier.example.net"]
fqdn = "edge.example.org"
no_answer_ms = 2500
failover_codes = [500]
connection_reuse = false
stream_when_large = false
accept_server_auth_only = true
tls_client = { ca = "certs/own-ca.pem" }

[tenant.contoso]
[[tenant.contoso.site]]
fqdn = "Contoso.customers.example.net"
teams = "teams"
trunk = "pbx"

[dialplan.main]
rules = [{ prefix = "+44163276", tag = "contoso.customers.example.net" }, { prefix = "57", tag = "pbx" }]

[[route]]
from = "teams"
prefix = "+44"
to = ["secure"]

[timers]
t1_ms = 250

[limits]
max_branches = 4
stream_idle_timeout_s = 60

[dns]
servers = ["127.0.0.1:5353", "::1"]
stale_s = 0

[metrics]
bind = "127.0.0.1:9090"
"#;

#[test]
fn everything_is_read_and_defaults_fill_the_rest() {
    let directory = directory();
    let loaded = load_str("edge.toml", EDGE, directory.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let Loaded { config, trunks, warnings, .. } = &loaded;
    assert_eq!(warnings.to_string().lines().next(), Some("warning: no trunk uses listener `six`"), "and nothing else");
    assert_eq!(warnings.faults.len(), 1);
    assert_eq!(config.node.fqdn.as_deref(), Some("sbc.example.net"));

    let own: Vec<(&str, u16, Transport)> = config
        .listeners
        .iter()
        .map(|listen| (&*listen.listener.host, listen.listener.port, listen.listener.transport))
        .collect();
    assert_eq!(
        own,
        [
            ("127.0.0.1", 5060, Transport::Udp),
            ("[2001:db8::1]", 5070, Transport::Tcp),
            ("sbc.example.net", 5061, Transport::Tls),
        ]
    );
    assert_eq!(config.listeners[0].sockets, Some(2));
    let certs = directory.path().join("certs");
    assert_eq!(
        config.listeners[2].tls,
        Some(ServerTls {
            certificate: certs.join("edge.pem"),
            key: certs.join("edge.key"),
            client_ca: Some(certs.join("roots.pem")),
            client_certificate: ClientCertificate::Require,
        })
    );

    let [teams, pbx, secure] = trunks.0.as_slice() else { panic!("{trunks:?}") };
    assert_eq!((teams.id, pbx.id, secure.id), (TrunkId(0), TrunkId(1), TrunkId(2)));
    assert_eq!((teams.listener, pbx.listener), (ListenerId(2), ListenerId(0)));
    assert_eq!(teams.peer_names.len(), 2);
    assert_eq!(teams.failover_codes, [503]);
    assert_eq!(teams.fqdn, None, "the listener's name serves");
    assert_eq!(teams.no_answer, Duration::from_secs(4));
    assert_eq!((teams.targets[0].port, teams.targets[1].port), (Some(5061), Some(5062)));
    assert_eq!(teams.targets[0].transport, Some(Transport::Tls), "no other listener is taken");
    assert_eq!(pbx.fork, Fork::Parallel);
    assert_eq!(pbx.no_answer, Duration::from_secs(16), "64 times T1");
    assert_eq!(pbx.failover_codes, [408, 502, 503, 504]);
    assert_eq!(pbx.targets[1].literal, Some("192.0.2.7:5060".parse().unwrap()));
    assert_eq!(pbx.allow_from.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1/32", "192.0.2.7/32"]);
    assert!(pbx.connection_reuse && pbx.stream_when_large && pbx.peer_names.is_empty());
    assert_eq!(secure.no_answer, Duration::from_millis(2_500));
    assert_eq!(secure.allow_from, [], "a target that is a name may have any address");
    assert_eq!(secure.fqdn.as_deref(), Some("edge.example.org"));
    assert!(!secure.connection_reuse && !secure.stream_when_large);

    let [teams, pbx, secure] = config.trunk_tls.as_slice() else { panic!() };
    assert!(teams.accept_server_auth_only && !pbx.accept_server_auth_only && secure.accept_server_auth_only);
    assert_eq!(teams.client.ca, Some(certs.join("roots.pem")));
    assert_eq!(secure.client.ca, Some(certs.join("own-ca.pem")));
    assert_eq!(secure.client.key, Some(certs.join("client.key")));
    assert_eq!(pbx.client, ClientTls::default());

    assert_eq!(config.timers, Timers { t1: Duration::from_millis(250), ..Timers::default() });
    assert_eq!(
        config.limits,
        Limits { max_branches: 4, stream_idle_timeout: Duration::from_secs(60), ..Limits::default() }
    );
    assert_eq!(config.dns.servers, ["127.0.0.1:5353".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!(config.dns.stale, Duration::ZERO);
    assert_eq!(config.metrics.bind, Some("127.0.0.1:9090".parse().unwrap()));
}

#[test]
fn tables_work_together() {
    let directory = directory();
    let loaded = load_str("edge.toml", EDGE, directory.path()).unwrap();
    let (teams, pbx, secure) = (TrunkId(0), TrunkId(1), TrunkId(2));

    let from = |listener, remote: &str, authenticated: &[TrunkId]| {
        loaded.identify.trunk(ListenerId(listener), remote.parse::<IpAddr>().unwrap(), authenticated)
    };
    assert_eq!(from(0, "192.0.2.7", &[]), Some(pbx));
    assert_eq!(from(0, "192.0.2.8", &[]), None);
    assert_eq!(from(2, "52.114.0.1", &[teams]), Some(teams));
    assert_eq!(from(2, "52.114.0.1", &[]), None);
    assert_eq!(from(2, "203.0.113.9", &[secure]), Some(secure));

    let to = |from, host: &str, user: &str| {
        let query = Query::new(from, host.as_bytes(), user.as_bytes());
        match loaded.routing.route(query) {
            Decision::To(choice) => {
                Ok((choice.ways.iter().map(|way| way.trunk).collect::<Vec<_>>(), choice.site.is_some()))
            }
            Decision::NoRoute(refused) => Err(refused.why),
        }
    };
    let contoso = "contoso.customers.example.net";
    assert_eq!(to(teams, contoso, "+441"), Ok((vec![secure], true)));
    assert_eq!(to(teams, contoso, "5755"), Ok((vec![pbx], true)));
    assert_eq!(to(teams, "sbc.example.net", "+441"), Ok((vec![secure], false)));
    assert_eq!(to(secure, "edge.example.org", "+441632760001"), Ok((vec![teams], true)));
    assert_eq!(to(secure, "edge.example.org", "5755"), Ok((vec![pbx], false)), "the only plan is everybody's");
    assert_eq!(to(pbx, "127.0.0.1", "5755"), Err(NoRoute::Loop));
    assert_eq!(to(pbx, "127.0.0.1", "+1"), Err(NoRoute::NoRule));
}

#[test]
fn included_files_and_dial_plans_are_read_in_order() {
    let directory = directory();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let trunk = |number: u8| {
        format!("[trunk.t{number}]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.{number}']\ndialplan = 'p'\n")
    };
    write(
        "edge.toml",
        "include = ['more/*.toml', 'more/b.toml']\n[node]\nname = 'n'\n[[listen]]\nname = 'inside'\nbind = 'udp:127.0.0.1:5060'\n",
    );
    write("more/b.toml", &trunk(2));
    write(
        "more/a.toml",
        &format!(
            "{}[dialplan.p]\nfiles = ['../numbers/*.csv']\n[dialplan.q]\nfiles = ['../numbers/1.csv']\n",
            trunk(1)
        ),
    );
    write("numbers/1.csv", "dialPlanName,prefix,tag,owner,active\np,+1,t1,acme\nq,+1,t2,acme,false\n");
    write("numbers/2.csv", "prefix,tag\n+2,t2\n55[00-19],t1\n");
    let loaded = load(&directory.path().join("edge.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = loaded.trunks.0.iter().map(|trunk| &*trunk.name).collect();
    assert_eq!(names, ["t1", "t2"]);
    let sizes: Vec<usize> = loaded.routing.plans().iter().map(|plan| plan.len()).collect();
    assert_eq!(sizes, [3, 1]);
    let [p, q] = loaded.routing.plans() else { panic!() };
    let found = p.find(b"+12").unwrap();
    let (prefix, source) = p.rule(b"+12", &found);
    assert_eq!((found.owner(), prefix.as_str()), ("acme", "+1"));
    assert!(matches!(source, Source::File(file, 2) if file.ends_with("1.csv")));
    assert!(q.find(b"+12").is_none(), "an inactive rule answers nothing");
    let files: Vec<String> =
        loaded.files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(files, ["edge.toml", "a.toml", "b.toml", "1.csv", "2.csv"]);
}

#[test]
fn trunks_of_one_network_are_told_apart_by_certificate_names() {
    let directory = directory();
    let trunk = |name: &str, names: &str| {
        format!("\n[trunk.{name}]\nkind = 'carrier'\nlisten = 'teams'\ntargets = ['127.0.0.1']\npeer_names = {names}\n")
    };
    let load = |a: &str, b: &str| {
        let text = format!("{EDGE}{}{}", trunk("a", a), trunk("b", b));
        load_str("edge.toml", &text, directory.path()).map_err(|faults| faults.errors().count())
    };
    assert!(load("['a.example']", "['b.example']").is_ok());
    assert!(load("['a.example']", "[]").is_ok(), "one by name, the other by address");
    assert_eq!(load("['a.example', 'b.example']", "['b.example', 'a.example']").err(), Some(1));
    assert_eq!(load("[]", "[]").err(), Some(1));
}

#[test]
fn operators_prefix_file_is_read() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !base.join("dialplan-prefixes.csv").exists() {
        return;
    }
    let site = |fqdn: &str| format!("[[tenant.one.site]]\nfqdn = '{fqdn}'\nteams = 'teams'\ntrunk = 'pbx'\n");
    let sites: String = [
        "trnkpck01.customers.example.net",
        "contoso.customers.example.net",
        "fabrikam.customers.example.net",
        "fabrikam.onmicrosoft.com",
        "emergency.example.net",
    ]
    .map(site)
    .concat();
    let text = format!(
        "[node]\nname = 'n'\nfqdn = 'sbc.example'\n[[listen]]\nname = 'l'\nbind = 'udp:127.0.0.1:5060'\n\
         [trunk.teams]\nkind = 'teams'\nlisten = 'l'\ntargets = ['127.0.0.2']\n\
         [trunk.pbx]\nkind = 'pbx'\nlisten = 'l'\ntargets = ['127.0.0.3']\n{sites}\
         [dialplan.CustDialPlan]\nfiles = ['dialplan-prefixes.csv']\n"
    );
    let loaded = load_str("edge.toml", &text, &base).unwrap_or_else(|faults| panic!("{faults}"));
    let site = |number: &str| {
        let explained = loaded.routing.explain(Query::new(TrunkId(1), b"", number.as_bytes()));
        explained.site
    };
    let found = loaded.routing.plans()[0].find(b"5511361844000").unwrap();
    let (prefix, source) = loaded.routing.plans()[0].rule(b"5511361844000", &found);
    assert_eq!(prefix, "551136184[4000-9999]");
    assert!(matches!(source, Source::File(file, 6) if file.ends_with("dialplan-prefixes.csv")));
    assert_eq!(site("5511361844000").as_deref(), Some("fabrikam.customers.example.net"));
    assert_eq!(site("5511361843999"), None);
    assert_eq!(site("+9729004568").as_deref(), Some("trnkpck01.customers.example.net"));
    assert_eq!(site("911").as_deref(), Some("emergency.example.net"));
    assert_eq!(site("+441632768402").as_deref(), Some("contoso.customers.example.net"), "not that of the other plan");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is cut out of a configuration or put into it, it is taken or its faults are drawn.
    #[test]
    fn damaged_configuration_is_answered(
        start in 0_usize..EDGE.len(),
        length in 0_usize..40,
        put in "[\\[\\]{}='\"a-z0-9.:\n é\u{feff}-]{0,6}",
    ) {
        // The text is ASCII: every index is a character's.
        let end = (start + length).min(EDGE.len());
        let text = format!("{}{put}{}", &EDGE[..start], &EDGE[end..]);
        if let Err(faults) = load_str("edge.toml", &text, Path::new("/nonexistent")) {
            prop_assert!(faults.errors().count() > 0);
            prop_assert!(faults.to_string().contains("error: "));
        }
    }
}

#[test]
fn numbering_plans_and_translation_rules_are_those_of_the_reference() {
    let text = "\
[node]
name = 'edge-1'
[[listen]]
name = 'inside'
bind = 'udp:127.0.0.1:5060'
[trunk.pbx]
kind = 'pbx'
listen = 'inside'
targets = ['udp:127.0.0.1:5080']
[[trunk.pbx.translate]]
direction = 'in'
number = 'called'
name = 'extension to number'
pattern = '^(4\\d\\d)$'
replacement = '+441632768$1;ext=$1'
[[trunk.pbx.translate]]
direction = 'out'
number = 'calling'
name = 'national'
pattern = '^\\+44'
replacement = '0'
[trunk.carrier]
kind = 'carrier'
listen = 'inside'
targets = ['udp:127.0.0.2:5081']
[tenant.contoso]
country = 'gb'
[tenant.contoso.numbering]
international_prefix = '900'
extension_ranges = ['400-499']
service_numbers = ['+101']
main = '401'
[tenant.fabrikam]
";
    let loaded = load_str("edge.toml", text, Path::new("/nonexistent")).unwrap_or_else(|faults| panic!("{faults}"));
    let plan = &loaded.numbering["contoso"];
    for (value, expected) in [
        ("900 33 1 23 45 67 89", "+33123456789"),
        ("01632 768402 x402", "+441632768402;ext=402"),
        ("+101", "101"),
        ("+499", "499"),
    ] {
        assert_eq!(plan.read(value).number.to_string(), expected, "{value}");
    }
    assert_eq!(plan.main().map(ToString::to_string).as_deref(), Some("401"));
    assert_eq!(loaded.numbering["fabrikam"].country(), None);
    let [pbx, carrier] = loaded.translations.as_slice() else { panic!("{:?}", loaded.translations) };
    let called = pbx.inbound.called.apply(b"402").unwrap();
    assert_eq!(
        (&*called.number, called.rule.map(|rule| &**rule)),
        (&b"+441632768402;ext=402"[..], Some("extension to number"))
    );
    assert_eq!(&*pbx.outbound.calling.apply(b"+441632768402").unwrap().number, b"01632768402");
    for list in [&pbx.inbound.calling, &pbx.outbound.called, &carrier.inbound.called, &carrier.outbound.calling] {
        assert!(list.rules().is_empty());
    }
}
