//! Attended transfers: the referrer has a call with the target already, and names it by Replaces (RFC 3891).

use super::super::super::wire::{Sent, param};
use super::super::super::world::{ALICE, BOB, CARL, World};
use super::super::party::{Call, set_up};
use super::{Party, Refer, only, world};
use crate::sip::Transport;

fn tag(value: &str) -> String {
    param(value, "tag").unwrap()
}

/// Alice is in a call with bob and in another with carl; the Call-IDs say which shards the two are in.
struct Two {
    world: World,
    with_bob: Party,
    bob: Party,
    with_carl: Party,
    carl: Party,
}

impl Two {
    fn new(turn: usize) -> Self {
        let alice = |user: &str, called: &str| {
            let mut alice = Party::new(ALICE, Transport::Udp, user, called);
            alice.call_id = format!("{user}-{turn}");
            alice
        };
        let bob = Party::new(BOB, Transport::Udp, "bob", "");
        let carl = Party::new(CARL, Transport::Tcp, "carl", "");
        let Call { world, caller: with_bob, callee: bob, .. } =
            set_up(world(Refer::Handle), alice("first", "200"), bob, "", "");
        let Call { world, caller: with_carl, callee: carl, .. } = set_up(world, alice("second", "300"), carl, "", "");
        Self { world, with_bob, bob, with_carl, carl }
    }

    fn replaces(&self) -> String {
        let Party { call_id, own, other, .. } = &self.with_carl;
        format!("{call_id};to-tag={};from-tag={}", tag(other), tag(own))
    }

    /// Bob is to talk to carl: what the edge does about that.
    fn refer(&mut self) -> Vec<Sent> {
        let escaped = self.replaces().replace(';', "%3B").replace('=', "%3D");
        self.with_bob.refers(&mut self.world, &format!("<sip:300@192.0.2.1?Replaces={escaped}>"))
    }
}

fn answer(world: &mut World, party: &mut Party, request: &Sent, status: u16) -> Vec<Sent> {
    let text = party.answer_text(&request.text(), status, "");
    party.send(world, &text);
    world.take()
}

#[test]
fn two_calls_of_the_referrer_become_one() {
    for turn in 0..8 {
        let mut two = Two::new(turn);
        let sent = two.refer();
        let Two { mut world, mut with_bob, mut bob, mut with_carl, mut carl } = two;
        assert_eq!(sent[0].status(), 202, "{}", sent[0].text());
        with_bob.is_told(&mut world, &sent, &["100"]);
        let take = only(&sent, "INVITE", CARL);
        assert_eq!((take.uri(), take.header("Call-ID")), (carl.contact.clone(), Some(carl.call_id.clone())));
        assert_eq!(take.header("Replaces"), None);
        let sent = answer(&mut world, &mut carl, take, 200);
        only(&sent, "ACK", CARL);
        let change = only(&sent, "INVITE", BOB);
        assert_eq!(change.header("Call-ID").as_ref(), Some(&bob.call_id));
        let sent = answer(&mut world, &mut bob, change, 200);
        with_bob.is_told(&mut world, &sent, &["200!"]);
        let bye = only(&sent, "BYE", ALICE);
        assert_eq!(bye.header("Call-ID").as_ref(), Some(&with_carl.call_id), "the call to carl is another's now");
        answer(&mut world, &mut with_carl, bye, 200);
        assert_eq!(with_bob.asks(&mut world, "BYE").status(), 200);
        bob.agrees_with(&mut world, &mut carl, "INVITE");
        carl.agrees_with(&mut world, &mut bob, "INVITE");
        world.restart();
        carl.agrees_with(&mut world, &mut bob, "INVITE");
        bob.agrees_with(&mut world, &mut carl, "INFO");
        world.restart();
        let (from, to) = if turn % 2 == 0 { (&mut bob, &mut carl) } else { (&mut carl, &mut bob) };
        from.agrees_with(&mut world, to, "BYE");
        world.finish();
    }
}

#[test]
fn a_target_that_does_not_want_to_stays_in_its_call() {
    for (turn, by_bob) in [(0, false), (1, true), (2, false), (3, true)] {
        let mut two = Two::new(turn);
        let sent = two.refer();
        let Two { mut world, mut with_bob, mut bob, mut with_carl, mut carl } = two;
        let take = only(&sent, "INVITE", CARL).clone();
        with_bob.is_told(&mut world, &sent, &["100"]);
        if by_bob {
            let sent = answer(&mut world, &mut carl, &take, 200);
            let change = only(&sent, "INVITE", BOB).clone();
            let sent = answer(&mut world, &mut bob.clone(), &change, 488);
            with_bob.is_told(&mut world, &sent, &["488!"]);
            // Carl talks to alice again.
            let back = only(&sent, "INVITE", CARL).clone();
            answer(&mut world, &mut carl, &back, 200);
        } else {
            let sent = answer(&mut world, &mut carl.clone(), &take, 488);
            with_bob.is_told(&mut world, &sent, &["488!"]);
        }
        with_carl.agrees_with(&mut world, &mut carl, "INVITE");
        carl.agrees_with(&mut world, &mut with_carl, "BYE");
        with_bob.agrees_with(&mut world, &mut bob, "INVITE");
        bob.agrees_with(&mut world, &mut with_bob, "BYE");
        world.finish();
    }
}

