//! TLS over real connections on loopback: who is let in, who is refused and in which words.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trunkway::cli::certs::{DevAuthority, KeyKind, Leaf, Pem, Purpose};
use trunkway::transport::tls::{
    ClientCertificate, ClientSettings, ClientTls, PeerRule, ServerSettings, ServerTls, TlsError, explain, pem,
    server_name,
};
use trunkway::trunk::TrunkId;

const TEAMS: TrunkId = TrunkId(1);
const PBX: TrunkId = TrunkId(2);
const BOTH_VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A certificate file and its key file.
type Files = (PathBuf, PathBuf);

/// An authority, a directory with its files, and the edge's own certificate in it.
struct Bench {
    authority: DevAuthority,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { authority: authority("test CA"), dir: TempDir::new().unwrap() };
        bench.file("ca.pem", bench.authority.certificate());
        bench.identity("edge", &["edge.example.net", "*.customers.example.net", "127.0.0.1"], Purpose::Both);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn store(&self, stem: &str, pem: &Pem) -> Files {
        (self.file(&format!("{stem}.pem"), &pem.certificate), self.file(&format!("{stem}.key"), &pem.key))
    }

    fn identity(&self, stem: &str, names: &[&str], purpose: Purpose) -> Files {
        let pem = self.authority.issue(&leaf(names, purpose)).unwrap();
        self.store(stem, &pem)
    }

    fn edge_files(&self) -> Files {
        (self.path("edge.pem"), self.path("edge.key"))
    }

    fn expired(&self, name: &str) -> Files {
        let leaf = Leaf { expired: true, ..leaf(&[name], Purpose::Both) };
        self.store("expired", &self.authority.issue(&leaf).unwrap())
    }

    fn settings(&self, peers: Vec<PeerRule>) -> ServerSettings {
        ServerSettings {
            certificate: self.path("edge.pem"),
            key: self.path("edge.key"),
            client_ca: Some(self.path("ca.pem")),
            client_certificate: ClientCertificate::Require,
            peers,
        }
    }

    fn server(&self, peers: Vec<PeerRule>) -> ServerTls {
        ServerTls::load(&self.settings(peers)).unwrap()
    }

    /// The edge as it dials, without a certificate of its own.
    fn dialler(&self) -> ClientTls {
        ClientTls::load(&ClientSettings { ca: Some(self.path("ca.pem")), identity: None, ..ClientSettings::default() })
            .unwrap()
    }

    /// A peer that dials the edge over one version of TLS.
    fn peer(&self, version: &'static SupportedProtocolVersion, identity: Option<&Files>) -> Arc<ClientConfig> {
        let roots: RootCertStore = pem::authorities(&self.path("ca.pem")).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        Arc::new(match identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(pem::certificates(certificate).unwrap(), pem::private_key(key).unwrap())
                .unwrap(),
            None => builder.with_no_client_auth(),
        })
    }
}

fn authority(name: &str) -> DevAuthority {
    DevAuthority::generate(name, KeyKind::EcdsaP256).unwrap()
}

fn leaf(names: &[&str], purpose: Purpose) -> Leaf {
    Leaf {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        purpose,
        expired: false,
        key: KeyKind::EcdsaP256,
    }
}

fn rule(trunk: TrunkId, names: &[&str], accept_server_auth_only: bool) -> PeerRule {
    PeerRule { trunk, names: names.iter().map(|&name| Arc::from(name)).collect(), accept_server_auth_only }
}

/// The far side of a dialled connection, held to one version of TLS.
fn far_side(version: &'static SupportedProtocolVersion, (certificate, key): &Files) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(pem::certificates(certificate).unwrap(), pem::private_key(key).unwrap());
    Arc::new(config.unwrap())
}

/// What the server knows after a handshake and one byte in each direction.
#[derive(Debug)]
struct Met {
    version: ProtocolVersion,
    kind: HandshakeKind,
    sni: Option<String>,
    /// The client's certificates as the server saw them.
    chain: Vec<CertificateDer<'static>>,
}

/// What each end says when the connection fails.
#[derive(Debug)]
struct Refused {
    server: String,
    client: String,
}

