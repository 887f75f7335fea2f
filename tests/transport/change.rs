//! Listeners that come, go and move while the edge runs, and sockets that a service manager hands over.

use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdp};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use trunkway::sip::Transport;
use trunkway::transport::{
    BindError, DropReason, Filter, Inherited, Limits, ListenerSettings, Settings, Token, Transports,
};
use trunkway::trunk::{Hop, ListenerId, TrunkId};

use super::support::*;

const OTHER: ListenerId = ListenerId(1);

/// An edge with these listeners.
fn edge(listeners: Vec<ListenerSettings>) -> Edge {
    started(Settings { listeners, ..Settings::default() })
}

fn started(settings: Settings) -> Edge {
    let transports = Transports::bind(settings).expect("bound");
    let echo = Arc::new(Echo::default());
    assert!(echo.transports.set(transports.clone()).is_ok());
    transports.start(echo.clone());
    let addr = transports.bound(LISTENER).expect("the listener");
    Edge { echo, transports, addr }
}

fn at(id: ListenerId, transport: Transport, addr: SocketAddr) -> ListenerSettings {
    ListenerSettings::new(id, transport, addr)
}

/// A port that is free for both transports on all addresses, as far as that can be known.
fn free_port() -> u16 {
    loop {
        let tcp = StdListener::bind("0.0.0.0:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if StdUdp::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

fn with(listeners: Vec<ListenerSettings>) -> Settings {
    Settings { listeners, ..Settings::default() }
}

async fn echoed(stream: &mut TcpStream, method: &str) {
    let message = request(method, 3);
    stream.write_all(&message).await.unwrap();
    expect(stream, &message).await;
}

async fn udp_echoed(socket: &UdpSocket, to: SocketAddr, method: &str) {
    let message = request(method, 3);
    socket.send_to(&message, to).await.unwrap();
    let mut buffer = [0; 2000];
    let (length, from) = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..length], from), (&message[..], to));
}

#[tokio::test]
async fn a_listener_moves_between_a_wildcard_and_an_address_of_the_same_port() {
    let port = free_port();
    let (wildcard, special) = (SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([127, 0, 0, 1], port)));
    for (before, after) in [(wildcard, special), (special, wildcard)] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let edge = edge(vec![at(LISTENER, transport, before)]);
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut old = None;
            if transport == Transport::Tcp {
                old = Some(served(special).await);
            }
            let prepared = edge.transports.prepare(with(vec![at(OTHER, transport, after)])).expect("both are open");
            assert_eq!(prepared.bound(OTHER), Some(after));
            edge.transports.commit(prepared, &[LISTENER]);
            if let Some(mut old) = old {
                // What is open goes on in the name of the old one; what comes is the new one's.
                echoed(&mut old, "INFO").await;
                assert_eq!(edge.echo.last().flow.listener, LISTENER);
                let mut new = served(special).await;
                assert_eq!(edge.echo.last().flow.listener, OTHER);
                edge.transports.close(LISTENER);
                assert_eq!(edge.transports.bound(LISTENER), None);
                echoed(&mut new, "INFO").await;
            } else {
                udp_echoed(&udp, special, "OPTIONS").await;
                // The more special address gets what comes, until it closes.
                let expected = if after == special { OTHER } else { LISTENER };
                assert_eq!(edge.echo.last().flow.listener, expected);
                edge.transports.close(LISTENER);
                eventually("only the new one is there", || {
                    let all = edge.transports.descriptors();
                    all.len() == 1 && StdUdp::bind(after).is_err()
                })
                .await;
                let closed = move || async move {
                    // The reading task lets go of its socket in its own time.
                    let probe = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    udp_echoed(&probe, special, "OPTIONS").await;
                };
                eventually_listener(&edge, OTHER, closed).await;
            }
            edge.transports.shutdown().await;
        }
    }
}

