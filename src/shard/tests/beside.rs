//! Users who live in the PBX and in Teams: the PBX rings first, Teams beside it after a delay.

use super::office::{SITE, TEAMS, invite, office, whats};
use super::wire::{Request, Sent};
use super::world::{ALICE, BOB, World};

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Anna's PBX phone rings; Teams would after five seconds.
fn ring_pbx() -> (World, Sent) {
    let mut world = office(1_000);
    let mut sent = world.call(&invite("+441632768401", "1"));
    assert_eq!(whats(&sent), [format!("INVITE {BOB}")]);
    let pbx = sent.remove(0);
    world.answers(&pbx, &pbx.answer(180, "pbx"));
    world.expect(&[&format!("180 {ALICE}")]);
    (world, pbx)
}

/// Both phones ring.
fn ring_both() -> (World, Sent, Sent) {
    let (mut world, pbx) = ring_pbx();
    world.pass(4_900);
    world.expect(&[]);
    world.pass(100);
    let teams = world.expect_one(&format!("INVITE {TEAMS}"));
    assert_eq!(world.counts.beside, 1);
    world.answers(&teams, &teams.answer(180, "teams"));
    world.expect(&[&format!("180 {ALICE}")]);
    (world, pbx, teams)
}

#[test]
fn pbx_that_answers_in_the_delay_keeps_teams_silent() {
    let (mut world, pbx) = ring_pbx();
    world.pass(4_000);
    world.answers(&pbx, &pbx.answer(200, "pbx"));
    world.expect(&[&format!("200 {ALICE}")]);
    world.pass(60_000);
    world.expect(&[]);
    assert_eq!(world.counts.beside, 0);
    world.finish();
}

#[test]
fn whoever_answers_first_wins_and_the_other_hears_why() {
    for pbx_wins in [true, false] {
        let (mut world, pbx, teams) = ring_both();
        let (winner, other) = if pbx_wins { (&pbx, &teams) } else { (&teams, &pbx) };
        world.answers(winner, &winner.answer(200, "w"));
        let sent = world.expect(&[&format!("200 {ALICE}"), &format!("CANCEL {}", other.to)]);
        assert_eq!(sent[0].to_tag().as_deref(), Some("w"));
        assert_eq!(sent[1].headers("Reason"), [ELSEWHERE]);
        world.answers(other, &other.answer(487, "o"));
        world.expect(&[&format!("ACK {}", other.to)]);
        world.finish();
    }
}

#[test]
fn refusal_of_one_does_not_end_the_other() {
    for pbx_refuses in [true, false] {
        let (mut world, pbx, teams) = ring_both();
        let (refuses, answers) = if pbx_refuses { (&pbx, &teams) } else { (&teams, &pbx) };
        world.answers(refuses, &refuses.answer(486, "r"));
        world.expect(&[&format!("ACK {}", refuses.to)]);
        world.pass(30_000);
        world.expect(&[]);
        world.answers(answers, &answers.answer(200, "a"));
        world.expect(&[&format!("200 {ALICE}")]);
        world.finish();
    }
    // The better of two refusals is the answer.
    let (mut world, pbx, teams) = ring_both();
    world.answers(&pbx, &pbx.answer(500, "p"));
    world.take();
    world.answers(&teams, &teams.answer(486, "t"));
    world.expect(&[&format!("ACK {TEAMS}"), &format!("486 {ALICE}")]);
    world.finish();
}

#[test]
fn teams_rings_at_once_when_nothing_else_does() {
    let (mut world, pbx) = ring_pbx();
    world.pass(1_000);
    world.answers(&pbx, &pbx.answer(486, "p"));
    let sent = world.expect(&[&format!("ACK {BOB}"), &format!("INVITE {TEAMS}")]);
    world.answers(&sent[1], &sent[1].answer(200, "t"));
    world.expect(&[&format!("200 {ALICE}")]);
    world.finish();
    // Nor does it wait for a PBX that cannot be reached.
    let mut world = office(1_000);
    let pbx = world.call(&invite("+441632768401", "1")).remove(0);
    world.fails(&pbx);
    let teams = world.expect_one(&format!("INVITE {TEAMS}"));
    world.answers(&teams, &teams.answer(404, "t"));
    world.expect(&[&format!("ACK {TEAMS}"), &format!("404 {ALICE}")]);
    world.finish();
}

#[test]
fn a_6xx_of_one_stops_all() {
    let (mut world, pbx) = ring_pbx();
    world.answers(&pbx, &pbx.answer(603, "p"));
    world.expect(&[&format!("ACK {BOB}"), &format!("603 {ALICE}")]);
    world.pass(30_000);
    world.take().iter().for_each(|sent| assert_eq!(sent.what(), "603", "Teams stays silent"));
    world.finish();
    let (mut world, pbx, teams) = ring_both();
    world.answers(&teams, &teams.answer(600, "t"));
    world.expect(&[&format!("ACK {TEAMS}"), &format!("CANCEL {BOB}")]);
    world.answers(&pbx, &pbx.answer(487, "p"));
    world.expect(&[&format!("ACK {BOB}"), &format!("600 {ALICE}")]);
    world.finish();
}

