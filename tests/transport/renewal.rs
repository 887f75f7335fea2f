//! Certificates and trust that are renewed under open connections.

use std::time::Duration;

use bytes::Bytes;
use rustls::version;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use trunkway::sip::Transport;
use trunkway::transport::{ConnectionView, Filter, Limits, ListenerSettings, Settings, Token};
use trunkway::trunk::Hop;

use super::support::*;
use super::tls::{Bench, EDGE_NAME, PBX, PBX_NAME, dial, hop};

/// Limits with which retired connections end soon.
fn fast() -> Limits {
    Limits {
        retired_quiet: Duration::from_millis(300),
        partial_message_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}

fn renew(edge: &Edge, listener: ListenerSettings, limits: Limits) {
    let prepared = edge.transports.prepare(Settings { listeners: vec![listener], limits, ..Settings::default() });
    edge.transports.commit(prepared.unwrap(), &[]);
}

fn all(edge: &Edge) -> Vec<ConnectionView> {
    edge.transports.connections(&Filter::default(), 100)
}

fn retired(edge: &Edge) -> usize {
    edge.transports.connections(&Filter { retired: Some(true), ..Filter::default() }, 100).len()
}

async fn say(stream: &mut TlsStream<TcpStream>, message: &[u8]) {
    stream.write_all(message).await.unwrap();
    stream.flush().await.unwrap();
}

const OK: &[u8] = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_with_the_old_certificate_ends_after_its_last_transaction() {
    let bench = Bench::new();
    let silent = || Echo { silent: true, ..Echo::default() };
    let edge = Edge::new(bench.listener("edge", PBX_NAME), fast(), silent());
    let peer = bench.peer(&version::TLS13, true);
    let mut idle = dial(&peer, edge.addr).await;
    let mut ringing = dial(&peer, edge.addr).await;
    for stream in [&mut idle, &mut ringing] {
        say(stream, &request("INVITE", 0)).await;
    }
    eventually("both have come", || edge.echo.count() == 2).await;
    let flows: Vec<_> = edge.echo.seen.lock().unwrap().iter().map(|seen| seen.flow).collect();
    let (done, open) = match flows[0].remote == idle.get_ref().0.local_addr().unwrap() {
        true => (flows[0], flows[1]),
        false => (flows[1], flows[0]),
    };
    edge.transports.answer(&done, None, Bytes::from_static(OK), Token::NONE);
    expect(&mut idle, OK).await;
    let before = edge.transports.certificates();
    assert_eq!((before.len(), before[0].connections, before[0].older), (1, 2, 0));

    bench.issue("edge", EDGE_NAME);
    renew(&edge, bench.listener("edge", PBX_NAME), fast());
    assert_eq!(retired(&edge), 2);
    let after = edge.transports.certificates();
    assert_eq!((after.len(), after[0].connections, after[0].older), (1, 0, 2));
    let serial = |view: &trunkway::transport::CertificateView| {
        view.credentials.shown.as_ref().unwrap().certificate.serial.clone()
    };
    assert_ne!(serial(&before[0]), serial(&after[0]));
    let mut new = dial(&peer, edge.addr).await;
    say(&mut new, &request("OPTIONS", 0)).await;
    eventually("the new one is served", || edge.echo.count() == 3).await;
    assert_eq!(edge.transports.certificates()[0].connections, 1);

    assert_eq!(read_to_end(&mut idle).await, b"", "nothing was under way");
    // Its answer still comes, long after a quiet connection would have ended.
    tokio::time::sleep(Duration::from_millis(900)).await;
    say(&mut ringing, b"\r\n\r\n").await;
    expect(&mut ringing, b"\r\n").await;
    edge.transports.answer(&open, None, Bytes::from_static(OK), Token::NONE);
    expect(&mut ringing, OK).await;
    say(&mut ringing, &request("ACK", 0)).await;
    assert_eq!(read_to_end(&mut ringing).await, b"");
    let left = all(&edge);
    assert_eq!(left.len(), 1);
    let tls = left[0].tls.as_ref().unwrap();
    assert_eq!((&*tls.version, left[0].retired, left[0].dialled), ("TLS 1.3", None, false));
    assert!(tls.cipher.starts_with("TLS13_"), "{}", tls.cipher);
    assert_eq!(left[0].trunks, [PBX]);
    assert!(tls.peer.as_ref().is_some_and(|peer| !peer.serial.is_empty() && !peer.name.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_holds_an_old_connection_no_longer_than_the_drain_time() {
    let bench = Bench::new();
    let limits = Limits { connection_drain: Duration::from_millis(700), ..fast() };
    let edge = Edge::new(bench.listener("edge", PBX_NAME), limits.clone(), Echo { silent: true, ..Echo::default() });
    let mut ringing = dial(&bench.peer(&version::TLS12, true), edge.addr).await;
    say(&mut ringing, &request("INVITE", 0)).await;
    eventually("it comes", || edge.echo.count() == 1).await;
    bench.issue("edge", EDGE_NAME);
    renew(&edge, bench.listener("edge", PBX_NAME), limits);
    assert_eq!(all(&edge)[0].passed.under_way, 1);
    assert_eq!(read_to_end(&mut ringing).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_leave_over_a_new_connection_and_answers_come_over_the_old_one() {
    let bench = Bench::new();
    let edge = bench.edge(fast());
    let pbx = Edge::new(bench.listener("pbx", EDGE_NAME), fast(), Echo { silent: true, ..Echo::default() });
    let hop: Hop = hop(&edge, pbx.addr, PBX_NAME);
    let send = |method| edge.transports.request(&hop, Bytes::from(request(method, 0)), Token(1, 0));
    send("INVITE");
    eventually("it comes", || pbx.echo.count() == 1).await;
    let old = pbx.echo.last().flow;
    // The file is the same one, so nothing is renewed and nothing ends.
    renew(&edge, bench.listener("edge", PBX_NAME), fast());
    assert_eq!(retired(&edge), 0);

    bench.issue("edge", EDGE_NAME);
    renew(&edge, bench.listener("edge", PBX_NAME), fast());
    send("OPTIONS");
    eventually("it comes too", || pbx.echo.count() == 2).await;
    assert_ne!(pbx.echo.last().flow.connection, old.connection);
    pbx.transports.alias(old.connection, edge.addr, None);
    pbx.transports.answer(&old, None, Bytes::from_static(OK), Token::NONE);
    eventually("the answer comes", || edge.echo.count() == 1).await;
    eventually("the old one ends", || all(&edge).len() == 1).await;
    let left = all(&edge);
    assert!(left[0].dialled && left[0].retired.is_none());
    assert_eq!(left[0].passed.under_way, 1, "the OPTIONS");
    assert_eq!(edge.echo.failures(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_that_has_changed_retires_only_those_whom_it_would_not_let_in_again() {
    let bench = Bench::new();
    let edge = bench.edge(fast());
    let _known = dial(&bench.peer(&version::TLS13, true), edge.addr).await;
    let _nobody = dial(&bench.peer(&version::TLS13, false), edge.addr).await;
    eventually("both are there", || all(&edge).len() == 2).await;

    // One more authority: who was let in would be again. Who has proved nothing cannot be looked at, and makes room.
    let other = Bench::new();
    let both = [std::fs::read(bench.path("ca.pem")).unwrap(), std::fs::read(other.path("ca.pem")).unwrap()].concat();
    std::fs::write(bench.path("ca.pem"), both).unwrap();
    renew(&edge, bench.listener("edge", PBX_NAME), fast());
    eventually("the nobody leaves", || all(&edge).len() == 1).await;
    assert_eq!((all(&edge)[0].trunks.clone(), retired(&edge)), (vec![PBX], 0));

    // Another authority alone: the peer would not be let in any more.
    std::fs::copy(other.path("ca.pem"), bench.path("ca.pem")).unwrap();
    renew(&edge, bench.listener("edge", PBX_NAME), fast());
    eventually("the other leaves too", || all(&edge).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_listed_in_pages_and_by_what_they_are() {
    let bench = Bench::new();
    let edge = bench.edge(Limits::default());
    let mut held = Vec::new();
    for proved in [true, false, true] {
        held.push(dial(&bench.peer(&version::TLS13, proved), edge.addr).await);
        eventually("it is entered", || all(&edge).len() == held.len()).await;
    }
    let first = edge.transports.connections(&Filter::default(), 2);
    let rest = edge.transports.connections(&Filter { after: Some(first[1].id), ..Filter::default() }, 2);
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(first[0].id < first[1].id && first[1].id < rest[0].id);
    let pbx = edge.transports.connections(&Filter { trunk: Some(PBX), ..Filter::default() }, 10);
    assert_eq!(pbx.iter().map(|it| it.id).collect::<Vec<_>>(), [first[0].id, rest[0].id]);
    let tally = edge.transports.tls_tally();
    assert_eq!(tally.iter().map(|it| it.open).sum::<usize>(), 3);
    assert!(tally.iter().any(|it| it.trunk == Some(PBX) && it.open == 2 && !it.dialled && it.outdated == 0));
    assert_eq!(first[0].transport, Transport::Tls);
}
