//! Several phones ring at once (RFC 3261 sections 16.6 and 16.7).

use super::wire::{Request, Sent};
use super::world::{ALICE, World};

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

fn fork() -> (World, Vec<Sent>) {
    let mut world = World::new();
    let sent = world.call(&Request::new("INVITE", "sip:500@192.0.2.1", "1"));
    let to: Vec<_> = sent.iter().map(|sent| sent.to.to_string()).collect();
    assert_eq!(to, ["192.0.2.51:5060", "192.0.2.52:5060", "192.0.2.53:5060"]);
    let mut branches: Vec<_> = sent.iter().map(Sent::via_branch).collect();
    branches.dedup();
    assert_eq!(branches.len(), 3, "each branch has its own");
    (world, sent)
}

fn whats(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| format!("{} {}", sent.what(), sent.to)).collect()
}

#[test]
fn the_first_2xx_wins_and_the_others_hear_why() {
    let (mut world, sent) = fork();
    world.answers(&sent[0], &sent[0].answer(180, "a"));
    world.take();
    world.answers(&sent[1], &sent[1].answer(200, "b"));
    let out = world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.51:5060"]);
    assert_eq!(out[1].headers("Reason"), [ELSEWHERE]);
    // The third has said nothing so far: its CANCEL waits for its first word.
    world.answers(&sent[2], &sent[2].answer(180, "c"));
    let out = world.take();
    assert_eq!(whats(&out), ["CANCEL 192.0.2.53:5060"]);
    assert_eq!(out[0].headers("Reason"), [ELSEWHERE]);
    for branch in [&sent[0], &sent[2]] {
        world.answers(branch, &branch.answer(487, "x"));
        world.expect(&[&format!("ACK {}", branch.to)]);
    }
    world.finish();
}

#[test]
fn every_2xx_is_passed() {
    let (mut world, sent) = fork();
    for (branch, tag) in sent.iter().zip(["a", "b", "c"]) {
        world.answers(branch, &branch.answer(200, tag));
        let passed = world.take().into_iter().find(|sent| sent.status() == 200).expect("the 200");
        assert_eq!(passed.to_tag().as_deref(), Some(tag));
    }
    world.finish();
}

