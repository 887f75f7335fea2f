//! The strict profile of the stand-in for Teams: each rule against an edge by hand that breaks it, and the handshake.

use std::time::Duration;

use trunkway::lab::message::{Message, StartLine};
use trunkway::lab::{CallPlan, Destination, Outcome, Profile, Refer, ReferTarget, Rule, Script, Scripts, TrunkStatus};

use super::raw_edge::{Bench, CALLER, LIMIT, SITE, USER, set};

const SHORT: Duration = Duration::from_millis(50);

fn to_uri(message: &mut Message, new: &str) {
    if let StartLine::Request { uri, .. } = &mut message.start {
        *uri = new.into();
    }
}

fn edit_body(message: &mut Message, from: &str, to: &str) {
    let text = String::from_utf8(message.body.clone()).unwrap();
    assert!(text.contains(from));
    message.body = text.replace(from, to).into_bytes();
}

/// A rule, the status that comes, and how the INVITE breaks it.
type Injected = (&'static str, u16, Inject);
/// How a message is broken.
type Inject = fn(&mut Message);

const INVITES: &[Injected] = &[
    ("allow", 486, |m| set(m, "Allow", None)),
    ("allow", 486, |m| set(m, "Allow", Some("INVITE, ACK, BYE, CANCEL, OPTIONS"))),
    ("certificate-name", 403, |m| set(m, "Contact", Some("<sip:sbc.elsewhere.example;transport=tls>"))),
    ("certificate-name", 403, |m| set(m, "Contact", Some("<sip:sbc.two.example.net;transport=tls>"))),
    ("contact-address", 403, |m| set(m, "Contact", Some("<sip:a@127.0.0.1:5061;transport=tls>"))),
    ("contact-form", 403, |m| set(m, "Contact", Some("<sip:@sbc.example.net;transport=tls>"))),
    ("contact-missing", 403, |m| set(m, "Contact", None)),
    ("e164", 404, |m| to_uri(m, "sip:441632760001@sip.pstnhub.microsoft.com;user=phone")),
    ("fqdn-length", 403, |m| {
        let long = format!("{}.example.net", "a".repeat(52));
        set(m, "Contact", Some(&format!("<sip:{long};transport=tls>")));
        set(m, "From", Some(&format!("<sip:+441632960100@{long}>;tag=raw")));
    }),
    ("from-host", 486, |m| set(m, "From", Some("<sip:+441632960100@pbx.internal>;tag=raw"))),
    ("hold-in-first-invite", 488, |m| edit_body(m, "a=sendrecv", "a=inactive")),
    ("hold-in-first-invite", 488, |m| edit_body(m, "c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0")),
    ("malformed-callee", 412, |m| to_uri(m, "sip:01632-760001@sip.pstnhub.microsoft.com;user=phone")),
    ("malformed-callee", 412, |m| to_uri(m, "sip:sip.pstnhub.microsoft.com;user=phone")),
    ("no-offer", 488, |m| m.body.clear()),
    ("record-route", 486, |m| m.push("Record-Route", "<sip:sbc.example.net:5061;transport=tls;lr>")),
    ("record-route-address", 403, |m| m.push("Record-Route", "<sip:127.0.0.1:5061;transport=tls;lr>")),
    ("record-route-host", 486, |m| m.push("Record-Route", "<sip:proxy.example.net;transport=tls;lr>")),
    ("reliable-provisional", 420, |m| m.push("Require", "100rel")),
    ("reliable-provisional", 486, |m| m.push("Supported", "timer, 100rel")),
    ("replaces", 403, |m| m.push("Replaces", "a;to-tag=b;from-tag=c")),
    ("sips-uri", 416, |m| to_uri(m, "sips:+441632760001@sip.pstnhub.microsoft.com;user=phone")),
    ("unknown-callee", 404, |m| to_uri(m, "sip:+441632760009@sip.pstnhub.microsoft.com;user=phone")),
    // A user, but of the other tenant.
    ("unknown-callee", 404, |m| to_uri(m, "sip:+441632760002@sip.pstnhub.microsoft.com;user=phone")),
    // A shared number without its extension.
    ("unknown-callee", 404, |m| to_uri(m, "sip:+441632760003@sip.pstnhub.microsoft.com;user=phone")),
    ("unknown-tenant", 403, |m| {
        set(m, "Contact", Some("<sip:sbc.unknown.example;transport=tls>"));
        set(m, "From", Some("<sip:+441632960100@sbc.unknown.example>;tag=raw"));
    }),
    ("user-phone", 486, |m| to_uri(m, "sip:+441632760001@sip.pstnhub.microsoft.com")),
    ("x-ms-sbc", 486, |m| set(m, "X-MS-SBC", None)),
];

#[tokio::test]
async fn each_broken_rule_of_an_invite_is_named_and_refused_as_teams_does() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    for (at, (rule, status, inject)) in INVITES.iter().enumerate() {
        let call_id = format!("broken-{at}");
        let mut invite = bench.edge.invite(&call_id);
        inject(&mut invite);
        bench.edge.send(&invite);
        let refusal = bench.edge.answer().await;
        let ack = bench.edge.refusal_ack(&invite, &refusal);
        bench.edge.send(&ack);
        assert_eq!((refusal.call_id(), refusal.code()), (call_id.as_str(), Some(*status)), "{rule} at {at}");
        let rules = bench.rules(&call_id);
        assert!(rules.contains(rule), "{rule} at {at}: {:?}", bench.complaints(&call_id));
        // A broken rule may bring another one with it, never a flood.
        assert!(rules.len() <= 2, "{rule} at {at}: {:?}", bench.complaints(&call_id));
        let complaints = bench.complaints(&call_id);
        let text = &complaints.iter().find(|complaint| complaint.rule == Some(rule)).unwrap().text;
        assert!(text.starts_with(rule) && text.contains("(Direct Routing A"), "{text}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_good_invite_has_no_complaint_and_an_extension_is_a_user() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    for (call_id, uri) in
        [("plain", None), ("extension", Some("sip:+441632760003;ext=7@sip.pstnhub.microsoft.com;user=phone"))]
    {
        let mut invite = bench.edge.invite(call_id);
        if let Some(uri) = uri {
            to_uri(&mut invite, uri);
        }
        bench.edge.send(&invite);
        let refusal = bench.edge.answer().await;
        assert_eq!(refusal.code(), Some(486), "{call_id}");
        let ack = bench.edge.refusal_ack(&invite, &refusal);
        bench.edge.send(&ack);
    }
    assert_eq!(bench.complaints(""), []);
    bench.stop().await;
}

#[tokio::test]
async fn refusals_carry_microsofts_reason_and_number() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    let cases: [(&str, Option<&str>, &str, &str); 3] = [
        ("a", Some("<sip:sbc.unknown.example;transport=tls>"), "No trunk config was found.", "510532"),
        ("b", None, "Callee not found.", "511404"),
        ("c", None, "Malformed callee number.", "510412"),
    ];
    for (call_id, contact, words, number) in cases {
        let mut invite = bench.edge.invite(call_id);
        if contact.is_some() {
            set(&mut invite, "Contact", contact);
        }
        match call_id {
            "b" => to_uri(&mut invite, "sip:+1@sip.pstnhub.microsoft.com;user=phone"),
            "c" => to_uri(&mut invite, "sip:*1@sip.pstnhub.microsoft.com;user=phone"),
            _ => {}
        }
        bench.edge.send(&invite);
        let refusal = bench.edge.answer().await;
        let reason = refusal.value("Reason").unwrap();
        assert!(reason.starts_with("Q.850;cause=") && reason.contains(words), "{reason}");
        assert!(refusal.value("Warning").unwrap().contains(number), "{refusal:?}");
    }
    let mut options = bench.edge.options("d");
    set(&mut options, "Contact", None);
    bench.edge.send(&options);
    let refusal = bench.edge.answer().await;
    assert!(refusal.value("Reason").unwrap().contains("Record-Route and Contact headers are missing."));
    bench.stop().await;
}

#[tokio::test]
async fn methods_that_teams_does_not_have_are_refused_by_name() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    for method in ["UPDATE", "INFO", "PRACK", "REFER", "SUBSCRIBE", "MESSAGE"] {
        let request = bench.edge.compose(method, "sip:sip.pstnhub.microsoft.com", method, 1);
        bench.edge.send(&request);
        assert_eq!(bench.edge.answer().await.code(), Some(405), "{method}");
        assert_eq!(bench.rules(method), ["method"]);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_connection_without_the_dialled_name_is_noticed() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    bench.edge.to = Destination { name: None, ..bench.edge.to.clone() };
    let options = bench.edge.options("nameless");
    bench.edge.send(&options);
    assert_eq!(bench.edge.answer().await.code(), Some(200));
    assert_eq!(bench.rules("nameless"), ["server-name"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_connection_that_got_503_with_retry_after_must_be_dropped() {
    let busy = Script::reject(503).with_header("Retry-After", "1");
    let mut bench = Bench::start(Profile::Strict, |s| s.scripts = Scripts::default().with_other(busy)).await;
    let invite = bench.edge.invite("busy");
    bench.edge.send(&invite);
    let refusal = bench.edge.answer().await;
    assert_eq!((refusal.code(), refusal.value("Retry-After")), (Some(503), Some("1")));
    let ack = bench.edge.refusal_ack(&invite, &refusal);
    bench.edge.send(&ack);
    let options = bench.edge.options("again");
    bench.edge.send(&options);
    bench.edge.answer().await;
    assert_eq!(bench.rules(""), ["connection-after-503"]);
    bench.stop().await;
}

#[tokio::test]
async fn requests_inside_a_call_are_held_to_the_tenant_and_to_inactive() {
    let mut bench =
        Bench::start(Profile::Strict, |s| s.scripts = Scripts::default().with_other(Script::answer(SHORT))).await;
    let answer = bench.edge.call("mid").await;
    let cases: [(u32, &str, Inject); 4] = [
        (2, "hold-direction", |m| edit_body(m, "a=sendrecv", "a=sendonly")),
        (3, "contact-tenant", |m| set(m, "Contact", Some("<sip:fabrikam.example.net;transport=tls>"))),
        (4, "no-offer", |m| m.body.clear()),
        (5, "contact-address", |m| set(m, "Contact", Some("<sip:127.0.0.1;transport=tls>"))),
    ];
    for (cseq, rule, inject) in cases {
        let mut change = bench.edge.within("INVITE", &answer, cseq);
        change.push("Content-Type", "application/sdp");
        change.body = super::raw_edge::SDP.into();
        inject(&mut change);
        bench.edge.send(&change);
        let reply = bench.edge.answer().await;
        let ack = match reply.code() {
            Some(200) => bench.edge.within("ACK", &answer, cseq),
            _ => bench.edge.refusal_ack(&change, &reply),
        };
        bench.edge.send(&ack);
        let expected = if rule == "contact-address" { 403 } else { 200 };
        assert_eq!(reply.code(), Some(expected), "{rule}");
        assert_eq!(bench.rules("mid"), [rule], "{:?}", bench.complaints("mid"));
        if rule == "no-offer" {
            assert!(String::from_utf8_lossy(&reply.body).contains("a=inactive"));
        }
        bench.teams.journal().forget_complaints();
    }
    let notify = bench.edge.notify(&answer, 6, "100 Trying");
    bench.edge.send(&notify);
    bench.edge.answer().await;
    assert_eq!(bench.rules("mid"), ["notify"]);
    let bye = bench.edge.within("BYE", &answer, 7);
    bench.edge.send(&bye);
    assert_eq!(bench.edge.answer().await.code(), Some(200));
    bench.stop().await;
}

/// A rule, and how the answer to an INVITE of Teams breaks it.
const ANSWERS: &[Injected] = &[
    ("allow", 200, |m| set(m, "Allow", None)),
    ("contact-address", 200, |m| set(m, "Contact", Some("<sip:a@127.0.0.1:5061;transport=tls>"))),
    ("contact-address", 180, |m| set(m, "Contact", Some("<sip:a@127.0.0.1:5061;transport=tls>"))),
    ("contact-missing", 183, |m| set(m, "Contact", None)),
    ("contact-tenant", 200, |m| set(m, "Contact", Some("<sip:fabrikam.example.net;transport=tls>"))),
    ("contact-tenant", 180, |m| set(m, "Contact", Some("<sip:fabrikam.example.net;transport=tls>"))),
    ("reliable-provisional", 183, |m| m.push("Require", "100rel")),
    ("record-route-address", 200, |m| m.push("Record-Route", "<sip:127.0.0.1:5061;transport=tls;lr>")),
    ("x-ms-sbc", 180, |m| set(m, "X-MS-SBC", None)),
];

fn plan(bench: &Bench) -> CallPlan {
    let addr = format!("127.0.0.1:{}", bench.edge.port).parse().unwrap();
    let endpoint = trunkway::lab::Endpoint { transport: trunkway::lab::Transport::Tls, addr };
    let to = Destination { endpoint, name: Some(SITE.into()) };
    let mut plan = CallPlan::new(CALLER, USER, &format!("{SITE}:{}", bench.edge.port), to);
    plan.limit = Duration::from_secs(3);
    plan
}

#[tokio::test]
async fn each_broken_rule_of_an_answer_is_named() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    for (rule, code, inject) in ANSWERS {
        let mut plan = plan(&bench);
        plan.limit = Duration::from_millis(250);
        let play = async {
            let (source, invite) = bench.edge.request("INVITE").await;
            let mut answer = bench.edge.response(&invite, *code);
            inject(&mut answer);
            bench.edge.reply(&source, &answer);
        };
        tokio::join!(bench.teams.call(plan), play);
        assert!(bench.rules("").contains(rule), "{rule} in {code}: {:?}", bench.complaints(""));
        bench.teams.journal().forget_complaints();
    }
    bench.stop().await;
}

#[tokio::test]
async fn an_edge_that_says_only_100_loses_the_call_to_the_next_trunk() {
    let mut bench = Bench::start(Profile::Strict, |_| {}).await;
    let mut plan = plan(&bench);
    plan.failover_after = Duration::from_millis(300);
    let play = async {
        let (source, invite) = bench.edge.request("INVITE").await;
        let trying = bench.edge.response(&invite, 100);
        bench.edge.reply(&source, &trying);
        bench.edge.request("CANCEL").await
    };
    let (call, _) = tokio::join!(bench.teams.call(plan), play);
    assert!(call.error.is_some_and(|error| error.contains("next trunk")));
    bench.expect_rule("answer-time").await;
    bench.stop().await;
}

fn transferring() -> Scripts {
    let mut script = Script::answer(SHORT);
    script.refer = Some(Refer::new(SHORT, ReferTarget::User("11111111-2222-4333-8444-555555555555".into())));
    if let Some(refer) = &mut script.refer {
        refer.notify_within = Duration::from_millis(300);
    }
    Scripts::default().with("8:orgid:11111111-2222-4333-8444-555555555555", Script::reject(603)).with_other(script)
}

#[tokio::test]
async fn a_transfer_is_judged_from_202_to_the_last_notify() {
    let mut bench = Bench::start(Profile::Strict, |s| s.scripts = transferring()).await;
    let answer = bench.edge.call("transfer").await;
    let (source, refer) = bench.edge.request("REFER").await;
    let ok = bench.edge.response(&refer, 200);
    bench.edge.reply(&source, &ok);
    bench.expect_rule("refer-answer").await;
    // No final NOTIFY in time.
    bench.expect_rule("notify").await;
    let invite = |edge: &mut super::raw_edge::RawEdge, call_id: &str, uri: &str, by: Option<&str>| {
        let mut invite = edge.invite(call_id);
        to_uri(&mut invite, uri);
        if let Some(by) = by {
            invite.push("Referred-By", by);
        }
        invite
    };
    let target = refer.value("Refer-To").unwrap().trim_matches(['<', '>']).to_owned();
    let by = refer.value("Referred-By").unwrap().to_owned();
    for (call_id, uri, by, rule) in [
        ("cut", target.split(";x-i=").next().unwrap(), Some(by.as_str()), Some("refer-to-verbatim")),
        ("bare", target.as_str(), None, Some("referred-by-verbatim")),
        ("exact", target.as_str(), Some(by.as_str()), None),
    ] {
        let invite = invite(&mut bench.edge, call_id, uri, by);
        bench.edge.send(&invite);
        let refusal = bench.edge.answer().await;
        let ack = bench.edge.refusal_ack(&invite, &refusal);
        bench.edge.send(&ack);
        assert_eq!(bench.rules(call_id), rule.into_iter().collect::<Vec<_>>(), "{:?}", bench.complaints(call_id));
    }
    let calls = bench.teams.journal().calls();
    assert_eq!(calls.iter().filter(|call| call.referred).count(), 1);
    let bye = bench.edge.within("BYE", &answer, 2);
    bench.edge.send(&bye);
    bench.stop().await;
}

#[tokio::test]
async fn hanging_up_while_a_transfer_runs_is_too_early() {
    let mut bench = Bench::start(Profile::Strict, |s| s.scripts = transferring()).await;
    let answer = bench.edge.call("early").await;
    let (source, refer) = bench.edge.request("REFER").await;
    let accepted = bench.edge.response(&refer, 202);
    bench.edge.reply(&source, &accepted);
    let notify = bench.edge.notify(&answer, 2, "100 Trying");
    bench.edge.send(&notify);
    bench.edge.answer().await;
    let bye = bench.edge.within("BYE", &answer, 3);
    bench.edge.send(&bye);
    bench.expect_rule("early-bye").await;
    assert_eq!(bench.rules("early"), ["early-bye"]);
    bench.stop().await;
}

#[tokio::test]
async fn refer_that_allow_names_must_be_taken_and_one_that_it_does_not_name_is_not_sent() {
    let mut bench = Bench::start(Profile::Strict, |s| s.scripts = transferring()).await;
    let answer = bench.edge.call("untrue").await;
    let (source, refer) = bench.edge.request("REFER").await;
    let declined = bench.edge.response(&refer, 603);
    bench.edge.reply(&source, &declined);
    bench.expect_rule("allow-truth").await;
    let bye = bench.edge.within("BYE", &answer, 2);
    bench.edge.send(&bye);
    bench.edge.answer().await;

    let mut invite = bench.edge.invite("honest");
    set(&mut invite, "Allow", Some("INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY"));
    bench.edge.send(&invite);
    let answer = bench.edge.answer().await;
    let ack = bench.edge.within("ACK", &answer, 1);
    bench.edge.send(&ack);
    let withheld = |journal: &trunkway::lab::Journal| {
        journal.calls().into_iter().find(|call| call.call_id == "honest")?.transfer.filter(|transfer| transfer.withheld)
    };
    assert!(bench.teams.journal().wait(LIMIT, withheld).await.is_some());
    assert_eq!(bench.rules("honest"), Vec::<&str>::new());
    bench.stop().await;
}

#[tokio::test]
async fn options_of_teams_come_after_ours_to_our_contact_and_stop_with_ours() {
    let mut bench = Bench::start(Profile::Strict, |s| {
        s.options_every = Some(Duration::from_millis(100));
        // Of no use to this profile: it goes by Contact.
        s.options_to = None;
    })
    .await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(bench.teams.journal().options().sent, 0);
    let options = bench.edge.options("ours");
    bench.edge.send(&options);
    let answer = bench.edge.answer().await;
    assert_eq!((answer.code(), answer.tag("To"), answer.list("Contact").len()), (Some(200), None, 0));
    // Theirs come on a connection to the port of our Contact.
    let mut beats = 0;
    let status = |bench: &Bench| bench.teams.journal().trunk(SITE).map(|trunk| trunk.status);
    while status(&bench) != Some(TrunkStatus::Active) {
        let (source, beat) = bench.edge.request("OPTIONS").await;
        assert_eq!(beat.uri(), Some(format!("sip:{SITE}:{};transport=tls", bench.edge.port).as_str()));
        let reply = bench.edge.response(&beat, 200);
        bench.edge.reply(&source, &reply);
        beats += 1;
        assert!(beats < 10, "never active");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stopped = bench
        .teams
        .journal()
        .wait(LIMIT, |journal| journal.trunk(SITE).filter(|trunk| trunk.status == TrunkStatus::Warning));
    let warned = stopped.await.expect("the trunk falls silent");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(bench.teams.journal().trunk(SITE).unwrap().sent, warned.sent);
    let options = bench.edge.options("ours-again");
    bench.edge.send(&options);
    let resumed = bench.teams.journal().wait(LIMIT, |j| j.trunk(SITE).filter(|trunk| trunk.sent > warned.sent));
    assert_eq!(resumed.await.unwrap().status, TrunkStatus::Pending);
    assert_eq!(bench.rules(""), Vec::<&str>::new());
    bench.stop().await;
}

#[tokio::test]
async fn an_edge_that_answers_options_without_contact_or_allow_is_noticed() {
    let mut bench = Bench::start(Profile::Strict, |s| s.options_every = Some(Duration::from_secs(60))).await;
    let options = bench.edge.options("ours");
    bench.edge.send(&options);
    let (source, beat) = bench.edge.request("OPTIONS").await;
    let mut reply = bench.edge.response(&beat, 200);
    set(&mut reply, "Contact", None);
    set(&mut reply, "Allow", None);
    bench.edge.reply(&source, &reply);
    bench.expect_rule("allow").await;
    assert_eq!(bench.rules(""), ["contact-missing", "allow"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_silent_teams_says_nothing_at_all() {
    let mut bench =
        Bench::start(Profile::Strict, |s| s.scripts = Scripts::default().with_other(Script::silence())).await;
    let invite = bench.edge.invite("silence");
    bench.edge.send(&invite);
    assert!(tokio::time::timeout(Duration::from_millis(200), bench.edge.next()).await.is_err());
    assert_eq!(Script::silence().outcome, Outcome::Silence);
    bench.stop().await;
}

#[test]
fn every_rule_has_an_injected_fault_in_this_file() {
    let text = include_str!("strict_profile.rs");
    for rule in Rule::ALL {
        assert!(text.contains(&format!("\"{}\"", rule.name())), "{} is broken by no test", rule.name());
    }
}
