//! The stand-ins of the lab against each other, and against sipp and sipsak where those are installed.

#[path = "lab/demo.rs"]
mod demo;
#[path = "lab/raw_edge.rs"]
mod raw_edge;
#[path = "lab/strict_profile.rs"]
mod strict_profile;
#[path = "lab/toy_edge.rs"]
mod toy_edge;
#[path = "lab/trace_profile.rs"]
mod trace_profile;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trunkway::lab::certificates::{Authority, Identity};
use trunkway::lab::pbx::{self, PbxSettings};
use trunkway::lab::teams::{self, TeamsSettings};
use trunkway::lab::{
    Agent, CallPlan, CallRecord, Destination, Drawing, Ending, Endpoint, Ladder, Names, Role, Script, Scripts,
    TlsSettings, Transport, ladder,
};

const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

fn free(transport: Transport) -> Endpoint {
    Endpoint { transport, addr: SocketAddr::from(([127, 0, 0, 1], 0)) }
}

fn direct(name: &str, transport: Transport, scripts: Scripts) -> PbxSettings {
    let mut settings = PbxSettings::new(name, vec![free(transport)]);
    settings.scripts = scripts;
    settings.behind_edge = false;
    settings
}

fn toward(agent: &Agent, transport: Transport) -> Destination {
    Destination { endpoint: agent.endpoint(transport).unwrap(), name: None }
}

fn plan(number: &str, callee: &Agent, transport: Transport) -> CallPlan {
    let to = toward(callee, transport);
    CallPlan::new(number, "+441632960100", &to.endpoint.addr.to_string(), to)
}

async fn callee_record(callee: &Agent, number: &str) -> CallRecord {
    callee.journal().wait_call(Role::Callee, number, LIMIT).await.expect("the callee saw a call")
}

fn assert_quiet(agents: &[&Agent]) {
    for agent in agents {
        assert_eq!(agent.journal().complaints(), []);
    }
}

async fn pbx_to_pbx(transport: Transport) {
    let ladder = Ladder::new(1000);
    let scripts = Scripts::default()
        .with("100", Script::answer(SHORT))
        .with("101", Script::answer(SHORT).with_early_media().hang_up_after(Duration::from_millis(100)))
        .with("486", Script::reject(486))
        .with("487", Script::ring());
    let callee = pbx::start(direct("callee", transport, scripts), &ladder).await.unwrap();
    let caller = pbx::start(direct("caller", transport, Scripts::default()), &ladder).await.unwrap();

    let mut hold = plan("100", &callee, transport);
    hold.hold_after = Some(SHORT);
    hold.hang_up_after = Some(Duration::from_millis(500));
    let mut cancel = plan("487", &callee, transport);
    cancel.cancel_after = Some(Duration::from_millis(200));
    let (hold, remote, busy, cancel) = tokio::join!(
        caller.call(hold),
        caller.call(plan("101", &callee, transport)),
        caller.call(plan("486", &callee, transport)),
        caller.call(cancel),
    );
    assert_eq!((hold.finished, hold.code, hold.ending), (true, Some(200), Some(Ending::HungUp)), "{hold:?}");
    assert_eq!((hold.provisional.as_slice(), hold.changes_made, hold.bye_code), ([180].as_slice(), 2, Some(200)));
    assert_eq!((remote.finished, remote.ending), (true, Some(Ending::HungUpByPeer)), "{remote:?}");
    assert_eq!(remote.provisional, [183]);
    assert_eq!((busy.finished, busy.code, busy.ending), (true, Some(486), Some(Ending::Refused)), "{busy:?}");
    assert_eq!((cancel.finished, cancel.code, cancel.ending), (true, Some(487), Some(Ending::Cancelled)), "{cancel:?}");

    let seen = callee_record(&callee, "100").await;
    assert_eq!((seen.finished, seen.acknowledged, seen.changes_seen), (true, true, 2), "{seen:?}");
    assert_eq!(callee_record(&callee, "101").await.ending, Some(Ending::HungUp));
    let seen = callee_record(&callee, "486").await;
    assert_eq!((seen.finished, seen.acknowledged), (true, true), "{seen:?}");
    let seen = callee_record(&callee, "487").await;
    assert_eq!((seen.finished, seen.ending), (true, Some(Ending::Cancelled)), "{seen:?}");
    assert_quiet(&[&caller, &callee]);

    let rungs = ladder.rungs(&[busy.call_id]);
    let text = ladder::draw(&rungs, &["caller", "edge", "callee"], Drawing::Utf8);
    assert!(text.contains("486 Busy Here (1 INVITE)") && text.contains("ACK (1)"), "{text}");
    caller.stop().await;
    callee.stop().await;
}

