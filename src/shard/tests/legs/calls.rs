//! Setting up, changing and ending a call, with and without the process that it began in.

use super::super::office::{SITE, TEAMS, office};
use super::super::wire::Request;
use super::super::world::{ALICE, BOB, CARL, World, own_all_legs};
use super::party::{Call, Party, owned, set_up, uri, user};
use crate::sip::Transport;

fn alice(called: &str) -> Party {
    Party::new(ALICE, Transport::Udp, "alice", called)
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

fn carl() -> Party {
    Party::new(CARL, Transport::Tcp, "carl", "")
}

fn call(called: &str) -> Call {
    let callee = if called == "200" { bob() } else { carl() };
    set_up(owned(), alice(called), callee, "", "")
}

#[test]
fn each_side_has_a_dialog_with_the_edge() {
    let Call { world, caller, callee, seen } = call("200");
    let [invite, ringing, ok, ack] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(invite.headers("Via").len(), 1);
    assert!(invite.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch="));
    assert_eq!(invite.headers("Record-Route"), [""; 0]);
    assert_eq!(invite.header("From").unwrap(), "\"alice\" <sip:alice@192.0.2.1;user=phone>;tag=of-alice");
    assert_eq!(invite.header("To").unwrap(), "<sip:200@192.0.2.1>");
    assert_eq!(invite.uri(), "sip:200@192.0.2.20:5060");
    assert_ne!(callee.call_id, caller.call_id);
    assert!(!callee.call_id.contains('@'), "{}", callee.call_id);
    for contact in [invite.header("Contact").unwrap(), ok.header("Contact").unwrap()] {
        assert!(uri(&contact).ends_with("@192.0.2.1:5060") && uri(&contact).len() <= 254, "{contact}");
    }
    for answer in [ringing, ok] {
        assert_eq!(answer.headers("Via"), [format!("SIP/2.0/UDP {ALICE};branch=z9hG4bKof-alice1INVITE")]);
        assert_eq!(answer.headers("Record-Route"), [""; 0]);
        assert_eq!(answer.to_tag().as_deref(), Some("of-bob"));
    }
    assert_eq!((ack.uri(), ack.header("CSeq").unwrap()), (callee.contact, "256 ACK".to_owned()));
    world.finish();
}

#[test]
fn requests_pass_in_both_directions_over_all_transports() {
    for called in ["200", "300"] {
        let Call { mut world, mut caller, mut callee, .. } = call(called);
        for method in ["INVITE", "UPDATE", "INFO", "NOTIFY", "MESSAGE", "OPTIONS", "X-NEW", "INVITE"] {
            caller.agrees_with(&mut world, &mut callee, method);
            callee.agrees_with(&mut world, &mut caller, method);
        }
        callee.agrees_with(&mut world, &mut caller, "BYE");
        world.finish();
    }
}

#[test]
fn a_call_lives_on_when_the_process_is_killed() {
    for called in ["200", "300"] {
        for ends in [false, true] {
            let Call { mut world, mut caller, mut callee, .. } = call(called);
            world.restart();
            assert_eq!(world.len(), 0);
            caller.agrees_with(&mut world, &mut callee, "INVITE");
            world.restart();
            callee.agrees_with(&mut world, &mut caller, "INVITE");
            world.restart();
            let (from, to) = if ends { (&mut callee, &mut caller) } else { (&mut caller, &mut callee) };
            from.agrees_with(&mut world, to, "BYE");
            world.finish();
        }
    }
}

/// Another node has the keys and a configuration of its own, in which nothing routes these numbers any more.
#[test]
fn a_call_lives_on_at_a_node_that_has_only_the_keys() {
    let Call { mut caller, mut callee, .. } = call("200");
    let mut other = World::with(own_all_legs, 10);
    let routing = crate::routing::Routing::default();
    other.edge = std::sync::Arc::new(other.edge.with_routing(routing));
    callee.agrees_with(&mut other, &mut caller, "INVITE");
    caller.agrees_with(&mut other, &mut callee, "INVITE");
    caller.agrees_with(&mut other, &mut callee, "BYE");
    other.finish();
}

#[test]
fn one_side_that_is_not_transparent_is_enough() {
    for owner in ["alice", "bob"] {
        let world = World::with(
            |edge| {
                let trunks = &mut std::sync::Arc::make_mut(&mut edge.trunks).0;
                trunks.iter_mut().filter(|trunk| &*trunk.name == owner).for_each(|trunk| trunk.transparent = false);
            },
            1_000,
        );
        let Call { mut world, mut caller, mut callee, seen } = set_up(world, alice("200"), bob(), "", "");
        assert_ne!(callee.call_id, caller.call_id);
        assert_eq!(seen[0].headers("Record-Route"), [""; 0]);
        callee.agrees_with(&mut world, &mut caller, "BYE");
        world.finish();
    }
}

#[test]
fn early_dialogs_of_a_fork_stay_apart() {
    let mut world = owned();
    let mut caller = alice("500");
    let text = caller.request("INVITE");
    caller.send(&mut world, &text);
    let sent: Vec<_> = world.take().into_iter().filter(|sent| sent.what() == "INVITE").collect();
    assert_eq!(sent.len(), 3);
    let phone = |addr, user| Party::new(addr, Transport::Udp, user, "");
    let mut phones =
        [phone("192.0.2.51:5060", "one"), phone("192.0.2.52:5060", "two"), phone("192.0.2.53:5060", "three")];
    let mut sides = Vec::new();
    for (phone, invite) in phones.iter_mut().zip(&sent) {
        // A proxy behind the target forks as well: two tags on one branch.
        for tag in ["", "-b"] {
            let mut phone = phone.clone();
            phone.own.push_str(tag);
            phone.contact = phone.contact.replace('@', &format!("{tag}@"));
            let ringing = phone.answers(&mut world, invite, 180, "");
            let mut side = caller.clone();
            side.cseq += 10 * sides.len() as u32;
            side.learns(&ringing);
            sides.push((side, phone));
        }
    }
    for (side, phone) in &mut sides {
        side.agrees_with(&mut world, phone, "PRACK");
        phone.agrees_with(&mut world, side, "UPDATE");
    }
    let (mut side, mut phone) = sides.swap_remove(3);
    let text = phone.answer_text(&sent[1].text(), 200, "");
    phone.send(&mut world, &text);
    let mut after = world.take();
    let ok = after.remove(0);
    assert_eq!(after.iter().map(super::super::wire::Sent::what).collect::<Vec<_>>(), ["CANCEL", "CANCEL"]);
    side.learns(&ok);
    assert_eq!(side.asks(&mut world, "ACK").uri(), phone.contact);
    phone.agrees_with(&mut world, &mut side, "BYE");
    world.finish();
}

#[test]
fn the_next_target_gets_the_same_call_under_the_same_call_id() {
    let mut world = owned();
    let mut caller = alice("400");
    let first = caller.asks(&mut world, "INVITE");
    let mut busy = Party::new("192.0.2.41:5060", Transport::Udp, "first", "");
    let second = busy.answers(&mut world, &first, 503, "");
    assert_eq!((second.what().as_str(), second.to.to_string().as_str()), ("INVITE", "192.0.2.42:5060"));
    assert_eq!(second.header("Call-ID"), first.header("Call-ID"));
    let mut callee = Party::new("192.0.2.42:5060", Transport::Udp, "second", "");
    caller.learns(&callee.answers(&mut world, &second, 200, ""));
    assert_eq!(caller.asks(&mut world, "ACK").uri(), callee.contact);
    callee.agrees_with(&mut world, &mut caller, "BYE");
    world.finish();
}

#[test]
fn refusals_and_the_edges_own_answers_are_of_the_callers_leg() {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "INVITE");
    let warning = "Warning: 399 192.0.2.20 \"no, thanks\"\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    let refused = bob().answers(&mut world, &sent, 486, warning);
    caller.clone().learns(&refused);
    assert_eq!((refused.status(), refused.header("Contact")), (486, None));
    assert_eq!(refused.header("Warning").as_deref(), Some("399 192.0.2.1 \"no, thanks\""));
    assert_eq!(refused.header("Server"), None);
    assert!(refused.header("Proxy-Authenticate").is_some());

    // A redirection leads back to the edge.
    let mut caller = Party { call_id: "redirected".to_owned(), ..alice("200") };
    let sent = caller.asks(&mut world, "INVITE");
    let moved = bob().answers(&mut world, &sent, 302, "");
    assert_eq!(moved.header("Contact").as_deref(), Some("<sip:bob@192.0.2.1:5060>"));

    // Nobody answers: what the edge says itself is made of what it kept of the request.
    let mut caller = Party { call_id: "silence".to_owned(), ..alice("200") };
    let text = caller.request("INVITE");
    caller.send(&mut world, &text);
    world.take();
    world.pass(40_000);
    let late = world.take().into_iter().rfind(|sent| sent.status() == 408).expect("a 408");
    caller.learns(&late);
    world.finish();
}

#[test]
fn a_cancelled_call_is_ended_on_both_legs() {
    let mut world = owned();
    let mut caller = alice("300");
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = carl();
    let ringing = callee.answers(&mut world, &sent, 180, "");
    assert_eq!(ringing.status(), 180);
    let cancel = caller.request("CANCEL").replace("1CANCEL\r\n", "1INVITE\r\n");
    caller.send(&mut world, &cancel);
    let both = world.expect(&["200 192.0.2.10:5060", "CANCEL 192.0.2.30:5060"]);
    assert_eq!(both[1].header("Call-ID").as_ref(), Some(&callee.call_id));
    let text = callee.answer_text(&sent.text(), 487, "");
    callee.send(&mut world, &text);
    let ended = world.expect(&["ACK 192.0.2.30:5060", "487 192.0.2.10:5060"]);
    assert_eq!(ended[0].header("Call-ID").as_ref(), Some(&callee.call_id));
    caller.learns(&ended[1]);
    world.finish();
}

/// The carrier's side of a call that leaves the edge and comes in again is another leg, with another Call-ID.
#[test]
fn a_call_that_comes_back_has_another_call_id_on_every_leg() {
    let mut world = owned();
    let mut caller = alice("800");
    let first = caller.asks(&mut world, "INVITE");
    let mut echo = Party::new("192.0.2.80:5060", Transport::Udp, "echo", "");
    // The peer is a proxy: it sends the very request back, and stays in its path.
    let back = first
        .text()
        .replacen(
            "Via: ",
            "Via: SIP/2.0/UDP 192.0.2.80:5060;branch=z9hG4bKback\r\nRecord-Route: <sip:192.0.2.80;lr>\r\nVia: ",
            1,
        )
        .replace("sip:800@192.0.2.80:5060 SIP", "sip:800@192.0.2.1 SIP");
    echo.send(&mut world, &back);
    let second = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("the second pass");
    let ids = [caller.call_id.clone(), first.header("Call-ID").unwrap(), second.header("Call-ID").unwrap()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    // The far end answers the second; through both passes the caller gets it.
    let ok = echo.answers(&mut world, &second, 200, "");
    assert_eq!((ok.to.to_string().as_str(), ok.headers("Via").len()), ("192.0.2.80:5060", 2));
    let text = ok.text().replacen("Via: SIP/2.0/UDP 192.0.2.80:5060;branch=z9hG4bKback\r\n", "", 1);
    echo.send(&mut world, &text);
    let ok = world.take().remove(0);
    caller.learns(&ok);
    // The BYE goes the same way, pass by pass.
    let bye = caller.asks(&mut world, "BYE");
    assert_eq!((bye.header("Call-ID").unwrap(), bye.to.to_string()), (ids[1].clone(), "192.0.2.80:5060".to_owned()));
    assert_eq!(bye.headers("Route"), ["<sip:192.0.2.80;lr>"]);
    let back = bye
        .text()
        .replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.80:5060;branch=z9hG4bKbye\r\nVia: ", 1)
        .replace("Route: <sip:192.0.2.80;lr>\r\n", "");
    echo.send(&mut world, &back);
    let bye = world.expect_one("BYE 192.0.2.80:5060");
    assert_eq!((bye.header("Call-ID").unwrap(), bye.uri()), (ids[2].clone(), echo.contact.clone()));
    let ok = echo.answers(&mut world, &bye, 200, "");
    assert_eq!(ok.header("Call-ID").unwrap(), ids[1]);
    world.finish();
}

#[test]
fn a_call_that_goes_round_and_round_is_ended() {
    let mut world = owned();
    let mut caller = Party { call_id: "round".to_owned(), ..alice("800") };
    let mut text = caller.request("INVITE");
    caller.send(&mut world, &text);
    for pass in 1..10 {
        let sent = world.take();
        let Some(next) = sent.iter().find(|sent| sent.what() == "INVITE") else {
            assert!(pass > 3 && sent.iter().any(|sent| sent.status() == 482), "pass {pass}: {sent:?}");
            return;
        };
        text = next.text().replace("sip:800@192.0.2.80:5060 SIP", "sip:800@192.0.2.1 SIP");
        text = text.replacen("Via: ", &format!("Via: SIP/2.0/UDP 192.0.2.80:5060;branch=z9hG4bK{pass}\r\nVia: "), 1);
        world.udp("192.0.2.80:5060", &text);
    }
    panic!("it goes on and on");
}

/// Requests outside of dialogs pass as well, and bring nothing of the other side.
#[test]
fn requests_outside_of_dialogs_cross_too() {
    let mut world = owned();
    let mut caller = alice("200");
    let sent = caller.asks(&mut world, "MESSAGE");
    assert_eq!((sent.what().as_str(), sent.headers("Via").len()), ("MESSAGE", 1));
    assert_ne!(sent.header("Call-ID").unwrap(), caller.call_id);
    let ok = bob().answers(&mut world, &sent, 200, "");
    caller.learns(&ok);
    world.finish();
}

#[test]
fn what_no_token_proves_is_of_no_call() {
    let mut world = owned();
    let bye = Request::new("BYE", "sip:b@192.0.2.20", "1").tagged("b");
    world.request(ALICE, &bye);
    world.expect(&["481 192.0.2.10:5060"]);
    let ack = Request::new("ACK", "sip:b@192.0.2.20", "1").tagged("b");
    world.request(ALICE, &ack);
    world.expect(&[]);
    world.finish();
}

/// The office's tenants: what Teams is called by, in both directions.
#[test]
fn teams_knows_the_edge_by_the_name_of_the_tenants_site() {
    let teams = || Party::new(TEAMS, Transport::Udp, "+441632768499", "");
    let mut world = office(1_000);
    own_all_legs(std::sync::Arc::make_mut(&mut world.edge));
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "+441632768401");
    let sent: Vec<_> = {
        let text = pbx.request("INVITE");
        pbx.send(&mut world, &text);
        world.take().into_iter().filter(|sent| sent.to == TEAMS.parse().unwrap()).collect()
    };
    let [invite] = &sent[..] else { panic!("{sent:?}") };
    let name = format!("@{SITE}");
    assert!(uri(&invite.header("Contact").unwrap()).ends_with(&format!("{name}:5060")), "{}", invite.text());
    for header in ["From", "To"] {
        assert!(invite.header(header).unwrap().contains(&name), "{}", invite.text());
    }
    let mut callee = teams();
    pbx.learns(&callee.answers(&mut world, invite, 200, ""));
    assert!(pbx.target.ends_with("@192.0.2.1:5060"), "the PBX knows the edge by its own name: {}", pbx.target);
    world.restart();
    // A request of the PBX's still shows the tenant's name to Teams, and so does the answer to one of Teams'.
    let again = pbx.asks(&mut world, "INVITE");
    assert!(uri(&again.header("Contact").unwrap()).ends_with(&format!("{name}:5060")), "{}", again.text());
    assert!(again.header("From").unwrap().contains(&name) && again.header("To").unwrap().contains(&name));
    pbx.learns(&callee.answers(&mut world, &again, 200, ""));
    let hold = callee.asks(&mut world, "INVITE");
    assert_eq!(hold.to, BOB.parse().unwrap());
    let back = pbx.answers(&mut world, &hold, 200, "");
    assert!(uri(&back.header("Contact").unwrap()).ends_with(&format!("{name}:5060")), "{}", back.text());
    assert!(user(&callee.target).len() > 40);
    world.finish();
}
