//! The stand-in for Teams as the traces of 2020 show it, against an edge by hand.

use std::collections::HashSet;
use std::time::Duration;

use trunkway::lab::message::{Address, Message, Uri};
use trunkway::lab::teams::{LOCATION, emergency, forwarded};
use trunkway::lab::{
    CallPlan, CallRecord, Destination, Dialling, Ending, Endpoint, Profile, Refer, ReferTarget, Replaced, Role, Script,
    Scripts, Transport,
};

use super::raw_edge::{Bench, CALLER, LIMIT, SITE, USER};

const SHORT: Duration = Duration::from_millis(50);

fn plan(bench: &Bench) -> CallPlan {
    let addr = format!("127.0.0.1:{}", bench.edge.port).parse().unwrap();
    let to = Destination { endpoint: Endpoint { transport: Transport::Tls, addr }, name: Some(SITE.into()) };
    CallPlan::new(CALLER, USER, &format!("{SITE}:{}", bench.edge.port), to)
}

fn answering(script: Script) -> Scripts {
    Scripts::default().with_other(script)
}

async fn finished(bench: &Bench, role: Role, number: &str) -> CallRecord {
    let record = bench.teams.journal().wait_call(role, number, LIMIT).await.unwrap();
    assert!(record.finished, "{record:?} {:?}", bench.complaints(""));
    record
}

/// Answers a request of Teams with 200.
async fn accept(bench: &mut Bench, method: &str) -> (trunkway::lab::wire::Source, Message) {
    let (source, request) = bench.edge.request(method).await;
    let answer = bench.edge.response(&request, 200);
    bench.edge.reply(&source, &answer);
    (source, request)
}

