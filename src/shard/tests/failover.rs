//! One target after the other.

use super::wire::Request;
use super::world::{ALICE, World};

fn invite(called: &str) -> Request {
    Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1")
}

#[test]
fn what_does_not_leave_goes_to_the_next_target() {
    let mut world = World::new();
    let mut sent = world.call(&invite("400")).remove(0);
    for next in ["192.0.2.42:5060", "192.0.2.43:5060"] {
        world.fails(&sent);
        let again = world.expect_one(&format!("INVITE {next}"));
        assert_ne!(again.via_branch(), sent.via_branch());
        assert_eq!(again.uri(), format!("sip:400@{next}"));
        sent = again;
    }
    world.fails(&sent);
    world.expect(&["503 192.0.2.10:5060"]);
    assert_eq!(world.counts.failovers, 2);
    world.finish();
}

#[test]
fn codes_that_are_listed_go_on_and_others_do_not() {
    for (status, goes_on) in [(503, true), (480, true), (486, false), (500, false), (603, false), (302, false)] {
        let mut world = World::new();
        let sent = world.call(&invite("400")).remove(0);
        world.answers(&sent, &sent.answer(status, "b"));
        if goes_on {
            world.expect(&["ACK 192.0.2.41:5060", "INVITE 192.0.2.42:5060"]);
        } else {
            world.expect(&["ACK 192.0.2.41:5060", &format!("{status} {ALICE}")]);
        }
        world.finish();
    }
}

