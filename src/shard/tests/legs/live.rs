//! Calls that are up: learned from what passes, dropped when they end, learned again after a restart.

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB, CARL, World, own_all_legs};
use super::party::{Call, Party, SDP, owned, set_up};
use crate::call::live::{End, LiveCall, LiveLeg};
use crate::call::record::Outcome;
use crate::sip::Transport;
use crate::trunk::dialect::session::Timer;

const OFFER: &str = "v=0\r\no=- 7 7 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n";
const SAYS: &str = "Allow: INVITE, ACK,BYE , UPDATE,NOTIFY\r\nAllow: REFER, INFO\r\nSupported: timer, 100rel\r\n";

fn alice(called: &str) -> Party {
    Party::new(ALICE, Transport::Udp, "alice", called)
}

fn callee_of(called: &str) -> Party {
    match called {
        "200" => Party::new(BOB, Transport::Udp, "bob", ""),
        _ => Party::new(CARL, Transport::Tcp, "carl", ""),
    }
}

pub(super) fn call(called: &str) -> Call {
    set_up(owned(), alice(called), callee_of(called), SAYS, "")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The leg is the dialog that its peer has with the edge.
#[track_caller]
fn is_leg_of(leg: &LiveLeg, party: &Party) {
    assert_eq!(text(&leg.call_id), party.call_id);
    let tag = |value: &str| super::super::wire::param(value, "tag").unwrap();
    assert_eq!((text(leg.peer_tag()), text(leg.own_tag())), (tag(&party.own), tag(&party.other)));
    assert_eq!(text(&leg.target), party.contact);
}

#[track_caller]
fn is_call_of(call: &LiveCall, caller: &Party, callee: &Party) {
    is_leg_of(call.leg(End::Caller), caller);
    is_leg_of(call.leg(End::Callee), callee);
}

#[test]
fn a_call_is_known_once_it_is_up_and_not_before() {
    let mut world = owned();
    let mut caller = alice("200");
    caller.extra.push_str(SAYS);
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = callee_of("200");
    caller.learns(&callee.answers(&mut world, &sent, 183, ""));
    assert_eq!(world.calls().len(), 0);
    let ok = callee.answers(&mut world, &sent, 200, "Record-Route: <sip:192.0.2.22;lr>, <sip:192.0.2.23;lr>\r\n");
    caller.learns(&ok);
    let call = world.live();
    is_call_of(call, &caller, &callee);
    let (one, other) = (call.leg(End::Caller), call.leg(End::Callee));
    assert_eq!((one.trunk(&world.edge).unwrap().name.as_ref(), one.site), ("alice", None));
    assert_eq!(other.trunk(&world.edge).unwrap().name.as_ref(), "bob");
    assert_eq!(
        (text(&one.routes), text(&other.routes)),
        (String::new(), "<sip:192.0.2.23;lr>, <sip:192.0.2.22;lr>".to_owned())
    );
    assert_eq!((text(&one.sdp), text(&other.sdp)), (SDP.to_owned(), SDP.to_owned()));
    assert_eq!((one.heard_cseq, one.sent_cseq, other.heard_cseq, other.sent_cseq), (1, 0, 0, 256));
    let knows = |leg: &LiveLeg| ["UPDATE", "REFER", "PRACK"].map(|method| leg.allows.has(method.as_bytes()));
    assert_eq!((knows(one), knows(other)), ([true, true, false], [false; 3]));
    assert_eq!((one.supports.timer, one.supports.rel100, one.supports.replaces), (true, true, false));
    assert!(!call.relearned && call.tenant.is_none());
    assert_eq!(text(&one.own), text(format!("{};tag=of-bob", "<sip:200@192.0.2.1>").as_bytes()));
}

#[test]
fn a_call_is_forgotten_when_either_side_hangs_up() {
    for called in ["200", "300"] {
        for caller_ends in [true, false] {
            let Call { mut world, mut caller, mut callee, .. } = call(called);
            world.pass(90_000);
            let (from, to) = if caller_ends { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
            from.extra.push_str("Reason: Q.850;cause=16;text=\"done\"\r\n");
            let sent = from.asks(&mut world, "BYE");
            assert_eq!(world.calls().len(), 0);
            let text = to.answer_text(&sent.text(), 200, "");
            to.send(&mut world, &text);
            let [record] = &world.records[..] else { panic!("{:?}", world.records) };
            let end = if caller_ends { End::Caller } else { End::Callee };
            assert_eq!(
                (record.outcome, record.status, &*record.call_id),
                (Outcome::HungUp(end), 200, &*caller.call_id)
            );
            assert_eq!(record.lasted.map(|lasted| lasted.as_secs()), Some(90));
            assert_eq!(&*record.reason, "Q.850;cause=16;text=\"done\"");
            let name = if called == "200" { "bob" } else { "carl" };
            assert_eq!((&*record.from.trunk, &*record.to.as_ref().unwrap().trunk), ("alice", name));
            world.finish_without_calls();
        }
    }
}

/// Copies of the 2xx come as long as 32 s after the first, and the BYE may come before them.
#[test]
fn late_copies_bring_no_call_to_life() {
    let Call { mut world, mut caller, mut callee, seen } = call("200");
    let ok = callee.clone().answer_text(&seen[0].text(), 200, "");
    for _ in 0..2 {
        callee.send(&mut world, &ok);
        assert_eq!(world.calls().len(), 1);
    }
    world.take();
    caller.agrees_with(&mut world, &mut callee, "BYE");
    for millis in [0, 10_000, 15_000] {
        world.pass(millis);
        callee.send(&mut world, &ok);
        assert_eq!(world.calls().len(), 0, "after {millis} ms");
    }
    world.finish_without_calls();
}

/// The BYE of an impatient callee overtakes its 200.
#[test]
fn a_bye_before_its_2xx_leaves_no_call() {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = callee_of("200");
    let ok = callee.answer_text(&sent.text(), 200, "");
    let bye = callee.asks(&mut world, "BYE");
    assert_eq!((bye.what().as_str(), bye.to), ("BYE", ALICE.parse().unwrap()));
    callee.send(&mut world, &ok);
    assert_eq!(world.take().iter().filter(|sent| sent.status() == 200).count(), 1);
    world.finish_without_calls();
}

#[test]
fn what_passes_inside_the_call_is_noted() {
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), alice("200"), callee_of("200"), SAYS, "");
    caller.contact = format!("sip:alice-moved@{ALICE}");
    caller.extra.push_str("Allow: INVITE, INFO, UPDATE\r\n");
    caller.agrees_with(&mut world, &mut callee, "INVITE");
    is_call_of(world.live(), &caller, &callee);
    callee.contact = format!("sip:bob-moved@{BOB}");
    callee.agrees_with(&mut world, &mut caller, "UPDATE");
    is_call_of(world.live(), &caller, &callee);
    assert!(world.live().leg(End::Caller).allows.has(b"INFO") && !world.live().leg(End::Caller).allows.has(b"REFER"));
    callee.agrees_with(&mut world, &mut caller, "INFO");
    let call = world.live();
    assert_eq!((call.leg(End::Caller).heard_cseq, call.leg(End::Callee).heard_cseq), (2, 2));
    assert_eq!((call.leg(End::Caller).sent_cseq, call.leg(End::Callee).sent_cseq), (512, 512));
    // What is refused changes nothing.
    let target = callee.target.clone();
    caller.contact = format!("sip:alice-refused@{ALICE}");
    let sent = caller.asks(&mut world, "INVITE");
    assert!(world.live().has_offer_under_way());
    let refused = callee.answers(&mut world, &sent, 488, "");
    assert_eq!(refused.status(), 488);
    assert_eq!(text(&world.live().leg(End::Caller).target), format!("sip:alice-moved@{ALICE}"));
    assert!(!world.live().has_offer_under_way());
    callee.target = target;
    callee.agrees_with(&mut world, &mut caller_at(&caller, "alice-moved"), "BYE");
    world.finish_without_calls();
}

