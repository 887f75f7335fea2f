//! Lines E1 to E7: versions, suites, certificates, names and addresses of connections.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    RsaKeySize,
};
use trunkway::lab::agent::Dialling;
use trunkway::lab::message::{Address, Uri};
use trunkway::lab::{Script, TrunkStatus};

use crate::stage::{CENTRE, EDGE, NAMES, OWN, Plan, SHARED, SITES, Stage, message};
use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::{SOON, certificates, until};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(900);
/// The host from which openssl connects.
const TYPIST: u8 = 31;

/// `openssl s_client` towards the edge.
fn s_client(place: &Place, port: u16, identity: Option<&str>, arguments: &[&str]) -> Process {
    let certs = place.folder().join("certs");
    let mut command = Command::new("openssl");
    let (at, own) = (format!("{}:{port}", place.ip(1)), format!("{}:0", place.ip(TYPIST)));
    command.args(["s_client", "-connect", &at, "-bind", &own, "-servername", EDGE]);
    command.args(["-showcerts", "-verify_return_error", "-verify_hostname", EDGE, "-ign_eof"]);
    command.arg("-CAfile").arg(certs.join("ca.pem")).args(arguments);
    if let Some(identity) = identity {
        command.arg("-cert").arg(certs.join(format!("{identity}.pem")));
        command.arg("-key").arg(certs.join(format!("{identity}.key")));
    }
    Process::start_with("openssl", place.folder(), command.stdin(Stdio::piped()))
}

/// Types an OPTIONS into the connection; the edge answers if it has let the client in.
fn type_options(openssl: &mut Process) {
    let options = format!(
        "OPTIONS sip:{EDGE};transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKtyped\r\n\
         Max-Forwards: 70\r\nFrom: <sip:typist@192.0.2.1>;tag=1\r\nTo: <sip:{EDGE}>\r\nCall-ID: typed\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    // A client that was refused may have gone already.
    let _ = openssl.child().stdin.as_mut().map(|stdin| stdin.write_all(options.as_bytes()));
}

/// Connects and types; what openssl has printed when it was answered, or when it was thrown out.
fn try_in(place: &Place, port: u16, identity: Option<&str>, arguments: &[&str]) -> (bool, String) {
    let mut openssl = s_client(place, port, identity, arguments);
    type_options(&mut openssl);
    let was_let_in = until("openssl is let in or thrown out", SOON, || {
        let answered = openssl.output().contains("\nSIP/2.0 ");
        (answered || openssl.ended().is_some()).then(|| openssl.output().contains("\nSIP/2.0 "))
    });
    let output = openssl.output();
    (was_let_in, output)
}

/// An edge without stand-ins: a Teams trunk and, on a listener of its own, a PBX that proves itself by certificate.
fn lone_edge(place: &Place, certificate: &str) -> Edge {
    let (teams, pbx) = (place.tls_at(1), place.port + 3);
    let ip = place.ip(1);
    let text = format!(
        r#"
[[listen]]
name = "teams"
bind = "tls:{teams}"
certificate = "{certificate}.pem"
key = "{certificate}.key"
client_ca = "certs/ca.pem"
[[listen]]
name = "secure"
bind = "tls:{ip}:{pbx}"
certificate = "{certificate}.pem"
key = "{certificate}.key"
client_ca = "certs/ca.pem"
[tls_client]
ca = "certs/ca.pem"
certificate = "{certificate}.pem"
key = "{certificate}.key"
[trunk.teams]
kind = "teams"
listen = "teams"
fqdn = "{EDGE}"
targets = ["tls:{}:9"]
peer_names = ["sip.pstnhub.microsoft.com"]
allow_from = ["{}/24"]
options_interval_s = 0
[trunk.pbx]
kind = "pbx"
listen = "secure"
fqdn = "{EDGE}"
targets = ["tls:{}:9"]
peer_names = ["sip.pstnhub.microsoft.com"]
allow_from = ["{}/24"]
[[tenant.contoso.site]]
fqdn = "{}"
teams = "teams"
trunk = "pbx"
"#,
        place.ip(CENTRE),
        place.ip(0),
        place.ip(2),
        place.ip(0),
        SITES[0],
    );
    Edge::start(place, &text)
}

#[test]
fn e01_tls_1_2_is_the_least_and_the_suites_are_those_of_teams_that_rustls_has() {
    let place = Place::new();
    certificates::make(&place);
    let edge = lone_edge(&place, "certs/edge");
    let port = place.tls_at(1).port();
    let try_with = |arguments: &[&str]| try_in(&place, port, Some("teams"), arguments);
    for version in ["-tls1", "-tls1_1"] {
        let (is_in, output) = try_with(&[version, "-cipher", "ALL:@SECLEVEL=0"]);
        // The edge says so; openssl itself was willing.
        assert!(!is_in && output.contains("SSL alert number"), "{version}: {output}");
    }
    let (is_in, output) = try_with(&["-tls1_3"]);
    assert!(is_in && output.contains("TLSv1.3"), "{output}");
    for suite in ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"] {
        let (is_in, output) = try_with(&["-tls1_2", "-cipher", suite]);
        let key = output.lines().find(|line| line.starts_with("Server public key is ")).unwrap_or_default();
        assert!(is_in && output.contains(suite), "{suite}: {output}");
        assert_eq!(key, "Server public key is 2048 bit", "{output}");
        assert!(output.contains("Verification: OK") && output.contains("sigalg: RSA-SHA256"), "{output}");
    }
    // The other two that Microsoft lists are CBC suites, which the edge's library leaves out (see README).
    for suite in ["ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA256", "AES256-GCM-SHA384"] {
        let (is_in, output) = try_with(&["-tls1_2", "-cipher", suite]);
        assert!(!is_in && output.contains("alert handshake failure"), "{suite}: {output}");
    }
    edge.stop();
}

