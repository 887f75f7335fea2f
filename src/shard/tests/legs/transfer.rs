//! Transfers by REFER that the edge carries out: `alice` and `bob` are in a call, one of them wants the other to talk to
//! `carl`.

mod attended;
mod teams;
mod trouble;

use super::super::wire::{Sent, param};
use super::super::world::{ALICE, BOB, CARL, World, own_all_legs};
use super::party::{Call, Party, set_up};
use crate::sip::Transport;
use crate::trunk::dialect::transfer::Refer;

/// A call from alice to bob, and carl, who is not in it yet.
struct Stage {
    world: World,
    alice: Party,
    bob: Party,
    carl: Party,
}

/// A world in which the trunks of all three may transfer as `refer` says.
fn world(refer: Refer) -> World {
    World::with(
        |edge| {
            own_all_legs(edge);
            for trunk in &mut std::sync::Arc::make_mut(&mut edge.trunks).0 {
                std::sync::Arc::make_mut(&mut trunk.dialect).transfer.refer = refer;
            }
        },
        1_000,
    )
}

impl Stage {
    fn new(refer: Refer) -> Self {
        let alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        let bob = Party::new(BOB, Transport::Udp, "bob", "");
        let carl = Party::new(CARL, Transport::Tcp, "carl", "");
        let Call { world, caller: alice, callee: bob, .. } = set_up(world(refer), alice, bob, "", "");
        Self { world, alice, bob, carl }
    }

    /// The caller of the call wants its peer to talk to 300, or the callee does.
    fn refer(&mut self, by_alice: bool, refer_to: &str) -> Vec<Sent> {
        let referrer = if by_alice { &mut self.alice } else { &mut self.bob };
        referrer.refers(&mut self.world, refer_to)
    }

    /// Whoever was asked to transfer, and the other side.
    fn sides(&mut self, by_alice: bool) -> (&mut World, &mut Party, &mut Party, &mut Party) {
        let Self { world, alice, bob, carl } = self;
        if by_alice { (world, alice, bob, carl) } else { (world, bob, alice, carl) }
    }
}

impl Party {
    /// It sends REFER; gives what the edge does about it.
    fn refers(&mut self, world: &mut World, refer_to: &str) -> Vec<Sent> {
        let plain = self.extra.clone();
        self.extra.push_str(&format!("Refer-To: {refer_to}\r\nReferred-By: <sip:boss@192.0.2.10;x-t=aHR%3D>\r\n"));
        let text = self.request("REFER");
        self.extra = plain;
        self.send(world, &text);
        world.take()
    }

    /// It sends a request; gives all that the edge does about it.
    fn asks_several(&mut self, world: &mut World, method: &str) -> Vec<Sent> {
        let text = self.request(method);
        self.send(world, &text);
        world.take()
    }

    /// It answers 200 to all that the edge has sent it, and wants this progress to be told by it.
    #[track_caller]
    fn is_told(&self, world: &mut World, sent: &[Sent], wanted: &[&str]) {
        let notifies: Vec<_> =
            sent.iter().filter(|sent| sent.what() == "NOTIFY" && sent.to == self.addr.parse().unwrap()).collect();
        let told: Vec<_> = notifies.iter().map(|notify| progress(notify)).collect();
        assert_eq!(told, wanted, "{sent:?}");
        for notify in notifies {
            assert_eq!(notify.header("Call-ID").as_ref(), Some(&self.call_id));
            assert_eq!(notify.uri(), self.contact);
            assert!(notify.header("Contact").is_some());
            let text = self.clone().answer_text(&notify.text(), 200, "");
            self.send(world, &text);
            world.expect(&[]);
        }
    }
}

/// What a NOTIFY tells: status, and whether it is the last.
fn progress(notify: &Sent) -> String {
    let text = notify.text();
    assert!(notify.header("Event").unwrap().starts_with("refer;id="), "{text}");
    assert_eq!(notify.header("Content-Type").as_deref(), Some("message/sipfrag;version=2.0"));
    let body = text.split("\r\n\r\n").nth(1).unwrap();
    let status = body.strip_prefix("SIP/2.0 ").unwrap().split(' ').next().unwrap().to_owned();
    match notify.header("Subscription-State").as_deref() {
        Some("terminated;reason=noresource") => status + "!",
        Some(state) if state.starts_with("active;expires=") => status,
        other => panic!("{other:?}"),
    }
}

