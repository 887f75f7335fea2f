//! Requests inside a dialog, in both directions, by the edge's Record-Route; and those that have no business there.

use super::wire::{Request, Sent};
use super::world::{ALICE, BOB, CARL, World};

/// One side of a dialog: how its requests begin.
#[derive(Clone, Debug)]
struct Side {
    addr: &'static str,
    transport: &'static str,
    contact: &'static str,
    tag: &'static str,
    /// Whole lines.
    routes: String,
}

struct Dialog {
    world: World,
    caller: Side,
    callee: Side,
    record_routes: Vec<String>,
}

const CALLERS_CONTACT: &str = "sip:a@192.0.2.10";

/// A call from `alice`, answered.
fn dialog(called: &str) -> Dialog {
    let mut world = World::new();
    let invite = Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1");
    let sent = world.call(&invite).remove(0);
    world.answers(&sent, &sent.answer(200, "b"));
    let record_routes = world.take().remove(0).headers("Record-Route");
    let lines = |routes: &[String]| routes.iter().map(|route| format!("Route: {route}\r\n")).collect::<String>();
    let reversed: Vec<_> = record_routes.iter().rev().cloned().collect();
    let callee = match called {
        "200" => (BOB, "UDP", "sip:b@192.0.2.20"),
        _ => (CARL, "TCP", "sip:c@192.0.2.30:5060;transport=tcp"),
    };
    Dialog {
        caller: Side { addr: ALICE, transport: "UDP", contact: CALLERS_CONTACT, tag: "f-1", routes: lines(&reversed) },
        callee: Side {
            addr: callee.0,
            transport: callee.1,
            contact: callee.2,
            tag: "b",
            routes: lines(&record_routes),
        },
        world,
        record_routes,
    }
}

impl Dialog {
    fn request(&self, method: &str, from: &Side, to: &Side, cseq: u32) -> Request {
        let mut request = Request::new(method, to.contact, "1").cseq(cseq);
        request.via = format!("SIP/2.0/{} {};branch=z9hG4bK{}{cseq}{method}", from.transport, from.addr, from.tag);
        request.from_tag = from.tag.to_owned();
        request.to_tag = to.tag.to_owned();
        request.extra = from.routes.clone();
        request
    }

    fn send(&mut self, from: &Side, text: &str) {
        match from.transport {
            "UDP" => self.world.udp(from.addr, text),
            _ => self.world.tcp(from.addr, text),
        }
    }
}

#[test]
fn one_record_route_where_the_transport_stays_and_two_where_it_changes() {
    let one = dialog("200");
    assert_eq!(one.record_routes.len(), 1);
    assert!(one.record_routes[0].ends_with("@192.0.2.1:5060;lr>"));
    one.world.finish();
    let two = dialog("300");
    assert_eq!(two.record_routes.len(), 2);
    assert!(two.record_routes[0].ends_with("@192.0.2.1:5060;transport=tcp;lr>"), "the callee's side is on top");
    assert!(two.record_routes[1].ends_with("@192.0.2.1:5060;lr>"));
    two.world.finish();
}

#[test]
fn every_method_passes_in_both_directions() {
    let methods = [
        "INVITE",
        "UPDATE",
        "INFO",
        "PRACK",
        "REFER",
        "NOTIFY",
        "MESSAGE",
        "SUBSCRIBE",
        "OPTIONS",
        "PUBLISH",
        "X-NEW",
        "BYE",
    ];
    for called in ["200", "300"] {
        let mut it = dialog(called);
        let mut cseq = 1;
        for method in methods {
            for (from, to) in [(it.caller.clone(), it.callee.clone()), (it.callee.clone(), it.caller.clone())] {
                cseq += 1;
                let request = it.request(method, &from, &to, cseq).body("x=1\r\n");
                it.send(&from, &request.text());
                let passed = it.world.take().pop().expect("the request");
                assert_eq!(
                    (passed.what().as_str(), passed.to),
                    (method, to.addr.parse().unwrap()),
                    "{called} {method}"
                );
                assert_eq!(passed.transport.via_token(), to.transport);
                assert_eq!((passed.uri().as_str(), passed.headers("Route").len()), (to.contact, 0));
                assert_eq!(passed.headers("Record-Route").len(), 0);
                assert_eq!(passed.headers("Via").len(), 2);
                assert!(passed.text().ends_with("\r\n\r\nx=1\r\n"));
                it.world.answers(&passed, &passed.answer(200, ""));
                let answered = it.world.take().remove(0);
                assert_eq!((answered.status(), answered.to), (200, from.addr.parse().unwrap()), "{called} {method}");
                if method == "INVITE" {
                    let mut ack = it.request("ACK", &from, &to, cseq);
                    ack.via.push_str("-ack");
                    it.send(&from, &ack.text());
                    it.world.expect(&[&format!("ACK {}", to.addr)]);
                }
            }
        }
        it.world.finish();
    }
}

