//! `trunkway lab`: the stand-ins alone, to rehearse a configuration of one's own.

mod alone;
mod graph;
mod manners;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use thiserror::Error;

pub use alone::{Alone, TeamsArguments};
pub use graph::GraphArguments;
pub use manners::TeamsManners;

use crate::lab::agent::AgentError;
use crate::lab::pbx::{self, PbxSettings};
use crate::lab::teams::{self, TeamsSettings};
use crate::lab::{
    Agent, CallPlan, CallRecord, Destination, Drawing, Ending, Endpoint, Ladder, Names, Script, Scripts, TlsSettings,
    Transport, ladder,
};

/// Messages that the ladder keeps.
const RUNGS: usize = 10_000;
/// How often new messages are printed.
const TICK: Duration = Duration::from_millis(200);
/// How long the called side may take to see a call's end.
const MARGIN: Duration = Duration::from_millis(500);
/// A call is a failure when it takes this much longer than it should.
const SLACK: Duration = Duration::from_secs(20);
/// Exit code when a call or the edge did not do what it should.
const FAILED: u8 = 1;

/// What `trunkway lab` can be told.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LabArguments {
    #[command(subcommand)]
    pub alone: Option<Alone>,
    /// Where the PBX listens; may stand more than once, for UDP and TCP
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub pbx: Vec<Endpoint>,
    /// Where the stand-in for Teams listens
    #[arg(long, value_name = "tls:ADDRESS:PORT", requires_all = ["ca", "cert", "key"])]
    pub teams: Option<Endpoint>,
    /// Roots to which the edge's certificate must lead, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate of the stand-in for Teams, PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The edge's listener for the PBX
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    pub edge: Option<Endpoint>,
    /// The edge's listener for Teams
    #[arg(long, value_name = "tls:ADDRESS:PORT", requires = "fqdn")]
    pub edge_teams: Option<Endpoint>,
    /// A name of the edge as Teams knows it; the first is the site of the calls that Teams places
    #[arg(long, value_name = "NAME")]
    pub fqdn: Vec<String>,
    /// A number to call; may stand more than once
    #[arg(long, value_name = "NUMBER")]
    pub call: Vec<String>,
    /// Who places the calls
    #[arg(long, value_enum, default_value_t = Side::Pbx)]
    pub call_from: Side,
    /// The caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+441632960100")]
    pub from: String,
    /// End after so many calls were placed; without it each number is called once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub calls: Option<u16>,
    /// Pause between calls
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub every_ms: u64,
    /// From the INVITE to the answer
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub answer_ms: u64,
    /// From the answer to BYE
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub talk_ms: u64,
    /// Let the called side hang up
    #[arg(long)]
    pub callee_hangs_up: bool,
    /// Put each call on hold and take it back
    #[arg(long)]
    pub hold: bool,
    /// Cancel each call after so long
    #[arg(long, value_name = "MS")]
    pub cancel_ms: Option<u64>,
    /// A number that is refused, with its status code
    #[arg(long, value_name = "NUMBER=CODE", value_parser = number_and_code)]
    pub reject: Vec<(String, u16)>,
    /// A number that rings and is never answered
    #[arg(long, value_name = "NUMBER")]
    pub unanswered: Vec<String>,
    /// Answer with early media
    #[arg(long)]
    pub early_media: bool,
    /// Pause between OPTIONS of Teams
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub options_ms: u64,
    /// Draw in plain ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Print calls, complaints and trunks as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub manners: TeamsManners,
}

/// A side that places calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    Pbx,
    Teams,
}

/// Why the lab could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    #[error("a stand-in did not start: {0}")]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Graph(#[from] crate::lab::graph::GraphError),
    #[error("cannot read {path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: String, source: std::io::Error },
    #[error("nothing to do: give --pbx or --teams")]
    Nobody,
    #[error("--call needs {0}")]
    Needs(&'static str),
}