/// Asks until the listener is the one that answers.
async fn eventually_listener<F: Future<Output = ()>>(edge: &Edge, listener: ListenerId, ask: impl Fn() -> F) {
    for _ in 0..1000 {
        ask().await;
        if edge.echo.last().flow.listener == listener {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never listener {listener:?}");
}

#[tokio::test]
async fn a_listener_with_another_id_takes_the_socket_of_the_same_address_over_and_what_waits_in_it() {
    for transport in [Transport::Tcp, Transport::Udp] {
        // Not started yet: what comes has to wait.
        let any = "127.0.0.1:0".parse().unwrap();
        let transports = Transports::bind(with(vec![at(LISTENER, transport, any)])).unwrap();
        let addr = transports.bound(LISTENER).unwrap();
        let message = request("OPTIONS", 1);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut tcp = None;
        if transport == Transport::Tcp {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(&message).await.unwrap();
            tcp = Some(stream);
        } else {
            udp.send_to(&message, addr).await.unwrap();
        }
        let prepared = transports.prepare(with(vec![at(OTHER, transport, addr)])).unwrap();
        assert_eq!(prepared.bound(OTHER), Some(addr));
        transports.commit(prepared, &[LISTENER]);
        let echo = Arc::new(Echo::default());
        assert!(echo.transports.set(transports.clone()).is_ok());
        transports.start(echo.clone());
        match tcp {
            Some(mut stream) => expect(&mut stream, &message).await,
            None => {
                let mut buffer = [0; 2000];
                let read = tokio::time::timeout(PATIENCE, udp.recv_from(&mut buffer)).await;
                assert_eq!(read.unwrap().unwrap(), (message.len(), addr));
            }
        }
        assert_eq!(echo.last().flow.listener, OTHER);
        // And back again under the first id.
        let prepared = transports.prepare(with(vec![at(LISTENER, transport, addr)]));
        if transport == Transport::Udp {
            assert!(matches!(prepared, Err(BindError::Moved(LISTENER))), "it was bound to port 0 and is there still");
        }
        transports.close(LISTENER);
        let prepared = transports.prepare(with(vec![at(LISTENER, transport, addr)])).unwrap();
        transports.commit(prepared, &[OTHER]);
        if transport == Transport::Tcp {
            served(addr).await;
        } else {
            udp_echoed(&udp, addr, "OPTIONS").await;
        }
        assert_eq!(echo.last().flow.listener, LISTENER);
        transports.shutdown().await;
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_made_changes_nothing() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let edge = Edge::new(listener(transport), Limits::default(), Echo::default());
        let before = edge.transports.descriptors().len();
        let (foreign_tcp, foreign_udp) =
            (StdListener::bind("127.0.0.1:0").unwrap(), StdUdp::bind("127.0.0.1:0").unwrap());
        let taken = match transport {
            Transport::Udp => foreign_udp.local_addr().unwrap(),
            _ => foreign_tcp.local_addr().unwrap(),
        };
        let free = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let first = at(LISTENER, transport, "127.0.0.1:0".parse().unwrap());
        let again = at(OTHER, transport, edge.addr);
        let fresh = at(ListenerId(2), transport, free);
        let foreign = at(OTHER, transport, taken);
        for (listeners, wanted) in [
            (vec![first.clone(), fresh.clone(), foreign], "occupied by another program"),
            (vec![first.clone(), fresh.clone(), again], "occupied by a listener that stays"),
            (vec![first.clone(), fresh.clone(), fresh.clone()], "twice"),
            (vec![first.clone(), at(OTHER, Transport::Tls, free)], "without a certificate"),
            (vec![at(LISTENER, transport, free)], "moved under its old id"),
        ] {
            let prepared = edge.transports.prepare(with(listeners));
            assert!(prepared.is_err(), "{wanted}");
        }
        assert_eq!(edge.transports.descriptors().len(), before);
        assert_eq!(edge.transports.bound(OTHER), None);
        // What was bound on the way is free again, and what was there works.
        let prepared = edge.transports.prepare(with(vec![first, fresh])).unwrap();
        drop(prepared);
        if transport == Transport::Tcp {
            served(edge.addr).await;
            drop(StdListener::bind(free).unwrap());
        } else {
            udp_echoed(&UdpSocket::bind("127.0.0.1:0").await.unwrap(), edge.addr, "OPTIONS").await;
            drop(StdUdp::bind(free).unwrap());
        }
        edge.transports.shutdown().await;
    }
}

#[tokio::test]
async fn a_listener_that_leaves_takes_nobody_in_and_keeps_what_is_open() {
    let edge = Edge::tcp(Limits::default());
    let mut open = served(edge.addr).await;
    let prepared = edge.transports.prepare(Settings { limits: fast(), ..Settings::default() }).unwrap();
    edge.transports.commit(prepared, &[LISTENER]);
    eventually("nobody listens", || std::net::TcpStream::connect(edge.addr).is_err()).await;
    echoed(&mut open, "INFO").await;
    assert_eq!(edge.transports.bound(LISTENER), Some(edge.addr), "its place is kept");
    edge.transports.close(LISTENER);
    // The echo has answered none of the requests: what is under way ends with the drain time.
    assert_eq!(read_to_end(&mut open).await, b"");
    assert_eq!(edge.transports.counts().dropped(DropReason::Idle), 0);
}

/// Limits with which a retired connection ends soon.
fn fast() -> Limits {
    Limits { connection_drain: Duration::from_millis(300), ..Limits::default() }
}

#[tokio::test]
async fn a_listener_that_has_left_comes_back_under_its_id() {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let edge = edge(vec![at(LISTENER, Transport::Tcp, addr)]);
    let mut open = served(addr).await;
    let none = edge.transports.prepare(Settings::default()).unwrap();
    edge.transports.commit(none, &[LISTENER]);
    eventually("nobody listens", || std::net::TcpStream::connect(addr).is_err()).await;
    let again = edge.transports.prepare(with(vec![at(LISTENER, Transport::Tcp, addr)])).unwrap();
    edge.transports.commit(again, &[]);
    served(addr).await;
    echoed(&mut open, "INFO").await;
    assert_eq!(edge.echo.last().flow.listener, LISTENER);
}

#[tokio::test]
async fn new_limits_hold_at_once() {
    let edge = Edge::tcp(Limits::default());
    let first = served(edge.addr).await;
    let limits = Limits { max_connections_per_address: 1, ..Limits::default() };
    let listeners = vec![listener(Transport::Tcp)];
    let prepared = edge.transports.prepare(Settings { listeners, limits, ..Settings::default() }).unwrap();
    edge.transports.commit(prepared, &[]);
    let mut second = TcpStream::connect(edge.addr).await.unwrap();
    read_to_end(&mut second).await;
    assert_eq!(edge.transports.counts().dropped(DropReason::TooManyPerAddress), 1);
    drop(first);
}

#[tokio::test]
async fn a_new_listener_sends_and_is_seen() {
    let edge = Edge::tcp(Limits::default());
    let peer = Edge::tcp(Limits::default());
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listeners = vec![listener(Transport::Tcp), at(OTHER, Transport::Tcp, any)];
    let prepared = edge.transports.prepare(with(listeners)).unwrap();
    edge.transports.commit(prepared, &[]);
    let hop = Hop { listener: OTHER, transport: Transport::Tcp, addr: peer.addr, name: None, trunk: TrunkId(7) };
    edge.transports.request(&hop, Bytes::from(request("OPTIONS", 0)), Token::NONE);
    // The peer echoes: what comes back is a request here too, which is echoed in turn, and so on.
    eventually("it comes", || peer.echo.count() > 0).await;
    let found = edge.transports.connections(&Filter { listener: Some(OTHER), ..Filter::default() }, 10);
    assert_eq!(found.len(), 1);
    assert!(found[0].dialled && found[0].tls.is_none() && found[0].retired.is_none());
    assert_eq!((found[0].remote, &found[0].trunks[..]), (peer.addr, &[TrunkId(7)][..]));
    assert!(found[0].passed.sent > 0 && found[0].passed.sent_bytes > 0);
    assert!(edge.transports.close_connection(found[0].id));
    assert!(!edge.transports.close_connection(found[0].id));
}

/// A listening socket as a service manager makes it.
fn listening(domain: Domain, addr: SocketAddr) -> StdListener {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket.listen(64).unwrap();
    socket.into()
}

#[tokio::test]
async fn a_restart_with_a_socket_that_is_kept_open_refuses_no_connection() {
    let manager = listening(Domain::IPV4, "127.0.0.1:0".parse().unwrap());
    let addr = manager.local_addr().unwrap();
    let run = || {
        let socket = manager.try_clone().unwrap();
        let inherited = vec![Inherited::new(socket.into(), "sip-tcp").unwrap()];
        started(Settings { listeners: vec![at(LISTENER, Transport::Tcp, addr)], inherited, ..Settings::default() })
    };
    let first = run();
    assert_eq!(first.addr, addr);
    assert_eq!(first.transports.unused(), [""; 0]);
    served(addr).await;
    first.transports.shutdown().await;
    drop(first);
    let message = request("OPTIONS", 5);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(addr).await.expect("the kept socket takes it");
        stream.write_all(&message).await.unwrap();
        waiting.push(stream);
    }
    let second = run();
    for stream in &mut waiting {
        expect(stream, &message).await;
    }
    assert_eq!(second.echo.count(), 5);
}

#[tokio::test]
async fn what_one_process_hands_on_the_next_one_uses() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let edge = edge(vec![at(LISTENER, Transport::Udp, any), at(OTHER, Transport::Tcp, any)]);
    let kept = edge.transports.descriptors();
    let names: Vec<_> = kept.iter().map(|(name, _)| name.clone()).collect();
    let (udp, tcp) = (edge.addr, edge.transports.bound(OTHER).unwrap());
    assert_eq!(names, [format!("udp-127.0.0.1_{}", udp.port()), format!("tcp-127.0.0.1_{}", tcp.port())]);
    edge.transports.shutdown().await;
    drop(edge);
    let inherited = kept.into_iter().map(|(name, socket)| Inherited::new(socket, name).unwrap()).collect();
    let listeners = vec![at(LISTENER, Transport::Udp, udp)];
    let next = started(Settings { listeners, inherited, ..Settings::default() });
    udp_echoed(&UdpSocket::bind("127.0.0.1:0").await.unwrap(), udp, "OPTIONS").await;
    // The other one waits for a configuration that wants it.
    assert_eq!(next.transports.unused(), [format!("{} tcp:{tcp}", names[1])]);
    let listeners = vec![at(LISTENER, Transport::Udp, udp), at(OTHER, Transport::Tcp, tcp)];
    let prepared = next.transports.prepare(with(listeners)).unwrap();
    next.transports.commit(prepared, &[]);
    served(tcp).await;
    assert_eq!(next.transports.unused(), [""; 0]);
}

