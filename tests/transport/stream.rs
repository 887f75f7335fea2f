//! TCP connections, in both directions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use trunkway::sip::Transport;
use trunkway::transport::{DropReason, FrameFault, Limits, SendFault, Token};
use trunkway::trunk::Network;

use super::support::*;

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_whole_or_byte_by_byte() {
    let edge = Edge::tcp(Limits::default());
    let mut stream = TcpStream::connect(edge.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let message = request("INVITE", 300);
    stream.write_all(&message).await.unwrap();
    expect(&mut stream, &message).await;
    for byte in &message {
        stream.write_all(&[*byte]).await.unwrap();
    }
    expect(&mut stream, &message).await;
    let seen = edge.echo.last();
    assert_eq!(seen.flow.remote, stream.local_addr().unwrap());
    assert_eq!(seen.local, edge.addr);
    assert!(seen.authenticated.is_empty());
}

#[tokio::test]
async fn two_messages_in_one_write_are_two() {
    let edge = Edge::tcp(Limits::default());
    let mut stream = TcpStream::connect(edge.addr).await.unwrap();
    let both = [request("INVITE", 5), request("BYE", 0)].concat();
    stream.write_all(&both).await.unwrap();
    expect(&mut stream, &both).await;
    assert_eq!(edge.echo.count(), 2);
}

#[tokio::test]
async fn a_ping_is_answered_and_never_seen() {
    let edge = Edge::tcp(Limits::default());
    let mut stream = TcpStream::connect(edge.addr).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    expect(&mut stream, b"\r\n").await;
    // A lone CRLF is a pong or a stray line end: neither answered nor seen.
    let message = request("OPTIONS", 0);
    stream.write_all(b"\r\n").await.unwrap();
    stream.write_all(&message).await.unwrap();
    expect(&mut stream, &message).await;
    assert_eq!(edge.echo.count(), 1);
}

#[tokio::test]
async fn an_unframed_stream_is_answered_and_closed() {
    let edge = Edge::tcp(Limits::default());
    let mut stream = TcpStream::connect(edge.addr).await.unwrap();
    let head = b"INVITE sip:a SIP/2.0\r\nContent-Length: -5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    // More than the receive buffers take at once: unread, it would turn the answer into a reset.
    let _ = stream.write_all(&[b'x'; 100_000]).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with(b"SIP/2.0 400 "), "{answer:?}");
    let unframed = edge.echo.unframed.lock().unwrap().clone();
    let expected = (Bytes::from_static(head), FrameFault::ContentLengthInvalid);
    assert_eq!(unframed, [expected]);
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::Unframed), 1);
    drop(stream);
    eventually("the connection goes", || edge.transports.counts().connections == 0).await;
}

#[tokio::test]
async fn a_message_that_never_ends_closes_the_connection() {
    let edge = Edge::tcp(Limits { partial_message_timeout: SHORT, ..Limits::default() });
    let mut slow = served(edge.addr).await;
    let mut idle = served(edge.addr).await;
    // Always another header line: there is progress, but never a message.
    let drip = async {
        slow.write_all(b"INVITE sip:a SIP/2.0\r\n").await?;
        loop {
            slow.write_all(b"X: y\r\n").await?;
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let ended: std::io::Result<()> = tokio::time::timeout(PATIENCE, drip).await.unwrap();
    assert!(ended.is_err());
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::PartialMessage), 1);
    let hello = request("OPTIONS", 1);
    idle.write_all(&hello).await.unwrap();
    expect(&mut idle, &hello).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let edge = Edge::tcp(Limits { stream_idle_timeout: Duration::from_secs(1), ..Limits::default() });
    let mut idle = served(edge.addr).await;
    let mut busy = served(edge.addr).await;
    let keep_busy = async {
        loop {
            busy.write_all(b"\r\n\r\n").await.unwrap();
            expect(&mut busy, b"\r\n").await;
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        rest = read_to_end(&mut idle) => assert_eq!(rest, b""),
        () = keep_busy => {}
    }
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::Idle), 1);
    eventually("only the busy one stays", || edge.transports.counts().connections == 1).await;
}

#[tokio::test]
async fn one_address_may_open_only_so_many() {
    let edge = Edge::tcp(Limits { max_connections_per_address: 2, ..Limits::default() });
    let first = served(edge.addr).await;
    let _second = served(edge.addr).await;
    let mut third = TcpStream::connect(edge.addr).await.unwrap();
    assert_eq!(read_to_end(&mut third).await, b"");
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut elsewhere = socket.connect(edge.addr).await.unwrap();
    let hello = request("OPTIONS", 0);
    elsewhere.write_all(&hello).await.unwrap();
    expect(&mut elsewhere, &hello).await;
    let counts = edge.transports.counts();
    assert_eq!(counts.dropped(DropReason::TooManyPerAddress), 1);
    drop(first);
    eventually("the place comes back", || edge.transports.counts().connections == 2).await;
    served(edge.addr).await;
}

