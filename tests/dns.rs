//! The resolver against a real DNS server (dnsmasq) on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use trunkway::dns::{Families, ResolveError, Resolved, Resolver, Settings, Transports};
use trunkway::sip::Transport;
use trunkway::trunk::Target;

/// Where Debian and others put the server, which may be outside the search path of a user.
const PROGRAMS: [&str; 2] = ["dnsmasq", "/usr/sbin/dnsmasq"];

/// A DNS server with records of its own under `.test`, ended when dropped.
struct DnsServer {
    process: Child,
    addr: SocketAddr,
}

impl DnsServer {
    fn start(records: &[&str]) -> Self {
        Self::start_at(free_addr(), records)
    }

    fn start_at(addr: SocketAddr, records: &[&str]) -> Self {
        let mut server = Self { process: spawn(addr, records), addr };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("dnsmasq ended at once ({status}) with {records:?}");
            }
            assert!(Instant::now() < deadline, "dnsmasq does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// Ends the server; its address is free afterwards.
    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(addr: SocketAddr, records: &[&str]) -> Child {
    let address = format!("--listen-address={}", addr.ip());
    let port = format!("--port={}", addr.port());
    let fixed = [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--local=/test/",
        &address,
        &port,
    ];
    for program in PROGRAMS {
        let spawned = Command::new(program)
            .args(fixed)
            .args(records)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match spawned {
            Ok(process) => return process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{program} cannot be started: {error}"),
        }
    }
    panic!("dnsmasq is missing: install the Debian package dnsmasq-base");
}

/// An address that is free for UDP and TCP; its IP is no other test's, so that nobody takes the port while
/// a server is restarted.
fn free_addr() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let ip = Ipv4Addr::new(127, 53, 0, NEXT.fetch_add(1, Relaxed));
    loop {
        let tcp = TcpListener::bind((ip, 0)).unwrap();
        let addr = tcp.local_addr().unwrap();
        if UdpSocket::bind(addr).is_ok() {
            return addr;
        }
    }
}

fn settings(server: SocketAddr) -> Settings {
    Settings { servers: vec![server], timeout: Duration::from_millis(1000), ..Settings::default() }
}

fn resolver(server: &DnsServer) -> Resolver {
    Resolver::new(&settings(server.addr)).unwrap()
}

/// A target as `transport:host:port` would be configured.
fn target(transport: Option<Transport>, host: &str, port: Option<u16>) -> Target {
    Target { transport, host: Arc::from(host), port, literal: None }
}

/// Places as `transport address`, in order.
fn texts(list: &[Resolved]) -> Vec<String> {
    list.iter().map(|place| format!("{} {}", place.transport, place.addr)).collect()
}

async fn resolve(resolver: &Resolver, target: &Target, allowed: Transports) -> Vec<String> {
    texts(&resolver.resolve(target, allowed).await.unwrap())
}

/// Asks the cache until it gives what is wanted.
async fn cached_becomes(resolver: &Resolver, target: &Target, wanted: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = resolver.cached(target, Transports::ALL, Instant::now()).map(|list| texts(&list));
        if found.as_deref().is_some_and(|found| found == wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn naptr_leads_to_srv_and_srv_to_addresses() {
    let server = DnsServer::start(&[
        "--naptr-record=pbx.test,10,50,s,SIPS+D2T,,_sips._tcp.pbx.test",
        "--naptr-record=pbx.test,10,90,s,SIP+D2U,,_sip._udp.elsewhere.test",
        "--naptr-record=pbx.test,20,10,s,SIP+D2T,,_sip._tcp.pbx.test",
        "--srv-host=_sips._tcp.pbx.test,a.pbx.test,5071,1,0",
        "--srv-host=_sip._udp.elsewhere.test,b.pbx.test,5072,1,0",
        "--srv-host=_sip._tcp.pbx.test,a.pbx.test,5073,1,0",
        "--host-record=a.pbx.test,127.0.0.11",
        "--host-record=b.pbx.test,127.0.0.12",
    ]);
    let resolver = resolver(&server);
    let pbx = target(None, "pbx.test", None);
    let list = resolver.resolve(&pbx, Transports::ALL).await.unwrap();
    assert_eq!(texts(&list), ["tls 127.0.0.11:5071", "udp 127.0.0.12:5072"]);
    // TLS proves the configured name, not the one that DNS led to.
    assert!(list.iter().all(|place| &*place.name == "pbx.test"));

    let udp = Transports::of(Transport::Udp);
    assert_eq!(resolve(&resolver, &pbx, udp).await, ["udp 127.0.0.12:5072"]);
    let tcp = Transports::of(Transport::Tcp);
    assert_eq!(resolve(&resolver, &pbx, tcp).await, ["tcp 127.0.0.11:5073"]);
}

#[tokio::test]
async fn without_naptr_the_srv_records_of_each_allowed_transport_are_used() {
    let server = DnsServer::start(&[
        "--srv-host=_sip._udp.pbx.test,a.pbx.test,5070,1,0",
        "--srv-host=_sips._tcp.pbx.test,a.pbx.test,5071,1,0",
        "--host-record=a.pbx.test,127.0.0.11",
        "--host-record=pbx.test,127.0.0.99",
    ]);
    let resolver = resolver(&server);
    let pbx = target(None, "pbx.test", None);
    assert_eq!(resolve(&resolver, &pbx, Transports::ALL).await, ["tls 127.0.0.11:5071", "udp 127.0.0.11:5070"]);
}

#[tokio::test]
async fn without_naptr_and_srv_the_host_itself_is_used_with_the_default_port() {
    let server = DnsServer::start(&["--host-record=pbx.test,127.0.0.11"]);
    let resolver = resolver(&server);
    let allowed = Transports::ALL;
    let pbx = target(None, "pbx.test", None);
    assert_eq!(resolve(&resolver, &pbx, allowed).await, ["udp 127.0.0.11:5060"]);
    let tls = target(Some(Transport::Tls), "pbx.test", None);
    assert_eq!(resolve(&resolver, &tls, allowed).await, ["tls 127.0.0.11:5061"]);
    assert_eq!(resolve(&resolver, &pbx, Transports::of(Transport::Tls)).await, ["tls 127.0.0.11:5061"]);
}

#[tokio::test]
async fn given_port_passes_srv_over() {
    let server =
        DnsServer::start(&["--srv-host=_sip._tcp.pbx.test,a.pbx.test,5070,1,0", "--host-record=pbx.test,127.0.0.11"]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Tcp), "pbx.test", Some(5090));
    assert_eq!(resolve(&resolver, &pbx, Transports::ALL).await, ["tcp 127.0.0.11:5090"]);
}

#[tokio::test]
async fn literal_needs_no_server() {
    let nobody = free_addr();
    let resolver = Resolver::new(&settings(nobody)).unwrap();
    let pbx =
        Target { literal: Some("[::1]:5080".parse().unwrap()), ..target(Some(Transport::Tls), "::1", Some(5080)) };
    let list = resolver.resolve(&pbx, Transports::ALL).await.unwrap();
    assert_eq!(texts(&list), ["tls [::1]:5080"]);
    assert_eq!(&*list[0].name, "::1");
    let cached = resolver.cached(&pbx, Transports::ALL, Instant::now());
    assert_eq!(texts(&cached.unwrap()), ["tls [::1]:5080"]);
    assert_eq!(resolver.counts().lookups, 0);
}

#[tokio::test]
async fn srv_priorities_and_weights_order_the_list_anew_at_each_use() {
    let server = DnsServer::start(&[
        "--srv-host=_sip._tcp.pbx.test,last.pbx.test,5060,20,100",
        "--srv-host=_sip._tcp.pbx.test,much.pbx.test,5060,10,30",
        "--srv-host=_sip._tcp.pbx.test,little.pbx.test,5060,10,10",
        "--host-record=much.pbx.test,127.0.0.30",
        "--host-record=little.pbx.test,127.0.0.10",
        "--host-record=last.pbx.test,127.0.0.20",
    ]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Tcp), "pbx.test", None);
    resolver.resolve(&pbx, Transports::ALL).await.unwrap();
    let mut firsts = BTreeMap::new();
    for _ in 0..4000 {
        let list = resolver.cached(&pbx, Transports::ALL, Instant::now()).unwrap();
        let list = texts(&list);
        assert_eq!(list.len(), 3);
        assert_eq!(list[2], "tcp 127.0.0.20:5060");
        *firsts.entry(list[0].clone()).or_insert(0) += 1;
    }
    // Three of four; nine standard deviations are left on either side.
    let much = firsts["tcp 127.0.0.30:5060"];
    assert!((2750..3250).contains(&much), "{firsts:?}");
    assert_eq!(resolver.counts().lookups, 1);
}

#[tokio::test]
async fn addresses_of_both_families_are_found_in_the_chosen_order() {
    let server = DnsServer::start(&["--host-record=pbx.test,127.0.0.11,2001:db8::11"]);
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    for (families, expected) in [
        (Families::Ipv4First, &["udp 127.0.0.11:5060", "udp [2001:db8::11]:5060"][..]),
        (Families::Ipv6First, &["udp [2001:db8::11]:5060", "udp 127.0.0.11:5060"][..]),
        (Families::Ipv4Only, &["udp 127.0.0.11:5060"][..]),
        (Families::Ipv6Only, &["udp [2001:db8::11]:5060"][..]),
    ] {
        let settings = Settings { families, ..settings(server.addr) };
        let resolver = Resolver::new(&settings).unwrap();
        assert_eq!(resolve(&resolver, &pbx, Transports::ALL).await, expected);
    }
}

#[tokio::test]
async fn alias_is_followed() {
    let server = DnsServer::start(&["--cname=sip.test,a.pbx.test", "--host-record=a.pbx.test,127.0.0.11"]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Tls), "sip.test", Some(5061));
    let list = resolver.resolve(&pbx, Transports::ALL).await.unwrap();
    assert_eq!(texts(&list), ["tls 127.0.0.11:5061"]);
    assert_eq!(&*list[0].name, "sip.test");
}

