//! The edge's own calls as a source: who talks over the edge is busy in Teams, and nobody else.

use std::time::Duration;

use crate::bridge::{Bridge, PATIENCE};
use crate::peer::Peer;
use crate::support::sipp::{Sipp, scenario};
use crate::support::until;

/// A second PBX of the tenant's, from which users call those on the first one.
pub const BRANCH: &str = r#"
[trunk.branch]
kind = "pbx"
listen = "inside"
targets = ["udp:{branch}"]
tenant = "contoso"

[trunk.teams]
kind = "teams"
listen = "inside"
targets = ["udp:127.0.0.1:9"]
allow_from = ["127.0.0.1/32"]
fqdn = "edge.example.net"
options_interval_s = 0

[[tenant.contoso.site]]
fqdn = "contoso.customers.example.net"
teams = "teams"
pbx = "pbx"
trunk = "branch"
"#;

const BUSY: Option<&str> = Some("Busy/InACall");

#[test]
fn a_call_makes_both_users_busy_in_teams_and_hanging_up_clears_them() {
    let bridge = Bridge::start_with(3, "", BRANCH);
    let place = &bridge.place;
    let limit = Duration::from_secs(60);
    let callee = Sipp::callee(place, 2, scenario("callee")).limit(limit).start(place);
    // It calls as extension 1000; the pause stands before its re-INVITE and before its BYE.
    let caller = Sipp::caller(place, 3, scenario("caller"), "1001").pause(Duration::from_secs(3)).limit(limit);
    let caller = caller.start(place);
    bridge.wait_for(0, BUSY);
    bridge.wait_for(1, BUSY);
    assert_eq!(bridge.session(2), None, "who is in no call");
    caller.finish();
    callee.finish();
    bridge.wait_for(0, None);
    bridge.wait_for(1, None);
    let graph = bridge.stop();
    assert!(graph.complaints().is_empty(), "{:?}", graph.complaints());
}

#[test]
fn who_calls_is_busy_at_once_and_who_is_called_when_the_call_is_answered() {
    let bridge = Bridge::start_with(2, "", BRANCH);
    let (mut caller, callee) = (Peer::at(&bridge.place, 3), Peer::at(&bridge.place, 2));
    let edge = bridge.place.at(1);

    // It rings, and the caller gives up.
    let first = caller.invite(edge, "1000", "1001");
    let ringing = callee.request("INVITE");
    callee.answer(&ringing, 180, "");
    caller.response(180);
    bridge.wait_for(0, BUSY);
    assert_eq!(bridge.session(1), None, "a phone that rings is no busy one");
    caller.cancel(&first);
    let cancel = callee.request("CANCEL");
    callee.answer(&cancel, 200, "");
    callee.answer(&ringing, 487, "");
    caller.ends(&first);
    bridge.wait_for(0, None);

    // It is answered by the focus of a conference.
    caller.invite(edge, "1000", "1001");
    let invite = callee.request("INVITE");
    callee.answer(&invite, 200, &format!("Contact: <sip:room@{}>;isfocus\r\n", bridge.place.at(2)));
    let ok = caller.response(200);
    caller.ack(&ok);
    bridge.wait_for(0, Some("Busy/InAConferenceCall"));
    bridge.wait_for(1, Some("Busy/InAConferenceCall"));
    assert_eq!(
        bridge.ask("/v1/presence/contoso/user-1@contoso.example").map(|it| it["pbx"].clone()),
        Some("busy".into())
    );
    caller.bye(&ok);
    let bye = callee.request("BYE");
    callee.answer(&bye, 200, "");
    bridge.wait_for(0, None);
    bridge.wait_for(1, None);
    bridge.stop();
}

#[test]
fn whoever_does_not_want_it_is_left_alone() {
    let bridge = Bridge::start_with(2, "own_calls = false", BRANCH);
    let (mut caller, callee) = (Peer::at(&bridge.place, 3), Peer::at(&bridge.place, 2));
    caller.invite(bridge.place.at(1), "1000", "1001");
    let invite = callee.request("INVITE");
    callee.answer(&invite, 200, "");
    let ok = caller.response(200);
    caller.ack(&ok);
    // What the feed says comes through after the call, so that the call would have been seen.
    bridge.feed(&[bridge.line(1, "busy")]);
    bridge.wait_for(1, BUSY);
    assert_eq!(bridge.session(0), None);
    caller.bye(&ok);
    let bye = callee.request("BYE");
    callee.answer(&bye, 200, "");
    until("the feed's word holds", PATIENCE, || (bridge.session(1).as_deref() == BUSY).then_some(()));
    bridge.stop();
}
