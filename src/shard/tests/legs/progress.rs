//! Calls in progress between transparent trunks and between owned legs: each is told of once, with what was learned of it,
//! and holds what it uses of limits to its end.

use std::sync::Arc;
use std::time::Duration;

use super::super::wire::{Answer, Request, Sent};
use super::super::world::{ALICE, BOB, EPOCH, World, own_all_legs};
use super::party::{Party, owned, set_up};
use crate::call::CallRecord;
use crate::call::admission::Scope;
use crate::call::live::End;
use crate::call::live::hang_up::Cause;
use crate::call::record::Outcome;
use crate::sip::Transport;
use crate::trunk::{CallLimits, CallRate};

fn alice(called: &str) -> Party {
    Party::new(ALICE, Transport::Udp, "alice", called)
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

fn limited(name: &str, limits: CallLimits) -> World {
    World::with(|edge| limit(edge, name, limits), 1_000)
}

fn limit(edge: &mut crate::call::Edge, name: &str, limits: CallLimits) {
    let trunks = &mut Arc::make_mut(&mut edge.trunks).0;
    let trunk = trunks.iter_mut().find(|trunk| &*trunk.name == name).unwrap();
    trunk.limits = Some(Arc::new(limits));
}

/// Calls that count at a trunk: that came from there, and that went there.
fn used(world: &World, trunk: &str) -> (u32, u32) {
    world.edge.gate.meters().find(Scope::Trunk, trunk).map_or((0, 0), |meter| meter.used())
}

/// The INVITEs that one of a caller becomes.
fn forked(world: &mut World, caller: &mut Party) -> Vec<Sent> {
    let invite = caller.request("INVITE");
    caller.send(world, &invite);
    world.take().into_iter().filter(|sent| sent.what() == "INVITE").collect()
}

/// A side ends the call, and the other one agrees.
#[track_caller]
fn hangs_up(world: &mut World, side: &mut Party, other: &mut Party) {
    world.take();
    let sent = side.asks(world, "BYE");
    assert_eq!(sent.what(), "BYE", "{}", sent.text());
    assert_eq!(other.answers(world, &sent, 200, "").status(), 200);
}

#[track_caller]
fn told(world: &World) -> &CallRecord {
    let [record] = &world.records[..] else { panic!("{:?}", world.records) };
    record
}

#[track_caller]
fn refused(world: &mut World, id: &str, called: &str) -> Sent {
    let invite = Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), id);
    world.request(ALICE, &invite);
    let mut sent = world.take();
    sent.retain(|sent| sent.status() != 100);
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn a_call_is_told_of_with_all_that_was_learned_of_it() {
    for transparent in [true, false] {
        let mut world = if transparent { World::new() } else { owned() };
        let mut caller = alice("200");
        let began = world.now;
        let sent = caller.asks(&mut world, "INVITE");
        assert_eq!((world.calls_begun(), used(&world, "alice"), used(&world, "bob")), (1, (1, 0), (0, 1)));
        let mut callee = bob();
        callee.routes = sent.headers("Record-Route");
        world.pass(300);
        let ringing = callee.answers(&mut world, &sent, 180, "");
        caller.learns(&ringing);
        world.pass(2_000);
        let ok = callee.answers(&mut world, &sent, 200, "");
        caller.learns(&ok);
        caller.asks(&mut world, "ACK");
        let up = if transparent { world.calls_through() } else { world.calls().len() };
        assert_eq!((world.calls_begun(), up, used(&world, "bob"), world.records.len()), (0, 1, (0, 1), 0));
        world.pass(65_000);
        callee.extra.push_str("Reason: Q.850;cause=16;text=\"Normal\"\r\n");
        hangs_up(&mut world, &mut callee, &mut caller);
        let record = told(&world).clone();
        assert_eq!((record.outcome, record.status), (Outcome::HungUp(End::Callee), 200));
        assert_eq!((record.lasted, record.relearned), (Some(Duration::from_secs(65)), false));
        assert_eq!((&*record.from.trunk, &*record.to.unwrap().trunk), ("alice", "bob"));
        assert_eq!(&*record.call_id, format!("alice-200@{ALICE}"));
        let facts = record.facts;
        assert_eq!((&*facts.caller, &*facts.called, &*facts.sent_to), ("alice", "200", "200"));
        assert_eq!((&*facts.target, facts.tries), ("udp:192.0.2.20:5060", 1));
        assert_eq!(facts.invited_unix_ms, EPOCH * 1_000 + began.as_millis());
        assert_eq!(facts.rang_after, Some(Duration::from_millis(300)));
        assert_eq!(facts.answered_after, Some(Duration::from_millis(2_300)));
        assert_eq!((facts.q850, facts.transparent), (Some(16), transparent));
        assert_eq!(facts.far_call_id.is_empty(), transparent, "{}", facts.far_call_id);
        assert_eq!((used(&world, "alice"), used(&world, "bob")), ((0, 0), (0, 0)));
        world.finish_without_calls();
    }
}