async fn meet(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Met, Refused> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await?;
        let mut tls = TlsAcceptor::from(server).accept(tcp).await?;
        tls.write_all(b"s").await?;
        tls.read_exact(&mut [0]).await?;
        let connection = tls.get_ref().1;
        Ok::<_, std::io::Error>(Met {
            version: connection.protocol_version().unwrap(),
            kind: connection.handshake_kind().unwrap(),
            sni: connection.server_name().map(str::to_owned),
            chain: connection.peer_certificates().unwrap_or_default().to_vec(),
        })
    });
    let dialled = async {
        let tcp = TcpStream::connect(addr).await?;
        let mut tls = TlsConnector::from(client).connect(name, tcp).await?;
        tls.read_exact(&mut [0]).await?;
        tls.write_all(b"c").await
    }
    .await;
    let words = |error: Option<std::io::Error>| match error {
        None => "content".to_owned(),
        Some(error) => explain(&error),
    };
    match (accepting.await.unwrap(), dialled) {
        (Ok(met), Ok(())) => Ok(met),
        (accepted, dialled) => Err(Refused { server: words(accepted.err()), client: words(dialled.err()) }),
    }
}

fn edge() -> ServerName<'static> {
    server_name("edge.example.net").unwrap()
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{text:?} lacks {part:?}");
}

#[tokio::test]
async fn peer_with_a_listed_name_is_let_in_and_belongs_to_its_trunk() {
    let bench = Bench::new();
    let server = bench.server(vec![
        rule(TEAMS, &["sip.pstnhub.microsoft.com"], true),
        rule(PBX, &["other.example.net", "pbx.example.net"], false),
    ]);
    let pbx = bench.identity("pbx", &["pbx.example.net"], Purpose::Both);
    for (version, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let peer = bench.peer(version, Some(&pbx));
        let met = meet(server.config(), peer, edge()).await.unwrap();
        assert_eq!(met.version, expected);
        assert_eq!(server.trunks_of(&met.chain).as_slice(), [PBX]);
    }
}

#[tokio::test]
async fn certificate_with_the_names_of_two_trunks_belongs_to_both() {
    let bench = Bench::new();
    let server = bench.server(vec![rule(TEAMS, &["a.example.net"], false), rule(PBX, &["b.example.net"], false)]);
    let both = bench.identity("both", &["b.example.net", "a.example.net"], Purpose::Both);
    let peer = bench.peer(&version::TLS13, Some(&both));
    let met = meet(server.config(), peer, edge()).await.unwrap();
    assert_eq!(server.trunks_of(&met.chain).as_slice(), [TEAMS, PBX]);
}

#[tokio::test]
async fn peer_with_another_name_is_refused_and_both_names_are_told() {
    let bench = Bench::new();
    let server = bench.server(vec![rule(PBX, &["pbx.example.net"], false)]);
    let stranger = bench.identity("x", &["evil.example.org", "192.0.2.7"], Purpose::Both);
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, Some(&stranger));
        let refused = meet(server.config(), peer, edge()).await.unwrap_err();
        assert_eq!(
            refused.server,
            "the peer's certificate names evil.example.org, 192.0.2.7, wanted one of pbx.example.net"
        );
        assert_contains(&refused.client, "refused the edge");
    }
}

#[tokio::test]
async fn wildcard_stands_for_one_label_only() {
    let bench = Bench::new();
    let wildcard = bench.identity("wild", &["*.customers.example.net"], Purpose::Both);
    let one = bench.server(vec![rule(PBX, &["contoso.customers.example.net"], false)]);
    let two = bench.server(vec![rule(PBX, &["a.contoso.customers.example.net"], false)]);
    let none = bench.server(vec![rule(PBX, &["customers.example.net"], false)]);
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, Some(&wildcard));
        let met = meet(one.config(), peer.clone(), edge()).await.unwrap();
        assert_eq!(one.trunks_of(&met.chain).as_slice(), [PBX]);
        for server in [&two, &none] {
            let refused = meet(server.config(), peer.clone(), edge()).await;
            assert_contains(&refused.unwrap_err().server, "names *.customers.example.net");
        }
    }
}

#[tokio::test]
async fn expired_certificate_is_refused() {
    let bench = Bench::new();
    let server = bench.server(vec![rule(PBX, &["pbx.example.net"], false)]);
    let expired = bench.expired("pbx.example.net");
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, Some(&expired));
        let refused = meet(server.config(), peer, edge()).await.unwrap_err();
        assert_eq!(refused.server, "the peer's certificate expired 1 h ago");
    }
}

