//! Changes that Graph tells by itself: subscribed to in the name of an account, told by a webhook, never polled here.

use std::process::Command;

use trunkway::lab::graph::{ClientState, Device, Endpoint, GraphStandIn};

use crate::bridge::{Bridge, CLIENT, PATIENCE, TENANT, user};
use crate::support::place::Place;
use crate::support::until;

/// The refresh token of the service account.
const REFRESH: &str = "a refresh token that no log may show";

/// A webhook and an account for it; polls come too late for any test.
fn hooked(place: &Place, graph: &GraphStandIn) -> String {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=edge"])
        .args(["-keyout", "hook.key", "-out", "hook.pem"])
        .current_dir(place.folder())
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    place.write("graph-refresh", REFRESH);
    assert!(graph.change_app(TENANT, CLIENT, |app| app.refresh_tokens = vec![REFRESH.to_owned()]));
    let bind = place.at(4);
    format!(
        "[presence]\npoll_interval_s = 86400\npoll_interval_watched_s = 86400\n\
         [presence.webhook]\nbind = \"{bind}\"\ncertificate = \"hook.pem\"\nkey = \"hook.key\"\n\
         [tenant.contoso.graph.notifications]\nurl = \"https://{bind}/graph\"\nrefresh_token_file = \"graph-refresh\"\n\
         certificate = \"hook.pem\"\nkey = \"hook.key\"\n"
    )
}

/// The value of a series.
fn metric(bridge: &Bridge, series: &str) -> Option<f64> {
    bridge.edge.page().lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

fn subscribed(bridge: &Bridge) {
    until("the users are subscribed to", PATIENCE, || {
        (metric(bridge, "trunkway_graph_subscriptions{tenant=\"contoso\"}") == Some(1.0)).then_some(())
    });
}

fn shows(bridge: &Bridge, number: usize, activity: &str) {
    until("the edge has heard of it", PATIENCE, || {
        let status = bridge.ask(&format!("/v1/presence/contoso/{}", user(number)))?;
        (status["teams"]["activity"].as_str()? == activity).then_some(())
    });
}

#[test]
fn a_change_in_teams_is_told_at_once_and_again_after_a_crash() {
    let bridge = Bridge::start_prepared(3, "direction = \"from-teams\"", hooked);
    subscribed(&bridge);
    assert!(bridge.graph.set_client(TENANT, &user(1), Device::Desktop, ClientState::Presenting));
    let shown = bridge.graph.shown(TENANT, &user(1)).expect("the user is there");
    shows(&bridge, 1, shown.activity);
    let told = metric(&bridge, "trunkway_graph_notifications_total{outcome=\"told\",tenant=\"contoso\"}");
    assert!(told.is_some_and(|told| told >= 1.0), "{told:?}");

    // Graph asks for the token again, and gets it.
    let before = bridge.graph.total(Endpoint::Subscriptions);
    bridge.graph.ask_reauthorization(TENANT);
    until("it is authorised again", PATIENCE, || (bridge.graph.total(Endpoint::Subscriptions) > before).then_some(()));

    // What a crash has left behind is given up: Graph takes one subscription a user.
    let bridge = bridge.crash_and_start();
    subscribed(&bridge);
    assert!(bridge.graph.set_client(TENANT, &user(2), Device::Desktop, ClientState::InACall));
    let shown = bridge.graph.shown(TENANT, &user(2)).expect("the user is there");
    shows(&bridge, 2, shown.activity);
    let complaints = bridge.graph.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    bridge.stop();
}