/// A call that the edge does not know is the target's own business.
#[test]
fn replaces_of_another_call_goes_to_the_target() {
    let mut two = Two::new(0);
    let sent = two.with_bob.refers(&mut two.world, "<sip:300@192.0.2.1?Replaces=inside%3Bto-tag%3D1%3Bfrom-tag%3D2>");
    let invite = only(&sent, "INVITE", CARL);
    assert_eq!(invite.header("Replaces").as_deref(), Some("inside;to-tag=1;from-tag=2"));
    assert_eq!(invite.uri(), "sip:300@192.0.2.30:5060;transport=tcp");
}

/// Another phone of alice's picks her call with carl up.
#[test]
fn an_invite_with_replaces_takes_a_phones_place() {
    for turn in 0..8 {
        let two = Two::new(turn);
        let replaces = two.replaces();
        let Two { mut world, mut with_carl, mut carl, .. } = two;
        let mut phone = Party::new(ALICE, Transport::Udp, "phone", "300");
        phone.call_id = format!("phone-{turn}");
        phone.extra.push_str(&format!("Replaces: {replaces}\r\n"));
        let change = phone.asks(&mut world, "INVITE");
        assert_eq!((change.to, change.header("Call-ID")), (CARL.parse().unwrap(), Some(carl.call_id.clone())));
        let sent = answer(&mut world, &mut carl, &change, 200);
        phone.learns(only(&sent, "200", ALICE));
        let bye = only(&sent, "BYE", ALICE);
        assert_eq!(bye.header("Call-ID").as_ref(), Some(&with_carl.call_id));
        answer(&mut world, &mut with_carl, bye, 200);
        phone.extra = String::new();
        assert_eq!(phone.asks(&mut world, "ACK").to, CARL.parse().unwrap());
        phone.agrees_with(&mut world, &mut carl, "INVITE");
        carl.agrees_with(&mut world, &mut phone, "INVITE");
        if turn % 2 == 0 {
            world.restart();
        }
        carl.agrees_with(&mut world, &mut phone, "INVITE");
        phone.agrees_with(&mut world, &mut carl, "INVITE");
        phone.agrees_with(&mut world, &mut carl, "BYE");
    }
}

#[test]
fn a_pick_up_that_is_cancelled_leaves_the_call_alone() {
    for turn in 0..8 {
        let two = Two::new(turn);
        let replaces = two.replaces();
        let Two { mut world, mut with_carl, mut carl, .. } = two;
        let mut phone = Party::new(ALICE, Transport::Udp, "phone", "300");
        phone.call_id = format!("phone-{turn}");
        let mut text = phone.request("INVITE");
        text = text.replace("Content-Length", &format!("Replaces: {replaces}\r\nContent-Length"));
        phone.send(&mut world, &text);
        let change = only(&world.take(), "INVITE", CARL).clone();
        // A copy of the INVITE changes nothing, wherever its Call-ID would lead it.
        phone.send(&mut world, &text);
        assert_eq!(world.take().iter().map(Sent::what).collect::<Vec<_>>(), ["100"]);
        answer(&mut world, &mut carl.clone(), &change, 183);
        let cancel = phone.request("CANCEL").replace("1CANCEL\r\n", "1INVITE\r\n");
        phone.send(&mut world, &cancel);
        let sent = world.take();
        only(&sent, "200", ALICE);
        only(&sent, "CANCEL", CARL);
        let sent = answer(&mut world, &mut carl.clone(), &change, 487);
        let refused = only(&sent, "487", ALICE);
        // The ACK finds its INVITE too.
        let ack = phone.request("ACK").replace("1ACK\r\n", "1INVITE\r\n");
        let ack = ack.replace(&format!("To: {}", phone.other), &format!("To: {}", refused.header("To").unwrap()));
        phone.send(&mut world, &ack);
        world.expect(&[]);
        with_carl.agrees_with(&mut world, &mut carl, "INVITE");
        carl.agrees_with(&mut world, &mut with_carl, "BYE");
    }
}
