//! Tokens that were altered, stolen, kept too long, or sealed with a key that has gone.

use super::super::world::{ALICE, BOB, ring};
use super::party::{Call, Party, owned, set_up, user};
use crate::call::owned::{NotSealed, Refused};
use crate::call::seal::{Key, KeyRing};
use crate::sip::Transport;

fn call() -> Call {
    let caller = Party::new(ALICE, Transport::Udp, "alice", "200");
    set_up(owned(), caller, Party::new(BOB, Transport::Udp, "bob", ""), "", "")
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
fn what_does_not_fit_fails_with_a_reason() {
    let mut world = owned();
    let random = |seed: u32, len: usize| {
        let mut state = seed;
        let digit = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b"abcdefghijkmnpqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(*state >> 16) as usize % 51])
        };
        (0..len).map(|_| digit(&mut state)).collect::<String>()
    };
    let alice = |call: u32| {
        let alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        Party { own: format!("{}{call}", alice.own), ..alice }
    };
    let count = |world: &super::super::world::World, why: NotSealed| world.counts.not_sealed.0[why as usize];
    let mut caller = alice(1);
    caller.contact = format!("sip:{}@192.0.2.10", random(1, 300));
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
    assert_eq!(count(&world, NotSealed::Contact), 1);

    let mut caller = Party { call_id: random(2, 140), ..alice(2) };
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
    assert_eq!(count(&world, NotSealed::CallId), 1);

    let mut caller = Party { call_id: "routes".to_owned(), ..alice(3) };
    caller.extra.push_str(&"Record-Route: <sip:a;lr>\r\n".repeat(9));
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
    assert_eq!(count(&world, NotSealed::Routes), 1);

    // An early answer goes without a Contact, an answered call fails for the caller.
    let mut caller = Party { call_id: "callee".to_owned(), ..alice(4) };
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = Party::new(BOB, Transport::Udp, "bob", "");
    callee.contact = format!("sip:{}@192.0.2.20", random(3, 300));
    let ringing = callee.answers(&mut world, &sent, 180, "");
    assert_eq!((ringing.status(), ringing.header("Contact")), (180, None));
    // The callee is told so, again when its answer comes again.
    let record = "Record-Route: <sip:one;lr>, <sip:two;lr>\r\n";
    let ok = callee.answer_text(&sent.text(), 200, record);
    callee.send(&mut world, &ok);
    let ended = world.expect(&["ACK 192.0.2.20:5060", "BYE 192.0.2.20:5060", "503 192.0.2.10:5060"]);
    for (sent, cseq) in [(&ended[0], "256 ACK"), (&ended[1], "257 BYE")] {
        assert_eq!((sent.uri(), sent.header("CSeq").as_deref()), (callee.contact.clone(), Some(cseq)));
        assert_eq!(sent.headers("Route"), ["<sip:two;lr>", "<sip:one;lr>"]);
        assert_eq!((sent.header("Call-ID"), sent.to_tag().as_deref()), (Some(callee.call_id.clone()), Some("of-bob")));
    }
    callee.send(&mut world, &ok);
    world.expect(&["ACK 192.0.2.20:5060", "BYE 192.0.2.20:5060"]);
    world.finish();
}
