//! What the edge answers itself (RFC 3261 section 16.3), and that it does so without keeping anything.

use super::wire::Request;
use super::world::{ALICE, BOB, World};

fn invite() -> Request {
    Request::new("INVITE", "sip:200@192.0.2.1", "1")
}

/// A change to a good INVITE, the answer to it, and a line that the answer must have.
type Row = (&'static str, fn(&mut Request), u16, &'static str);

const ROWS: &[Row] = &[
    ("a scheme that nobody routes", |it| it.uri = "http://x.example".into(), 416, ""),
    ("no hops left", |it| it.max_forwards = Some(0), 483, ""),
    ("an extension for proxies", |it| it.extra = "Proxy-Require: foo, bar\r\n".into(), 420, "Unsupported: foo, bar"),
    ("no route", |it| it.uri = "sip:999@192.0.2.1".into(), 404, ""),
    ("back to where it came from", |it| it.uri = "sip:100@192.0.2.1".into(), 482, ""),
    ("headers in the Request-URI", |it| it.uri.push_str("?Subject=x"), 400, ""),
    ("two Max-Forwards", |it| it.extra = "Max-Forwards: 5\r\n".into(), 400, ""),
    ("a line without a colon", |it| it.extra = "nonsense\r\n".into(), 400, ""),
    ("an open quote", |it| it.extra = "Contact: \"x <sip:a@b>\r\n".into(), 400, ""),
    ("a Route that cannot be read", |it| it.extra = "Route: <sip:>\r\n".into(), 400, ""),
    ("a Call-ID with a blank", |it| it.call_id = "a b".into(), 400, ""),
];

#[test]
fn bad_requests_are_answered_and_forgotten() {
    for (what, change, status, line) in ROWS {
        let mut world = World::new();
        let mut request = invite();
        change(&mut request);
        for _ in 0..2 {
            world.request(ALICE, &request);
            let answer = world.expect_one(&format!("{status} {ALICE}"));
            assert!(answer.text().contains(line), "{what}");
            assert!(answer.to_tag().is_some(), "{what}");
            assert_eq!(world.len(), 0, "{what}");
        }
        // Its ACK ends here.
        let tag = {
            world.request(ALICE, &request);
            world.take().remove(0).to_tag().expect("a tag")
        };
        world.request(ALICE, &request.following("ACK").tagged(&tag));
        world.expect(&[]);
        world.finish();
    }
}

#[test]
fn faults_of_the_start_line_and_of_what_must_be_there() {
    let good = invite().text();
    for (from, to, status) in [
        ("SIP/2.0\r\n", "SIP/3.0\r\n", 505),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", 400),
        ("CSeq: 1 INVITE\r\n", "", 400),
        ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", 400),
        ("Call-ID: call-1\r\n", "", 400),
        ("From: <sip:a@alice.example>;tag=f-1\r\n", "", 400),
        ("To: <sip:b@bob.example>\r\n", "", 400),
        ("Content-Length: 0", "Content-Length: 5", 400),
        ("Content-Length: 0", "Content-Length: -1", 400),
        ("Content-Length: 0", "Content-Length: 0\r\nl: 0", 400),
        ("INVITE sip", "INVITE  sip", 400),
        ("Max-Forwards: 70", "Max-Forwards: x", 400),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let mut world = World::new();
        world.udp(ALICE, &bad);
        assert_eq!(world.take().iter().map(|sent| sent.status()).collect::<Vec<_>>(), [status], "{to}");
        world.finish();
    }
    for (from, to) in [("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1-INVITE\r\n", ""), (" SIP/2.0\r\n", "\r\n")] {
        let mut world = World::new();
        world.udp(ALICE, &good.replacen(from, to, 1));
        world.expect(&[]);
        world.finish();
    }
}

#[test]
fn the_limit_of_transactions_is_a_503_that_asks_to_wait() {
    let mut world = World::with(|_| {}, 1);
    let mut refused = None;
    for id in ["1", "2", "3", "4", "5"] {
        let request = Request::new("INVITE", "sip:200@192.0.2.1", id);
        world.request(ALICE, &request);
        if let Some(answer) = world.take().into_iter().find(|sent| sent.status() == 503) {
            assert_eq!(answer.header("Retry-After").as_deref(), Some("5"));
            refused = Some((request, answer));
        }
    }
    let (request, answer) = refused.expect("four shards take four calls at most");
    assert!(world.len() <= 4 && world.counts.over_limit >= 1);
    world.request(ALICE, &request.following("ACK").tagged(&answer.to_tag().expect("a tag")));
    world.expect(&[]);
    world.pass(100_000);
    world.take();
    // There is room again.
    world.request(ALICE, &request);
    assert_eq!(world.take().remove(0).status(), 100);
    world.finish();
}

#[test]
fn strangers_get_no_further() {
    let mut world = World::new();
    let mut request = invite();
    request.via = "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKx".to_owned();
    world.request("203.0.113.7:5060", &request);
    world.expect(&["403 203.0.113.7:5060"]);
    world.request("203.0.113.7:5060", &request.following("ACK").tagged("x"));
    world.expect(&[]);
    world.finish();
}

#[test]
fn options_to_the_edge_itself_is_answered_and_with_a_user_is_routed() {
    for uri in ["sip:192.0.2.1", "sip:192.0.2.1:5060", "sip:192.0.2.1;transport=udp"] {
        let mut world = World::new();
        let mut request = Request::new("OPTIONS", uri, "1");
        request.max_forwards = Some(0);
        world.request(ALICE, &request);
        let answer = world.expect_one("200 192.0.2.10:5060");
        assert!(answer.header("Allow").is_some_and(|allow| allow.contains("INVITE")));
        assert_eq!(world.len(), 0);
        world.finish();
    }
    let mut world = World::new();
    world.request(ALICE, &Request::new("OPTIONS", "sip:200@192.0.2.1", "1"));
    world.expect(&["OPTIONS 192.0.2.20:5060"]);
    world.finish();
}

