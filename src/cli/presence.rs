//! `trunkway presence`: how presence comes about, and how it is at the running edge.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::control::presence as running;
use super::{ConfigFile, Output, json};
use crate::config::{self, TenantPresence};
use crate::presence::explain::{Explanation, Question, explain};
use crate::presence::teams::Shown;
use crate::presence::{ClientState, Presence, Session, merge};

/// Arguments of `trunkway presence`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trunkway presence explain --line busy --teams-client connected-active
  trunkway presence explain --line available --user absent --teams-client offline --json
  trunkway presence list --tenant contoso
  trunkway presence show anna@contoso.example
  trunkway presence unmatched                        users who have no match in Teams
  trunkway presence overruled                        users whose own choice in Teams wins")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is asked of presence.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what comes of states: on the PBX, in what the edge writes, and in what Teams shows.
    Explain(ExplainArguments),
    #[command(flatten)]
    Running(running::Command),
}

/// States; what is not given is not there.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// What a line does: away, do-not-disturb, busy, available, offline, unknown. Once for each line.
    #[arg(long = "line", value_name = "STATE")]
    pub lines: Vec<Presence>,

    /// The call that makes a line busy is a conference.
    #[arg(long)]
    pub conference: bool,

    /// What the user has set on the phone: available, absent, meeting, busy, not-available; with `--tenant` also the
    /// tenant's own names of these.
    #[arg(long, value_name = "STATE")]
    pub user: Option<String>,

    /// What a Teams client does: offline, connected-inactive, connected-active, busy, focus-or-presenting. Once for each
    /// client.
    #[arg(long = "teams-client", value_name = "STATE")]
    pub clients: Vec<ClientState>,

    /// What the user has chosen in Teams: available, busy, do-not-disturb, be-right-back, away, offline.
    #[arg(long, value_name = "STATE")]
    pub preferred: Option<Shown>,

    /// The tenant whose configuration counts: its names of user states, and what not-available comes to.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    #[command(flatten)]
    pub file: ConfigFile,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn presence(arguments: &Arguments, color: bool) -> Output {
    match &arguments.command {
        Command::Explain(arguments) => explained(arguments, color),
        Command::Running(command) => running::presence(command),
    }
}

fn explained(arguments: &ExplainArguments, color: bool) -> Output {
    let wishes = match arguments.tenant.as_ref().map(|tenant| wishes(tenant, &arguments.file, color)).transpose() {
        Ok(wishes) => wishes.unwrap_or_default(),
        Err(refusal) => return Output::fault(refusal),
    };
    let user = arguments.user.as_ref().map(|word| merge::user_state(word, &wishes.aliases)).transpose();
    let user = match user {
        Ok(user) => user,
        Err(error) => return Output::fault(format!("--user: {error}\n")),
    };
    let question = Question {
        lines: arguments.lines.clone(),
        conference: arguments.conference,
        user,
        not_available: wishes.not_available,
        clients: arguments.clients.clone(),
        preferred: arguments.preferred,
    };
    let answer = explain(&question);
    Output::said(if arguments.json { json(&Report::from(&answer)) } else { words(&answer) })
}

/// What a tenant wants of the bridge.
fn wishes(tenant: &str, file: &ConfigFile, color: bool) -> Result<TenantPresence, String> {
    let loaded = config::load(&file.config).map_err(|faults| faults.render(color))?;
    let mut known: BTreeMap<_, _> = loaded.config.presence.tenants;
    known.remove(tenant).ok_or_else(|| {
        let names: Vec<&str> = known.keys().map(|name| &**name).collect();
        match names.as_slice() {
            [] => "no tenant has a table [tenant.ID.presence]\n".to_owned(),
            names => format!("tenant `{tenant}` has no table `presence`; those that do: {}\n", names.join(", ")),
        }
    })
}

/// What `explain --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// What the PBX side comes to.
    pbx: &'static str,
    /// What the edge writes into its session, as Graph spells it; null: it clears the session.
    session: Option<Written>,
    /// What Teams shows.
    shown: &'static str,
    because: &'a [String],
}

#[derive(Debug, Serialize)]
struct Written {
    availability: &'static str,
    activity: &'static str,
}

impl From<Session> for Written {
    fn from(session: Session) -> Self {
        Self { availability: session.availability(), activity: session.activity() }
    }
}

impl<'a> From<&'a Explanation> for Report<'a> {
    fn from(answer: &'a Explanation) -> Self {
        Self {
            pbx: answer.pbx.word(),
            session: answer.session.map(Written::from),
            shown: answer.shown.word(),
            because: &answer.because,
        }
    }
}

fn words(answer: &Explanation) -> String {
    let session = answer.session.map(Written::from);
    let session = session.map_or("cleared".to_owned(), |it| format!("{} / {}", it.availability, it.activity));
    let mut text =
        format!("on the PBX     {}\nsession        {session}\nTeams shows    {}\n", answer.pbx, answer.shown);
    for reason in &answer.because {
        text.push_str(&format!("  - {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn output(line: &[&str]) -> Output {
        let line = ["trunkway", "presence", "explain"].iter().chain(line);
        let crate::cli::Command::Presence(arguments) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        presence(&arguments, false)
    }

    #[test]
    fn json_has_the_states_and_the_reasons() {
        let output = output(&["--line", "available", "--line", "busy", "--teams-client", "connected-active", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!(value["pbx"], "busy");
        assert_eq!(value["session"], serde_json::json!({ "availability": "Busy", "activity": "InACall" }));
        assert_eq!(value["shown"], "busy");
        assert_eq!(value["because"].as_array().map(Vec::len), Some(3));
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["because", "pbx", "session", "shown"]);
    }

    #[test]
    fn a_session_that_is_cleared_is_null() {
        let output = output(&["--line", "available", "--preferred", "do-not-disturb", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!((&value["session"], &value["shown"]), (&serde_json::Value::Null, &"offline".into()));
    }

    #[test]
    fn text_is_for_people() {
        let output = output(&["--line", "busy", "--conference", "--user", "absent"]);
        let wanted = "\
on the PBX     away
session        Away / Away
Teams shows    away
  - on the PBX the line is busy and the user has set absent, which counts as away: the greatest counts, away
  - the edge writes Away / Away to Teams, for the user is away
  - Teams has the edge's session (away) and nothing else: it shows away
";
        assert_eq!(output.out, wanted);
    }

    #[test]
    fn states_that_nobody_knows_are_told() {
        let line = ["trunkway", "presence", "explain", "--line", "ringing"];
        let error = Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains("write one of unknown, offline, available, busy, do-not-disturb, away"), "{error}");
        let output = output(&["--user", "gone"]);
        assert_eq!(output.code, 64);
        assert!(output.err.starts_with("--user: `gone` is no such state: write one of available, absent"));
    }

    #[test]
    fn a_tenants_own_names_and_wishes_count() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("edge.toml");
        let text = "[node]\nname = 'edge'\n[tenant.contoso.presence]\naliases = { 'At lunch' = 'not-available' }\n\
                    not_available = 'away'\n[tenant.fabrikam]\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let known = output(&["--user", "at LUNCH", "--tenant", "contoso", "--config", file]);
        assert!(known.out.starts_with("on the PBX     away\n"), "{known:?}");
        let unknown = output(&["--tenant", "fabrikam", "--config", file]);
        assert_eq!(unknown.err, "tenant `fabrikam` has no table `presence`; those that do: contoso\n");
    }
}
