//! Tokens that were altered, stolen, kept too long, or sealed with a key that has gone.

use super::super::world::{ALICE, BOB, World, ring};
use super::party::{Call, Party, owned, set_up, user};
use crate::call::dialog_token::SealKey;
use crate::call::owned::Refused;
use crate::call::seal::{Key, KeyRing};
use crate::sip::Transport;

fn call() -> Call {
    let caller = Party::new(ALICE, Transport::Udp, "alice", "200");
    set_up(owned(), caller, bob(), "", "")
}

/// Its numbers begin later, so that no re-INVITE of it brings the description of its answer again.
fn bob() -> Party {
    Party { cseq: 10, ..Party::new(BOB, Transport::Udp, "bob", "") }
}

#[track_caller]
fn refused(call: &mut Call, mut party: Party, status: u16, why: &[Refused]) {
    let before = call.world.counts.tokens_refused.total();
    let answer = party.asks(&mut call.world, "BYE");
    assert_eq!((answer.status(), answer.to), (status, party.addr.parse().unwrap()), "{}", answer.text());
    assert_eq!(call.world.counts.tokens_refused.total(), before + 1);
    let counted = call.world.counts.tokens_refused.0;
    assert!(why.iter().any(|&why| counted[why as usize] > 0), "{counted:?} for {why:?}");
    let ack = party.request("ACK");
    party.send(&mut call.world, &ack);
    assert!(call.world.take().is_empty(), "an ACK with such a token goes nowhere");
}

#[test]
fn an_altered_token_is_refused_wherever_it_was_altered() {
    let mut it = call();
    let token = user(&it.caller.target);
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'B' { b'C' } else { b'B' };
        let altered = String::from_utf8(altered).unwrap();
        let mut party = it.caller.clone();
        party.target = party.target.replace(&token, &altered);
        party.cseq += 1 + at as u32;
        let answer = party.asks(&mut it.world, "BYE");
        assert!(matches!(answer.status(), 481 | 403), "at {at}: {}", answer.text());
    }
    it.world.finish();
}

#[test]
fn a_token_opens_in_its_dialog_and_for_its_trunk_only() {
    let mut it = call();
    // Of another call.
    let other = Party { call_id: "another@call".to_owned(), ..it.caller.clone() };
    refused(&mut it, other, 481, &[Refused::Dialog]);
    // By another trunk.
    let thief = Party { addr: "192.0.2.70:5060", ..it.caller.clone() };
    refused(&mut it, thief, 403, &[Refused::Trunk]);
    // The other side's.
    let turned = Party { target: it.callee.target.clone(), ..it.caller.clone() };
    refused(&mut it, turned, 481, &[Refused::Dialog]);
    it.world.finish();
}

#[test]
fn a_token_that_is_too_old_is_refused() {
    let mut it = call();
    it.world.pass(8 * 86_400_000);
    let late = it.caller.clone();
    refused(&mut it, late, 481, &[Refused::Age]);
    it.world.finish();
}

#[test]
fn a_key_is_changed_under_a_call() {
    let Call { mut world, mut caller, mut callee, .. } = call();
    let key = |byte: u8| Key::derive(&[byte; 32]).unwrap();
    world.set_ring(KeyRing::new(key(9), Some(key(4))).unwrap());
    let id = callee.call_id.clone();
    for _ in 0..2 {
        caller.agrees_with(&mut world, &mut callee, "INVITE");
        callee.agrees_with(&mut world, &mut caller, "INVITE");
        world.restart();
    }
    assert_eq!(callee.call_id, id, "a dialog keeps its key");
    world.set_ring(ring(9));
    let mut it = Call { world, caller, callee, seen: Vec::new() };
    let gone = it.caller.clone();
    refused(&mut it, gone, 481, &[Refused::Key]);
    it.world.finish();
}

#[test]
fn two_rotations_end_calls_of_the_first_key_and_none_of_the_second() {
    let key = |byte: u8| Key::derive(&[byte; 32]).unwrap();
    let ring = |current, other| KeyRing::new(key(current), Some(key(other))).unwrap();
    let Call { mut world, caller: mut old_caller, callee: mut old_callee, .. } = call();
    world.set_ring(ring(9, 4));
    let mut caller =
        Party { call_id: "after@rotation".to_owned(), ..Party::new(ALICE, Transport::Udp, "alice", "200") };
    caller.own.push_str("-again");
    let Call { mut world, mut caller, mut callee, .. } = set_up(world, caller, bob(), "", "");
    for (one, other) in [(&mut old_caller, &mut old_callee), (&mut caller, &mut callee)] {
        one.agrees_with(&mut world, other, "INVITE");
        other.agrees_with(&mut world, one, "INVITE");
    }
    world.set_ring(ring(10, 9));
    let mut it = Call { world, caller, callee, seen: Vec::new() };
    refused(&mut it, old_caller, 481, &[Refused::Key]);
    refused(&mut it, old_callee, 481, &[Refused::Key]);
    let Call { mut world, mut caller, mut callee, .. } = it;
    callee.agrees_with(&mut world, &mut caller, "INVITE");
    caller.agrees_with(&mut world, &mut callee, "BYE");
    world.finish();
}

/// Between transparent trunks it is the Record-Route that a key proves.
#[test]
fn a_route_of_the_key_before_holds_and_one_of_an_older_key_is_counted() {
    let mut world = World::new();
    let request = |method: &str| {
        let mut party = Party::new(ALICE, Transport::Udp, "alice", "200");
        party.cseq = 7;
        party.request(method)
    };
    let seal = |byte| SealKey::new([byte; 16]);
    let Call { seen, .. } = {
        let caller = Party::new(ALICE, Transport::Udp, "alice", "200");
        let call = set_up(World::new(), caller, Party::new(BOB, Transport::Udp, "bob", ""), "", "");
        assert_eq!(call.seen[0].headers("Record-Route").len(), 1);
        call
    };
    let route = seen[0].header("Record-Route").unwrap();
    let bye = |cseq: u32| {
        request("BYE")
            .replace("sip:200@192.0.2.1 SIP", "sip:bob@192.0.2.20:5060 SIP")
            .replace("To: <sip:200@192.0.2.1>", "To: <sip:200@192.0.2.1>;tag=of-bob")
            .replace("Max-Forwards", &format!("Route: {route}\r\nMax-Forwards"))
            .replace("of-alice8BYE", &format!("of-alice{cseq}BYE"))
            .replace("CSeq: 8", &format!("CSeq: {cseq}"))
    };
    world.set_seal(seal(5).with_other(Some([3; 16])));
    world.udp(ALICE, &bye(8));
    world.expect(&["BYE 192.0.2.20:5060"]);
    assert_eq!(world.counts.tokens_refused.total(), 0);
    world.set_seal(seal(6).with_other(Some([5; 16])));
    world.udp(ALICE, &bye(9));
    world.take();
    assert_eq!(world.counts.tokens_refused.0[Refused::RecordRoute as usize], 1);
}