#[test]
fn an_ack_or_a_cancel_with_an_extension_for_proxies_is_not_refused() {
    let mut world = World::new();
    let sent = world.call(&invite()).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.take();
    let line = "Proxy-Require: foo";
    world.request(ALICE, &invite().following("CANCEL").extra(line));
    world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.20:5060"]);
    world.request(ALICE, &Request::new("ACK", "sip:b@192.0.2.20", "2").tagged("b").extra(line));
    world.expect(&["ACK 192.0.2.20:5060"]);
    world.finish();
}

/// What a peer that is a proxy itself sends back to the edge.
fn sent_back(text: &str, round: usize) -> String {
    text.replacen("Via:", &format!("Via: SIP/2.0/UDP 192.0.2.80;branch=z9hG4bKecho{round}\r\nVia:"), 1)
}

#[test]
fn a_request_that_comes_back_unchanged_is_a_loop() {
    let mut world = World::new();
    let mut sent = world.call(&Request::new("INVITE", "sip:800@192.0.2.1", "1")).remove(0);
    for round in 0.. {
        assert!(round < 3, "the loop is not found");
        world.udp("192.0.2.80:5060", &sent_back(&sent.text(), round));
        let out = world.take();
        if out[0].status() == 482 {
            break;
        }
        sent = out.into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
    }
    world.finish();
}

#[test]
fn a_request_that_comes_back_changed_is_a_spiral() {
    let mut world = World::new();
    let mut sent = world.call(&Request::new("INVITE", "sip:800@192.0.2.1", "1")).remove(0);
    for round in 1..10 {
        let changed = sent.text().replacen(&sent.uri(), &format!("sip:80{round}@192.0.2.80:5060"), 1);
        world.udp("192.0.2.80:5060", &sent_back(&changed, round));
        sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("a spiral is allowed");
        assert_eq!(sent.headers("Via").len(), 2 * round + 2);
    }
    assert_eq!(sent.header("Max-Forwards").as_deref(), Some("60"));
    world.finish();
}

#[test]
fn what_the_edge_made_itself_is_not_taken_for_a_request_of_its_own() {
    let mut world = World::new();
    let sent = world.call(&invite()).remove(0);
    // Its own output, straight back.
    world.udp(BOB, &sent.text());
    assert!(world.take().iter().all(|sent| sent.what() != "INVITE"));
    world.finish();
}

#[test]
fn acks_that_wait_for_a_name_are_limited_too() {
    let mut world = World::with(|_| {}, 2);
    for id in 0..50 {
        // Each to a URI of the edge, which the dial plan sends to a name.
        world.request(ALICE, &Request::new("ACK", "sip:600@192.0.2.1", &id.to_string()).tagged("b"));
        world.expect(&[]);
    }
    assert_eq!((world.len(), world.lookups.len()), (8, 8));
    assert_eq!(world.counts.over_limit, 42);
    world.finish();
}

#[test]
fn a_message_is_small_enough_to_be_read_again_once_the_edge_has_added_to_it() {
    let full = |lines: usize| {
        // The lines that an answer or a CANCEL copies stand behind these.
        let mut text = invite().text();
        let many: String = (0..lines - 7).map(|index| format!("X-{index}: y\r\n")).collect();
        text.insert_str(text.find("Max-Forwards:").expect("a line behind Via"), &many);
        text
    };
    for lines in 240..=260 {
        let mut world = World::new();
        world.udp(ALICE, &full(lines));
        let out = world.take();
        if out[0].status() == 513 {
            assert!(lines > 244, "{lines}");
            continue;
        }
        let sent = &out[1];
        world.answers(sent, &sent.answer(180, "b"));
        world.take();
        world.request(ALICE, &invite().following("CANCEL"));
        let cancel = world.take().pop().expect("the CANCEL");
        assert_eq!(cancel.headers("Via"), [sent.headers("Via")[0].clone()], "{lines}");
        assert_eq!((cancel.header("To"), cancel.header("Call-ID")), (sent.header("To"), sent.header("Call-ID")));
        world.finish();
    }
}

#[test]
fn a_via_that_gets_longer_than_the_limit_of_a_line_is_still_answered() {
    let limit = crate::sip::Limits::default().max_header_line_bytes;
    let mut request = invite();
    request.via = format!("SIP/2.0/UDP pbx.alice.example;branch=z9hG4bK1;x={}", "y".repeat(limit - 60));
    let mut world = World::new();
    let sent = world.call(&request).remove(0);
    world.fails(&sent);
    let answer = world.expect_one("503 192.0.2.10:5060");
    assert_eq!(answer.headers("Via"), [format!("{};received=192.0.2.10", request.via)]);
    world.finish();
}

#[test]
fn a_via_that_cannot_be_read_is_answered_to_the_source() {
    for (via, version, status) in [
        ("SIP/2.0/UDP 192.0.2.15;;,;,,", "SIP/2.0", 400),
        ("SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw", "SIP/7.0", 505),
        ("SIP/2.0/UDP 192.0.2.10:x;branch=z9hG4bK1", "SIP/2.0", 400),
    ] {
        let mut world = World::new();
        let text = invite().via(via).text().replacen(" SIP/2.0\r\n", &format!(" {version}\r\n"), 1);
        world.udp("192.0.2.10:40000", &text);
        let answer = world.expect_one(&format!("{status} 192.0.2.10:40000"));
        assert_eq!(answer.headers("Via"), [via]);
        world.finish();
    }
}