#[tokio::test]
async fn certificate_of_an_unknown_authority_is_refused() {
    let bench = Bench::new();
    let server = bench.server(vec![rule(PBX, &["pbx.example.net"], false)]);
    let leaf = leaf(&["pbx.example.net"], Purpose::Both);
    let other = bench.store("other", &authority("other CA").issue(&leaf).unwrap());
    // The same subject as the trusted authority: it is the key that counts.
    let forged = bench.store("forged", &authority("test CA").issue(&leaf).unwrap());
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, Some(&other));
        let refused = meet(server.config(), peer, edge()).await.unwrap_err();
        assert_contains(&refused.server, "not issued by a trusted authority");
        let peer = bench.peer(version, Some(&forged));
        let refused = meet(server.config(), peer, edge()).await.unwrap_err();
        assert_contains(&refused.server, "BadSignature");
    }
}

#[tokio::test]
async fn peer_without_certificate_is_refused_where_one_is_required_and_nobody_where_optional() {
    let bench = Bench::new();
    let rules = vec![rule(PBX, &["pbx.example.net"], false)];
    let required = bench.server(rules.clone());
    let optional =
        ServerTls::load(&ServerSettings { client_certificate: ClientCertificate::Optional, ..bench.settings(rules) })
            .unwrap();
    let stranger = bench.identity("x", &["evil.example.org"], Purpose::Both);
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, None);
        let refused = meet(required.config(), peer.clone(), edge()).await;
        assert_contains(&refused.unwrap_err().server, "shows no client certificate");
        let met = meet(optional.config(), peer, edge()).await.unwrap();
        assert!(met.chain.is_empty());
        assert!(optional.trunks_of(&met.chain).is_empty());
        // One that is shown is still checked.
        let peer = bench.peer(version, Some(&stranger));
        assert!(meet(optional.config(), peer, edge()).await.is_err());
    }
}

#[tokio::test]
async fn certificate_for_servers_only_is_accepted_by_the_trunk_that_asks_for_it() {
    let bench = Bench::new();
    let teams = bench.identity("teams", &["sip.pstnhub.microsoft.com"], Purpose::Server);
    let pbx = bench.identity("pbx", &["pbx.example.net"], Purpose::Server);
    let server =
        bench.server(vec![rule(TEAMS, &["sip.pstnhub.microsoft.com"], true), rule(PBX, &["pbx.example.net"], false)]);
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, Some(&teams));
        let met = meet(server.config(), peer, edge()).await.unwrap();
        assert_eq!(server.trunks_of(&met.chain).as_slice(), [TEAMS]);

        let peer = bench.peer(version, Some(&pbx));
        let refused = meet(server.config(), peer, edge()).await.unwrap_err();
        assert_contains(&refused.server, "for servers only");
    }
}

#[tokio::test]
async fn certificate_for_servers_only_does_not_pass_for_a_trunk_that_needs_client_auth() {
    let bench = Bench::new();
    let server =
        bench.server(vec![rule(TEAMS, &["shared.example.net"], true), rule(PBX, &["shared.example.net"], false)]);
    for (purpose, expected) in
        [(Purpose::Server, &[TEAMS][..]), (Purpose::Both, &[TEAMS, PBX][..]), (Purpose::Client, &[TEAMS, PBX][..])]
    {
        let shared = bench.identity("shared", &["shared.example.net"], purpose);
        let peer = bench.peer(&version::TLS13, Some(&shared));
        let met = meet(server.config(), peer, edge()).await.unwrap();
        assert_eq!(server.trunks_of(&met.chain).as_slice(), expected);
    }
}

#[tokio::test]
async fn chain_alone_decides_where_no_trunk_lists_names() {
    let bench = Bench::new();
    let strict = bench.server(vec![rule(PBX, &[], false)]);
    let lenient = bench.server(vec![rule(TEAMS, &[], true)]);
    let any = bench.identity("any", &["any.example.org"], Purpose::Both);
    let server_only = bench.identity("server", &["any.example.org"], Purpose::Server);

    let peer = bench.peer(&version::TLS13, Some(&any));
    let met = meet(strict.config(), peer, edge()).await.unwrap();
    assert!(strict.trunks_of(&met.chain).is_empty());

    let peer = bench.peer(&version::TLS13, Some(&server_only));
    let refused = meet(strict.config(), peer.clone(), edge()).await;
    assert_contains(&refused.unwrap_err().server, "for servers only");
    assert!(meet(lenient.config(), peer, edge()).await.is_ok());
}

#[tokio::test]
async fn chain_that_is_no_longer_good_belongs_to_no_trunk() {
    let bench = Bench::new();
    let server = bench.server(vec![rule(PBX, &["pbx.example.net"], false)]);
    let (expired, _) = bench.expired("pbx.example.net");
    assert!(server.trunks_of(&pem::certificates(&expired).unwrap()).is_empty());
    let (good, _) = bench.identity("pbx", &["pbx.example.net"], Purpose::Both);
    assert_eq!(server.trunks_of(&pem::certificates(&good).unwrap()).as_slice(), [PBX]);
}

