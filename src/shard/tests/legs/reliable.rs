//! Reliable provisional answers (RFC 3262) that end at the edge, on either side.

use std::sync::Arc;

use super::super::wire::{Sent, headers, param};
use super::super::world::{ALICE, BOB, World};
use super::party::{Party, SDP, described, make_teams, speaking};
use crate::sip::Transport;
use crate::trunk::dialect::early::Reliable;

fn alice() -> Party {
    Party::new(ALICE, Transport::Udp, "alice", "200")
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

/// `teams` is the trunk of Teams, which knows nothing of 100rel.
fn world(teams: &'static str) -> World {
    speaking(move |name, trunk| {
        if name == teams {
            make_teams(trunk);
        }
    })
}

/// What goes to an address, in its order.
fn to(sent: &[Sent], addr: &str) -> Vec<Sent> {
    sent.iter().filter(|sent| sent.to.to_string() == addr).cloned().collect()
}

fn number(value: &str) -> u32 {
    value.split(' ').next().unwrap().parse().unwrap()
}

/// A callee sends a reliable answer; gives what the edge makes of it.
fn says(world: &mut World, callee: &mut Party, invite: &Sent, status: u16, rseq: u32, media: bool) -> Vec<Sent> {
    let more = format!("Require: 100rel\r\nRSeq: {rseq}\r\n");
    let text = callee.answer_text(&invite.text(), status, &more);
    callee.send(world, &if media { described(&text) } else { text });
    world.take()
}

#[test]
fn the_edge_acknowledges_what_a_carrier_wants_acknowledged() {
    let mut world = world("alice");
    let (mut caller, mut callee) = (alice(), bob());
    let invite = caller.asks(&mut world, "INVITE");
    let sent = says(&mut world, &mut callee, &invite, 183, 700, true);
    let [prack] = &to(&sent, BOB)[..] else { panic!("{sent:?}") };
    let [progress] = &to(&sent, ALICE)[..] else { panic!("{sent:?}") };
    let first = number(&invite.header("CSeq").unwrap());
    assert_eq!((prack.what().as_str(), prack.uri()), ("PRACK", callee.contact.clone()));
    assert_eq!(prack.header("RAck").unwrap(), format!("700 {first} INVITE"));
    assert_eq!(prack.header("CSeq").unwrap(), format!("{} PRACK", first + 1));
    for name in ["From", "Call-ID"] {
        assert_eq!(prack.header(name), invite.header(name));
    }
    assert_eq!(prack.to_tag().as_deref(), Some("of-bob"));
    assert_ne!(prack.via_branch(), invite.via_branch());
    assert_eq!((progress.status(), progress.header("Require"), progress.header("RSeq")), (183, None, None));
    assert!(progress.text().ends_with(SDP), "{}", progress.text());
    // A copy is absorbed while the PRACK is under way, which is sent again until it is answered.
    assert!(says(&mut world, &mut callee, &invite, 183, 700, true).is_empty());
    world.pass(500);
    assert_eq!(world.expect_one("PRACK 192.0.2.20:5060").text(), prack.text());
    world.answers(prack, &prack.answer(200, "x"));
    world.pass(3_000);
    world.expect(&[]);
    // One is missing: what comes after it counts as not received.
    assert!(says(&mut world, &mut callee, &invite, 180, 702, false).is_empty());
    let sent = says(&mut world, &mut callee, &invite, 180, 701, false);
    let [second] = &to(&sent, BOB)[..] else { panic!("{sent:?}") };
    assert_eq!(second.header("RAck").unwrap(), format!("701 {first} INVITE"));
    assert_eq!(second.header("CSeq").unwrap(), format!("{} PRACK", first + 2));
    assert_ne!(second.via_branch(), prack.via_branch());
    world.answers(second, &second.answer(200, "x"));
    // The 200 need not repeat the session description (RFC 3261 section 13.2.1), but Teams would miss it.
    let ok = callee.answer_text(&invite.text(), 200, "").replace(SDP, "").replace(&SDP.len().to_string(), "0");
    callee.send(&mut world, &ok);
    let ok = world.take().remove(0);
    assert!(ok.status() == 200 && ok.text().ends_with(SDP), "{}", ok.text());
    assert_eq!(ok.header("Content-Type").as_deref(), Some("application/sdp"));
    assert_eq!(ok.header("Content-Length").unwrap(), SDP.len().to_string());
    caller.learns(&ok);
    assert_eq!(number(&caller.asks(&mut world, "ACK").header("CSeq").unwrap()), first);
    let bye = caller.asks(&mut world, "BYE");
    assert!(number(&bye.header("CSeq").unwrap()) > first + 2, "{}", bye.text());
    assert_eq!(world.counts.pracks, 2);
}

#[test]
fn early_dialogs_are_acknowledged_each_by_itself() {
    let mut world = world("alice");
    let mut caller = alice();
    let invite = caller.asks(&mut world, "INVITE");
    let mut tags = Vec::new();
    for (tag, rseq) in [("one", 5), ("two", 90), ("one", 6)] {
        let mut callee = bob();
        callee.own = format!("<sip:b@{BOB}>;tag={tag}");
        callee.contact = format!("sip:{tag}@192.0.2.21:5070");
        let more = format!("Require: 100rel\r\nRSeq: {rseq}\r\nRecord-Route: <sip:192.0.2.22;lr>\r\n");
        let text = callee.answer_text(&invite.text(), 180, &more);
        callee.send(&mut world, &text);
        let prack = world.take().into_iter().find(|sent| sent.what() == "PRACK").expect("a PRACK");
        assert_eq!((prack.to.to_string(), prack.uri()), ("192.0.2.22:5060".to_owned(), callee.contact));
        assert_eq!(prack.headers("Route"), ["<sip:192.0.2.22;lr>"]);
        tags.push((prack.to_tag().unwrap(), number(&prack.header("CSeq").unwrap())));
        world.answers(&prack, &prack.answer(200, "x"));
    }
    let first = number(&invite.header("CSeq").unwrap());
    let wanted = [("one", first + 1), ("two", first + 1), ("one", first + 2)];
    assert_eq!(tags, wanted.map(|(tag, cseq)| (tag.to_owned(), cseq)));
}

#[test]
fn a_prack_waits_for_the_name_of_its_route() {
    let mut world = world("alice");
    let (mut caller, mut callee) = (alice(), bob());
    let invite = caller.asks(&mut world, "INVITE");
    callee.contact = "sip:b@phone.example".to_owned();
    let sent = says(&mut world, &mut callee, &invite, 180, 1, false);
    assert_eq!(to(&sent, BOB).len(), 0);
    assert_eq!(to(&sent, ALICE).len(), 1, "the caller hears of it at once");
    world.resolve(&["192.0.2.25:5060"]);
    world.expect_one("PRACK 192.0.2.25:5060");
    // Where it cannot be sent, the next copy has it sent again.
    let sent = says(&mut world, &mut callee, &invite, 180, 1, false);
    assert!(sent.is_empty());
    world.finish();
}

#[test]
fn the_edge_offers_100rel_where_it_is_told_to_end_it() {
    for (reliable, offered) in [(Reliable::End, true), (Reliable::Pass, false), (Reliable::Off, false)] {
        let mut world = speaking(|name, trunk| match name {
            "alice" => make_teams(trunk),
            "bob" => Arc::make_mut(&mut trunk.dialect).early.reliable = reliable,
            _ => {}
        });
        let invite = alice().asks(&mut world, "INVITE");
        let supported = invite.headers("Supported").concat();
        assert_eq!(supported.contains("100rel"), offered, "{reliable:?}: {supported}");
    }
}

/// A caller that requires 100rel calls Teams.
fn requiring(more: &str) -> (World, Party, Party, Sent) {
    let mut world = world("bob");
    let mut caller = alice();
    let plain = caller.extra.clone();
    caller.extra.push_str(more);
    let invite = caller.asks(&mut world, "INVITE");
    caller.extra = plain;
    assert!(!invite.text().contains("100rel"), "{}", invite.text());
    (world, caller, bob(), invite)
}

/// The caller acknowledges an answer by this RSeq; gives what the edge says.
fn acknowledges(world: &mut World, caller: &Party, answer: &Sent, rseq: u32, cseq: u32) -> Vec<Sent> {
    let mut side = caller.clone();
    side.learns(answer);
    side.cseq = cseq - 1;
    side.extra = format!("RAck: {rseq} 1 INVITE\r\n");
    let text = side.request("PRACK");
    side.send(world, &text);
    world.take()
}

fn statuses(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::what).collect()
}

