//! Lines E15 and E20: transfers by Teams, whichever way it takes.

use std::time::Duration;

use trunkway::lab::agent::Dialling;
use trunkway::lab::{Agent, CallRecord, Ending, Refer, ReferTarget, Replaced, Role, Script};

use crate::stage::{Plan, SHARED, Stage, received};
use crate::support::SOON;

const USER: &str = "11111111-2222-4333-8444-555555555555";
const MRI: &str = "8:orgid:11111111-2222-4333-8444-555555555555";
const PSTN: &str = "+14255550199";
const SOONISH: Duration = Duration::from_millis(400);

/// Answers, and then transfers the caller.
fn transferring(target: ReferTarget) -> Script {
    let mut script = Script::answer(Duration::from_millis(50));
    script.refer = Some(Refer::new(SOONISH, target));
    script
}

async fn wait(agent: &Agent, what: &str, fits: impl Fn(&CallRecord) -> bool) -> CallRecord {
    let found = agent.journal().wait(SOON, |journal| journal.calls().into_iter().find(|call| fits(call))).await;
    found.unwrap_or_else(|| panic!("{what}: {:#?}", agent.journal().calls()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e15_an_invite_with_replaces_takes_the_place_of_the_leg_that_it_names() {
    let stage = Stage::usual().await;
    let (teams, pbx) = (stage.teams[0].caller(), &stage.pbxs[0]);
    let mut first = stage.to_pbx(0, "+441632960101");
    (first.hang_up_after, first.limit) = (None, SOON);
    let first = tokio::spawn(async move { teams.call(first).await });
    let up = wait(&stage.teams[0], "the first call is up", |call| call.acknowledged && call.role == Role::Caller).await;
    wait(pbx, "the PBX has it too", |call| call.acknowledged).await;
    let mut second = stage.to_pbx(0, "+441632960101");
    second.replaces = Replaced::of(&up);
    second.hang_up_after = Some(Duration::from_secs(2));
    let second = stage.teams[0].call(second).await;
    assert_eq!((&second.error, second.code), (&None, Some(200)), "{second:#?}");
    let first = first.await.unwrap();
    assert_eq!((&first.error, first.ending), (&None, Some(Ending::HungUpByPeer)), "{first:#?}");
    // The PBX has one call all the time, which was changed and then ended.
    let of_pbx = Stage::called(pbx, "+441632960101").await;
    assert!(of_pbx.changes_seen >= 1 && of_pbx.ending == Some(Ending::HungUpByPeer), "{of_pbx:#?}");
    assert_eq!(pbx.journal().calls().len(), 1, "{:#?}", pbx.journal().calls());
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e20_a_transfer_by_refer_goes_to_the_proxy_word_for_word_and_is_told_of() {
    for (target, key) in [(ReferTarget::User(USER.into()), MRI), (ReferTarget::Number(PSTN.into()), PSTN)] {
        let stage = Stage::new(Plan {
            teams: if key == MRI {
                |teams| {
                    // The REFER comes by a connection of its own, from another address of Microsoft's.
                    teams.dialling = Dialling::PerRequest;
                    let scripts = std::mem::take(&mut teams.scripts);
                    teams.scripts = scripts.with(SHARED, transferring(ReferTarget::User(USER.into())));
                }
            } else {
                |teams| {
                    let scripts = std::mem::take(&mut teams.scripts);
                    teams.scripts = scripts.with(SHARED, transferring(ReferTarget::Number(PSTN.into())));
                }
            },
            ..Plan::default()
        })
        .await;
        let mut call = stage.to_teams(SHARED);
        call.hang_up_after = Some(Duration::from_secs(5));
        let record = stage.pbxs[0].call(call).await;
        assert_eq!(
            (&record.error, record.code),
            (&None, Some(200)),
            "{target:?}: {record:#?} {:#?}",
            stage.complaints()
        );
        let first = Stage::called(&stage.teams[0], SHARED).await;
        let transfer = first.transfer.clone().unwrap();
        assert!(!transfer.withheld && transfer.code == Some(202), "{first:#?}");
        assert_eq!((transfer.notified.first(), transfer.notified.last()), (Some(&100), Some(&200)), "{first:#?}");
        assert_eq!(first.ending, Some(Ending::HungUp), "Teams hangs up after the last NOTIFY: {first:#?}");
        // The new call is the one that was asked for, to the byte, and the PBX talks to it until it hangs up.
        let second = Stage::called(&stage.teams[0], key).await;
        assert!(second.referred && second.ending == Some(Ending::HungUpByPeer), "{second:#?}");
        let invites = received(&stage.teams[0]);
        let referred = invites.iter().find(|one| one.value("Referred-By").is_some()).unwrap();
        assert_eq!(referred.value("Referred-By"), Some(&*transfer.referred_by));
        assert_eq!(format!("<{}>", referred.uri().unwrap()), transfer.refer_to);
        stage.finish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e20_when_the_target_refuses_notify_says_so_and_the_first_call_lives_on() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            let scripts = std::mem::take(&mut teams.scripts);
            let script = transferring(ReferTarget::Number(PSTN.into())).hang_up_after(Duration::from_secs(4));
            teams.scripts = scripts.with(SHARED, script).with(PSTN, Script::reject(486));
        },
        ..Plan::default()
    })
    .await;
    let mut call = stage.to_teams(SHARED);
    call.hang_up_after = None;
    let record = stage.pbxs[0].call(call).await;
    assert_eq!((&record.error, record.ending), (&None, Some(Ending::HungUpByPeer)), "{record:#?}");
    let first = Stage::called(&stage.teams[0], SHARED).await;
    assert_eq!(first.transfer.clone().unwrap().notified.last(), Some(&486), "{first:#?}");
    assert_eq!((first.ending, first.bye_code), (Some(Ending::HungUp), Some(200)), "{first:#?}");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e20_where_transfers_are_off_allow_says_so_and_keeps_notify() {
    let stage = Stage::new(Plan {
        teams_keys: "refer = \"off\"\n".into(),
        teams: |teams| {
            let scripts = std::mem::take(&mut teams.scripts);
            let script = transferring(ReferTarget::Number(PSTN.into())).hang_up_after(Duration::from_secs(1));
            teams.scripts = scripts.with(SHARED, script);
        },
        ..Plan::default()
    })
    .await;
    let mut call = stage.to_teams(SHARED);
    call.hang_up_after = None;
    let record = stage.pbxs[0].call(call).await;
    assert_eq!((&record.error, record.code), (&None, Some(200)), "{record:#?}");
    let first = Stage::called(&stage.teams[0], SHARED).await;
    assert!(first.transfer.clone().unwrap().withheld, "{first:#?}");
    let with_allow: Vec<_> =
        received(&stage.teams[0]).into_iter().filter(|one| !one.list("Allow").is_empty()).collect();
    assert!(!with_allow.is_empty());
    for message in with_allow {
        let allow = message.list("Allow");
        let has = |method: &str| allow.iter().any(|listed| listed == method);
        let of_call = message.call_id() == first.call_id;
        assert!(has("NOTIFY") && !(of_call && has("REFER")), "{}: {allow:?}", message.summary());
    }
    stage.finish();
}