#[tokio::test]
async fn a_pbx_calls_a_pbx_over_udp() {
    pbx_to_pbx(Transport::Udp).await;
}

#[tokio::test]
async fn a_pbx_calls_a_pbx_over_tcp() {
    pbx_to_pbx(Transport::Tcp).await;
}

fn settings_of(authority: &Authority, identity: Identity) -> TlsSettings {
    TlsSettings { ca: authority.pem().to_owned(), certificate: identity.certificate, key: identity.key }
}

/// A stand-in for Teams and a PBX that shows itself to it as an SBC does.
async fn teams_and_pbx(contact_host: Option<&str>, ladder: &Ladder) -> (Agent, Agent) {
    let authority = Authority::new().unwrap();
    let identity = authority.teams(&["sip.pstnhub.microsoft.com", "127.0.0.1"]).unwrap();
    teams_as(&authority, identity, contact_host, ladder).await
}

async fn teams_as(
    authority: &Authority,
    identity: Identity,
    contact_host: Option<&str>,
    ladder: &Ladder,
) -> (Agent, Agent) {
    let local = "127.0.0.1".parse().unwrap();
    let names = Names::default().with("sbc.example.net", local);
    let mut settings = TeamsSettings::new(free(Transport::Tls), settings_of(authority, identity), names);
    settings.behind_edge = false;
    settings.options_every = Some(Duration::from_millis(200));
    settings.scripts = Scripts::default().with("+441632760001", Script::answer(SHORT).hang_up_after(SHORT));
    let teams = teams::start(settings, ladder).await.unwrap();

    let identity = authority.edge(&["sbc.example.net", "127.0.0.1"]).unwrap();
    let mut settings = direct("PBX", Transport::Tls, Scripts::default());
    settings.tls = Some(settings_of(authority, identity));
    settings.contact_host = contact_host.map(str::to_owned);
    settings.names = Names::default().with("sip.pstnhub.microsoft.com", local);
    let pbx = pbx::start(settings, ladder).await.unwrap();
    (teams, pbx)
}

fn toward_teams(teams: &Agent) -> Destination {
    Destination { endpoint: teams.endpoint(Transport::Tls).unwrap(), name: Some("sip.pstnhub.microsoft.com".into()) }
}

#[tokio::test]
async fn a_pbx_with_an_fqdn_calls_teams_and_teams_hangs_up_over_a_connection_of_its_own() {
    let ladder = Ladder::new(1000);
    let authority = Authority::new().unwrap();
    // The stock verifier of the PBX wants clientAuth, so this once Teams has the old kind of certificate.
    let identity = authority.edge(&["sip.pstnhub.microsoft.com", "127.0.0.1"]).unwrap();
    let (teams, pbx) = teams_as(&authority, identity, Some("sbc.example.net"), &ladder).await;
    let to = toward_teams(&teams);
    let call = pbx.call(CallPlan::new("+441632760001", "+441632960100", "sip.pstnhub.microsoft.com:5061", to)).await;
    assert_eq!((call.finished, call.ending), (true, Some(Ending::HungUpByPeer)), "{call:?}");
    let seen = callee_record(&teams, "+441632760001").await;
    assert_eq!((seen.finished, seen.ending, seen.bye_code), (true, Some(Ending::HungUp), Some(200)), "{seen:?}");
    assert_quiet(&[&teams, &pbx]);
    pbx.stop().await;
    teams.stop().await;
}

