//! Calls that are up when the edge is killed: they go on when it is there again, or another one with its key.

use std::time::{Duration, Instant};

use trunkway::lab::{CallRecord, Ending, Role, Script};

use crate::stage::{OWN, Plan, SHARED, Stage};
use crate::support::SOON;

/// From the answer to the first re-INVITE: until then the edge has to be there again.
const HOLD: Duration = Duration::from_secs(12);
const CALLEE_HOLD: Duration = Duration::from_secs(14);
const END: Duration = Duration::from_secs(17);

/// A number for each way and each side that hangs up.
const TO_TEAMS: [&str; 2] = [SHARED, OWN[0]];
const TO_PBX: [&str; 2] = ["+441632960101", "+441632960102"];

/// Rings and answers at once, changes the call late, and hangs up if it is to.
fn script(hangs_up: bool) -> Script {
    let mut script = Script::answer(Duration::from_millis(50));
    script.hold_after = Some(CALLEE_HOLD);
    script.hang_up_after = hangs_up.then_some(END);
    script
}

fn plan() -> Plan {
    Plan {
        teams: |teams| {
            let scripts = std::mem::take(&mut teams.scripts);
            teams.scripts = scripts.with(TO_TEAMS[0], script(false)).with(TO_TEAMS[1], script(true));
        },
        pbx: |pbx| {
            let scripts = std::mem::take(&mut pbx.scripts);
            pbx.scripts = scripts.with(TO_PBX[0], script(false)).with(TO_PBX[1], script(true));
        },
        ..Plan::default()
    }
}

/// Four calls: each way, and each side hangs up once. When all are up, `between` is done, and then both sides change each
/// call and one of them ends it.
async fn calls_outlive(between: impl FnOnce(Stage) -> Stage + Send) {
    let stage = Stage::new(plan()).await;
    let began = Instant::now();
    let limit = END + SOON;
    let mut calls = Vec::new();
    for index in 0..2 {
        for mut call in [stage.to_teams(TO_TEAMS[index]), stage.to_pbx(0, TO_PBX[index])] {
            (call.hold_after, call.limit) = (Some(HOLD), limit);
            call.hang_up_after = (index == 0).then_some(END);
            calls.push(call);
        }
    }
    let [a, b, c, d] = <[_; 4]>::try_from(calls).unwrap();
    let Stage { teams, pbxs, .. } = &stage;
    let (teams, pbx) = (teams[0].caller(), pbxs[0].caller());
    let records = tokio::spawn(async move { tokio::join!(pbx.call(a), teams.call(b), pbx.call(c), teams.call(d)) });
    for (agent, numbers) in [(&stage.teams[0], TO_TEAMS), (&stage.pbxs[0], TO_PBX)] {
        for number in numbers {
            let up = agent.journal().wait(SOON, |journal| {
                journal.calls().into_iter().find(|call| call.number == number && call.acknowledged)
            });
            assert!(up.await.is_some(), "{number} is not up: {:#?}", stage.complaints());
        }
    }
    let stage = between(stage);
    assert!(began.elapsed() < HOLD, "the machine is too slow for this test");
    let (a, b, c, d) = records.await.unwrap();
    for (record, hung_up) in [(a, true), (b, true), (c, false), (d, false)] {
        assert_ends(&record, hung_up);
    }
    for (agent, numbers) in [(&stage.teams[0], TO_TEAMS), (&stage.pbxs[0], TO_PBX)] {
        for (number, hung_up) in numbers.into_iter().zip([false, true]) {
            let record = agent.journal().wait_call(Role::Callee, number, SOON).await.unwrap();
            assert_ends(&record, hung_up);
        }
    }
    stage.finish();
}

/// Hold and back of this side and of the other one were answered, and so was the end.
fn assert_ends(record: &CallRecord, hung_up: bool) {
    assert_eq!(record.error, None, "{record:#?}");
    assert_eq!((record.changes_made, record.changes_seen), (2, 2), "{record:#?}");
    let (ending, code) = if hung_up { (Ending::HungUp, Some(200)) } else { (Ending::HungUpByPeer, None) };
    assert_eq!((record.ending, record.bye_code), (Some(ending), code), "{record:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_after_a_kill() {
    calls_outlive(|stage| stage.kill_and_start(|config| config)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_at_a_node_that_has_the_key_and_the_configuration_alone() {
    calls_outlive(|stage| {
        stage.kill_and_start_with(|folder, config| {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let stays = ["certs", "seal.key"].contains(&&*name) || name.ends_with(".log");
                if !stays && path.is_dir() {
                    std::fs::remove_dir_all(path).unwrap();
                } else if !stays {
                    std::fs::remove_file(path).unwrap();
                }
            }
            config
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_under_a_configuration_that_has_no_route_for_them_any_more() {
    calls_outlive(|stage| {
        assert_eq!(stage.status_of("contoso-pbx", SHARED), 0, "there was a route");
        // The tenant's numbers are gone, and its site belongs to another PBX now.
        let stage = stage.kill_and_start(|config| {
            let from = config.find("[[tenant.contoso.user]]").unwrap();
            let to = config.find("[trunk.fabrikam-pbx]").unwrap();
            let without = format!("{}{}", &config[..from], &config[to..]);
            let moved = without.replace("trunk = \"contoso-pbx\"", "trunk = \"fabrikam-pbx\"");
            assert_ne!(without, moved);
            moved
        });
        assert_ne!(stage.status_of("contoso-pbx", SHARED), 0, "there is a route still");
        stage
    })
    .await;
}
