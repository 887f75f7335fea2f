//! What goes wrong while a call is transferred, and what is refused.

use super::super::super::wire::Sent;
use super::super::super::world::{ALICE, BOB, CARL};
use super::super::party::SDP;
use super::{Party, Refer, Stage, World, only};
use crate::sip::Transport;

/// Sends what `party` answers to a request of the edge's; gives what the edge does about it.
fn answer(world: &mut World, party: &mut Party, request: &Sent, status: u16) -> Vec<Sent> {
    let text = party.answer_text(&request.text(), status, "");
    party.send(world, &text);
    world.take()
}

/// Bob is asked to talk to carl: the INVITE to carl.
fn calling(stage: &mut Stage) -> Sent {
    let sent = stage.refer(true, "<sip:300@192.0.2.1>");
    let (world, alice, ..) = stage.sides(true);
    assert_eq!(sent[0].status(), 202);
    alice.is_told(world, &sent, &["100"]);
    only(&sent, "INVITE", CARL).clone()
}

/// Carl has answered: the re-INVITE to bob.
fn changing(stage: &mut Stage) -> Sent {
    let invite = calling(stage);
    let (world, _, bob, carl) = stage.sides(true);
    let sent = answer(world, carl, &invite, 200);
    only(&sent, "INVITE", bob.addr).clone()
}

/// Alice and bob are in their call as if nothing had happened.
#[track_caller]
fn lives_on(mut stage: Stage) {
    let (world, alice, bob, _) = stage.sides(true);
    alice.agrees_with(world, bob, "INVITE");
    bob.agrees_with(world, alice, "INFO");
    bob.agrees_with(world, alice, "BYE");
    stage.world.finish();
}

#[test]
fn the_first_call_lives_on_when_the_target_refuses() {
    let mut stage = Stage::new(Refer::Handle);
    let invite = calling(&mut stage);
    let (world, alice, _, carl) = stage.sides(true);
    let sent = answer(world, carl, &invite, 486);
    only(&sent, "ACK", CARL);
    alice.is_told(world, &sent, &["486!"]);
    assert_eq!(stage.world.counts.transferred, 0);
    lives_on(stage);
}

#[test]
fn the_first_call_lives_on_when_the_number_leads_nowhere() {
    let mut stage = Stage::new(Refer::Handle);
    let sent = stage.refer(true, "<sip:999@192.0.2.1>");
    let (world, alice, ..) = stage.sides(true);
    assert_eq!(sent[0].status(), 202);
    alice.is_told(world, &sent, &["100", "404!"]);
    lives_on(stage);
}