#[tokio::test]
async fn e06_welcome_networks_open_as_many_connections_as_they_like() {
    let mut welcoming = listener(Transport::Tcp);
    welcoming.welcome = vec![Network { addr: "127.0.0.0".parse().unwrap(), bits: 30 }];
    let limits = Limits { max_connections_per_address: 2, ..Limits::default() };
    let edge = Edge::new(welcoming, limits, Echo::default());
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(served(edge.addr).await);
    }
    for stranger in 0..3 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(edge.addr).await.unwrap();
        if stranger == 2 {
            assert_eq!(read_to_end(&mut stream).await, b"", "the limit holds for everybody else");
        }
        open.push(stream);
    }
    assert_eq!(edge.transports.counts().dropped(DropReason::TooManyPerAddress), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_costs_bounded_memory_and_delays_nobody() {
    let limits =
        Limits { connection_queue_bytes: 200_000, write_stall_timeout: Duration::from_secs(2), ..Limits::default() };
    let edge = Edge::tcp(limits);
    let mut dead = TcpStream::connect(edge.addr).await.unwrap();
    dead.write_all(&request("OPTIONS", 0)).await.unwrap();
    eventually("the dead peer is known", || edge.echo.count() == 1).await;
    let flow = edge.echo.last().flow;
    let big = Bytes::from(request("NOTIFY", 50_000));
    let token = Token(5, 5);
    let begun = Instant::now();
    while edge.echo.failures().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the queue never fills");
        edge.transports.answer(&flow, None, big.clone(), token);
        tokio::task::yield_now().await;
    }
    assert_eq!(edge.echo.failures()[0], (token, SendFault::QueueFull));
    assert!(edge.transports.counts().queued_bytes <= 200_000);

    let begun = Instant::now();
    drop(served(edge.addr).await);
    assert!(begun.elapsed() < Duration::from_secs(1), "delayed");

    eventually("the dead peer is closed", || edge.transports.counts().dropped(DropReason::WriteStall) == 1).await;
    eventually("what waited is told", || edge.echo.failures().contains(&(token, SendFault::Closed))).await;
    assert_eq!(edge.transports.counts().queued_bytes, 0);
    drop(dead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_everything_in_order() {
    let edge = Edge::tcp(Limits { connection_queue_bytes: 64 * 1024 * 1024, ..Limits::default() });
    let mut slow = served(edge.addr).await;
    let flow = edge.echo.last().flow;
    let sent: Vec<_> = (0..300).map(|n| request("NOTIFY", 20_000 + n)).collect();
    for message in &sent {
        let bytes = Bytes::from(message.clone());
        edge.transports.answer(&flow, None, bytes, Token(1, 1));
    }
    assert!(edge.transports.counts().queued_bytes > 0, "nothing waited");
    for message in &sent {
        expect(&mut slow, message).await;
    }
    assert_eq!(edge.transports.counts().queued_bytes, 0);
    assert_eq!(edge.echo.failures(), []);
}

#[tokio::test]
async fn a_request_opens_one_connection_and_later_ones_use_it() {
    let edge = Edge::tcp(Limits::default());
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, peer.local_addr().unwrap());
    let sent: Vec<_> = (0..20).map(|n| request("OPTIONS", n)).collect();
    for message in &sent[..10] {
        let bytes = Bytes::from(message.clone());
        edge.transports.request(&hop, bytes, Token::NONE);
    }
    let (mut stream, _) = peer.accept().await.unwrap();
    for message in &sent[..10] {
        expect(&mut stream, message).await;
    }
    for message in &sent[10..] {
        let bytes = Bytes::from(message.clone());
        edge.transports.request(&hop, bytes, Token::NONE);
        expect(&mut stream, message).await;
    }
    assert_eq!(edge.transports.counts().connections, 1);
    // Answers come back over it, and name it.
    let answer = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    eventually("the answer comes", || edge.echo.count() == 1).await;
    assert_eq!(edge.echo.last().flow.remote, hop.addr);
}

/// What is under way over a connection that was taken out of use still ends there.
#[tokio::test]
async fn e22_a_retired_connection_takes_no_request_and_ends_when_it_is_idle() {
    let edge = Edge::tcp(Limits { retired_idle_timeout: SHORT, ..Limits::default() });
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, peer.local_addr().unwrap());
    let (first, second) = (request("INVITE", 1), request("INVITE", 2));
    edge.transports.request(&hop, Bytes::from(first.clone()), Token(1, 0));
    let (mut old, _) = peer.accept().await.unwrap();
    expect(&mut old, &first).await;
    edge.transports.retire(&hop);
    edge.transports.retire(&hop);
    edge.transports.request(&hop, Bytes::from(second.clone()), Token(2, 0));
    let (mut new, _) = peer.accept().await.unwrap();
    expect(&mut new, &second).await;
    old.write_all(b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n").await.unwrap();
    eventually("the answer still comes", || edge.echo.count() == 1).await;
    assert!(read_to_end(&mut old).await.is_empty());
    eventually("one is left", || edge.transports.counts().connections == 1).await;
    edge.transports.request(&hop, Bytes::from(first.clone()), Token(3, 0));
    expect(&mut new, &first).await;
    assert_eq!(edge.echo.failures(), []);
}

#[tokio::test]
async fn a_request_after_the_peer_has_closed_opens_another_connection() {
    let edge = Edge::tcp(Limits::default());
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, peer.local_addr().unwrap());
    for n in 0..3 {
        let message = request("OPTIONS", n);
        let bytes = Bytes::from(message.clone());
        edge.transports.request(&hop, bytes, Token(1, 0));
        let (mut stream, _) = peer.accept().await.unwrap();
        expect(&mut stream, &message).await;
        stream.write_all(b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n").await.unwrap();
        eventually("the answer comes", || edge.echo.count() == n + 1).await;
        drop(stream);
        eventually("the end is noticed", || edge.transports.counts().connections == 0).await;
    }
    assert_eq!(edge.echo.failures(), []);
}

#[tokio::test]
async fn a_peer_that_hangs_up_without_a_word_has_not_taken_the_request() {
    let edge = Edge::tcp(Limits::default());
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, peer.local_addr().unwrap());
    let message = request("OPTIONS", 0);
    let bytes = Bytes::from(message.clone());
    edge.transports.request(&hop, bytes, Token(1, 0));
    let (mut stream, _) = peer.accept().await.unwrap();
    expect(&mut stream, &message).await;
    drop(stream);
    eventually("it is told", || edge.echo.failures() == [(Token(1, 0), SendFault::Closed)]).await;
}

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let edge = Edge::tcp(Limits::default());
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, gone.local_addr().unwrap());
    drop(gone);
    let begun = Instant::now();
    for n in 0..3 {
        let bytes = Bytes::from(request("OPTIONS", 0));
        edge.transports.request(&hop, bytes, Token(n, 0));
    }
    eventually("all three fail", || edge.echo.failures().len() == 3).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    for (_, fault) in edge.echo.failures() {
        assert_eq!(fault, SendFault::ConnectFailed);
    }
    assert_eq!(edge.transports.counts().queued_bytes, 0);
    eventually("no connection stays", || edge.transports.counts().connections == 0).await;
}

