//! PUBLISH to the edge, and from it.

mod kamailio;

use std::time::Duration;

use trunkway::lab::graph::{ClientState, Device};

use self::kamailio::Kamailio;
use crate::bridge::{Bridge, TENANT};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};
use crate::watchers::{PBX, PHONES, Phone, assert_valid, call, doing, edge};

#[test]
fn sipp_publishes_what_a_user_has_set() {
    let place = Place::new();
    let edge = edge(&place, "");
    let mut phone = Phone::connect(&place, PBX);
    let (_, list) = phone.subscribe("401", "presence", "");
    phone.notified(&list);
    let (_, lamp) = phone.subscribe("401", "dialog", "");
    phone.notified(&lamp);
    let blanks = vec![("pause", "2000".to_owned())];
    let publisher = Sipp::caller(&place, PHONES, Scenario::File("publisher", blanks), "401").start(&place);
    // The first state comes with the note, the change with RPID, and the end is that nothing is known.
    let seen: Vec<_> = ["do-not-disturb", "<rpid:away/>", "<rpid:unknown/>"]
        .into_iter()
        .map(|wanted| (wanted, phone.notified(&list).body))
        .collect();
    for (wanted, body) in &seen {
        assert!(body.contains(wanted), "{wanted}: {seen:?}");
    }
    assert!(phone.notified(&lamp).body.contains(">confirmed<"));
    assert!(phone.notified(&lamp).body.contains(">terminated<"), "away is dark");
    publisher.finish();
    assert_valid(&place, &phone.bodies);
    edge.stop();
}

#[test]
fn what_is_published_lives_as_long_as_it_is_refreshed_and_echoes_are_no_news() {
    let place = Place::new();
    let edge = edge(&place, "min_expires_s = 1\nmax_expires_s = 600");
    let mut phone = Phone::connect(&place, PBX);
    let (_, list) = phone.subscribe("401", "presence", "Expires: 600\r\n");
    phone.notified(&list);
    assert_eq!(phone.publish("401", "presence", "Expires: 2\r\n", &doing("busy")).status(), 200);
    let busy = phone.notified(&list);
    assert!(busy.body.contains("<rpid:busy/>"), "{busy:?}");
    // A PBX that publishes what it was told does not keep the user busy.
    assert_eq!(phone.publish("401", "presence", "Expires: 600\r\n", &busy.body).status(), 200);
    let after = phone.notified(&list);
    assert!(after.body.contains("<rpid:unknown/>"), "{after:?}");
    until("the edge has counted", SOON, || (edge.metric("trunkway_presence_publications") == 1.0).then_some(()));

    for (event, more, body, status) in [
        ("presence", "", "<presence", 400),
        ("presence", "", "", 400),
        ("presence", "SIP-If-Match: nobodys\r\n", "", 412),
        ("dialog", "", &call("confirmed"), 200),
    ] {
        let answer = phone.publish("401", event, more, body);
        assert_eq!(answer.status(), status, "{event} {more} {body}: {answer:?}");
    }
    edge.stop();
}

#[test]
fn do_not_disturb_in_teams_reaches_phones_at_the_edge_and_at_the_pbx() {
    let wishes = "direction = \"from-teams\"\nline_trunk = \"pbx\"\nsubscribe_lines = false\npublish_dnd = true\nwatchers = [\"phones\"]";
    let tables = r#"
[[listen]]
name = "tcp"
bind = "tcp:{edge}"

[trunk.phones]
kind = "pbx"
listen = "tcp"
targets = ["tcp:{pbx}"]

[presence]
poll_interval_s = 1
poll_interval_watched_s = 1
"#;
    let bridge = Bridge::start_with(2, wishes, tables);
    let server = Kamailio::presence_server(&bridge.place, PBX);
    let user = bridge.user(0);
    bridge.graph.set_client(TENANT, &user, Device::Desktop, ClientState::ConnectedActive);

    let mut at_edge = Phone::connect(&bridge.place, PBX);
    let (answer, lamp) = at_edge.subscribe("1000", "dialog", "");
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(at_edge.notified(&lamp).body.contains(">terminated<"));
    let mut at_pbx = Phone::connect_to(&bridge.place, 5, PBX);
    let (_, list) = at_pbx.subscribe("1000", "presence", "Expires: 600\r\n");
    assert!(!at_pbx.notified(&list).body.contains("busy"));

    bridge.graph.prefer(TENANT, &user, Some(("DoNotDisturb", "DoNotDisturb")));
    assert!(at_edge.notified(&lamp).body.contains(">confirmed<"));
    let told = at_pbx.notified(&list);
    assert!(told.body.contains("<basic>open</basic>") && told.body.contains("<rpid:busy/>"), "{told:?}");
    assert!(told.body.contains("do-not-disturb"), "{told:?}");

    bridge.graph.prefer(TENANT, &user, None);
    assert!(at_edge.notified(&lamp).body.contains(">terminated<"));
    let told = at_pbx.notified(&list);
    assert!(!told.body.contains("do-not-disturb"), "{told:?}");
    assert_eq!(server.log().matches("PUBLISH sip:1000@").count(), 2, "{}", server.log());
    assert_valid(&bridge.place, &at_edge.bodies);
    bridge.stop();
    server.stop();
}

#[test]
fn kamailio_publishes_the_lines_of_its_calls() {
    let place = Place::new();
    let edge = edge(&place, "");
    let kamailio = Kamailio::pbx(&place, PHONES, 7);
    let mut phone = Phone::connect(&place, PBX);
    let (_, lamp) = phone.subscribe("401", "dialog", "");
    assert!(phone.notified(&lamp).body.contains(">terminated<"));
    let pause = Duration::from_millis(1_500);
    let callee = Sipp::callee(&place, 7, scenario("callee-rings-long")).pause(pause).start(&place);
    let blanks = vec![("caller", "1000".to_owned()), ("host", place.at(PHONES).to_string())];
    let caller = Sipp::caller(&place, 8, Scenario::File("caller-only", blanks), "401").to(place.at(PHONES));
    let caller = caller.pause(pause).start(&place);
    assert!(phone.notified(&lamp).body.contains(">confirmed<"), "{}", kamailio.log());
    caller.finish();
    callee.finish();
    edge.stop();
    kamailio.stop();
}
