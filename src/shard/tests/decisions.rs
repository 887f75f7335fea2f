//! What routing decides, on the wire: number forms of each leg, chances, codes of a route, calls for help, refusals.

use std::collections::BTreeSet;

use super::office::{OTHER_SITE, SITE, TEAMS, calling, from_pbx, invite, office, outgoing};
use super::wire::Request;
use super::world::{ALICE, BOB};
use crate::call::explain::{Ask, Verdict, explain};
use crate::routing::NoRoute;

#[test]
fn each_leg_has_its_own_forms() {
    let mut world = office(1_000);
    // From the carrier to an extension of the PBX, and to Teams with all that Teams knows.
    let sent = world.call(&invite("+441632768402", "1"));
    assert_eq!(sent[0].uri(), "sip:402@192.0.2.20:5060");
    assert_eq!(sent[1].uri(), "sip:+441632768402@192.0.2.80:5060");
    // From an extension of the PBX to Teams.
    let request = outgoing("403", "2").extra("P-Asserted-Identity: \"Dirk\" <sip:404@pbx>, <tel:01632768404>");
    world.udp(BOB, &calling(&request, "\"Dirk\" <sip:01632768404;x=y@pbx>"));
    let sent = world.take().pop().expect("an INVITE");
    assert_eq!((sent.to, &*sent.uri()), (TEAMS.parse().unwrap(), "sip:+441632768403;ext=403@192.0.2.80:5060"));
    assert_eq!(sent.headers("From"), ["\"Dirk\" <sip:+441632768404;x=y@pbx>;tag=f-2"]);
    assert_eq!(sent.headers("P-Asserted-Identity"), ["\"Dirk\" <sip:+441632768404;ext=404@pbx>, <tel:+441632768404>"]);
    // Those of a route win over those of its trunks.
    world.udp(BOB, &calling(&outgoing("+33123456789", "3"), "<sip:01632768404@pbx>"));
    let sent = world.take().pop().expect("an INVITE");
    assert!(sent.uri().starts_with("sip:33123456789@192.0.2.3"), "{}", sent.uri());
    assert_eq!(sent.headers("From"), ["<sip:+441632768404@pbx>;tag=f-3"]);
    // A caller who hides has no number to be written.
    world.udp(BOB, &calling(&outgoing("403", "4"), "\"Anonymous\" <sip:anonymous@anonymous.invalid>"));
    let sent = world.take().pop().expect("an INVITE");
    assert_eq!(sent.headers("From"), ["\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=f-4"]);
    world.finish();
}

#[test]
fn explanations_say_what_leaves() {
    for (trunk, called, caller, pai) in [
        ("bob", "403", "01632768404", Some("404")),
        ("bob", "+33123456789", "+441632768404", None),
        ("bob", "+12125550100", "404;ext=1", Some("+441632768404")),
        ("bob", "999", "anonymous", Some("404")),
        ("alice", "+441632768401", "+441632960000", None),
        ("alice", "+441632768402;phone-context=x", "x.y", Some("%2B44")),
        ("alice", "+441632768404", "anonymous", None),
    ] {
        let mut world = office(1_000);
        let uri = format!("sip:{called}@{SITE}");
        let ask = Ask {
            from_trunk: trunk.to_owned(),
            caller: Some(caller.to_owned()),
            pai: pai.map(str::to_owned),
            request_uri: Some(uri.clone()),
            ..Ask::default()
        };
        let explained = explain(&world.edge, &ask, 0).unwrap();
        assert_eq!((explained.decision, explained.tenant.as_deref()), (Verdict::Forward, Some("contoso")));
        let from = match caller {
            "anonymous" => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
            caller => format!("<sip:{caller}@far.example>"),
        };
        let mut request = Request::new("INVITE", &uri, "1");
        if let Some(pai) = pai {
            request = request.extra(&format!("P-Asserted-Identity: <sip:{pai}@far.example>"));
        }
        world.udp(if trunk == "bob" { BOB } else { ALICE }, &calling(&request, &from));
        world.pass(5_000);
        let sent = world.take();
        // The first of each trunk: where members share by chance, one of them.
        for first in sent.iter().filter(|sent| sent.what() == "INVITE") {
            let user = |uri: &str| uri.split('@').next().map(str::to_owned);
            let told = explained.targets.iter().find(|target| target.uri == first.uri());
            let told = told.unwrap_or_else(|| panic!("{} in {explained:#?}", first.uri()));
            let in_header = |name: &str| first.header(name).and_then(|value| user(value.split(':').nth(1)?));
            let shown = |user: Option<String>| user.map(|user| user.replace("%2B", "+"));
            assert_eq!(told.caller, shown(in_header("From")));
            assert_eq!(told.pai, shown(in_header("P-Asserted-Identity")));
        }
        assert!(sent.iter().any(|sent| sent.uri() == explained.targets[0].uri || called.starts_with("+33")));
        world.finish();
    }
}

#[test]
fn forms_stay_on_the_second_try() {
    let mut world = office(1_000);
    world.udp(BOB, &calling(&outgoing("+33123456789", "1"), "<sip:01632768404@pbx>"));
    let first = world.take().pop().expect("an INVITE");
    world.fails(&first);
    let second = world.take().pop().expect("an INVITE");
    assert_ne!(first.to, second.to);
    assert!(second.uri().starts_with("sip:33123456789@"), "{}", second.uri());
    assert_eq!(second.headers("From"), ["<sip:+441632768404@pbx>;tag=f-1"]);
    world.finish();
}

