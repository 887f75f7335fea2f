//! Calls that do not fit into the edge's own URIs: what is left over is in the call store.

use proptest::prelude::*;

use super::super::world::{ALICE, BOB, World};
use super::party::{Call, Party, owned, set_up, uri, user};
use crate::call::owned::{NotSealed, Refused};
use crate::call::stored::Room;
use crate::sip::Transport;

/// Text that no packing makes shorter.
fn noise(seed: u32, len: usize) -> String {
    let mut state = seed;
    let digit = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b"abcdefghijkmnpqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(*state >> 16) as usize % 51])
    };
    (0..len).map(|_| digit(&mut state)).collect()
}

fn alice() -> Party {
    Party::new(ALICE, Transport::Udp, "alice", "200")
}

/// Its numbers begin later, so that no re-INVITE of it brings the description of its answer again.
fn bob() -> Party {
    Party { cseq: 10, ..Party::new(BOB, Transport::Udp, "bob", "") }
}

/// Every Contact that the edge made is one that phones can keep.
#[track_caller]
fn assert_short(call: &Call) {
    for sent in &call.seen {
        for contact in sent.headers("Contact") {
            assert!(uri(&contact).len() <= 254, "{contact}");
        }
    }
}

/// Both sides refresh and one ends the call, with the process killed before each.
fn lives_on(call: Call) {
    assert_short(&call);
    let Call { mut world, mut caller, mut callee, .. } = call;
    for callee_first in [true, false] {
        for _ in 0..2 {
            world.restart();
            let (from, to) = if callee_first { (&mut callee, &mut caller) } else { (&mut caller, &mut callee) };
            from.agrees_with(&mut world, to, "INVITE");
            assert!(from.target.len() <= 254 && to.target.len() <= 254);
        }
    }
    world.restart();
    caller.agrees_with(&mut world, &mut callee, "INFO");
    callee.agrees_with(&mut world, &mut caller, "BYE");
    let (up, over) = (&world.kept.up, &world.kept.over);
    if world.kept.states.is_empty() {
        assert_eq!((up.len(), over.len()), (0, 0), "a store that has nothing is left alone");
    } else {
        assert_eq!(over.len(), 1, "the store hears of the end");
        assert!(up.contains(&over[0]), "under the same mark as of the beginning");
        assert!(world.kept.states.keys().all(|key| key.call == over[0]), "and of what it keeps");
    }
    world.finish();
}

#[test]
fn a_call_between_long_contacts_lives_on() {
    let caller = Party { contact: format!("sip:{}@192.0.2.10", noise(1, 300)), ..alice() };
    let callee = Party { contact: format!("sip:{}@192.0.2.20", noise(2, 900)), ..bob() };
    let call = set_up(owned(), caller, callee, "", "");
    for target in [&call.caller.target, &call.callee.target] {
        assert!(user(target).len() == 48, "the URI has a key: {target}");
    }
    lives_on(call);
}

#[test]
fn a_call_with_a_long_call_id_lives_on() {
    for (seed, len) in [(1, 129), (2, 140), (3, 700)] {
        let caller = Party { call_id: noise(seed, len), ..alice() };
        let call = set_up(owned(), caller, bob(), "", "");
        assert!(call.callee.call_id.len() <= 60, "{}", call.callee.call_id);
        lives_on(call);
    }
}

#[test]
fn all_legs_of_a_call_with_a_long_call_id_have_one_shard() {
    for seed in 0..20 {
        let caller = Party { call_id: noise(seed, 150), ..alice() };
        let Call { world, caller, callee, .. } = set_up(owned(), caller, bob(), "", "");
        let shard = |id: &str| world.shard_of(id);
        assert_eq!(shard(&caller.call_id), shard(&callee.call_id));
    }
}

#[test]
fn a_call_behind_many_proxies_lives_on() {
    let record = |host: &str| -> String {
        (0..8).map(|at| format!("Record-Route: <sip:192.0.2.2{at};lr;x={}>\r\n", noise(at + 5, 20))).collect::<String>()
            + &format!("X-Behind: {host}\r\n")
    };
    let Call { mut world, caller, mut callee, seen } =
        set_up(owned(), alice(), bob(), &record("caller"), &record("callee"));
    assert_eq!(seen[3].headers("Route").len(), 8);
    world.restart();
    let info = callee.asks(&mut world, "INFO");
    assert_eq!((info.headers("Route").len(), info.uri()), (8, caller.contact));
    // The caller's token has no room for its own routes: they are kept beside.
    callee.cseq += 1;
    let hold = callee.asks(&mut world, "INVITE");
    assert_eq!(hold.headers("Route"), info.headers("Route"));
}

