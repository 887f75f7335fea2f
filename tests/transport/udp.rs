//! Datagrams.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::UdpSocket;
use trunkway::sip::Transport;
use trunkway::transport::{BindError, DropReason, Limits, SendFault, Token, Transports};
use trunkway::trunk::{ConnectionId, ListenerId};

use super::support::*;

fn edge(sockets: usize) -> Edge {
    let mut listener = listener(Transport::Udp);
    listener.sockets = sockets;
    Edge::new(listener, Limits::default(), Echo::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_comes_in_and_its_answer_goes_back() {
    let edge = edge(1);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let message = request("OPTIONS", 60_000);
    peer.send_to(&message, edge.addr).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
    assert_eq!((&buffer[..length], from), (message.as_slice(), edge.addr));

    let seen = edge.echo.last();
    assert_eq!(seen.flow.connection, ConnectionId::DATAGRAM);
    assert_eq!(seen.flow.remote, peer.local_addr().unwrap());
    assert_eq!((seen.flow.local, seen.local), (None, edge.addr));
    assert!(seen.authenticated.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_ten_thousand_is_echoed_by_several_sockets_without_loss() {
    const BURST: usize = 10_000;
    // What the system charges to the buffer for a datagram of this size, at most.
    const CHARGE: usize = 2_400;
    let edge = edge(4);
    // Several peers, since the system spreads peers and not datagrams over the sockets.
    let peers: Vec<_> = (0..8).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut at_once = 500;
    for peer in &peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let socket = socket2::SockRef::from(peer);
        socket.set_recv_buffer_size(4 * 1024 * 1024).unwrap();
        at_once = at_once.min(socket.recv_buffer_size().unwrap() / CHARGE);
    }
    let addr = edge.addr;
    let load = tokio::task::spawn_blocking(move || {
        let message = request("OPTIONS", 700);
        let mut buffer = [0; 2_000];
        let mut left = BURST;
        for peer in peers.iter().cycle() {
            // As many at once as the buffers hold.
            let window = at_once.min(left);
            for _ in 0..window {
                peer.send_to(&message, addr).unwrap();
            }
            for _ in 0..window {
                let length = peer.recv(&mut buffer).expect("every echo comes back");
                assert_eq!(length, message.len());
            }
            left -= window;
            if left == 0 {
                return;
            }
        }
    });
    tokio::time::timeout(PATIENCE, load).await.unwrap().unwrap();
    assert_eq!(edge.echo.count(), BURST);
    assert_eq!(edge.transports.counts().queued_bytes, 0);
}

#[tokio::test]
async fn keepalives_never_reach_the_receiver() {
    let edge = edge(1);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for blank in [b"\r\n\r\n".as_slice(), b"\0\0\0\0", b"  "] {
        peer.send_to(blank, edge.addr).await.unwrap();
    }
    peer.send_to(&request("OPTIONS", 0), edge.addr).await.unwrap();
    eventually("the message comes", || edge.echo.count() == 1).await;
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::Keepalive), 3);
}

#[tokio::test]
async fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let mut settings = listener(Transport::Udp);
    settings.bind = "0.0.0.0:0".parse().unwrap();
    let edge = Edge::new(settings, Limits::default(), Echo::default());
    for asked in ["127.0.0.7", "127.0.0.8"] {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let message = request("OPTIONS", 10);
        let asked = (asked, edge.addr.port());
        peer.send_to(&message, asked).await.unwrap();
        let mut buffer = [0; 2_000];
        let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], message);
        assert_eq!(from, format!("{}:{}", asked.0, asked.1).parse().unwrap());
        assert_eq!(edge.echo.last().local, from);
        assert_eq!(edge.echo.last().flow.local, Some(from.ip()));
    }
}

#[tokio::test]
async fn a_listener_on_ipv6_echoes() {
    let mut settings = listener(Transport::Udp);
    settings.bind = "[::1]:0".parse().unwrap();
    let edge = Edge::new(settings, Limits::default(), Echo::default());
    let peer = UdpSocket::bind("[::1]:0").await.unwrap();
    let message = request("OPTIONS", 10);
    peer.send_to(&message, edge.addr).await.unwrap();
    let mut buffer = [0; 2_000];
    let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
    assert_eq!((&buffer[..length], from), (message.as_slice(), edge.addr));
}

#[tokio::test]
async fn a_closed_port_does_not_stop_the_reading() {
    let edge = edge(1);
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gone_addr = gone.local_addr().unwrap();
    drop(gone);
    let hop = edge.hop(Transport::Udp, gone_addr);
    for _ in 0..10 {
        let bytes = Bytes::from(request("OPTIONS", 0));
        edge.transports.request(&hop, bytes, Token::NONE);
    }
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(&request("OPTIONS", 0), edge.addr).await.unwrap();
    eventually("the message comes", || edge.echo.count() == 1).await;
}

#[tokio::test]
async fn a_panic_of_the_receiver_costs_one_datagram() {
    let edge = edge(1);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for method in ["PANIC", "OPTIONS"] {
        peer.send_to(&request(method, 0), edge.addr).await.unwrap();
    }
    eventually("the second comes", || edge.echo.count() == 1).await;
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::ReceiverPanic), 1);
}

#[tokio::test]
async fn what_is_too_large_for_a_datagram_is_told() {
    let edge = edge(1);
    let hop = edge.hop(Transport::Udp, "127.0.0.1:9".parse().unwrap());
    let token = Token(1, 2);
    edge.transports.request(&hop, Bytes::from(vec![b'x'; 70_000]), token);
    eventually("it fails", || !edge.echo.failures().is_empty()).await;
    assert_eq!(edge.echo.failures(), [(token, SendFault::TooLarge)]);
}

#[tokio::test]
async fn a_listener_without_the_socket_says_so() {
    let edge = edge(1);
    let mut hop = edge.hop(Transport::Udp, edge.addr);
    hop.listener = ListenerId(9);
    let bytes = Bytes::from_static(b"x");
    edge.transports.request(&hop, bytes.clone(), Token(1, 0));
    hop.listener = LISTENER;
    hop.transport = Transport::Tls;
    edge.transports.request(&hop, bytes, Token(2, 0));
    eventually("both fail", || edge.echo.failures().len() == 2).await;
    for (_, fault) in edge.echo.failures() {
        assert_eq!(fault, SendFault::NoSocket);
    }
    assert_eq!(edge.echo.count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_second_daemon_on_a_shared_port_is_an_error() {
    let edge = edge(2);
    let mut again = listener(Transport::Udp);
    again.bind = edge.addr;
    again.sockets = 2;
    let settings = trunkway::transport::Settings { listeners: vec![again], ..trunkway::transport::Settings::default() };
    match Transports::bind(settings) {
        Err(BindError::Socket { addr, error, .. }) => {
            assert_eq!(addr, edge.addr);
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the port was shared"),
    }
}