/// The only one among messages that is of a kind and goes to this place.
#[track_caller]
fn only<'s>(sent: &'s [Sent], what: &str, to: &str) -> &'s Sent {
    let found: Vec<_> = sent.iter().filter(|sent| sent.what() == what && sent.to == to.parse().unwrap()).collect();
    assert_eq!(found.len(), 1, "{what} to {to} in {:#?}", sent.iter().map(Sent::text).collect::<Vec<_>>());
    found[0]
}

/// A transfer from its REFER to the other side's talking to carl; the referrer has not hung up.
#[track_caller]
fn transferred(stage: &mut Stage, by_alice: bool) {
    let sent = stage.refer(by_alice, "<sip:300@192.0.2.1>");
    let (world, referrer, other, carl) = stage.sides(by_alice);
    assert_eq!(sent[0].status(), 202);
    assert!(sent[0].header("Contact").is_some(), "{}", sent[0].text());
    referrer.is_told(world, &sent, &["100"]);
    let invite = only(&sent, "INVITE", CARL);
    assert_eq!(invite.headers("Via").len(), 1);
    assert_eq!(param(&invite.header("From").unwrap(), "tag"), param(&other.own, "tag"));
    assert!(invite.text().ends_with(super::party::SDP), "{}", invite.text());
    let text = carl.answer_text(&invite.text(), 180, "");
    carl.send(world, &text);
    let sent = world.take();
    referrer.is_told(world, &sent, &["180"]);
    let text = carl.answer_text(&invite.text(), 200, "");
    carl.send(world, &text);
    let sent = world.take();
    let ack = only(&sent, "ACK", CARL);
    assert_eq!((ack.uri(), ack.header("Call-ID").as_ref()), (carl.contact.clone(), Some(&carl.call_id)));
    let change = only(&sent, "INVITE", other.addr);
    assert_eq!(change.header("Call-ID").as_ref(), Some(&other.call_id));
    assert_eq!(change.uri(), other.contact);
    let before = other.target.clone();
    let text = other.answer_text(&change.text(), 200, "");
    other.send(world, &text);
    let sent = world.take();
    assert_ne!(other.target, before, "the Contact leads to carl");
    only(&sent, "ACK", other.addr);
    referrer.is_told(world, &sent, &["200!"]);
    assert_eq!(sent.len(), 2, "nobody is hung up on: {sent:?}");
}

#[test]
fn whom_a_peer_is_referred_to_is_called_and_connected() {
    for by_alice in [true, false] {
        let mut stage = Stage::new(Refer::Handle);
        transferred(&mut stage, by_alice);
        let (world, referrer, other, carl) = stage.sides(by_alice);
        // The referrer's BYE ends its own leg only.
        let bye = referrer.asks(world, "BYE");
        assert_eq!((bye.status(), bye.to), (200, referrer.addr.parse().unwrap()));
        for method in ["INVITE", "INFO", "INVITE"] {
            other.agrees_with(world, carl, method);
            carl.agrees_with(world, other, method);
        }
        carl.agrees_with(world, other, "BYE");
        assert_eq!((stage.world.counts.transfers, stage.world.counts.transferred), (1, 1));
        stage.world.finish();
    }
}

#[test]
fn a_call_that_was_transferred_lives_on_when_the_process_is_killed() {
    for (by_alice, carl_ends) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut stage = Stage::new(Refer::Handle);
        transferred(&mut stage, by_alice);
        let (world, _, other, carl) = stage.sides(by_alice);
        world.restart();
        other.agrees_with(world, carl, "INVITE");
        world.restart();
        carl.agrees_with(world, other, "INVITE");
        carl.agrees_with(world, other, "INVITE");
        world.restart();
        let (from, to) = if carl_ends { (carl, other) } else { (other, carl) };
        from.agrees_with(world, to, "BYE");
        stage.world.finish();
    }
}

