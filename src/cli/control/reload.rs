//! `trunkway reload`: the running edge reads its configuration again.

use clap::Args;
use serde_json::{Value, json};

use super::{Door, Failure, field};
use crate::cli::{EXIT_FAULTS, Output};

/// What `trunkway reload --help` shows at its end.
const EXAMPLES: &str = "\
Examples:
  trunkway reload --dry-run                   what would change
  trunkway reload                             and do it
  trunkway reload --last                      what came of the last one, whoever wanted it
  trunkway reload --json | jq .moved.count    how many prefixes go elsewhere now

Exit code: 0 when the file is in force (whether it has changed or not), 64 when it is at fault or cannot be put in
force, so that nothing was changed, 69 when no edge answers.";

/// Arguments of `trunkway reload`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,

    /// Do nothing, and say what came of the last reload.
    #[arg(long, conflicts_with = "dry_run")]
    pub last: bool,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn reload(arguments: &Arguments) -> Output {
    let Arguments { dry_run, last, door } = arguments;
    if *last {
        return door.show(|client| client.get("/v1/reloads/last"), last_words);
    }
    let answer = door.client().and_then(|client| client.post("/v1/reload", &json!({ "dry_run": dry_run })));
    match answer {
        Ok(report) if door.json => Output::said(crate::cli::json(&report)),
        Ok(report) => Output::said(words(&report)),
        Err(Failure::Refused { status: 422, answer }) => {
            let out = if door.json { crate::cli::json(&answer) } else { String::new() };
            let rendered = field(&answer, "rendered");
            let err = format!("{rendered}{}\n", field(&answer, "detail"));
            Output { out, err, code: EXIT_FAULTS }
        }
        Err(failure) => failure.output(door.json),
    }
}

/// The last reload in words.
fn last_words(last: &Value) -> String {
    let took = last.get("took_ms").and_then(Value::as_u64).unwrap_or(0);
    let mut text =
        format!("{} at {}, by {}, in {took} ms\n", field(last, "result"), field(last, "at"), field(last, "by"));
    for fault in list(last, "faults") {
        text += &format!("    {}\n", fault.as_str().unwrap_or_default());
    }
    text
}

/// What has changed, in words.
fn words(report: &Value) -> String {
    let would = report.get("dry_run") == Some(&Value::Bool(true));
    let mut text = String::new();
    if report.get("changed") != Some(&Value::Bool(true)) {
        text += if would { "nothing would change\n" } else { "nothing has changed\n" };
    }
    for kind in list(report, "differences") {
        for (word, sign) in [("added", '+'), ("removed", '-'), ("changed", '~')] {
            let names = kind.get(word).cloned().unwrap_or_default();
            let count = names.get("count").and_then(Value::as_u64).unwrap_or(0);
            if count > 0 {
                text += &format!("{sign} {} {word}: {}\n", field(kind, "kind"), shown(&names, count));
            }
        }
    }
    let moved = report.get("moved").cloned().unwrap_or_default();
    let count = moved.get("count").and_then(Value::as_u64).unwrap_or(0);
    if count > 0 {
        let go = match (would, count) {
            (true, _) => "would go",
            (false, 1) => "now goes",
            (false, _) => "now go",
        };
        text += &format!("{count} {} {go} elsewhere\n", if count == 1 { "prefix" } else { "prefixes" });
        for example in list(&moved, "examples") {
            let tag = |key: &str| match field(example, key) {
                tag if tag.is_empty() => "nowhere".to_owned(),
                tag => tag,
            };
            let (plan, prefix) = (field(example, "plan"), field(example, "prefix"));
            text += &format!("    {plan}: {prefix}  {} -> {}\n", tag("from"), tag("to"));
        }
        if count > list(&moved, "examples").len() as u64 {
            text += "    ...\n";
        }
    }
    for key in list(report, "restart") {
        let values = match (field(key, "running"), field(key, "file")) {
            (running, file) if running.is_empty() && file.is_empty() => String::new(),
            (running, file) => format!(": {running} is in force, the file says {file}"),
        };
        text += &format!("! {} needs a restart{values}\n", field(key, "key"));
    }
    for change in list(report, "not_replayed") {
        text +=
            &format!("! a change made at run time does not fit any more: {}\n", change.as_str().unwrap_or_default());
    }
    for warning in list(report, "warnings") {
        let place = match (field(warning, "file"), field(warning, "line")) {
            (file, line) if !file.is_empty() && !line.is_empty() => format!("{file}:{line}: "),
            _ => String::new(),
        };
        text += &format!("warning: {place}{}\n", field(warning, "message"));
    }
    text
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The names, and how many there are besides.
fn shown(names: &Value, count: u64) -> String {
    let listed: Vec<&str> = list(names, "names").iter().filter_map(Value::as_str).collect();
    let more = count.saturating_sub(listed.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_like_a_difference() {
        let report = json!({
            "dry_run": false, "changed": true, "took_ms": 3,
            "differences": [
                { "kind": "trunks", "added": { "count": 1, "names": ["new"] }, "removed": { "count": 0, "names": [] },
                  "changed": { "count": 3, "names": ["a", "b"] } },
            ],
            "moved": { "count": 12, "examples": [{ "plan": "main", "prefix": "+4420", "from": "pbx", "to": null }] },
            "restart": [{ "key": "[node] workers", "running": "None", "file": "Some(3)" },
                        { "key": "[metrics]", "running": null, "file": null }],
            "not_replayed": ["there is no dial plan `old`"],
            "warnings": [{ "severity": "warning", "message": "no trunk uses it", "file": "edge.toml", "line": 4 }],
        });
        let wanted = "\
+ trunks added: new
~ trunks changed: a, b and 1 more
12 prefixes now go elsewhere
    main: +4420  pbx -> nowhere
    ...
! [node] workers needs a restart: None is in force, the file says Some(3)
! [metrics] needs a restart
! a change made at run time does not fit any more: there is no dial plan `old`
warning: edge.toml:4: no trunk uses it
";
        assert_eq!(words(&report), wanted);
        let last = json!({ "at": "2026-01-01T00:00:00Z", "by": "watch", "result": "failed", "took_ms": 7,
                           "faults": ["edge.toml:3:1: no"] });
        let wanted = "failed at 2026-01-01T00:00:00Z, by watch, in 7 ms\n    edge.toml:3:1: no\n";
        assert_eq!(last_words(&last), wanted);
        assert_eq!(words(&json!({ "changed": false })), "nothing has changed\n");
        assert_eq!(words(&json!({ "changed": false, "dry_run": true })), "nothing would change\n");
    }
}
