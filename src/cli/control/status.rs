//! `trunkway status`: what the running edge does, on one screen.

use clap::Args;
use serde_json::Value;

use super::{Door, columns, field};
use crate::cli::Output;

/// What `trunkway status --help` shows at its end.
const EXAMPLES: &str = "\
Examples:
  trunkway status
  trunkway status --json | jq .targets
  trunkway status --url https://edge-1.example.net:8443 --token-file operators.token --ca ca.pem";

/// Arguments of `trunkway status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn status(arguments: &Arguments) -> Output {
    arguments.door.show(|client| client.get("/v1/status"), words)
}

/// The screen.
fn words(status: &Value) -> String {
    let number = |key: &str| count(status, key);
    let life = status.get("life").unwrap_or(&Value::Null);
    let mut text = format!(
        "{}: trunkway {}, up for {}\n\n",
        field(status, "node"),
        field(status, "version"),
        span(number("uptime_s"))
    );
    let targets = status.get("targets").unwrap_or(&Value::Null);
    let rules: u64 = list(status, "plans").iter().filter_map(|plan| plan.get("rules").and_then(Value::as_u64)).sum();
    let journal = match status.get("journal_bytes").and_then(Value::as_u64) {
        Some(bytes) => format!("journal of {bytes} bytes"),
        None => "not kept over a restart".to_owned(),
    };
    let mut rows = vec![
        ("health", health(status)),
        ("state", format!("{}, for {}", field(life, "state"), span(count(life, "for_s")))),
        ("calls", format!("{} up, {} requests in progress", count(life, "calls"), count(life, "requests"))),
        (
            "targets",
            format!(
                "{} up, {} suspect, {} down",
                field(targets, "up"),
                field(targets, "suspect"),
                field(targets, "down")
            ),
        ),
        ("tenants", format!("{} with {} users", number("tenants"), number("users"))),
        ("rules", format!("{rules} in {} dial plans", list(status, "plans").len())),
        ("changes", format!("{} made, {} not folded in, {journal}", number("revision"), number("pending"))),
    ];
    if let Some(reload) = status.get("reload").filter(|reload| reload.is_object()) {
        rows.push(("reload", reloaded(reload)));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    text += &columns(&[], &rows);
    let not_up: Vec<Vec<String>> = list(targets, "not_up")
        .iter()
        .map(|target| ["trunk", "target", "state", "for_s", "reason"].map(|key| field(target, key)).into())
        .collect();
    if !not_up.is_empty() {
        text += "\n";
        text += &columns(&["trunk", "target", "state", "for_s", "reason"], &not_up);
    }
    text
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn health(status: &Value) -> String {
    let health = field(status, "health");
    match status.get("causes").and_then(Value::as_u64) {
        None | Some(0) => health,
        Some(1) => format!("{health}: 1 cause, see `trunkway health`"),
        Some(causes) => format!("{health}: {causes} causes, see `trunkway health`"),
    }
}

fn reloaded(reload: &Value) -> String {
    let text = format!("{} at {} by {}", field(reload, "result"), field(reload, "at"), field(reload, "by"));
    match list(reload, "faults").first().and_then(Value::as_str) {
        Some(fault) => format!("{text}: {fault}"),
        None => text,
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A time in the two largest of its units.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn screen_tells_what_is_wrong_first() {
        let target =
            json!({ "trunk": "teams", "target": "tls:a.example", "state": "down", "for_s": 7, "reason": "is silent" });
        let status = json!({
            "node": "edge-1", "version": "1.2.3", "uptime_s": 90_000, "health": "error", "causes": 2,
            "life": { "state": "draining", "for_s": 61, "calls": 3, "requests": 5 }, "tenants": 1, "users": 2,
            "reload": { "at": "2026-11-22T10:00:00Z", "by": "signal", "result": "failed", "faults": ["edge.toml:3:1: odd"] },
            "revision": 4, "pending": 0, "journal_bytes": 10,
            "plans": [{ "name": "main", "rules": 7 }], "targets": { "up": 1, "suspect": 0, "down": 1, "not_up": [target] },
        });
        let wanted = "\
edge-1: trunkway 1.2.3, up for 1 d 1 h

health   error: 2 causes, see `trunkway health`
state    draining, for 1 min 1 s
calls    3 up, 5 requests in progress
targets  1 up, 0 suspect, 1 down
tenants  1 with 2 users
rules    7 in 1 dial plans
changes  4 made, 0 not folded in, journal of 10 bytes
reload   failed at 2026-11-22T10:00:00Z by signal: edge.toml:3:1: odd

trunk  target         state  for_s  reason
teams  tls:a.example  down   7      is silent
";
        assert_eq!(words(&status), wanted);
    }

    #[test]
    fn time_has_two_units() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (180_000, "2 d 2 h")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
