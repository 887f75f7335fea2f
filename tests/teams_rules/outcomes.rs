//! Lines E18 and E22 to E24: what rings, who answers, which data centre is next, and what Teams is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkway::lab::direct_routing::Tenant;
use trunkway::lab::message::Message;
use trunkway::lab::{Ending, Ring, Script};

use crate::phone::Phone;
use crate::stage::{CARRIER, EDGE, OWN, Plan, SHARED, SITES, Stage, received};
use crate::support::SOON;

/// A user who is on both sides.
const BOTH: &str = "+441632768430";
const SHORT: Duration = Duration::from_millis(100);

/// Two telephones ring, a third fork has media, and one that nobody has heard of answers, as in the traces.
fn forks() -> Script {
    let ring = |millis, code, media, fork| Ring { after: Duration::from_millis(millis), code, media, fork };
    let mut script = Script::answer(Duration::from_millis(1_200));
    script.rings = vec![ring(0, 180, false, 0), ring(300, 180, false, 1), ring(600, 183, true, 2)];
    script.answer_fork = 3;
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e18_several_early_dialogs_live_side_by_side_and_a_new_one_may_answer() {
    for (policy, wanted) in
        [("pass", &[180, 180, 183][..]), ("first", &[180, 183]), ("180-only", &[180]), ("183-to-180", &[180])]
    {
        let stage = Stage::new(Plan {
            pbx_keys: format!("early = \"{policy}\"\n"),
            teams: |teams| teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, forks()),
            ..Plan::default()
        })
        .await;
        let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
        assert_eq!((&record.error, record.code), (&None, Some(200)), "{policy}: {record:#?} {:#?}", stage.complaints());
        let called = Stage::called(&stage.teams[0], SHARED).await;
        assert_eq!((called.provisional.as_slice(), called.early_tags.len()), (&[180, 180, 183][..], 3));
        match policy {
            "pass" | "first" => assert_eq!(record.provisional, wanted, "{policy}"),
            _ => {
                assert!(!record.provisional.is_empty(), "{policy}");
                assert!(record.provisional.iter().all(|code| *code == 180), "{policy}: {:?}", record.provisional);
            }
        }
        if policy == "pass" {
            assert_eq!(record.early_tags.len(), 3, "each has a tag of its own");
        }
        let answered = record.remote_tag.unwrap();
        assert!(!record.early_tags.contains(&answered), "{policy}: a fork that had not rung answered");
        stage.finish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e22_a_data_centre_that_says_503_with_retry_after_is_left_at_once_and_so_is_its_connection() {
    let stage = Stage::new(Plan {
        centres: 2,
        teams: |teams| {
            let mut script = Script::reject(503);
            script.headers.push(("Retry-After".into(), "1".into()));
            if teams.name == "Teams 0" {
                teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
            }
        },
        ..Plan::default()
    })
    .await;
    let began = Instant::now();
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(Stage::called(&stage.teams[0], SHARED).await.code, Some(503));
    assert_eq!(Stage::called(&stage.teams[1], SHARED).await.code, Some(200));
    let record = stage.pbxs[0].call(stage.to_teams(OWN[0])).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    // The next OPTIONS take another connection than the one that was told to go elsewhere. Those that were on their way
    // then do not count, which the stand-in cannot tell.
    let captured = || stage.teams[0].journal().captured();
    let told = captured().into_iter().find(|one| one.sent && one.text.starts_with("SIP/2.0 503")).unwrap();
    let later = |at: Duration| at > told.at + Duration::from_millis(500);
    let next =
        |_: &_| captured().into_iter().rfind(|one| !one.sent && later(one.at) && one.text.starts_with("OPTIONS"));
    let next = stage.teams[0].journal().wait(SOON, next).await.expect("the data centre is asked again");
    assert_ne!(next.connection, told.connection);
    assert!(captured().iter().all(|one| one.sent || one.connection != told.connection || !later(one.at)));
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e22_what_the_user_said_is_final_and_silence_is_not() {
    let stage = Stage::new(Plan {
        centres: 2,
        teams_keys: "no_answer_ms = 1000\n".into(),
        teams: |teams| {
            if teams.name == "Teams 0" {
                let scripts = std::mem::take(&mut teams.scripts);
                teams.scripts = scripts.with(SHARED, Script::reject(603)).with(OWN[0], Script::silence());
            }
        },
        ..Plan::default()
    })
    .await;
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code, record.ending), (None, Some(603), Some(Ending::Refused)));
    assert_eq!(stage.teams[1].journal().calls().len(), 0, "nobody else is asked after a 603");
    let record = stage.pbxs[0].call(stage.to_teams(OWN[0])).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    assert_eq!(Stage::called(&stage.teams[1], OWN[0]).await.code, Some(200));
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e23_teams_is_told_of_trouble_by_codes_that_make_it_try_another_edge_and_of_users_by_their_own() {
    const CODES: [(u16, u16); 10] = [
        (404, 404),
        (480, 480),
        (484, 484),
        (486, 486),
        (603, 603),
        (401, 503),
        (500, 503),
        (502, 503),
        (503, 503),
        (504, 504),
    ];
    fn number(code: u16) -> String {
        format!("+441632960{code}")
    }
    let stage = Stage::new(Plan {
        pbx_keys: "no_answer_ms = 2000\n".into(),
        pbx: |pbx| {
            let mut scripts = std::mem::take(&mut pbx.scripts);
            for (code, _) in CODES {
                scripts = scripts.with(&number(code), Script::reject(code));
            }
            pbx.scripts = scripts;
        },
        ..Plan::default()
    })
    .await;
    for (code, wanted) in CODES {
        let record = stage.teams[0].call(stage.to_pbx(0, &number(code))).await;
        assert_eq!((record.error, record.code), (None, Some(wanted)), "{code}");
    }
    assert_eq!(stage.teams[0].journal().complaints(), []);
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e23_a_telephone_that_takes_its_time_does_not_lose_the_call() {
    let stage = Stage::new(Plan {
        pbx: |pbx| {
            // Nothing but 100 for nine seconds: Teams would go elsewhere after ten.
            let mut script = Script::answer(Duration::from_secs(12));
            script.ring_after = None;
            pbx.scripts = std::mem::take(&mut pbx.scripts).with("+441632960101", script);
        },
        ..Plan::default()
    })
    .await;
    let record = stage.teams[0].call(stage.to_pbx(0, "+441632960101")).await;
    assert_eq!((&record.error, record.code), (&None, Some(200)), "{record:#?}");
    assert!(!record.provisional.is_empty(), "the edge has said something in time");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e24_forks_that_lose_hear_that_the_call_was_answered_elsewhere() {
    let both = format!(
        "[[tenant.contoso.user]]\nid = \"both\"\nnumber = \"{BOTH}\"\nlives = \"both\"\n\
         [trunk.carrier]\nkind = \"carrier\"\nlisten = \"inside\"\ntargets = [\"udp:CARRIER\"]\ndialplan = \"in\"\n\
         [dialplan.in]\nrules = [{{ prefix = \"{BOTH}\", tag = \"{}\" }}]\n",
        SITES[0]
    );
    let stage = Stage::new(Plan {
        more: both,
        teams: |teams| {
            teams.tenants = [Tenant::new(SITES[0], Some(&[BOTH])), Tenant::new(EDGE, Some(&[]))].into_iter().collect();
            teams.scripts = std::mem::take(&mut teams.scripts).with_other(Script::ring());
        },
        pbx: |pbx| {
            let script = Script::answer(Duration::from_millis(1_500));
            pbx.scripts = std::mem::take(&mut pbx.scripts).with_other(script);
        },
        ..Plan::default()
    })
    .await;
    let at = SocketAddr::new(stage.place.ip(CARRIER), stage.place.port);
    let mut carrier = Phone::new(at, stage.place.at(1)).await;
    carrier.call(BOTH).await;
    let cancels = || received(&stage.teams[0]).into_iter().filter(|one| one.method() == Some("CANCEL"));
    let seen = stage.teams[0].journal().wait(SOON, |_| cancels().next()).await;
    let cancel: Message = seen.unwrap_or_else(|| panic!("Teams heard no CANCEL"));
    let reason = cancel.value("Reason").unwrap_or_default();
    assert!(
        reason.starts_with("SIP") && reason.contains("cause=200") && reason.contains("Call completed elsewhere"),
        "{reason}"
    );
    carrier.hang_up().await;
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e24_what_teams_says_of_a_refusal_stands_in_the_record_of_the_call() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            let reason = "Q.850;cause=31;text=\"00000000-0000-4000-8000-000000000001;No callee endpoints were found.\"";
            let script = Script::reject(480).with_header("Reason", reason);
            teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
        },
        ..Plan::default()
    })
    .await;
    let record = stage.pbxs[0].call(stage.to_teams(SHARED)).await;
    assert_eq!((record.error, record.code), (None, Some(480)));
    tokio::time::sleep(SHORT).await;
    let log = std::fs::read_to_string(stage.place.folder().join("edge.log")).unwrap();
    let line = log.lines().find(|line| line.contains("trunkway::calls") && line.contains("status=480"));
    let line = line.unwrap_or_else(|| panic!("no record of the call: {log}"));
    assert!(line.contains("No callee endpoints were found"), "{line}");
    let meaning = line.split("meaning=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    assert!(meaning.len() > 10, "what it means in plain words: {line}");
    stage.finish();
}
