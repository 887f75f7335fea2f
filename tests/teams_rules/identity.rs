//! Lines E25 to E28: who calls, calls for help, headers that are nobody's business, and messages that are too long.

use std::net::SocketAddr;

use trunkway::lab::CallPlan;
use trunkway::lab::message::Message;
use trunkway::lab::teams::{emergency, forwarded};

use crate::phone::Phone;
use crate::stage::{CARRIER, OWN, Plan, SHARED, Stage, received};

/// A number of the public network, and one for help.
const OUTSIDE: &str = "+493012345678";

/// A stage with a carrier, to which Teams' calls to Germany and for help go, and a telephone in the carrier's place.
async fn with_carrier(carrier_keys: &str) -> (Stage, Phone) {
    let more = format!(
        "[trunk.carrier]\nkind = \"carrier\"\nlisten = \"inside\"\ntargets = [\"udp:CARRIER\"]\n{carrier_keys}\n\
         [[route]]\nfrom = \"teams\"\nprefix = \"+49\"\nto = [\"carrier\"]\n[emergency]\nto = [\"carrier\"]\n"
    );
    let stage = Stage::new(Plan { more, ..Plan::default() }).await;
    let at = SocketAddr::new(stage.place.ip(CARRIER), stage.place.port);
    let carrier = Phone::new(at, stage.place.at(1)).await;
    (stage, carrier)
}

/// Places a call by Teams, which the carrier takes; the INVITE that the carrier got.
async fn taken(stage: &Stage, carrier: &mut Phone, mut plan: CallPlan) -> Message {
    plan.hang_up_after = Some(std::time::Duration::from_millis(100));
    let teams = stage.teams[0].caller();
    let call = tokio::spawn(async move { teams.call(plan).await });
    let invite = carrier.hear("an INVITE", |one| one.method() == Some("INVITE")).await;
    let ok = carrier.ok_with(&invite, 1, "a=sendrecv\r\n");
    carrier.send(&ok).await;
    carrier.hear("an ACK", |one| one.method() == Some("ACK")).await;
    let bye = carrier.hear("a BYE", |one| one.method() == Some("BYE")).await;
    let ok = carrier.answer(&bye, 200, "OK");
    carrier.send(&ok).await;
    let record = call.await.unwrap();
    assert_eq!((&record.error, record.code), (&None, Some(200)), "{record:#?}");
    // Copies of what was answered already.
    carrier.rest().await;
    invite
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e25_who_calls_and_who_has_diverted_is_told_as_each_trunk_wants_it() {
    let (stage, mut carrier) = with_carrier("").await;
    let plan = forwarded(stage.to_pbx(0, OUTSIDE), SHARED);
    let invite = taken(&stage, &mut carrier, plan).await;
    // A carrier that is not trusted learns nothing of who hides; who has diverted stands in Diversion.
    assert!(invite.value("From").unwrap().contains("anonymous@anonymous.invalid"), "{invite:#?}");
    assert_eq!(invite.value("P-Asserted-Identity"), None, "{invite:#?}");
    assert_eq!(invite.value("History-Info"), None, "{invite:#?}");
    let diversion = invite.value("Diversion").unwrap_or_else(|| panic!("no Diversion: {invite:#?}"));
    assert!(diversion.contains(SHARED) || diversion.contains("anonymous"), "{diversion}");
    assert!(!format!("{invite:?}").contains(&OWN[0][1..]), "the caller's number is nowhere: {invite:#?}");
    // One that is trusted is told.
    drop(carrier);
    tokio::task::block_in_place(|| stage.edge.stop());
    let (stage, mut carrier) = with_carrier("[trunk.carrier.caller_id]\ntrusted = true").await;
    let plan = forwarded(stage.to_pbx(0, OUTSIDE), SHARED);
    let invite = taken(&stage, &mut carrier, plan).await;
    assert!(invite.value("P-Asserted-Identity").is_some_and(|value| value.contains(OWN[0])), "{invite:#?}");
    assert!(invite.value("Diversion").is_some_and(|value| value.contains(SHARED)), "{invite:#?}");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e26_calls_for_help_carry_the_place_and_other_calls_do_not() {
    let (stage, mut carrier) = with_carrier("").await;
    for number in ["+999", "999", "112"] {
        let invite = taken(&stage, &mut carrier, emergency(stage.to_pbx(0, number))).await;
        let body = String::from_utf8_lossy(&invite.body);
        assert!(
            body.contains("application/pidf+xml") && body.contains("Redmond") && body.contains("m=audio"),
            "{body}"
        );
        assert!(invite.value("Geolocation").is_some_and(|value| value.contains("cid:")), "{invite:#?}");
    }
    let invite = taken(&stage, &mut carrier, emergency(stage.to_pbx(0, OUTSIDE))).await;
    assert_eq!(invite.value("Content-Type"), Some("application/sdp"), "{invite:#?}");
    let text = format!("{invite:?}{}", String::from_utf8_lossy(&invite.body));
    assert!(!text.contains("Redmond") && !text.contains("Geolocation") && text.contains("m=audio"), "{text}");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e27_teams_sees_the_product_and_the_carrier_nothing_of_teams_own_headers() {
    let (stage, mut carrier) = with_carrier("").await;
    let mut plan = stage.to_pbx(0, OUTSIDE);
    for (name, value) in [
        ("X-MS-UserLocation", "external"),
        ("X-MS-MediaPath", "sbc.example.net"),
        ("ms-conversation-id", "00000000-0000-4000-8000-00000000000b"),
        ("P-Charging-Vector", "icid-value=1"),
        ("X-Own", "1"),
    ] {
        plan.headers.push((name.into(), value.into()));
    }
    let invite = taken(&stage, &mut carrier, plan).await;
    let strange: Vec<&str> = invite
        .headers
        .iter()
        .map(|header| header.name.as_str())
        .filter(|name| ["x-", "p-", "ms-"].iter().any(|start| name.to_ascii_lowercase().starts_with(start)))
        .collect();
    assert_eq!(strange, [""; 0], "{invite:#?}");
    // Every message to Teams says what the edge is. How many of them were read by now is a matter of time.
    let to_teams = received(&stage.teams[0]);
    let named = to_teams.iter().filter(|one| one.value("X-MS-SBC").is_some()).count();
    assert!(named >= 3 && named == to_teams.len(), "OPTIONS, 18x, 200: {named} of {}", to_teams.len());
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e28_what_goes_by_udp_is_short_enough() {
    let (stage, mut carrier) = with_carrier("").await;
    let mut plan = stage.to_pbx(0, OUTSIDE);
    // About two kilobytes, as Microsoft says, most of which only Microsoft can use.
    for index in 0..6 {
        plan.headers.push((format!("X-MS-Part-{index}"), "opaque".repeat(40)));
    }
    let invite = taken(&stage, &mut carrier, plan).await;
    let length = invite.to_bytes(trunkway::lab::message::Style::Plain).len();
    assert!(length <= 1_300, "{length} bytes by UDP: {invite:#?}");
    assert!(String::from_utf8_lossy(&invite.body).contains("a=crypto"), "what encrypts stays");
    stage.finish();
}
