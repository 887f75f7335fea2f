//! What is written into a request on its way, and where answers go (RFC 3261 sections 16.6 and 18.2, RFC 3581).

use super::wire::Request;
use super::world::World;
use crate::call::Edge;
use crate::sip::Transport;

fn invite(via: &str) -> Request {
    Request::new("INVITE", "sip:200@192.0.2.1", "1").via(via)
}

/// The Via as it came, the source, the Via as it goes on, and where the answers go.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[test]
fn the_top_via_says_where_the_request_came_from_and_the_answers_go_there() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1", "192.0.2.10:40000", "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 192.0.2.10:5080;branch=z9hG4bK1", "192.0.2.10:40000", "SIP/2.0/UDP 192.0.2.10:5080;branch=z9hG4bK1", "192.0.2.10:5080"),
        ("SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1", "192.0.2.10:40000", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1;received=192.0.2.10", "192.0.2.10:5060"),
        ("SIP/2.0/UDP pbx.alice.example;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP pbx.alice.example;branch=z9hG4bK1;received=192.0.2.10", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 10.0.0.9:5060;rport;branch=z9hG4bK1", "192.0.2.10:40000", "SIP/2.0/UDP 10.0.0.9:5060;rport=40000;branch=z9hG4bK1;received=192.0.2.10", "192.0.2.10:40000"),
        ("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1;rport", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1;rport=5060;received=192.0.2.10", "192.0.2.10:5060"),
        // What a liar claims is replaced.
        ("SIP/2.0/UDP 192.0.2.10;received=203.0.113.9;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1;received=192.0.2.10", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 192.0.2.10;rport=9;received=203.0.113.9;branch=z9hG4bK1", "192.0.2.10:7000", "SIP/2.0/UDP 192.0.2.10;rport=7000;branch=z9hG4bK1;received=192.0.2.10", "192.0.2.10:7000"),
        // No flood: a broadcast or multicast address is not used.
        ("SIP/2.0/UDP 192.0.2.10;maddr=255.255.255.255;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10;maddr=255.255.255.255;branch=z9hG4bK1", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 192.0.2.10;maddr=224.0.1.75;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10;maddr=224.0.1.75;branch=z9hG4bK1", "192.0.2.10:5060"),
        ("SIP/2.0/UDP 192.0.2.10:5070;maddr=192.0.2.11;branch=z9hG4bK1", "192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5070;maddr=192.0.2.11;branch=z9hG4bK1", "192.0.2.11:5070"),
    ];
    for (via, source, onward, back) in rows {
        let mut world = World::new();
        world.request(source, &invite(via));
        let sent = world.expect(&[&format!("100 {back}"), "INVITE 192.0.2.20:5060"]);
        assert_eq!(sent[0].headers("Via"), [*onward], "in the edge's own answer");
        assert_eq!(sent[1].headers("Via")[1], *onward, "in the request");
        assert!(sent[1].headers("Via")[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtw"));
        assert!(sent[1].headers("Via")[0].ends_with(";rport"));
        world.answers(&sent[1], &sent[1].answer(200, "b"));
        world.expect(&[&format!("200 {back}")]);
        // Another request of its kind, refused without a transaction.
        let mut bad = invite(via);
        bad.via = bad.via.replace("z9hG4bK1", "z9hG4bK2");
        bad.max_forwards = Some(0);
        world.request(source, &bad);
        let refused = world.expect_one(&format!("483 {back}"));
        assert_eq!(refused.headers("Via"), [onward.replace("z9hG4bK1", "z9hG4bK2")]);
        world.finish();
    }
}

#[test]
fn max_forwards_counts_down_and_is_added_where_it_is_missing() {
    for (came, leaves) in [(Some(70), "69"), (Some(1), "0"), (Some(255), "254"), (None, "70")] {
        let mut world = World::new();
        let mut invite = invite("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1");
        invite.max_forwards = came;
        let sent = world.call(&invite).remove(0);
        assert_eq!(sent.headers("Max-Forwards"), [leaves]);
        world.finish();
    }
}

#[test]
fn the_request_uri_becomes_the_targets_only_when_it_was_the_edges() {
    for (came, leaves) in [
        ("sip:200@192.0.2.1", "sip:200@192.0.2.20:5060"),
        ("sip:200:pw@192.0.2.1:5060;user=phone;transport=udp;maddr=1.2.3.4", "sip:200:pw@192.0.2.20:5060;user=phone"),
        ("sip:200@elsewhere.example;transport=tcp", "sip:200@elsewhere.example;transport=tcp"),
        ("tel:200;phone-context=x", "tel:200;phone-context=x"),
    ] {
        let mut world = World::new();
        let mut request = Request::new("INVITE", came, "1");
        request.uri = came.to_owned();
        let sent = world.call(&request).remove(0);
        assert_eq!(sent.uri(), leaves);
        world.finish();
    }
    let mut world = World::new();
    let sent = world.call(&Request::new("INVITE", "sip:300@192.0.2.1", "1")).remove(0);
    assert_eq!((sent.transport, sent.uri().as_str()), (Transport::Tcp, "sip:300@192.0.2.30:5060;transport=tcp"));
    world.finish();
}

#[test]
fn our_own_preloaded_route_is_taken_off_and_others_are_passed_on() {
    for (came, leaves) in [
        ("<sip:192.0.2.1;lr>", &[][..]),
        ("<sip:192.0.2.1:5060;lr>, <sip:192.0.2.1;lr>", &[]),
        ("<sip:192.0.2.1;lr>, <sip:next.example;lr>", &["<sip:next.example;lr>"]),
        ("<sip:next.example>", &["<sip:next.example>"]),
    ] {
        let mut world = World::new();
        let request = Request::new("INVITE", "sip:200@192.0.2.1", "1").extra(&format!("Route: {came}"));
        let sent = world.call(&request).remove(0);
        assert_eq!(sent.headers("Route"), leaves);
        assert_eq!((sent.uri().as_str(), sent.to.to_string().as_str()), ("sip:200@192.0.2.20:5060", "192.0.2.20:5060"));
        world.finish();
    }
}

#[test]
fn answers_over_a_stream_know_where_to_go_when_it_has_gone() {
    let mut world = World::new();
    let invite = invite("SIP/2.0/TCP 192.0.2.30:5066;branch=z9hG4bK1");
    world.tcp("192.0.2.30:40123", &invite.text());
    let sent = world.expect(&["100 192.0.2.30:40123", "INVITE 192.0.2.20:5060"]);
    let fallback = sent[0].hop.as_ref().expect("a place");
    assert_eq!((fallback.transport, fallback.addr.to_string().as_str()), (Transport::Tcp, "192.0.2.30:5066"));
    world.finish();
}

#[test]
fn a_connection_is_offered_for_requests_by_alias_of_a_proved_peer_only() {
    let aliases = |transport, named: bool, via: &str| {
        let name = |edge: &mut Edge| {
            for trunk in std::sync::Arc::make_mut(&mut edge.trunks).0.iter_mut().filter(|_| named) {
                trunk.peer_names = vec!["pbx.example".into()];
            }
        };
        let mut world = World::with(name, 1_000);
        let from = "192.0.2.30:40123".parse().expect("an address");
        world.arrive(transport, from, invite(via).text().as_bytes());
        let aliases: Vec<_> = world.aliases.iter().map(|(_, addr)| addr.to_string()).collect();
        world.finish();
        aliases
    };
    for (transport, named, via, offered) in [
        (Transport::Tls, true, "SIP/2.0/TLS 192.0.2.30:5066;branch=z9hG4bK1;alias", Some("192.0.2.30:5066")),
        (Transport::Tls, true, "SIP/2.0/TLS 192.0.2.30;branch=z9hG4bK1;alias", Some("192.0.2.30:5061")),
        (Transport::Tls, true, "SIP/2.0/TLS 192.0.2.30:5066;branch=z9hG4bK1", None),
        // RFC 5923 section 5: an address proves nothing.
        (Transport::Tls, false, "SIP/2.0/TLS 192.0.2.30:5066;branch=z9hG4bK1;alias", None),
        (Transport::Tcp, true, "SIP/2.0/TCP 192.0.2.30:5066;branch=z9hG4bK1;alias", None),
    ] {
        assert_eq!(aliases(transport, named, via), Vec::from_iter(offered), "{via}");
    }
}

#[test]
fn addresses_of_ipv6_stand_in_brackets_and_without_them_where_they_must() {
    const SIX: &str = "[2001:db8::a]:5060";
    let mut world = World::new();
    let invite =
        Request::new("INVITE", "sip:96@[2001:db8::1]", "1").via("SIP/2.0/UDP pbx.example:5060;branch=z9hG4bK1;rport");
    world.request(SIX, &invite);
    let sent = world.expect(&["100 [2001:db8::a]:5060", "INVITE [2001:db8::b]:5060"]).remove(1);
    assert_eq!(sent.uri(), "sip:96@[2001:db8::b]:5060");
    let vias = sent.headers("Via");
    assert!(vias[0].starts_with("SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKtw"), "{vias:?}");
    assert_eq!(vias[1], "SIP/2.0/UDP pbx.example:5060;branch=z9hG4bK1;rport=5060;received=2001:db8::a");
    let route = sent.header("Record-Route").expect("a Record-Route");
    assert!(route.ends_with("@[2001:db8::1]:5060;lr>"), "{route}");
    world.answers(&sent, &sent.answer(200, "b"));
    world.expect(&["200 [2001:db8::a]:5060"]);
    // Back from the called side, by name of the contact's address.
    let bye = Request::new("BYE", "sip:a@[2001:db8::a]", "1")
        .via("SIP/2.0/UDP [2001:db8::b];branch=z9hG4bK2")
        .tagged("f")
        .extra(&format!("Route: {route}"));
    world.request("[2001:db8::b]:5060", &bye);
    let passed = world.expect_one("BYE [2001:db8::a]:5060");
    assert_eq!(passed.headers("Via")[1], "SIP/2.0/UDP [2001:db8::b];branch=z9hG4bK2");
    assert!(passed.headers("Route").is_empty());
    world.finish();
}