#[test]
fn a_refused_reinvite_is_acknowledged_hop_by_hop() {
    let mut it = dialog("200");
    let (from, to) = (it.callee.clone(), it.caller.clone());
    let request = it.request("INVITE", &from, &to, 7);
    it.send(&from, &request.text());
    let passed = it.world.take().pop().expect("the request");
    it.world.answers(&passed, &passed.answer(488, ""));
    it.world.expect(&["ACK 192.0.2.10:5060", "488 192.0.2.20:5060"]);
    let ack = request.following("ACK");
    it.send(&from, &ack.text());
    it.world.expect(&[]);
    it.world.finish();
}

#[test]
fn a_reinvite_is_cancelled() {
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let request = it.request("INVITE", &from, &to, 7);
    it.send(&from, &request.text());
    let passed = it.world.take().pop().expect("the request");
    it.world.answers(&passed, &passed.answer(180, ""));
    it.world.take();
    it.send(&from, &request.following("CANCEL").text());
    let cancel = it.world.take().pop().expect("the CANCEL");
    assert_eq!((cancel.what().as_str(), cancel.uri()), ("CANCEL", passed.uri()));
    it.world.finish();
}

#[test]
fn our_own_uri_twice_is_taken_off_twice() {
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let token = it.record_routes[0].clone();
    for routes in [
        format!("Route: <sip:192.0.2.1;lr>, {token}\r\n"),
        format!("Route: {token}\r\nRoute: <sip:192.0.2.1:5060;lr>\r\n"),
        format!("Route: {token},{token}\r\n"),
    ] {
        let mut request = it.request("INFO", &from, &to, 7);
        request.via.push_str(&routes.len().to_string());
        request.extra = routes;
        it.send(&from, &request.text());
        let passed = it.world.expect_one("INFO 192.0.2.20:5060");
        assert_eq!(passed.headers("Route").len(), 0);
    }
    it.world.finish();
}

#[test]
fn a_route_behind_ours_is_followed() {
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let mut request = it.request("INFO", &from, &to, 7);
    request.extra.push_str("Route: <sip:192.0.2.25:5070;lr>, <sip:192.0.2.26;lr>\r\n");
    it.send(&from, &request.text());
    let passed = it.world.expect_one("INFO 192.0.2.25:5070");
    assert_eq!(passed.uri(), to.contact);
    assert_eq!(passed.headers("Route"), ["<sip:192.0.2.25:5070;lr>, <sip:192.0.2.26;lr>"]);
    it.world.finish();
}

#[test]
fn a_strict_router_behind_us_gets_its_uri_as_request_uri() {
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let mut request = it.request("INFO", &from, &to, 7);
    request.extra.push_str("Route: <sip:192.0.2.25>, <sip:192.0.2.26;lr>\r\n");
    it.send(&from, &request.text());
    let passed = it.world.expect_one("INFO 192.0.2.25:5060");
    assert_eq!(passed.uri(), "sip:192.0.2.25");
    assert_eq!(passed.headers("Route"), ["<sip:192.0.2.26;lr>", &format!("<{}>", to.contact)]);
    it.world.finish();
}