/// Writes a chain of root, intermediate and edge: `chain.pem` with the intermediate, `bare.pem` without it; the root
/// takes the place of the trust file, and Teams gets a certificate of it.
fn write_chain(place: &Place) {
    let key = || KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let leaf = |names: &[&str], purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = purposes.to_vec();
        params
    };
    let (root_key, between_key, edge_key, teams_key) = (key(), key(), key(), key());
    let root_params = authority("root");
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, root_key);
    let between_params = authority("intermediate");
    let between = between_params.signed_by(&between_key, &root_issuer).unwrap();
    let issuer = Issuer::new(between_params, between_key);
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let edge = leaf(&[EDGE, "*.customers.example.net"], &both).signed_by(&edge_key, &issuer).unwrap();
    let teams = leaf(&NAMES, &both[..1]).signed_by(&teams_key, &root_issuer).unwrap();
    for (name, text) in [
        ("certs/ca.pem", root.pem()),
        ("chain.pem", edge.pem() + &between.pem()),
        ("chain.key", edge_key.serialize_pem()),
        ("bare.pem", edge.pem()),
        ("bare.key", edge_key.serialize_pem()),
        ("certs/teams.pem", teams.pem()),
        ("certs/teams.key", teams_key.serialize_pem()),
    ] {
        place.write(name, &text);
    }
}

#[test]
fn e01_the_full_chain_is_sent_as_server_and_as_client() {
    for (certificate, is_whole) in [("chain", true), ("bare", false)] {
        let place = Place::new();
        certificates::make(&place);
        write_chain(&place);
        let edge = lone_edge(&place, certificate);
        let (is_in, output) = try_in(&place, place.tls_at(1).port(), Some("teams"), &["-tls1_2"]);
        assert_eq!(is_in, is_whole, "openssl knows the root alone: {output}");
        let sent = output.matches("-----BEGIN CERTIFICATE-----").count();
        assert!(!is_whole || sent == 2, "{sent} certificates were sent: {output}");
        edge.stop();
        // And as a client: a server that knows the root alone takes it, or does not.
        assert_eq!(as_client(&place, certificate), is_whole, "{certificate} as client");
    }
}