#[test]
fn the_best_of_all_failures_is_the_answer() {
    let mut world = World::new();
    let mut sent = world.call(&invite("400")).remove(0);
    for (status, next) in [(480, "192.0.2.42:5060"), (503, "192.0.2.43:5060")] {
        world.answers(&sent, &sent.answer(status, "b"));
        sent = world.take().pop().expect("the next INVITE");
        assert_eq!(sent.to, next.parse().unwrap());
    }
    world.answers(&sent, &sent.answer(503, "b"));
    world.expect(&["ACK 192.0.2.43:5060", "480 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn a_silent_target_is_passed_over() {
    let mut world = World::new();
    world.call(&invite("400"));
    world.pass(3_900);
    assert!(world.take().iter().all(|sent| sent.to == "192.0.2.41:5060".parse().unwrap()));
    world.pass(200);
    let sent = world.take().pop().expect("the next INVITE");
    assert_eq!(sent.to, "192.0.2.42:5060".parse().unwrap());
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn a_target_that_says_anything_is_waited_for() {
    let mut world = World::new();
    let sent = world.call(&invite("400")).remove(0);
    world.answers(&sent, &sent.answer(100, ""));
    world.pass(100_000);
    world.expect(&[]);
    world.finish();
}

#[test]
fn one_that_rings_late_is_cancelled_and_one_that_answers_late_is_passed() {
    let mut world = World::new();
    let first = world.call(&invite("400")).remove(0);
    world.pass(4_100);
    let second = world.take().pop().expect("the next INVITE");
    world.answers(&second, &second.answer(180, "b"));
    world.take();
    world.answers(&first, &first.answer(180, "a"));
    let cancel = world.take().into_iter().find(|sent| sent.what() == "CANCEL").expect("a CANCEL");
    assert_eq!(cancel.to, first.to);
    // It was too quick.
    world.answers(&first, &first.answer(200, "a"));
    world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.42:5060"]);
    world.finish();
}

#[test]
fn all_targets_silent_is_a_408() {
    let mut world = World::new();
    world.call(&invite("400"));
    world.pass(41_000);
    let sent = world.take();
    assert_eq!(sent.last().map(|sent| sent.what()).as_deref(), Some("408"));
    for target in ["192.0.2.41:5060", "192.0.2.42:5060", "192.0.2.43:5060"] {
        assert!(sent.iter().any(|sent| sent.to == target.parse().unwrap()), "{target}");
    }
    world.finish();
}

#[test]
fn a_late_refusal_of_a_target_that_was_passed_over_is_no_reason_to_stop() {
    let mut world = World::new();
    let first = world.call(&invite("400")).remove(0);
    world.pass(4_100);
    let second = world.take().pop().expect("the next INVITE");
    world.answers(&first, &first.answer(486, "a"));
    world.expect(&["ACK 192.0.2.41:5060"]);
    world.answers(&second, &second.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn a_name_is_looked_up_and_its_places_tried_in_order() {
    let mut world = World::new();
    world.know("gone.example", &[]);
    assert!(world.call(&invite("600")).is_empty());
    assert_eq!(&*world.lookups[0].target.host, "sip.example");
    world.resolve(&["192.0.2.61:5060", "192.0.2.62:5070"]);
    let sent = world.expect_one("INVITE 192.0.2.61:5060");
    assert_eq!(sent.uri(), "sip:600@sip.example");
    world.fails(&sent);
    let sent = world.expect_one("INVITE 192.0.2.62:5070");
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn a_name_without_places_is_a_target_that_failed() {
    let mut world = World::new();
    assert!(world.call(&invite("600")).is_empty());
    assert_eq!(&*world.lookups[0].target.host, "gone.example");
    world.resolve(&[]);
    world.expect(&[]);
    world.resolve(&[]);
    world.expect(&["503 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn names_that_are_known_do_not_wait() {
    let mut world = World::new();
    world.know("gone.example", &["192.0.2.61:5060"]);
    world.know("sip.example", &["192.0.2.62:5060"]);
    let sent = world.call(&invite("600")).remove(0);
    world.fails(&sent);
    world.expect(&["INVITE 192.0.2.62:5060"]);
    assert!(world.lookups.is_empty());
    world.finish();
}

#[test]
fn a_caller_that_repeats_while_a_name_is_looked_up_is_answered() {
    let mut world = World::new();
    world.call(&invite("600"));
    world.request(ALICE, &invite("600"));
    world.expect(&["100 192.0.2.10:5060"]);
    world.resolve(&["192.0.2.61:5060"]);
    world.expect(&["INVITE 192.0.2.61:5060"]);
    world.finish();
}

#[test]
fn other_requests_than_invite_go_on_as_well() {
    let mut world = World::new();
    world.request(ALICE, &Request::new("OPTIONS", "sip:400@192.0.2.1", "1"));
    let sent = world.expect_one("OPTIONS 192.0.2.41:5060");
    world.fails(&sent);
    let sent = world.expect_one("OPTIONS 192.0.2.42:5060");
    world.answers(&sent, &sent.answer(503, "b"));
    let sent = world.expect_one("OPTIONS 192.0.2.43:5060");
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn the_edges_own_verdict_can_be_sent_when_every_target_has_refused() {
    // The first name has no place, the place behind the second refuses: the edge's 503 is as good.
    let mut world = World::new();
    world.know("gone.example", &[]);
    world.know("sip.example", &["192.0.2.61:5060"]);
    let sent = world.call(&invite("600")).remove(0);
    world.answers(&sent, &sent.answer(503, "b"));
    world.expect(&["ACK 192.0.2.61:5060", "503 192.0.2.10:5060"]);
    world.finish();
    // Silence of the first target, a 408 to the caller, is better than the 503 that all say in the end.
    let mut world = World::new();
    let mut sent = world.call(&invite("400"));
    for next in ["192.0.2.42:5060", "192.0.2.43:5060"] {
        world.pass(4_100);
        let again = world.take().pop().expect("the next INVITE");
        assert_eq!(again.to, next.parse().unwrap());
        sent.push(again);
    }
    for sent in &sent {
        world.answers(sent, &sent.answer(503, "b"));
    }
    assert_eq!(world.take().pop().map(|sent| sent.what()).as_deref(), Some("408"));
    world.finish();
}
