//! The bridge and Microsoft Graph: what the stand-in refuses, loses and forgets, and an edge that goes on all the same.

use std::time::Duration;

use trunkway::lab::graph::{AppSecret, Endpoint, Fault, GraphStandIn, Trouble};

use crate::bridge::{Bridge, CLIENT, PATIENCE, SECRET, TENANT, socket};
use crate::support::edge::trunkway;
use crate::support::until;

/// How long what the bridge itself puts off may take: half a minute for sources to come back after a start, a minute
/// between two tries of credentials that fail.
const PUT_OFF: Duration = Duration::from_secs(120);

/// What users are shown as who are in a call on the desk phone.
const BUSY: Option<&str> = Some("Busy/InACall");

#[test]
fn who_is_told_to_wait_waits_and_then_writes() {
    let bridge = Bridge::start(3, "");
    let id = bridge.graph.user_id(TENANT, &bridge.user(1)).unwrap();
    bridge.graph.fault(Fault::throttled(1.628).of_user(&id).at(Endpoint::SetPresence).times(1));
    bridge.feed(&[bridge.line(0, "busy"), bridge.line(1, "busy"), bridge.line(2, "busy")]);
    (0..3).for_each(|user| bridge.wait_for(user, BUSY));
    let writes = bridge.graph.requests_of(Endpoint::SetPresence);
    let of_user: Vec<_> = writes.iter().filter(|write| write.user.as_deref() == Some(&*id)).collect();
    assert_eq!(of_user.iter().map(|write| write.status).collect::<Vec<_>>(), [429, 200]);
    let waited = of_user[1].arrived - of_user[0].arrived;
    assert!(waited >= Duration::from_millis(1_628), "it came again after {waited:?}");
    let graph = bridge.stop();
    assert_eq!(graph.complaints(), []);
}

#[test]
fn what_goes_wrong_on_the_way_is_tried_again() {
    let bridge = Bridge::start(4, "");
    let troubles = [Trouble::Status { code: 503, retry_after: None }, Trouble::Cut, Trouble::Html, Trouble::LostAnswer];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let id = bridge.graph.user_id(TENANT, &bridge.user(number)).unwrap();
        bridge.graph.fault(Fault::new(trouble).of_user(&id).at(Endpoint::SetPresence).times(1));
        bridge.feed(&[bridge.line(number, "busy")]);
        bridge.wait_for(number, BUSY);
    }
    // A burst goes as a batch, of whose answer nothing can be read.
    bridge.graph.fault(Fault::new(Trouble::WrongJson).at(Endpoint::Batch).times(1));
    bridge.feed(&(0..4).map(|number| bridge.line(number, "available")).collect::<Vec<_>>());
    (0..4).for_each(|number| bridge.wait_for(number, None));
    let graph = bridge.stop();
    assert_eq!(graph.complaints(), []);
    assert_eq!(graph.sessions(TENANT), []);
}

#[test]
fn an_expired_secret_is_named_and_a_new_one_heals() {
    let bridge = Bridge::start(2, "");
    bridge.feed(&[bridge.line(0, "busy")]);
    bridge.wait_for(0, BUSY);
    bridge.graph.set_secrets_expired(TENANT, true);
    bridge.feed(&[bridge.line(1, "busy")]);
    until("the alarm is raised", PATIENCE, || {
        (bridge.edge.metric("trunkway_graph_token_failing") == 1.0).then_some(())
    });
    let words = until("an operator reads of it", PATIENCE, || {
        Some(health(&bridge)).filter(|text| text.contains("contoso") && text.contains("secret has expired"))
    });
    assert!(!words.contains(SECRET), "{words}");
    let asked = bridge.graph.total(Endpoint::Token);
    std::thread::sleep(Duration::from_secs(2));
    assert!(bridge.graph.total(Endpoint::Token) <= asked + 1, "Entra is hammered");
    // Nothing of it touches the PBX's side.
    let summary = bridge.ask("/v1/presence/summary").unwrap();
    assert_eq!(summary["tenants"]["contoso"]["users"], 2, "{summary}");
    renew_secret(&bridge, "a secret of the next year");
    wait_long(&bridge, 1, BUSY);
    until("the alarm is over", PATIENCE, || (bridge.edge.metric("trunkway_graph_token_failing") == 0.0).then_some(()));
    let graph = bridge.stop();
    assert_eq!(graph.complaints(), []);
}

#[test]
fn what_a_crash_left_in_teams_is_taken_back() {
    let bridge = Bridge::start(2, "");
    bridge.feed(&[bridge.line(0, "busy"), bridge.line(1, "busy")]);
    (0..2).for_each(|user| bridge.wait_for(user, BUSY));
    let bridge = bridge.crash_and_start();
    // The feed says nothing more, so nobody knows of the calls.
    (0..2).for_each(|user| wait_long(&bridge, user, None));
    let graph = bridge.stop();
    assert_eq!(graph.complaints(), []);
}

#[test]
fn a_stop_takes_back_what_was_written() {
    let graph = busy_and_stopped("");
    assert_eq!(graph.sessions(TENANT), []);
    assert_eq!(graph.complaints(), []);
}

#[test]
fn a_stop_leaves_what_was_written_when_told_so() {
    let graph = busy_and_stopped("[presence]\nclear_on_stop = false\n");
    assert_eq!(graph.sessions(TENANT).len(), 1);
    assert_eq!(graph.total(Endpoint::ClearPresence), 0);
}

/// A user is busy, and then the edge stops in good order.
fn busy_and_stopped(tables: &str) -> GraphStandIn {
    let bridge = Bridge::start_with(1, "", tables);
    bridge.feed(&[bridge.line(0, "busy")]);
    bridge.wait_for(0, BUSY);
    bridge.stop()
}

/// Waits until the session of a user is that, though the bridge may put it off.
fn wait_long(bridge: &Bridge, user: usize, wanted: Option<&str>) {
    until(&format!("user {user} has the session {wanted:?}"), PUT_OFF, || {
        (bridge.session(user).as_deref() == wanted).then_some(())
    });
}

/// What an operator reads.
fn health(bridge: &Bridge) -> String {
    let output = trunkway("health").arg("--socket").arg(socket(&bridge.place)).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An administrator makes a new secret in Entra, and puts it into the edge's file.
fn renew_secret(bridge: &Bridge, secret: &str) {
    bridge.graph.change_app(TENANT, CLIENT, |app| {
        app.secrets.push(AppSecret { value: secret.to_owned(), expired: false });
    });
    bridge.place.write("graph-secret", secret);
}