/// Whether `openssl s_server`, in the place of Teams, takes the edge's certificate when the edge dials.
fn as_client(place: &Place, certificate: &str) -> bool {
    let at = place.tls_at(CENTRE);
    let mut command = Command::new("openssl");
    command.args([
        "s_server",
        "-accept",
        &at.to_string(),
        "-Verify",
        "3",
        "-verify_return_error",
        "-CAfile",
        "certs/ca.pem",
    ]);
    command.args(["-cert", "certs/teams.pem", "-key", "certs/teams.key", "-tls1_2"]);
    let mut server = Process::start_with("s_server", place.folder(), command.stdin(Stdio::piped()));
    server.ready("it listens", |server| server.output().contains("ACCEPT").then_some(()));
    let text = format!(
        r#"
[[listen]]
name = "teams"
bind = "tls:{}"
certificate = "{certificate}.pem"
key = "{certificate}.key"
client_ca = "certs/ca.pem"
[tls_client]
ca = "certs/ca.pem"
certificate = "{certificate}.pem"
key = "{certificate}.key"
[trunk.teams]
kind = "teams"
listen = "teams"
fqdn = "{EDGE}"
targets = ["tls:{at}"]
peer_names = ["sip.pstnhub.microsoft.com"]
options_interval_s = 1
[trunk.pbx]
kind = "pbx"
listen = "teams"
targets = ["tls:{}:9"]
allow_from = ["{}/32"]
peer_names = []
[[tenant.contoso.site]]
fqdn = "{}"
teams = "teams"
trunk = "pbx"
"#,
        place.tls_at(1),
        place.ip(2),
        place.ip(2),
        SITES[0],
    );
    let edge = Edge::start(place, &text);
    let verdict = until("the edge dials and is judged", SOON, || {
        let output = server.output();
        match () {
            () if output.contains("OPTIONS sip:") => Some(true),
            () if output.contains("verify error") || output.contains("certificate verify failed") => Some(false),
            () => None,
        }
    });
    edge.stop();
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e02_teams_is_dialled_with_certificate_and_name_and_its_own_is_checked() {
    // The stand-in asks for a certificate, and complains of a connection without the name that was dialled.
    let stage = Stage::new(Plan { centres: 3, ..Plan::default() }).await;
    for teams in &stage.teams {
        let active = teams.journal().wait(SOON, |journal| {
            journal.trunk(EDGE).filter(|trunk| trunk.status == TrunkStatus::Active && trunk.received >= 2)
        });
        assert!(active.await.is_some(), "{:?} {:#?}", teams.journal().trunk(EDGE), stage.complaints());
    }
    let (targets, _) = stage.trunk();
    let up = targets.iter().filter(|target| target["reason"] == "answered OPTIONS with 200").count();
    assert_eq!(up, 3, "each name was in the certificate of who answered there: {targets:?}");
    stage.finish();
}

#[test]
fn e02_who_does_not_prove_to_be_teams_is_not_let_in() {
    let place = Place::new();
    certificates::make(&place);
    let edge = lone_edge(&place, "certs/edge");
    let stranger = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sip.pstnhub.microsoft.com"])
        .args(["-addext", "subjectAltName=DNS:sip.pstnhub.microsoft.com"])
        .args(["-keyout", "certs/stranger.key", "-out", "certs/stranger.pem"])
        .current_dir(place.folder())
        .output()
        .unwrap();
    assert!(stranger.status.success());
    let port = place.tls_at(1).port();
    let (is_in, output) = try_in(&place, port, Some("teams"), &["-tls1_2"]);
    assert!(is_in && output.contains("SIP/2.0 200"), "{output}");
    for identity in [None, Some("expired"), Some("wrong-name"), Some("pbx"), Some("stranger")] {
        for version in ["-tls1_2", "-tls1_3"] {
            let (is_in, output) = try_in(&place, port, identity, &[version]);
            assert!(!is_in && output.contains("alert"), "{identity:?} {version}: {output}");
        }
    }
    edge.stop();
}

#[test]
fn e03_a_certificate_for_servers_only_is_good_for_teams_and_for_nobody_else() {
    let place = Place::new();
    certificates::make(&place);
    let edge = lone_edge(&place, "certs/edge");
    for (port, wanted) in [(place.tls_at(1).port(), true), (place.port + 3, false)] {
        for version in ["-tls1_2", "-tls1_3"] {
            let (is_in, output) = try_in(&place, port, Some("teams"), &[version]);
            assert_eq!(is_in, wanted, "{version} at {port}: {output}");
        }
    }
    edge.stop();
}

/// What `trunkway check` says of an edge, without the folder.
fn checked(folder: &Path, site: &str) -> String {
    let text = format!(
        r#"
[node]
name = "edge"
seal_key_file = "seal.key"
[[listen]]
name = "teams"
bind = "tls:127.0.0.1:5061"
advertise = "{EDGE}"
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
targets = ["teams.example.net"]
[[listen]]
name = "inside"
bind = "udp:127.0.0.1:5060"
[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:127.0.0.9:5060"]
[[route]]
from = "pbx"
to = ["teams"]
[[tenant.contoso.site]]
fqdn = "{site}"
teams = "teams"
trunk = "pbx"
"#
    );
    std::fs::write(folder.join("edge.toml"), text).unwrap();
    let output = trunkway("check").arg("--config").arg(folder.join("edge.toml")).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn e04_check_warns_of_what_teams_would_not_take_in_the_edges_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let make = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "edge.key", "-out", "edge.pem"]);
        let made = command.args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::copy(folder.path().join("edge.pem"), folder.path().join("ca.pem")).unwrap();
    };
    let rsa = ["-newkey", "rsa:2048"];
    let both = ["-addext", "extendedKeyUsage=serverAuth,clientAuth"];
    let names = ["-addext", "subjectAltName=DNS:edge.example.net,DNS:*.customers.example.net"];
    let site = SITES[0];
    let year = ["-days", "300"];
    make(&[rsa, both, names, year].concat());
    let good = checked(folder.path(), site);
    assert!(!good.contains("certificate edge.pem") && !good.contains("RSA"), "{good}");
    let says = |arguments: &[&str], site: &str, words: &str| {
        make(arguments);
        let said = checked(folder.path(), site);
        assert!(said.contains(words), "no {words:?} in:\n{said}");
        assert!(!good.contains(words));
    };
    says(&[rsa, both, names, ["-days", "20"]].concat(), site, "days");
    says(&[rsa, ["-addext", "extendedKeyUsage=serverAuth"], names, year].concat(), site, "clientAuth");
    says(&[rsa, both, year].concat(), site, "does not cover");
    says(&[rsa, both, names, year].concat(), "a.contoso.customers.example.net", "stands for one label only");
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    says(&[&curve[..], &both, &names, &year].concat(), site, "ECDSA key");
}

