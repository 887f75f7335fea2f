//! Session timers that end at the edge (RFC 4028), and what the edge answers in the place of a side that does not know
//! what it is asked.

use std::sync::Arc;

use super::super::wire::{Sent, headers};
use super::super::world::{ALICE, BOB, World, own_all_legs};
use super::party::{Call, Party, SDP, set_up, uri};
use crate::call::Edge;
use crate::sip::Transport;
use crate::trunk::{Dialect, TrunkKind};

const TIMER: &str = "Supported: timer\r\n";
/// What a PBX says that knows all that the edge does.
const PBX: &str = "Supported: timer\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE, INFO\r\n";
const TEAMS: &str = "ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n";

/// A description that is not the first of its phone.
fn later(version: u32) -> String {
    SDP.replace("o=- 1 1 ", &format!("o=- 1 {version} ")).replace("s=-\r\n", "s=-\r\nb=AS:64\r\n") + "a=later\r\n"
}

/// A world in which `bob` is Teams.
fn with_teams() -> World {
    world(|edge| {
        let trunks = &mut Arc::make_mut(&mut edge.trunks).0;
        let bob = trunks.iter_mut().find(|trunk| &*trunk.name == "bob").expect("a trunk");
        bob.kind = TrunkKind::Teams;
        bob.dialect = Arc::new(Dialect::of_kind(TrunkKind::Teams));
    })
}

fn world(change: impl FnOnce(&mut Edge)) -> World {
    let change = |edge: &mut Edge| {
        own_all_legs(edge);
        change(edge);
    };
    World::with(change, 1_000)
}