#[test]
fn a_6xx_cancels_the_others_and_is_the_answer() {
    let (mut world, sent) = fork();
    for branch in &sent[..2] {
        world.answers(branch, &branch.answer(180, "x"));
    }
    world.take();
    world.answers(&sent[0], &sent[0].answer(603, "a"));
    world.expect(&["ACK 192.0.2.51:5060", "CANCEL 192.0.2.52:5060"]);
    world.answers(&sent[1], &sent[1].answer(487, "b"));
    world.expect(&["ACK 192.0.2.52:5060"]);
    world.answers(&sent[2], &sent[2].answer(486, "c"));
    world.expect(&["ACK 192.0.2.53:5060", "603 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn the_best_answer_goes_back_when_all_have_answered() {
    for (statuses, best) in [
        ([503, 486, 404], 486),
        ([404, 302, 486], 302),
        ([500, 503, 503], 500),
        ([480, 606, 401], 606),
        ([486, 407, 401], 407),
    ] {
        let (mut world, sent) = fork();
        for (branch, status) in sent.iter().zip(statuses) {
            world.expect(&[]);
            world.answers(branch, &branch.answer(status, "x"));
            let ack = world.take().remove(0);
            assert_eq!(ack.what(), "ACK");
            if branch.to == sent[2].to {
                break;
            }
        }
        let mut world = world;
        world.pass(600);
        let first = world.take().into_iter().find(|sent| sent.to == ALICE.parse().unwrap());
        assert_eq!(first.map(|sent| sent.status()), Some(best), "{statuses:?}");
        world.finish();
    }
}

#[test]
fn challenges_of_all_branches_are_gathered() {
    let (mut world, sent) = fork();
    let challenge = |name: &str, realm: &str| format!("{name}: Digest realm=\"{realm}\", nonce=\"1\"");
    world.answers(&sent[0], &sent[0].answer(401, "a").extra(&challenge("WWW-Authenticate", "one")));
    world.answers(&sent[1], &sent[1].answer(407, "b").extra(&challenge("Proxy-Authenticate", "two")));
    world.take();
    world.answers(&sent[2], &sent[2].answer(401, "c").extra(&challenge("WWW-Authenticate", "three")));
    let answer = world.take().pop().expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers("WWW-Authenticate").len() + answer.headers("Proxy-Authenticate").len(), 3);
    for realm in ["one", "two", "three"] {
        assert_eq!(answer.text().matches(&format!("realm=\"{realm}\"")).count(), 1);
    }
    world.finish();
}

#[test]
fn silent_branches_do_not_keep_the_answer_of_the_others_back_for_ever() {
    let (mut world, sent) = fork();
    world.answers(&sent[0], &sent[0].answer(486, "a"));
    world.take();
    world.pass(32_100);
    let answers: Vec<_> = world.take().iter().filter(|sent| sent.status() > 0).map(Sent::status).collect();
    assert_eq!(answers, [486]);
    world.finish();
}

#[test]
fn branches_that_do_not_leave_count_as_503() {
    let (mut world, sent) = fork();
    for branch in &sent[..2] {
        world.fails(branch);
    }
    world.expect(&[]);
    world.answers(&sent[2], &sent[2].answer(486, "c"));
    world.expect(&["ACK 192.0.2.53:5060", "486 192.0.2.10:5060"]);
    world.finish();
    let (mut world, sent) = fork();
    for branch in &sent {
        world.fails(branch);
    }
    world.expect(&["503 192.0.2.10:5060"]);
    world.finish();
}

#[test]
fn other_requests_fork_too_and_the_first_2xx_is_the_answer() {
    let mut world = World::new();
    world.request(ALICE, &Request::new("MESSAGE", "sip:500@192.0.2.1", "1").body("hello"));
    let sent = world.take();
    assert_eq!(sent.len(), 3);
    world.answers(&sent[0], &sent[0].answer(486, "a"));
    world.expect(&[]);
    world.answers(&sent[1], &sent[1].answer(202, "b"));
    world.expect(&["202 192.0.2.10:5060"]);
    world.answers(&sent[2], &sent[2].answer(200, "c"));
    world.expect(&[]);
    world.finish();
}

#[test]
fn the_next_trunk_is_not_rung_along_with_a_trunk_that_forks() {
    let mut world = World::new();
    let sent = world.call(&Request::new("INVITE", "sip:550@192.0.2.1", "1"));
    let to: Vec<_> = sent.iter().map(|sent| sent.to.to_string()).collect();
    assert_eq!(to, ["192.0.2.51:5060", "192.0.2.52:5060", "192.0.2.53:5060"]);
    // Only when all of them fail in a way that is listed.
    for branch in &sent[..2] {
        world.answers(branch, &branch.answer(503, "x"));
        world.expect(&[&format!("ACK {}", branch.to)]);
    }
    world.fails(&sent[2]);
    let next = world.expect_one("INVITE 192.0.2.20:5060");
    world.answers(&next, &next.answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
    // Not when one of them has really said no, whichever it was.
    for busy in 0..3 {
        let mut world = World::new();
        let sent = world.call(&Request::new("INVITE", "sip:550@192.0.2.1", "1"));
        for (index, branch) in sent.iter().enumerate() {
            world.answers(branch, &branch.answer(if index == busy { 486 } else { 503 }, "x"));
        }
        assert_eq!(world.take().pop().map(|sent| sent.what()).as_deref(), Some("486"));
        world.finish();
    }
}

#[test]
fn a_trunk_that_forks_does_so_as_the_second_choice_too() {
    let mut world = World::new();
    let first = world.call(&Request::new("INVITE", "sip:250@192.0.2.1", "1")).remove(0);
    world.fails(&first);
    let sent = world.expect(&["INVITE 192.0.2.51:5060", "INVITE 192.0.2.52:5060", "INVITE 192.0.2.53:5060"]);
    world.answers(&sent[1], &sent[1].answer(200, "b"));
    world.expect(&["200 192.0.2.10:5060"]);
    world.finish();
}
