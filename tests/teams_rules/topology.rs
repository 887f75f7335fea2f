//! What each side sees of the other: whole captures of both are searched for whatever tells of it. Session descriptions
//! are left out, since media goes directly between the two.

use std::time::Duration;

use trunkway::lab::message::Message;
use trunkway::lab::teams::forwarded;
use trunkway::lab::{Agent, CallRecord, Script};

use crate::stage::{CENTRE, ELSEWHERE, PBXS, Plan, SHARED, Stage, message};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(900);
const NUMBER: &str = "+441632960101";
const FORWARDED: &str = "+441632960102";

/// Everything that a side has received, without bodies of SDP, in lower case.
fn heads(agent: &Agent) -> Vec<(String, Message)> {
    assert_eq!(agent.journal().captured_dropped(), 0);
    let received = agent.journal().captured().into_iter().filter(|one| !one.sent);
    received
        .map(|one| {
            let message = message(&one);
            let text = match message.value("Content-Type") {
                Some("application/sdp") => one.text.split("\r\n\r\n").next().unwrap_or_default().to_owned(),
                _ => one.text.clone(),
            };
            (text.to_ascii_lowercase(), message)
        })
        .collect()
}

/// Whether a text has a word in it; an address is not that of another one that begins with it.
fn tells(text: &str, word: &str) -> bool {
    let is_whole = |at: usize| !text[at + word.len()..].starts_with(|next: char| next.is_ascii_digit());
    text.match_indices(word).any(|(at, _)| is_whole(at))
}

/// Nothing that an agent has received has one of the words in it; all of them stand in what the other side has sent.
fn assert_hidden(by: &Agent, from: &Agent, words: &[String]) {
    let sent: String =
        by.journal().captured().iter().filter(|one| one.sent).map(|one| one.text.to_ascii_lowercase()).collect();
    let heads = heads(from);
    assert!(heads.len() >= 10, "the capture has {} messages", heads.len());
    for word in words {
        let word = word.to_ascii_lowercase();
        assert!(sent.contains(&word), "{word} was never there to hide");
        let seen = heads.iter().find(|(text, _)| tells(text, &word));
        assert!(seen.is_none(), "{word} is seen in {}", seen.map(|(text, _)| text.as_str()).unwrap_or_default());
    }
}

fn assert_well(record: CallRecord) -> CallRecord {
    assert_eq!((&record.error, record.code), (&None, Some(200)), "{record:#?}");
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_side_sees_anything_of_the_other() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
        },
        pbx: |pbx| {
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            pbx.scripts = std::mem::take(&mut pbx.scripts).with(NUMBER, script);
        },
        ..Plan::default()
    })
    .await;
    let (teams, pbx) = (&stage.teams[0], &stage.pbxs[0]);
    let mut call = stage.to_teams(SHARED);
    call.hang_up_after = None;
    let from_pbx = assert_well(pbx.call(call).await);
    let in_teams = Stage::called(teams, SHARED).await;
    let mut call = stage.to_pbx(0, NUMBER);
    call.hang_up_after = None;
    let from_teams = assert_well(teams.call(call).await);
    let in_pbx = Stage::called(pbx, NUMBER).await;
    let call = forwarded(stage.to_pbx(0, FORWARDED), SHARED);
    assert_well(teams.call(call).await);

    let place = &stage.place;
    let of_pbx = [place.ip(PBXS[0]).to_string(), "trunkway-lab-pbx".into(), "lab@".into(), from_pbx.call_id.clone()];
    assert_hidden(pbx, teams, &of_pbx);
    let mut of_teams: Vec<String> =
        ["pstnhub", "microsoft", "api-du", "sip-du", ";x-i=", ";x-c="].map(str::to_owned).to_vec();
    of_teams.extend([from_teams.call_id.clone(), place.ip(CENTRE).to_string()]);
    assert_hidden(teams, pbx, &of_teams);
    // The same call has a name of its own on each side, which shows no host of the other side.
    assert_ne!(from_pbx.call_id, in_teams.call_id);
    assert_ne!(from_teams.call_id, in_pbx.call_id);
    for (agent, hosts) in [(teams, vec![PBXS[0], PBXS[1]]), (pbx, ELSEWHERE.into_iter().chain([CENTRE]).collect())] {
        for (text, message) in heads(agent) {
            assert_eq!(message.list("Via").len(), 1, "{text}");
            for host in &hosts {
                assert!(!tells(&text, &place.ip(*host).to_string()), "{text}");
            }
        }
    }
    stage.finish();
}