fn alice() -> Party {
    Party::new(ALICE, Transport::Udp, "alice", "200")
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

/// A call of `alice`, a PBX, to `bob`; `bob` answers with these lines.
fn call(world: World, invite: &str, answer: &str) -> Call {
    set_up(world, alice(), bob(), invite, answer)
}

/// The body of a message.
fn body(sent: &Sent) -> String {
    sent.text().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn one(sent: &Sent, name: &str) -> String {
    headers(&sent.text(), name).join(" | ")
}

/// A party asks and is answered by the edge; the other side hears nothing.
#[track_caller]
fn is_answered(world: &mut World, party: &mut Party, text: &str, status: u16) -> Sent {
    party.send(world, text);
    let mut sent = world.take();
    sent.retain(|sent| sent.status() != 100);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let answer = sent.remove(0);
    assert_eq!((answer.status(), answer.to), (status, party.addr.parse().unwrap()), "{}", answer.text());
    answer
}

/// It acknowledges an answer of the edge's, which nobody else hears of.
#[track_caller]
fn acknowledges(world: &mut World, party: &mut Party, body: &str) {
    let ack = party.request_with("ACK", body);
    party.send(world, &ack);
}

/// A party answers a request of the edge's own; gives what the edge sends then.
#[track_caller]
fn replies(world: &mut World, party: &mut Party, request: &Sent, status: u16, more: &str) -> Vec<Sent> {
    assert_eq!(request.to, party.addr.parse().unwrap(), "{}", request.text());
    let text = party.answer_text(&request.text(), status, more);
    party.send(world, &text);
    world.take()
}

fn whats(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| format!("{} {}", sent.what(), sent.to)).collect()
}

#[test]
fn e21_each_side_negotiates_with_the_edge_alone() {
    let asks = "Supported: timer, 100rel\r\nSession-Expires: 3600\r\nMin-SE: 300\r\n";
    let agrees = "Require: timer\r\nSession-Expires: 1200;refresher=uas\r\n";
    let Call { seen, world, .. } = call(world(|_| {}), asks, agrees);
    let [invite, ringing, ok, _] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((one(invite, "Session-Expires"), one(invite, "Min-SE")), ("1800;refresher=uas".into(), "90".into()));
    assert!(one(invite, "Supported").ends_with("timer") && one(invite, "Supported").matches("timer").count() == 1);
    assert_eq!((one(ringing, "Session-Expires"), one(ringing, "Require")), (String::new(), String::new()));
    // The caller left it open who refreshes: it does.
    assert_eq!((one(ok, "Session-Expires"), one(ok, "Require")), ("3600;refresher=uac".into(), "timer".into()));
    assert_eq!(one(ok, "Min-SE"), "");
    drop(world);
}

#[test]
fn e21_a_refresh_stays_on_its_side() {
    let Call { mut world, mut caller, mut callee, .. } = call(world(|_| {}), PBX, PBX);
    for _ in 0..3 {
        for of_caller in [true, false] {
            let (party, other) = if of_caller { (&mut caller, &callee) } else { (&mut callee, &caller) };
            party.extra = format!("{PBX}Session-Expires: 1800;refresher=uac\r\n");
            let text = party.request_with("INVITE", SDP);
            let ok = is_answered(&mut world, party, &text, 200);
            assert_eq!((one(&ok, "Session-Expires"), body(&ok)), ("1800;refresher=uac".into(), SDP.into()));
            assert_eq!(one(&ok, "Content-Type"), "application/sdp");
            party.learns(&ok);
            acknowledges(&mut world, party, "");
            assert_eq!(whats(&world.take()), [""; 0]);
            let text = party.request_with("UPDATE", "");
            let ok = is_answered(&mut world, party, &text, 200);
            assert_eq!((one(&ok, "Session-Expires"), body(&ok)), ("1800;refresher=uac".into(), String::new()));
            party.learns(&ok);
            party.extra = PBX.to_owned();
            assert!(!other.target.is_empty());
        }
    }
    // The Contacts that the edge gave lead on.
    caller.agrees_with(&mut world, &mut callee, "INVITE");
    callee.agrees_with(&mut world, &mut caller, "INVITE");
    world.restart();
    callee.agrees_with(&mut world, &mut caller, "INFO");
    caller.agrees_with(&mut world, &mut callee, "BYE");
}

#[test]
fn what_says_something_new_goes_to_the_other_side() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    for of_caller in [true, false] {
        let (party, other) = if of_caller { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
        // A new version, the same version that says something else (some phones hold so), and another Contact.
        for description in [later(2), later(2) + "a=more\r\n"] {
            let text = party.request_with("INVITE", &description);
            party.send(&mut world, &text);
            let sent = world.take().pop().unwrap();
            assert_eq!((sent.what().as_str(), sent.to), ("INVITE", other.addr.parse().unwrap()), "{}", sent.text());
            let back = other.answers(&mut world, &sent, 200, "");
            party.learns(&back);
            party.asks(&mut world, "ACK");
        }
        let text = party.request_with("INVITE", &(later(2) + "a=more\r\n"));
        is_answered(&mut world, party, &text, 200);
        acknowledges(&mut world, party, "");
        party.contact = party.contact.replace("sip:", "sip:moved-");
        let text = party.request_with("INVITE", &(later(2) + "a=more\r\n"));
        party.send(&mut world, &text);
        let sent = world.take().pop().unwrap();
        assert_eq!(sent.what(), "INVITE");
        let back = other.answers(&mut world, &sent, 200, "");
        party.learns(&back);
        party.asks(&mut world, "ACK");
    }
}

/// After a restart the edge does not know the call: the first refresh passes, and the next ones do not.
#[test]
fn a_call_that_is_not_known_any_more_is_learned_from_its_refresh() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    world.restart();
    let mut update = caller.request_with("UPDATE", "");
    update = update.replace(TIMER, "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n");
    let target = caller.target.clone();
    let ok = is_answered(&mut world, &mut caller, &update, 200);
    // Its Contact is the one that the caller has already.
    assert_eq!((uri(&one(&ok, "Contact")), one(&ok, "Session-Expires")), (target, String::new()));
    let text = caller.request_with("INVITE", SDP);
    caller.send(&mut world, &text);
    let sent = world.take().pop().unwrap();
    assert_eq!((sent.what().as_str(), sent.to), ("INVITE", BOB.parse().unwrap()));
    let back = callee.answers(&mut world, &sent, 200, "");
    caller.learns(&back);
    caller.asks(&mut world, "ACK");
    let text = caller.request_with("INVITE", SDP);
    is_answered(&mut world, &mut caller, &text, 200);
}