/// Runs until Ctrl-C, or until all calls were placed; the exit code comes back.
pub async fn run(arguments: &LabArguments) -> Result<u8, LabError> {
    match &arguments.alone {
        Some(Alone::Teams(alone)) => {
            let arguments = LabArguments::from(alone.as_ref().clone());
            return Box::pin(run(&arguments)).await;
        }
        Some(Alone::Graph(arguments)) => return graph::run(arguments).await,
        None => {}
    }
    if arguments.pbx.is_empty() && arguments.teams.is_none() {
        return Err(LabError::Nobody);
    }
    let ladder = Ladder::new(RUNGS);
    let pbx = match arguments.pbx.is_empty() {
        true => None,
        false => Some(start_pbx(arguments, &ladder).await?),
    };
    let teams = match arguments.teams {
        Some(listen) => Some(start_teams(arguments, listen, &ladder).await?),
        None => None,
    };
    let caller = match arguments.call_from {
        Side::Pbx => &pbx,
        Side::Teams => &teams,
    };
    let plans = plans(arguments)?;
    let endless = plans.is_empty();
    let work = async {
        match caller {
            Some(caller) if !endless => place(arguments, caller, plans).await,
            None if !endless => Err(LabError::Needs("--pbx or --teams for the side that calls")),
            _ => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Ok(Vec::new()),
        () = narrate(arguments, &ladder) => Ok(Vec::new()),
    };
    let agents: Vec<Agent> = [pbx, teams].into_iter().flatten().collect();
    let code = result.map(|records| conclude(arguments, &records, &agents, &ladder));
    for agent in agents {
        agent.stop().await;
    }
    code
}

async fn start_pbx(arguments: &LabArguments, ladder: &Ladder) -> Result<Agent, LabError> {
    let mut settings = PbxSettings::new("PBX", arguments.pbx.clone());
    settings.scripts = scripts(arguments, |script| script);
    settings.names = names(arguments);
    settings.behind_edge = arguments.edge.is_some();
    if arguments.ca.is_some() {
        settings.tls = Some(tls(arguments)?);
    }
    Ok(pbx::start(settings, ladder).await?)
}

async fn start_teams(arguments: &LabArguments, listen: Endpoint, ladder: &Ladder) -> Result<Agent, LabError> {
    let mut settings = TeamsSettings::new(listen, tls(arguments)?, names(arguments));
    settings.scripts = scripts(arguments, |script| arguments.manners.answer(script));
    settings.options_every = Some(Duration::from_millis(arguments.options_ms.max(100)));
    settings.options_to = edge_of_teams(arguments);
    arguments.manners.apply(&mut settings, &arguments.fqdn);
    Ok(teams::start(settings, ladder).await?)
}

/// The edge as Teams dials it, with the host of Request-URIs.
fn edge_of_teams(arguments: &LabArguments) -> Option<(Destination, String)> {
    let (endpoint, site) = (arguments.edge_teams?, arguments.fqdn.first()?);
    Some((Destination { endpoint, name: Some(site.clone()) }, format!("{site}:{}", endpoint.addr.port())))
}

/// All names of the edge lead to its listener for Teams.
fn names(arguments: &LabArguments) -> Names {
    let addr: Option<IpAddr> = arguments.edge_teams.or(arguments.edge).map(|endpoint| endpoint.addr.ip());
    let Some(addr) = addr else {
        return Names::default();
    };
    arguments.fqdn.iter().fold(Names::default(), |names, name| names.with(name, addr))
}

fn tls(arguments: &LabArguments) -> Result<TlsSettings, LabError> {
    let read = |path: &Option<PathBuf>, option: &'static str| {
        let path = path.as_ref().ok_or(LabError::Needs(option))?;
        std::fs::read_to_string(path).map_err(|source| LabError::File { path: path.display().to_string(), source })
    };
    Ok(TlsSettings {
        ca: read(&arguments.ca, "--ca")?,
        certificate: read(&arguments.cert, "--cert")?,
        key: read(&arguments.key, "--key")?,
    })
}

fn scripts(arguments: &LabArguments, shape: impl Fn(Script) -> Script) -> Scripts {
    let mut other = Script::answer(Duration::from_millis(arguments.answer_ms));
    other.early_media = arguments.early_media;
    if arguments.callee_hangs_up {
        other = other.hang_up_after(Duration::from_millis(arguments.talk_ms));
    }
    let scripts = Scripts::default().with_other(shape(other));
    let scripts =
        arguments.reject.iter().fold(scripts, |scripts, (number, code)| scripts.with(number, Script::reject(*code)));
    arguments.unanswered.iter().fold(scripts, |scripts, number| scripts.with(number, Script::ring()))
}

fn number_and_code(text: &str) -> Result<(String, u16), String> {
    let read = || {
        let (number, code) = text.rsplit_once('=')?;
        Some((number.to_owned(), code.parse().ok().filter(|code| (300..700).contains(code))?))
    };
    read().ok_or_else(|| format!("{text:?} is not of the form NUMBER=CODE with a code of 300 to 699"))
}

/// The calls in the order in which they are placed.
fn plans(arguments: &LabArguments) -> Result<Vec<CallPlan>, LabError> {
    if arguments.call.is_empty() {
        return Ok(Vec::new());
    }
    let (to, host) = match arguments.call_from {
        Side::Pbx => {
            let endpoint = arguments.edge.ok_or(LabError::Needs("--edge"))?;
            (Destination { endpoint, name: arguments.fqdn.first().cloned() }, endpoint.addr.to_string())
        }
        Side::Teams => edge_of_teams(arguments).ok_or(LabError::Needs("--edge-teams and --fqdn"))?,
    };
    let to = match to.endpoint.transport {
        Transport::Tls => to,
        Transport::Tcp | Transport::Udp => Destination { name: None, ..to },
    };
    let count = arguments.calls.map_or(arguments.call.len(), usize::from);
    let numbers = arguments.call.iter().cycle().take(count);
    Ok(numbers.map(|number| plan(arguments, number, &host, to.clone())).collect())
}