#[test]
fn e05_check_tells_of_names_that_are_too_long_for_teams() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["edge.pem", "edge.key", "ca.pem"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let longest = format!("{}.customers.example.net", "a".repeat(63 - ".customers.example.net".len()));
    assert_eq!(longest.len(), 63);
    let said = checked(folder.path(), &longest);
    assert!(!said.contains("and Teams takes 63"), "{said}");
    let said = checked(folder.path(), &format!("a{longest}"));
    assert!(said.contains("has 64 characters, and Teams takes 63"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e05_no_address_stands_in_any_contact_and_no_record_route_goes_to_teams() {
    let stage = Stage::usual().await;
    let mut plan = stage.to_pbx(0, "+441632960101");
    (plan.hold_after, plan.hang_up_after) = (Some(SHORT), Some(LONG));
    let record = stage.teams[0].call(plan).await;
    assert_eq!((record.error, record.code), (None, Some(200)));
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code), (None, Some(200)));
    let teams = stage.teams[0].journal();
    let own =
        teams.captured().iter().filter(|one| one.sent).flat_map(|one| message(one).list("Record-Route")).collect();
    let own: BTreeSet<String> = own;
    let mut seen = BTreeSet::new();
    for captured in teams.captured().iter().filter(|one| !one.sent) {
        let message = message(captured);
        for name in ["Contact", "Record-Route"] {
            for value in message.list(name).into_iter().filter(|value| !own.contains(value)) {
                assert_eq!(name, "Contact", "{value} in {}", captured.text);
                let uri = Uri::parse(&Address::parse(&value).unwrap().uri).unwrap();
                assert!(!uri.is_literal(), "{}", captured.text);
                seen.insert((uri.host, message.cseq().map(|(_, method)| method.to_owned())));
            }
        }
    }
    // OPTIONS of the edge, both calls' INVITEs and answers.
    assert!(seen.len() >= 2 && seen.iter().any(|(host, _)| host == EDGE), "{seen:?}");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_data_centres_are_tried_in_order() {
    let mut stage = Stage::new(Plan { centres: 3, ..Plan::default() }).await;
    for index in 0..3 {
        let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
        assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
        let counts: Vec<usize> = stage.teams.iter().map(|teams| teams.journal().calls().len()).collect();
        // Those before have gone, so that the first in the list is the one that is next in order.
        assert_eq!(counts[0], 1, "data centre {index}: {counts:?}");
        assert!(counts[1..].iter().all(|count| *count == 0), "data centre {index}: {counts:?}");
        stage.teams.remove(0).stop().await;
    }
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_names_are_asked_again_when_their_time_is_over() {
    let plan = Plan { ttl: 1, ..Plan::default() };
    let mut stage = Stage::new(plan).await;
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    // The name now leads to another machine, where the first answers too, so that only the name decides.
    let second = stage.start_centre(1).await;
    stage.move_names([CENTRE + 1; 3]);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let record = stage.pbxs[0].call(stage.to_teams(OWN[0])).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    assert_eq!(Stage::called(&second, OWN[0]).await.number, OWN[0]);
    assert!(stage.teams[0].journal().calls().iter().all(|call| call.number != OWN[0]), "the old address is not kept");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e07_each_request_may_come_by_a_connection_of_its_own_from_any_address() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            teams.dialling = Dialling::PerRequest;
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
        },
        ..Plan::default()
    })
    .await;
    let mut plan = stage.to_pbx(0, "+441632960101");
    (plan.hold_after, plan.hang_up_after) = (Some(SHORT), Some(LONG));
    let record = stage.teams[0].call(plan).await;
    assert_eq!((record.error, record.code, record.changes_made), (None, Some(200), 2), "{:#?}", stage.complaints());
    let mut plan = stage.to_teams(SHARED);
    plan.hang_up_after = None;
    let record = stage.pbxs[0].call(plan).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    Stage::called(&stage.teams[0], SHARED).await;
    // Each came by a connection of its own, and the edge has seen other addresses than that of the data centre.
    let sent: Vec<_> = stage.teams[0].journal().captured().into_iter().filter(|one| one.sent).collect();
    let requests: Vec<_> =
        sent.iter().filter(|one| !one.text.starts_with("SIP/2.0") && !one.text.starts_with("OPTIONS")).collect();
    let connections: BTreeSet<u64> = requests.iter().map(|one| one.connection).collect();
    // INVITE, ACK, twice re-INVITE and ACK, BYE; and the same without the first two of the called side.
    assert!(
        requests.len() >= 12 && connections.len() >= requests.len() - 1,
        "{} by {}",
        requests.len(),
        connections.len()
    );

    stage.finish();
}
