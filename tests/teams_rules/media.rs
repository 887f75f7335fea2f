//! Lines E19 and E26: hold as each side knows it, and where a caller in need is.

use std::time::Duration;

use trunkway::lab::{Agent, Script};

use crate::stage::{OWN, Plan, Stage, received};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(1_200);

/// The directions in the session descriptions of a call that an agent received, in order.
fn directions(agent: &Agent, call_id: &str) -> Vec<String> {
    let of_call = received(agent).into_iter().filter(|message| message.call_id() == call_id);
    of_call.filter_map(|message| direction(&message.body)).collect()
}

fn direction(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let known = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    text.lines().find(|line| known.contains(line)).map(|line| line[2..].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e19_hold_is_inactive_for_teams_and_what_the_pbx_expects_for_the_pbx() {
    let stage = Stage::new(Plan {
        pbx_keys: "hold = \"sendonly\"".to_owned(),
        pbx: |pbx| pbx.capture_limit = 1_000,
        teams: |teams| {
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            teams.scripts = std::mem::take(&mut teams.scripts).with(OWN[1], script);
        },
        ..Plan::default()
    })
    .await;
    let (teams, pbxs) = (&stage.teams[0], &stage.pbxs);
    // The PBX holds by `sendonly` and resumes; Teams sees nothing but `inactive`.
    let mut plan = stage.to_teams(OWN[0]);
    (plan.hold_after, plan.hang_up_after) = (Some(SHORT), Some(LONG));
    let record = pbxs[0].call(plan).await;
    assert_eq!((record.error, record.code, record.changes_made), (None, Some(200), 2), "{:#?}", stage.complaints());
    let called = Stage::called(teams, OWN[0]).await;
    assert_eq!(directions(teams, &called.call_id), ["sendrecv", "inactive", "sendrecv"]);
    assert_eq!(directions(&pbxs[0], &record.call_id), ["sendrecv", "recvonly", "sendrecv"]);

    // Teams holds, as caller and as callee; the PBX is told so by `sendonly`.
    let number = "+441632960101";
    let mut plan = stage.to_pbx(0, number);
    (plan.hold_after, plan.hang_up_after) = (Some(SHORT), Some(LONG));
    let record = teams.call(plan).await;
    assert_eq!((record.error, record.code, record.changes_made), (None, Some(200), 2), "{:#?}", stage.complaints());
    let called = Stage::called(&pbxs[0], number).await;
    assert_eq!(directions(&pbxs[0], &called.call_id), ["sendrecv", "sendonly", "sendrecv"]);
    assert_eq!(directions(teams, &record.call_id), ["sendrecv", "inactive", "sendrecv"]);

    let mut plan = stage.to_teams(OWN[1]);
    plan.hang_up_after = None;
    let record = pbxs[1].call(plan).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    assert_eq!(directions(&pbxs[1], &record.call_id), ["sendrecv", "sendonly", "sendrecv"]);
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e26_who_helps_is_told_where_the_caller_is_and_nobody_else() {
    let stage = Stage::new(Plan { pbx: |pbx| pbx.capture_limit = 1_000, ..Plan::default() }).await;
    let place = "<presence entity=\"pres:anna@example.net\"><place>Floor 2</place></presence>";
    for (number, helps) in [("999", true), ("+999", true), ("+441632960102", false)] {
        let mut plan = stage.to_pbx(0, number);
        plan.location = Some(place.to_owned());
        let record = stage.teams[0].call(plan).await;
        assert_eq!((record.error, record.code), (None, Some(200)), "{number}: {:#?}", stage.complaints());
        let messages = received(&stage.pbxs[0]);
        let invite = messages.iter().rfind(|message| message.method() == Some("INVITE")).expect("an INVITE");
        let text = String::from_utf8_lossy(&invite.body).into_owned();
        assert_eq!(text.contains(place), helps, "{number}: {text}");
        assert_eq!(invite.value("Geolocation").is_some(), helps, "{number}");
        let kind = if helps { "multipart/mixed" } else { "application/sdp" };
        let said = invite.value("Content-Type").unwrap_or_default();
        assert!(said.starts_with(kind), "{number}: {said}");
        assert!(text.contains("m=audio "), "{text}");
    }
    stage.finish();
}
