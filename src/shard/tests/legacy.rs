//! Callers of RFC 2543: no branch, and an ACK that is told by the To tag of the answer.

use super::wire::Request;
use super::world::{ALICE, World};

fn invite() -> Request {
    Request::new("INVITE", "sip:200@192.0.2.1", "1").via("SIP/2.0/UDP 192.0.2.10:5060")
}

#[test]
fn copies_are_known_and_the_ack_ends_the_repetition() {
    for via in
        ["SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5060;branch=1", "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK"]
    {
        let mut world = World::new();
        let invite = invite().via(via);
        let sent = world.call(&invite).remove(0);
        world.request(ALICE, &invite);
        world.expect(&["100 192.0.2.10:5060"]);
        world.answers(&sent, &sent.answer(486, "b"));
        world.expect(&["ACK 192.0.2.20:5060", "486 192.0.2.10:5060"]);
        // Another call's ACK does not count.
        world.request(ALICE, &invite.following("ACK").tagged("other"));
        world.pass(600);
        assert_eq!(world.take().iter().filter(|sent| sent.status() == 486).count(), 1, "{via}");
        world.request(ALICE, &invite.following("ACK").tagged("b"));
        world.expect(&[]);
        world.pass(10_000);
        world.expect(&[]);
        world.finish();
    }
}

#[test]
fn an_answer_of_the_edge_is_acknowledged_too() {
    let mut world = World::new();
    let invite = invite();
    let sent = world.call(&invite).remove(0);
    world.fails(&sent);
    let tag = world.expect_one("503 192.0.2.10:5060").to_tag().expect("a tag");
    world.request(ALICE, &invite.following("ACK").tagged(&tag));
    world.pass(10_000);
    world.expect(&[]);
    world.finish();
}

#[test]
fn cancel_finds_the_invite() {
    let mut world = World::new();
    let invite = invite();
    let sent = world.call(&invite).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.take();
    world.request(ALICE, &invite.following("CANCEL"));
    world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.20:5060"]);
    world.finish();
}

#[test]
fn the_same_caller_calls_again() {
    let mut world = World::new();
    world.call(&invite());
    let sent = world.call(&invite().cseq(2)).remove(0);
    assert_eq!(sent.header("CSeq").as_deref(), Some("2 INVITE"));
    world.finish();
}