#[test]
fn e21_the_edge_refreshes_teams_by_re_invite() {
    let agrees = format!("{TEAMS}Require: timer\r\nSession-Expires: 3600;refresher=uac\r\n");
    let Call { mut world, mut callee, seen, .. } = call(with_teams(), "", &agrees);
    let cseq = |sent: &Sent| one(sent, "CSeq").split(' ').next().unwrap().parse::<u32>().unwrap();
    let mut last = cseq(&seen[0]);
    for _ in 0..3 {
        world.pass(1_799_000);
        assert_eq!(whats(&world.take()), [""; 0]);
        world.pass(1_000);
        let refresh = world.expect_one(&format!("INVITE {BOB}"));
        assert_eq!((body(&refresh), one(&refresh, "Content-Type")), (SDP.into(), "application/sdp".into()));
        assert_eq!(
            (one(&refresh, "Session-Expires"), one(&refresh, "Min-SE")),
            ("3600;refresher=uac".into(), "90".into())
        );
        assert_eq!((refresh.uri(), one(&refresh, "To")), (callee.contact.clone(), callee.own.clone()));
        assert!(cseq(&refresh) > last && cseq(&refresh) < 512, "{last} {}", one(&refresh, "CSeq"));
        last = cseq(&refresh);
        let sent = replies(&mut world, &mut callee, &refresh, 200, &agrees);
        assert_eq!(whats(&sent), [format!("ACK {BOB}")]);
        assert_eq!(cseq(&sent[0]), last);
        assert_eq!(callee.target, uri(&one(&refresh, "Contact")));
    }
    // The Contact of the last refresh leads to the caller.
    let bye = callee.asks(&mut world, "BYE");
    assert_eq!((bye.what().as_str(), bye.to), ("BYE", ALICE.parse().unwrap()));
}

#[test]
fn the_edge_refreshes_a_pbx_by_update_unless_it_takes_none() {
    let asks = format!("{PBX}Session-Expires: 600;refresher=uas\r\n");
    let Call { mut world, mut caller, .. } = call(with_teams(), &asks, TEAMS);
    world.pass(300_000);
    let refresh = world.expect_one(&format!("UPDATE {ALICE}"));
    assert_eq!((body(&refresh), one(&refresh, "Session-Expires")), (String::new(), "600;refresher=uac".into()));
    let sent =
        replies(&mut world, &mut caller, &refresh, 200, "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n");
    assert_eq!(whats(&sent), [""; 0]);
    world.pass(300_000);
    let refresh = world.expect_one(&format!("UPDATE {ALICE}"));
    // It does not take it after all: a re-INVITE goes out at once, and from then on.
    let sent = replies(&mut world, &mut caller, &refresh, 405, "");
    assert_eq!(whats(&sent), [format!("INVITE {ALICE}")]);
    assert_eq!(body(&sent[0]), SDP);
    let sent = replies(&mut world, &mut caller, &sent[0], 200, "Session-Expires: 600;refresher=uac\r\n");
    assert_eq!(whats(&sent), [format!("ACK {ALICE}")]);
    world.pass(300_000);
    world.expect_one(&format!("INVITE {ALICE}"));
}

/// Both sides are hung up on, and told why.
#[track_caller]
fn is_cleared(world: &mut World, cause: &str) {
    let sent = world.take();
    let byes: Vec<_> = sent.iter().filter(|sent| sent.what() == "BYE").collect();
    let mut to: Vec<_> = byes.iter().map(|bye| bye.to.to_string()).collect();
    to.sort();
    to.dedup();
    assert_eq!(to, [ALICE, BOB], "{sent:?}");
    for bye in byes {
        assert!(one(bye, "Reason").starts_with(cause), "{}", bye.text());
    }
}

#[test]
fn a_side_that_does_not_answer_the_refresh_is_dead() {
    let agrees = format!("{TEAMS}Session-Expires: 600;refresher=uac\r\n");
    for status in [0, 408, 481] {
        let Call { mut world, mut callee, .. } = call(with_teams(), PBX, &agrees);
        world.pass(300_000);
        let refresh = world.expect_one(&format!("INVITE {BOB}"));
        if status == 0 {
            world.pass(31_900);
            assert!(world.take().iter().all(|sent| sent.what() == "INVITE"));
            world.pass(200);
        } else {
            let text = callee.answer_text(&refresh.text(), status, "");
            callee.send(&mut world, &text);
        }
        is_cleared(&mut world, "SIP;cause=408");
    }
}

#[test]
fn a_side_that_is_to_refresh_and_does_not_is_dead() {
    let agrees = format!("{TEAMS}Session-Expires: 600;refresher=uas\r\n");
    let Call { mut world, mut callee, .. } = call(with_teams(), PBX, &agrees);
    world.pass(500_000);
    callee.extra.push_str("Session-Expires: 600;refresher=uac\r\nSupported: timer\r\n");
    let text = callee.request_with("INVITE", SDP);
    is_answered(&mut world, &mut callee, &text, 200);
    acknowledges(&mut world, &mut callee, "");
    world.pass(567_900);
    assert_eq!(whats(&world.take()), [""; 0]);
    world.pass(200);
    is_cleared(&mut world, "SIP;cause=408");
}

