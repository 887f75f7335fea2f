//! Where the two sides use different transports (RFC 3261 sections 18.1.1 and 18.3).

use super::wire::Request;
use super::world::{ALICE, CARL, World};
use crate::sip::Transport;

fn large(called: &str) -> Request {
    Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1").body(&"x".repeat(1_300))
}

#[test]
fn content_length_is_added_on_streams() {
    let length = "Content-Length: 4\r\n";
    let invite = Request::new("INVITE", "sip:300@192.0.2.1", "1").body("v=0\n").text().replace(length, "");
    let mut world = World::new();
    world.udp(ALICE, &invite);
    let sent = world.take().pop().expect("the INVITE");
    assert_eq!((sent.transport, sent.header("Content-Length").as_deref()), (Transport::Tcp, Some("4")));
    assert!(sent.text().ends_with("\r\n\r\nv=0\n"));
    world.finish();
}

#[test]
fn large_requests_go_by_tcp_where_that_was_left_open_and_back_by_udp_when_it_fails() {
    let mut world = World::new();
    let sent = world.call(&large("700")).remove(0);
    assert_eq!((sent.transport, sent.to.to_string().as_str()), (Transport::Tcp, "192.0.2.70:5060"));
    assert!(sent.headers("Via")[0].starts_with("SIP/2.0/TCP 192.0.2.1:5060;"));
    world.fails(&sent);
    let again = world.expect_one("INVITE 192.0.2.70:5060");
    assert_eq!(again.transport, Transport::Udp);
    assert!(again.headers("Via")[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060;"));
    world.answers(&again, &again.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn small_requests_and_named_transports_stay_where_they_are() {
    let mut world = World::new();
    let sent = world.call(&Request::new("INVITE", "sip:700@192.0.2.1", "1")).remove(0);
    assert_eq!(sent.transport, Transport::Udp);
    world.finish();
    let mut world = World::new();
    let sent = world.call(&large("200")).remove(0);
    assert_eq!(sent.transport, Transport::Udp, "the target says udp");
    world.finish();
}

#[test]
fn nothing_is_repeated_over_streams() {
    let mut world = World::new();
    let sent = world.call(&Request::new("INVITE", "sip:300@192.0.2.1", "1")).remove(0);
    world.pass(31_000);
    world.expect(&[]);
    world.answers(&sent, &sent.answer(486, "b"));
    let ack = world.take().remove(0);
    assert_eq!((ack.what().as_str(), ack.transport), ("ACK", Transport::Tcp));
    world.finish();
}

#[test]
fn a_switch_to_tcp_shows_in_two_record_routes() {
    let mut world = World::new();
    let sent = world.call(&large("700")).remove(0);
    let routes = sent.headers("Record-Route");
    assert_eq!(routes.len(), 2, "RFC 5658 section 5.1");
    assert!(routes[0].ends_with("@192.0.2.1:5060;transport=tcp;lr>"));
    assert!(routes[1].ends_with("@192.0.2.1:5060;lr>"));
    world.finish();
}

#[test]
fn content_length_is_added_to_answers_on_streams() {
    for status in [183, 200, 486] {
        let mut world = World::new();
        let invite = Request::new("INVITE", "sip:200@192.0.2.1", "1").via("SIP/2.0/TCP 192.0.2.30;branch=z9hG4bK1");
        world.tcp(CARL, &invite.text());
        let sent = world.take().pop().expect("the INVITE");
        let answer = sent.answer(status, "b").body("v=0\n").text().replace("Content-Length: 4\r\n", "");
        world.arrive(Transport::Udp, sent.to, answer.as_bytes());
        let passed = world.take().pop().expect("the answer");
        assert_eq!((passed.transport, passed.status()), (Transport::Tcp, status));
        assert_eq!(passed.header("Content-Length").as_deref(), Some("4"), "{status}");
        world.finish();
    }
}

#[test]
fn a_switch_to_tcp_does_not_fork() {
    let mut world = World::new();
    let sent = world.call(&large("750"));
    let to: Vec<_> = sent.iter().map(|sent| (sent.transport, sent.to.to_string())).collect();
    assert_eq!(to, [(Transport::Tcp, "192.0.2.75:5060".to_owned()), (Transport::Tcp, "192.0.2.76:5060".to_owned())]);
    // Each of the two falls back for itself.
    world.fails(&sent[1]);
    let again = world.expect_one("INVITE 192.0.2.76:5060");
    assert_eq!(again.transport, Transport::Udp);
    world.answers(&again, &again.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}
