//! The edge ends calls: both sides are told, what crosses that is answered, and nothing stays behind.

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB};
use super::live::call;
use super::party::{Call, Party};
use crate::call::live::End;
use crate::call::live::hang_up::{Cause, hang_up};
use crate::call::record::Outcome;

const CAUSE: Cause = Cause::SessionExpired(End::Callee);

/// The edge hangs up; gives what it sends to the caller and to the callee.
#[track_caller]
fn ends(it: &mut Call) -> [Sent; 2] {
    it.world.with_call(|env, tools, out, id| hang_up(env, tools, out, id, CAUSE));
    let to = |party: &Party| format!("BYE {}", party.addr);
    let sent = it.world.expect(&[&to(&it.caller), &to(&it.callee)]);
    sent.try_into().expect("two")
}

#[test]
fn both_sides_are_told_and_why() {
    for called in ["200", "300"] {
        let mut it = call(called);
        it.caller.agrees_with(&mut it.world, &mut it.callee, "INFO");
        let byes = ends(&mut it);
        let Call { mut world, mut caller, mut callee, .. } = it;
        assert_eq!(world.calls().len(), 0);
        for (bye, party) in byes.iter().zip([&mut caller, &mut callee]) {
            assert_eq!(bye.transport, party.transport);
            assert_eq!((bye.uri(), bye.header("Call-ID").unwrap()), (party.contact.clone(), party.call_id.clone()));
            assert_eq!(bye.header("Reason").as_deref(), Some("SIP;cause=408;text=\"Session Expired\""));
            let tag = |value: &str| super::super::wire::param(value, "tag");
            assert_eq!(tag(&bye.header("From").unwrap()), tag(&party.other));
            assert_eq!(tag(&bye.header("To").unwrap()), tag(&party.own));
            assert_eq!(bye.headers("Via").len(), 1);
            party.send(&mut world, &party.clone().answer_text(&bye.text(), 200, ""));
        }
        // The callee has had 256 and 512, the caller nothing yet.
        let numbers = byes.map(|bye| bye.header("CSeq").unwrap());
        assert_eq!(numbers, ["1 BYE", "513 BYE"]);
        assert_eq!(world.take().len(), 0);
        let [record] = &world.records[..] else { panic!("{:?}", world.records) };
        assert_eq!((record.outcome, record.outcome.name()), (Outcome::Ended(CAUSE), "session-expired"));
        world.finish_without_calls();
    }
}

#[test]
fn what_crosses_the_byes_is_answered_as_it_should_be() {
    let mut it = call("200");
    let mut late = it.callee.clone();
    ends(&mut it);
    let Call { mut world, mut caller, mut callee, .. } = it;
    assert_eq!(callee.asks(&mut world, "BYE").status(), 200);
    assert_eq!(caller.asks(&mut world, "BYE").status(), 200);
    for method in ["INFO", "INVITE", "UPDATE", "REFER"] {
        late.cseq += 10;
        assert_eq!(late.asks(&mut world, method).status(), 481, "{method}");
    }
    world.finish_without_calls();
}

#[test]
fn byes_are_sent_again_until_they_are_answered() {
    let mut it = call("200");
    let byes = ends(&mut it);
    let Call { mut world, caller, callee, .. } = it;
    world.pass(1_600);
    let again = world.take();
    assert_eq!(again.iter().filter(|sent| sent.text() == byes[0].text()).count(), 2);
    assert_eq!(again.iter().filter(|sent| sent.text() == byes[1].text()).count(), 2);
    caller.send(&mut world, &caller.clone().answer_text(&byes[0].text(), 481, ""));
    callee.send(&mut world, &callee.clone().answer_text(&byes[1].text(), 200, ""));
    // Their copies are absorbed.
    callee.send(&mut world, &callee.clone().answer_text(&byes[1].text(), 200, ""));
    world.pass(40_000);
    assert_eq!(world.take().len(), 0);
    world.finish_without_calls();
}

#[test]
fn sides_that_are_gone_hold_nothing_up() {
    let mut it = call("300");
    let byes = ends(&mut it);
    let mut world = it.world;
    world.fails(&byes[1]);
    world.pass(33_000);
    assert_eq!(world.len(), 0);
    world.finish_without_calls();
}

/// A re-INVITE is under way when the edge hangs up: its 2xx brings the call not back to life.
#[test]
fn a_request_under_way_is_let_come_to_its_end() {
    let mut it = call("200");
    let invite = it.caller.asks(&mut it.world, "INVITE");
    ends(&mut it);
    let Call { mut world, mut caller, mut callee, .. } = it;
    let ok = callee.answers(&mut world, &invite, 200, "");
    assert_eq!((ok.status(), ok.to), (200, ALICE.parse().unwrap()));
    caller.learns(&ok);
    assert_eq!(caller.asks(&mut world, "ACK").to, BOB.parse().unwrap());
    assert_eq!(world.calls().len(), 0);
    world.finish_without_calls();
}
