//! `trunkway route`: where calls would go, and why.

mod batch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::control::Client;
use super::{ConfigFile, EXIT_NO, Output, json};
use crate::call::Edge;
use crate::call::explain::{Ask, AskError, Explained, TargetHealth, Verdict, explain};
use crate::config;
use crate::daemon::build;

/// Arguments of `trunkway route`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The trunk that the call comes from.
    #[arg(long, value_name = "TRUNK", required_unless_present = "batch")]
    pub from_trunk: Option<String>,

    /// The called number, as it stands in the Request-URI.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub called: Option<String>,

    /// The caller's number or user@host, as in From; `anonymous` hides it.
    #[arg(long, value_name = "NUMBER")]
    pub caller: Option<String>,

    /// The same, as in P-Asserted-Identity.
    #[arg(long, value_name = "NUMBER")]
    pub pai: Option<String>,

    /// The whole Request-URI. Without it the host is the FQDN of the only site for calls from Teams, else the edge's
    /// own name.
    #[arg(long, value_name = "URI")]
    pub request_uri: Option<String>,

    /// When the call comes, for routes that are open at times only: RFC 3339, or seconds since 1970. Default: now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<u64>,

    #[command(flatten)]
    pub file: ConfigFile,

    /// Ask the edge that runs, with its changes at run time, by its control socket, and not the configuration.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,

    /// Answer many questions: one JSON object a line from a file, or from standard input with `-`; one JSON object a
    /// line comes out, in the same order. Keys: from_trunk, called, caller, pai, request_uri, now.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_trunk", "called", "caller", "pai", "request_uri"])]
    pub batch: Option<PathBuf>,
}

/// Who is asked where calls go.
pub trait Oracle: Sync {
    /// Where a call goes; `now` is for questions that name no time.
    ///
    /// # Errors
    /// A word for people.
    fn explain(&self, ask: &Ask, now: u64) -> Result<Explained, String>;
}

/// A configuration by itself.
impl Oracle for Edge {
    fn explain(&self, ask: &Ask, now: u64) -> Result<Explained, String> {
        explain(self, ask, now).map_err(|error: AskError| error.to_string())
    }
}

/// The edge that runs.
impl Oracle for Client {
    fn explain(&self, ask: &Ask, now: u64) -> Result<Explained, String> {
        let ask = Ask { now: ask.now.or(Some(now)), ..ask.clone() };
        let body = serde_json::to_value(ask).map_err(|error| error.to_string())?;
        let answer = self.post("/v1/route", &body).map_err(|failure| failure.to_string())?;
        serde_json::from_value(answer).map_err(|error| error.to_string())
    }
}

/// Runs the command: a batch writes while it goes on, one question is answered at once.
pub fn run(arguments: &Arguments, color: bool) -> ExitCode {
    let Some(file) = &arguments.batch else { return route(arguments, color).print() };
    let at = arguments.at.unwrap_or_else(now);
    match &arguments.socket {
        Some(socket) => batch::from_file(&Client::new(socket.clone()), file, at),
        None => match edge(&arguments.file.config, color) {
            Ok(edge) => batch::from_file(&edge, file, at),
            Err(fault) => fault.print(),
        },
    }
}

/// Explains where one call would go, by the edge that runs or by the configuration alone.
pub fn route(arguments: &Arguments, color: bool) -> Output {
    if let Some(socket) = &arguments.socket {
        return one(&Client::new(socket.clone()), arguments);
    }
    match edge(&arguments.file.config, color) {
        Ok(edge) => one(&edge, arguments),
        Err(fault) => fault,
    }
}

/// The edge that a configuration describes, without its sockets.
fn edge(config: &Path, color: bool) -> Result<Edge, Output> {
    let loaded = config::load(config).map_err(|faults| Output::fault(faults.render(color)))?;
    Ok(build::edge(loaded.config.limits, &loaded, |_| None))
}

fn one(oracle: &impl Oracle, arguments: &Arguments) -> Output {
    let ask = Ask {
        from_trunk: arguments.from_trunk.clone().unwrap_or_default(),
        called: arguments.called.clone(),
        caller: arguments.caller.clone(),
        pai: arguments.pai.clone(),
        request_uri: arguments.request_uri.clone(),
        now: arguments.at,
    };
    match oracle.explain(&ask, now()) {
        Ok(explained) => {
            let out = if arguments.json { json(&explained) } else { words(&ask, &explained) };
            let code = if explained.decision == Verdict::Forward { 0 } else { EXIT_NO };
            Output { out, code, ..Output::default() }
        }
        Err(error) => Output::fault(format!("{error}\n")),
    }
}

/// Seconds since 1970, as the machine's calendar has it.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let at: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u64::try_from(at.as_second()).map_err(|_| "before 1970".to_owned())
}

fn words(ask: &Ask, explained: &Explained) -> String {
    let Explained { reason, code, tenant, site, rule, targets, steps, near, .. } = explained;
    let called = ask.called.as_deref().or(ask.request_uri.as_deref()).unwrap_or_default();
    let mut text = format!("call from `{}` to `{called}`\n", ask.from_trunk);
    for (index, step) in steps.iter().enumerate() {
        text.push_str(&format!("{:>3}. {step}\n", index + 1));
    }
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<9}{value}\n"));
    if let Some(code) = code {
        line("reject", &format!("{code}: {reason}"));
    }
    for target in targets {
        let mut value = format!("{}  {}", target.trunk, target.uri);
        if let (Some(place), Some(TargetHealth { state, reason, for_s })) = (&target.target, &target.health) {
            value.push_str(&format!("  {place} {state} for {for_s} s ({reason})"));
        }
        for (name, number) in [("caller", &target.caller), ("asserted", &target.pai)] {
            if let Some(number) = number {
                value.push_str(&format!("  {name} {number}"));
            }
        }
        if let Some(seconds) = target.beside {
            value.push_str(&format!("  beside the first, {seconds} s after it"));
        }
        line("to", &value);
    }
    for (name, value) in [("tenant", tenant), ("site", site)] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let (None, Some(matched)) = (code, &explained.matched) {
        line("by", matched);
    }
    if let Some(rule) = rule {
        let owner = rule.owner.as_ref().map(|owner| format!("owner {owner}  ")).unwrap_or_default();
        let place = match (&rule.file, rule.line, &rule.change) {
            (Some(file), Some(line), _) => format!("{file}:{line}"),
            (_, _, Some(change)) => format!("change {change}"),
            _ => String::new(),
        };
        if !owner.is_empty() || !place.is_empty() {
            line("written", format!("{owner}{place}").trim_end());
        }
    }
    for miss in near {
        line("near", &format!("`{}` of `{}`, tag `{}`: {}", miss.rule.prefix, miss.rule.plan, miss.rule.tag, miss.why));
    }
    text
}
