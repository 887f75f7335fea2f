//! Calls between two peers over UDP that go well, or are refused.

use super::wire::{Request, Sent};
use super::world::{ALICE, BOB, World};

fn invite(id: &str) -> Request {
    Request::new("INVITE", "sip:200@192.0.2.1", id).extra("Contact: <sip:a@192.0.2.10>").body("v=0\r\n")
}

#[test]
fn a_100_goes_out_at_once_and_ringing_is_passed() {
    let mut world = World::new();
    world.request(ALICE, &invite("1"));
    let sent = world.expect(&["100 192.0.2.10:5060", "INVITE 192.0.2.20:5060"]);
    assert_eq!(sent[0].to_tag(), None);
    for status in [180, 183] {
        world.answers(&sent[1], &sent[1].answer(status, "b").body("v=0\r\n"));
        let passed = world.expect_one(&format!("{status} {ALICE}"));
        assert_eq!(passed.headers("Via"), [invite("1").via.as_str()]);
        assert!(passed.text().ends_with("v=0\r\n"));
    }
    world.answers(&sent[1], &sent[1].answer(100, ""));
    world.expect(&[]);
    world.finish();
}

#[test]
fn a_call_is_set_up_acknowledged_and_ended_from_either_side() {
    for ended_by in [ALICE, BOB] {
        let mut world = World::new();
        let invite = invite("1");
        let sent = world.call(&invite).remove(0);
        assert_eq!(sent.uri(), "sip:200@192.0.2.20:5060");
        let route = sent.header("Record-Route").expect("a Record-Route");
        assert_eq!(sent.headers("Record-Route").len(), 1, "the transport does not change");
        world.answers(&sent, &sent.answer(200, "b").extra("Contact: <sip:b@192.0.2.20>"));
        let answered = world.expect_one(&format!("200 {ALICE}"));
        assert_eq!(answered.header("Record-Route").as_deref(), Some(route.as_str()));

        let ack = Request::new("ACK", "sip:b@192.0.2.20", "1").tagged("b").extra(&format!("Route: {route}"));
        world.request(ALICE, &ack);
        let passed = world.expect_one(&format!("ACK {BOB}"));
        assert_eq!((passed.uri().as_str(), passed.headers("Route").len()), ("sip:b@192.0.2.20", 0));
        assert_eq!(passed.headers("Via").len(), 2);
        world.request(ALICE, &ack);
        let again = world.expect_one(&format!("ACK {BOB}"));
        assert_eq!(again.via_branch(), passed.via_branch(), "copies of an ACK keep their branch");

        let (uri, other) = if ended_by == ALICE { ("sip:b@192.0.2.20", BOB) } else { ("sip:a@192.0.2.10", ALICE) };
        let mut bye = Request::new("BYE", uri, "1").tagged("b").cseq(2).extra(&format!("Route: {route}"));
        bye.via = format!("SIP/2.0/UDP {ended_by};branch=z9hG4bKbye");
        world.request(ended_by, &bye);
        let passed = world.expect_one(&format!("BYE {other}"));
        assert_eq!((passed.uri().as_str(), passed.headers("Route").len()), (uri, 0));
        assert_eq!(passed.headers("Record-Route").len(), 0);
        world.answers(&passed, &passed.answer(200, ""));
        world.expect(&[&format!("200 {ended_by}")]);
        world.finish();
    }
}

#[test]
fn a_refused_call_is_acknowledged_hop_by_hop() {
    let mut world = World::new();
    let invite = invite("1");
    let sent = world.call(&invite).remove(0);
    world.answers(&sent, &sent.answer(486, "b").extra("X-Why: busy"));
    let both = world.expect(&[&format!("ACK {BOB}"), &format!("486 {ALICE}")]);
    assert_eq!(both[0].header("To").as_deref(), Some("<sip:b@bob.example>;tag=b"));
    assert_eq!((both[0].uri(), both[0].via_branch()), (sent.uri(), sent.via_branch()));
    assert_eq!(both[0].header("CSeq").as_deref(), Some("1 ACK"));
    assert_eq!(both[1].header("X-Why").as_deref(), Some("busy"));
    world.request(ALICE, &invite.following("ACK").tagged("b"));
    world.expect(&[]);
    // The caller's ACK stops the repetition; a copy of the refusal is acknowledged again and goes no further.
    world.pass(3_000);
    world.expect(&[]);
    world.answers(&sent, &sent.answer(486, "b"));
    let again = world.expect_one(&format!("ACK {BOB}"));
    assert_eq!(again.bytes, both[0].bytes);
    world.finish();
}

