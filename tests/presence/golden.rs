//! Every row of the golden table, end to end: the feed says what the PBX side does, the stand-in for Graph what the
//! user's Teams client does, and Teams must show what the table says.

use std::path::Path;
use std::time::Duration;

use trunkway::lab::graph::{ClientState, Device};

use crate::bridge::{Bridge, TENANT};
use crate::support::until;

/// A row of the golden table.
struct Row {
    number: usize,
    phone: String,
    user: String,
    /// What the app session must be; `available`, as the guide calls it, is none: an idle phone lifts nobody.
    session: Option<&'static str>,
    client: ClientState,
    shown: String,
}

fn rows() -> Option<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/presence-golden.csv");
    let text = std::fs::read_to_string(path).ok()?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let row = |(number, line): (usize, &str)| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [phone, user, session, client, shown] = cells[..] else { panic!("row {number}: {line}") };
        Row {
            number,
            phone: phone.to_owned(),
            user: user.to_owned(),
            session: match session {
                "available" => None,
                "busy" => Some("Busy/InACall"),
                other => panic!("row {number}: {other}"),
            },
            client: match client {
                "offline" => ClientState::Offline,
                "connected-inactive" => ClientState::ConnectedInactive,
                "connected-active" => ClientState::ConnectedActive,
                "busy" => ClientState::InACall,
                "focus-or-presenting" => ClientState::Presenting,
                other => panic!("row {number}: {other}"),
            },
            shown: shown.replace('-', ""),
        }
    };
    Some(lines.enumerate().map(row).collect())
}

#[test]
fn every_row_of_the_golden_table_shows_in_teams() {
    // The table is not part of the project.
    let Some(rows) = rows() else { return };
    assert!(rows.len() >= 15, "{} rows", rows.len());
    let bridge = Bridge::start(rows.len(), "");
    for row in &rows {
        bridge.graph.set_client(TENANT, &bridge.user(row.number), Device::Desktop, row.client);
    }
    // All are busy first, so that a row without a session is one that was cleared.
    let busy: Vec<_> = rows.iter().map(|row| bridge.line(row.number, "busy")).collect();
    bridge.feed(&busy);
    until("all users are busy", Duration::from_secs(20), || {
        (bridge.graph.sessions(TENANT).len() == rows.len()).then_some(())
    });
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut line = bridge.line(row.number, &row.phone);
            line["user_state"] = row.user.clone().into();
            line
        })
        .collect();
    bridge.feed(&lines);
    for row in &rows {
        let user = bridge.user(row.number);
        bridge.wait_for(row.number, row.session);
        let shown = bridge.graph.shown(TENANT, &user).unwrap();
        assert!(
            shown.availability.word().eq_ignore_ascii_case(&row.shown),
            "row {}: Teams shows {shown:?}, not {}",
            row.number + 1,
            row.shown
        );
    }
    bridge.stop();
}
