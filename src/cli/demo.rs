//! `trunkway demo`: an edge between stand-ins for two kinds of PBX, for Teams and for Microsoft Graph, on loopback, with
//! calls that are judged from both sides. It needs no network, no certificate and no configuration, and takes a few seconds.

mod cost;
mod edge;
mod presence;
mod report;
mod scenes;
mod stage;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::lab::agent::AgentError;
use crate::lab::certificates::CertificateError;
use crate::lab::{Complaint, Drawing};
use scenes::Outcome;
use stage::Stage;

pub use cost::Cost;
pub use report::{DemoReport, Row};

/// What `trunkway demo` can be told.
#[derive(Args, Clone, Debug, Default)]
pub struct DemoOptions {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Draw the ladder in plain ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Which row of the table to draw as a ladder
    #[arg(long, value_name = "ROW", default_value_t = 3)]
    pub ladder: usize,
    /// Print the configuration that the edge runs with
    #[arg(long)]
    pub config: bool,
}

/// Something that can be started with a configuration, to be tried by the demo.
pub trait EdgeUnderTest {
    /// What is running then.
    type Running: RunningEdge;

    /// Starts the edge; file names in the configuration are relative to `base_dir`. All sockets are bound when it returns.
    fn start(&self, config_toml: String, base_dir: &Path)
    -> impl Future<Output = Result<Self::Running, String>> + Send;

    /// Whether it bridges presence: otherwise the demo does not ask for that.
    fn bridges_presence(&self) -> bool {
        true
    }
}

/// An edge that runs.
pub trait RunningEdge: Send {
    /// Stops it and waits until its sockets are closed.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

/// Why the demo could not even begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    #[error("a stand-in did not start: {0}")]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Graph(#[from] crate::lab::graph::GraphError),
    #[error("the edge did not start: {0}")]
    Edge(String),
    #[error("cannot prepare the demo's files and ports: {0}")]
    Io(#[from] std::io::Error),
    #[error("a stand-in has no address on {0}")]
    NoAddress(&'static str),
}

/// Starts everything, places the calls, and tells what came of them.
pub async fn run(options: &DemoOptions, edge: impl EdgeUnderTest) -> Result<DemoReport, DemoError> {
    let before = Cost::now();
    let begin = Instant::now();
    let stage = Stage::set_up().await?;
    let config = stage.config_toml();
    let presence = edge.bridges_presence();
    let running = match edge.start(config.clone(), stage.folder()).await {
        Ok(running) => running,
        Err(reason) => {
            stage.tear_down().await;
            return Err(DemoError::Edge(reason));
        }
    };
    let stage = Arc::new(stage);
    let outcomes = play(&stage, presence).await;
    running.stop().await;
    let complaints = stage.complaints();
    let ladder = draw(options, &stage, &outcomes);
    let cost = Cost::now().since(before, stage.ladder.total(), begin.elapsed());
    let rows = judge(outcomes, &complaints);
    // All scenes are over, so this is the last handle; if not, dropping it ends the stand-ins all the same.
    if let Ok(stage) = Arc::try_unwrap(stage) {
        stage.tear_down().await;
    }
    Ok(DemoReport { rows, complaints, ladder, cost, config: options.config.then_some(config) })
}

/// Runs the demo against the daemon in this process and prints the report.
pub fn demo(options: &DemoOptions) -> ExitCode {
    let outcome =
        super::runtime(2).map_err(DemoError::Io).and_then(|runtime| runtime.block_on(run(options, edge::InProcess)));
    match outcome {
        Ok(report) => {
            let out = if options.json { report.to_json() } else { report.to_text() };
            let code = if report.passed() { 0 } else { super::EXIT_NO };
            super::Output { out, err: String::new(), code }.print()
        }
        Err(error) => {
            super::Output { code: super::EXIT_NO, ..super::Output::fault(format!("error: {error}\n")) }.print()
        }
    }
}

/// All scenes at once: each has numbers of its own.
async fn play(stage: &Arc<Stage>, presence: bool) -> Vec<Outcome> {
    let mut playing = JoinSet::new();
    for (index, scene) in scenes::all(presence).into_iter().enumerate() {
        let stage = Arc::clone(stage);
        playing.spawn(async move { (index, scene.play(&stage).await) });
    }
    let mut outcomes: Vec<(usize, Outcome)> = playing.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn draw(options: &DemoOptions, stage: &Stage, outcomes: &[Outcome]) -> String {
    let Some(outcome) = options.ladder.checked_sub(1).and_then(|index| outcomes.get(index)) else {
        return String::new();
    };
    let drawing = if options.ascii { Drawing::Ascii } else { Drawing::Utf8 };
    let rungs = stage.ladder.rungs(&outcome.call_ids);
    if outcome.call_ids.is_empty() || rungs.is_empty() {
        return String::new();
    }
    format!("{}\n{}", outcome.name, crate::lab::ladder::draw(&rungs, &stage::COLUMNS, drawing))
}

/// Rows of the table: an outcome fails with its own reason or with a complaint about one of its calls.
fn judge(outcomes: Vec<Outcome>, complaints: &[Complaint]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for outcome in outcomes {
        let about = complaints.iter().find(|complaint| outcome.call_ids.contains(&complaint.call_id));
        let reason = outcome
            .failure
            .clone()
            .or_else(|| about.map(|found| format!("{}: {}: {}", found.by, found.about, found.text)));
        known.extend(outcome.call_ids.iter().cloned());
        rows.push(Row {
            name: outcome.name,
            caller: outcome.caller,
            callee: outcome.callee,
            passed: reason.is_none(),
            reason,
        });
    }
    let stray = complaints.iter().find(|complaint| !known.contains(&complaint.call_id));
    let reason = stray.map(|found| format!("{}: {}: {}", found.by, found.about, found.text));
    rows.push(Row {
        name: "no message out of place".into(),
        caller: String::new(),
        callee: format!("{} complaints", complaints.len()),
        passed: reason.is_none(),
        reason,
    });
    rows
}