fn caller_at(caller: &Party, user: &str) -> Party {
    Party { contact: format!("sip:{user}@{ALICE}"), ..caller.clone() }
}

#[test]
fn the_answer_may_come_in_the_ack() {
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), alice("200"), callee_of("200"), "", "");
    let offerless = caller
        .request("INVITE")
        .replace(SDP, "")
        .replace(&format!("Content-Length: {}", SDP.len()), "Content-Length: 0");
    caller.send(&mut world, &offerless);
    let sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").unwrap();
    caller.learns(&callee.answers(&mut world, &sent, 200, ""));
    let ack = caller.request("ACK").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}", OFFER.len()),
    );
    caller.send(&mut world, &ack);
    assert_eq!(world.expect_one("ACK 192.0.2.20:5060").header("CSeq").as_deref(), Some("512 ACK"));
    assert_eq!(text(&world.live().leg(End::Caller).sdp), OFFER);
    caller.agrees_with(&mut world, &mut callee, "BYE");
    world.finish_without_calls();
}

#[test]
fn a_call_is_learned_again_after_a_restart() {
    for called in ["200", "300"] {
        for caller_asks in [true, false] {
            let Call { mut world, mut caller, mut callee, .. } =
                set_up(owned(), alice(called), callee_of(called), SAYS, "");
            let before = world.live().clone();
            world.restart();
            assert_eq!(world.calls().len(), 0);
            let (from, to) = if caller_asks { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
            // Nothing but an INVITE tells all that there is to know.
            from.agrees_with(&mut world, to, "UPDATE");
            assert_eq!(world.calls().len(), 0);
            from.agrees_with(&mut world, to, "INVITE");
            let call = world.live();
            assert!(call.relearned);
            is_call_of(call, &caller, &callee);
            assert_eq!(
                (call.key, call.leg, call.side(End::Caller)),
                (before.key, before.leg, before.side(End::Caller))
            );
            for end in End::BOTH {
                let (leg, old) = (call.leg(end), before.leg(end));
                assert_eq!((leg.mark, leg.site, leg.listener), (old.mark, old.site, old.listener));
                let names = |leg: &LiveLeg| {
                    [&leg.own, &leg.peer].map(|value| {
                        let value = crate::sip::NameAddr::parse(value).unwrap();
                        (value.uri().unwrap().user.map(text), text(value.tag().unwrap()))
                    })
                };
                assert_eq!(names(leg), names(old));
                // Its version has grown meanwhile.
                let said = |leg: &LiveLeg| text(&leg.sdp).split_once("s=-").map(|(_, rest)| rest.to_owned());
                assert_eq!((&leg.routes, said(leg)), (&old.routes, said(old)));
            }
            caller.agrees_with(&mut world, &mut callee, "BYE");
            assert!(world.records[0].relearned);
            world.finish_without_calls();
        }
    }
}

#[test]
fn several_phones_that_answer_are_several_calls() {
    let mut world = owned();
    let mut caller = alice("200");
    caller.extra.push_str(SAYS);
    let sent = caller.asks(&mut world, "INVITE");
    let mut sides = Vec::new();
    for tag in ["", "-b", "-c"] {
        let mut phone = callee_of("200");
        phone.own.push_str(tag);
        phone.contact = phone.contact.replace('@', &format!("{tag}@"));
        let ok = phone.answers(&mut world, &sent, 200, "");
        let mut side = Party { cseq: caller.cseq + 10 * sides.len() as u32, ..caller.clone() };
        side.learns(&ok);
        sides.push((side, phone));
    }
    assert_eq!(world.calls().len(), 3);
    for (side, phone) in &sides {
        let calls = world.calls();
        let call = calls.iter().find(|call| text(&call.leg(End::Callee).target) == phone.contact).unwrap();
        is_leg_of(call.leg(End::Callee), phone);
        is_leg_of(call.leg(End::Caller), &Party { cseq: 1, ..side.clone() });
        assert_eq!(text(&call.leg(End::Caller).sdp), SDP);
        assert_eq!(call.leg(End::Callee).sent_cseq, 256);
    }
    for (side, phone) in &mut sides {
        side.agrees_with(&mut world, phone, "BYE");
    }
    world.finish_without_calls();
}

#[test]
fn a_call_that_does_not_fit_is_not_remembered_and_goes_on() {
    let mut world = World::with(own_all_legs, 1_000);
    world.remember_at_most(1);
    let Call { mut world, mut caller, mut callee, .. } = set_up(world, alice("200"), callee_of("200"), "", "");
    let second = Party { call_id: "second".to_owned(), ..alice("200") };
    let Call { mut world, caller: mut one, callee: mut other, .. } = {
        callee.agrees_with(&mut world, &mut caller, "INVITE");
        set_up(world, second, callee_of("200"), "", "")
    };
    assert_eq!((world.calls().len(), world.counts.calls_not_remembered), (1, 1));
    one.agrees_with(&mut world, &mut other, "INFO");
    // What is still known of it is told at its end.
    one.agrees_with(&mut world, &mut other, "BYE");
    assert_eq!((world.records.len(), world.records[0].relearned), (1, true));
    caller.agrees_with(&mut world, &mut callee, "BYE");
    assert_eq!((world.records.len(), world.records[1].relearned), (2, false));
    world.finish_without_calls();
}

#[test]
fn a_call_that_nobody_speaks_of_is_forgotten_when_its_tokens_are_too_old() {
    // Otherwise the edge would find out by itself that both are gone.
    let world = World::with(
        |edge| {
            own_all_legs(edge);
            for trunk in &mut std::sync::Arc::make_mut(&mut edge.trunks).0 {
                std::sync::Arc::make_mut(&mut trunk.dialect).session.timer = Timer::Off;
            }
        },
        1_000,
    );
    let Call { mut world, .. } = set_up(world, alice("200"), callee_of("200"), "", "");
    let age = world.edge.seal_max_age.as_millis() as u64;
    world.pass(age - 1_000);
    assert_eq!(world.calls().len(), 1);
    world.pass(1_300_000);
    assert_eq!(world.calls().len(), 0);
    assert_eq!(world.records[0].outcome, Outcome::Forgotten);
    world.finish_without_calls();
}

/// A call that leaves the edge and comes back in is two calls, with their legs in one shard.
#[test]
fn all_legs_of_a_call_fall_to_one_shard() {
    let Call { mut world, caller, callee, .. } = call("200");
    let secrets = world.secrets().clone();
    let mut ids = vec![caller.call_id.clone(), callee.call_id.clone()];
    for pass in 1..crate::call::owned::MAX_PASSES {
        let mut next = Vec::new();
        let near = ids.last().unwrap().as_bytes();
        secrets.ring.seal_call_id(secrets.ring.current(), near, pass, &mut next).unwrap();
        ids.push(text(&next));
    }
    for count in [2, 4, 64, 256] {
        let shards: Vec<_> = ids.iter().map(|id| secrets.shard_of(id.as_bytes(), count)).collect();
        assert!(shards.iter().all(|shard| *shard == shards[0]), "{shards:?}");
    }
    // What is only like one of the edge's is taken as it is.
    let mut altered = callee.call_id.clone();
    altered.pop();
    let all: std::collections::BTreeSet<_> =
        (0..50).map(|number| secrets.shard_of(format!("{altered}{number}").as_bytes(), 4)).collect();
    assert_eq!(all.len(), 4);
    world.take();
    world.finish();
}

#[test]
fn a_call_takes_less_than_two_kibibytes() {
    let line = "a=candidate:1 1 UDP 2130706431 203.0.113.5 51000 typ host\r\n".repeat(6);
    let sdp = format!("{SDP}{}", &line[..400 - SDP.len()]);
    assert_eq!(sdp.len(), 400);
    let mut world = owned();
    let mut caller = alice("200");
    let with = |text: String| {
        text.replace(
            &format!("Content-Length: {}\r\n\r\n{SDP}", SDP.len()),
            &format!("Content-Length: 400\r\n\r\n{sdp}"),
        )
    };
    let invite = with(caller.request("INVITE"));
    caller.send(&mut world, &invite);
    let sent: Sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").unwrap();
    let mut callee = callee_of("200");
    callee.contact = "sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i=b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d;x-c=c0ffee11c0ffee22c0ffee33c0ffee4d/s/1/0123456789abcdef".to_owned();
    let ok = with(callee.answer_text(
        &sent.text(),
        200,
        "Record-Route: <sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>\r\n",
    ));
    callee.send(&mut world, &ok);
    let call = world.live();
    assert_eq!([call.leg(End::Caller).sdp.len(), call.leg(End::Callee).sdp.len()], [400, 400]);
    assert!(call.heap_bytes() <= 2_048, "{} of which {}", call.heap_bytes(), size_of::<LiveCall>());
    println!("a live call: {} bytes, {} of them without texts", call.heap_bytes(), size_of::<LiveCall>());
}
