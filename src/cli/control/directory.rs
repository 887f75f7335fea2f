//! `trunkway directory`: users that a tenant's directory has.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, columns, encoded, field};
use crate::cli::{EXIT_NO, Output};

/// Arguments of `trunkway directory`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway directory status --tenant contoso     # when it was read, and who has no match there
  trunkway directory test --tenant contoso       # secret, permissions and groups, one by one
  trunkway directory preview --tenant contoso    # what would be added, changed and removed
  trunkway directory sync --tenant contoso
  trunkway directory sync --tenant contoso --force    # however many users go")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with a directory.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show when it was read, what came of it, and users without a match.
    Status {
        #[command(flatten)]
        of: Of,
    },
    /// Try whether it can be read: 0 when it can, 1 when something is missing.
    Test {
        #[command(flatten)]
        of: Of,
    },
    /// Say what a run would add, change and remove. Nothing is changed.
    Preview {
        #[command(flatten)]
        of: Of,
    },
    /// Read it now, and add, change and remove users.
    Sync {
        #[command(flatten)]
        of: Of,
        /// Go on when more users would be removed than `max_delete_percent` says.
        #[arg(long)]
        force: bool,
    },
}

/// Whose directory it is.
#[derive(Debug, Args)]
pub struct Of {
    /// The tenant.
    #[arg(long, value_name = "ID")]
    pub tenant: String,
    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn directory(arguments: &Arguments) -> Output {
    let path = |of: &Of, what: &str| format!("/v1/tenants/{}/directory{what}", encoded(&of.tenant));
    match &arguments.command {
        Command::Status { of } => of.door.show(|client| client.get(&path(of, "")), status),
        Command::Test { of } => {
            let mut ok = true;
            let output = of.door.show(
                |client| {
                    let tried = client.post(&path(of, "/test"), &json!({}))?;
                    ok = tried.get("ok").and_then(Value::as_bool).unwrap_or_default();
                    Ok(tried)
                },
                tried,
            );
            if ok { output } else { Output { code: EXIT_NO, ..output } }
        }
        Command::Preview { of } => of.door.show(|client| client.post(&path(of, "/preview"), &json!({})), run),
        Command::Sync { of, force } => {
            of.door.show(|client| client.post(&path(of, "/sync"), &json!({ "force": force })), run)
        }
    }
}

fn status(status: &Value) -> String {
    let mut text = format!(
        "{}: {} users in the directory ({}), {} entries provisioned, read every {} s\n",
        field(status, "tenant"),
        field(status, "users"),
        field(status, "scope"),
        field(status, "provisioned"),
        field(status, "interval_s"),
    );
    match status.get("last").filter(|last| last.is_object()) {
        Some(last) => {
            text += &format!("last: {} at {}: {}\n", field(last, "result"), field(last, "at"), field(last, "text"));
        }
        None => text += "it was never read\n",
    }
    text += &unread(status);
    let unmatched = field(status, "unmatched");
    if unmatched != "0" {
        let names: Vec<String> =
            list(status, "unmatched_users").iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        text += &format!("{unmatched} users of the tenant are not in the directory: {}\n", names.join(", "));
    }
    text
}

fn tried(test: &Value) -> String {
    let row = |step: &Value| {
        let ok = step.get("ok").and_then(Value::as_bool).unwrap_or_default();
        vec![if ok { "ok" } else { "FAULT" }.to_owned(), field(step, "what"), field(step, "fault")]
    };
    columns(&[], &list(test, "steps").iter().map(row).collect::<Vec<_>>())
}

fn run(run: &Value) -> String {
    let count = |key: &str| field(run, key);
    let verb = if count("result") == "preview" { "would be " } else { "" };
    let mut text = format!(
        "{}: {} users in the directory; {verb}{} new, {} changed, {} removed; {} not read, {} of others, {} without a \
         number\n",
        count("tenant"),
        count("users"),
        count("new"),
        count("update"),
        count("delete"),
        count("unreadable"),
        count("held"),
        count("without_number"),
    );
    if run.get("stopped") == Some(&Value::Bool(true)) {
        text += "so many would be removed that a run would stop: `sync --force` goes on\n";
    }
    let row = |change: &Value| {
        let of = |key: &str| change.get("user").map(|user| field(user, key)).unwrap_or_default();
        let lives = Some(of("lives")).filter(|lives| !lives.is_empty()).unwrap_or_else(|| "teams".to_owned());
        vec![field(change, "what"), of("id"), of("name"), of("number"), of("extension"), lives]
    };
    let rows: Vec<Vec<String>> = list(run, "changes").iter().map(row).collect();
    if !rows.is_empty() {
        text += &columns(&["what", "id", "name", "number", "extension", "lives"], &rows);
    }
    text + &unread(run)
}

/// Users that were not read, with the reasons.
fn unread(answer: &Value) -> String {
    let rows: Vec<Vec<String>> = list(answer, "unread")
        .iter()
        .map(|it| vec!["not read:".to_owned(), field(it, "user"), field(it, "why")])
        .collect();
    columns(&[], &rows)
}

fn list<'v>(answer: &'v Value, key: &str) -> &'v [Value] {
    answer.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_a_sentence_and_a_table() {
        let answer = json!({
            "tenant": "contoso", "result": "preview", "stopped": true, "users": 3, "new": 1, "update": 0, "delete": 1,
            "unreadable": 1, "held": 0, "without_number": 2,
            "changes": [
                { "what": "new", "user": { "id": "alice@contoso.example", "name": "Alice", "number": "+441632768401" } },
                { "what": "delete", "user": { "id": "bob@contoso.example", "name": "Bob", "extension": "402", "lives": "pbx" } },
            ],
            "unread": [{ "user": "carol@contoso.example", "why": "the name is empty" }],
        });
        let wanted = "\
contoso: 3 users in the directory; would be 1 new, 0 changed, 1 removed; 1 not read, 0 of others, 2 without a number
so many would be removed that a run would stop: `sync --force` goes on
what    id                     name   number         extension  lives
new     alice@contoso.example  Alice  +441632768401             teams
delete  bob@contoso.example    Bob                   402        pbx
not read:  carol@contoso.example  the name is empty
";
        assert_eq!(run(&answer), wanted);
    }

    #[test]
    fn test_says_what_is_missing() {
        let answer = json!({ "steps": [
            { "what": "users", "ok": true, "fault": null },
            { "what": "group x", "ok": false, "fault": "there is no group x" },
        ]});
        assert_eq!(tried(&answer), "ok     users\nFAULT  group x  there is no group x\n");
    }
}