#[test]
fn what_a_strict_router_before_us_did_is_undone() {
    let ours = |it: &Dialog| it.record_routes[0].trim_matches(['<', '>']).to_owned();
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let mut request = it.request("INFO", &from, &to, 7);
    request.uri = ours(&it);
    request.extra = format!("Route: <{}>\r\n", to.contact);
    it.send(&from, &request.text());
    let passed = it.world.expect_one("INFO 192.0.2.20:5060");
    assert_eq!((passed.uri().as_str(), passed.headers("Route").len()), (to.contact, 0));
    let mut request = it.request("INFO", &from, &to, 8);
    request.uri = ours(&it);
    request.extra = format!("Route: <sip:192.0.2.25;lr>\r\nRoute: <{}>\r\n", to.contact);
    it.send(&from, &request.text());
    let passed = it.world.expect_one("INFO 192.0.2.25:5060");
    assert_eq!(passed.uri(), to.contact);
    assert_eq!(passed.headers("Route"), ["<sip:192.0.2.25;lr>"]);
    it.world.finish();
}

#[test]
fn without_our_token_only_the_addresses_of_trunks_are_reached() {
    for (uri, routes, wanted) in [
        // No route set kept: to a trunk's own address.
        ("sip:b@192.0.2.20", "", "INFO 192.0.2.20:5060"),
        ("sip:b@192.0.2.20:5999", "", "INFO 192.0.2.20:5999"),
        // Our own URI: where the dial plan says.
        ("sip:200@192.0.2.1", "", "INFO 192.0.2.20:5060"),
        // Anywhere else: nowhere.
        ("sip:b@203.0.113.9", "", "481 192.0.2.10:5060"),
        ("sip:b@premium.example", "", "481 192.0.2.10:5060"),
        ("sip:b@192.0.2.20", "Route: <sip:203.0.113.9;lr>\r\n", "481 192.0.2.10:5060"),
        ("sip:b@203.0.113.9", "Route: <sip:192.0.2.1;lr>\r\n", "481 192.0.2.10:5060"),
        ("sip:b@203.0.113.9", "Route: <sip:00000000000000000000000000000000@192.0.2.1;lr>\r\n", "481 192.0.2.10:5060"),
        ("tel:+4416327", "", "416 192.0.2.10:5060"),
        ("sip:999@192.0.2.1", "", "404 192.0.2.10:5060"),
    ] {
        let mut world = World::new();
        let mut request = Request::new("INFO", uri, "1").tagged("b");
        request.extra = routes.to_owned();
        world.request(ALICE, &request);
        let sent = world.expect(&[wanted]);
        assert!(sent[0].status() == 0 || world.len() == 0, "a refusal leaves nothing behind");
        world.finish();
    }
}

#[test]
fn a_token_serves_its_own_call_and_its_own_two_trunks() {
    let mut it = dialog("200");
    let route = it.record_routes[0].clone();
    let token = route.split(['@', ':']).nth(1).expect("a token").to_owned();
    assert_eq!(token.len(), 32);
    let stranger = "sip:b@203.0.113.9";
    let mut base = it.request("INVITE", &it.caller.clone(), &it.callee.clone(), 7);
    base.uri = stranger.to_owned();
    // The token proves the dialog: the place is allowed.
    it.world.request(ALICE, &base);
    it.world.expect(&["100 192.0.2.10:5060", "INVITE 203.0.113.9:5060"]);
    // Altered.
    for at in [0, 7, 8, 15, 16, 31] {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let mut request = base.clone();
        request.via.push_str(&at.to_string());
        request.extra = base.extra.replace(&token, std::str::from_utf8(&forged).unwrap());
        it.world.request(ALICE, &request);
        it.world.expect(&["481 192.0.2.10:5060"]);
    }
    // Another call's.
    let mut request = base.clone();
    request.via.push_str("-other");
    request.call_id = "other-call".to_owned();
    it.world.request(ALICE, &request);
    it.world.expect(&["481 192.0.2.10:5060"]);
    // A third trunk's.
    let mut request = base.clone();
    request.via = format!("SIP/2.0/TCP {CARL};branch=z9hG4bKthird");
    it.world.tcp(CARL, &request.text());
    it.world.expect(&["403 192.0.2.30:5060"]);
    // Nobody's.
    let mut request = base.clone();
    request.via = "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKnobody".to_owned();
    it.world.request("203.0.113.7:5060", &request);
    it.world.expect(&["403 203.0.113.7:5060"]);
    it.world.finish();
}