#[test]
fn a_refresh_that_crosses_another_request_is_tried_again() {
    let agrees = format!("{TEAMS}Session-Expires: 600;refresher=uac\r\n");
    let Call { mut world, mut callee, .. } = call(with_teams(), PBX, &agrees);
    world.pass(300_000);
    let refresh = world.expect_one(&format!("INVITE {BOB}"));
    let sent = replies(&mut world, &mut callee, &refresh, 491, "");
    assert_eq!(whats(&sent), [format!("ACK {BOB}")]);
    // The edge began this leg: RFC 3261 section 14.1.
    world.pass(2_090);
    assert_eq!(whats(&world.take()), [""; 0]);
    world.pass(1_920);
    let refresh = world.take().remove(0);
    assert_eq!(refresh.what(), "INVITE");
    let sent = replies(&mut world, &mut callee, &refresh, 200, &agrees);
    assert_eq!(whats(&sent), [format!("ACK {BOB}")]);
}

#[test]
fn nothing_passes_to_a_side_while_the_edge_refreshes_it() {
    let agrees = format!("{TEAMS}Session-Expires: 600;refresher=uac\r\n");
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, &agrees);
    world.pass(300_000);
    let refresh = world.expect_one(&format!("INVITE {BOB}"));
    for party in [&mut caller, &mut callee] {
        let text = party.request_with("INVITE", &later(2));
        is_answered(&mut world, party, &text, 491);
        let ack = party.request("ACK").replace("ACK\r\nMax", "INVITE\r\nMax");
        party.send(&mut world, &ack);
    }
    let text = caller.request_with("UPDATE", &later(3));
    is_answered(&mut world, &mut caller, &text, 491);
    replies(&mut world, &mut callee, &refresh, 200, &agrees);
    let text = caller.request_with("INVITE", &later(4));
    caller.send(&mut world, &text);
    assert_eq!(world.take().pop().unwrap().what(), "INVITE");
}

/// What a refresh brings to light goes to the other side, and no further.
#[test]
fn an_answer_to_a_refresh_that_says_something_new_is_passed_on() {
    let agrees = format!("{TEAMS}Session-Expires: 600;refresher=uac\r\n");
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, &agrees);
    world.pass(300_000);
    let refresh = world.expect_one(&format!("INVITE {BOB}"));
    let answer = callee.answer_text(&refresh.text(), 200, &agrees);
    let (head, _) = answer.split_once("Content-Length").unwrap();
    callee.send(&mut world, &format!("{head}\r\n{}", later(2)).replace("\r\n\r\n\r\n", "\r\n\r\n"));
    world.pass(10);
    let sent = world.take();
    assert_eq!(whats(&sent), [format!("ACK {BOB}"), format!("INVITE {ALICE}")]);
    assert_eq!(body(&sent[1]), later(2));
    let answer = caller.answer_text(&sent[1].text(), 200, "");
    caller.send(&mut world, &answer.replace("s=-", "s=new").replace("o=- 1 1", "o=- 1 2"));
    world.pass(5_000);
    assert_eq!(whats(&world.take()), [format!("ACK {ALICE}")]);
}

#[test]
fn an_invite_that_comes_back_with_422_goes_once_more() {
    let mut world = world(|_| {});
    let (mut caller, mut callee) = (alice(), bob());
    let invite = caller.asks(&mut world, "INVITE");
    let small = "Min-SE: 3600\r\n";
    let sent = replies(&mut world, &mut callee.clone(), &invite, 422, small);
    assert_eq!(whats(&sent), [format!("ACK {BOB}"), format!("INVITE {BOB}")]);
    let again = &sent[1];
    assert_eq!((one(again, "Session-Expires"), one(again, "Min-SE")), ("3600;refresher=uas".into(), "3600".into()));
    assert_eq!((one(&invite, "CSeq"), one(again, "CSeq")), ("256 INVITE".into(), "257 INVITE".into()));
    assert_ne!(invite.via_branch(), again.via_branch());
    assert_eq!((body(again), one(again, "Call-ID")), (SDP.into(), one(&invite, "Call-ID")));
    let ok = callee.answers(&mut world, again, 200, "Session-Expires: 3600;refresher=uas\r\n");
    assert_eq!((ok.status(), one(&ok, "CSeq")), (200, "1 INVITE".into()));
    caller.learns(&ok);
    let ack = caller.asks(&mut world, "ACK");
    assert_eq!((one(&ack, "CSeq"), ack.to), ("257 ACK".into(), BOB.parse().unwrap()));
    world.restart();
    let ack = caller.asks(&mut world, "ACK");
    assert_eq!(one(&ack, "CSeq"), "257 ACK");
    let info = caller.asks(&mut world, "INFO");
    assert!(one(&info, "CSeq").trim_end_matches(" INFO").parse::<u32>().unwrap() >= 512, "{}", info.text());
}