#[test]
fn refusals_between_transparent_trunks_are_told_of() {
    let mut world = World::new();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    bob().answers(&mut world, &sent, 486, "Reason: Q.850;cause=17\r\n");
    let record = told(&world);
    assert_eq!((record.outcome, record.status, record.facts.q850), (Outcome::Refused, 486, Some(17)));
    assert_eq!((used(&world, "alice"), used(&world, "bob")), ((0, 0), (0, 0)));
    world.finish();
}

#[test]
fn a_copy_of_a_refused_invite_is_no_call_of_its_own() {
    let mut world = World::new();
    for _ in 0..3 {
        assert_eq!(refused(&mut world, "1", "999").status(), 404);
    }
    assert_eq!(told(&world).outcome, Outcome::NotPassed);
    assert_eq!(world.counts.absorbed, 2);
    refused(&mut world, "2", "999");
    assert_eq!(world.records.len(), 2);
    // The memory ends with the time in which copies may come.
    world.pass(40_000);
    refused(&mut world, "1", "999");
    assert_eq!(world.records.len(), 3);
}

#[test]
fn an_invite_that_several_answer_is_one_call_that_ends_with_the_last() {
    for transparent in [true, false] {
        let mut world = if transparent { World::new() } else { World::with(own_all_legs, 1_000) };
        let mut caller = alice("500");
        let sent = forked(&mut world, &mut caller);
        let mut phones = Vec::new();
        for (sent, name) in sent.iter().zip(["one", "two"]) {
            let addr = Box::leak(sent.to.to_string().into_boxed_str());
            let mut phone = Party::new(addr, Transport::Udp, name, "");
            phone.routes = sent.headers("Record-Route");
            let text = phone.answer_text(&sent.text(), 200, "");
            phone.send(&mut world, &text);
            let ok = world.take().into_iter().find(|sent| sent.status() == 200).unwrap();
            let mut side = caller.clone();
            side.learns(&ok);
            side.asks(&mut world, "ACK");
            phones.push((phone, side));
        }
        assert_eq!(used(&world, "parallel"), (0, 1), "once for the trunk");
        let [(one, first), (two, second)] = &mut phones[..] else { panic!() };
        world.pass(10_000);
        hangs_up(&mut world, one, first);
        assert_eq!((world.records.len(), used(&world, "parallel")), (0, (0, 1)));
        world.pass(10_000);
        second.cseq = 5;
        hangs_up(&mut world, second, two);
        assert_eq!(told(&world).outcome, Outcome::HungUp(End::Caller));
        assert_eq!(used(&world, "parallel"), (0, 0));
        world.finish_without_calls();
    }
}

#[test]
fn a_call_whose_bye_nobody_sees_is_forgotten_after_its_time() {
    let mut call = set_up(World::new(), alice("200"), bob(), "", "");
    let age = call.world.edge.transparent_call_age.as_millis() as u64;
    call.world.pass(age - 1_000_000);
    assert_eq!((call.world.calls_through(), call.world.records.len()), (1, 0));
    call.world.pass(2_000_000);
    assert_eq!((call.world.calls_through(), told(&call.world).outcome), (0, Outcome::Forgotten));
    call.world.finish();
}

#[test]
fn a_call_is_over_when_a_side_knows_it_no_more() {
    let mut call = set_up(World::new(), alice("200"), bob(), "", "");
    let sent = call.caller.asks(&mut call.world, "INFO");
    call.callee.answers(&mut call.world, &sent, 481, "");
    assert_eq!(told(&call.world).outcome, Outcome::Ended(Cause::Gone(End::Callee)));
    call.world.finish();
}