/// An address that takes no connection and refuses none: its queue of unaccepted ones is full.
async fn black_hole() -> (socket2::Socket, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(addr)).await {
        filling.push(stream.unwrap());
    }
    (socket, filling)
}

#[tokio::test]
async fn a_black_hole_times_out_and_bounds_what_waits_for_it() {
    let edge =
        Edge::tcp(Limits { connect_timeout: Duration::from_millis(400), pending_per_connect: 5, ..Limits::default() });
    let (hole, _filling) = black_hole().await;
    let addr = hole.local_addr().unwrap().as_socket().unwrap();
    let hop = edge.hop(Transport::Tcp, addr);
    let begun = Instant::now();
    for n in 0..8 {
        let bytes = Bytes::from(request("OPTIONS", 0));
        edge.transports.request(&hop, bytes, Token(n, 0));
    }
    // Others are served meanwhile.
    drop(served(edge.addr).await);
    eventually("all fail", || edge.echo.failures().len() == 8).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    let faults: Vec<_> = edge.echo.failures().iter().map(|(_, fault)| *fault).collect();
    assert_eq!(faults[..3], [SendFault::QueueFull; 3]);
    assert_eq!(faults[3..], [SendFault::ConnectTimeout; 5]);
}

#[tokio::test]
async fn all_connections_together_hold_only_so_many_bytes() {
    let message = request("OPTIONS", 100);
    let edge =
        Edge::tcp(Limits { total_queue_bytes: 3 * message.len() / 2, connect_timeout: SHORT * 3, ..Limits::default() });
    let (one, _filling_one) = black_hole().await;
    let (two, _filling_two) = black_hole().await;
    for (n, hole) in [(1, &one), (2, &two)] {
        let addr = hole.local_addr().unwrap().as_socket().unwrap();
        let hop = edge.hop(Transport::Tcp, addr);
        let bytes = Bytes::from(message.clone());
        edge.transports.request(&hop, bytes, Token(n, 0));
    }
    eventually("both fail", || edge.echo.failures().len() == 2).await;
    let expected = [(Token(2, 0), SendFault::QueueFull), (Token(1, 0), SendFault::ConnectTimeout)];
    assert_eq!(edge.echo.failures(), expected);
    assert_eq!(edge.transports.counts().queued_bytes, 0);
}