#[tokio::test]
async fn sessions_are_not_resumed_where_a_certificate_is_the_identity() {
    let bench = Bench::new();
    let pbx = bench.identity("pbx", &["pbx.example.net"], Purpose::Both);
    for policy in [ClientCertificate::Require, ClientCertificate::Optional] {
        let server = ServerTls::load(&ServerSettings {
            client_certificate: policy,
            ..bench.settings(vec![rule(PBX, &["pbx.example.net"], false)])
        })
        .unwrap();
        for version in BOTH_VERSIONS {
            let peer = bench.peer(version, Some(&pbx));
            for _ in 0..2 {
                let met = meet(server.config(), peer.clone(), edge()).await.unwrap();
                assert_ne!(met.kind, HandshakeKind::Resumed);
                assert_eq!(server.trunks_of(&met.chain).as_slice(), [PBX]);
            }
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_ticket_where_no_certificate_is_asked_for() {
    let bench = Bench::new();
    let server = ServerTls::load(&ServerSettings {
        client_certificate: ClientCertificate::None,
        client_ca: None,
        ..bench.settings(Vec::new())
    })
    .unwrap();
    for version in BOTH_VERSIONS {
        let peer = bench.peer(version, None);
        let first = meet(server.config(), peer.clone(), edge()).await.unwrap();
        assert_ne!(first.kind, HandshakeKind::Resumed);
        let second = meet(server.config(), peer, edge()).await.unwrap();
        assert_eq!(second.kind, HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn edge_sends_the_dialled_name_as_sni_and_shows_its_certificate() {
    let bench = Bench::new();
    let peer = bench.server(vec![rule(PBX, &["edge.example.net"], false)]);
    let client = ClientTls::load(&ClientSettings {
        ca: Some(bench.path("ca.pem")),
        identity: Some(bench.edge_files()),
        ..ClientSettings::default()
    })
    .unwrap();
    for host in ["edge.example.net", "contoso.customers.example.net"] {
        let name = server_name(host).unwrap();
        let met = meet(peer.config(), client.config(), name).await.unwrap();
        assert_eq!(met.sni.as_deref(), Some(host));
        assert_eq!(peer.trunks_of(&met.chain).as_slice(), [PBX]);
    }
}

#[tokio::test]
async fn edge_proves_a_dialled_peer_anew_on_each_connection() {
    let bench = Bench::new();
    let client = bench.dialler();
    for version in BOTH_VERSIONS {
        // This peer would resume.
        let far = far_side(version, &bench.edge_files());
        for _ in 0..2 {
            let met = meet(far.clone(), client.config(), edge()).await.unwrap();
            assert_ne!(met.kind, HandshakeKind::Resumed);
        }
    }
}

#[tokio::test]
async fn edge_refuses_a_dialled_peer_with_another_name() {
    let bench = Bench::new();
    let client = bench.dialler();
    for version in BOTH_VERSIONS {
        let far = far_side(version, &bench.edge_files());
        for host in ["sip.pstnhub.microsoft.com", "a.b.customers.example.net"] {
            let name = server_name(host).unwrap();
            let refused = meet(far.clone(), client.config(), name).await.unwrap_err();
            assert_eq!(
                refused.client,
                format!(
                    "the peer's certificate names edge.example.net, *.customers.example.net, \
                     127.0.0.1, wanted {host}"
                )
            );
        }
    }
}

#[tokio::test]
async fn ip_literal_is_checked_against_the_addresses_of_the_certificate() {
    let bench = Bench::new();
    let client = bench.dialler();
    for version in BOTH_VERSIONS {
        let far = far_side(version, &bench.edge_files());
        let right = server_name("127.0.0.1").unwrap();
        let met = meet(far.clone(), client.config(), right).await.unwrap();
        // RFC 6066 section 3: an address is never sent as SNI.
        assert_eq!(met.sni, None);
        for wrong in ["127.0.0.2", "[::1]"] {
            let name = server_name(wrong).unwrap();
            let refused = meet(far.clone(), client.config(), name).await.unwrap_err();
            assert_contains(&refused.client, "the peer's certificate names");
        }
    }
}

#[tokio::test]
async fn edge_refuses_a_dialled_peer_that_expired_or_comes_from_an_unknown_authority() {
    let bench = Bench::new();
    let client = bench.dialler();
    let leaf = leaf(&["edge.example.net"], Purpose::Both);
    let unknown = bench.store("unknown", &authority("other CA").issue(&leaf).unwrap());
    for version in BOTH_VERSIONS {
        for (files, words) in [
            (bench.expired("edge.example.net"), "expired 1 h ago"),
            (unknown.clone(), "not issued by a trusted authority"),
        ] {
            let far = far_side(version, &files);
            let refused = meet(far, client.config(), edge()).await.unwrap_err();
            assert_contains(&refused.client, words);
        }
    }
}

/// A PBX with a certificate that only it stands for is trusted by naming that certificate; its name still counts.
#[tokio::test]
async fn certificate_in_the_trust_file_is_trusted_itself_and_its_name_is_checked() {
    let bench = Bench::new();
    let foreign = DevAuthority::generate("another authority", KeyKind::EcdsaP256).unwrap();
    let own = bench.store("pbx", &foreign.issue(&leaf(&["pbx.example.net"], Purpose::Both)).unwrap());
    let pinning =
        ClientTls::load(&ClientSettings { ca: Some(own.0.clone()), identity: None, ..ClientSettings::default() })
            .unwrap();
    for version in BOTH_VERSIONS {
        let far = far_side(version, &own);
        meet(far.clone(), pinning.config(), server_name("pbx.example.net").unwrap()).await.unwrap();
        let refused = meet(far, pinning.config(), edge()).await.unwrap_err();
        assert_contains(&refused.client, "pbx.example.net");
        let other = far_side(version, &bench.edge_files());
        meet(other, pinning.config(), edge()).await.unwrap_err();
    }
}

/// A route of Teams leads to a machine by a name that its certificate may lack: that of the service proves it as well.
#[tokio::test]
async fn e16_machine_of_a_route_is_proved_by_a_name_of_its_trunk() {
    let bench = Bench::new();
    let service = bench.identity("teams", &["sip.pstnhub.microsoft.com"], Purpose::Server);
    let stranger = bench.identity("stranger", &["sip.pstnhub.example.org"], Purpose::Server);
    let foreign = authority("another authority");
    let forged = leaf(&["sip.pstnhub.microsoft.com"], Purpose::Server);
    let forged = bench.store("forged", &foreign.issue(&forged).unwrap());
    let peer_names = vec!["sip2.pstnhub.microsoft.com".into(), "sip.pstnhub.microsoft.com".into()];
    let ca = Some(bench.path("ca.pem"));
    let teams = ClientTls::load(&ClientSettings { ca, peer_names, ..ClientSettings::default() }).unwrap();
    let machine = || server_name("sip-du-a-eu.pstnhub.microsoft.com").unwrap();
    for version in BOTH_VERSIONS {
        let met = meet(far_side(version, &service), teams.config(), machine()).await.unwrap();
        assert_eq!(
            met.sni.as_deref(),
            Some("sip-du-a-eu.pstnhub.microsoft.com"),
            "the name that is dialled is asked for"
        );
        let refused = meet(far_side(version, &service), bench.dialler().config(), machine()).await.unwrap_err();
        assert_contains(&refused.client, "sip.pstnhub.microsoft.com");
        meet(far_side(version, &stranger), teams.config(), machine()).await.unwrap_err();
        meet(far_side(version, &forged), teams.config(), machine()).await.unwrap_err();
    }
}

#[tokio::test]
async fn edge_without_authorities_trusts_no_dialled_peer() {
    let bench = Bench::new();
    let client = ClientTls::load(&ClientSettings::default()).unwrap();
    for version in BOTH_VERSIONS {
        let far = far_side(version, &bench.edge_files());
        let refused = meet(far, client.config(), edge()).await.unwrap_err();
        assert_contains(&refused.client, "no authority is configured");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let bench = Bench::new();
    let names = vec![rule(PBX, &["pbx.example.net"], false)];
    let load = |settings: ServerSettings| ServerTls::load(&settings).unwrap_err();

    let error = load(ServerSettings { client_ca: None, ..bench.settings(names.clone()) });
    assert!(matches!(error, TlsError::NoClientCa), "{error}");

    let error = load(ServerSettings { client_certificate: ClientCertificate::None, ..bench.settings(names) });
    assert_contains(&error.to_string(), "pbx.example.net");

    let error = load(bench.settings(vec![rule(PBX, &["not a name"], false)]));
    assert_contains(&error.to_string(), "\"not a name\"");

    let error = load(ServerSettings { key: bench.path("missing.key"), ..bench.settings(Vec::new()) });
    assert_contains(&error.to_string(), "missing.key");
}
