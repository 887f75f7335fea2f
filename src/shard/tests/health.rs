//! What is known of targets decides their order, and calls tell what they met with.

use smallvec::smallvec;

use super::wire::Request;
use super::world::World;
use crate::call::destination::of_choice;
use crate::routing::{Choice, Matched, Noted, Way};
use crate::trunk::TrunkId;
use crate::trunk::health::{LinkFault, Outcome, State};

fn invite(called: &str) -> Request {
    Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1")
}

fn trunk(world: &World, name: &str) -> TrunkId {
    world.edge.trunks.named(name).expect("a trunk").id
}

fn set(world: &World, name: &str, states: &[State]) {
    for (target, &state) in states.iter().enumerate() {
        world.edge.health.set(trunk(world, name), target as u16, state);
    }
}

/// What calls told since the last look.
fn heard(world: &mut World) -> Vec<(TrunkId, u16, Outcome)> {
    std::mem::take(&mut world.heard).into_iter().map(|heard| (heard.trunk, heard.target, heard.what)).collect()
}

/// The addresses that an INVITE goes to when every one of them fails.
fn tried(mut world: World, called: &str) -> Vec<String> {
    let mut sent = world.call(&invite(called));
    let mut tried = Vec::new();
    while let Some(next) = sent.pop() {
        tried.push(next.to.ip().to_string());
        world.fails(&next);
        sent = world.take().into_iter().filter(|sent| sent.what() == "INVITE").collect();
    }
    world.finish();
    tried
}

#[test]
fn a_target_that_is_down_is_tried_last_and_one_that_is_suspect_in_its_place() {
    use State::{Down, Suspect, Up};
    for (states, wanted) in [
        ([Up, Up, Up], ["41", "42", "43"]),
        ([Down, Up, Up], ["42", "43", "41"]),
        ([Up, Down, Suspect], ["41", "43", "42"]),
        ([Suspect, Up, Down], ["41", "42", "43"]),
        ([Down, Up, Down], ["42", "41", "43"]),
        ([Down, Down, Down], ["41", "42", "43"]),
    ] {
        let world = World::new();
        set(&world, "serial", &states);
        let wanted = wanted.map(|last| format!("192.0.2.{last}"));
        assert_eq!(tried(world, "400"), wanted, "{states:?}");
    }
}

#[test]
fn each_lane_has_its_own_order_and_what_it_has_no_room_for_is_what_is_down() {
    use State::{Down, Up};
    for (max_branches, wanted) in [(16, vec![1, 2, 0]), (4, vec![1, 2])] {
        let world = World::with(|edge| edge.max_branches = max_branches, 10);
        set(&world, "serial", &[Down, Up, Up]);
        let first = Way::plain(trunk(&world, "serial"));
        let beside = Way { beside: Some(5), ..first.clone() };
        let (tenant, site, far_site, noted) = (None, None, None, Noted::default());
        let ways = smallvec![first, beside];
        let choice = Choice { ways, tenant, site, far_site, matched: Matched::Tenant, emergency: false, noted };
        let lanes = of_choice(&world.edge, &choice).expect("targets").lanes;
        assert_eq!(lanes.len(), 2);
        for lane in lanes {
            let tried: Vec<u16> = lane.candidates.iter().rev().filter_map(|candidate| candidate.target).collect();
            assert_eq!(tried, wanted);
        }
    }
}

#[test]
fn an_edge_that_a_change_made_knows_what_the_one_before_learns() {
    let world = World::new();
    let changed = world.edge.with_routing(world.edge.routing.clone());
    set(&world, "serial", &[State::Up, State::Down]);
    assert_eq!(changed.health.state(trunk(&world, "serial"), 1), State::Down);
}

#[test]
fn a_trunk_that_is_down_whole_gives_way_to_the_next_of_the_route() {
    let mut world = World::new();
    set(&world, "bob", &[State::Down]);
    let sent = world.call(&invite("250"));
    assert!(sent.iter().all(|sent| sent.to.ip().to_string().starts_with("192.0.2.5")), "{sent:?}");
    assert_eq!(sent.len(), 3);
}

#[test]
fn calls_tell_of_silence_of_503_and_of_what_does_not_leave() {
    let mut world = World::new();
    world.call(&invite("400"));
    world.pass(4_100);
    let serial = trunk(&world, "serial");
    assert_eq!(heard(&mut world), [(serial, 0, Outcome::Silent)]);
    let sent = world.take().pop().expect("the next INVITE");
    world.answers(&sent, &sent.answer(503, "b").extra("Retry-After: 7"));
    let wait = Some(std::time::Duration::from_secs(7));
    assert_eq!(heard(&mut world), [(serial, 1, Outcome::Answered { status: 503, retry_after: wait })]);
    let sent = world.take().pop().expect("the next INVITE");
    world.fails(&sent);
    assert_eq!(heard(&mut world), [(serial, 2, Outcome::NotSent(LinkFault::Unknown))]);
    world.pass(100_000);
    assert_eq!(heard(&mut world), [], "timer B of the first one is no further news");
    world.finish();
}

#[test]
fn a_target_without_others_behind_it_is_told_of_when_its_time_is_over() {
    let mut world = World::new();
    world.call(&invite("200"));
    world.pass(33_000);
    assert_eq!(heard(&mut world), [(trunk(&world, "bob"), 0, Outcome::Silent)]);
    world.finish();
    let mut world = World::new();
    let sent = world.call(&invite("200")).remove(0);
    world.answers(&sent, &sent.answer(180, "b"));
    world.pass(300_000);
    assert_eq!(heard(&mut world), [], "one that rings is there");
    world.finish();
}

#[test]
fn other_requests_than_calls_may_take_their_time() {
    let mut world = World::new();
    world.request(super::world::ALICE, &Request::new("MESSAGE", "sip:200@192.0.2.1", "1"));
    world.pass(40_000);
    assert_eq!(heard(&mut world), []);
    world.finish();
}

#[test]
fn answers_are_told_of_only_where_they_are_news() {
    for (state, told) in [(State::Up, false), (State::Suspect, true), (State::Down, true)] {
        let mut world = World::new();
        set(&world, "bob", &[state]);
        let sent = world.call(&invite("200")).remove(0);
        world.answers(&sent, &sent.answer(486, "b"));
        let wanted = told.then_some((trunk(&world, "bob"), 0, Outcome::Answered { status: 486, retry_after: None }));
        assert_eq!(heard(&mut world), wanted.into_iter().collect::<Vec<_>>(), "{state}");
        world.finish();
    }
}

#[test]
fn a_name_without_a_place_is_told_of() {
    let mut world = World::new();
    world.call(&invite("600"));
    world.resolve(&[]);
    assert_eq!(heard(&mut world), [(trunk(&world, "named"), 0, Outcome::Unresolved)]);
    world.finish();
}