#[test]
fn acks_without_our_token_reach_trunks_only() {
    for (uri, wanted) in [
        ("sip:b@192.0.2.20", &["ACK 192.0.2.20:5060"][..]),
        ("sip:b@203.0.113.9", &[]),
        ("sip:b@premium.example", &[]),
        ("sip:200@192.0.2.1", &["ACK 192.0.2.20:5060"]),
    ] {
        let mut world = World::new();
        world.request(ALICE, &Request::new("ACK", uri, "1").tagged("b"));
        world.expect(wanted);
        world.finish();
    }
    let mut world = World::new();
    world.request(ALICE, &Request::new("ACK", "sip:b@192.0.2.20", "1"));
    world.expect(&[]);
    world.finish();
}

#[test]
fn a_subscription_keeps_the_edge_in_its_path() {
    for method in ["SUBSCRIBE", "REFER", "NOTIFY"] {
        let mut world = World::new();
        world.request(ALICE, &Request::new(method, "sip:200@192.0.2.1", "1"));
        let sent: Sent = world.expect_one(&format!("{method} 192.0.2.20:5060"));
        assert_eq!(sent.headers("Record-Route").len(), 1);
        world.finish();
    }
    let mut world = World::new();
    world.request(ALICE, &Request::new("MESSAGE", "sip:200@192.0.2.1", "1"));
    assert_eq!(world.expect_one("MESSAGE 192.0.2.20:5060").headers("Record-Route").len(), 0);
    world.finish();
}

#[test]
fn the_name_of_a_contact_is_looked_up() {
    let mut it = dialog("200");
    let (from, to) = (it.caller.clone(), it.callee.clone());
    let mut request = it.request("BYE", &from, &to, 7);
    request.uri = "sip:b@phone.example".to_owned();
    it.send(&from, &request.text());
    it.world.expect(&[]);
    assert_eq!(&*it.world.lookups[0].target.host, "phone.example");
    it.world.resolve(&["192.0.2.21:5060"]);
    let passed = it.world.expect_one("BYE 192.0.2.21:5060");
    it.world.answers(&passed, &passed.answer(200, ""));
    it.world.expect(&["200 192.0.2.10:5060"]);
    it.world.finish();
}

#[test]
fn an_ack_waits_for_a_name_and_leaves_nothing_behind() {
    for places in [&[][..], &["192.0.2.21:5060"], &["192.0.2.21:5060", "192.0.2.22:5060"]] {
        let mut it = dialog("200");
        it.world.pass(100_000);
        it.world.take();
        it.world.assert_idle();
        let mut ack = it.request("ACK", &it.caller.clone(), &it.callee.clone(), 1);
        ack.uri = "sip:b@phone.example".to_owned();
        it.world.request(ALICE, &ack);
        it.world.expect(&[]);
        it.world.resolve(places);
        let sent = it.world.take();
        assert_eq!(sent.len(), places.len().min(1), "an ACK goes to one place");
        it.world.assert_idle();
    }
}

/// Nothing proves the dialog: the request goes where a new one could.
#[test]
fn a_request_of_an_unproved_dialog_goes_by_the_dial_plan_or_nowhere() {
    let bye = |uri: &str, id: &str| Request::new("BYE", uri, id).tagged("far");
    let mut world = World::new();
    world.request(ALICE, &bye("sip:200@phone.example", "1"));
    let sent = world.expect_one("BYE 192.0.2.20:5060");
    assert_eq!(sent.uri(), "sip:200@phone.example");
    world.answers(&sent, &sent.answer(481, ""));
    world.expect_one("481 192.0.2.10:5060");
    for uri in ["sip:900@203.0.113.99", "sip:nobody@phone.example"] {
        world.request(ALICE, &bye(uri, uri));
        world.expect_one("481 192.0.2.10:5060");
    }
    world.finish();
}
