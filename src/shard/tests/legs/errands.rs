//! Requests of the edge's own inside calls that are up, and answers of its own.

use super::super::wire::{Sent, param};
use super::super::world::{ALICE, BOB, CARL, World};
use super::live::call;
use super::party::{Call, Party, SDP, owned, set_up, uri};
use crate::call::context::{BeginLocal, Context};
use crate::call::live::compose::{self, Asked};
use crate::call::live::errand::Invitation;
use crate::call::live::{Ack, End, Errand, LocalAnswer, Order, Purpose};
use crate::call::owned::{Behalf, LEG_STEP};
use crate::call::{Env, Output, Tools, key_parts};
use crate::shard::{Incoming, Shard};
use crate::sip::{Essentials, Framing, Message, Transport};
use crate::transaction::Key;

const NEW: &str = "v=0\r\no=- 9 9 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\n";

const STEP: Purpose = Purpose::Connect { step: 1 };

/// The edge sends a request on a leg of the only call.
fn ask(world: &mut World, end: End, method: &str, body: &str, ack: Ack) -> Vec<Sent> {
    world.with_call(|env, tools, _, id| {
        let Tools { lives, edits, orders, .. } = tools;
        let call = lives.get_mut(id).expect("the call");
        let asked = Asked { method, content_type: "application/sdp", body: body.as_bytes(), ..Asked::default() };
        let request = compose::request(env, edits, call, end, asked).expect("a request");
        orders.push(Order::Ask { errand: Errand { call: id, end, purpose: STEP }, request, ack });
    });
    world.take()
}

fn order(world: &mut World, order: impl FnOnce(Errand) -> Order, end: End) -> Vec<Sent> {
    world.with_call(|_, tools, _, call| tools.orders.push(order(Errand { call, end, purpose: STEP })));
    world.take()
}

/// The request is one of the dialog that the party has with the edge.
#[track_caller]
fn is_of_dialog(sent: &Sent, party: &Party) {
    assert_eq!((sent.to.to_string(), sent.transport), (party.addr.to_owned(), party.transport), "{}", sent.text());
    assert_eq!((sent.uri(), sent.header("Call-ID").unwrap()), (party.contact.clone(), party.call_id.clone()));
    let tag = |value: &str| param(value, "tag");
    assert_eq!(tag(&sent.header("From").unwrap()), tag(&party.other), "{}", sent.text());
    assert_eq!(tag(&sent.header("To").unwrap()), tag(&party.own), "{}", sent.text());
    assert_eq!(sent.headers("Via").len(), 1);
    assert_eq!(sent.header("Max-Forwards").as_deref(), Some("70"));
}

/// The party answers; gives what the edge sends then.
fn answers(world: &mut World, party: &mut Party, request: &Sent, status: u16) -> Vec<Sent> {
    let text = party.answer_text(&request.text(), status, "");
    party.send(world, &text);
    world.take()
}

