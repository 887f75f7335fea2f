//! TLS connections, in both directions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::{ClientConfig, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use trunkway::cli::certs::{DevAuthority, KeyKind, Leaf, Purpose};
use trunkway::sip::Transport;
use trunkway::transport::tls::{
    ClientCertificate, ClientSettings, ClientTls, PeerRule, ServerSettings, ServerTls, pem, server_name,
};
use trunkway::transport::{DropReason, Limits, ListenerSettings, SendFault, Token};
use trunkway::trunk::{Hop, TrunkId};

use super::support::*;

pub const PBX: TrunkId = TrunkId(3);
pub const PBX_NAME: &str = "pbx.example.net";
pub const EDGE_NAME: &str = "edge.example.net";

/// Certificates in files: the edge's, and a PBX's that a peer may show.
pub struct Bench {
    dir: TempDir,
    authority: DevAuthority,
}

impl Bench {
    pub fn new() -> Self {
        let authority = DevAuthority::generate("test CA", KeyKind::EcdsaP256).unwrap();
        let bench = Self { dir: TempDir::new().unwrap(), authority };
        std::fs::write(bench.path("ca.pem"), bench.authority.certificate()).unwrap();
        for (stem, name) in [("edge", EDGE_NAME), ("pbx", PBX_NAME)] {
            bench.issue(stem, name);
        }
        bench
    }