#[test]
fn a_second_422_ends_the_call() {
    let mut world = world(|_| {});
    let (mut caller, mut callee) = (alice(), bob());
    let invite = caller.asks(&mut world, "INVITE");
    let sent = replies(&mut world, &mut callee.clone(), &invite, 422, "Min-SE: 3600\r\n");
    let sent = replies(&mut world, &mut callee, &sent[1], 422, "Min-SE: 7200\r\n");
    assert_eq!(whats(&sent), [format!("ACK {BOB}"), format!("422 {ALICE}")]);
    let ack = caller.request("ACK");
    caller.send(&mut world, &ack);
    world.finish();
}

#[test]
fn an_interval_that_is_too_small_is_refused() {
    let mut first = world(|_| {});
    let mut caller = alice();
    caller.extra.push_str("Supported: timer\r\nSession-Expires: 60\r\n");
    let text = caller.request("INVITE");
    let refused = is_answered(&mut first, &mut caller, &text, 422);
    assert_eq!(one(&refused, "Min-SE"), "90");
    let Call { mut world, mut caller, mut callee, .. } = call(world(|_| {}), PBX, PBX);
    for party in [&mut caller, &mut callee] {
        party.extra.push_str("Supported: timer\r\nSession-Expires: 60\r\n");
        for method in ["INVITE", "UPDATE"] {
            let text = party.request_with(method, &later(2));
            let refused = is_answered(&mut world, party, &text, 422);
            assert_eq!(one(&refused, "Min-SE"), "90");
        }
    }
}

#[test]
fn e14_an_update_with_an_offer_reaches_teams_as_a_re_invite() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    let text = caller.request_with("UPDATE", &later(2));
    caller.send(&mut world, &text);
    let invite = world.expect_one(&format!("INVITE {BOB}"));
    assert_eq!(body(&invite), later(2));
    // A second one has to wait.
    let text = caller.request_with("UPDATE", &later(3));
    let busy = is_answered(&mut world, &mut caller, &text, 500);
    assert_ne!(one(&busy, "Retry-After"), "");
    let sent = replies(&mut world, &mut callee, &invite, 200, TEAMS);
    assert_eq!(whats(&sent), [format!("ACK {BOB}"), format!("200 {ALICE}")]);
    assert_eq!((body(&sent[1]), one(&sent[1], "CSeq")), (SDP.into(), "2 UPDATE".into()));
    caller.learns(&sent[1]);
    // What was offered is what the caller describes now.
    let text = caller.request_with("INVITE", &later(2));
    is_answered(&mut world, &mut caller, &text, 200);
    acknowledges(&mut world, &mut caller, "");
    for (status, back) in [(491, 491), (488, 488), (415, 415), (503, 503), (500, 500), (606, 488), (302, 500)] {
        let text = caller.request_with("UPDATE", &later(status.into()));
        caller.send(&mut world, &text);
        let invite = world.expect_one(&format!("INVITE {BOB}"));
        let sent = replies(&mut world, &mut callee, &invite, status, "Retry-After: 3\r\n");
        assert_eq!(whats(&sent), [format!("ACK {BOB}"), format!("{back} {ALICE}")]);
        // That of a 503 is for the edge alone.
        assert_eq!(one(&sent[1], "Retry-After"), if status == 503 { "" } else { "3" }, "{status}");
    }
    let text = caller.request_with("UPDATE", &later(9));
    caller.send(&mut world, &text);
    let invite = world.expect_one(&format!("INVITE {BOB}"));
    let text = callee.answer_text(&invite.text(), 481, "");
    callee.send(&mut world, &text);
    is_cleared(&mut world, "SIP;cause=481");
}

