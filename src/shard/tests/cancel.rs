//! The caller gives up (RFC 3261 sections 9 and 16.10).

use super::wire::Request;
use super::world::{ALICE, World};

fn invite(called: &str) -> Request {
    Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1")
}

fn cancel(called: &str) -> Request {
    invite(called).following("CANCEL")
}

#[test]
fn before_any_provisional_answer_it_waits() {
    let mut world = World::new();
    let sent = world.call(&invite("200")).remove(0);
    world.request(ALICE, &cancel("200"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.answers(&sent, &sent.answer(100, ""));
    let passed = world.expect_one("CANCEL 192.0.2.20:5060");
    assert_eq!(passed.headers("Via"), [sent.headers("Via")[0].clone()]);
    assert_eq!((passed.uri(), passed.header("CSeq").as_deref()), (sent.uri(), Some("1 CANCEL")));
    assert_eq!(passed.header("To"), sent.header("To"));
    world.answers(&passed, &passed.answer(200, "b"));
    world.expect(&[]);
    world.answers(&sent, &sent.answer(487, "b"));
    world.expect(&["ACK 192.0.2.20:5060", "487 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn of_a_peer_that_never_says_anything_ends_in_a_487() {
    let mut world = World::new();
    world.call(&invite("200"));
    world.request(ALICE, &cancel("200"));
    world.take();
    world.pass(32_100);
    let sent = world.take();
    assert!(sent.iter().all(|sent| sent.what() != "CANCEL"), "RFC 3261 section 9.1");
    assert_eq!(sent.last().map(|sent| sent.what()).as_deref(), Some("487"));
    world.finish();
}

#[test]
fn of_a_ringing_phone_goes_out_at_once_with_its_reason() {
    let mut world = World::new();
    let sent = world.call(&invite("200")).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.take();
    let reasons = ["SIP;cause=200;text=\"Call completed elsewhere\"", "Q.850 ;cause=26"];
    world.request(
        ALICE,
        &cancel("200").extra(&format!("Reason: {}", reasons[0])).extra(&format!("reason:{}", reasons[1])),
    );
    let both = world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.20:5060"]);
    assert_eq!(both[0].header("CSeq").as_deref(), Some("1 CANCEL"));
    assert_eq!(both[1].headers("Reason"), reasons);
    // A copy is answered again and goes no further.
    world.request(ALICE, &cancel("200"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.answers(&sent, &sent.answer(487, "b"));
    world.expect(&["ACK 192.0.2.20:5060", "487 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn is_repeated_towards_a_peer_that_does_not_answer_it() {
    let mut world = World::new();
    let sent = world.call(&invite("200")).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.request(ALICE, &cancel("200"));
    world.take();
    world.pass(1_600);
    world.expect(&["CANCEL 192.0.2.20:5060"; 2]);
    world.pass(31_000);
    let last = world.take().into_iter().find(|sent| sent.to == ALICE.parse().unwrap());
    assert_eq!(last.map(|sent| sent.what()).as_deref(), Some("487"));
    world.finish();
}

#[test]
fn after_an_answer_has_no_effect() {
    for status in [200, 486] {
        let mut world = World::new();
        let sent = world.call(&invite("200")).remove(0);
        world.answers(&sent, &sent.answer(status, "b"));
        world.take();
        world.request(ALICE, &cancel("200"));
        assert_eq!(world.expect_one("200 192.0.2.10:5060").header("CSeq").as_deref(), Some("1 CANCEL"));
        world.finish();
    }
}

#[test]
fn loses_the_race_against_a_2xx() {
    let mut world = World::new();
    let sent = world.call(&invite("200")).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.request(ALICE, &cancel("200"));
    world.take();
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn of_nothing_is_a_481() {
    let mut world = World::new();
    world.request(ALICE, &cancel("200"));
    world.expect(&["481 192.0.2.10:5060"]);
    let mut other = cancel("200");
    world.call(&invite("200"));
    other.via = other.via.replace("z9hG4bK1", "z9hG4bK2");
    world.request(ALICE, &other);
    world.expect(&["481 192.0.2.10:5060"]);
    // Only an INVITE can be cancelled.
    let options = Request::new("OPTIONS", "sip:200@192.0.2.1", "2");
    world.request(ALICE, &options);
    world.take();
    world.request(ALICE, &options.following("CANCEL"));
    world.expect(&["481 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn stops_the_search_for_another_target() {
    // While the second target has not been tried.
    let mut world = World::new();
    let sent = world.call(&invite("400")).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.request(ALICE, &cancel("400"));
    world.take();
    world.answers(&sent, &sent.answer(503, "b"));
    world.expect(&["ACK 192.0.2.41:5060", "500 192.0.2.10:5060"]);
    world.finish();
    // While nothing has come, past the time after which the next would be tried.
    let mut world = World::new();
    world.call(&invite("400"));
    world.request(ALICE, &cancel("400"));
    world.take();
    world.pass(31_000);
    assert!(world.take().iter().all(|sent| sent.to == "192.0.2.41:5060".parse().unwrap()));
    world.pass(1_200);
    let answers: Vec<_> = world.take().iter().filter(|sent| sent.status() > 0).map(|sent| sent.status()).collect();
    assert_eq!(answers, [487]);
    world.finish();
    // While a name is being looked up.
    let mut world = World::new();
    assert!(world.call(&invite("600")).is_empty());
    world.request(ALICE, &cancel("600"));
    world.expect(&["200 192.0.2.10:5060", "487 192.0.2.10:5060"]);
    world.resolve(&["192.0.2.61:5060"]);
    world.expect(&[]);
    world.finish();
}

#[test]
fn goes_to_every_ringing_branch_and_waits_for_the_others() {
    let mut world = World::new();
    let sent = world.call(&invite("500"));
    assert_eq!(sent.len(), 3);
    world.answers(&sent[0], &sent[0].answer(180, "b"));
    world.answers(&sent[1], &sent[1].answer(183, "c"));
    world.take();
    world.request(ALICE, &cancel("500"));
    world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.51:5060", "CANCEL 192.0.2.52:5060"]);
    world.answers(&sent[2], &sent[2].answer(180, "d"));
    world.expect(&["CANCEL 192.0.2.53:5060", "180 192.0.2.10:5060"]);
    for (index, sent) in sent.iter().enumerate() {
        world.answers(sent, &sent.answer(487, "x"));
        let wanted = if index < 2 { 1 } else { 2 };
        assert_eq!(world.take().len(), wanted, "an ACK, and after the last one the 487");
    }
    world.finish();
}

#[test]
fn after_a_failure_of_the_first_target_is_answered_by_the_second() {
    for status in [401, 480, 486, 487, 503, 603] {
        let mut world = World::new();
        let first = world.call(&invite("400")).remove(0);
        world.answers(&first, &first.answer(503, "a"));
        let second = world.take().pop().expect("the next INVITE");
        world.request(ALICE, &cancel("400"));
        world.expect(&["200 192.0.2.10:5060"]);
        world.answers(&second, &second.answer(status, "b"));
        let status = if status == 503 { 500 } else { status };
        world.expect(&["ACK 192.0.2.42:5060", &format!("{status} {ALICE}")]);
        world.finish();
    }
}
