//! Contacts that change in mid-call, and proxies between the edge and a peer.

use proptest::prelude::*;

use super::super::world::{ALICE, BOB, CARL};
use super::party::{Call, Party, owned, set_up};
use crate::sip::Transport;

const PROXY: &str = "<sip:192.0.2.22:5070;lr>";
const SECOND: &str = "<sip:192.0.2.23;lr;x=y>";

fn alice() -> Party {
    Party::new(ALICE, Transport::Udp, "alice", "200")
}

fn bob() -> Party {
    Party::new(BOB, Transport::Udp, "bob", "")
}

#[test]
fn a_new_contact_is_where_requests_go_from_then_on() {
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), alice(), bob(), "", "");
    for (turn, contact) in ["sip:bob@192.0.2.20:5099", "sip:bob@192.0.2.20;transport=tcp;x=1"].into_iter().enumerate() {
        // By a request of the callee's and the 2xx to it, and by a request of the caller's and the 2xx to that.
        callee.contact = contact.to_owned();
        caller.contact = format!("sip:alice@192.0.2.10:50{turn}0");
        if turn == 0 {
            let update = callee.asks(&mut world, "UPDATE");
            caller.target = super::party::uri(&update.header("Contact").unwrap());
            let back = caller.answers(&mut world, &update, 200, "");
            callee.learns(&back);
        } else {
            let update = caller.asks(&mut world, "UPDATE");
            assert_eq!(update.uri(), "sip:bob@192.0.2.20:5099");
            let text = callee.answer_text(&update.text(), 200, "");
            world.udp("192.0.2.20:5099", &text);
            let back = world.take().remove(0);
            caller.learns(&back);
        }
        world.restart();
        let info = caller.asks(&mut world, "INFO");
        assert_eq!(info.uri(), contact);
        let info = callee.asks(&mut world, "INFO");
        assert_eq!((info.uri(), info.to.port()), (caller.contact.clone(), 5000 + 10 * turn as u16));
    }
}

/// What the far side's proxies said of themselves is followed; its Contact is not dialled.
#[test]
fn a_route_set_is_followed_to_the_callee() {
    let routes = format!("Record-Route: {SECOND}\r\nRecord-Route: {PROXY}\r\n");
    let Call { mut world, mut caller, callee, seen } = set_up(owned(), alice(), bob(), "", &routes);
    for sent in &seen[1..3] {
        assert_eq!(sent.headers("Record-Route"), [""; 0], "{}", sent.text());
    }
    let ack = &seen[3];
    assert_eq!((ack.to.to_string().as_str(), ack.uri()), ("192.0.2.22:5070", callee.contact.clone()));
    assert_eq!(ack.headers("Route"), [PROXY, SECOND], "in reverse of how they were recorded");
    world.restart();
    let mut again = caller.asks(&mut world, "INVITE");
    assert_eq!(again.headers("Route"), [PROXY, SECOND]);
    // A refresh that the callee sends through its proxy, which records itself again, keeps them.
    let mut behind = Party { addr: "192.0.2.22:5070", ..callee };
    again.to = "192.0.2.22:5070".parse().unwrap();
    let text = behind.answer_text(&again.text(), 200, "");
    world.udp(BOB, &text);
    let ok = world.take().remove(0);
    caller.learns(&ok);
    assert_eq!(caller.asks(&mut world, "BYE").headers("Route"), [PROXY, SECOND]);
}

/// The caller is behind proxies: the callee's requests go there, and go on to do so after the caller's refresh.
#[test]
fn a_route_set_is_followed_to_the_caller() {
    let routes = format!("Record-Route: {SECOND}, {PROXY}\r\n");
    let Call { mut world, mut caller, mut callee, seen } = set_up(owned(), alice(), bob(), &routes, "");
    assert_eq!(seen[2].headers("Record-Route"), [format!("{SECOND}, {PROXY}")], "the caller's own record goes back");
    assert_eq!(seen[0].headers("Record-Route"), [""; 0]);
    caller.routes = Vec::new();
    for turn in 0..3 {
        world.restart();
        let info = callee.asks(&mut world, "INFO");
        assert_eq!((info.to.to_string().as_str(), info.uri()), ("192.0.2.23:5060", caller.contact.clone()), "{turn}");
        assert_eq!(info.headers("Route"), [SECOND, PROXY]);
        // The caller's refreshes say nothing of proxies.
        caller.agrees_with(&mut world, &mut callee, "INVITE");
        callee.target = callee.target.clone();
    }
}

/// The callee's proxies record themselves in its re-INVITE, as those of Teams do: the caller's next request knows.
#[test]
fn routes_of_a_callee_that_refreshes_are_kept() {
    let record = format!("Record-Route: {PROXY}\r\n");
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), alice(), bob(), "", &record);
    callee.extra.push_str(&record);
    callee.cseq = 10;
    let hold = callee.asks(&mut world, "INVITE");
    assert_eq!(hold.headers("Record-Route"), [""; 0]);
    let back = caller.answers(&mut world, &hold, 200, "");
    assert_eq!(back.headers("Record-Route"), [PROXY]);
    callee.learns(&back);
    world.restart();
    let bye = caller.asks(&mut world, "BYE");
    assert_eq!((bye.headers("Route"), bye.uri()), (vec![PROXY.to_owned()], callee.contact.clone()));
}