fn rseq(sent: &Sent) -> u32 {
    assert_eq!(sent.header("Require").as_deref(), Some("100rel"), "{}", sent.text());
    number(&sent.header("RSeq").unwrap())
}

#[test]
fn e14_a_caller_that_requires_100rel_gets_it_from_the_edge() {
    let (mut world, mut caller, mut callee, invite) = requiring("Require: 100rel\r\n");
    let text = callee.answer_text(&invite.text(), 180, "");
    callee.send(&mut world, &text);
    let ringing = world.expect_one("180 192.0.2.10:5060");
    let first = rseq(&ringing);
    assert!((1..1 << 31).contains(&first));
    // It is sent again until its PRACK comes, and nothing else is sent before.
    world.pass(1_600);
    let copies = world.expect(&["180 192.0.2.10:5060", "180 192.0.2.10:5060"]);
    assert_eq!(copies[0].text(), ringing.text());
    let progress = described(&callee.answer_text(&invite.text(), 183, ""));
    callee.send(&mut world, &progress);
    world.expect(&[]);
    for (rack, cseq, wanted) in [(first + 1, 2, &["481"][..]), (first, 3, &["200", "183"]), (first, 3, &["200"])] {
        let sent = acknowledges(&mut world, &caller, &ringing, rack, cseq);
        assert_eq!(statuses(&sent), wanted, "{rack} {cseq}");
        if let Some(progress) = sent.get(1) {
            assert_eq!(rseq(progress), first + 1);
            assert!(progress.text().ends_with(SDP));
        }
    }
    // The 200 waits until the session description before it is acknowledged, and its copies are absorbed.
    let ok = callee.answer_text(&invite.text(), 200, "");
    for _ in 0..2 {
        callee.send(&mut world, &ok);
        world.expect(&[]);
    }
    let sent = acknowledges(&mut world, &caller, &ringing, first + 1, 4);
    assert_eq!(statuses(&sent), ["200", "200"]);
    assert_eq!(sent[0].header("CSeq").as_deref(), Some("4 PRACK"));
    caller.learns(&sent[1]);
    assert_eq!(caller.asks(&mut world, "ACK").what(), "ACK");
    assert_eq!(statuses(&acknowledges(&mut world, &caller, &ringing, first + 1, 5)), ["481"]);
    caller.cseq = 9;
    caller.agrees_with(&mut world, &mut callee, "BYE");
    world.finish();
}

