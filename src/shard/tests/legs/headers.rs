//! An operator's rules for headers, on both sides of a call and for each kind of message.

use std::path::Path;
use std::sync::Arc;

use super::super::office::{SITE, TEAMS, office};
use super::super::wire::Request;
use super::super::world::{ALICE, BOB, World, own_all_legs};
use super::party::{Party, uri};
use crate::call::Edge;
use crate::sip::Transport;
use crate::trunk::dialect::Headers;

/// The rules that a configuration would make of these tables.
fn rules(tables: &str) -> Headers {
    let text = format!(
        "[node]\nname = 'n'\n[[listen]]\nname = 'l'\nbind = 'udp:127.0.0.1:5060'\n[trunk.t]\nkind = 'pbx'\nlisten = 'l'\n\
         targets = ['udp:127.0.0.1:5080']\n{tables}"
    );
    let loaded = crate::config::load_str("rules", &text, Path::new(".")).unwrap_or_else(|faults| panic!("{faults}"));
    loaded.trunks.0[0].dialect.headers.clone()
}

fn rule(direction: &str, rest: &str) -> String {
    format!("[[trunk.t.header]]\ndirection = '{direction}'\n{rest}\n")
}

fn set(edge: &mut Edge, name: &str, headers: Headers) {
    let trunks = &mut Arc::make_mut(&mut edge.trunks).0;
    let trunk = trunks.iter_mut().find(|trunk| &*trunk.name == name).expect("a trunk");
    Arc::make_mut(&mut trunk.dialect).headers = headers;
}

fn ruled(alice: &str, bob: &str, owned: bool) -> World {
    World::with(
        |edge| {
            set(edge, "alice", rules(alice));
            set(edge, "bob", rules(bob));
            if owned {
                own_all_legs(edge);
            }
        },
        1_000,
    )
}

#[test]
fn rules_are_for_what_comes_and_for_what_goes_whoever_owns_the_legs() {
    let alice = [
        rule("in", "on = ['INVITE']\naction = 'set'\nname = 'X-In'\nvalue = '{trunk} {from.user} {to.user} {method}'"),
        rule("in", "on = ['requests']\naction = 'remove'\nname = 'subject'"),
        rule("out", "on = ['18x']\naction = 'add'\nname = 'X-Early'\nvalue = 'from {peer}'"),
        rule("out", "on = ['486']\naction = 'add'\nname = 'X-Busy'\nvalue = '1'"),
    ]
    .concat();
    let bob = [
        rule("out", "on = ['INVITE']\naction = 'rename'\nname = 'X-In'\nnew_name = 'X-Of-Alice'"),
        rule("out", "on = ['BYE', 'ACK']\naction = 'add'\nname = 'X-After'\nvalue = '{call_id}'"),
        rule("in", "on = ['answers']\naction = 'remove'\nname = 'X-Gone'"),
    ]
    .concat();
    for owned in [true, false] {
        let mut world = ruled(&alice, &bob, owned);
        let mut caller = Party::new(ALICE, Transport::Udp, "alice", "200");
        caller.extra = "s: hush\r\nX-In: old\r\n".to_owned();
        let sent = caller.asks(&mut world, "INVITE");
        assert_eq!(sent.headers("X-Of-Alice"), ["alice alice 200 INVITE"], "{}", sent.text());
        assert!(sent.headers("s").is_empty() && sent.headers("X-In").is_empty());
        let mut callee = Party::new(BOB, Transport::Udp, "bob", "");
        let ringing = callee.answers(&mut world, &sent, 180, "X-Gone: 1\r\n");
        assert_eq!((ringing.headers("X-Early"), ringing.headers("X-Gone").len()), (vec!["from bob".to_owned()], 0));
        let ok = callee.answers(&mut world, &sent, 200, "");
        assert!(ok.headers("X-Early").is_empty());
        caller.learns(&ok);
        let ack = caller.asks(&mut world, "ACK");
        assert_eq!(ack.headers("X-After"), [ack.header("Call-ID").unwrap()], "{}", ack.text());
        let bye = caller.asks(&mut world, "BYE");
        assert_eq!(bye.headers("X-After"), [bye.header("Call-ID").unwrap()]);
        // The callee asks nothing with a rule, and a refusal that passes gets its line.
        let mut second = Party::new(ALICE, Transport::Udp, "anna", "201");
        let sent = second.asks(&mut world, "INVITE");
        let mut callee = Party::new(BOB, Transport::Udp, "bert", "");
        let busy = callee.answers(&mut world, &sent, 486, "");
        assert_eq!(busy.headers("X-Busy"), ["1"]);
    }
}