#[test]
fn a_refusal_is_repeated_until_it_is_acknowledged() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    world.answers(&sent, &sent.answer(404, "b"));
    world.take();
    world.pass(3_600);
    let copies = world.expect(&["404 192.0.2.10:5060"; 3]);
    assert!(copies.iter().all(|copy| copy.bytes == copies[0].bytes));
    world.finish();
}

#[test]
fn copies_of_an_invite_get_the_last_answer_and_go_no_further() {
    let mut world = World::new();
    let invite = invite("1");
    let sent = world.call(&invite).remove(0);
    world.request(ALICE, &invite);
    world.expect(&["100 192.0.2.10:5060"]);
    world.answers(&sent, &sent.answer(180, "b"));
    let ringing = world.expect_one("180 192.0.2.10:5060");
    world.request(ALICE, &invite);
    assert_eq!(world.expect_one("180 192.0.2.10:5060").bytes, ringing.bytes);
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.request(ALICE, &invite);
    world.expect(&[]);
    assert_eq!(world.counts.absorbed, 3);
    world.finish();
}

#[test]
fn copies_of_a_2xx_and_2xx_of_other_phones_are_all_passed() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    for (tag, after) in [("b", 500), ("b", 1_000), ("other", 2_000)] {
        world.answers(&sent, &sent.answer(200, tag));
        let passed = world.expect_one("200 192.0.2.10:5060");
        assert_eq!(passed.to_tag().as_deref(), Some(tag));
        world.pass(after);
    }
    // 64*T1 later nobody passes them on any more (RFC 6026).
    world.pass(40_000);
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&[]);
    world.finish();
}

#[test]
fn an_invite_is_repeated_until_something_comes_back() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    world.pass(1_600);
    let copies = world.expect(&["INVITE 192.0.2.20:5060"; 2]);
    assert!(copies.iter().all(|copy| copy.bytes == sent.bytes));
    world.answers(&sent, &sent.answer(100, ""));
    world.pass(60_000);
    world.expect(&[]);
    world.finish();
}

#[test]
fn nothing_at_all_is_a_408_for_an_invite_and_silence_for_others() {
    let mut world = World::new();
    world.call(&invite("1"));
    world.pass(32_100);
    let last = world.take().pop().map(|sent: Sent| sent.what());
    assert_eq!(last.as_deref(), Some("408"));
    world.finish();

    let mut world = World::new();
    world.request(ALICE, &Request::new("OPTIONS", "sip:200@192.0.2.1", "1"));
    world.pass(100_000);
    assert!(world.take().iter().all(|sent| sent.what() == "OPTIONS"), "RFC 4320 section 4.2");
    world.finish();
}

#[test]
fn a_phone_that_rings_too_long_is_cancelled() {
    for answers_cancel in [true, false] {
        let mut world = World::new();
        let sent = world.call(&invite("1")).remove(0);
        world.answers(&sent, &sent.answer(180, "b"));
        world.take();
        world.pass(199_000);
        world.expect(&[]);
        world.pass(1_100);
        let cancel = world.expect_one("CANCEL 192.0.2.20:5060");
        assert_eq!(cancel.via_branch(), sent.via_branch());
        if answers_cancel {
            world.answers(&cancel, &cancel.answer(200, "b"));
            world.expect(&[]);
            world.answers(&sent, &sent.answer(487, "b"));
            world.expect(&["ACK 192.0.2.20:5060", "487 192.0.2.10:5060"]);
        } else {
            world.pass(32_100);
            let answers: Vec<_> = world.take().iter().map(Sent::what).filter(|what| what != "CANCEL").collect();
            assert_eq!(answers, ["408"]);
        }
        world.finish();
    }
}