    /// Puts a new certificate and key into the files of `stem`.
    pub fn issue(&self, stem: &str, name: &str) {
        let leaf =
            Leaf { names: vec![name.to_owned()], purpose: Purpose::Both, expired: false, key: KeyKind::EcdsaP256 };
        let issued = self.authority.issue(&leaf).unwrap();
        std::fs::write(self.path(&format!("{stem}.pem")), issued.certificate).unwrap();
        std::fs::write(self.path(&format!("{stem}.key")), issued.key).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A TLS listener with the identity of `stem`, in both directions, that knows `peer` by name.
    pub fn listener(&self, stem: &str, peer: &str) -> ListenerSettings {
        let identity = (self.path(&format!("{stem}.pem")), self.path(&format!("{stem}.key")));
        let server = ServerSettings {
            certificate: identity.0.clone(),
            key: identity.1.clone(),
            client_ca: Some(self.path("ca.pem")),
            client_certificate: ClientCertificate::Optional,
            peers: vec![PeerRule { trunk: PBX, names: vec![peer.into()], accept_server_auth_only: false }],
        };
        let client =
            ClientSettings { ca: Some(self.path("ca.pem")), identity: Some(identity), ..ClientSettings::default() };
        let mut listener = listener(Transport::Tls);
        listener.server_tls = Some(Arc::new(ServerTls::load(&server).unwrap()));
        listener.client_tls = Some(Arc::new(ClientTls::load(&client).unwrap()));
        listener
    }

    pub fn edge(&self, limits: Limits) -> Edge {
        Edge::new(self.listener("edge", PBX_NAME), limits, Echo::default())
    }

    /// A peer's own way to dial, with the PBX's certificate or none.
    pub fn peer(&self, version: &'static SupportedProtocolVersion, proved: bool) -> TlsConnector {
        let roots = pem::authorities(&self.path("ca.pem")).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        let config = if proved {
            let chain = pem::certificates(&self.path("pbx.pem")).unwrap();
            let key = pem::private_key(&self.path("pbx.key")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(config).into()
    }
}

pub async fn dial(peer: &TlsConnector, addr: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = server_name(EDGE_NAME).unwrap();
    peer.connect(name, tcp).await.unwrap()
}

pub fn hop(edge: &Edge, addr: SocketAddr, name: &str) -> Hop {
    Hop { name: Some(name.into()), ..edge.hop(Transport::Tls, addr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_over_both_versions_whole_and_in_pieces() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    for (version, proved) in [(&version::TLS12, false), (&version::TLS13, true)] {
        let mut stream = dial(&bench.peer(version, proved), edge.addr).await;
        let large = request("INVITE", 60_000);
        let both = [request("INVITE", 40), request("BYE", 0)].concat();
        for message in [&large, &both] {
            stream.write_all(message).await.unwrap();
            stream.flush().await.unwrap();
            expect(&mut stream, message).await;
        }
        let small = request("OPTIONS", 2);
        for byte in &small {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        expect(&mut stream, &small).await;
        stream.write_all(b"\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        expect(&mut stream, b"\r\n").await;

        let expected: &[TrunkId] = if proved { &[PBX] } else { &[] };
        assert_eq!(edge.echo.last().authenticated, expected);
        assert_eq!(edge.echo.last().bytes, small);
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, b"");
    }
    assert_eq!(edge.echo.count(), 8);
    eventually("both are gone", || edge.transports.counts().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_tls_reader_gets_everything_in_order() {
    let bench = Bench::new();
    let edge = bench.edge(Limits { connection_queue_bytes: 16 * 1024 * 1024, ..Limits::default() });
    let mut slow = dial(&bench.peer(&version::TLS13, true), edge.addr).await;
    let hello = request("OPTIONS", 0);
    slow.write_all(&hello).await.unwrap();
    expect(&mut slow, &hello).await;
    let flow = edge.echo.last().flow;
    let sent: Vec<_> = (0..300).map(|n| request("NOTIFY", 30_000 + n)).collect();
    for message in &sent {
        let bytes = Bytes::from(message.clone());
        edge.transports.answer(&flow, None, bytes, Token(1, 1));
    }
    assert!(edge.transports.counts().queued_bytes > 0, "nothing waited");
    // Reading and writing at once: what comes in must not be held up by what cannot leave.
    slow.write_all(&hello).await.unwrap();
    slow.flush().await.unwrap();
    eventually("the request comes", || edge.echo.count() == 2).await;
    for message in &sent {
        expect(&mut slow, message).await;
    }
    expect(&mut slow, &hello).await;
    assert_eq!(edge.transports.counts().queued_bytes, 0);
    assert_eq!(edge.echo.failures(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialled_peer_proves_its_name_and_speaks_for_its_trunk() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let pbx = Echo { silent: true, ..Echo::default() };
    let pbx = Edge::new(bench.listener("pbx", EDGE_NAME), Limits::default(), pbx);
    let hop = hop(&edge, pbx.addr, PBX_NAME);
    for n in 0..3 {
        let bytes = Bytes::from(request("INVITE", n));
        edge.transports.request(&hop, bytes, Token(1, 0));
    }
    eventually("all come", || pbx.echo.count() == 3).await;
    assert_eq!(pbx.transports.counts().connections, 1);
    assert_eq!(pbx.echo.last().authenticated, [PBX]);
    let answer = Bytes::from_static(b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n");
    let flow = pbx.echo.last().flow;
    pbx.transports.answer(&flow, None, answer, Token::NONE);
    eventually("the answer comes", || edge.echo.count() == 1).await;
    assert_eq!(edge.echo.last().authenticated, [hop.trunk]);
    assert_eq!(edge.echo.failures(), []);

    pbx.transports.shutdown().await;
    eventually("the end is noticed", || edge.transports.counts().connections == 0).await;
}

#[tokio::test]
async fn a_peer_with_another_name_gets_nothing() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let pbx = Edge::new(bench.listener("pbx", EDGE_NAME), Limits::default(), Echo::default());
    let token = Token(9, 9);
    let bytes = Bytes::from(request("INVITE", 0));
    let wrong = hop(&edge, pbx.addr, "carrier.example.net");
    edge.transports.request(&wrong, bytes, token);
    eventually("it fails", || !edge.echo.failures().is_empty()).await;
    assert_eq!(edge.echo.failures(), [(token, SendFault::Tls)]);
    eventually("the peer notices", || pbx.transports.counts().dropped(DropReason::Handshake) == 1).await;
    assert_eq!(pbx.echo.count(), 0);
}

#[tokio::test]
async fn a_peer_that_refuses_the_edges_certificate_gets_nothing_and_the_sender_is_told() {
    // With TLS 1.3 the edge has sent its message before it learns of the refusal.
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let strict = bench.listener("pbx", "somebody.example.net");
    let pbx = Edge::new(strict, Limits::default(), Echo::default());
    let bytes = Bytes::from(request("INVITE", 0));
    let hop = hop(&edge, pbx.addr, PBX_NAME);
    edge.transports.request(&hop, bytes, Token(4, 0));
    eventually("it fails", || !edge.echo.failures().is_empty()).await;
    assert_eq!(edge.echo.failures(), [(Token(4, 0), SendFault::Closed)]);
    assert_eq!(pbx.echo.count(), 0);
}

#[tokio::test]
async fn one_name_is_not_reached_over_the_connection_of_another() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let pbx = Echo { silent: true, ..Echo::default() };
    let pbx = Edge::new(bench.listener("pbx", EDGE_NAME), Limits::default(), pbx);
    let bytes = Bytes::from(request("INVITE", 0));
    let right = hop(&edge, pbx.addr, PBX_NAME);
    edge.transports.request(&right, bytes.clone(), Token(1, 0));
    eventually("it comes", || pbx.echo.count() == 1).await;
    let wrong = hop(&edge, pbx.addr, "carrier.example.net");
    edge.transports.request(&wrong, bytes, Token(2, 0));
    eventually("the other fails", || edge.echo.failures() == [(Token(2, 0), SendFault::Tls)]).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended_in_both_directions() {
    let bench = Bench::new();
    let edge = bench.edge(Limits { tls_handshake_timeout: Duration::from_millis(200), ..Limits::default() });
    let mut mute = TcpStream::connect(edge.addr).await.unwrap();
    assert_eq!(read_to_end(&mut mute).await, b"");
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::Handshake), 1);

    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = hop(&edge, deaf.local_addr().unwrap(), PBX_NAME);
    let begun = Instant::now();
    let bytes = Bytes::from(request("INVITE", 0));
    edge.transports.request(&hop, bytes, Token(1, 0));
    eventually("it fails", || !edge.echo.failures().is_empty()).await;
    let expected = [(Token(1, 0), SendFault::ConnectTimeout)];
    assert_eq!(edge.echo.failures(), expected);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn garbage_instead_of_tls_ends_the_connection() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let mut plain = TcpStream::connect(edge.addr).await.unwrap();
    plain.write_all(&request("OPTIONS", 0)).await.unwrap();
    read_to_end(&mut plain).await;
    // And within a session: a record that nobody encrypted.
    let mut stream = dial(&bench.peer(&version::TLS13, false), edge.addr).await;
    let hello = request("OPTIONS", 0);
    stream.write_all(&hello).await.unwrap();
    expect(&mut stream, &hello).await;
    let (mut tcp, _session) = stream.into_inner();
    tcp.write_all(&[23, 3, 3, 0, 32]).await.unwrap();
    tcp.write_all(&[7; 32]).await.unwrap();
    read_to_end(&mut tcp).await;
    eventually("nothing stays", || edge.transports.counts().connections == 0).await;
    assert_eq!(edge.echo.count(), 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_in_the_next_handshake() {
    let old = Bench::new();
    let new = Bench::new();
    let edge = old.edge(Limits::default());
    let mut stays = dial(&old.peer(&version::TLS13, false), edge.addr).await;
    let fresh = new.listener("edge", PBX_NAME);
    edge.transports.renew_tls(LISTENER, fresh.server_tls, fresh.client_tls);
    let mut stream = dial(&new.peer(&version::TLS13, true), edge.addr).await;
    let hello = request("OPTIONS", 0);
    for stream in [&mut stays, &mut stream] {
        stream.write_all(&hello).await.unwrap();
        expect(stream, &hello).await;
    }
    assert_eq!(edge.echo.last().authenticated, [PBX]);
}

#[tokio::test]
async fn openssl_sends_a_request_and_reads_the_echo() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-ign_eof", "-verify_return_error"])
            .args(["-connect", &edge.addr.to_string(), version])
            .args(["-verify_hostname", EDGE_NAME, "-CAfile"])
            .arg(bench.path("ca.pem"))
            .arg("-cert")
            .arg(bench.path("pbx.pem"))
            .arg("-key")
            .arg(bench.path("pbx.key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl is installed");
        let message = request("OPTIONS", 20);
        let mut input = client.stdin.take().unwrap();
        input.write_all(&message).await.unwrap();
        input.flush().await.unwrap();
        expect(client.stdout.as_mut().unwrap(), &message).await;
        assert_eq!(edge.echo.last().authenticated, [PBX]);
        client.kill().await.unwrap();
    }
}

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

#[test]
fn an_idle_tls_connection_costs_at_most_sixteen_kibibytes() {
    const WARM: usize = 50;
    const COUNT: usize = 500;
    // A process of its own: what other tests of this one use at the same time is not to be seen.
    if std::env::var_os("MEASURE_IDLE_TLS").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("tls::an_idle_tls_connection_costs_at_most_sixteen_kibibytes")
            .env("MEASURE_IDLE_TLS", "1")
            .status();
        return assert!(status.unwrap().success());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new();
        let edge = bench.edge(Limits { max_connections_per_address: 2 * COUNT, ..Limits::default() });
        let mut held = Vec::new();
        let mut before = 0;
        for n in 0..WARM + COUNT {
            if n == WARM {
                before = resident();
            }
            let peer = bench.peer(&version::TLS13, true);
            let mut stream = dial(&peer, edge.addr).await;
            let message = request("INVITE", 1_000);
            stream.write_all(&message).await.unwrap();
            expect(&mut stream, &message).await;
            edge.echo.seen.lock().unwrap().clear();
            // Of the peer's end only the socket stays.
            held.push(stream.into_inner().0.into_std().unwrap());
        }
        assert_eq!(edge.transports.counts().connections, WARM + COUNT);
        let each = (resident() - before) / COUNT;
        println!("{each} bytes for each idle TLS connection");
        assert!(each <= 16 * 1024, "{each} bytes");
    });
}