#[test]
fn without_what_was_kept_a_call_is_refused_and_counted() {
    let caller = Party { contact: format!("sip:{}@192.0.2.10", noise(1, 300)), ..alice() };
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), caller, bob(), "", "");
    // What the caller needs is in its token; what the callee needs is not.
    world.kept.states.clear();
    world.restart();
    assert_eq!(callee.asks(&mut world, "BYE").status(), 481);
    assert_eq!(world.counts.tokens_refused.0[Refused::Store as usize], 1);
    caller.agrees_with(&mut world, &mut callee, "BYE");
    world.finish();
}

#[test]
fn what_is_kept_opens_in_its_dialog_and_for_its_trunk_only() {
    let callee = Party { contact: format!("sip:{}@192.0.2.20", noise(1, 300)), ..bob() };
    let Call { mut world, caller, .. } = set_up(owned(), alice(), callee, "", "");
    let mut other = Party { call_id: "another@call".to_owned(), ..caller.clone() };
    assert_eq!(other.asks(&mut world, "BYE").status(), 481);
    let mut thief = Party { addr: "192.0.2.70:5060", ..caller };
    assert_eq!(thief.asks(&mut world, "BYE").status(), 403);
    // One record in the place of another.
    let mut thief = thief.clone();
    for state in world.kept.states.values_mut() {
        *state = bytes::Bytes::from_static(b"no record");
    }
    thief.addr = ALICE;
    thief.cseq += 1;
    assert_eq!(thief.asks(&mut world, "BYE").status(), 481);
    let counts = world.counts.tokens_refused.0;
    let count = |why: Refused| counts[why as usize];
    assert_eq!((count(Refused::Dialog), count(Refused::Trunk), count(Refused::Version)), (1, 1, 1));
    world.finish();
}

#[test]
fn copies_of_an_answer_are_kept_once() {
    let mut world = owned();
    let mut caller = alice();
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = Party { contact: format!("sip:{}@192.0.2.20", noise(1, 300)), ..bob() };
    let text = callee.answer_text(&sent.text(), 200, "");
    let contacts: Vec<_> = (0..3)
        .map(|_| {
            callee.send(&mut world, &text);
            world.expect_one("200 192.0.2.10:5060").header("Contact").unwrap()
        })
        .collect();
    assert_eq!((&contacts[0], &contacts[0]), (&contacts[1], &contacts[2]));
    assert_eq!(world.kept.states.len(), 1);
}

#[test]
fn a_full_store_refuses_what_needs_it_and_nothing_else() {
    let full = || {
        let mut world = owned();
        world.kept.room = Room::None;
        world
    };
    let refused = |world: &World, why: NotSealed| world.counts.not_sealed.0[why as usize];
    let Call { mut world, mut caller, mut callee, .. } = set_up(full(), alice(), bob(), "", "");
    callee.agrees_with(&mut world, &mut caller, "BYE");
    assert_eq!(world.counts.not_sealed.total(), 0);

    for long in [
        Party { contact: format!("sip:{}@192.0.2.10", noise(1, 300)), ..alice() },
        Party { call_id: noise(2, 190), ..alice() },
    ] {
        let mut world = full();
        let mut caller = long;
        assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
        assert_eq!(refused(&world, NotSealed::StoreFull), 1);
    }

    // An early answer goes without a Contact, an answered call fails for the caller.
    let mut world = full();
    let mut caller = alice();
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = Party { contact: format!("sip:{}@192.0.2.20", noise(3, 300)), ..bob() };
    let ringing = callee.answers(&mut world, &sent, 180, "");
    assert_eq!((ringing.status(), ringing.header("Contact")), (180, None));
    // The callee is told so, again when its answer comes again.
    let record = "Record-Route: <sip:one;lr>, <sip:two;lr>\r\n";
    let ok = callee.answer_text(&sent.text(), 200, record);
    callee.send(&mut world, &ok);
    let ended = world.expect(&["ACK 192.0.2.20:5060", "BYE 192.0.2.20:5060", "503 192.0.2.10:5060"]);
    for (sent, method) in ended.iter().zip(["ACK", "BYE"]) {
        assert_eq!((sent.uri(), sent.what()), (callee.contact.clone(), method.to_owned()));
        assert_eq!(sent.headers("Route"), ["<sip:two;lr>", "<sip:one;lr>"]);
        assert_eq!((sent.header("Call-ID"), sent.to_tag().as_deref()), (Some(callee.call_id.clone()), Some("of-bob")));
    }
    callee.send(&mut world, &ok);
    world.expect(&["ACK 192.0.2.20:5060", "BYE 192.0.2.20:5060"]);
    world.finish();
}