#[test]
fn a_call_keeps_its_chance_and_calls_share_the_members() {
    let mut world = office(1_000);
    let mut firsts = BTreeSet::new();
    for id in 0..20 {
        let request = outgoing("+33123456789", &id.to_string());
        let first = from_pbx(&mut world, &request).remove(0);
        world.answers(&first, &first.answer(486, "x"));
        world.take();
        // The same call again, as after a challenge.
        let mut again = request.clone().cseq(2);
        again.via = again.via.replace("-INVITE", "-again");
        let second = from_pbx(&mut world, &again).remove(0);
        assert_eq!(first.to, second.to);
        firsts.insert(first.to.to_string());
    }
    assert_eq!(Vec::from_iter(firsts), ["192.0.2.30:5060", "192.0.2.31:5060"]);
    world.finish();
}

#[test]
fn codes_of_the_route_replace_those_of_its_trunks() {
    for (status, next) in [(486, Some("192.0.2.42:5060")), (503, None), (480, None)] {
        let mut world = office(1_000);
        let first = from_pbx(&mut world, &outgoing("+12125550100", "1")).remove(0);
        assert_eq!(first.to, "192.0.2.41:5060".parse().unwrap());
        world.answers(&first, &first.answer(status, "x"));
        let sent = world.take().pop().expect("an answer or the next INVITE");
        match next {
            Some(next) => assert_eq!((&*sent.what(), sent.to), ("INVITE", next.parse().unwrap()), "{status}"),
            // What a target says of itself is a 500 of the edge's.
            None => assert_eq!(sent.status(), if status == 503 { 500 } else { status }),
        }
        world.finish();
    }
}

#[test]
fn calls_for_help_pass_where_nothing_else_does() {
    let mut world = office(0);
    world.request(BOB, &outgoing("+12125550100", "1"));
    assert_eq!(world.expect_one(&format!("503 {BOB}")).headers("Retry-After"), ["5"]);
    for (id, called) in [("2", "999"), ("3", "+112"), ("4", "112")] {
        let help = from_pbx(&mut world, &outgoing(called, id)).remove(0);
        assert_eq!(help.to, "192.0.2.30:5060".parse().unwrap());
        assert!(help.uri().starts_with(&format!("sip:{called}@")), "{}", help.uri());
    }
    assert_eq!((world.counts.emergency, world.counts.over_limit), (3, 1));
    world.finish();
}

#[test]
fn calls_for_help_have_an_end_too() {
    let mut world = office(0);
    // Four shards, each with a reserve of its own.
    let room = crate::shard::EMERGENCY_RESERVE * 4;
    let mut refused = 0;
    for id in 0..room + room / 4 {
        world.request(BOB, &outgoing("999", &id.to_string()));
        refused += world.take().iter().filter(|sent| sent.status() == 503).count();
    }
    assert_eq!((world.len(), refused), (room, room / 4));
    world.finish();
}

#[test]
fn refusals_say_why() {
    let from_teams = |called: &str| {
        let via = format!("SIP/2.0/UDP {TEAMS};branch=z9hG4bK1-INVITE");
        Request::new("INVITE", &format!("sip:{called}@{SITE}"), "1").via(&via)
    };
    let edge = |called: &str| Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1");
    let hidden = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let other = Request::new("INVITE", &format!("sip:+15005550100@{OTHER_SITE}"), "1");
    #[rustfmt::skip]
    let rows = [
        ("a number that is nobody's", ALICE, invite("+441632768455", "1").text(), 404, NoRoute::Unassigned),
        ("a number of two users", ALICE, invite("+441632768410", "1").text(), 404, NoRoute::Ambiguous),
        ("a number that no rule has", ALICE, edge("+999").text(), 404, NoRoute::NoRule),
        ("a route for others", ALICE, edge("+35").text(), 403, NoRoute::Forbidden),
        ("a caller who hides", ALICE, calling(&other, hidden), 433, NoRoute::Anonymous),
        ("a route that is never open", ALICE, edge("+34911234567").text(), 480, NoRoute::Closed),
        ("back to Teams", TEAMS, from_teams("+441632768403").text(), 482, NoRoute::Loop),
        ("a host that is no site", TEAMS, from_teams("1").text().replacen(SITE, "evil.example", 1), 404, NoRoute::UnknownHost),
        ("a number that is too short", ALICE, edge("+4930").text(), 484, NoRoute::Incomplete),
    ];
    for (what, from, text, status, why) in rows {
        let mut world = office(1_000);
        world.udp(from, &text);
        world.expect_one(&format!("{status} {from}"));
        let counted: Vec<_> = world.counts.unrouted.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(why, 1)], "{what}");
        assert_eq!(world.counts.unassigned, u32::from(why == NoRoute::Unassigned), "{what}");
        assert_eq!(world.counts.ambiguous, u32::from(why == NoRoute::Ambiguous), "{what}");
        world.finish();
    }
    // One who hides from the called, but not from the network, is let through.
    let mut world = office(1_000);
    let asserted = other.extra("P-Asserted-Identity: <sip:+441632960000@carrier>");
    world.udp(ALICE, &calling(&asserted, hidden));
    world.expect(&[&format!("100 {ALICE}"), &format!("INVITE {TEAMS}")]);
    world.finish();
}