#[test]
fn a_2xx_does_not_wait_for_an_answer_without_a_session_description() {
    let (mut world, caller, mut callee, invite) = requiring("Require: 100rel\r\n");
    let text = callee.answer_text(&invite.text(), 180, "");
    callee.send(&mut world, &text);
    let ringing = world.expect_one("180 192.0.2.10:5060");
    let ok = callee.answers(&mut world, &invite, 200, "");
    assert_eq!(ok.status(), 200);
    world.pass(1_000);
    world.expect(&[]);
    // A late PRACK still counts (RFC 3262 section 3).
    assert_eq!(statuses(&acknowledges(&mut world, &caller, &ringing, rseq(&ringing), 2)), ["200"]);
}

#[test]
fn a_caller_that_never_acknowledges_is_refused() {
    for answered in [false, true] {
        let (mut world, _, mut callee, invite) = requiring("Require: 100rel\r\n");
        let progress = described(&callee.answer_text(&invite.text(), 183, ""));
        callee.send(&mut world, &progress);
        let ok = callee.answer_text(&invite.text(), 200, "");
        if answered {
            callee.send(&mut world, &ok);
        }
        world.take();
        world.pass(31_900);
        assert!(world.take().iter().all(|sent| sent.status() == 183));
        world.pass(200);
        let sent = world.take();
        let to_callee = statuses(&to(&sent, BOB));
        assert_eq!(to_callee, if answered { &["ACK", "BYE"][..] } else { &["CANCEL"] });
        assert_eq!(statuses(&to(&sent, ALICE)), ["504"]);
        // Whoever answers too late is hung up on.
        if !answered {
            callee.send(&mut world, &ok);
            assert_eq!(statuses(&to(&world.take(), BOB)), ["ACK", "BYE"]);
        }
        assert_eq!(world.counts.unacknowledged, 1);
        world.finish();
    }
}

