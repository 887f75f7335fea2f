//! Lines E13 and E14: numbers as Teams wants them, and what Teams does not know ends at the edge.

use std::net::SocketAddr;
use std::time::Duration;

use trunkway::lab::Agent;
use trunkway::lab::message::{Message, Uri};

use crate::phone::{Phone, sdp};
use crate::stage::{OWN, PBXS, Plan, SHARED, SITES, Stage, received};

/// A telephone of the first tenant's PBX.
pub async fn phone(stage: &Stage) -> Phone {
    Phone::new(SocketAddr::new(stage.place.ip(PBXS[0]), 0), stage.place.at(1)).await
}

/// Requests of calls that Teams has got, in order.
fn requests(teams: &Agent) -> Vec<Message> {
    received(teams).into_iter().filter(|one| one.method().is_some_and(|method| method != "OPTIONS")).collect()
}

/// How many requests of a method came.
fn count(teams: &Agent, method: &str) -> usize {
    requests(teams).iter().filter(|request| request.method() == Some(method)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_numbers_reach_teams_with_plus_user_phone_and_extension() {
    let more = "[tenant.contoso.numbering]\nextension_ranges = [\"400-499\"]\n\
                [[tenant.contoso.user]]\nid = \"shared\"\nnumber = \"+441632768470\"\nextension = \"470\"\nlives = \"teams\"\n";
    let stage =
        Stage::new(Plan { more: more.into(), teams: |teams| teams.tenants = Default::default(), ..Plan::default() });
    let stage = stage.await;
    // The stand-in has no tenants in this test, since it looks numbers up as they are written; it says so of each request.
    for (dialled, wanted) in
        [(SHARED, SHARED.to_owned()), ("01632768402", SHARED.to_owned()), ("470", "+441632768470;ext=470".to_owned())]
    {
        let mut phone = phone(&stage).await;
        let invite = phone.invite(dialled);
        phone.ask(&invite).await;
        let seen = requests(&stage.teams[0]);
        let last = seen.iter().rfind(|request| request.method() == Some("INVITE")).unwrap();
        let uri = Uri::parse(last.uri().unwrap()).unwrap();
        assert_eq!(uri.user.as_deref(), Some(&*wanted), "{dialled}: {:?}", last.uri());
        assert_eq!(
            (uri.parameter("user"), uri.host.as_str()),
            (Some("phone"), "sip.pstnhub.microsoft.com"),
            "{dialled}"
        );
        let from = last.value("From").unwrap();
        assert!(from.contains(&format!("sip:+441632960100@{}", SITES[0])), "{from}");
    }
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_reliable_provisional_answers_end_at_the_edge() {
    let stage = Stage::usual().await;
    let mut phone = phone(&stage).await;
    let mut invite = phone.invite(SHARED);
    invite.push("Require", "100rel");
    invite.push("Supported", "timer, 100rel, replaces");
    invite.push("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, REFER, NOTIFY");
    phone.send(&invite).await;
    let ringing = phone.hear("a reliable 180", |message| message.code() == Some(180)).await;
    let number = ringing.value("RSeq").expect("it is reliable, as was asked for").to_owned();
    assert!(ringing.list("Require").iter().any(|tag| tag == "100rel"));
    phone.learn(&ringing);
    let mut prack = phone.request("PRACK");
    prack.push("RAck", format!("{number} 1 INVITE"));
    assert_eq!(phone.ask(&prack).await.code(), Some(200));
    let ok = phone.hear("the answer", |message| {
        message.code() == Some(200) && message.cseq().is_some_and(|(_, method)| method == "INVITE")
    });
    let ok = ok.await;
    phone.establish(&ok).await;
    phone.hang_up().await;
    Stage::called(&stage.teams[0], SHARED).await;
    assert_eq!(count(&stage.teams[0], "PRACK"), 0);
    let invite = requests(&stage.teams[0]).remove(0);
    assert!(
        invite.list("Require").is_empty() && !invite.list("Supported").iter().any(|tag| tag == "100rel"),
        "{invite:#?}"
    );
    let allow = invite.list("Allow");
    assert!(!allow.iter().any(|method| method == "PRACK"), "{allow:?}");
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_update_info_and_the_like_end_at_the_edge() {
    let stage = Stage::usual().await;
    let mut phone = phone(&stage).await;
    phone.call(SHARED).await;
    let before = count(&stage.teams[0], "INVITE");
    let update = phone.request("UPDATE");
    assert_eq!(phone.ask(&update).await.code(), Some(200), "without a description");
    assert_eq!(count(&stage.teams[0], "INVITE"), before, "and Teams has heard nothing of it");
    let mut update = phone.request("UPDATE");
    update.push("Content-Type", "application/sdp");
    update.body = sdp(&phone.ip(), 2, "a=sendonly\r\n");
    let answer = phone.ask(&update).await;
    assert_eq!(answer.code(), Some(200), "{answer:#?}");
    assert!(!answer.body.is_empty(), "{answer:#?}");
    assert_eq!(count(&stage.teams[0], "INVITE"), before + 1, "with one it becomes a re-INVITE");
    let mut info = phone.request("INFO");
    info.push("Content-Type", "application/dtmf-relay");
    info.body = b"Signal=1\r\nDuration=160\r\n".to_vec();
    assert_eq!(phone.ask(&info).await.code(), Some(415));
    let info = phone.request("INFO");
    assert_eq!(phone.ask(&info).await.code(), Some(200));
    for method in ["MESSAGE", "SUBSCRIBE", "PUBLISH", "NONSENSE"] {
        let request = phone.request(method);
        let answer = phone.ask(&request).await;
        assert!(matches!(answer.code(), Some(405 | 501)), "{method}: {answer:#?}");
    }
    phone.hang_up().await;
    Stage::called(&stage.teams[0], SHARED).await;
    for method in ["UPDATE", "INFO", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "PRACK"] {
        assert_eq!(count(&stage.teams[0], method), 0, "{method}");
    }
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_an_invite_without_an_offer_is_refused_with_a_warning_and_in_mid_call_one_is_put_in() {
    let stage = Stage::usual().await;
    let mut caller = phone(&stage).await;
    let mut invite = caller.invite(SHARED);
    invite.body.clear();
    invite.headers.retain(|header| header.name != "Content-Type");
    let refusal = caller.ask(&invite).await;
    assert_eq!(refusal.code(), Some(488), "{refusal:#?}");
    assert!(refusal.value("Warning").is_some_and(|warning| warning.len() > 20), "{refusal:#?}");
    assert_eq!(count(&stage.teams[0], "INVITE"), 0);
    let mut phone = phone(&stage).await;
    phone.call(SHARED).await;
    let invite = phone.request("INVITE");
    let offer = phone.ask(&invite).await;
    assert_eq!(offer.code(), Some(200), "{offer:#?}");
    assert!(String::from_utf8_lossy(&offer.body).contains("m=audio"), "{offer:#?}");
    let (cseq, _) = offer.cseq().unwrap();
    let mut ack = phone.request_as("ACK", cseq);
    ack.push("Content-Type", "application/sdp");
    ack.body = sdp(&phone.ip(), 2, "a=sendrecv\r\n");
    phone.send(&ack).await;
    // The answer may go on as a re-INVITE.
    let _ = phone.rest().await;
    phone.hang_up().await;
    Stage::called(&stage.teams[0], SHARED).await;
    assert!(
        requests(&stage.teams[0]).iter().all(|request| request.method() != Some("INVITE") || !request.body.is_empty())
    );
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_teams_never_sees_replaces_refer_or_sips() {
    let stage = Stage::usual().await;
    let mut other = phone(&stage).await;
    let mut invite = other.invite(OWN[0]);
    invite.push("Replaces", "nobody;to-tag=a;from-tag=b");
    // It names a call that is not there: whether it is refused or goes on without, Teams is not told.
    other.ask(&invite).await;
    let mut caller = phone(&stage).await;
    let mut invite = caller.invite(SHARED);
    let at = invite.headers.iter().position(|header| header.name == "To").unwrap();
    invite.headers[at].value = caller.other.replace("<sip:", "<sips:");
    let ok = caller.ask(&invite).await;
    assert_eq!(ok.code(), Some(200), "{ok:#?}");
    caller.establish(&ok).await;
    // The stand-in complains of sips:, of Replaces and of REFER.
    let mut refer = caller.request("REFER");
    refer.push("Refer-To", format!("<sip:{}@{}>", OWN[0], stage.place.at(1)));
    let answer = caller.ask(&refer).await;
    assert!(answer.code().is_some(), "{answer:#?}");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(count(&stage.teams[0], "REFER"), 0);
    assert!(requests(&stage.teams[0]).iter().all(|request| request.value("Replaces").is_none()));
    let of_rules: Vec<String> = stage
        .complaints()
        .into_iter()
        .filter(|text| ["\"method\"", "\"replaces\"", "\"sips-uri\""].iter().any(|rule| text.contains(rule)))
        .collect();
    assert_eq!(of_rules, [""; 0]);
    tokio::task::block_in_place(|| stage.edge.stop());
}