#[test]
fn ringing_again_and_again_lets_a_phone_ring_on() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    for _ in 0..5 {
        world.answers(&sent, &sent.answer(180, "b"));
        world.expect(&["180 192.0.2.10:5060"]);
        world.pass(150_000);
    }
    world.expect(&[]);
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn an_answer_with_both_vias_in_one_line_is_passed() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    let text = sent.answer(200, "b").text();
    let joined = text.replacen("\r\nVia: ", ", ", 2).replacen(", ", "\r\nVia: ", 1);
    assert_eq!(super::wire::headers(&joined, "Via").len(), 1);
    world.udp(BOB, &joined);
    let passed = world.expect_one("200 192.0.2.10:5060");
    assert_eq!(passed.headers("Via"), [invite("1").via.as_str()]);
    world.finish();
}

#[test]
fn a_408_to_another_request_than_invite_is_not_passed() {
    let mut world = World::new();
    world.request(ALICE, &Request::new("OPTIONS", "sip:200@192.0.2.1", "1"));
    let sent = world.expect_one("OPTIONS 192.0.2.20:5060");
    world.answers(&sent, &sent.answer(408, "b"));
    world.expect(&[]);
    // A copy of the request is absorbed: it does not go out once more.
    world.request(ALICE, &Request::new("OPTIONS", "sip:200@192.0.2.1", "1"));
    world.expect(&[]);
    world.finish();
}

#[test]
fn answers_of_nobody_are_dropped() {
    let mut world = World::new();
    let sent = world.call(&invite("1")).remove(0);
    let good = sent.answer(200, "b").text();
    let branch = sent.via_branch();
    let other_generation = format!("{}00000000{}", &branch[..19], &branch[27..]);
    let other_branch = format!("{}0009{}", &branch[..27], &branch[31..]);
    for bad in [
        good.replace(&branch, "z9hG4bKsomebody"),
        good.replace(&branch, &other_generation),
        good.replace(&branch, &other_branch),
        good.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        good.replace("CSeq: 1 INVITE", "CSeq: x"),
        good.replace("SIP/2.0 200", "SIP/2.0 2000"),
    ] {
        assert_ne!(bad, good);
        world.udp(BOB, &bad);
        world.expect(&[]);
    }
    world.udp(BOB, &good);
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn an_answer_without_the_callers_via_is_dropped_and_leaves_nothing_behind() {
    for status in [180, 200, 486] {
        for method in ["INVITE", "OPTIONS"] {
            let mut world = World::new();
            world.request(ALICE, &Request::new(method, "sip:200@192.0.2.1", "1"));
            let sent = world.take().pop().expect("a request");
            let via = format!("Via: {}\r\n", Request::new(method, "", "1").via);
            let short = sent.answer(status, "b").text().replace(&via, "");
            assert_eq!(super::wire::headers(&short, "Via").len(), 1);
            world.udp(BOB, &short);
            assert!(world.take().iter().all(|sent| sent.to != ALICE.parse().unwrap()), "{status} {method}");
            world.finish();
        }
    }
}

#[test]
fn an_ack_of_a_2xx_with_the_branch_of_the_invite_is_passed() {
    let mut world = World::new();
    let invite = invite("1");
    let sent = world.call(&invite).remove(0);
    world.answers(&sent, &sent.answer(200, "b"));
    world.take();
    let route = sent.header("Record-Route").expect("a Record-Route");
    let mut ack = invite.following("ACK").tagged("b").extra(&format!("Route: {route}"));
    ack.uri = "sip:b@192.0.2.20".to_owned();
    world.request(ALICE, &ack);
    world.expect(&["ACK 192.0.2.20:5060"]);
    world.finish();
}
