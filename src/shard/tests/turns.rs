//! Who of the users is in calls, as presence is told.

use std::sync::Arc;

use super::office::{calling, invite, office, outgoing};
use super::world::{ALICE, BOB, World};
use crate::call::CallId;
use crate::trunk::TrunkKind;

/// The office, whose trunks are what its routing takes them for.
fn world() -> World {
    let mut world = office(1_000);
    let edge = Arc::make_mut(&mut world.edge);
    for trunk in &mut Arc::make_mut(&mut edge.trunks).0 {
        trunk.kind = match &*trunk.name {
            "bob" => TrunkKind::Pbx,
            "echo" => TrunkKind::Teams,
            _ => TrunkKind::Carrier,
        };
    }
    world
}

/// What was told since the last time: whether the call is up, who calls, who is called.
fn told(world: &mut World) -> Vec<(bool, String, String)> {
    let name = |user: &Option<Box<str>>| user.as_deref().unwrap_or("-").to_owned();
    let turns = std::mem::take(&mut world.turns);
    turns.iter().map(|turn| (turn.up, name(&turn.users[0]), name(&turn.users[1]))).collect()
}

fn turn(up: bool, caller: &str, callee: &str) -> (bool, String, String) {
    (up, caller.to_owned(), callee.to_owned())
}

#[test]
fn a_user_who_is_called_from_outside_is_in_the_call_when_it_is_answered() {
    let mut world = world();
    let sent = world.call(&invite("+441632768404", "1")).remove(0);
    assert_eq!(told(&mut world), [turn(false, "-", "dirk")]);
    world.answers(&sent, &sent.answer(180, "pbx"));
    assert_eq!(told(&mut world), []);
    world.answers(&sent, &sent.answer(200, "pbx"));
    assert_eq!(told(&mut world), [turn(true, "-", "dirk")]);
}

#[test]
fn a_carrier_proves_no_caller() {
    let mut world = world();
    let spoofed = calling(&invite("+441632768404", "1"), "<sip:+441632768403@carrier.example>");
    world.udp(ALICE, &spoofed);
    assert_eq!(told(&mut world), [turn(false, "-", "dirk")]);
}

#[test]
fn a_user_who_calls_is_in_the_call_at_once_and_its_record_ends_it() {
    let mut world = world();
    world.udp(BOB, &calling(&outgoing("0012125550100", "1"), "<sip:401@pbx.example>"));
    let sent = world.take();
    assert_eq!(told(&mut world), [turn(false, "anna", "-")]);
    let invite = sent.iter().find(|sent| sent.what() == "INVITE").unwrap();
    let caller = world.records.len();
    world.answers(invite, &invite.answer(404, "x"));
    world.take();
    // Serial: the next carrier is tried, and refuses too.
    let ends = |world: &World| world.records.get(caller).map(|record| record.id);
    for _ in 0..4 {
        if ends(&world).is_some() {
            break;
        }
        world.pass(40_000);
    }
    assert_eq!(ends(&world), Some(CallId::of(world.secrets(), b"call-1")));
}

#[test]
fn two_users_of_one_call_are_both_in_it_and_a_focus_makes_it_a_conference() {
    let mut world = world();
    world.udp(BOB, &calling(&outgoing("403", "1"), "<sip:401@pbx.example>"));
    let sent = world.take();
    let invite = sent.iter().find(|sent| sent.what() == "INVITE").unwrap();
    world.answers(invite, &invite.answer(200, "x").extra("Contact: <sip:room@teams.example>;isfocus"));
    let conference: Vec<bool> = world.turns.iter().map(|turn| turn.conference).collect();
    assert_eq!(told(&mut world), [turn(false, "anna", "cleo"), turn(true, "anna", "cleo")]);
    assert_eq!(conference, [false, true]);
}