#[tokio::test]
async fn a_verifier_without_care_refuses_the_serverauth_only_certificate_of_teams() {
    let ladder = Ladder::new(1000);
    let (teams, pbx) = teams_and_pbx(Some("sbc.example.net"), &ladder).await;
    let to = toward_teams(&teams);
    let mut plan = CallPlan::new("+441632760001", "+441632960100", "sip.pstnhub.microsoft.com:5061", to);
    plan.limit = Duration::from_secs(2);
    let call = pbx.call(plan).await;
    assert_eq!(call.error.as_deref(), Some("the call was not ended in time"), "{call:?}");
    assert_eq!(call.code, Some(200));
    let routes = call.record_routes;
    assert!(routes.iter().all(|route| route.ends_with(";transport=tls;lr>")) && routes.len() == 1, "{routes:?}");
    let seen = callee_record(&teams, "+441632760001").await;
    assert!(seen.acknowledged && seen.error.as_ref().is_some_and(|error| error.starts_with("BYE: ")), "{seen:?}");
    let complaints = pbx.journal().complaints();
    assert!(complaints.iter().any(|complaint| complaint.text.contains("TLS handshake failed")), "{complaints:?}");
    pbx.stop().await;
    teams.stop().await;
}

#[tokio::test]
async fn a_pbx_with_an_fqdn_calls_teams_and_hangs_up() {
    let ladder = Ladder::new(1000);
    let (teams, pbx) = teams_and_pbx(Some("sbc.example.net"), &ladder).await;
    let mut plan =
        CallPlan::new("+441632760002", "+441632960100", "sip.pstnhub.microsoft.com:5061", toward_teams(&teams));
    plan.hang_up_after = Some(SHORT);
    let call = pbx.call(plan).await;
    assert_eq!((call.finished, call.code, call.ending), (true, Some(200), Some(Ending::HungUp)), "{call:?}");
    let seen = callee_record(&teams, "+441632760002").await;
    assert_eq!((seen.finished, seen.ending), (true, Some(Ending::HungUpByPeer)), "{seen:?}");
    assert_eq!(call.record_routes, seen.record_routes);
    assert_quiet(&[&teams, &pbx]);
    pbx.stop().await;
    teams.stop().await;
}

#[tokio::test]
async fn teams_refuses_an_address_in_contact_with_403() {
    let ladder = Ladder::new(1000);
    let (teams, pbx) = teams_and_pbx(None, &ladder).await;
    let to = toward_teams(&teams);
    let call =
        pbx.call(CallPlan::new("+441632760001", "+441632960100", "sip.pstnhub.microsoft.com:5061", to.clone())).await;
    assert_eq!((call.code, call.finished), (Some(403), true), "{call:?}");
    assert_eq!(pbx.options(to, "sip.pstnhub.microsoft.com", LIMIT).await, Ok(403));
    let complaints = teams.journal().complaints();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].text.contains("IP address"), "{complaints:?}");
    pbx.stop().await;
    teams.stop().await;
}

#[tokio::test]
async fn teams_refuses_a_name_that_is_not_in_the_certificate() {
    let ladder = Ladder::new(1000);
    let (teams, pbx) = teams_and_pbx(Some("other.example.net"), &ladder).await;
    assert_eq!(pbx.options(toward_teams(&teams), "sip.pstnhub.microsoft.com", LIMIT).await, Ok(403));
    pbx.stop().await;
    teams.stop().await;
}

#[tokio::test]
async fn a_peer_without_a_trusted_certificate_cannot_reach_teams() {
    let ladder = Ladder::new(100);
    let (teams, pbx) = teams_and_pbx(Some("sbc.example.net"), &ladder).await;
    let foreign = Authority::new().unwrap();
    let identity = foreign.edge(&["sbc.example.net"]).unwrap();
    let mut settings = direct("stranger", Transport::Tls, Scripts::default());
    settings.tls = Some(settings_of(&foreign, identity));
    let stranger = pbx::start(settings, &ladder).await.unwrap();
    let outcome = stranger.options(toward_teams(&teams), "sip.pstnhub.microsoft.com", LIMIT).await;
    assert!(outcome.as_ref().is_err_and(|reason| reason.contains("TLS")), "{outcome:?}");
    assert_eq!(teams.journal().options().received, 0);
    for agent in [stranger, pbx, teams] {
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_call_to_a_closed_port_fails_with_the_reason() {
    let ladder = Ladder::new(100);
    let caller = pbx::start(direct("caller", Transport::Tcp, Scripts::default()), &ladder).await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = Destination { endpoint: Endpoint { transport: Transport::Tcp, addr: closed }, name: None };
    let call = caller.call(CallPlan::new("1", "2", &closed.to_string(), to)).await;
    assert!(call.error.as_ref().is_some_and(|reason| reason.contains("connection to tcp:")), "{call:?}");
    caller.stop().await;
}

#[tokio::test]
async fn an_unanswered_invite_is_repeated_over_udp_and_given_up_at_the_limit() {
    let ladder = Ladder::new(100);
    let caller = pbx::start(direct("caller", Transport::Udp, Scripts::default()), &ladder).await.unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    let to = Destination { endpoint: Endpoint { transport: Transport::Udp, addr }, name: None };
    let mut plan = CallPlan::new("1", "2", &addr.to_string(), to);
    plan.limit = Duration::from_millis(1700);
    let call = caller.call(plan).await;
    assert_eq!(call.error.as_deref(), Some("no answer in time"));
    // Sent at 0, 0.5 and 1.5 s (RFC 3261 section 17.1.1.2).
    assert_eq!(ladder.rungs(&[call.call_id]).len(), 3);
    caller.stop().await;
}

/// Runs a program without terminal; `None` where it is not installed.
async fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<(Option<i32>, String)> {
    let output = folder.join("output");
    let file = std::fs::File::create(&output).unwrap();
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not installed");
            return None;
        }
        spawned => spawned.unwrap(),
    };
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if begin.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            break child.wait().unwrap().code();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    Some((status, String::from_utf8_lossy(&std::fs::read(output).unwrap()).into_owned()))
}