/// The other side can tell a late BYE of the referrer's from one of its new peer's by the number, with no help of memory.
#[test]
fn what_a_referrer_says_after_the_process_was_killed_comes_too_low() {
    let number = |sent: &Sent| -> u32 { sent.header("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap() };
    for by_alice in [true, false] {
        let mut stage = Stage::new(Refer::Handle);
        transferred(&mut stage, by_alice);
        let (world, referrer, other, carl) = stage.sides(by_alice);
        world.restart();
        let of_carl = carl.asks(world, "INFO");
        assert_eq!(of_carl.to, other.addr.parse().unwrap());
        let text = other.answer_text(&of_carl.text(), 200, "");
        other.send(world, &text);
        world.take();
        let of_referrer = referrer.asks(world, "BYE");
        assert!(number(&of_referrer) < number(&of_carl), "{}", of_referrer.text());
    }
}

#[test]
fn a_referrer_that_does_not_hang_up_is_hung_up_on() {
    let mut stage = Stage::new(Refer::Handle);
    transferred(&mut stage, true);
    let (world, alice, bob, carl) = stage.sides(true);
    world.pass(31_000);
    assert!(world.take().is_empty());
    world.pass(2_000);
    let bye = world.take().into_iter().find(|sent| sent.what() == "BYE").expect("a BYE");
    assert_eq!((bye.to, bye.uri()), (ALICE.parse().unwrap(), alice.contact.clone()));
    assert_eq!(bye.header("Call-ID").as_ref(), Some(&alice.call_id));
    let text = alice.answer_text(&bye.text(), 200, "");
    alice.send(world, &text);
    world.expect(&[]);
    bob.agrees_with(world, carl, "INVITE");
    bob.agrees_with(world, carl, "BYE");
    stage.world.finish();
}

#[test]
fn a_call_is_transferred_again_and_again_up_to_a_limit() {
    let mut stage = Stage::new(Refer::Handle);
    transferred(&mut stage, true);
    let Stage { mut world, mut bob, carl, .. } = stage;
    // Bob, who was transferred, transfers: carl is the other side now, and does not want to.
    for turn in 0..20 {
        let sent = bob.refers(&mut world, "<sip:100@192.0.2.1>");
        assert_eq!(sent[0].status(), 202, "transfers that fail do not count");
        let invite = only(&sent, "INVITE", ALICE);
        let mut busy = Party::new(ALICE, Transport::Udp, "alice", "");
        busy.own.push_str(&turn.to_string());
        let text = busy.answer_text(&invite.text(), 200, "");
        busy.send(&mut world, &text);
        let change = only(&world.take(), "INVITE", CARL).text();
        let text = carl.clone().answer_text(&change, 488, "");
        carl.send(&mut world, &text);
        only(&world.take(), "BYE", ALICE);
        world.pass(40_000);
        world.take();
    }
    // Whoever is called takes it, time and again.
    let mut carl = carl;
    let mut took = 0;
    loop {
        // A trunk's own call does not come back to it.
        let (number, addr, transport) =
            if bob.addr == CARL { ("200", BOB, Transport::Udp) } else { ("300", CARL, Transport::Tcp) };
        let sent = bob.refers(&mut world, &format!("<sip:{number}@192.0.2.1>"));
        if sent[0].status() == 603 {
            break;
        }
        took += 1;
        let invite = only(&sent, "INVITE", addr).clone();
        let mut next = Party::new(addr, transport, "next", "");
        next.own.push_str(&took.to_string());
        let text = next.answer_text(&invite.text(), 200, "");
        next.send(&mut world, &text);
        let sent = world.take();
        let change = sent.iter().rfind(|sent| sent.what() == "INVITE").expect("a re-INVITE").text();
        let text = carl.answer_text(&change, 200, "");
        carl.send(&mut world, &text);
        world.take();
        // Bob leaves; whoever was called last goes on.
        assert_eq!(bob.asks(&mut world, "BYE").status(), 200);
        world.pass(40_000);
        world.take();
        carl.agrees_with(&mut world, &mut next, "INVITE");
        (bob, carl) = (carl, next);
    }
    assert_eq!(took, usize::from(crate::trunk::dialect::transfer::MAX_TRANSFERS) - 1);
}