#[tokio::test]
async fn number_of_places_is_limited() {
    let records: Vec<String> = (1..=20).map(|last| format!("--host-record=pbx.test,127.0.0.{last}")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let server = DnsServer::start(&records);
    let settings = Settings { max_addresses: 5, ..settings(server.addr) };
    let resolver = Resolver::new(&settings).unwrap();
    let pbx = target(None, "pbx.test", Some(5060));
    assert_eq!(resolve(&resolver, &pbx, Transports::ALL).await.len(), 5);
}

#[tokio::test]
async fn time_to_live_is_obeyed() {
    let addr = free_addr();
    let server = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.11,2"]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    let asked_at = Instant::now();
    let first = resolve(&resolver, &pbx, Transports::ALL).await;
    assert_eq!(first, ["udp 127.0.0.11:5060"]);

    server.stop();
    let _moved = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.22,2"]);
    // Within two seconds the answer in memory is the one that counts.
    let again = resolve(&resolver, &pbx, Transports::ALL).await;
    if asked_at.elapsed() < Duration::from_millis(1900) {
        assert_eq!(again, ["udp 127.0.0.11:5060"]);
        assert_eq!(resolver.counts().lookups, 1);
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let moved = resolve(&resolver, &pbx, Transports::ALL).await;
    assert_eq!(moved, ["udp 127.0.0.22:5060"]);
}

#[tokio::test]
async fn answer_past_its_time_is_used_while_it_is_refreshed_in_the_background() {
    let addr = free_addr();
    let server = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.11,1"]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    resolve(&resolver, &pbx, Transports::ALL).await;
    server.stop();
    let _moved = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.22,60"]);
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let stale = resolver.cached(&pbx, Transports::ALL, Instant::now());
    assert_eq!(texts(&stale.unwrap()), ["udp 127.0.0.11:5060"]);
    assert_eq!(resolver.counts().stale, 1);
    cached_becomes(&resolver, &pbx, &["udp 127.0.0.22:5060"]).await;
    assert_eq!(resolver.counts().lookups, 2);
}

#[tokio::test]
async fn answer_stands_in_while_dns_is_down_and_is_renewed_when_it_is_back() {
    let addr = free_addr();
    let server = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.11,1"]);
    let settings = Settings {
        timeout: Duration::from_millis(300),
        negative_ttl: Duration::from_millis(1500),
        ..settings(server.addr)
    };
    let resolver = Resolver::new(&settings).unwrap();
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    resolve(&resolver, &pbx, Transports::ALL).await;
    server.stop();
    tokio::time::sleep(Duration::from_millis(1100)).await;

    for _ in 0..3 {
        let list = resolve(&resolver, &pbx, Transports::ALL).await;
        assert_eq!(list, ["udp 127.0.0.11:5060"]);
    }
    let counts = resolver.counts();
    // The first of the three found DNS down; the pause spared the others the wait.
    assert_eq!((counts.lookups, counts.failures), (2, 1));
    let cached = resolver.cached(&pbx, Transports::ALL, Instant::now());
    assert_eq!(texts(&cached.unwrap()), ["udp 127.0.0.11:5060"]);

    let _back = DnsServer::start_at(addr, &["--host-record=pbx.test,127.0.0.22,60"]);
    cached_becomes(&resolver, &pbx, &["udp 127.0.0.22:5060"]).await;
}

#[tokio::test]
async fn silence_without_an_older_answer_is_an_error_that_says_so() {
    let nobody = free_addr();
    let settings = Settings { timeout: Duration::from_millis(300), ..settings(nobody) };
    let resolver = Resolver::new(&settings).unwrap();
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    let error = resolver.resolve(&pbx, Transports::ALL).await.unwrap_err();
    assert!(error.is_temporary());
    let text = error.to_string();
    assert!(text.starts_with("pbx.test: DNS did not answer"), "{text}");
}

#[tokio::test]
async fn unknown_name_is_a_clear_error_that_is_remembered_for_a_moment() {
    let server = DnsServer::start(&[]);
    let settings = Settings { negative_ttl: Duration::from_millis(1000), ..settings(server.addr) };
    let resolver = Resolver::new(&settings).unwrap();
    let pbx = target(None, "nowhere.test", None);
    for _ in 0..3 {
        let error = resolver.resolve(&pbx, Transports::ALL).await.unwrap_err();
        assert_eq!(error.to_string(), "nowhere.test: DNS has no such name, or no address for it");
        assert!(!error.is_temporary());
    }
    assert_eq!(resolver.counts().lookups, 1);
    assert!(resolver.cached(&pbx, Transports::ALL, Instant::now()).is_none());
    tokio::time::sleep(Duration::from_millis(1050)).await;
    resolver.resolve(&pbx, Transports::ALL).await.unwrap_err();
    assert_eq!(resolver.counts().lookups, 2);
}

#[tokio::test]
async fn service_that_is_not_offered_is_not_looked_for_elsewhere() {
    let server = DnsServer::start(&[
        // RFC 2782: the root as target.
        "--srv-host=_sips._tcp.pbx.test",
        "--host-record=pbx.test,127.0.0.11",
    ]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Tls), "pbx.test", None);
    let error = resolver.resolve(&pbx, Transports::ALL).await.unwrap_err();
    assert!(matches!(error, ResolveError::NotOffered { .. }), "{error}");
}

#[tokio::test]
async fn transport_without_a_listener_is_refused_by_name() {
    let server = DnsServer::start(&[]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Tls), "pbx.test", Some(5061));
    let udp = Transports::of(Transport::Udp);
    let error = resolver.resolve(&pbx, udp).await.unwrap_err();
    assert_eq!(error.to_string(), "pbx.test: asks for tls, but the trunk's listener speaks udp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_at_the_same_time_make_one_lookup() {
    let server =
        DnsServer::start(&["--srv-host=_sip._udp.pbx.test,a.pbx.test,5070,1,0", "--host-record=a.pbx.test,127.0.0.11"]);
    let resolver = resolver(&server);
    let pbx = Arc::new(target(Some(Transport::Udp), "pbx.test", None));
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (resolver, pbx) = (resolver.clone(), pbx.clone());
            tokio::spawn(async move { resolver.resolve(&pbx, Transports::ALL).await })
        })
        .collect();
    for asked in asking {
        let list = asked.await.unwrap().unwrap();
        assert_eq!(texts(&list), ["udp 127.0.0.11:5070"]);
    }
    assert_eq!(resolver.counts().lookups, 1);
}