#[test]
fn rules_see_what_the_ones_before_them_made_and_wait_for_what_they_are_told_to() {
    let bob = [
        rule("out", "action = 'set'\nname = 'X-A'\nvalue = 'a{header:X-B}'\nwhen = 'x-b'\nmatches = '^[0-9]+$'"),
        rule("out", "action = 'rename'\nname = 'X-A'\nnew_name = 'X-C'\nwhen = 'X-A'"),
        rule("out", "action = 'add'\nname = 'X-D'\nvalue = '{{{header:X-C}}}'"),
        rule("out", "action = 'add'\nname = 'X-E'\nvalue = '{tenant}'"),
    ]
    .concat();
    for (line, wanted) in [("X-B: 12", Some("a12")), ("X-B: twelve", None), ("X-B:\r\n 7", Some("a7")), ("Y: 1", None)]
    {
        let mut world = ruled("", &bob, true);
        let sent = world.call(&Request::new("INVITE", "sip:200@192.0.2.1", "1").extra(line)).remove(0);
        assert_eq!(sent.header("X-C").as_deref(), wanted, "{line}");
        assert_eq!(sent.header("X-D"), wanted.map(|it| format!("{{{it}}}")), "{line}");
        assert!(
            sent.headers("X-A").is_empty() && sent.headers("X-E").is_empty(),
            "no tenant is known: {}",
            sent.text()
        );
    }
}

#[test]
fn rules_know_tenant_and_site_where_the_call_has_them() {
    let names = |direction| rule(direction, "action = 'add'\nname = 'X-Of'\nvalue = '{tenant} {site} {trunk} {peer}'");
    let mut world = office(1_000);
    let edge = Arc::make_mut(&mut world.edge);
    own_all_legs(edge);
    set(edge, "bob", rules(&names("out")));
    set(edge, "echo", rules(&names("out")));
    let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768499", "");
    teams.target = format!("sip:+441632768402@{SITE}:5061;user=phone;transport=tls");
    let text = teams.request("INVITE");
    teams.send(&mut world, &text);
    let sent = world.take().into_iter().find(|sent| sent.to == BOB.parse().unwrap()).expect("an INVITE");
    let wanted = |trunk: &str, peer: &str| vec![format!("contoso {SITE} {trunk} {peer}")];
    assert_eq!(sent.headers("X-Of"), wanted("bob", "echo"));
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "");
    let ok = pbx.answers(&mut world, &sent, 200, "");
    assert_eq!(ok.headers("X-Of"), wanted("echo", "bob"));
    teams.other = ok.header("To").unwrap();
    teams.target = uri(&ok.header("Contact").unwrap());
    world.restart();
    assert_eq!(pbx.asks(&mut world, "BYE").headers("X-Of"), wanted("echo", "bob"));
    assert_eq!(teams.asks(&mut world, "INFO").headers("X-Of"), wanted("bob", "echo"));
}

#[test]
fn e27_headers_of_no_standard_are_spared_by_kind_and_let_through_by_name() {
    use crate::trunk::TrunkKind::{Carrier, Pbx, Teams};
    let lines = [
        "X-MS-UserLocation: external",
        "ms-conversation-id: 1",
        "X-Own: 2",
        "P-Early-Media: supported",
        "P-Access-Network-Info: x",
        "Session-ID: 3",
    ];
    for (kind, passed, wanted) in [
        (Carrier, "", vec![lines[5]]),
        (Carrier, "pass_headers = ['x-own', 'P-E*']", vec![lines[2], lines[3], lines[5]]),
        (Pbx, "", lines[2..].to_vec()),
        (Pbx, "pass_headers = ['X-MS-User*']", [&lines[..1], &lines[2..]].concat()),
        (Teams, "", lines[2..].to_vec()),
    ] {
        let mut world = World::with(
            |edge| {
                own_all_legs(edge);
                let headers = Headers { passed: rules(passed).passed, ..Headers::of_kind(kind) };
                set(edge, "bob", headers);
            },
            1_000,
        );
        let invite = lines.iter().fold(Request::new("INVITE", "sip:200@192.0.2.1", "1"), |it, line| it.extra(line));
        let text = world.call(&invite).remove(0).text();
        let kept: Vec<&str> = lines.into_iter().filter(|line| text.contains(&format!("\r\n{line}\r\n"))).collect();
        assert_eq!(kept, wanted, "{kind:?} {passed}");
    }
}