#[test]
fn more_than_any_store_takes_is_refused_with_a_reason() {
    let mut world = owned();
    let mut caller = alice();
    caller.extra.push_str(&"Record-Route: <sip:a;lr>\r\n".repeat(21));
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
    assert_eq!(world.counts.not_sealed.0[NotSealed::Routes as usize], 1);
    let mut caller = Party { call_id: "another".to_owned(), ..alice() };
    caller.own.push_str("-again");
    for at in 0..4 {
        caller.extra.push_str(&format!("Record-Route: <sip:{};lr>\r\n", noise(at, 5_000)));
    }
    assert_eq!(caller.asks(&mut world, "INVITE").status(), 503);
    assert_eq!(world.counts.not_sealed.0, [0, 1, 1, 0]);
    world.finish();
}

/// A Contact and routes of any length, at addresses that the test can answer from.
fn side(host: &'static str) -> impl Strategy<Value = (String, Vec<String>)> {
    let user = prop_oneof!["[a-z0-9]{0,20}", "[a-zA-Z0-9+_.!~*'()&=$,;?/-]{0,950}", "[0-9a-f]{200,950}",];
    let route = "[a-z]{1,8}=[a-zA-Z0-9._-]{0,60}".prop_map(|param| format!("<sip:192.0.2.99;lr;{param}>"));
    (user, proptest::collection::vec(route, 0..9)).prop_map(move |(user, routes)| {
        let user = if user.is_empty() { user } else { format!("{user}@") };
        (format!("sip:{user}{host}"), routes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever both sides call themselves by, and whatever proxies they are behind: later requests reach them by that.
    #[test]
    fn any_contacts_and_routes_work_and_every_uri_is_short(
        (caller_contact, caller_routes) in side("192.0.2.10"),
        (callee_contact, callee_routes) in side("192.0.2.20"),
        call_id in prop_oneof!["[a-z0-9@.]{1,60}", "[a-zA-Z0-9@.-]{100,600}"],
        refresh in any::<bool>(),
    ) {
        let lines = |routes: &[String]| routes.iter().map(|it| format!("Record-Route: {it}\r\n")).collect::<String>();
        let caller = Party { contact: caller_contact.clone(), call_id, ..alice() };
        let callee = Party { contact: callee_contact.clone(), ..bob() };
        let call = set_up(owned(), caller, callee, &lines(&caller_routes), &lines(&callee_routes));
        assert_short(&call);
        let Call { mut world, mut caller, mut callee, .. } = call;
        let reversed: Vec<String> = callee_routes.iter().rev().cloned().collect();
        world.restart();
        if refresh {
            // Neither names its proxies again.
            caller.routes.clear();
            callee.routes.clear();
            let hold = callee.asks(&mut world, "INVITE");
            prop_assert_eq!((hold.uri(), hold.headers("Route")), (caller_contact.clone(), caller_routes.clone()));
            prop_assert!(uri(&hold.header("Contact").unwrap()).len() <= 254);
            let text = caller.answer_text(&hold.text(), 200, "");
            world.udp(ALICE, &text);
            let ok = world.take().remove(0);
            callee.learns(&ok);
            world.restart();
            let again = caller.asks(&mut world, "INVITE");
            prop_assert_eq!((again.uri(), again.headers("Route")), (callee_contact.clone(), reversed.clone()));
            let text = callee.answer_text(&again.text(), 200, "");
            world.udp(BOB, &text);
            let ok = world.take().remove(0);
            caller.learns(&ok);
            prop_assert!(caller.target.len() <= 254 && callee.target.len() <= 254);
            world.restart();
        }
        let info = callee.asks(&mut world, "INFO");
        prop_assert_eq!((info.uri(), info.headers("Route")), (caller_contact, caller_routes));
        let bye = caller.asks(&mut world, "BYE");
        prop_assert_eq!((bye.uri(), bye.headers("Route")), (callee_contact, reversed));
    }
}