fn udp_socket(share: bool) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_port(share).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

#[tokio::test]
async fn a_datagram_socket_that_was_handed_over_gets_company_where_its_port_is_shared() {
    for (share, expected) in [(false, 1), (true, 3)] {
        let socket = udp_socket(share);
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let mut listener = at(LISTENER, Transport::Udp, addr);
        listener.sockets = 3;
        let inherited = vec![Inherited::new(socket.into(), "sip-udp").unwrap()];
        let edge = started(Settings { listeners: vec![listener], inherited, ..Settings::default() });
        assert_eq!(edge.transports.descriptors().len(), expected);
        for _ in 0..20 {
            udp_echoed(&UdpSocket::bind("127.0.0.1:0").await.unwrap(), addr, "OPTIONS").await;
        }
    }
}

#[tokio::test]
async fn a_socket_for_both_families_is_refused_with_what_to_do() {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    socket.listen(8).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let inherited = vec![Inherited::new(socket.into(), "both").unwrap()];
    let listeners = vec![at(LISTENER, Transport::Tcp, addr)];
    let fault = Transports::bind(Settings { listeners, inherited, ..Settings::default() }).err().unwrap().to_string();
    assert!(fault.contains("both") && fault.contains("BindIPv6Only=ipv6-only"), "{fault}");
}

#[test]
fn what_is_no_internet_socket_is_not_inherited() {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(Inherited::new(one.into(), "unix").is_err());
    let file = tempfile::tempfile().unwrap();
    assert!(Inherited::new(file.into(), "file").is_err());
}