#[test]
fn a_side_is_asked_and_its_2xx_acknowledged_with_all_its_copies() {
    for called in ["200", "300"] {
        for end in End::BOTH {
            let Call { mut world, mut caller, mut callee, .. } = call(called);
            let (near, far) = if end == End::Caller { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
            let sent = ask(&mut world, end, "INVITE", NEW, Ack::AtOnce).remove(0);
            assert_eq!(sent.what(), "INVITE");
            is_of_dialog(&sent, near);
            assert!(sent.text().ends_with(NEW), "{}", sent.text());
            assert!(
                uri(&sent.header("Contact").unwrap()).ends_with("@192.0.2.1:5060;transport=tcp")
                    == (near.transport == Transport::Tcp)
            );
            assert!(world.live().has_offer_under_way());
            assert!(answers(&mut world, near, &sent, 180).is_empty());
            let ack = answers(&mut world, near, &sent, 200);
            assert_eq!(ack.len(), 1, "{ack:?}");
            assert_eq!(ack[0].what(), "ACK");
            is_of_dialog(&ack[0], near);
            let number = |sent: &Sent| sent.header("CSeq").unwrap().split(' ').next().unwrap().to_owned();
            assert_eq!(number(&ack[0]), number(&sent));
            assert!(!world.live().has_offer_under_way());
            for _ in 0..2 {
                world.pass(500);
                let again = answers(&mut world, near, &sent, 200);
                assert_eq!(again.iter().map(Sent::text).collect::<Vec<_>>(), [ack[0].text()]);
            }
            // The Contact that it got leads to the other side, also when the process is another.
            near.agrees_with(&mut world, far, "INFO");
            far.agrees_with(&mut world, near, "INFO");
            world.restart();
            near.agrees_with(&mut world, far, "INVITE");
            far.agrees_with(&mut world, near, "BYE");
            world.finish_without_calls();
        }
    }
}

#[test]
fn numbers_rise_on_each_leg_whoever_asks() {
    let Call { mut world, mut caller, mut callee, .. } = call("200");
    let mut last = 0;
    let mut rises = |sent: &Sent| {
        let number: u32 = sent.header("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(number > last, "{number} after {last}");
        last = number;
    };
    for round in 0..600 {
        // More of the edge's own than it has numbers for between two of the caller's.
        if round % 290 == 289 {
            let info = caller.asks(&mut world, "INFO");
            rises(&info);
            let back = callee.answers(&mut world, &info, 200, "");
            assert_eq!(back.header("CSeq").unwrap(), format!("{} INFO", caller.cseq));
        }
        let sent = ask(&mut world, End::Callee, "NOTIFY", "", Ack::AtOnce).remove(0);
        rises(&sent);
        assert!(answers(&mut world, &mut callee, &sent, 200).is_empty());
    }
    // What was used up is known after a restart as well, once the caller has refreshed.
    let invite = caller.asks(&mut world, "INVITE");
    rises(&invite);
    caller.learns(&callee.answers(&mut world, &invite, 200, ""));
    let ack = caller.asks(&mut world, "ACK");
    assert_eq!(ack.header("CSeq").unwrap(), invite.header("CSeq").unwrap().replace("INVITE", "ACK"));
    world.restart();
    let bye = caller.asks(&mut world, "BYE");
    rises(&bye);
    world.finish();
}

/// What passed before the call was up counts as well.
#[test]
fn numbers_rise_above_those_of_the_early_dialog() {
    let mut world = owned();
    let mut caller = Party::new(ALICE, Transport::Udp, "alice", "200");
    let mut callee = Party::new(BOB, Transport::Udp, "bob", "");
    let invite = caller.asks(&mut world, "INVITE");
    caller.learns(&callee.answers(&mut world, &invite, 183, ""));
    let mut early = caller.clone();
    for _ in 0..3 {
        early.agrees_with(&mut world, &mut callee, "NOTIFY");
        callee.agrees_with(&mut world, &mut early, "NOTIFY");
    }
    caller.learns(&callee.answers(&mut world, &invite, 200, ""));
    for (end, last) in [(End::Callee, 4), (End::Caller, 3)] {
        let sent = ask(&mut world, end, "NOTIFY", "", Ack::AtOnce).remove(0);
        assert_eq!(sent.header("CSeq").unwrap(), format!("{} NOTIFY", last * 256 + 1));
    }
    world.finish();
}

/// After a restart the edge does not know what it sent to a side that has not been asked since.
#[test]
fn numbers_rise_after_a_restart_too() {
    for end in End::BOTH {
        let Call { mut world, mut caller, mut callee, .. } = call("200");
        for _ in 0..3 {
            callee.agrees_with(&mut world, &mut caller, "INFO");
        }
        world.restart();
        caller.agrees_with(&mut world, &mut callee, "INVITE");
        let sent = ask(&mut world, end, "NOTIFY", "", Ack::AtOnce).remove(0);
        let number: u32 = sent.header("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap();
        // The callee's last one was the third, and the caller's last is known.
        assert!(number > if end == End::Caller { 3 * 256 } else { 2 * 256 }, "{number}");
        let (near, far) = if end == End::Caller { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
        assert!(answers(&mut world, near, &sent, 200).is_empty());
        let info = far.asks(&mut world, "INFO");
        let next: u32 = info.header("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(next > number, "{next} after {number}");
        world.finish();
    }
}

#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let Call { mut world, mut callee, .. } = call("200");
    let sent = ask(&mut world, End::Callee, "INVITE", "", Ack::Later).remove(0);
    assert!(sent.header("Content-Type").is_none() && sent.text().ends_with("\r\n\r\n"));
    assert!(answers(&mut world, &mut callee, &sent, 200).is_empty());
    // Nothing can be said again as long as nothing was said.
    assert!(answers(&mut world, &mut callee, &sent, 200).is_empty());
    assert!(world.live().has_offer_under_way());
    let body: Box<[u8]> = NEW.as_bytes().into();
    let ack =
        order(&mut world, |errand| Order::Acknowledge { errand, content_type: "application/sdp", body }, End::Callee)
            .remove(0);
    is_of_dialog(&ack, &callee);
    assert!(ack.what() == "ACK" && ack.text().ends_with(NEW), "{}", ack.text());
    assert_eq!(answers(&mut world, &mut callee, &sent, 200)[0].text(), ack.text());
    assert!(!world.live().has_offer_under_way());
    world.finish();
}

#[test]
fn refusals_and_silence_end_an_errand() {
    for status in [491, 481, 0] {
        let Call { mut world, mut callee, mut caller, .. } = call("200");
        let sent = ask(&mut world, End::Callee, "INVITE", NEW, Ack::AtOnce).remove(0);
        if status == 0 {
            world.pass(33_000);
            world.take();
        } else {
            let ack = answers(&mut world, &mut callee, &sent, status);
            assert_eq!(ack.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK"]);
        }
        assert!(world.live().errands.is_empty() && !world.live().has_offer_under_way());
        caller.agrees_with(&mut world, &mut callee, "BYE");
        world.finish_without_calls();
    }
}

#[test]
fn an_errand_is_given_up_when_the_call_ends() {
    let Call { mut world, mut caller, mut callee, .. } = call("200");
    let sent = ask(&mut world, End::Callee, "INVITE", NEW, Ack::AtOnce).remove(0);
    assert!(answers(&mut world, &mut callee, &sent, 180).is_empty());
    let text = caller.request("BYE");
    caller.send(&mut world, &text);
    let out = world.expect(&["BYE 192.0.2.20:5060", "CANCEL 192.0.2.20:5060"]);
    assert_eq!(out[1].header("CSeq").unwrap(), sent.header("CSeq").unwrap().replace("INVITE", "CANCEL"));
    let text = callee.answer_text(&sent.text(), 487, "");
    callee.send(&mut world, &text);
    world.expect(&["ACK 192.0.2.20:5060"]);
    world.finish_without_calls();
}

/// The caller's INVITE to somebody else, in its name.
fn invite(world: &mut World, number: &str) -> Vec<Sent> {
    world.with_call(|env, tools, _, id| {
        let call = tools.lives.get(id).expect("the call");
        let leg = call.leg(End::Caller);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let request = format!(
            "INVITE sip:{number}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP edge.invalid;branch=z9hG4bK0\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: <sip:{number}@192.0.2.1>\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\nContact: <{}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
            text(&leg.peer), text(&leg.call_id), text(&leg.target), leg.sdp.len(), text(&leg.sdp)
        );
        let from = leg.trunk(env.edge).expect("a trunk");
        tools.orders.push(Order::Invite(Box::new(Invitation {
            errand: Errand { call: id, end: End::Callee, purpose: Purpose::Target },
            request: request.into(),
            from: from.id,
            listener: leg.listener,
            behalf: std::sync::Arc::new(Behalf {
                leg: call.leg + LEG_STEP,
                known_as: leg.own_tag().into(),
                site: leg.site,
                back_offset: 0,
            }),
            to: None,
            ack: Ack::AtOnce,
        })));
    });
    world.take()
}

#[test]
fn an_invite_in_a_sides_name_takes_the_normal_way() {
    let Call { mut world, callee, .. } = call("200");
    let sent = invite(&mut world, "300").remove(0);
    assert_eq!((sent.what().as_str(), sent.to), ("INVITE", CARL.parse().unwrap()));
    assert_ne!(sent.header("Call-ID").unwrap(), callee.call_id);
    assert!(sent.header("From").unwrap().ends_with(";tag=of-alice") && sent.text().ends_with(SDP));
    let mut carl = Party::new(CARL, Transport::Tcp, "carl", "");
    assert!(answers(&mut world, &mut carl, &sent, 180).is_empty());
    let ack = answers(&mut world, &mut carl, &sent, 200).remove(0);
    assert_eq!((ack.what().as_str(), ack.uri()), ("ACK", carl.contact.clone()));
    assert_eq!(ack.header("Call-ID").unwrap(), carl.call_id);
    assert_eq!(answers(&mut world, &mut carl, &sent, 200)[0].text(), ack.text());
    // Another phone behind it that answers as well is hung up on.
    let mut other = Party::new(CARL, Transport::Tcp, "other", "");
    let both = answers(&mut world, &mut other, &sent, 200);
    assert_eq!(both.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(both.iter().all(|sent| sent.uri() == other.contact));
    assert_eq!(world.calls().len(), 1, "whoever invited makes a call of it, nobody else");
    world.finish();
}

#[test]
fn an_invite_in_a_sides_name_fails_over_and_is_given_up() {
    let Call { mut world, .. } = call("200");
    let first = invite(&mut world, "400").remove(0);
    let mut busy = Party::new("192.0.2.41:5060", Transport::Udp, "busy", "");
    let next = answers(&mut world, &mut busy, &first, 503);
    assert_eq!(
        next.iter().map(|sent| format!("{} {}", sent.what(), sent.to)).collect::<Vec<_>>(),
        ["ACK 192.0.2.41:5060", "INVITE 192.0.2.42:5060"]
    );
    let mut second = Party::new("192.0.2.42:5060", Transport::Udp, "second", "");
    assert!(answers(&mut world, &mut second, &next[1], 180).is_empty());
    world.with_call(|_, tools, _, call| {
        let errand = Errand { call, end: End::Callee, purpose: Purpose::Target };
        tools.orders.push(Order::Cancel { errand });
    });
    let cancel = world.expect_one("CANCEL 192.0.2.42:5060");
    assert_eq!(cancel.header("Call-ID"), next[1].header("Call-ID"));
    // It has answered before the CANCEL came: nobody wants it any more.
    let both = answers(&mut world, &mut second, &next[1], 200);
    assert_eq!(both.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(world.live().errands.is_empty());
    world.finish();
}

/// A request of a party is one that the edge answers itself.
fn takes(world: &mut World, party: &Party, text: &str, answer: Option<&LocalAnswer>) {
    let message = Message::parse(text.to_owned().into(), Framing::Datagram, &world.edge.limits).unwrap();
    let (flow, edge) = (World::flow(party.transport, party.addr.parse().unwrap()), world.edge.clone());
    let from = edge.identify.trunk(flow.listener, flow.remote.ip(), &[]).expect("a trunk");
    world.with_shard(&party.call_id, |env, shard, out| {
        let essentials = Essentials::of_request(&message, &edge.limits).unwrap();
        let incoming = Incoming { flow, from, former: false, request: &message, essentials: &essentials };
        begin_local(env, shard, out, &incoming, answer);
    });
}

fn begin_local(
    env: &Env<'_>,
    shard: &mut Shard,
    out: &mut Output,
    incoming: &Incoming<'_>,
    answer: Option<&LocalAnswer>,
) {
    let Incoming { flow, from, request, essentials, .. } = *incoming;
    let known = shard.known_leg(env, essentials);
    let call = known.and_then(|known| match known {
        crate::call::live::Known::Up(id, end) => Some((id, end)),
        _ => None,
    });
    let begin = BeginLocal { id: shard.next_id(env), flow, request, essentials, from, call };
    let context = Context::begin_local(env, &mut shard.tools, out, begin, answer);
    let key = Key::of_request(&env.secrets.hash, &key_parts(request, essentials));
    shard.enter(env, out, incoming, Some(key), context);
    shard.work_off(env, out);
}

#[test]
fn the_edge_answers_itself_and_absorbs_copies() {
    let Call { mut world, mut caller, .. } = call("200");
    let info = caller.request("INFO");
    let answer = LocalAnswer {
        headers: b"Content-Type: text/plain\r\n".to_vec(),
        body: b"well".to_vec(),
        ..LocalAnswer::new(200, "OK")
    };
    takes(&mut world, &caller, &info, Some(&answer));
    let ok = world.expect_one("200 192.0.2.10:5060");
    assert_eq!((ok.header("CSeq"), ok.header("Content-Length")), (Some("2 INFO".to_owned()), Some("4".to_owned())));
    assert!(ok.text().ends_with("\r\n\r\nwell"));
    caller.learns(&ok);
    caller.send(&mut world, &info);
    assert_eq!(world.expect_one("200 192.0.2.10:5060").text(), ok.text());
    world.finish();
}

#[test]
fn a_2xx_of_the_edges_own_is_sent_until_its_ack_comes() {
    for called in ["200", "300"] {
        // Whoever sends it over a stream waits for the ACK as well.
        let Call { mut world, mut caller, mut callee, .. } = call(called);
        let invite = callee.request("INVITE");
        takes(&mut world, &callee, &invite, None);
        assert_eq!(world.expect(&[&format!("100 {}", callee.addr)]).len(), 1);
        callee.send(&mut world, &invite);
        if called == "200" {
            world.expect_one("100 192.0.2.20:5060");
        }
        let answer = LocalAnswer {
            headers: b"Contact: <sip:kept@192.0.2.1>\r\nContent-Type: application/sdp\r\n".to_vec(),
            body: NEW.into(),
            ..LocalAnswer::new(200, "OK")
        };
        let context = world.only_context();
        world.with_call(|_, tools, _, _| tools.orders.push(Order::Answer { context, answer }));
        let ok = world.expect_one(&format!("200 {}", callee.addr));
        world.pass(1_600);
        let copies = world.take();
        assert_eq!(copies.len(), 2);
        assert!(copies.iter().all(|copy| copy.text() == ok.text()));
        let ack = callee.request("ACK");
        for _ in 0..2 {
            callee.send(&mut world, &ack);
            world.expect(&[]);
        }
        world.pass(20_000);
        world.expect(&[]);
        // An ACK for another INVITE goes on.
        callee.agrees_with(&mut world, &mut caller, "INVITE");
        caller.agrees_with(&mut world, &mut callee, "BYE");
        world.finish_without_calls();
    }
}

#[test]
fn a_2xx_that_is_never_acknowledged_ends_the_call() {
    let Call { mut world, caller, callee, .. } = call("200");
    let mut caller = caller;
    let invite = caller.request("INVITE");
    takes(&mut world, &caller, &invite, Some(&LocalAnswer::new(200, "OK")));
    world.pass(32_100);
    let sent = world.take();
    let copies = sent.iter().filter(|sent| sent.status() == 200).count();
    assert_eq!(copies, 11, "as RFC 3261 section 13.3.1.4 says");
    let byes: Vec<_> = sent.iter().filter(|sent| sent.what() == "BYE").collect();
    assert_eq!(byes.iter().map(|bye| bye.to.to_string()).collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert_eq!(byes[0].header("Reason").as_deref(), Some("SIP;cause=408;text=\"No ACK\""));
    for (bye, party) in byes.iter().zip([&caller, &callee]) {
        party.send(&mut world, &party.clone().answer_text(&bye.text(), 200, ""));
    }
    world.finish_without_calls();
}

#[test]
fn what_a_machine_forgets_to_answer_is_answered() {
    let Call { mut world, mut caller, .. } = call("200");
    let info = caller.request("INFO");
    takes(&mut world, &caller, &info, None);
    world.pass(70_000);
    world.expect(&[]);
    assert_eq!(world.len(), 0, "RFC 4320: nothing is said so late");
    let invite = caller.request("INVITE");
    takes(&mut world, &caller, &invite, None);
    world.take();
    world.pass(201_000);
    let late = world.take();
    assert_eq!(late[0].status(), 500);
    world.finish();
}

#[test]
fn a_request_that_was_taken_is_cancelled() {
    let Call { mut world, mut caller, .. } = call("200");
    let invite = caller.request("INVITE");
    takes(&mut world, &caller, &invite, None);
    let cancel = caller.request("CANCEL").replace("2CANCEL\r\n", "2INVITE\r\n");
    caller.send(&mut world, &cancel);
    world.expect(&["100 192.0.2.10:5060", "200 192.0.2.10:5060", "487 192.0.2.10:5060"]);
    let ack = caller.request("ACK").replace("2ACK\r\n", "2INVITE\r\n");
    caller.send(&mut world, &ack);
    world.expect(&[]);
    world.finish();
}

/// Sides behind a strict router and with routes are reached as RFC 3261 section 12.2.1.1 says.
#[test]
fn routes_of_a_leg_are_followed() {
    for (record, uri, routes) in [
        (
            "<sip:192.0.2.22:5070;lr>, <sip:two.example;lr>",
            "sip:bob@192.0.2.20:5060",
            ["<sip:two.example;lr>", "<sip:192.0.2.22:5070;lr>"],
        ),
        (
            "<sip:192.0.2.22:5070;lr>, <sip:192.0.2.23:5070>",
            "sip:192.0.2.23:5070",
            ["<sip:192.0.2.22:5070;lr>", "<sip:bob@192.0.2.20:5060>"],
        ),
    ] {
        let record = format!("Record-Route: {record}\r\n");
        let bob = Party::new(BOB, Transport::Udp, "bob", "");
        let alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        let mut world = owned();
        world.know("two.example", &["192.0.2.24:5060"]);
        let Call { mut world, callee, .. } = set_up(world, alice, bob, "", &record);
        let sent = ask(&mut world, End::Callee, "INVITE", NEW, Ack::AtOnce).remove(0);
        assert_eq!((sent.uri(), sent.headers("Route")), (uri.to_owned(), routes.map(str::to_owned).to_vec()));
        let text = callee.clone().answer_text(&sent.text(), 200, "");
        world.arrive(Transport::Udp, BOB.parse().unwrap(), text.as_bytes());
        let ack = world.take().remove(0);
        assert_eq!((ack.uri(), ack.headers("Route")), (uri.to_owned(), routes.map(str::to_owned).to_vec()));
        world.finish();
    }
}