async fn sipp_calls(transport: Transport, mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ladder = Ladder::new(1000);
    let pbx = pbx::start(direct("PBX", transport, Scripts::default()), &ladder).await.unwrap();
    let target = pbx.endpoint(transport).unwrap().addr.to_string();
    let arguments = [
        "-sn",
        "uac",
        "-m",
        "5",
        "-r",
        "10",
        "-d",
        "100",
        "-t",
        mode,
        "-i",
        "127.0.0.1",
        "-nostdin",
        "-timeout",
        "20",
        &target,
    ];
    let Some((code, text)) = run("sipp", &arguments, folder.path()).await else {
        return;
    };
    assert_eq!(code, Some(0), "{text}");
    let calls = pbx.journal().calls();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| call.finished && call.ending == Some(Ending::HungUpByPeer)), "{calls:?}");
    // The scenario that is built into sipp sends ACK and BYE to the number it called, not to the Contact that it got.
    let complaints = pbx.journal().complaints();
    assert!(complaints.iter().all(|complaint| complaint.text.contains("instead of our Contact")), "{complaints:?}");
    assert_eq!(complaints.len(), 10, "{complaints:?}");
    pbx.stop().await;
}

#[tokio::test]
async fn sipp_calls_the_pbx_over_udp() {
    sipp_calls(Transport::Udp, "u1").await;
}

#[tokio::test]
async fn sipp_calls_the_pbx_over_tcp() {
    sipp_calls(Transport::Tcp, "t1").await;
}

#[tokio::test]
async fn the_pbx_calls_sipp() {
    let folder = tempfile::tempdir().unwrap();
    let ladder = Ladder::new(1000);
    let pbx = pbx::start(direct("PBX", Transport::Udp, Scripts::default()), &ladder).await.unwrap();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let text = port.to_string();
    let arguments = ["-sn", "uas", "-m", "1", "-i", "127.0.0.1", "-p", &text, "-nostdin", "-timeout", "20"];
    let to = Destination { endpoint: Endpoint { transport: Transport::Udp, addr }, name: None };
    let mut plan = CallPlan::new("+441632960101", "+441632960100", &addr.to_string(), to);
    plan.hang_up_after = Some(SHORT);
    let (sipp, call) = tokio::join!(run("sipp", &arguments, folder.path()), pbx.call(plan));
    let Some((code, text)) = sipp else { return };
    assert_eq!((call.finished, call.code, call.bye_code), (true, Some(200), Some(200)), "{call:?}");
    assert_eq!(code, Some(0), "{text}");
    assert_quiet(&[&pbx]);
    pbx.stop().await;
}

#[tokio::test]
async fn sipsak_gets_200_to_options() {
    let folder = tempfile::tempdir().unwrap();
    let ladder = Ladder::new(100);
    let pbx = pbx::start(direct("PBX", Transport::Udp, Scripts::default()), &ladder).await.unwrap();
    let uri = format!("sip:lab@{}", pbx.endpoint(Transport::Udp).unwrap().addr);
    let Some((code, text)) = run("sipsak", &["-vv", "-s", &uri], folder.path()).await else {
        return;
    };
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(pbx.journal().options().received, 1);
    pbx.stop().await;
}
