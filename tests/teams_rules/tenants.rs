//! Lines E11 and E12: two tenants with the same number on one listener, calls both ways, and not a word of complaint from
//! a Teams that checks everything.

use std::time::Duration;

use trunkway::lab::message::{Address, Message, Uri};
use trunkway::lab::{Agent, Script};

use crate::stage::{OWN, Plan, SHARED, SITES, Stage, received};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(900);

/// The host of a message's Contact, if it has one.
fn contact_host(message: &Message) -> Option<String> {
    let contact = Address::parse(message.list("Contact").first()?)?;
    Uri::parse(&contact.uri).map(|uri| uri.host)
}

/// The tenants whose name stands in Contact of what Teams got, by the kind of message.
fn shown(teams: &Agent, call_id: &str) -> Vec<(String, String)> {
    let of_call = received(teams).into_iter().filter(|message| message.call_id() == call_id);
    of_call.filter_map(|message| Some((message.summary(), contact_host(&message)?))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_every_contact_has_the_name_of_the_calls_tenant() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            // The called side changes the call too, and hangs up.
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            teams.scripts = std::mem::take(&mut teams.scripts).with(OWN[0], script);
        },
        ..Plan::default()
    })
    .await;
    for (index, site) in SITES.into_iter().enumerate() {
        for number in [SHARED, OWN[index]] {
            let mut plan = stage.to_teams(number);
            if index == 0 && number == OWN[0] {
                plan.hang_up_after = None;
            }
            let record = stage.pbxs[index].call(plan).await;
            assert_eq!((record.error, record.code), (None, Some(200)), "{site}: {:#?}", stage.complaints());
            let called = Stage::called(&stage.teams[0], number).await;
            let shown = shown(&stage.teams[0], &called.call_id);
            // INVITE at least; where Teams has held the call, the 200s of two re-INVITEs too.
            assert!(shown.len() >= if number == OWN[0] { 3 } else { 1 }, "{shown:?}");
            assert!(shown.iter().all(|(_, host)| host == site), "{site}: {shown:?}");
        }
        let number = format!("+44163296010{index}");
        let mut plan = stage.to_pbx(index, &number);
        plan.hold_after = Some(SHORT);
        plan.hang_up_after = Some(LONG);
        let record = stage.teams[0].call(plan).await;
        assert_eq!((record.error, record.code, record.changes_made), (None, Some(200), 2), "{site} from Teams");
        Stage::called(&stage.pbxs[index], &number).await;
        let shown = shown(&stage.teams[0], &record.call_id);
        let ringing = shown.iter().filter(|(what, _)| what.starts_with("180")).count();
        let answers = shown.iter().filter(|(what, _)| what.starts_with("200")).count();
        assert!(ringing >= 1 && answers >= 3, "180, 200 and those of hold and back: {shown:?}");
        assert!(shown.iter().all(|(_, host)| host == site), "{site}: {shown:?}");
    }
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_a_number_of_the_other_tenant_is_nobodys() {
    let stage = Stage::usual().await;
    // Of two tenants with the same number each reaches its own; the stand-in looks in the tenant of Contact alone.
    for index in 0..2 {
        let record = stage.pbxs[index].call(stage.to_teams(SHARED)).await;
        assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    }
    // The other tenant's number is not looked up there: the call is not put through to the other tenant's user.
    let record = stage.pbxs[1].call(stage.to_teams(OWN[0])).await;
    assert_ne!(record.code, Some(200));
    assert!(stage.teams[0].journal().calls().iter().all(|call| call.number != OWN[0]), "Teams was not asked");
    stage.finish();
}