#[tokio::test]
async fn an_answer_whose_connection_has_gone_uses_the_fallback() {
    let edge = Edge::tcp(Limits::default());
    drop(served(edge.addr).await);
    let flow = edge.echo.last().flow;
    eventually("the end is noticed", || edge.transports.counts().connections == 0).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = edge.hop(Transport::Tcp, peer.local_addr().unwrap());
    let answer = Bytes::from_static(b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n");
    edge.transports.answer(&flow, Some(&hop), answer.clone(), Token::NONE);
    let (mut stream, _) = peer.accept().await.unwrap();
    expect(&mut stream, &answer).await;

    edge.transports.answer(&flow, None, answer, Token(3, 4));
    eventually("without a fallback it fails", || edge.echo.failures() == [(Token(3, 4), SendFault::Closed)]).await;
}

#[tokio::test]
async fn an_alias_lets_requests_use_the_peers_own_connection() {
    let edge = Edge::tcp(Limits { aliases_per_connection: 1, ..Limits::default() });
    let mut peer = served(edge.addr).await;
    let connection = edge.echo.last().flow.connection;
    let advertised = "127.0.0.1:5099".parse().unwrap();
    edge.transports.alias(connection, advertised, None);
    let message = request("INVITE", 3);
    let bytes = Bytes::from(message.clone());
    let hop = edge.hop(Transport::Tcp, advertised);
    edge.transports.request(&hop, bytes.clone(), Token(1, 0));
    expect(&mut peer, &message).await;

    // One alias is all that the limit grants, and it goes with the connection.
    let other = "127.0.0.1:1".parse().unwrap();
    edge.transports.alias(connection, other, None);
    let other = edge.hop(Transport::Tcp, other);
    edge.transports.request(&other, bytes.clone(), Token(2, 0));
    drop(peer);
    eventually("both are gone", || edge.transports.counts().connections == 0).await;
    edge.transports.request(&hop, bytes, Token(3, 0));
    eventually("nothing is found", || edge.echo.failures().len() == 2).await;
    for (_, fault) in edge.echo.failures() {
        assert_eq!(fault, SendFault::ConnectFailed);
    }
}

#[tokio::test]
async fn a_panic_of_the_receiver_costs_one_connection() {
    let edge = Edge::tcp(Limits::default());
    let mut other = served(edge.addr).await;
    let mut stream = served(edge.addr).await;
    stream.write_all(&request("PANIC", 0)).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, b"");
    let hello = request("OPTIONS", 0);
    other.write_all(&hello).await.unwrap();
    expect(&mut other, &hello).await;
}

#[tokio::test]
async fn the_limit_of_all_connections_holds_for_both_directions() {
    let edge = Edge::tcp(Limits { max_connections: 1, ..Limits::default() });
    let first = served(edge.addr).await;
    let mut second = TcpStream::connect(edge.addr).await.unwrap();
    assert_eq!(read_to_end(&mut second).await, b"");
    let hop = edge.hop(Transport::Tcp, edge.addr);
    let bytes = Bytes::from(request("OPTIONS", 0));
    edge.transports.request(&hop, bytes, Token(1, 0));
    eventually("the request is refused", || edge.echo.failures() == [(Token(1, 0), SendFault::TooManyConnections)])
        .await;
    drop(first);
}

#[tokio::test]
async fn a_shutdown_lets_what_is_queued_leave_and_closes_everything() {
    let edge = Edge::tcp(Limits { connection_queue_bytes: 64 * 1024 * 1024, ..Limits::default() });
    let mut peer = served(edge.addr).await;
    let flow = edge.echo.last().flow;
    let big = Bytes::from(vec![b'x'; 20_000_000]);
    edge.transports.answer(&flow, None, big.clone(), Token::NONE);
    let (got, ()) = tokio::join!(read_to_end(&mut peer), edge.transports.shutdown());
    assert_eq!(got.len(), big.len());
    assert!(TcpStream::connect(edge.addr).await.is_err());
    assert_eq!(edge.transports.counts().connections, 0);
    let hop = edge.hop(Transport::Tcp, edge.addr);
    edge.transports.request(&hop, big, Token::NONE);
    assert_eq!(edge.transports.counts().connections, 0);
}
