//! TLS as OpenSSL's own client sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::{SOON, certificates};

/// The host number of the peer in a place; the edge is 1.
const PBX: u8 = 2;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(1_500);

const VERSIONS: [(&str, &str); 2] = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];

/// An edge that wants to see a certificate with the name `pbx.example.net`.
fn edge(place: &Place) -> Edge {
    let [edge, pbx] = [1, PBX].map(|host| place.tls_at(host));
    let config = format!(
        r#"
[[listen]]
name = "outside"
bind = "tls:{edge}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"
client_certificate = "require"

[tls_client]
ca = "certs/ca.pem"

[trunk.pbx]
kind = "pbx"
listen = "outside"
targets = ["tls:{pbx}"]
peer_names = ["pbx.example.net"]

[limits]
tls_handshake_timeout_ms = {}
"#,
        HANDSHAKE_TIMEOUT.as_millis()
    );
    Edge::start(place, &config)
}

/// `openssl s_client` towards the edge, which verifies the edge's certificate and shows what it was sent.
fn s_client(place: &Place, certificates: &Path, version: &str, identity: Option<&str>) -> Process {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &place.tls_at(1).to_string(), "-bind", &format!("{}:0", place.ip(PBX))]);
    command.args([version, "-showcerts", "-verify_return_error", "-verify_hostname", "edge.example.net", "-ign_eof"]);
    command.arg("-CAfile").arg(certificates.join("ca.pem"));
    if let Some(identity) = identity {
        command.arg("-cert").arg(certificates.join(format!("{identity}.pem")));
        command.arg("-key").arg(certificates.join(format!("{identity}.key")));
    }
    Process::start_with("openssl", place.folder(), command.stdin(Stdio::piped()))
}

/// Types an OPTIONS into the connection.
fn type_options(openssl: &mut Process, place: &Place) {
    let (edge, own) = (place.tls_at(1), place.tls_at(PBX));
    let options = format!(
        "OPTIONS sip:{edge};transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bKtyped\r\nMax-Forwards: 70\r\n\
         From: <sip:typist@{own}>;tag=1\r\nTo: <sip:{edge};transport=tls>\r\nCall-ID: typed\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let typed = openssl.child().stdin.as_mut().map(|stdin| stdin.write_all(options.as_bytes()));
    // A client that was refused may have gone already.
    if let Some(Err(error)) = typed {
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn peer_with_a_certificate_is_known_and_sees_the_chain() {
    for (version, spoken) in VERSIONS {
        let place = Place::new();
        let certificates = certificates::make(&place);
        let edge = edge(&place);
        let mut openssl = s_client(&place, &certificates, version, Some("pbx"));
        type_options(&mut openssl, &place);
        openssl.ready("the edge answers", |openssl| openssl.output().contains("\nSIP/2.0 200 OK").then_some(()));
        let output = openssl.output();
        let chain = std::fs::read_to_string(certificates.join("edge.pem")).expect("the edge has a certificate");
        assert!(output.contains(chain.lines().nth(1).expect("a certificate has lines")), "{output}");
        for part in ["Verify return code: 0 (ok)", "Verified peername: edge.example.net", spoken] {
            assert!(output.contains(part), "{version}: no {part} in {output}");
        }
        edge.stop();
    }
}

#[test]
fn peer_without_a_proper_certificate_is_not_let_in() {
    for ((version, _), identity) in
        VERSIONS.into_iter().flat_map(|it| [None, Some("expired"), Some("wrong-name")].map(|id| (it, id)))
    {
        let place = Place::new();
        let certificates = certificates::make(&place);
        let edge = edge(&place);
        let mut openssl = s_client(&place, &certificates, version, identity);
        type_options(&mut openssl, &place);
        let status = openssl.wait(SOON);
        let output = openssl.output();
        assert!(!output.contains("SIP/2.0 200"), "{version} {identity:?}: {output}");
        assert!(!status.success() && output.contains("alert"), "{version} {identity:?}: {status} {output}");
        edge.stop();
    }
}

#[test]
fn handshake_that_stalls_is_closed_in_time() {
    let place = Place::new();
    certificates::make(&place);
    let edge = edge(&place);
    // Nothing at all, and the first bytes of a ClientHello that never comes.
    for beginning in [&[][..], &[22, 3, 1, 2, 0, 1, 0, 1]] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(place.tls_at(1)).expect("the edge listens");
        stream.set_read_timeout(Some(SOON)).expect("sockets have timeouts");
        stream.write_all(beginning).expect("the edge reads");
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let took = began.elapsed();
        assert!((HANDSHAKE_TIMEOUT..HANDSHAKE_TIMEOUT * 4).contains(&took), "closed after {took:?}");
    }
    edge.stop();
}