fn plan(arguments: &LabArguments, number: &str, host: &str, to: Destination) -> CallPlan {
    let talk = Duration::from_millis(arguments.talk_ms);
    let mut plan = CallPlan::new(number, &arguments.from, host, to);
    plan.cancel_after = arguments.cancel_ms.map(Duration::from_millis);
    plan.hold_after = arguments.hold.then_some(talk / 4);
    plan.hang_up_after = (!arguments.callee_hangs_up).then_some(talk);
    plan.limit = Duration::from_millis(arguments.answer_ms) + talk + SLACK;
    if arguments.call_from == Side::Teams { arguments.manners.shape(plan) } else { plan }
}

/// Places the calls one pause after the other; they may overlap.
async fn place(arguments: &LabArguments, caller: &Agent, plans: Vec<CallPlan>) -> Result<Vec<CallRecord>, LabError> {
    let pause = Duration::from_millis(arguments.every_ms);
    let calls = plans.into_iter().zip(0_u32..).map(|(plan, index)| async move {
        tokio::time::sleep(pause * index).await;
        caller.call(plan).await
    });
    let mut records = Vec::new();
    let mut running: Vec<_> = calls.map(Box::pin).collect();
    // Polled together without a task each: the caller is only borrowed.
    std::future::poll_fn(|context| {
        running.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(record) => {
                records.push(record);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    tokio::time::sleep(MARGIN).await;
    Ok(records)
}

/// Prints messages as they pass.
async fn narrate(arguments: &LabArguments, ladder: &Ladder) {
    let mut printed = 0;
    loop {
        tokio::time::sleep(TICK).await;
        let (rungs, total) = ladder.since(printed);
        printed = total;
        if arguments.json {
            continue;
        }
        for rung in rungs {
            println!(
                "{:>9.3}  {:>5} -> {:<5}  {}  {}",
                rung.at.as_secs_f64(),
                rung.from,
                rung.to,
                rung.label,
                rung.call_id
            );
        }
    }
}

/// Prints what came of it and finds the exit code.
fn conclude(arguments: &LabArguments, placed: &[CallRecord], agents: &[Agent], ladder: &Ladder) -> u8 {
    let records: Vec<CallRecord> = agents.iter().flat_map(|agent| agent.journal().calls()).collect();
    let complaints: Vec<_> = agents.iter().flat_map(|agent| agent.journal().complaints()).collect();
    let failed = records.iter().filter(|record| record.error.is_some()).count()
        + placed.iter().filter(|record| refused(record)).count();
    if arguments.json {
        let trunks: Vec<_> = agents.iter().flat_map(|agent| agent.journal().trunks()).collect();
        let lines = records.iter().map(serde_json::to_string).chain(complaints.iter().map(serde_json::to_string));
        for line in lines.chain(trunks.iter().map(serde_json::to_string)) {
            println!("{}", line.unwrap_or_default());
        }
    } else {
        draw_last(arguments, placed, ladder);
        for record in &records {
            let code = record.code.map_or_else(|| "no answer".into(), |code| code.to_string());
            let error = record.error.as_deref().unwrap_or("");
            println!(
                "{:?} {}: {:?} {code} {:?} {error}",
                record.role, record.number, record.provisional, record.ending
            );
        }
        for complaint in &complaints {
            println!("complaint of {}: {}: {} ({})", complaint.by, complaint.about, complaint.text, complaint.call_id);
        }
        for trunk in agents.iter().flat_map(|agent| agent.journal().trunks()) {
            println!(
                "{}: {:?}, {} OPTIONS from it, {} to it, {} of those answered",
                trunk.fqdn, trunk.status, trunk.received, trunk.sent, trunk.answered
            );
        }
        println!(
            "{} calls on both sides, {failed} failed, {} complaints, {} messages",
            records.len(),
            complaints.len(),
            ladder.total()
        );
    }
    if failed > 0 || !complaints.is_empty() { FAILED } else { 0 }
}

/// Whether a call that was placed got no answer that its caller wanted.
fn refused(record: &CallRecord) -> bool {
    let wanted = record.ending == Some(Ending::Cancelled) || record.code.is_some_and(|code| code < 300);
    record.error.is_none() && !wanted
}

/// The ladder of the last call that was placed.
fn draw_last(arguments: &LabArguments, placed: &[CallRecord], ladder: &Ladder) {
    let Some(last) = placed.last().filter(|record| !record.call_id.is_empty()) else {
        return;
    };
    let drawing = if arguments.ascii { Drawing::Ascii } else { Drawing::Utf8 };
    let rungs = ladder.rungs(std::slice::from_ref(&last.call_id));
    println!("\n{}", ladder::draw(&rungs, &["PBX", "edge", "Teams"], drawing));
}

/// Runs the stand-ins until Ctrl-C or until the calls asked for are over.
pub fn lab(arguments: &LabArguments) -> std::process::ExitCode {
    let outcome = super::runtime(2).map(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(Ok(code)) => std::process::ExitCode::from(code),
        Ok(Err(error)) => super::Output::fault(format!("error: {error}\n")).print(),
        Err(error) => super::Output::fault(format!("error: {error}\n")).print(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::lab::Profile;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        lab: LabArguments,
    }

    fn arguments(line: &str) -> LabArguments {
        Line::try_parse_from(line.split_whitespace()).unwrap().lab
    }

    async fn called_pbx() -> (Agent, Endpoint) {
        let mut settings = PbxSettings::new("far", vec!["udp:127.0.0.1:0".parse().unwrap()]);
        settings.behind_edge = false;
        settings.scripts = Scripts::default().with("486", Script::reject(486));
        let agent = pbx::start(settings, &Ladder::new(100)).await.unwrap();
        let endpoint = agent.endpoint(Transport::Udp).unwrap();
        (agent, endpoint)
    }

    #[tokio::test]
    async fn calls_that_are_answered_end_with_success() {
        let (far, edge) = called_pbx().await;
        let line = format!(
            "lab --pbx udp:127.0.0.1:0 --edge {edge} --call 100 --call 101 --calls 3 --every-ms 20 --talk-ms 50"
        );
        assert_eq!(run(&arguments(&line)).await.unwrap(), 0);
        assert_eq!(far.journal().calls().len(), 3);
        far.stop().await;
    }

    #[tokio::test]
    async fn a_refused_call_ends_with_failure_and_a_cancelled_one_does_not() {
        let (far, edge) = called_pbx().await;
        let line = format!("lab --pbx udp:127.0.0.1:0 --edge {edge} --call 486");
        assert_eq!(run(&arguments(&line)).await.unwrap(), FAILED);
        let line = format!("lab --pbx udp:127.0.0.1:0 --edge {edge} --call 100 --cancel-ms 50");
        assert_eq!(run(&arguments(&line)).await.unwrap(), 0);
        far.stop().await;
    }

    #[tokio::test]
    async fn what_is_missing_is_said() {
        assert!(matches!(run(&arguments("lab")).await, Err(LabError::Nobody)));
        let alone = run(&arguments("lab --pbx udp:127.0.0.1:0 --call 1")).await;
        assert!(matches!(alone, Err(LabError::Needs("--edge"))), "{alone:?}");
        assert!(Line::try_parse_from(["lab", "--teams", "tls:127.0.0.1:0"]).is_err());
        assert!(Line::try_parse_from(["lab", "--reject", "1=200"]).is_err());
        assert_eq!(arguments("lab --reject 1=486").reject, [("1".to_owned(), 486)]);
    }

    #[tokio::test]
    async fn teams_alone_runs_as_a_lab_of_its_own() {
        let outcome = run(&arguments("lab teams --ca no-such.pem --cert no-such.pem --key no-such.pem")).await;
        assert!(matches!(&outcome, Err(LabError::File { path, .. }) if path == "no-such.pem"), "{outcome:?}");
    }

    #[test]
    fn teams_alone_takes_a_profile_and_tenants() {
        let line = "lab teams --ca a --cert b --key c --profile strict --fqdn sbc.example.net \
                    --tenant sbc.example.net=+441632760001 --transfer-to +441632760002";
        let Some(Alone::Teams(alone)) = arguments(line).alone else { panic!("no stand-in alone") };
        assert_eq!(alone.manners.profile, Profile::Strict);
        let arguments_of_alone = LabArguments::from(*alone);
        assert_eq!(arguments_of_alone.teams, "tls:127.0.0.1:5061".parse().ok());
        let script = arguments_of_alone.manners.answer(Script::ring());
        assert!(script.refer.is_some() && script.rings.is_empty());
        let trace = arguments("lab --profile trace-2020").manners.answer(Script::answer(Duration::from_secs(1)));
        assert_eq!(trace.rings.len(), 3);
        assert!(Line::try_parse_from(["lab", "--profile", "kind"]).is_err());
        assert!(Line::try_parse_from(["lab", "teams", "--profile", "strict"]).is_err());
    }
}
