//! Lines E16, E17, E19 and E21: routes inside a call, what is read, hold, and refreshes of sessions.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use trunkway::lab::Script;
use trunkway::lab::message::Message;

use crate::foreign::phone;
use crate::phone::sdp;
use crate::stage::{EDGE, OWN, Plan, SHARED, SITES, Stage, received};
use crate::support::process::Process;
use crate::support::{SOON, until};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(900);

/// The descriptions in INVITEs and their answers that a party has got, in order.
fn descriptions(messages: &[Message]) -> Vec<String> {
    let with_body = messages.iter().filter(|one| one.value("Content-Type") == Some("application/sdp"));
    with_body.map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_later_requests_follow_the_recorded_route_and_the_contact_of_teams_is_never_dialled() {
    let stage = Stage::usual().await;
    let mut call = stage.to_teams(SHARED);
    (call.hold_after, call.hang_up_after) = (Some(SHORT), Some(LONG));
    let record = stage.pbxs[0].call(call).await;
    assert_eq!((record.error, record.code), (None, Some(200)), "{:#?}", stage.complaints());
    let called = Stage::called(&stage.teams[0], SHARED).await;
    let requests: Vec<Message> = received(&stage.teams[0])
        .into_iter()
        .filter(|one| one.call_id() == called.call_id && one.method().is_some() && one.tag("To").is_some())
        .collect();
    // ACK, re-INVITE and ACK twice, BYE: the Request-URI is the Contact, the way is that of Record-Route.
    assert!(requests.len() >= 6, "{:?}", requests.iter().map(Message::summary).collect::<Vec<_>>());
    for request in &requests {
        assert!(request.uri().unwrap().starts_with("sip:api-du-a-euwe.pstnhub.microsoft.com:443;"), "{request:#?}");
        assert_eq!(request.list("Route").len(), 1, "{request:#?}");
        assert!(request.list("Route")[0].starts_with("<sip:sip-du-a-eu.pstnhub.microsoft.com:"), "{request:#?}");
    }
    let asked = std::fs::read_to_string(stage.place.folder().join("dnsmasq.log")).unwrap();
    assert!(asked.contains("query[A] sip-du-a-eu.pstnhub.microsoft.com"), "{asked}");
    assert!(!asked.contains("api-du"), "nobody has even asked where that is: {asked}");
    stage.finish();
}

/// An INVITE as awkward as those of the traces, and longer than a packet.
fn awkward(port: u16) -> String {
    let opaque = "0123456789abcdefABCDEF/".repeat(17);
    let body = format!(
        "v=0\r\no=- 91249 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nb=CT:10000000\r\nt=0 0\r\n\
         m=audio 49600 RTP/SAVP 104 9 8 101 13\r\nc=IN IP4 192.0.2.7\r\na=rtcp:49601\r\n{}a=rtcp-mux\r\na=sendrecv\r\n",
        "a=candidate:1 1 UDP 2130706431 192.0.2.7 49600 typ host\r\n".repeat(12)
    );
    format!(
        "INVITE sip:+441632960101@{site}:{port};user=phone;transport=tls SIP/2.0\r\n\
         FROM: Jos\u{e9} \u{201c}Pepe\u{201d} Doe<sip:{own}@sip.pstnhub.microsoft.com:5061;user=phone>;tag=0f0e0d0c0b0a4958\r\n\
         TO: <sip:+441632960101@{site}:{port};user=phone>\r\nCSEQ: 1 INVITE\r\n\
         CALL-ID: 9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d\r\nMAX-FORWARDS: 70\r\n\
         VIA: SIP/2.0/TLS 192.0.2.76:5061;branch=z9hG4bK58735f38\r\n\
         RECORD-ROUTE: <sip:sip-du-a-eu.pstnhub.microsoft.com:{port};transport=tls;lr>\r\n\
         CONTACT: <sip:api-du-a-uswe2.pstnhub.microsoft.com:443;x-i=00000000-0000-4000-8000-00000000000b;x-c=9d2b6c1e/d/8/0b>\r\n\
         MIN-SE: 300\r\nSUPPORTED: timer\r\nSESSION-EXPIRES: 3600\r\n\
         HISTORY-INFO: <sip:+441632768499@sip.pstnhub.microsoft.com:5061;user=phone?Reason=SIP;cause=302;text=\u{201d}Moved Temporarily\u{201d}>;index=1\r\n\
         REFERRED-BY: <sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:bbbbbbbb-cccc-4ddd-8eee-ffffffffffff;x-t={opaque}>\r\n\
         USER-AGENT: Microsoft.PSTNHub.SIPProxy v.2020.5.13.3 i.EUNO.7\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n\
         CONTENT-TYPE: application/sdp\r\nCONTENT-LENGTH: {}\r\n\r\n{body}",
        body.len(),
        site = SITES[0],
        own = OWN[0],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e17_what_teams_writes_is_read_however_it_is_written() {
    let stage = Stage::usual().await;
    let port = stage.place.tls_at(1).port();
    let invite = awkward(port);
    assert!(invite.len() > 2_000, "{}", invite.len());
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &stage.place.tls_at(1).to_string(),
        "-servername",
        EDGE,
        "-ign_eof",
        "-quiet",
    ]);
    command.args(["-bind", &format!("{}:0", stage.place.ip(32)), "-CAfile", "certs/ca.pem"]);
    command.args(["-cert", "certs/teams.pem", "-key", "certs/teams.key"]);
    let output = tokio::task::block_in_place(|| {
        let mut openssl = Process::start_with("openssl", stage.place.folder(), command.stdin(Stdio::piped()));
        openssl.child().stdin.as_mut().unwrap().write_all(invite.as_bytes()).unwrap();
        until("the PBX answers", SOON, || openssl.output().contains("\nSIP/2.0 200").then(|| openssl.output()))
    });
    let answer = &output[output.find("SIP/2.0 200").unwrap()..];
    // What is echoed is echoed to the byte; what is the edge's own has the name of the tenant.
    for part in [
        "Jos\u{e9} \u{201c}Pepe\u{201d} Doe<sip:",
        "9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d",
        "SIP/2.0/TLS 192.0.2.76:5061;branch=z9hG4bK58735f38",
        "<sip:sip-du-a-eu.pstnhub.microsoft.com:",
    ] {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
    let invite = received(&stage.pbxs[0]).into_iter().find(|one| one.method() == Some("INVITE")).unwrap();
    assert!(invite.value("From").unwrap().contains("Pepe"), "{invite:#?}");
    assert!(invite.value("From").unwrap().contains(OWN[0]), "{invite:#?}");
    tokio::task::block_in_place(|| stage.edge.stop());
}

#[test]
fn e17_the_published_vectors_are_read() {
    use trunkway::sip::{Framing, Limits, Message};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors");
    let Ok(files) = std::fs::read_dir(&folder) else {
        return eprintln!("{} is not there: nothing is tested with it", folder.display());
    };
    let mut count = 0;
    for path in files.map(|file| file.unwrap().path()) {
        let bytes = std::fs::read(&path).unwrap();
        let message = Message::parse(bytes.into(), Framing::Stream, &Limits::default());
        let message = message.unwrap_or_else(|flaw| panic!("{}: {flaw}", path.display()));
        assert_eq!(message.flaw(), None, "{}", path.display());
        count += 1;
    }
    assert!(count >= 28, "{count} vectors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e19_hold_is_inactive_for_teams_in_whatever_way_the_pbx_says_it() {
    let stage = Stage::usual().await;
    let ip = "192.0.2.99";
    for (number, held) in [
        (SHARED, sdp("192.0.2.99", 2, "a=sendonly\r\n")),
        (
            OWN[0],
            String::from_utf8(sdp(ip, 2, "")).unwrap().replace(&format!("c=IN IP4 {ip}"), "c=IN IP4 0.0.0.0").into(),
        ),
    ] {
        let mut phone = phone(&stage).await;
        phone.call(number).await;
        let mut hold = phone.request("INVITE");
        hold.push("Content-Type", "application/sdp");
        hold.body = held;
        let ok = phone.ask(&hold).await;
        assert_eq!(ok.code(), Some(200), "{ok:#?}");
        phone.acknowledge(&ok).await;
        let answer = String::from_utf8_lossy(&ok.body).into_owned();
        assert!(answer.contains("a=inactive") || answer.contains("a=recvonly"), "{answer}");
        let seen = received(&stage.teams[0]);
        let last = seen.iter().rfind(|one| one.method() == Some("INVITE")).unwrap();
        let told = String::from_utf8_lossy(&last.body);
        assert!(told.contains("a=inactive") && !told.contains("0.0.0.0") && !told.contains("sendonly"), "{told}");
        // And back again.
        let mut resume = phone.request("INVITE");
        resume.push("Content-Type", "application/sdp");
        resume.body = sdp(ip, 3, "a=sendrecv\r\n");
        let ok = phone.ask(&resume).await;
        phone.acknowledge(&ok).await;
        let seen = received(&stage.teams[0]);
        let last = seen.iter().rfind(|one| one.method() == Some("INVITE")).unwrap();
        assert!(String::from_utf8_lossy(&last.body).contains("a=sendrecv"));
        phone.hang_up().await;
        Stage::called(&stage.teams[0], number).await;
    }
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e19_hold_by_teams_reaches_the_pbx_and_addresses_and_rtcp_mux_stay() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            let script = Script { hold_after: Some(SHORT), ..Script::answer(SHORT).hang_up_after(LONG) };
            teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
        },
        ..Plan::default()
    })
    .await;
    let mut call = stage.to_teams(SHARED);
    call.hang_up_after = None;
    let record = stage.pbxs[0].call(call).await;
    assert_eq!((&record.error, record.changes_seen), (&None, 2), "{record:#?}");
    let of_teams = descriptions(&received(&stage.pbxs[0]));
    assert!(of_teams.len() >= 3, "the answer, hold and back: {of_teams:?}");
    assert!(of_teams.iter().any(|text| text.contains("a=sendonly") || text.contains("a=inactive")), "{of_teams:?}");
    let line = |text: &String, start: &str| text.lines().find(|line| line.starts_with(start)).map(str::to_owned);
    for text in &of_teams {
        assert!(text.contains("a=rtcp-mux"), "{text}");
        assert_eq!(
            (line(text, "c="), line(text, "m=")),
            (line(&of_teams[0], "c="), line(&of_teams[0], "m=")),
            "{text}"
        );
    }
    stage.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e21_a_refresh_stays_on_its_side() {
    let stage = Stage::new(Plan {
        teams: |teams| {
            let mut script = Script::answer(SHORT);
            script.session_expires = Some(3_600);
            script.refresh_after = Some(Duration::from_millis(600));
            teams.scripts = std::mem::take(&mut teams.scripts).with(SHARED, script);
        },
        ..Plan::default()
    })
    .await;
    // The PBX refreshes, with the version that its description had: Teams hears nothing of it.
    let mut phone = phone(&stage).await;
    phone.call(OWN[0]).await;
    for _ in 0..2 {
        let mut refresh = phone.request("INVITE");
        refresh.push("Supported", "timer");
        refresh.push("Session-Expires", "1800;refresher=uac");
        refresh.push("Content-Type", "application/sdp");
        refresh.body = sdp(&phone.ip(), 1, "a=sendrecv\r\n");
        let ok = phone.ask(&refresh).await;
        assert_eq!(ok.code(), Some(200), "{ok:#?}");
        assert!(ok.value("Session-Expires").is_some() && !ok.body.is_empty(), "{ok:#?}");
        phone.acknowledge(&ok).await;
    }
    phone.hang_up().await;
    let called = Stage::called(&stage.teams[0], OWN[0]).await;
    assert_eq!(called.changes_seen, 0, "{called:#?}");
    // Teams refreshes: the PBX hears nothing of it. Teams hears of the session timer what it wants to.
    let mut call = stage.to_teams(SHARED);
    call.hang_up_after = Some(Duration::from_millis(2_500));
    let record = stage.pbxs[0].call(call).await;
    assert_eq!((&record.error, record.code, record.changes_seen), (&None, Some(200), 0), "{record:#?}");
    let called = Stage::called(&stage.teams[0], SHARED).await;
    assert!(called.refreshes_made >= 1, "{called:#?}");
    let invites = received(&stage.teams[0]);
    assert!(invites.iter().all(|one| one.method() != Some("UPDATE")));
    stage.finish();
}