#[tokio::test]
async fn two_telephones_ring_a_third_fork_says_183_and_a_fourth_answers() {
    let mut bench = Bench::start(Profile::Trace2020, |s| s.scripts = Scripts::default()).await;
    let invite = bench.edge.invite("forks");
    bench.edge.send(&invite);
    let mut answers = Vec::new();
    while answers.last().is_none_or(|answer: &Message| answer.code() != Some(200)) {
        answers.push(bench.edge.next().await.1);
    }
    let codes: Vec<_> = answers.iter().filter_map(Message::code).collect();
    assert_eq!(codes, [100, 180, 180, 183, 200]);
    assert!(answers[3].body.is_empty(), "the 183 says nothing");
    let tags: HashSet<_> = answers[1..].iter().map(|answer| answer.tag("To").unwrap()).collect();
    let contacts: HashSet<_> = answers[1..].iter().map(|answer| answer.list("Contact")).collect();
    assert_eq!((tags.len(), contacts.len()), (4, 4));
    assert!(contacts.iter().all(|contact| contact[0].contains(".pstnhub.microsoft.com:443;x-i=")));
    assert_eq!(answers[4].value("Session-Expires"), Some("3600;refresher=uas"));
    let ack = bench.edge.within("ACK", &answers[4], 1);
    bench.edge.send(&ack);
    let bye = bench.edge.within("BYE", &answers[4], 2);
    bench.edge.send(&bye);
    assert_eq!(bench.edge.answer().await.code(), Some(200));
    let record = finished(&bench, Role::Callee, USER).await;
    assert_eq!((record.provisional, record.early_tags.len()), (vec![180, 180, 183], 3));
    // Written as in the traces: upper-case names, names glued to the URI.
    let sent = bench.teams.journal().captured().into_iter().filter(|message| message.sent);
    for text in sent.map(|message| message.text) {
        let names = text.split("\r\n\r\n").next().unwrap().lines().skip(1).filter_map(|line| line.split_once(':'));
        assert!(names.into_iter().all(|(name, _)| name == name.to_ascii_uppercase()), "{text}");
    }
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn sessions_are_refreshed_by_reinvite_with_the_same_sdp_over_new_connections() {
    let mut script = Script::trace_2020(SHORT);
    script.refresh_after = Some(Duration::from_millis(100));
    let mut bench = Bench::start(Profile::Trace2020, |s| s.scripts = answering(script)).await;
    let answer = bench.edge.call("refresh").await;
    let mut connections = HashSet::new();
    for _ in 0..2 {
        let (source, refresh) = accept(&mut bench, "INVITE").await;
        assert_eq!(refresh.body, answer.body);
        assert_eq!(refresh.value("Session-Expires"), Some("3600;refresher=uac"));
        assert_eq!((refresh.value("Min-SE"), refresh.value("Supported")), (Some("300"), Some("timer")));
        connections.insert(source.connection);
        bench.edge.request("ACK").await;
    }
    assert_eq!(connections.len(), 2);
    let bye = bench.edge.within("BYE", &answer, 2);
    bench.edge.send(&bye);
    let record = finished(&bench, Role::Callee, USER).await;
    assert!(record.refreshes_made >= 2 && record.changes_made == 0, "{record:?}");
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn hold_is_inactive_both_when_teams_called_and_when_it_was_called() {
    let mut script = Script::answer(SHORT).hang_up_after(Duration::from_millis(500));
    script.hold_after = Some(SHORT);
    let mut bench = Bench::start(Profile::Trace2020, |s| s.scripts = answering(script)).await;
    bench.edge.call("held").await;
    let (_, hold) = accept(&mut bench, "INVITE").await;
    assert!(String::from_utf8_lossy(&hold.body).contains("a=inactive"));
    let (_, resume) = accept(&mut bench, "INVITE").await;
    assert!(String::from_utf8_lossy(&resume.body).contains("a=sendrecv"));
    accept(&mut bench, "BYE").await;
    assert_eq!(finished(&bench, Role::Callee, USER).await.changes_made, 2);

    let mut plan = plan(&bench);
    (plan.hold_after, plan.hang_up_after) = (Some(SHORT), Some(Duration::from_millis(500)));
    let teams = &bench.teams;
    let edge = &mut bench.edge;
    let play = async {
        for expected in ["a=sendrecv", "a=inactive", "a=sendrecv"] {
            let (source, invite) = edge.request("INVITE").await;
            assert!(String::from_utf8_lossy(&invite.body).contains(expected));
            let answer = edge.response(&invite, 200);
            edge.reply(&source, &answer);
        }
        let (source, bye) = edge.request("BYE").await;
        let answer = edge.response(&bye, 200);
        edge.reply(&source, &answer);
    };
    let (call, ()) = tokio::join!(teams.call(plan), play);
    assert!(call.finished && call.changes_made == 2, "{call:?}");
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

/// A number that transfers as soon as it is answered, and the user to whom it does.
fn transferring(target: ReferTarget) -> Scripts {
    let mut script = Script::trace_2020(SHORT);
    script.refer = Some(Refer::new(SHORT, target));
    Scripts::default().with(USER, script).with_other(Script::answer(SHORT))
}

const OBJECT: &str = "11111111-2222-4333-8444-555555555555";

#[tokio::test]
async fn a_transfer_comes_from_another_address_with_400_characters_and_ends_with_bye_of_teams() {
    let mut bench = Bench::start(Profile::Trace2020, |s| {
        s.scripts = transferring(ReferTarget::User(OBJECT.into()));
        s.other_addresses = vec!["127.0.0.77".parse().unwrap()];
    })
    .await;
    let first = bench.edge.call("first").await;
    let (source, refer) = bench.edge.request("REFER").await;
    assert_eq!(source.remote.ip().to_string(), "127.0.0.77");
    let accepted = bench.edge.response(&refer, 202);
    bench.edge.reply(&source, &accepted);
    let (target, by) = (refer.value("Refer-To").unwrap(), refer.value("Referred-By").unwrap());
    assert_eq!((target.len(), by.len()), (400, 400));
    let uri = Address::parse(target).unwrap().uri;
    let parsed = Uri::parse(&uri).unwrap();
    assert_eq!((parsed.user.as_deref(), parsed.parameter("x-m")), (None, Some(format!("8:orgid:{OBJECT}").as_str())));
    let trying = bench.edge.notify(&first, 2, "100 Trying");
    bench.edge.send(&trying);
    let mut invite = bench.edge.invite("second");
    invite.start = Message::request("INVITE", &uri).start;
    invite.push("Referred-By", by);
    bench.edge.send(&invite);
    let answer = loop {
        let (_, message) = bench.edge.next().await;
        if message.call_id() == "second" && message.code() == Some(200) {
            break message;
        }
    };
    let ack = bench.edge.within("ACK", &answer, 1);
    bench.edge.send(&ack);
    for (cseq, status) in [(3, "180 Ringing"), (4, "200 OK")] {
        let notify = bench.edge.notify(&first, cseq, status);
        bench.edge.send(&notify);
    }
    let (source, bye) = accept(&mut bench, "BYE").await;
    assert_eq!((bye.call_id(), source.remote.ip().to_string().as_str()), ("first", "127.0.0.77"));
    let record = finished(&bench, Role::Callee, USER).await;
    let transfer = record.transfer.unwrap();
    assert_eq!((transfer.code, transfer.notified), (Some(202), vec![100, 180, 200]));
    let second = bench.teams.journal().calls().into_iter().find(|call| call.call_id == "second").unwrap();
    assert!(second.referred, "{second:?}");
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn a_transfer_to_a_number_that_fails_leaves_the_first_call_alive() {
    let target = ReferTarget::Number("+14255550199".into());
    let mut bench = Bench::start(Profile::Trace2020, |s| s.scripts = transferring(target)).await;
    let first = bench.edge.call("first").await;
    let (source, refer) = bench.edge.request("REFER").await;
    assert_eq!(
        refer.value("Refer-To"),
        Some("<sip:+14255550199@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls>")
    );
    let accepted = bench.edge.response(&refer, 202);
    bench.edge.reply(&source, &accepted);
    for (cseq, status) in [(2, "100 Trying"), (3, "486 Busy Here")] {
        let notify = bench.edge.notify(&first, cseq, status);
        bench.edge.send(&notify);
        assert_eq!(bench.edge.answer().await.code(), Some(200));
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), bench.edge.next()).await.is_err(), "the call lives on");
    let bye = bench.edge.within("BYE", &first, 4);
    bench.edge.send(&bye);
    let record = finished(&bench, Role::Callee, USER).await;
    assert_eq!((record.ending, record.transfer.unwrap().notified), (Some(Ending::HungUpByPeer), vec![100, 486]));
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn a_call_of_teams_takes_over_another_by_replaces() {
    let mut bench = Bench::start(Profile::Trace2020, |_| {}).await;
    let (teams, mut first, mut second) = (&bench.teams, plan(&bench), plan(&bench));
    first.limit = Duration::from_secs(5);
    second.hang_up_after = Some(SHORT);
    let edge = &mut bench.edge;
    let established = async {
        let found =
            |journal: &trunkway::lab::Journal| Replaced::of(journal.calls().first().filter(|call| call.acknowledged)?);
        teams.journal().wait(LIMIT, found).await.unwrap()
    };
    let take_over = async {
        let replaced = established.await;
        second.replaces = Some(replaced.clone());
        (teams.call(second).await, replaced)
    };
    let play = async {
        let (source, invite) = edge.request("INVITE").await;
        let answer = edge.response(&invite, 200);
        edge.reply(&source, &answer);
        let (source, other) = edge.request("INVITE").await;
        let replaces = other.value("Replaces").unwrap().to_owned();
        let answer = edge.response(&other, 200);
        edge.reply(&source, &answer);
        // The call that was replaced is hung up by the side that took the Replaces (RFC 3891 section 3).
        let mut bye =
            edge.compose("BYE", &Address::parse(&invite.list("Contact")[0]).unwrap().uri, invite.call_id(), 2);
        for (name, value) in [
            ("From", format!("{};tag=raw", invite.value("To").unwrap())),
            ("To", invite.value("From").unwrap().to_owned()),
        ] {
            super::raw_edge::set(&mut bye, name, Some(&value));
        }
        for route in invite.list("Record-Route") {
            bye.push("Route", route);
        }
        edge.send(&bye);
        let (source, bye) = edge.request("BYE").await;
        let answer = edge.response(&bye, 200);
        edge.reply(&source, &answer);
        replaces
    };
    let (first, (second, replaced), replaces) = tokio::join!(teams.call(first), take_over, play);
    assert_eq!((first.finished, first.ending), (true, Some(Ending::HungUpByPeer)), "{first:?}");
    assert!(second.finished, "{second:?}");
    assert_eq!(replaces, format!("{};to-tag=raw;from-tag={}", first.call_id, first.local_tag));
    assert_eq!((replaced.call_id, replaced.to_tag.as_str()), (first.call_id, "raw"));
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

/// The INVITE of a call that the edge refuses.
async fn invite_of(bench: &mut Bench, plan: CallPlan) -> Message {
    let (teams, edge) = (&bench.teams, &mut bench.edge);
    let play = async {
        let (source, invite) = edge.request("INVITE").await;
        let refusal = edge.response(&invite, 486);
        edge.reply(&source, &refusal);
        invite
    };
    let (call, invite) = tokio::join!(teams.call(plan), play);
    assert_eq!(call.code, Some(486), "{call:?}");
    invite
}

#[tokio::test]
async fn forwarded_calls_and_calls_for_help_carry_what_the_reference_says() {
    let mut bench = Bench::start(Profile::Trace2020, |_| {}).await;
    let (one, two, three) = (plan(&bench), plan(&bench), plan(&bench));
    let plain = invite_of(&mut bench, one).await;
    assert_eq!((plain.value("Session-Expires"), plain.value("Min-SE")), (Some("3600"), Some("300")));
    assert!(plain.value("From").unwrap().starts_with("Adele Vance<sip:"), "{plain:?}");

    let invite = invite_of(&mut bench, forwarded(two, "+441632760009")).await;
    assert!(invite.uri().unwrap().ends_with(";user=phone;transport=tls;cause=302"));
    assert!(invite.value("From").unwrap().starts_with("\"Anonymous\"<sip:anonymous@anonymous.invalid>;tag="));
    let history = invite.list("History-Info");
    assert_eq!(history.len(), 2);
    assert!(
        history[0].contains("+441632760009@")
            && history[0].ends_with("?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20Temporarily%22>;index=1")
    );
    assert!(history[1].ends_with(";index=1.1"));
    assert_eq!((invite.value("Privacy"), invite.list("P-Asserted-Identity").len()), (Some("id"), 2));
    assert!(invite.value("Referred-By").unwrap().contains("+441632760009@"));

    let mut plan = emergency(three);
    plan.number = "+911".into();
    let invite = invite_of(&mut bench, plan).await;
    assert!(invite.uri().unwrap().starts_with("sip:+911@"));
    let kind = invite.value("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/mixed;boundary=").unwrap();
    let body = String::from_utf8(invite.body.clone()).unwrap();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "", "--\r\n"));
    assert!(parts[1].starts_with("\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"), "{body}");
    assert!(parts[2].contains("application/pidf+xml") && parts[2].contains(LOCATION), "{body}");
    let id = invite.value("Geolocation").unwrap().trim_matches(['<', '>']).strip_prefix("cid:").unwrap();
    assert!(parts[2].contains(&format!("Content-ID: <{id}>")), "{body}");
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn every_request_comes_over_a_connection_of_its_own_on_demand() {
    let mut bench = Bench::start(Profile::Trace2020, |s| s.dialling = Dialling::PerRequest).await;
    let mut plan = plan(&bench);
    plan.hang_up_after = Some(SHORT);
    let (teams, edge) = (&bench.teams, &mut bench.edge);
    let play = async {
        let mut connections = Vec::new();
        for method in ["INVITE", "ACK", "BYE"] {
            let (source, request) = edge.request(method).await;
            connections.push(source.connection);
            if method != "ACK" {
                let answer = edge.response(&request, 200);
                edge.reply(&source, &answer);
            }
        }
        connections
    };
    let (call, connections) = tokio::join!(teams.call(plan), play);
    assert!(call.finished, "{call:?}");
    assert_eq!(connections.iter().collect::<HashSet<_>>().len(), 3, "{connections:?}");
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn whole_messages_are_kept_for_a_search() {
    let mut bench = Bench::start(Profile::Strict, |s| s.capture_limit = 3).await;
    let mut options = bench.edge.options("secret");
    options.push("User-Agent", "pbx-10.0.0.7");
    bench.edge.send(&options);
    bench.edge.answer().await;
    let journal = bench.teams.journal();
    assert_eq!(journal.received_with("pbx-10.0.0.7").len(), 1);
    assert_eq!((journal.captured().len(), journal.captured_dropped()), (2, 0));
    for at in 0..2 {
        let options = bench.edge.options(&format!("plain-{at}"));
        bench.edge.send(&options);
        bench.edge.answer().await;
    }
    assert_eq!(journal.received_with("pbx-10.0.0.7"), []);
    assert_eq!((journal.captured().len(), journal.captured_dropped()), (3, 3));
    bench.stop().await;
}