#[test]
fn an_update_without_an_offer_that_moves_its_side_has_teams_told() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    caller.contact = format!("sip:moved@{ALICE}");
    let text = caller.request_with("UPDATE", "");
    is_answered(&mut world, &mut caller, &text, 200);
    world.pass(10);
    let invite = world.expect_one(&format!("INVITE {BOB}"));
    assert_eq!(body(&invite), SDP);
    replies(&mut world, &mut callee, &invite, 200, TEAMS);
    world.restart();
    let bye = callee.asks(&mut world, "BYE");
    assert_eq!(bye.uri(), caller.contact);
}

#[test]
fn e19_a_re_invite_without_an_offer_gets_the_one_of_teams() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    for (answer, told) in [(SDP.to_owned(), false), (later(2), true), (later(2), false)] {
        let text = caller.request_with("INVITE", "");
        let ok = is_answered(&mut world, &mut caller, &text, 200);
        assert_eq!((body(&ok), one(&ok, "Content-Type")), (SDP.into(), "application/sdp".into()));
        caller.learns(&ok);
        acknowledges(&mut world, &mut caller, &answer);
        world.pass(10);
        let sent = world.take();
        if told {
            assert_eq!(whats(&sent), [format!("INVITE {BOB}")]);
            assert_eq!(body(&sent[0]), answer);
            let sent = replies(&mut world, &mut callee, &sent[0], 200, TEAMS);
            assert_eq!(whats(&sent), [format!("ACK {BOB}")]);
        } else {
            assert_eq!(whats(&sent), [""; 0]);
        }
    }
    world.restart();
    let text = caller.request_with("INVITE", "");
    let refused = is_answered(&mut world, &mut caller, &text, 488);
    assert!(one(&refused, "Warning").starts_with("399 192.0.2.1 \""), "{}", refused.text());
}

#[test]
fn e14_a_first_invite_without_an_offer_does_not_reach_teams() {
    let mut world = with_teams();
    let mut caller = alice();
    let text = caller.request_with("INVITE", "");
    let refused = is_answered(&mut world, &mut caller, &text, 488);
    assert!(one(&refused, "Warning").starts_with("399 192.0.2.1 \""), "{}", refused.text());
    // A carrier gets it, and so does a re-INVITE.
    let mut caller = Party::new(ALICE, Transport::Udp, "alice", "300");
    let text = caller.request_with("INVITE", "");
    caller.send(&mut world, &text);
    assert_eq!(world.take().pop().unwrap().what(), "INVITE");
}

#[test]
fn e14_an_info_that_teams_does_not_know_ends_at_the_edge() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    for (kind, status) in [
        ("", 200),
        ("application/media_control+xml", 200),
        ("application/dtmf-relay", 415),
        ("application/dtmf", 415),
        ("text/plain", 415),
    ] {
        let body = if kind.is_empty() { "" } else { "Signal=5\r\n" };
        let text = caller.request_with("INFO", body).replace("application/sdp", kind);
        let answer = is_answered(&mut world, &mut caller, &text, status);
        let accept = if status == 415 { "application/media_control+xml" } else { "" };
        assert_eq!(one(&answer, "Accept"), accept, "{kind}");
    }
    // The other way it passes.
    callee.agrees_with(&mut world, &mut caller, "INFO");
}

#[test]
fn a_method_that_a_side_does_not_take_is_refused_with_what_it_takes() {
    let Call { mut world, mut caller, mut callee, .. } = call(with_teams(), PBX, TEAMS);
    for method in ["MESSAGE", "SUBSCRIBE", "PUBLISH", "X-NEW"] {
        let text = caller.request_with(method, "");
        let refused = is_answered(&mut world, &mut caller, &text, 405);
        assert_eq!(
            one(&refused, "Allow"),
            "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, UPDATE, PRACK",
            "{method}"
        );
    }
    // What the PBX said of itself counts too.
    let text = callee.request_with("MESSAGE", "");
    let refused = is_answered(&mut world, &mut callee, &text, 405);
    assert_eq!(one(&refused, "Allow"), "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER");
    for method in ["OPTIONS", "NOTIFY"] {
        caller.agrees_with(&mut world, &mut callee, method);
    }
    callee.agrees_with(&mut world, &mut caller, "X-NEW");
}