#[test]
fn calls_that_do_not_fit_are_told_of_at_once() {
    let mut world = World::new();
    world.remember_at_most(0);
    let call = set_up(world, alice("200"), bob(), "", "");
    assert_eq!((told(&call.world).outcome, call.world.counts.calls_not_remembered), (Outcome::Forgotten, 1));
    assert_eq!(used(&call.world, "bob"), (0, 0));
}

#[test]
fn a_call_that_was_up_before_a_restart_is_told_of_when_a_side_hangs_up() {
    let mut call = set_up(owned(), alice("200"), bob(), "", "");
    call.world.restart();
    call.world.records.clear();
    call.callee.agrees_with(&mut call.world, &mut call.caller, "BYE");
    let record = told(&call.world);
    assert_eq!((record.relearned, record.outcome), (true, Outcome::HungUp(End::Callee)));
    assert_eq!((&*record.from.trunk, &*record.to.as_ref().unwrap().trunk), ("alice", "bob"));
    assert_eq!(&*record.call_id, format!("alice-200@{ALICE}"));
    // A BYE of the other side that crosses it is no other call.
    let bye = call.caller.request("BYE");
    call.caller.send(&mut call.world, &bye);
    call.world.take();
    assert_eq!(call.world.records.len(), 1);
}

#[test]
fn a_call_of_which_a_reinvite_has_passed_after_a_restart_is_told_of_once() {
    let mut call = set_up(owned(), alice("200"), bob(), "", "");
    call.world.restart();
    call.caller.agrees_with(&mut call.world, &mut call.callee, "INVITE");
    call.world.pass(5_000);
    call.caller.agrees_with(&mut call.world, &mut call.callee, "BYE");
    let record = told(&call.world);
    assert_eq!((record.relearned, record.lasted), (true, Some(Duration::from_secs(5))));
    assert_eq!((&*record.facts.caller, record.facts.invited_unix_ms), ("alice", 0));
}

#[test]
fn a_bye_before_the_2xx_is_no_call_of_its_own() {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = bob();
    callee.routes = sent.headers("Record-Route");
    let ringing = callee.answers(&mut world, &sent, 180, "");
    caller.learns(&ringing);
    let bye = caller.asks(&mut world, "BYE");
    assert_eq!(bye.what(), "BYE");
    callee.answers(&mut world, &bye, 200, "");
    assert_eq!(world.records.len(), 0);
    callee.answers(&mut world, &sent, 487, "");
    assert_eq!(told(&world).status, 487);
}

#[test]
fn a_trunk_takes_as_many_calls_as_it_may() {
    let limits = CallLimits { max_calls: Some(1), retry_after: 7, ..CallLimits::default() };
    let call = set_up(limited("bob", limits), alice("200"), bob(), "", "");
    let mut world = call.world;
    let answer = refused(&mut world, "2", "200");
    assert_eq!((answer.status(), answer.header("Retry-After").as_deref()), (503, Some("7")));
    let record = told(&world).clone();
    assert_eq!((record.outcome, record.facts.limit.as_deref()), (Outcome::NotPassed, Some("trunk bob max_calls")));
    assert_eq!(world.counts.limits_reached.0, [1, 0, 0, 0]);
    let (mut caller, mut callee) = (call.caller, call.callee);
    hangs_up(&mut world, &mut caller, &mut callee);
    assert_eq!(used(&world, "bob"), (0, 0));
    let next = Party { call_id: "next".to_owned(), ..alice("200") };
    set_up(world, next, bob(), "", "");
}

#[test]
fn a_caller_over_its_limit_is_refused_before_anything_is_sent() {
    let limits = CallLimits { max_calls_in: Some(0), over_limit_code: 486, retry_after: 0, ..CallLimits::default() };
    let mut world = limited("alice", limits);
    let answer = refused(&mut world, "1", "200");
    assert_eq!((answer.status(), answer.header("Retry-After")), (486, None));
    assert_eq!(told(&world).facts.limit.as_deref(), Some("trunk alice max_calls_in"));
    assert_eq!((used(&world, "alice"), world.len()), ((0, 0), 0));
    // Its copy is refused alike and counts for nothing.
    refused(&mut world, "1", "200");
    assert_eq!((world.records.len(), world.counts.limits_reached.total()), (1, 1));
}