#[test]
fn the_first_call_lives_on_when_the_other_side_does_not_want_the_target() {
    let mut stage = Stage::new(Refer::Handle);
    let change = changing(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    let sent = answer(world, &mut bob.clone(), &change, 488);
    let bye = only(&sent, "BYE", CARL).clone();
    assert_eq!(bye.header("Call-ID").as_ref(), Some(&carl.call_id));
    alice.is_told(world, &sent, &["488!"]);
    answer(world, carl, &bye, 200);
    lives_on(stage);
}

#[test]
fn a_re_invite_that_meets_another_is_sent_again() {
    let mut stage = Stage::new(Refer::Handle);
    let change = changing(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    let sent = answer(world, &mut bob.clone(), &change, 491);
    assert_eq!(sent.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK"]);
    world.pass(2_000);
    assert!(world.take().is_empty());
    world.pass(2_000);
    let again = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("another try");
    assert_eq!(again.to, bob.addr.parse().unwrap());
    let sent = answer(world, bob, &again, 200);
    alice.is_told(world, &sent, &["200!"]);
    assert_eq!(alice.asks(world, "BYE").status(), 200);
    bob.agrees_with(world, carl, "INVITE");
    carl.agrees_with(world, bob, "BYE");
    stage.world.finish();
}

#[test]
fn the_call_to_the_target_is_given_up_when_the_other_side_leaves() {
    let mut stage = Stage::new(Refer::Handle);
    let invite = calling(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    let sent = answer(world, carl, &invite, 180);
    alice.is_told(world, &sent, &["180"]);
    let text = bob.request("BYE");
    bob.send(world, &text);
    let sent = world.take();
    only(&sent, "CANCEL", CARL);
    let bye = only(&sent, "BYE", ALICE).clone();
    alice.is_told(world, &sent, &["487!"]);
    let sent = answer(world, alice, &bye, 200);
    assert_eq!(only(&sent, "200", BOB).status(), 200);
    let sent = answer(world, carl, &invite, 487);
    assert_eq!(sent.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK"]);
    stage.world.finish();
}

#[test]
fn a_target_that_answers_while_it_is_given_up_is_hung_up_on() {
    let mut stage = Stage::new(Refer::Handle);
    let invite = calling(&mut stage);
    let (world, _, bob, carl) = stage.sides(true);
    let text = bob.request("BYE");
    bob.send(world, &text);
    world.take();
    let sent = answer(world, carl, &invite, 200);
    assert_eq!(
        sent.iter().map(|sent| (sent.what(), sent.to.to_string())).collect::<Vec<_>>(),
        [("ACK".to_owned(), CARL.to_owned()), ("BYE".to_owned(), CARL.to_owned())]
    );
    stage.world.pass(200_000);
    stage.world.take();
    stage.world.finish();
}

#[test]
fn a_referrer_that_hangs_up_at_once_is_not_missed() {
    for refused in [false, true] {
        let mut stage = Stage::new(Refer::Handle);
        let invite = calling(&mut stage);
        let (world, alice, bob, carl) = stage.sides(true);
        let bye = alice.asks(world, "BYE");
        assert_eq!((bye.status(), bye.to), (200, ALICE.parse().unwrap()));
        if refused {
            let sent = answer(world, carl, &invite, 486);
            let bye = only(&sent, "BYE", BOB).clone();
            answer(world, bob, &bye, 200);
        } else {
            let sent = answer(world, carl, &invite, 200);
            let change = only(&sent, "INVITE", BOB).clone();
            answer(world, bob, &change, 200);
            bob.agrees_with(world, carl, "INVITE");
            carl.agrees_with(world, bob, "BYE");
        }
        stage.world.pass(100_000);
        stage.world.take();
        stage.world.finish();
    }
}

#[test]
fn a_target_that_leaves_before_it_is_connected_ends_the_call() {
    let mut stage = Stage::new(Refer::Handle);
    let change = changing(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    let bye = carl.asks_several(world, "BYE");
    assert_eq!(only(&bye, "200", CARL).status(), 200);
    alice.is_told(world, &bye, &["200!"]);
    for (party, addr) in [(&mut *alice, ALICE), (&mut *bob, BOB)] {
        let bye = only(&bye, "BYE", addr).clone();
        answer(world, party, &bye, 200);
    }
    answer(world, bob, &change, 481);
    stage.world.pass(100_000);
    stage.world.take();
    stage.world.finish();
}

#[test]
fn one_transfer_at_a_time() {
    let mut stage = Stage::new(Refer::Handle);
    let invite = calling(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    assert_eq!(alice.refers(world, "<sip:300@192.0.2.1>")[0].status(), 491);
    assert_eq!(bob.refers(world, "<sip:300@192.0.2.1>")[0].status(), 491);
    let sent = answer(world, carl, &invite, 603);
    alice.is_told(world, &sent, &["603!"]);
    lives_on(stage);
}

#[test]
fn what_cannot_be_followed_is_refused_and_the_call_lives_on() {
    for (refer, refer_to, status) in [
        (Refer::Off, "<sip:300@192.0.2.1>", 603),
        (Refer::Handle, "<mailto:a@b.example>", 416),
        (Refer::Handle, "<sip:300@192.0.2.1;method=BYE>", 603),
        (Refer::Handle, "<sip:300@", 400),
    ] {
        let mut stage = Stage::new(refer);
        let sent = stage.refer(true, refer_to);
        assert_eq!((sent.len(), sent[0].status()), (1, status), "{refer_to}");
        lives_on(stage);
    }
}

/// The edge has forgotten what bob can be reached with: nothing is promised. After the next re-INVITE it knows again.
#[test]
fn a_call_that_is_not_remembered_is_not_transferred_and_lives_on() {
    let mut stage = Stage::new(Refer::Handle);
    stage.world.restart();
    let sent = stage.refer(true, "<sip:300@192.0.2.1>");
    assert_eq!((sent.len(), sent[0].status()), (1, 603));
    let (world, alice, bob, _) = stage.sides(true);
    alice.agrees_with(world, bob, "INVITE");
    super::transferred(&mut stage, true);
    let (world, alice, bob, carl) = stage.sides(true);
    assert_eq!(alice.asks(world, "BYE").status(), 200);
    world.restart();
    bob.agrees_with(world, carl, "INVITE");
    carl.agrees_with(world, bob, "BYE");
    stage.world.finish();
}

#[test]
fn refer_goes_on_where_the_other_side_takes_it() {
    let mut stage = Stage::new(Refer::Pass);
    // Bob says that he takes REFER.
    let (world, alice, bob, _) = stage.sides(true);
    bob.extra.push_str("Allow: INVITE, ACK, BYE, CANCEL, REFER, NOTIFY\r\n");
    bob.agrees_with(world, alice, "INVITE");
    let replaces = "Replaces=other%40call%3Bto-tag%3D1%3Bfrom-tag%3D2";
    for (refer_to, wanted) in [
        ("<sip:300@10.0.0.1;user=phone>", "<sip:300@192.0.2.1;user=phone>".to_owned()),
        (&format!("<sip:300@192.0.2.1?{replaces}&x=y>"), "<sip:300@192.0.2.20:5060?Replaces=".to_owned()),
    ] {
        let sent = alice.refers(world, refer_to);
        let refer = only(&sent, "REFER", BOB).clone();
        let got = refer.header("Refer-To").unwrap();
        assert!(got.starts_with(&wanted), "{got}");
        assert!(!got.contains("other%40call"), "it has the far leg's Call-ID: {got}");
        assert_eq!(got.contains("%3Bto-tag%3D1%3Bfrom-tag%3D2&x=y>"), refer_to.contains("Replaces"), "{got}");
        let sent = answer(world, bob, &refer, 202);
        assert_eq!(sent[0].status(), 202);
        bob.extra.push_str("Event: refer\r\n");
        bob.agrees_with(world, alice, "NOTIFY");
    }
    lives_on(stage);
}

#[test]
fn refer_is_handled_where_the_other_side_does_not_take_it() {
    let mut stage = Stage::new(Refer::Pass);
    let invite = calling(&mut stage);
    let (world, alice, _, carl) = stage.sides(true);
    let sent = answer(world, carl, &invite, 486);
    alice.is_told(world, &sent, &["486!"]);
    lives_on(stage);
}

/// Bob answers the re-INVITE with another port than the one that carl was told.
#[test]
fn the_target_is_told_what_the_other_side_really_said() {
    let mut stage = Stage::new(Refer::Handle);
    let change = changing(&mut stage);
    let (world, alice, bob, carl) = stage.sides(true);
    let moved = format!("{SDP}m=audio 4444 RTP/AVP 8\r\n");
    let text = bob.answer_text(&change.text(), 200, "");
    let text =
        text.replace(SDP, &moved).replace(&format!("Length: {}", SDP.len()), &format!("Length: {}", moved.len()));
    bob.send(world, &text);
    let sent = world.take();
    alice.is_told(world, &sent, &["200!"]);
    let settle = only(&sent, "INVITE", CARL).clone();
    assert!(settle.text().contains("m=audio 4444"), "{}", settle.text());
    assert_eq!(settle.uri(), carl.contact);
    let sent = answer(world, carl, &settle, 200);
    only(&sent, "ACK", CARL);
    assert_eq!(alice.asks(world, "BYE").status(), 200);
    carl.agrees_with(world, bob, "INVITE");
    bob.agrees_with(world, carl, "BYE");
    stage.world.finish();
}

/// Datagrams are lost: everything is sent again, and done once.
#[test]
fn what_is_lost_is_sent_again() {
    let mut stage = Stage::new(Refer::Handle);
    let text = {
        let alice = &mut stage.alice;
        alice.extra.push_str("Refer-To: <sip:200@192.0.2.1>\r\n");
        alice.request("REFER")
    };
    let mut stage = Stage { alice: Party { extra: String::new(), ..stage.alice.clone() }, ..stage };
    stage.alice.send(&mut stage.world, &text);
    let first = stage.world.take();
    // The 202 was lost: the copy of the REFER gets another one and begins nothing.
    stage.alice.send(&mut stage.world, &text);
    let again = stage.world.take();
    assert_eq!(again.iter().map(Sent::status).collect::<Vec<_>>(), [202]);
    assert_eq!(again[0].bytes, first[0].bytes);
    let invite = only(&first, "INVITE", BOB).clone();
    // The first INVITE and NOTIFY are lost.
    stage.world.pass(600);
    let copies = stage.world.take();
    assert_eq!(only(&copies, "INVITE", BOB).bytes, invite.bytes);
    assert_eq!(only(&copies, "NOTIFY", ALICE).bytes, only(&first, "NOTIFY", ALICE).bytes);
    let Stage { mut world, alice, mut bob, .. } = stage;
    alice.is_told(&mut world, &first, &["100"]);
    let mut again = Party::new(BOB, Transport::Udp, "again", "");
    let sent = answer(&mut world, &mut again, &invite, 200);
    let ack = only(&sent, "ACK", BOB).clone();
    let change = sent.iter().find(|sent| sent.what() == "INVITE").expect("a re-INVITE").clone();
    // The ACK was lost, and the copy of the 200 asks for it.
    let sent = answer(&mut world, &mut again.clone(), &invite, 200);
    assert_eq!(only(&sent, "ACK", BOB).bytes, ack.bytes);
    // So was the re-INVITE.
    world.pass(600);
    assert_eq!(world.take().iter().filter(|sent| sent.bytes == change.bytes).count(), 1);
    let sent = answer(&mut world, &mut bob, &change, 200);
    alice.is_told(&mut world, &sent, &["200!"]);
    let sent = answer(&mut world, &mut bob.clone(), &change, 200);
    assert_eq!(sent.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK"]);
    let mut alice = alice;
    assert_eq!(alice.asks(&mut world, "BYE").status(), 200);
    bob.agrees_with(&mut world, &mut again, "INVITE");
    again.agrees_with(&mut world, &mut bob, "BYE");
    world.pass(700_000);
    world.take();
    world.finish();
}