#[test]
fn a_cancel_while_the_2xx_waits_finds_the_call_answered() {
    let (mut world, mut caller, mut callee, invite) = requiring("Require: 100rel\r\n");
    let progress = described(&callee.answer_text(&invite.text(), 183, ""));
    callee.send(&mut world, &progress);
    let text = callee.answer_text(&invite.text(), 200, "");
    callee.send(&mut world, &text);
    world.take();
    let cancel = caller.request("CANCEL").replace("1CANCEL", "1INVITE");
    caller.send(&mut world, &cancel);
    assert_eq!(statuses(&world.take()), ["200", "200"]);
}

#[test]
fn supporting_100rel_is_enough_where_the_edge_is_told_to_end_it() {
    for (reliable, wanted) in [(Reliable::End, true), (Reliable::Pass, false)] {
        let mut world = speaking(|name, trunk| match name {
            "alice" => Arc::make_mut(&mut trunk.dialect).early.reliable = reliable,
            "bob" => make_teams(trunk),
            _ => {}
        });
        let (mut caller, mut callee) = (alice(), bob());
        caller.extra.push_str("Supported: 100rel\r\n");
        let invite = caller.asks(&mut world, "INVITE");
        let ringing = callee.answers(&mut world, &invite, 180, "");
        assert_eq!(headers(&ringing.text(), "RSeq").len(), usize::from(wanted), "{reliable:?}");
    }
}

#[test]
fn both_sides_may_be_acknowledged_at_once() {
    let mut world = speaking(|name, trunk| {
        if name == "bob" {
            Arc::make_mut(&mut trunk.dialect).early.reliable = Reliable::End;
        }
    });
    let (mut caller, mut callee) = (alice(), bob());
    caller.extra.push_str("Require: 100rel\r\n");
    let invite = caller.asks(&mut world, "INVITE");
    let sent = says(&mut world, &mut callee, &invite, 183, 7, true);
    let (near, far) = (to(&sent, ALICE), to(&sent, BOB));
    assert_ne!(rseq(&near[0]), 7);
    assert_eq!(param(&near[0].header("To").unwrap(), "tag").as_deref(), Some("of-bob"));
    assert_eq!(far[0].what(), "PRACK");
    caller.extra.clear();
    assert_eq!(statuses(&acknowledges(&mut world, &caller, &near[0], rseq(&near[0]), 2)), ["200"]);
}

#[test]
fn a_prack_for_nothing_goes_no_further_where_100rel_ends() {
    let (mut world, caller, mut callee, invite) = requiring("");
    let ringing = callee.answers(&mut world, &invite, 180, "");
    assert_eq!(ringing.header("RSeq"), None);
    let sent = acknowledges(&mut world, &caller, &ringing, 1, 2);
    assert_eq!(statuses(&sent), ["481"]);
}