#[test]
fn a_trunk_that_is_full_gives_way_to_the_next() {
    // Numbers with 55 go to `parallel`, then to `bob`.
    let mut world = limited("parallel", CallLimits { max_calls_out: Some(0), ..CallLimits::default() });
    let mut caller = alice("550");
    let sent = caller.asks(&mut world, "INVITE");
    assert_eq!(sent.to, BOB.parse().unwrap());
    assert_eq!((used(&world, "parallel"), used(&world, "bob")), ((0, 0), (0, 1)));
    assert_eq!((world.counts.failovers, world.counts.limits_reached.total()), (1, 1));
    bob().answers(&mut world, &sent, 486, "");
    assert_eq!((told(&world).status, told(&world).facts.tries), (486, 1));
    world.finish();
}

#[test]
fn a_call_that_fails_over_leaves_the_trunk_that_failed() {
    let mut world = World::new();
    let mut caller = alice("550");
    let sent = forked(&mut world, &mut caller);
    assert_eq!((sent.len(), used(&world, "parallel")), (3, (0, 1)), "once, however many of its targets ring");
    for sent in &sent {
        world.answers(sent, &Answer::to(&sent.text(), 503, "x"));
    }
    assert_eq!((used(&world, "parallel"), used(&world, "bob"), used(&world, "alice")), ((0, 0), (0, 1), (1, 0)));
    world.take();
    world.pass(200_000);
    assert_eq!((used(&world, "bob"), used(&world, "alice")), ((0, 0), (0, 0)));
    assert_eq!(told(&world).facts.tries, 4);
}

#[test]
fn calls_a_second_are_let_in_as_fast_as_they_may_come() {
    let rate = Some(CallRate { per_second: 2, burst: 3 });
    let mut world = limited("alice", CallLimits { rate, soft_percent: 100, ..CallLimits::default() });
    let mut passed = Vec::new();
    for index in 0..40 {
        let invite = Request::new("INVITE", "sip:200@192.0.2.1", &format!("{index}"));
        world.take();
        world.request(ALICE, &invite);
        if world.take().iter().any(|sent| sent.what() == "INVITE") {
            passed.push(index);
        }
        world.pass(100);
    }
    // Three at once, then one every half second.
    assert_eq!(passed, [0, 1, 2, 5, 10, 15, 20, 25, 30, 35]);
}

#[test]
fn an_operator_ends_a_call_that_rings() {
    for transparent in [true, false] {
        let mut world = if transparent { World::new() } else { owned() };
        let mut caller = alice("200");
        let sent = caller.asks(&mut world, "INVITE");
        let mut callee = bob();
        callee.answers(&mut world, &sent, 180, "");
        let id = world.only_context();
        world.with_shard(&caller.call_id, |env, shard, out| assert!(shard.hang_up_ringing(env, out, id)));
        let sent = world.take();
        let kinds: Vec<_> = sent.iter().map(|sent| sent.what()).collect();
        assert_eq!(kinds, ["CANCEL", "480"]);
        assert!(sent[0].header("Reason").unwrap().contains("cause=16"));
        assert_eq!((told(&world).outcome, told(&world).status), (Outcome::Ended(Cause::Operator), 480));
        assert_eq!((used(&world, "alice"), used(&world, "bob")), ((0, 0), (0, 0)));
        world.finish();
    }
}

#[test]
fn soft_thresholds_are_counted_on_the_way_up() {
    let limits = CallLimits { max_calls_out: Some(4), soft_percent: 50, ..CallLimits::default() };
    let mut world = limited("bob", limits);
    for index in 0..5 {
        world.request(ALICE, &Request::new("INVITE", "sip:200@192.0.2.1", &format!("{index}")));
    }
    assert_eq!((world.counts.soft_limits.0, world.counts.limits_reached.0), ([1, 0, 0, 0], [1, 0, 0, 0]));
    let meter = world.edge.gate.meters().find(Scope::Trunk, "bob").unwrap();
    assert_eq!((meter.used(), meter.refused().soft, meter.refused().refused), ((0, 4), 1, 1));
}