#[test]
fn caller_who_gives_up_in_the_delay_never_reaches_teams() {
    let (mut world, pbx) = ring_pbx();
    world.pass(2_000);
    world.request(ALICE, &invite("+441632768401", "1").following("CANCEL"));
    world.expect(&[&format!("200 {ALICE}"), &format!("CANCEL {BOB}")]);
    world.answers(&pbx, &pbx.answer(487, "p"));
    world.expect(&[&format!("ACK {BOB}"), &format!("487 {ALICE}")]);
    world.pass(30_000);
    assert!(world.take().iter().all(|sent| sent.to != TEAMS.parse().unwrap()));
    assert_eq!(world.counts.beside, 0);
    world.finish();
    // Both are cancelled where both ring.
    let (mut world, pbx, teams) = ring_both();
    world.request(ALICE, &invite("+441632768401", "1").following("CANCEL"));
    world.expect(&[&format!("200 {ALICE}"), &format!("CANCEL {BOB}"), &format!("CANCEL {TEAMS}")]);
    world.answers(&teams, &teams.answer(487, "t"));
    world.answers(&pbx, &pbx.answer(487, "p"));
    world.expect(&[&format!("ACK {TEAMS}"), &format!("ACK {BOB}"), &format!("487 {ALICE}")]);
    world.finish();
}

#[test]
fn without_a_delay_both_ring_at_once() {
    let mut world = office(1_000);
    let sent = world.call(&invite("+441632768402", "1"));
    assert_eq!(whats(&sent), [format!("INVITE {BOB}"), format!("INVITE {TEAMS}")]);
    assert_ne!(sent[0].via_branch(), sent[1].via_branch());
    assert_eq!(world.counts.beside, 1);
    world.answers(&sent[1], &sent[1].answer(200, "t"));
    world.expect(&[&format!("200 {ALICE}")]);
    // The PBX has said nothing so far: its CANCEL waits for its first word.
    world.answers(&sent[0], &sent[0].answer(180, "p"));
    world.expect(&[&format!("CANCEL {BOB}")]);
    world.answers(&sent[0], &sent[0].answer(487, "p"));
    world.expect(&[&format!("ACK {BOB}")]);
    world.finish();
}

#[test]
fn pbx_that_says_nothing_at_all_leaves_the_call_to_teams() {
    let mut world = office(1_000);
    world.call(&invite("+441632768401", "1"));
    world.pass(5_000);
    let sent = world.take();
    let teams = sent.iter().find(|sent| sent.to == TEAMS.parse().unwrap()).expect("Teams rings");
    world.answers(teams, &teams.answer(180, "t"));
    world.expect(&[&format!("180 {ALICE}")]);
    // Timer B ends the PBX's branch: no answer of its own goes back.
    world.pass(40_000);
    assert!(world.take().iter().all(|sent| sent.what() == "INVITE" && sent.to == BOB.parse().unwrap()));
    world.answers(teams, &teams.answer(200, "t"));
    world.expect(&[&format!("200 {ALICE}")]);
    world.finish();
}

#[test]
fn what_is_lost_is_sent_again_on_each_branch() {
    let mut world = office(1_000);
    let first = world.call(&invite("+441632768402", "1"));
    world.pass(600);
    let again = world.take();
    assert_eq!(whats(&again), [format!("INVITE {BOB}"), format!("INVITE {TEAMS}")]);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.bytes, again.bytes);
    }
    // A copy of the caller's INVITE begins nothing anew.
    world.request(ALICE, &invite("+441632768402", "1"));
    world.expect(&[&format!("100 {ALICE}")]);
    assert_eq!(world.counts.beside, 1);
    world.finish();
}

#[test]
fn other_requests_are_not_delivered_twice() {
    let mut world = office(1_000);
    let message = Request::new("MESSAGE", &format!("sip:+441632768402@{SITE}"), "1").body("hello");
    world.request(ALICE, &message);
    let pbx = world.expect_one(&format!("MESSAGE {BOB}"));
    world.answers(&pbx, &pbx.answer(202, "p"));
    world.expect(&[&format!("202 {ALICE}")]);
    world.finish();
    // To Teams only when the PBX cannot take it.
    let mut world = office(1_000);
    world.request(ALICE, &message);
    let pbx = world.expect_one(&format!("MESSAGE {BOB}"));
    world.fails(&pbx);
    let teams = world.expect_one(&format!("MESSAGE {TEAMS}"));
    world.answers(&teams, &teams.answer(200, "t"));
    world.expect(&[&format!("200 {ALICE}")]);
    assert_eq!(world.counts.beside, 0);
    world.finish();
}