/// Kamailio's proxies, as many are set up, record themselves in the first INVITE and its 2xx only. The callee's token is
/// older than what the 2xx said.
#[test]
fn routes_of_a_callee_are_kept_when_its_first_refresh_does_not_name_them() {
    let record = format!("Record-Route: {SECOND}\r\nRecord-Route: {PROXY}\r\n");
    let Call { mut world, mut caller, mut callee, .. } = set_up(owned(), alice(), bob(), "", &record);
    world.restart();
    let hold = callee.asks(&mut world, "INVITE");
    let back = caller.answers(&mut world, &hold, 200, "");
    callee.learns(&back);
    world.restart();
    let mut again = caller.asks(&mut world, "INVITE");
    assert_eq!(
        (again.headers("Route"), again.uri()),
        (vec![PROXY.to_owned(), SECOND.to_owned()], callee.contact.clone())
    );
    again.to = BOB.parse().unwrap();
    let ok = callee.answers(&mut world, &again, 200, "");
    caller.learns(&ok);
    let bye = caller.asks(&mut world, "BYE");
    assert_eq!(bye.headers("Route"), [PROXY, SECOND]);
}

/// A store that is half full takes only what calls cannot do without: the target is still reached.
#[test]
fn a_call_does_without_the_routes_that_were_not_kept() {
    let record = format!("Record-Route: {PROXY}\r\n");
    let mut world = owned();
    world.kept.room = crate::call::stored::Room::Little;
    let Call { mut world, mut caller, mut callee, .. } = set_up(world, alice(), bob(), "", &record);
    assert!(world.kept.states.is_empty());
    world.restart();
    let hold = callee.asks(&mut world, "INVITE");
    let back = caller.answers(&mut world, &hold, 200, "");
    callee.learns(&back);
    let bye = caller.asks(&mut world, "BYE");
    assert_eq!((bye.uri(), bye.headers("Route").len()), (callee.contact.clone(), 0));
}

#[test]
fn a_strict_router_gets_its_own_uri() {
    let record = "Record-Route: <sip:192.0.2.22:5070>\r\n";
    let Call { callee, seen, .. } = set_up(owned(), alice(), bob(), "", record);
    let ack = &seen[3];
    assert_eq!((ack.to.to_string().as_str(), ack.uri().as_str()), ("192.0.2.22:5070", "sip:192.0.2.22:5070"));
    assert_eq!(ack.headers("Route"), [format!("<{}>", callee.contact)]);
}

#[test]
fn copies_of_an_answer_reach_the_caller_and_are_acknowledged_each() {
    let mut world = owned();
    let mut caller = Party::new(ALICE, Transport::Udp, "alice", "300");
    let sent = caller.asks(&mut world, "INVITE");
    let mut callee = Party::new(CARL, Transport::Tcp, "carl", "");
    let text = callee.answer_text(&sent.text(), 200, "");
    for copy in 0..4 {
        callee.send(&mut world, &text);
        let ok = world.expect_one("200 192.0.2.10:5060");
        if copy == 0 {
            caller.learns(&ok);
        }
        let ack = caller.request("ACK");
        caller.send(&mut world, &ack);
        world.expect_one("ACK 192.0.2.30:5060");
        world.pass(500);
    }
    world.finish();
}

/// A Contact's URI of any make, at an address that the test can answer from.
fn any_contact() -> impl Strategy<Value = String> {
    let params = proptest::collection::vec(";[a-z]{1,6}(=[a-zA-Z0-9./_-]{1,20})?", 0..4);
    ("[a-zA-Z0-9+_.!~*'()&=$,;?/-]{0,60}", 0u8..4, params).prop_map(|(user, port, params)| {
        let user = if user.is_empty() { user } else { format!("{user}@") };
        let port = if port == 0 { String::new() } else { format!(":{}", 5060 + u16::from(port)) };
        let known = |param: &str| ["maddr", "transport", "lr"].iter().any(|name| param[1..].starts_with(name));
        let params: String = params.into_iter().filter(|param| !known(param)).collect();
        format!("sip:{user}192.0.2.20{port}{params}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the callee calls itself by, and whatever proxies it is behind: later requests reach it by that.
    #[test]
    fn any_contact_and_route_set_comes_back_as_it_was(
        contact in any_contact(),
        hosts in proptest::collection::vec("[a-z]{1,12}\\.example(;[a-z]{2,5}=[a-z0-9]{1,9})?", 0..4),
    ) {
        let mut world = owned();
        let mut caller = alice();
        let sent = caller.asks(&mut world, "INVITE");
        let mut callee = Party { contact: contact.clone(), ..bob() };
        let record: Vec<String> = hosts.iter().map(|host| format!("<sip:{host};lr>")).collect();
        let lines: String = record.iter().map(|route| format!("Record-Route: {route}\r\n")).collect();
        let ok = callee.answers(&mut world, &sent, 200, &lines);
        prop_assert_eq!(ok.status(), 200);
        caller.learns(&ok);
        prop_assert!(caller.target.len() <= 254);
        for host in &hosts {
            world.know(host.split(';').next().unwrap(), &["192.0.2.21:5060"]);
        }
        world.restart();
        let bye = caller.asks(&mut world, "BYE");
        prop_assert_eq!(bye.uri(), contact);
        let wanted: Vec<String> = record.into_iter().rev().collect();
        prop_assert_eq!(bye.headers("Route"), wanted);
    }
}