#[tokio::test]
async fn lookups_under_way_and_entries_are_limited() {
    let server = DnsServer::start(&["--address=/test/127.0.0.11"]);
    let settings = Settings { max_lookups: 2, max_entries: 3, ..settings(server.addr) };
    let resolver = Resolver::new(&settings).unwrap();
    let targets: Vec<_> = (0..8).map(|number| target(None, &format!("pbx{number}.test"), Some(5060))).collect();
    let all = Transports::ALL;
    let (first, second, third) = tokio::join!(
        resolver.resolve(&targets[0], all),
        resolver.resolve(&targets[1], all),
        resolver.resolve(&targets[2], all),
    );
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(third, Err(ResolveError::Busy { limit: 2, .. })));
    assert_eq!(resolver.counts().refused, 1);
    for target in &targets {
        resolver.resolve(target, all).await.unwrap();
    }
    let counts = resolver.counts();
    assert_eq!((counts.entries, counts.evicted), (3, 5));
}

#[tokio::test]
async fn caller_that_goes_away_does_not_stop_the_lookup() {
    let server = DnsServer::start(&["--host-record=pbx.test,127.0.0.11,60"]);
    let resolver = resolver(&server);
    let pbx = target(Some(Transport::Udp), "pbx.test", Some(5060));
    {
        // Asked once and dropped: no time-out is as sure to come before the answer.
        let mut asking = std::pin::pin!(resolver.resolve(&pbx, Transports::ALL));
        let asked = std::future::poll_fn(|context| std::task::Poll::Ready(asking.as_mut().poll(context).is_pending()));
        assert!(asked.await);
    }
    cached_becomes(&resolver, &pbx, &["udp 127.0.0.11:5060"]).await;
    assert_eq!(resolver.counts().lookups, 1);
}
